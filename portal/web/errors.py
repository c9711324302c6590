"""Errors: every refusal as a page, or as problem+json for the API; nothing half done, the database let go."""

import logging

from flask import Flask, Response, g, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, SecurityError

from portal.core import database
from portal.core.text import Refusal
from portal.sharing import links
from portal.web import limits, logs, problems, words

log = logging.getLogger(__name__)

PAGES = {400, 403, 404, 405, 413, 419, 429, 500, 503}


def install(app: Flask) -> None:
    """Answers for whatever goes wrong."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(RateLimitExceeded, _too_many)
    app.register_error_handler(Refusal, _refused)
    for kind in database.Unavailable:
        app.register_error_handler(kind, _unavailable)
    app.register_error_handler(500, _broken)
    # Before Flask-SQLAlchemy's own, which would turn an answer that is ready into a 500.
    app.teardown_appcontext(lambda _error: database.let_go())
    app.log_exception = lambda *_: None  # type: ignore[method-assign] # Flask's own names the path; `_broken` does not


def page(status: int, **facts: object) -> ResponseReturnValue:
    """An error's page; the API's answer to the same."""
    if request.path.startswith("/api/"):
        return problems.usual(status)
    name = status if status in PAGES else 400 if status < 500 else 500
    return render_template(f"errors/{name}.html", **facts), status


def _http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.response
    if isinstance(error, SecurityError):
        # A Host name that is not ours: no page, since not even the addresses of its style sheet could be made.
        return Response("This portal does not answer to that name.\n", 400, mimetype="text/plain")
    status = error.code or 500
    if status >= 500 or status < 400:
        return error.get_response() if status < 400 else page(500, request_id=logs.this_request())
    response = make_response(page(status))
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.valid_methods or ())  # RFC 9110, 15.5.6
    return response


def _csrf(_error: CSRFError) -> ResponseReturnValue:
    """A form without its token: what was typed is offered again, but only if it came from a page of ours."""
    typed: list[tuple[str, str]] = []
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        typed = [
            (name, value)
            for name, value in request.form.items(multi=True)
            if name != "csrf_token" and "password" not in name
        ]
    if request.path.startswith("/api/"):
        return problems.answer(400, "The CSRF token is missing.")
    return render_template("errors/419.html", typed=typed, action=request.path if typed else None), 400


def _too_many(error: RateLimitExceeded) -> ResponseReturnValue:
    seconds = limits.seconds_left(limits.limiter.current_limit)
    anew = error.limit is not None and error.limit.scope == limits.WRONG_CODES
    response = make_response(page(429, seconds=seconds, anew=anew))
    response.headers["Retry-After"] = str(seconds)
    return response


def _refused(refusal: Refusal) -> ResponseReturnValue:
    database.session.rollback()
    if words.current_terms() is None:
        return render_template("public/not_set_up.html"), 409
    return render_template("errors/refused.html", text=words.say(refusal)), 409


def _unavailable(error: Exception) -> ResponseReturnValue:
    """The database is locked, away or full: said plainly, and nothing was changed. A friend is sent on all the same."""
    _let_go()
    cause = getattr(error, "orig", None) or error
    log.error("database unavailable: %s: %s", type(cause).__name__, " ".join(str(cause).split())[:300])
    if request.endpoint == "public.follow" and (code := links.folded((request.view_args or {})["code"])):
        return redirect(f"/signup?ref={code}")
    response = make_response(page(503, request_id=logs.this_request()))
    response.headers["Retry-After"] = "5"
    return response


def _broken(error: Exception) -> ResponseReturnValue:
    _let_go()
    log.error("broken", exc_info=getattr(error, "original_exception", None) or error)
    return page(500, request_id=logs.this_request())


def _let_go() -> None:
    g.database_is_there = False
    try:
        database.let_go()
    except Exception:
        log.exception("rollback failed")
