"""Clicks and visitors: who counts as a person, what counts as one visit, and whose cookie is believed."""

import pytest
import sqlalchemy as sa

from portal.core import database
from portal.core.database import session
from portal.sharing import clicks, visitors
from portal.sharing.clicks import Click
from portal.sharing.visitors import Visitors
from tests.factories import Scene

OURS, THEIRS = "the secret key of this portal, long enough", "another portal's key, just as long"
VISITOR = "the-visitor-in-testsA"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def counted() -> int:
    session.rollback()
    return session.scalar(sa.select(sa.func.count()).select_from(Click)) or 0


@pytest.mark.case(2)
@pytest.mark.both_databases
def test_a_visitor_is_counted_once_a_link_and_hour(scene: Scene) -> None:
    for _ in range(5):
        scene.click(scene.alice, VISITOR)
        scene.later(minutes=10)
    assert counted() == 1
    touch = clicks.touches(VISITOR, until=scene.at)[0]
    assert (touch.last_at - touch.at).total_seconds() == 40 * 60, "the touch knows its latest visit"

    scene.later(minutes=30)
    scene.click(scene.alice, VISITOR)
    scene.click(scene.carol, VISITOR)
    scene.click(scene.alice, "some-other-visitor-B", new=True)
    assert counted() == 4


def test_an_hour_is_an_hour_and_not_the_clocks(scene: Scene) -> None:
    scene.later(minutes=59)
    scene.click(scene.alice, VISITOR)
    scene.later(minutes=2)
    scene.click(scene.alice, VISITOR)
    assert counted() == 1


@pytest.mark.both_databases
def test_a_click_is_committed_when_following_returns(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    session.rollback()
    assert counted() == 1


def test_a_visitor_issued_for_this_visit_is_not_looked_up(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR, new=True)
    scene.click(scene.alice, VISITOR, new=True)
    assert counted() == 1, "the same visitor in the same hour all the same"


def test_the_owners_own_visit_is_not_counted(scene: Scene) -> None:
    from portal import program
    from portal.accounts.users import Surroundings

    code, owner = scene.code(scene.alice), scene.alice.id
    session.rollback()
    found = program.follow(code, Surroundings(VISITOR), new=True, on=database.quick(), at=scene.at, by=owner)
    assert found is not None and counted() == 0


@pytest.mark.case(7, 11)
def test_a_link_that_credits_nobody_opens_and_is_not_counted(scene: Scene) -> None:
    code = scene.code(scene.mallory)
    scene.suspend(scene.mallory)
    assert scene.click(code, VISITOR) is not None
    assert counted() == 0


# --- people and robots ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "description",
    [
        FIREFOX,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
        "Safari/537.36 Edg/126.0.0.0",
        "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 "
        "Chrome/121.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Mobile/15E148 Instagram 335.1.8.26.85",
    ],
)
def test_a_person_is_a_person(description: str) -> None:
    assert clicks.is_person(
        "GET", {"user-agent": description, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    )
    assert clicks.is_person("GET", {"user-agent": description}), "older browsers send no Sec-Fetch headers"


@pytest.mark.case(4)
@pytest.mark.parametrize(
    "description",
    [
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "Twitterbot/1.0",
        "WhatsApp/2.23.20.0",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "TelegramBot (like TwitterBot)",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) ms-office; MSOffice 16",
        "BarracudaCentral URL checker",
        "curl/8.5.0",
        "python-requests/2.32",
        "",
        "   ",
    ],
)
def test_previews_scanners_and_crawlers_are_no_people(description: str) -> None:
    assert not clicks.is_person("GET", {"user-agent": description})


@pytest.mark.case(5)
@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("HEAD", {}),
        ("POST", {}),
        ("OPTIONS", {}),
        ("GET", {"purpose": "prefetch"}),
        ("GET", {"sec-purpose": "prefetch;prerender"}),
        ("GET", {"x-moz": "prefetch"}),
        ("GET", {"purpose": "preview"}),
        ("GET", {"sec-fetch-dest": "image", "sec-fetch-mode": "no-cors"}),
        ("GET", {"sec-fetch-mode": "cors"}),
        ("GET", {"sec-fetch-dest": "iframe"}),
    ],
)
def test_what_no_person_asked_for_is_no_visit(method: str, more: dict[str, str]) -> None:
    assert not clicks.is_person(method, {"user-agent": FIREFOX} | more)


# --- visitors -------------------------------------------------------------------------------------------------


def test_a_visitor_is_read_back_from_the_cookie_we_signed() -> None:
    ours = Visitors(OURS)
    visitor = ours.issue()
    assert ours.read(ours.signed(visitor)) == visitor
    assert len({ours.issue() for _ in range(1000)}) == 1000


def test_a_forged_visitor_is_nobody() -> None:
    ours, theirs = (
        Visitors(OURS),
        Visitors("another portal's key, just as long...."),
    )
    visitor = ours.issue()
    signed = ours.signed(visitor)
    forged = [
        "",
        ".",
        visitor,
        f"{visitor}.",
        f"{visitor}.{'0' * 32}",
        theirs.signed(visitor),
        signed[:-1],
        signed + "0",
        signed.upper(),
        ("y" if signed[0] == "x" else "x") + signed[1:],
        signed.replace(".", ".."),
        f"{visitor}.ü",
        f"{visitor}é.{signed.partition('.')[2]}",
        "\x00" * 20 + "." + "0" * 32,
        "x" * 100_000,
        ours.signed(""),
        ours.signed("x" * 21),
    ]
    assert [cookie for cookie in forged if ours.read(cookie) is not None] == []


@pytest.mark.case(13)
@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("127.0.0.1", "127.0.0.0/24"),
        ("fe80::1%eth0", None),
        ("999.1.1.1", None),
        ("nonsense", None),
        ("", None),
        (None, None),
    ],
)
def test_of_an_address_only_the_network_is_kept(address: str | None, masked: str | None) -> None:
    found = visitors.network(address)
    assert found == masked or (address == "fe80::1%eth0" and found is not None and "%" not in found)


def test_a_browser_is_kept_as_a_short_hash_that_another_key_does_not_give() -> None:
    one, other = (
        Visitors(OURS),
        Visitors("another portal's key, just as long...."),
    )
    assert one.browser(FIREFOX) == one.browser(FIREFOX) != other.browser(FIREFOX)
    assert len(one.browser(FIREFOX)) == 16 and "Mozilla" not in one.browser(FIREFOX)


def test_not_this_person_unties_a_visitors_touches_and_keeps_the_clicks(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    scene.do(lambda: clicks.forget(VISITOR))
    assert clicks.touches(VISITOR, until=scene.at) == [] and counted() == 1
    assert scene.referral(scene.sign_up("Bob", visitor=VISITOR)) is None
