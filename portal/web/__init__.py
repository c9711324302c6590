"""The web: the only room that knows HTTP. One blueprint a file; the door in front of them."""

from flask import Flask, Response
from flask_wtf import CSRFProtect

from portal.config import Settings
from portal.core.database import Quick
from portal.web import (
    access,
    account,
    admin,
    api,
    assets,
    components,
    dashboard,
    errors,
    exports,
    gate,
    headers,
    joining,
    languages,
    leaving,
    limits,
    logs,
    look,
    mailbox,
    metrics,
    poster,
    public,
    reference,
    safety,
    sharing,
    shell,
    signing_in,
    stopping,
    words,
)
from portal.web.door import Door


def create_web(app: Flask, settings: Settings, quick: Quick) -> None:
    """Gives the application its pages, its API and its manners."""
    logs.install(app)
    languages.install(app)
    gate.install(app)
    protect = CSRFProtect(app)
    people = (public, signing_in, account, safety, leaving, joining, stopping, languages, look)
    for room in (*people, dashboard, sharing, exports, poster, admin, api, reference, metrics):
        app.register_blueprint(room.blueprint)
    if settings.demo:
        for room in (mailbox, components):
            app.register_blueprint(room.blueprint)
    protect.exempt(api.blueprint)
    for view in (public.sign_up, public.not_this_person, public.confirmation):
        protect.exempt(view)  # checks itself, so that it works where cookies are off
    protect.exempt(stopping.stop)  # mail programs send it by themselves (RFC 8058); its token says whose it is
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

    app.extensions["counts"] = metrics.Counts()
    door = Door(metrics.Probes(app.wsgi_app, settings.hosts[0]), settings, quick)
    app.wsgi_app = logs.Requests(door, settings, app.extensions["counts"])  # type: ignore[method-assign] # how WSGI is wrapped
