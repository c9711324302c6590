"""Logs: what went wrong, and as JSON a line for each request too, by which one request can be followed.

Each request has an id: it goes back as `X-Request-ID`, stands in every line written meanwhile, and on the page that
says that something broke. Invariant: no line holds an address, a token, a code or what was asked for: routes are named
by their pattern, errors of the database lose the rows they quote, and what looks like an e-mail is taken out.
"""

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request

from portal.config import Settings
from portal.web import attempts, metrics

log = logging.getLogger("portal.requests")

HEADER = "X-Request-ID"
ID, ROUTE = "portal.request_id", "portal.route"
"""Where a request's id and the pattern of its route stand in WSGI's environ."""

FOUND = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
"""What may be an id that the proxy in front has given."""

_under_way: ContextVar[str] = ContextVar("request_id", default="")

CHATTY = ("apscheduler", "alembic")
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})


class Requests:
    """WSGI middleware in front of all: gives each request its id, counts it, and writes its line."""

    def __init__(self, inner: Callable[..., Iterable[bytes]], settings: Settings, counts: metrics.Counts) -> None:
        self.inner, self.counts, self.proxied = inner, counts, settings.trusted_proxies > 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began = time.perf_counter()
        name = environ[ID] = self._name(environ)
        status = 500

        def start(said: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            nonlocal status
            status = int(said[:3])
            return start_response(said, [*headers, (HEADER, name)], *more)

        kept = _under_way.set(name)
        try:
            return self.inner(environ, start)
        finally:
            seconds = time.perf_counter() - began
            self.counts.add(status, seconds)
            if log.isEnabledFor(logging.INFO):
                method = environ["REQUEST_METHOD"]
                facts = {"method": method if method in METHODS else "other", "route": environ.get(ROUTE, "-"),
                         "status": status, "ms": round(seconds * 1000, 1)}  # fmt: skip
                log.info("%(method)s %(route)s %(status)s %(ms)s ms", facts, extra={"facts": facts})
            _under_way.reset(kept)

    def _name(self, environ: dict[str, Any]) -> str:
        given = environ.get("HTTP_X_REQUEST_ID", "") if self.proxied else ""
        return given if FOUND.fullmatch(given) else secrets.token_hex(8)


def install(app: Flask) -> None:
    """Notes which route a request has met, before anything else."""

    @app.before_request
    def note_route() -> None:
        request.environ[ROUTE] = request.url_rule.rule if request.url_rule else "-"


def this_request() -> str:
    """The id of the request that is being answered."""
    return str(request.environ.get(ID, ""))


# --- how a line looks -----------------------------------------------------------------------------------------


def begin(form: str) -> None:
    """Has this process write its lines to its error output: `text` for a person, `json` for what collects them.

    As text without a line for each request, and of sign-ins with those that failed alone. Where a program around us has
    said where lines go, that stays.
    """
    root = logging.getLogger()
    if any(not isinstance(handler, Lines) for handler in root.handlers):
        return
    lines = Lines()
    lines.setFormatter(AsJson() if form == "json" else AsText())
    root.handlers[:] = [lines]
    root.setLevel(logging.INFO)
    for busy in (log, attempts.log):
        busy.setLevel(logging.INFO if form == "json" else logging.WARNING)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


class Lines(logging.Handler):
    """To the error output, whatever that is by then."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


class AsText(logging.Formatter):
    """A line for a person, with the id of the request if there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        name = _under_way.get()
        return super().formatMessage(record) + (f" (request {name})" if name else "")

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))


class AsJson(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(), "logger": record.name,
        }  # fmt: skip
        if name := _under_way.get():
            said["request_id"] = name
        said |= getattr(record, "facts", None) or {"message": clean(record.getMessage())}
        if record.exc_info:
            said["traceback"] = clean(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=False)


_QUOTED = re.compile(
    r"DETAIL: .*?(?=\n(?:HINT|CONTEXT|QUERY|STATEMENT):|\n\[SQL|\n\(Background|\n\n|\nTraceback|\Z)", re.DOTALL
)
"""What PostgreSQL adds to a no: the row itself, or the value."""

_ADDRESS = re.compile(r"[^\s@<>\"'(),:;=\[\]]+@[^\s@<>\"'(),:;=\[\]]+")


def clean(text: str) -> str:
    """A text without the rows that a database quotes and without what looks like an e-mail."""
    return _ADDRESS.sub("…@…", _QUOTED.sub("DETAIL: …", text) if "DETAIL: " in text else text)
