"""Fields as nobody should fill them in: an error at the field with what was typed kept, and never a broken page."""

import io
from urllib.parse import urlencode

import pytest

from tests.factories import PASSWORD
from tests.web.client import Tab
from tests.web.routes import ACT, furnish
from tests.web.tables import Unchanged

BAD = {
    "a NUL": b"a\x00b",
    "half a letter": b"a\xed\xa0\x80b",
    "no UTF-8": b"\xff\xfe\xfa",
    "100,000 letters": b"x" * 100_000,
    "300 letters": b"x" * 300,
    "nothing": b"",
    "only spaces": b"   ",
    "invisible": "\u202e\ufeff\u200b".encode(),
    "markup": b"<script>alert(1)</script>\"'",
    "a template": b"{{ 7 * 7 }}%(x)s",
    "a list": [b"1", b"2"],
    "a minus": b"-1",
    "a fraction": b"1.5",
    "digits without end": b"9" * 400,
    "other digits": "١٢".encode(),
    "a line end": b"a\r\nBcc: b@example.com",
}
"""Put into each field of each form in turn. (A field that was left out comes besides.)"""


@pytest.mark.on_postgresql
def test_no_field_of_any_form_breaks_a_page_whatever_is_in_it(app, scene, tab_of, subtests):
    """On PostgreSQL, which is the stricter of the two: it keeps no NUL and nothing longer than its column."""
    things = furnish(scene)
    owner, alice, tab = tab_of(things.person("owner")), tab_of(things.person("referrer")), Tab(app)
    tokens = {id(one): one.token() for one in (owner, alice, tab)}
    for endpoint, (needs, address, form) in ACT.items():
        actor = {"self": alice, "anyone": tab}.get(needs, owner)
        path, usual = things.fill(address), things.fill(form)
        if needs == "key" or endpoint == "security.logout":
            continue
        for name in usual:
            for what, bad in (BAD | {"left out": None}).items():
                with subtests.test(f"{endpoint} {name}: {what}"):
                    fields = {key: value for key, value in usual.items() if key != name}
                    fields |= {"csrf_token": tokens[id(actor)]} | ({} if bad is None else {name: bad})
                    page = sent(actor, path, urlencode(fields, doseq=True))
                    assert page.status in (200, 302, 400, 404, 409, 410, 422), page
                    assert not page.is_html or "<script>alert" not in page.html


def sent(actor, path, body):
    return actor.open(
        path, method="POST", data=body, content_type="application/x-www-form-urlencoded", headers=actor.from_here()
    )


def test_a_file_in_place_of_any_text_breaks_nothing(app, things, tab_of, subtests):
    owner, alice, tab = tab_of(things.person("owner")), tab_of(things.person("referrer")), Tab(app)
    tokens = {id(one): one.token() for one in (owner, alice, tab)}
    for endpoint, (needs, address, form) in ACT.items():
        actor = {"self": alice, "anyone": tab}.get(needs, owner)
        for name in form if needs != "key" else ():
            with subtests.test(f"{endpoint} {name}"):
                fields = things.fill(form) | {"csrf_token": tokens[id(actor)], name: (io.BytesIO(b"x" * 100), "x.txt")}
                page = actor.open(
                    things.fill(address), method="POST", data=fields, content_type="multipart/form-data",
                    headers=actor.from_here(),
                )  # fmt: skip
                assert page.status in (200, 302, 400, 409, 410, 422), page


# --- kept, and told at the field ------------------------------------------------------------------------------

SIGN_UP = {"email": "bob@example.com", "password": PASSWORD, "name": "Bob", "terms": "y"}
WRONG = [
    ("email", ["", "bob", "bob@", "a@b@c", "bob@example", "x" * 300 + "@example.com", "a\x00@example.com", "bob @example.com"]),
    ("password", ["", "short", "elevenchars", "x" * 129]),
    ("name", ["x" * 81, "Bo\x00b"]),
    ("code", ["nobody-has-it", "x" * 101, "a\x00b"]),
    ("terms", [None]),
]  # fmt: skip


@pytest.mark.case(21)
def test_a_wrong_field_of_the_sign_up_is_told_there_and_the_rest_is_kept(scene, tab, each):
    form = tab.get("/signup").form("/signup")
    for tried in each([(name, value) for name, values in WRONG for value in values]):
        with tried as (name, value):
            page = tab.submit(form, **SIGN_UP | {name: value})
            assert page.status == 422 and page.error(name)
            wrong = [one.get("name") for one in page.tree.all("input") if one.get("aria-invalid") == "true"]
            assert wrong == [name]
            kept = {field: page.kept(field) for field in ("email", "name", "code") if field != name}
            assert kept == {field: [SIGN_UP.get(field, "")] for field in kept}
            if value and name != "password" and "\x00" not in value:
                assert page.kept(name) == [value]
            assert page.kept("password") == [""], "a password is never sent back"


AMOUNTS = ["1_000", "NaN", "-5", "1,50", "9" * 30, "12.345", "1e3", "١٢٣", "1.000,00", "€ 5", ".5", "5.", "0x10", "inf"]


