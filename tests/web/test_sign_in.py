"""Signing in and out over HTTP: a sign-in is a row, and counts only while it lives."""

import unicodedata

import pytest
import sqlalchemy as sa

from portal import program
from portal.accounts import roles, users
from portal.accounts.roles import Role
from portal.accounts.sign_ins import SignIn
from portal.accounts.users import User
from portal.core.database import session, writing
from tests.factories import PASSWORD
from tests.web.client import Tab
from tests.web.tables import SEEN, Unchanged

WRONG = "That e-mail and password do not match."


def sign_ins(user):
    """Everything that was ever a sign-in of somebody."""
    session.rollback()
    return list(session.scalars(sa.select(SignIn).where(SignIn.user_id == user.id).order_by(SignIn.id)))


def test_alice_signs_in_and_out(scene, tab):
    page = tab.sign_in(scene.alice.email)
    assert page.path == "/dashboard"
    assert "Alice" in tab.get("/account").text
    tab.sign_out()
    assert not tab.is_signed_in()
    (row,) = sign_ins(scene.alice)
    assert row.ended_at is not None


def test_the_address_is_read_case_blind(scene, tab):
    assert scene.alice
    tab.sign_in("ALICE@Example.COM")


TRIES = [
    ("alice@example.com", "not her password"), ("nobody@example.com", PASSWORD), ("alice@example.com", ""),
    ("", PASSWORD), ("", ""), ("alice", PASSWORD), ("alice@example.com\x00", PASSWORD),
    ("alice@example.com", PASSWORD + "\x00"), ("x" * 5000, PASSWORD), ("alice@example.com", "x" * 5000),
    ("nobody@example.com", "x" * 5000), ("alice@example.com' OR 1=1 --", PASSWORD), ("alice@example.com", PASSWORD.upper()), ("ä@ö.de", "ü" * 200),
    ("c-1", PASSWORD), ("carol@example.com", PASSWORD), ("carol@example.com", ""), ("carol@example.com", "!"),
]  # fmt: skip


@pytest.mark.both_databases
def test_the_wrong_word_gets_one_answer_and_no_sign_in(scene, tab, each):
    assert scene.alice
    scene.customer("c-1", "carol@example.com")  # told by the shop: has no password
    form = tab.get("/login").form("/login")
    for tried in each(TRIES):
        with tried as (email, password):
            page = tab.submit(form, email=email, password=password)
            assert page.status in (200, 401, 422) and WRONG in page.text
            assert not tab.is_signed_in()


def test_a_sign_in_that_is_no_form_is_no_sign_in(scene, tab, each):
    email, token = scene.alice.email, tab.token()
    for tried in each([{"email": email, "password": PASSWORD}, [], "x", 5, {"email": 5, "password": 5}, {}]):
        with tried as body:
            headers = tab.from_here() | {"X-CSRFToken": token, "Accept": "application/json"}
            assert tab.open("/login?include_auth_token", method="POST", json=body, headers=headers).status == 415
            assert not tab.is_signed_in()


def test_the_answer_to_a_wrong_password_does_not_tell_whether_the_address_is_known(app, scene):
    assert scene.alice
    answers = []
    for email in ("alice@example.com", "nobody@example.com"):
        tab = Tab(app)
        page = tab.submit(tab.get("/login").form("/login"), email=email, password="not the password")
        answers.append((page.status, sorted(page.headers.keys()), page.main))
    assert answers[0] == answers[1]


@pytest.mark.case(106)
def test_who_wanted_a_page_gets_it_after_signing_in(scene, tab):
    email = scene.alice.email
    assert tab.get("/rewards?before=7").location == "/login"
    page = tab.submit(tab.get("/login").form("/login"), email=email, password=PASSWORD)
    assert page.path == "/rewards?before=7"


