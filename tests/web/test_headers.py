"""The headers that keep a page safe, on every kind of answer; and what the cookies carry, over http and https."""

import dataclasses
import re

import pytest
import sqlalchemy as sa

from portal.core.database import session, writing
from portal.web.headers import POLICY, for_answers
from tests.web import observatory
from tests.web.client import HTTP, HTTPS, Tab
from tests.web.keys import Shop

WANTED = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

DIRECTIVE = "(no-store|private|public|immutable|max-age=[0-9]+)"
"""What `Cache-Control` may be made of (RFC 9111, 5.2.2)."""


pytestmark = pytest.mark.own_app  # it is given a page that breaks


@pytest.fixture(params=[HTTP, HTTPS], ids=["http", "https"])
def settings(settings, request):
    """A portal reached over http, and one over https."""
    return dataclasses.replace(settings, base_url=request.param)


@pytest.fixture
def app(app):
    """The application, with a page that breaks."""
    app.add_url_rule("/breaks", "breaks", lambda: 1 // 0)
    return app


@pytest.mark.wrecks_the_books
def test_every_kind_of_answer_carries_them(app, scene, tab, tab_of, subtests):
    alice, mallory, shop = tab_of(scene.alice), Tab(app), Shop(app)
    code, token = scene.code(scene.alice), tab.token()
    mallory.may_break = True
    answers = {
        "a page": tab.get("/"),
        "signing in": tab.get("/login"),
        "the door": tab.get(f"/r/{code}"),
        "a redirect": tab.get("/dashboard"),
        "a page of one's own": alice.get("/dashboard"),
        "not found": tab.get("/nothing"),
        "a wrong code": tab.get("/r/nobody-has-this"),
        "forbidden": alice.get("/admin"),
        "unreadable": tab.get("/privacy?%00"),
        "without a token": tab.post("/theme", token=False),
        "the wrong way": tab.post("/privacy", {"csrf_token": token}),
        "too big": tab.open("/reset", method="POST", data=b"a" * (2 << 20), headers=tab.from_here()),
        "a wrong field": tab.post("/reset", {"csrf_token": token, "email": "x"}),
        "broken": mallory.get("/breaks"),
        "another host": mallory.open("/", headers={"Host": "evil.example"}),
        "an asset": tab.get("/assets/any/portal.css"),
        "no asset": tab.get("/assets/any/nothing"),
        "text": tab.get("/robots.txt"),
        "JSON": tab.get("/healthz"),
        "a picture": alice.get(f"/links/{code}/qr.png"),
        "options": tab.open("/privacy", method="OPTIONS"),
        "a head": tab.head("/"),
    }
    api = {
        "the API": shop.get("rewards"),
        "no key": Shop(app, secret="").get("rewards"),
        "a problem": shop.customer("", ""),
    }
    database_gone()
    answers["the database away"] = mallory.get("/signup")
    statuses = {answer.status for answer in answers.values()} | {answer.status_code for answer in api.values()}
    assert statuses >= {200, 302, 400, 401, 403, 404, 405, 413, 422, 500, 503}
    secure = app.extensions["settings"].secure
    for kind, answer in (answers | api).items() if secure else ():
        with subtests.test(f"the Observatory: {kind}"):
            told, gave = observatory.score(by_name(answer), html_of(answer))
            assert told >= 130, gave
    for kind, answer in (answers | api).items():
        with subtests.test(kind):
            headers = answer.headers
            assert {name: headers.get(name) for name in WANTED} == WANTED
            assert all(len(headers.getlist(name)) == 1 for name in WANTED)
            assert ("Strict-Transport-Security" in headers) == secure
            assert re.fullmatch(f"{DIRECTIVE}(, {DIRECTIVE})*", headers["Cache-Control"])
            assert "Server" not in headers or "Werkzeug" in headers["Server"]


def by_name(answer):
    return {name.lower(): answer.headers.getlist(name) for name in answer.headers.keys()}  # noqa: SIM118 - not a dict


def html_of(answer):
    if not answer.headers.get("Content-Type", "").startswith("text/html"):
        return ""
    return answer.html if hasattr(answer, "html") else answer.get_data(as_text=True)


def test_the_measure_of_the_observatory_tells_good_from_bad():
    """Each header missing or loose costs what the published table says."""
    headers = {name.lower(): [said] for name, said in for_answers(secure=True)}
    headers["set-cookie"] = ["__Host-session=x; Secure; HttpOnly; Path=/; SameSite=Lax"]
    html = '<script type="module" src="/assets/x/js/menu.js"></script>'
    assert observatory.score(headers, html)[0] == 135
    assert observatory.score({name: said for name, said in headers.items() if name != "set-cookie"}, html)[0] == 130
    for name, said, wanted in (
        ("content-security-policy", None, 75), ("content-security-policy", ["default-src 'self'"], 125),
        ("content-security-policy", ["script-src 'unsafe-inline'"], 80), ("strict-transport-security", None, 80),
        ("strict-transport-security", ["max-age=60"], 125), ("referrer-policy", ["unsafe-url"], 125),
        ("cross-origin-resource-policy", None, 125), ("x-content-type-options", None, 130),
        ("access-control-allow-origin", ["*"], 50), ("set-cookie", ["session=x; HttpOnly"], 60),
    ):  # fmt: skip
        changed = {key: value for key, value in (headers | {name: said}).items() if value}
        assert observatory.score(changed, html)[0] == wanted, (name, said)
    assert observatory.score(headers, '<script src="https://evil.example/x.js"></script>')[0] == 50


def database_gone():
    """Takes a table away under the running portal."""
    with writing():
        session.execute(sa.text("ALTER TABLE terms RENAME TO gone"))


def test_the_policy_allows_no_script_or_style_but_our_own_files():
    rules = dict(part.strip().split(" ", 1) for part in POLICY.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == rules["object-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["form-action"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in POLICY and "*" not in POLICY and "http" not in POLICY


def test_pages_are_kept_by_no_cache_and_assets_for_ever(app, scene, tab, tab_of):
    alice = tab_of(scene.alice)
    for page in (
        tab.get("/login"),
        tab.get("/signup"),
        alice.get("/dashboard"),
        alice.get("/account"),
        tab.get("/nothing"),
    ):
        assert page.headers["Cache-Control"] in ("no-store", "private, no-store"), page
    sheet = next(one.get("href") for one in tab.get("/").tree.all("link") if one.get("rel") == "stylesheet")
    assert tab.get(sheet).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert not tab.get(sheet).headers.getlist("Set-Cookie")


def test_cookies_are_bound_to_this_host_and_out_of_scripts_reach(app, scene, tab):
    email, secure = scene.alice.email, app.extensions["settings"].secure
    set_by = [
        *tab.get(f"/r/{scene.code(scene.alice)}").headers.getlist("Set-Cookie"),
        *tab.try_to_sign_in(email, follow=False).headers.getlist("Set-Cookie"),
    ]
    names = {cookie.split("=")[0] for cookie in set_by}
    assert names == ({"__Host-session", "__Host-visitor"} if secure else {"session", "visitor"})
    for cookie in set_by:
        parts = [part.strip().lower() for part in cookie.split(";")[1:]]
        assert {"httponly", "samesite=lax", "path=/"} <= set(parts)
        assert ("secure" in parts) == secure
        assert not any(part.startswith("domain") for part in parts)
    theme = tab.post("/theme", {"theme": "dark"}).headers.getlist("Set-Cookie")
    language = tab.post("/language", {"language": "de"}).headers.getlist("Set-Cookie")
    for name, answered in (("theme", theme), ("language", language)):
        (cookie,) = [one.lower() for one in answered if name in one.split("=")[0]]
        assert cookie.startswith(f"__host-{name}=" if secure else f"{name}=")
        assert "domain" not in cookie and "samesite=lax" in cookie and "path=/" in cookie and "httponly" in cookie
        assert ("; secure" in cookie) == secure


def test_who_has_been_seen_nowhere_gets_no_cookie_by_reading(tab, scene):
    for path in ("/", "/terms", "/healthz", "/robots.txt", "/nothing"):
        kept = [cookie for cookie in tab.get(path).headers.getlist("Set-Cookie") if "visitor" in cookie]
        assert not kept
