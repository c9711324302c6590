"""The gate: what is turned away before any view sees it, whatever the view.

A NUL in an address (PostgreSQL keeps none, so no look-up may ask with one), JSON where pages send forms, and what
another site's page sends. The latter stands beside the CSRF token, not instead of it (OWASP, Cross-Site Request
Forgery Prevention).
"""

from urllib.parse import urlsplit

from flask import Flask, abort, request
from flask_wtf.csrf import CSRFError

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

WITHOUT_TOKEN = ("/api/",)
"""The one list of what may be posted without a CSRF token: these bring a key of their own instead of a cookie."""


def install(app: Flask) -> None:
    """Puts the gate in front of every view."""
    app.before_request(_turn_away)


def _turn_away() -> None:
    if "\x00" in request.path or b"%00" in request.query_string:
        abort(400)
    if request.method in SAFE or request.path.startswith(WITHOUT_TOKEN):
        return
    if not _from_here():
        raise CSRFError("Sent from another site.")
    if request.is_json:
        abort(415)  # Flask-Security would take it, and hand out tokens that outlive the sign-in


def _from_here() -> bool:
    """Whether the browser says that a page of ours sent this; one that says nothing is believed, and has a token."""
    said = request.headers.get("Origin") or request.headers.get("Referer")
    try:
        return not said or urlsplit(said).netloc == request.host
    except ValueError:
        return False