def test_the_password_once_more_is_asked_before_something_delicate(scene, tab):
    tab.sign_in(scene.alice.email)
    for wrong in ("", "not her password", "x" * 5000):
        page = tab.submit(tab.get("/verify").form("/verify"), password=wrong)
        assert page.status in (200, 422) and page.error("password")
    page = tab.submit(tab.get("/verify").form("/verify"), password=PASSWORD)
    assert page.path == "/account/security"


def test_a_password_of_any_letters_opens_however_the_keyboard_writes_them(scene, tab):
    together, apart = "schöne grüße für åse", unicodedata.normalize("NFD", "schöne grüße für åse")
    assert together != apart
    scene.person("Åse", email="ase@example.com", password=users.hashed(together))
    tab.sign_in("ase@example.com", apart)
    tab.sign_out()
    tab.sign_in("ase@example.com", together)


# --- what was copied ------------------------------------------------------------------------------------------


def stolen(app, tab):
    """Another tab that holds copies of the same cookies."""
    copy = Tab(app, address="203.0.113.66")
    copy.set_cookie("session", tab.cookie("session"))
    return copy


def test_a_copied_cookie_is_nobody_after_signing_out(app, scene, tab):
    tab.sign_in(scene.alice.email)
    copy, frozen = stolen(app, tab), tab.cookie("session")
    assert copy.is_signed_in()
    tab.sign_out()
    copy.set_cookie("session", frozen)
    with Unchanged():
        assert not copy.is_signed_in()
        assert copy.get("/dashboard").location == "/login"
    tab.set_cookie("session", frozen)
    assert not tab.is_signed_in()


def test_signing_out_everywhere_else_ends_the_others_and_not_oneself(app, scene, tab):
    other = Tab(app)
    for one in (tab, other):
        one.sign_in(scene.alice.email)
    tab.press("/account/security", "/account/sign-outs$")
    assert tab.is_signed_in()
    assert not other.is_signed_in()


def test_other_devices_are_signed_out_only_by_who_has_just_shown_who_they_are(app, scene, tab):
    """ASVS 7.5.2. After ten minutes the password, or a passkey, is asked for once more."""
    other = Tab(app)
    for one in (tab, other):
        one.sign_in(scene.alice.email)
    scene.later(minutes=9)
    quick = tab.get("/account/security")
    (one_of_them,) = [form for form in quick.forms if "/account/sign-outs/" in form.action]
    assert quick.has_form("/account/sign-outs$")
    scene.later(minutes=2)
    with Unchanged(*SEEN):
        for late in (quick.form("/account/sign-outs$"), one_of_them):
            page = tab.submit(late)
            assert page.path == "/verify" and "before other devices are signed out" in page.text
        assert tab.submit(page.form("/verify"), password="not her password").error("password")
        page = tab.get("/account/security")
        assert not [form for form in page.forms if "/account/sign-outs" in form.action]
        assert "Sign other devices out" in page.text
    assert other.is_signed_in()
    page = tab.submit(tab.get("/verify").form("/verify"), password=PASSWORD)
    assert page.path == "/account/security" and "Thank you. Nothing was done yet" in page.text and other.is_signed_in()
    assert "Every other device" in tab.press("/account/security", "/account/sign-outs$").text
    assert tab.is_signed_in() and not other.is_signed_in()


def test_no_token_stands_for_a_sign_in(app, scene, tab, each):
    """Flask-Security knows tokens that never end; none of them opens anything."""
    with app.test_request_context():
        lasting = User.by_id(scene.alice.id).get_auth_token()
    for tried in each(
        [
            {"headers": {"Authentication-Token": lasting}}, {"query_string": {"auth_token": lasting}},
            {"headers": {"Authorization": f"Bearer {lasting}"}}, {"json": {"auth_token": lasting}},
        ]
    ):  # fmt: skip
        with tried as given:
            assert tab.open("/account", **given).location == "/login"


