"""The gate: what is turned away before any view sees it, whatever the view.

A NUL in an address (PostgreSQL keeps none, so no look-up may ask with one), a sign-in that would lead elsewhere, JSON
where pages send forms, and what another site's page sends. The latter stands beside the CSRF token, not instead of it
(OWASP, Cross-Site Request Forgery Prevention).
"""

from urllib.parse import urlsplit

from flask import Flask, abort, redirect, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from portal.web import shell

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

WITHOUT_TOKEN = ("/api/",)
"""The one list of what may be posted without a CSRF token: these bring a key of their own instead of a cookie."""

BY_MAIL_PROGRAMS = "stopping.stop"
"""What mail programs post by themselves (RFC 8058): the token in the address says whose it is."""

LARGER = {
    "admin.check_import": 2 * 1024 * 1024, "admin.choose_look": 4 * 1024 * 1024, "admin.show_product": 4 * 1024 * 1024,
}  # fmt: skip
"""What takes a file: endpoint -> bytes. Said here, since the token is read from the body before any view."""


def install(app: Flask) -> None:
    """Puts the gate in front of every view."""
    app.before_request(_turn_away)


def _turn_away() -> ResponseReturnValue | None:
    if "\x00" in request.path or b"%00" in request.query_string:
        abort(400)
    request.max_content_length = LARGER.get(request.endpoint or "", request.max_content_length)
    if request.method in SAFE or request.path.startswith(WITHOUT_TOKEN) or request.endpoint == BY_MAIL_PROGRAMS:
        return redirect(request.path) if _leads_astray() else None
    if not _from_here():
        raise CSRFError("Sent from another site.")
    if request.is_json:
        abort(415)  # Flask-Security would take it, and hand out tokens that outlive the sign-in
    if _leads_astray():
        abort(400)
    return None


def _leads_astray() -> bool:
    """Whether Flask-Security is asked to go on to something that is no page of ours."""
    if request.blueprint != "security":
        return False
    return any(wanted and shell.inward(wanted) is None for wanted in request.values.getlist("next"))


def _from_here() -> bool:
    """Whether the browser says that a page of ours sent this; one that says nothing is believed, and has a token."""
    said = request.headers.get("Origin") or request.headers.get("Referer")
    try:
        return not said or urlsplit(said).netloc == request.host
    except ValueError:
        return False
