"""The door: answers `/r/<code>` for people in front of Flask, with one look-up and one insert, committed first.

It calls the same verb as everybody (`program.follow`). Bots, unknown codes, signed-in people and anything unusual
go on to Flask, where `public.follow` answers them. Why it is here: docs/figures.md.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from portal import program
from portal.accounts.users import Surroundings
from portal.config import Settings
from portal.core import clock
from portal.core.database import Quick
from portal.sharing import clicks, links, origins, visitors
from portal.sharing.links import Found
from portal.sharing.visitors import Visitors
from portal.web import headers, logs

log = logging.getLogger(__name__)

WANTED = {
    "HTTP_" + name.upper().replace("-", "_"): name
    for name in ("user-agent", "purpose", "sec-purpose", "x-moz", "sec-fetch-mode", "sec-fetch-dest")
}
"""The headers by which a person's visit is told from others, by WSGI's names for them."""


class Door:
    """WSGI middleware in front of the application."""

    def __init__(self, inner: Callable[..., Iterable[bytes]], settings: Settings, quick: Quick) -> None:
        self.inner, self.quick = inner, quick
        self.browsers = Browsers(settings)
        self.session_cookie = "__Host-session=" if settings.secure else "session="
        self.hosts = frozenset(settings.hosts)
        self.headers = [*headers.for_answers(secure=settings.secure), ("Cache-Control", "no-store"),
                        ("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "0")]  # fmt: skip

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].startswith("/r/"):
            answer = self._follow(environ)
            if answer is not None:
                environ[logs.ROUTE] = "/r/<code>"
                start_response("302 FOUND", answer)
                return [b""]
        return self.inner(environ, start_response)

    def _follow(self, environ: dict[str, Any]) -> list[tuple[str, str]] | None:
        code = links.folded(environ["PATH_INFO"][3:])
        cookies = environ.get("HTTP_COOKIE", "")
        if code is None or self.session_cookie in cookies or not self._is_our_host(environ):
            return None
        if not clicks.is_person("GET", {name: environ[key] for key, name in WANTED.items() if environ.get(key)}):
            return None
        seen, new = self.browsers.seen(environ)
        try:
            found = program.follow(
                code, seen, new=new, on=self.quick, at=clock.now(), came_from=came_from(environ, self.hosts)
            )
        except Exception:
            # Whatever is wrong with the database, the friend is still sent on; the code travels in the address.
            log.exception("a link could not be looked up")
            return [*self.headers, ("Location", f"/signup?ref={code}")]
        if found is None:
            return None
        answer = [*self.headers, ("Location", destination(found))]
        if new:
            answer.append(("Set-Cookie", self.browsers.cookie(seen)))
        return answer

    def _is_our_host(self, environ: dict[str, Any]) -> bool:
        host = environ.get("HTTP_HOST", "")
        return (host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host) in self.hosts


class Browsers:
    """What is known of the browser behind a request, and the cookie by which it is known again."""

    def __init__(self, settings: Settings) -> None:
        self.visitors = Visitors(settings.secret_key)
        self.cookie_name = f"__Host-{visitors.NAME}" if settings.secure else visitors.NAME
        self._attributes = f"Max-Age={visitors.LASTS_DAYS * 86400}; Path=/; HttpOnly; SameSite=Lax" + (
            "; Secure" if settings.secure else ""
        )

    def seen(self, environ: dict[str, Any]) -> tuple[Surroundings, bool]:
        """The surroundings of a request, and whether its visitor is new (and the cookie to be set)."""
        visitor = self._known(environ.get("HTTP_COOKIE", ""))
        surroundings = Surroundings(
            visitor=visitor or self.visitors.issue(),
            network=visitors.network(environ.get("REMOTE_ADDR")),
            browser=self.visitors.browser(environ.get("HTTP_USER_AGENT", "")[:500]),
        )
        return surroundings, visitor is None

    def _known(self, cookies: str) -> str | None:
        if self.cookie_name not in cookies:
            return None
        for cookie in cookies.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == self.cookie_name:
                return self.visitors.read(value)
        return None

    def cookie(self, seen: Surroundings) -> str:
        """The Set-Cookie header by which this browser is known again."""
        assert seen.visitor is not None
        return f"{self.cookie_name}={self.visitors.signed(seen.visitor)}; {self._attributes}"


def came_from(environ: dict[str, Any], own: Iterable[str]) -> str | None:
    """Where a visit came from, in one word; `own` are our hosts, from which nobody comes."""
    return origins.came_from(environ.get("QUERY_STRING", ""), environ.get("HTTP_REFERER", ""), own=own)


def destination(found: Found) -> str:
    """Where a link leads: the sign-up page, or its own address with the code added, other queries and fragment kept."""
    if found.destination is None:
        return f"/signup?ref={found.code}"
    parts = urlsplit(found.destination)
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "ref"]
    query = [*kept, ("ref", found.code)]
    return urlunsplit(parts._replace(query=urlencode(query)))