def test_a_cookie_planted_before_signing_in_is_worth_nothing_after(app, scene, tab):
    mallory = Tab(app)
    mallory.get("/login")
    planted = mallory.cookie("session")
    tab.set_cookie("session", planted)
    tab.sign_in(scene.alice.email)
    assert tab.cookie("session") != planted
    assert not mallory.is_signed_in()
    mallory.set_cookie("session", planted)
    assert not mallory.is_signed_in()
    assert mallory.post("/account/name", {"name": "Mallory"}).location == "/login"


def test_a_token_of_before_the_sign_in_posts_nothing_after_it(scene, tab):
    token = tab.token()
    tab.sign_in(scene.alice.email)
    with Unchanged(*SEEN):
        assert tab.post("/account/name", {"name": "Mallory", "csrf_token": token}).status == 400


def test_a_forged_session_is_nobody(tab, each):
    for tried in each(["", "x", "a.b.c", "ü", "e30.AAAA.BBBB", ".", "x" * 3900, "null", '"']):
        with tried as cookie:
            tab.set_cookie("session", cookie)
            assert not tab.is_signed_in()


def test_a_sign_in_ends_after_a_week_without_use_and_after_a_month(app, scene, tab):
    tab.sign_in(scene.alice.email)
    for _ in range(4):
        scene.later(days=6)
        assert tab.is_signed_in()
    scene.later(days=7, minutes=1)
    assert not tab.is_signed_in()
    busy = Tab(app)
    busy.sign_in(scene.alice.email)
    for _ in range(5):
        scene.later(days=5, hours=23)
        assert busy.is_signed_in()
    scene.later(hours=6)
    assert not busy.is_signed_in()


def test_a_row_is_seen_at_most_once_a_minute(scene, tab):
    tab.sign_in(scene.alice.email)
    scene.later(seconds=30)
    with Unchanged():
        tab.get("/dashboard")
    before = sign_ins(scene.alice)[0].last_seen_at
    scene.later(seconds=31)
    tab.get("/dashboard")
    assert sign_ins(scene.alice)[0].last_seen_at > before


# --- what somebody may changes at once ------------------------------------------------------------------------


@pytest.mark.case(106)
def test_a_role_taken_away_counts_at_the_next_request(scene, tab_of):
    rita = tab_of(scene.rita)
    reward = scene.pending_reward().public_id
    assert rita.get("/admin/rewards").status == 200
    form = rita.page.form(f"{reward}/approval")
    with writing():
        roles.withdraw(scene.rita.id, Role.REVIEWER)
    with Unchanged(*SEEN):
        assert rita.submit(form).status == 403
        assert rita.get("/admin/rewards").status == 403


def test_a_role_given_counts_at_the_next_request(scene, tab_of):
    bob, olivia = tab_of(scene.bob), tab_of(scene.olivia)
    assert bob.get("/admin").status == 403
    olivia.press(f"/admin/people/{scene.bob.public_id}", "/roles$", role="viewer")
    assert bob.get("/admin").status == 200


def test_who_is_shut_out_is_signed_out_at_the_next_request_and_cannot_come_back(app, scene, tab_of):
    alice = tab_of(scene.alice)
    assert alice.is_signed_in()
    with writing():
        session.get_one(User, scene.alice.id).shut_out_at = scene.at
    assert not alice.is_signed_in()
    page = Tab(app).try_to_sign_in("alice@example.com")
    assert WRONG in page.text


@pytest.mark.case(11)
def test_who_is_suspended_may_still_sign_in_and_read_why_nothing_moves(scene, tab_of):
    alice, number, olivia = tab_of(scene.alice), scene.alice.id, scene.olivia.id
    scene.pending_reward()
    with writing():
        program.suspend(User.by_id(number), by=olivia, note="Cheats.", at=scene.at)
    for path in ("/dashboard", "/friends", "/rewards", "/payouts", "/account"):
        assert alice.get(path).status == 200
        assert "Cheats" not in alice.page.text
