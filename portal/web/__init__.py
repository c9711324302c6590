"""The web: the only room that knows HTTP. One blueprint a file; the door in front of them."""

from flask import Flask, Response, request
from flask_babel import Babel
from flask_wtf import CSRFProtect

from portal.config import Settings
from portal.core.database import Quick
from portal.web import (
    access,
    account,
    admin,
    api,
    assets,
    dashboard,
    errors,
    gate,
    headers,
    limits,
    mailbox,
    public,
    shell,
    words,
)
from portal.web.door import Door

LANGUAGES = ("en",)


def create_web(app: Flask, settings: Settings, quick: Quick) -> None:
    """Gives the application its pages, its API and its manners."""
    Babel(app, locale_selector=lambda: request.accept_languages.best_match(LANGUAGES) or "en")
    gate.install(app)
    protect = CSRFProtect(app)
    for room in (public, account, dashboard, admin, api):
        app.register_blueprint(room.blueprint)
    if settings.demo:
        app.register_blueprint(mailbox.blueprint)
    protect.exempt(api.blueprint)
    protect.exempt(public.sign_up)  # checks itself, so that it works where cookies are off
    assets.init_app(app)
    access.install(app, settings)
    limits.install(app, settings)
    words.install(app)
    shell.install(app)
    errors.install(app)
    app.before_request(access.note_sign_in_in_use)
    said = headers.for_answers(secure=settings.secure)

    @app.after_request
    def safe(response: Response) -> Response:
        for name, value in said:
            response.headers.setdefault(name, value)
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response

    app.wsgi_app = Door(app.wsgi_app, settings, quick)  # type: ignore[method-assign]