@pytest.mark.case(60, 75)
def test_an_amount_that_cannot_be_read_is_told_at_its_field_and_publishes_nothing(things, tab_of, each):
    owner = tab_of(things.person("owner"))
    forms = {
        "/admin/program$": ["minimum_payout", "auto_approve_below", "second_person_above", "budget_month"],
        "/admin/program/rules$": ["amount", "minimum_order"],
    }
    page = owner.get("/admin/program")
    found = {action: page.form(action) for action in forms}
    for tried in each(
        [(action, name, amount) for action, names in forms.items() for name in names for amount in AMOUNTS]
    ):
        with tried as (action, name, amount):
            owner.page = page
            fields = {"amount": "5.00", "kind": "fixed"} if "rules" in action else {}
            page_ = owner.submit_with(found[action], fields | {name: amount})
            assert page_.status == 422 and page_.error(name), page_
            assert amount in page_.kept(name)


@pytest.mark.case(75)
def test_a_share_above_100_per_cent_or_that_is_none_is_told_at_its_field(things, tab_of, each):
    owner = tab_of(things.person("owner"))
    form = owner.get("/admin/program").form("/admin/program/rules$")
    for tried in each(["100.01", "101", "1000", "0", "-1", "NaN", "1_0", "2,5", "1.555", "", "ten", "1e1"]):
        with tried as share:
            page = owner.submit(form, kind="share", share=share, goal="purchase")
            assert page.status == 422 and page.error("share")
    assert owner.submit(form, kind="share", share="100", goal="purchase").path == "/admin/program"


SET_UP = {
    "currency": ["", "EURO", "XYZ", "E", "12"], "time_zone": ["", "Mars/Olympus", "../../etc/passwd", "x" * 200],
    "hold_days": ["", "-1", "366", "1.5", "x"], "referee_amount": AMOUNTS, "program_name": ["", "x" * 81],
    "email": ["boss"], "password": ["short"],
}  # fmt: skip


def test_a_wrong_field_of_the_set_up_is_told_there_and_the_link_stays_good(things, tab, each):
    path = things.fill("/setup/{set_up}")
    usual = ACT["public.set_up_done"][2]
    form = tab.get(path).form()
    for tried in each([(name, value) for name, values in SET_UP.items() for value in values]):
        with tried as (name, value):
            page = tab.submit_with(form, usual | {name: value})
            assert page.status == 422 and page.error(name)
            assert page.kept("program_name") == [usual["program_name"] if name != "program_name" else value]
    assert tab.submit_with(form, usual).path == "/admin"


ABOUT_ONESELF = [
    ("/account", "/account/code", "code", ["", "ab", "x" * 33, "admin", "login", "static", "a b", "ä", "-a-", "a_b", "a\x00b", "a/b"]),
    ("/account", "/account/name", "name", ["x" * 81, "a\x00b"]),
    ("/payouts", "/payouts/method", "iban", ["", "DE00", "DE89370400440532013001", "x" * 51, "GB82 WEST 1234", "١٢"]),
]  # fmt: skip


@pytest.mark.case(31)
def test_a_wrong_word_about_oneself_is_told_at_its_field(things, tab_of, each):
    alice = tab_of(things.person("referrer"))
    fields = {"iban": {"kind": "bank", "holder": "Alice"}}
    for tried in each([(*where, value) for *where, values in ABOUT_ONESELF for value in values]):
        with tried as (path, action, name, value):
            page = alice.submit_with(alice.get(path).form(f"{action}$"), fields.get(name, {}) | {name: value})
            assert page.status == 422 and page.error(name)
            assert "\x00" in value or value in page.kept(name)


def test_a_code_that_somebody_has_or_had_is_taken(scene, tab_of, each):
    alice, carol = tab_of(scene.alice), tab_of(scene.carol)
    first = scene.code(scene.alice)
    alice.press("/account", "/account/code", code="Alice-1")
    alice.press("/account", "/account/code", code="alice-2")
    for tried in each([first, first.upper(), "alice-1", "ALICE-2", "alice-2"]):
        with tried as code:
            page = carol.press("/account", "/account/code", code=code)
            assert page.status == 422 and "taken" in page.error("code")
    assert alice.get(f"/r/{first}").status == alice.get("/r/ALICE-1").status == 302


@pytest.mark.case(78)
def test_a_rejection_without_a_word_for_the_referrer_is_refused(things, tab_of):
    rita = tab_of(things.person("reviewer"))
    with Unchanged():
        for told in ("", "   ", "x" * 501, "a\x00b"):
            page = rita.press("/admin/rewards", things.fill("{pending}/rejection"), reason="duplicate", told=told)
            assert page.path == "/admin/rewards" and page.tree.all("main")
            assert any(word in page.main for word in ("Write what the referrer", "500 characters", "cannot be kept"))


def test_a_suspension_or_an_undo_without_a_reason_is_refused(things, tab_of):
    owner = tab_of(things.person("owner"))
    token = owner.token()
    with Unchanged():
        for address in (
            "/admin/people/{bob}/suspension",
            "/admin/people/{suspended}/readmission",
            "/admin/rewards/{approved}/undo",
        ):
            page = owner.post(things.fill(address), {"csrf_token": token, "note": "  "}, follow=True)
            assert "Write why" in page.main
