"""No address that somebody else made up leads out of the portal: sixty of them, at every place that leads on."""

import re
from urllib.parse import quote, urlsplit

import pytest

from portal.core.database import writing
from portal.sharing import links
from portal.sharing.links import DestinationRefused
from tests.factories import PASSWORD
from tests.web.client import HTTP, Tab

EVIL = [
    "https://evil.example", "http://evil.example/", "//evil.example", "///evil.example", "////evil.example",
    "/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\\/evil.example", "/\\\\evil.example", "\\evil.example",
    "/\t/evil.example", "\t//evil.example", "//\tevil.example", "/\n/evil.example", "\n//evil.example",
    "/\r/evil.example", "/\r\n/evil.example", " //evil.example", "  https://evil.example", "\x00//evil.example",
    "/\x00/evil.example", "\x0b//evil.example", "\x1f//evil.example", "\u00a0//evil.example", "\u2028//evil.example",
    "\ufeff//evil.example", "https:evil.example", "https:/evil.example", "https:///evil.example", "http:\\\\evil.example",
    "HtTpS://evil.example", "https://127.0.0.1:8000@evil.example", "https://evil.example@127.0.0.1:8000",
    "http://127.0.0.1:8000.evil.example", "http://127.0.0.1:8001/", "//127.0.0.1:8000@evil.example",
    "http://127.0.0.1:8000\\@evil.example", "//evil.example\\@127.0.0.1:8000", "javascript:alert(1)",
    "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x",
    "file:///etc/passwd", "mailto:a@evil.example", "//evil%E3%80%82example", "//evil。example", "//ⓔvil.example",
    "/%2f%2fevil.example", "%2f%2fevil.example", "/%5cevil.example", "/%09/evil.example", "/.//evil.example",
    "/..//evil.example", "/./\\evil.example", "//;@evil.example", "//[::1]", "//[", "https://[::1", "//%00evil.example",
    "/dashboard\r\nSet-Cookie: a=b", "/dashboard\nLocation: //evil.example", "?next=//evil.example", "#//evil.example",
    "/r/" + "x" * 3000, "", " ", ".", "..", "null", "/logout", "/theme", "/account/name",
]  # fmt: skip

OUR_PAGES = re.compile(r"/(home|dashboard|login|signup|terms|r/x+)?")


def leaves(location: str, base: str = HTTP) -> bool:
    """Whether a browser would leave the portal (URL Standard: controls and spaces go, a backslash is a slash)."""
    cleaned = re.sub(r"[\t\n\r]", "", location.strip("".join(map(chr, range(33))))).replace("\\", "/")
    if cleaned.startswith("//") or re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", cleaned):
        return not cleaned.startswith(f"{base}/") and cleaned != base
    return False


def test_the_measure_knows_a_way_out_when_it_sees_one():
    out = ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", " //evil.example", "x:y"]
    assert all(leaves(address) for address in out)
    assert not any(leaves(address) for address in ("/", "/dashboard?x=//evil.example", "", "?a", f"{HTTP}/terms"))
    assert len(set(EVIL)) >= 60


def stays_in(page):
    """Whether an answer sets nothing that was smuggled in and leads to a page of ours."""
    assert not leaves(page.location), page.location
    assert not page.location or OUR_PAGES.fullmatch(urlsplit(page.location).path), page.location
    assert "a=b" not in str(page.headers.getlist("Set-Cookie"))
    return True


@pytest.mark.case(8)
def test_signing_in_leads_in(app, scene, tab_of, each):
    alice, fields = tab_of(scene.alice), {"email": scene.alice.email, "password": PASSWORD}
    for tried in each(EVIL, but=["sign_ins"]):
        with tried as address:
            tab, said = Tab(app), quote(address.encode("utf-8", "surrogatepass"), safe="")
            assert stays_in(tab.get(f"/login?next={said}"))
            assert stays_in(alice.get(f"/login?next={said}"))
            token = tab.token()
            answer = tab.post(f"/login?next={said}", fields | {"csrf_token": token, "next": address})
            assert answer.status in (302, 400) and stays_in(answer)


@pytest.mark.case(8)
def test_the_theme_leads_back_to_a_page_of_ours(tab, each):
    token = tab.token()
    for tried in each(EVIL):
        with tried as address:
            page = tab.post("/theme", {"csrf_token": token, "theme": "dark", "next": address})
            assert page.status == 302 and stays_in(page)
    assert tab.post("/theme", {"theme": "dark", "next": "/terms?a=b"}).location == "/terms?a=b"


@pytest.mark.case(8)
def test_a_link_leads_where_its_owner_said_and_nowhere_else(scene, tab, each):
    code = scene.code(scene.alice)
    for tried in each(EVIL, but=["clicks"]):
        with tried as address:
            said = quote(address.encode("utf-8", "surrogatepass"), safe="")
            if "\x00" in address:
                assert tab.get(f"/signup?ref={code}&next={said}").status == 400
            else:
                page = tab.get(f"/r/{code}?target={said}&next={said}&url={said}&to={said}&destination={said}")
                assert page.location == f"/signup?ref={code}"
                page = tab.get(f"/signup?ref={code}&next={said}&target={said}")
                assert page.status == 200 and not any("evil" in one.get("href") for one in page.tree.all("a"))


def test_a_link_of_the_shop_keeps_its_own_query_and_fragment(scene, tab):
    alice = scene.alice.id
    with writing():
        link = links.make(
            alice, at=scene.at, destination="https://shop.example/new?a=1&b=#top", allowed=frozenset({"shop.example"})
        )
        code = links.current_code(link.id)
    page = tab.get(f"/r/{code}?target=//evil.example")
    assert page.location == f"https://shop.example/new?a=1&b=&ref={code}#top"


def test_a_link_leads_to_no_place_that_is_not_allowed(scene, subtests):
    alice = scene.alice.id
    for address in (
        *EVIL,
        "https://shop.example.evil.example/",
        "https://evil.example#shop.example",
        "ftp://shop.example",
    ):
        if not address:
            continue
        with subtests.test(address), pytest.raises(DestinationRefused), writing():
            links.make(alice, at=scene.at, destination=address, allowed=frozenset({"shop.example"}))


def test_the_page_that_was_wanted_is_one_of_ours(app, scene, each):
    """What is remembered for after the sign-in comes from the address alone, and is looked at again."""
    email = scene.alice.email
    for tried in each(
        ["//evil.example/..%2f..%2fdashboard", "/dashboard?next=//evil.example", "/friends/%0d%0aa:b"], but=["sign_ins"]
    ):
        with tried as address:
            tab = Tab(app)
            tab.get(address)
            answer = tab.submit(tab.get("/login").form("/login"), email=email, password=PASSWORD)
            assert answer.status in (200, 404) and not leaves(answer.path)
