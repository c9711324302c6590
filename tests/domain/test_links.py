"""Links and codes: what can be a code, whose it is for ever, and where a link may lead."""

import re

import pytest
import sqlalchemy as sa

from portal import program
from portal.accounts.users import User
from portal.core import database, text
from portal.core.database import session
from portal.sharing import links
from portal.sharing.links import Code, CodeRefused, DestinationRefused, Link
from tests.factories import Scene

SHOP = frozenset({"shop.example.com", "shop.example.com:8080"})


def take(scene: Scene, user: User, wanted: str) -> None:
    link = links.main_link(user.id)
    scene.do(lambda: links.take_code(link, wanted, at=scene.at))


# --- generated codes ------------------------------------------------------------------------------------------


@pytest.mark.case(30)
def test_generated_codes_can_be_read_aloud() -> None:
    for code in {links.generated() for _ in range(5000)}:
        assert re.fullmatch(r"[2-9a-hjkmnp-z]{9}", code), code
        assert not re.search(r"ass|sex|fag|rape|kkk|cum", code), code


@pytest.mark.case(30)
def test_a_rude_word_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["xxsexxxxx", "aa22ass22", "pleasant2"])
    monkeypatch.setattr(links, "random_code", lambda length: next(drawn))
    assert links.generated() == "pleasant2"


@pytest.mark.case(29)
@pytest.mark.both_databases
def test_a_code_that_somebody_has_is_drawn_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = scene.code(scene.alice)
    drawn = iter([taken, taken, "another29"])
    monkeypatch.setattr(links, "generated", lambda: next(drawn))
    assert scene.code(scene.carol) == "another29"
    assert scene.code(scene.alice) == taken


def test_codes_and_public_ids_do_not_repeat() -> None:
    assert len({text.public_id() for _ in range(5000)}) == 5000


# --- codes of one's own choice --------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["alice", "Alice-Smith", "abc", "a" * 32, " alice ", "123", "a-b"])
def test_an_own_code_is_shown_as_written_and_read_case_blind(scene: Scene, wanted: str) -> None:
    take(scene, scene.alice, wanted)
    assert scene.code(scene.alice) == wanted.strip()
    for written in (wanted, wanted.upper(), f" {wanted}/"):
        found = links.find(written, on=database.quick())
        assert found is not None and found.owner_id == scene.alice.id


@pytest.mark.case(31)
def test_a_word_of_the_portals_own_is_refused(scene: Scene) -> None:
    before = scene.code(scene.alice)
    for word in ("admin", "LOGIN", "Static", " signup ", "api", "www", "dashboard", "r"):
        with pytest.raises(CodeRefused):
            take(scene, scene.alice, word)
    assert scene.code(scene.alice) == before


@pytest.mark.case(10)
def test_what_is_no_code_is_refused_in_a_sentence(scene: Scene) -> None:
    cyrillic = "\N{CYRILLIC SMALL LETTER A}lice"
    wanted = [
        "",
        "ab",
        "a" * 33,
        "-ab",
        "ab-",
        "a b",
        "a_b",
        "a.b",
        "älice",
        cyrillic,
        "a/b",
        "<b>",
        "a%00b",
        "١٢٣",
        "x" * 5000,
    ]
    for code in wanted:
        with pytest.raises(CodeRefused, match="3 to 32 letters"):
            take(scene, scene.alice, code)


def test_an_old_code_goes_on_working_and_is_nobody_elses_for_ever(scene: Scene) -> None:
    first = scene.code(scene.alice)
    take(scene, scene.alice, "alice")
    scene.later(days=30)
    take(scene, scene.alice, "alice-smith")
    for code in (first, "alice", "alice-smith"):
        link = links.by_code(code)
        assert link is not None and link.owner_id == scene.alice.id
    assert scene.code(scene.alice) == "alice-smith"
    for code in (first, "ALICE", "Alice-Smith"):
        with pytest.raises(CodeRefused, match="taken"):
            take(scene, scene.carol, code)


def test_a_code_is_chosen_at_most_every_thirty_days_and_only_by_who_confirmed(scene: Scene) -> None:
    take(scene, scene.alice, "alice")
    scene.later(days=30, seconds=-1)
    with pytest.raises(CodeRefused, match="every 30 days"):
        take(scene, scene.alice, "alice-smith")
    scene.later(seconds=1)
    take(scene, scene.alice, "alice-smith")
    ula = scene.sign_up("Ula")
    with pytest.raises(CodeRefused, match="Confirm"):
        scene.do(lambda: program.choose_code(ula, links.main_link(ula.id), "ula", at=scene.at))


