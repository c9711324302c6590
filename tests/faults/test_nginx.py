"""The shipped nginx configuration with a real nginx: what it hands on, what it keeps to itself, and slow clients."""

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from portal import create_app
from portal.config import Settings
from portal.core.database import session
from portal.sharing.clicks import Click
from portal.sharing.visitors import network
from portal.web import headers
from tests import nginx
from tests.conftest import close, make_schema, make_settings, missing
from tests.factories import Scene
from tests.faults.portals import AGENT, Portal
from tests.mailserver import free_port
from tests.nginx import NAME, Nginx, slow_clients

Answer = tuple[int, http.client.HTTPMessage, str]

OF_NGINX = {
    **{
        name: value
        for name, value in headers.for_answers(secure=True)
        if not name.startswith(("Cross-", "Permissions-"))
    },
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""What nginx's own answers carry: of the portal's headers those that mean something on a page without anything."""


class Site:
    """The portal behind nginx."""

    def __init__(self, portal: Portal, front: Nginx, code: str) -> None:
        self.portal, self.front, self.code = portal, front, code

    def get(self, path: str, *, method: str = "GET", body: bytes | None = None, **given_headers: str) -> Answer:
        """One request over https, on a connection of its own."""
        connection = http.client.HTTPSConnection(NAME, self.front.tls, timeout=20)
        connection.sock = self.front.connect()
        return self._asked(connection, method, path, body, given_headers)

    def by_http(self, path: str, *, method: str = "GET", body: bytes | None = None, **given_headers: str) -> Answer:
        """The same without TLS."""
        connection = http.client.HTTPConnection("127.0.0.1", self.front.plain, timeout=20)
        return self._asked(connection, method, path, body, {"Host": NAME, **given_headers})

    def _asked(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None,
        given_headers: dict[str, str],
    ) -> Answer:  # fmt: skip
        try:
            given = {name.replace("_", "-"): value for name, value in given_headers.items()}
            connection.request(method, path, body, {"User-Agent": AGENT} | given)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A portal at https://friends.example.com, with the shipped site in front of it."""
    if reason := nginx.why_not():
        missing(reason)
    folder = tmp_path_factory.mktemp("site")
    url = f"sqlite:///{folder / 'portal.db'}"
    make_schema(make_settings(folder, url))
    portal = Portal(folder, url, MAIL_FROM="portal@example.com")
    with nginx.running(folder / "nginx", portal.port, free_port()) as front:  # as if the second one were restarting
        portal.environ["BASE_URL"] = f"https://{NAME}:{front.tls}"
        portal.host = f"{NAME}:{front.tls}"
        app = create_app(Settings.from_env(portal.environ))
        with app.app_context():
            scene = Scene(app)
            code = scene.code(scene.alice)
            close(app)
        with portal:
            yield Site(portal, front, code)


def test_pages_come_over_https_with_the_proxys_id(site: Site) -> None:
    status, said, _ = site.by_http("/terms?x=1")
    assert (status, said["Location"]) == (301, f"https://{NAME}/terms?x=1")
    assert "Strict-Transport-Security" not in said and said["Server"] == "nginx"
    status, said, page = site.get("/login")
    assert status == 200 and "<h1" in page
    assert said["Strict-Transport-Security"] and "Secure" in said["Set-Cookie"]
    assert re.fullmatch("[0-9a-f]{32}", said["X-Request-ID"])
    style = re.findall(r'href="(/assets/[^"]+\.css)"', page)
    assert site.get(style[0])[0] == 200
    for path in ("/login", style[0], f"/r/{site.code}", "/api/v1/referrals", "/nothing"):
        _, said, _ = site.get(path)
        wanted = dict(headers.for_answers(secure=True))
        assert {name: said.get_all(name) for name in wanted} == {name: [value] for name, value in wanted.items()}
        assert len(said.get_all("Cache-Control", [])) <= 1 and "Retry-After" not in said


def test_a_program_that_comes_without_https_is_refused_and_not_led_on(site: Site) -> None:
    """OWASP ASVS 5.0, 4.1.2: or it would send its key in the open for ever, and nobody would notice."""
    for method, path in (
        ("POST", "/api/v1/conversions"),
        ("GET", "/api/v1/referrals"),
        ("GET", "/API/v1"),
        ("GET", "/metrics"),
    ):
        status, said, text = site.by_http(path, method=method, body=b"{}", Authorization="Bearer a-key-in-the-open")
        assert (status, said["Location"]) == (403, None), path
        assert said["Content-Type"] == "application/problem+json" and said["Cache-Control"] == "no-store"
        assert json.loads(text)["status"] == 403 and "Use https" in json.loads(text)["detail"]
    assert site.by_http("/apiary")[0] == 301
    assert site.get("/api/v1/referrals")[0] == 401


def is_of_nginx(said: http.client.HTTPMessage) -> bool:
    """Whether an answer carries what nginx's own ones do, each once."""
    return {name: said.get_all(name) for name in OF_NGINX} == {name: [value] for name, value in OF_NGINX.items()}


def test_what_a_client_claims_about_itself_does_not_get_through(site: Site) -> None:
    status, said, _ = site.get(
        f"/r/{site.code}", X_Forwarded_For="203.0.113.9", X_Forwarded_Host="evil.example",
        X_Forwarded_Proto="http", X_Request_ID="claimed-by-a-client",
    )  # fmt: skip
    assert (status, said["Location"]) == (302, f"/signup?ref={site.code}")
    assert said["X-Request-ID"] != "claimed-by-a-client"
    app = create_app(Settings.from_env(site.portal.environ))
    with app.app_context():
        assert set(session.scalars(select(Click.network))) == {network("127.0.0.1")}
        close(app)
    assert site.get("/", Host="evil.example")[0] in (400, 421)


def test_what_is_for_who_runs_the_portal_is_not_there_from_outside(site: Site) -> None:
    assert [site.get(path)[0] for path in ("/metrics", "/readyz", "/healthz")] == [404, 404, 200]
    too_large = site.get("/login", method="POST", body=b"a" * (6 << 20))
    assert too_large[0] == 413
    assert site.get("/login", method="POST", body=b"a" * (3 << 20))[0] == 413, "by the portal: a file may be as large"
    for _, said, _ in (site.get("/metrics"), site.get("/readyz"), too_large):
        assert is_of_nginx(said) and said["Server"] == "nginx" and "Retry-After" not in said


def test_it_is_reached_by_both_kinds_of_addresses(site: Site) -> None:
    if not nginx.six():
        missing("this machine has no IPv6")
    with site.front.connect("::1") as client:
        client.sendall(f"GET /healthz HTTP/1.1\r\nHost: {NAME}:{site.front.tls}\r\nConnection: close\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_nginx_notes_no_code_and_no_address(site: Site, tmp_path: Path) -> None:
    site.get(f"/r/{site.code}?q=bob@example.com")
    site.get("/nothing/secret-of-somebody")
    noted = "".join(path.read_text() for path in (site.portal.folder / "nginx").glob("*.log"))
    assert site.code not in noted and "bob@" not in noted and "secret-of-somebody" not in noted


def test_while_two_hundred_slow_clients_hang_on_pages_are_answered(site: Site) -> None:
    """How quickly: tests/bench/slow_clients.py."""
    with slow_clients(site.front, 200) as slow:
        answers = [site.get(path)[0] for _ in range(10) for path in ("/login", "/terms", "/healthz")]
        assert set(answers) == {200}
        for client in slow:
            client.settimeout(0)
            with pytest.raises((BlockingIOError, OSError)):  # nothing came back: they are still being waited for
                client.recv(1)


def test_without_the_portal_there_is_a_plain_page_and_then_it_is_back(site: Site) -> None:
    site.portal.stop()
    status, said, page = site.get("/login")
    assert (status, said["Retry-After"]) == (503, "10") and "right back" in page
    assert is_of_nginx(said) and said["Content-Type"] == "text/plain; charset=utf-8"
    status, said, text = site.get("/api/v1/conversions", method="POST", body=b"{}")
    assert (status, said["Retry-After"]) == (503, "10") and is_of_nginx(said)
    assert said["Content-Type"] == "application/problem+json" and json.loads(text)["status"] == 503
    site.portal.start()
    assert site.get("/login")[0] == 200
