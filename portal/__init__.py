"""The referral portal. `create_app(settings)` puts the parts together: no rules and no routes here."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from portal.config import ROOT, Settings

if TYPE_CHECKING:
    from flask import Flask

VERSION = "0.6.0"
"""The portal's version; the latest heading of CHANGELOG.md."""


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Importing makes much and drops nothing: looking for garbage meanwhile would take a fifth of the start.

    What a process holds when its first app is made stays, and is not looked through afterwards.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
        if was_on:
            gc.enable()


@_without_collecting()
def create_app(settings: Settings) -> "Flask":
    """The WSGI application for these settings. The database's schema is not touched: see `portal migrate`."""
    from flask import Flask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from portal.core import database
    from portal.notices.writing import Office
    from portal.web import create_web

    app = Flask("portal", template_folder=str(ROOT / "templates"), static_folder=None)
    app.extensions["settings"] = settings
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=database.engine_options(settings.database_url),
        SQLALCHEMY_BINDS={"quick": database.engine_options(settings.database_url, quick=True)},
        MAX_CONTENT_LENGTH=1024 * 1024,  # nothing takes a file; what will, says so by its view
        MAX_FORM_MEMORY_SIZE=512 * 1024,
        MAX_FORM_PARTS=5000,
        TRUSTED_HOSTS=settings.hosts,
        SESSION_COOKIE_NAME="__Host-session" if settings.secure else "session",
        SESSION_COOKIE_SECURE=settings.secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=30),
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,  # it shuts out browsers that send no Referer; the gate looks at Origin instead
    )
    database.db.init_app(app)
    with app.app_context():
        database.prepare(database.db.engine)
        database.prepare(database.db.engines["quick"], quick=True)
        quick = database.quick()
    Office.base_url = settings.base_url
    Office.hash_key = settings.suppression_key.encode()
    create_web(app, settings, quick)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign] # how WSGI is wrapped
    return app