def test_a_link_has_one_current_code(scene: Scene) -> None:
    take(scene, scene.alice, "alice")
    link = links.main_link(scene.alice.id)
    current = sa.select(sa.func.count()).where(Code.link_id == link.id, Code.retired_at.is_(None))
    assert session.scalar(current) == 1


def test_a_code_refused_after_the_old_one_was_retired_leaves_the_old_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up saw nobody, and somebody took the code in between: the write is undone as a whole."""
    take(scene, scene.carol, "carol")
    before = scene.code(scene.alice)
    monkeypatch.setattr(links, "by_code", lambda code: None)
    with pytest.raises(CodeRefused, match="taken"):
        take(scene, scene.alice, "carol")
    assert scene.code(scene.alice) == before


# --- looked up ------------------------------------------------------------------------------------------------


@pytest.mark.case(6, 10)
@pytest.mark.both_databases
def test_an_unknown_or_impossible_code_finds_nothing(scene: Scene) -> None:
    codes = [
        "",
        " ",
        "/",
        "nobody-has-this",
        "x" * 5000,
        "\x00",
        "a\x00b",
        "ü",
        "%00",
        "' OR 1=1 --",
        "a\nb",
        "٣٣٣",
        "\ud800",
    ]
    for code in codes:
        assert links.find(code, on=database.quick()) is None, code
        assert links.by_code(code) is None, code
        assert scene.click(code, "the-visitor-in-testsA") is None, code


@pytest.mark.case(9)
def test_letter_case_spaces_and_slashes_do_not_matter(scene: Scene) -> None:
    code = scene.code(scene.alice)
    for written in (code.upper(), f" {code}", f"{code}/", f"{code.title()} /"):
        found = links.find(written, on=database.quick())
        assert found is not None and found.owner_id == scene.alice.id, written


@pytest.mark.case(11)
def test_a_link_of_somebody_suspended_opens_and_credits_nobody(scene: Scene) -> None:
    code = scene.code(scene.mallory)
    scene.suspend(scene.mallory)
    found = links.find(code, on=database.quick())
    assert found is not None and not found.credits


# --- destinations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "https://shop.example.com",
        "https://shop.example.com/sale?color=red&size=9#shoes",
        "http://shop.example.com:8080/x",
        "https://SHOP.example.com/x",
    ],
)
def test_a_link_may_lead_to_an_allowed_site_with_its_query_and_fragment(address: str) -> None:
    assert links.clean_destination(address, SHOP) == address


@pytest.mark.case(8)
@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "https://shop.example.com.evil.example",
        "https://evilshop.example.com",
        "https://shop.example.com@evil.example",
        "https://user:secret@shop.example.com",
        "https://evil.example#@shop.example.com",
        "https://evil.example?shop.example.com",
        "https://evil.example/shop.example.com",
        "https://evil.example\\@shop.example.com",
        "https:\\\\shop.example.com",
        "/\\evil.example",
        "/\t/evil.example",
        " https://shop.example.com",
        "https://shop.example.com\r\nSet-Cookie: a=b",
        "https://shop.example.com\x00.evil.example",
        "https://shop.example.com\u2028",
        "javascript:alert(1)",
        "javascript://shop.example.com/%0aalert(1)",
        "data:text/html,hi",
        "ftp://shop.example.com",
        "file:///etc/passwd",
        "https://[::1",
        "https://shop.example.com:99999999/",
        "https://ѕhop.example.com",
        "https://" + "a" * 600,
        "",
    ],
)
def test_a_link_never_leads_anywhere_else(address: str) -> None:
    with pytest.raises(DestinationRefused):
        links.clean_destination(address, SHOP)


def test_without_allowed_sites_there_is_nowhere_to_lead_to(scene: Scene) -> None:
    alice = scene.alice
    with pytest.raises(DestinationRefused):
        scene.do(lambda: links.make(alice.id, at=scene.at, destination="https://shop.example.com"))
    link = scene.do(lambda: links.make(alice.id, at=scene.at, destination="https://shop.example.com/a", allowed=SHOP))
    assert session.get_one(Link, link.id).destination == "https://shop.example.com/a"


def test_a_link_leads_to_no_other_port_and_to_no_link_of_ours() -> None:
    own = "friends.example.com:8000"
    for address in ("https://shop.example.com:9999/", "https://friends.example.com/", f"http://{own}/r/alice"):
        with pytest.raises(DestinationRefused):
            links.clean_destination(address, SHOP | {own}, own=own)
    assert links.clean_destination(f"http://{own}/help", SHOP | {own}, own=own)
    assert links.clean_destination("https://shop.example.com:443/", SHOP)
