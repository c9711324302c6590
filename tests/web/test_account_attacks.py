"""What Mallory tries on other people's accounts, and what it gets her: nothing.

Tested elsewhere: the answers to known and unknown addresses (`test_sign_in`, `test_sign_up`), how often one may guess
(`test_limits`), forged Host names and senders (`test_hosts_and_sizes`), passwords chosen for somebody else's address
(`test_sign_up`), roles taken away (`test_sign_in`), many at once (`tests/domain/races_of_people.py`).
"""

import dataclasses
import json
import re
import shutil

import pytest
import sqlalchemy as sa
from argon2 import low_level
from flask.sessions import SecureCookieSessionInterface
from passlib.totp import TOTP

from portal import create_app, program
from portal.accounts import passkeys, two_step
from portal.accounts.one_time import OneTimeKey
from portal.accounts.passkeys import Passkey, Place
from portal.accounts.roles import Role
from portal.accounts.users import User, find_by_email
from portal.core.database import metadata, session, writing
from portal.core.sealed import Box
from portal.core.text import Refusal
from portal.delivery import outbox
from portal.payouts import methods
from portal.web import access
from tests.conftest import close
from tests.factories import PASSWORD
from tests.web.client import HTTPS, Tab
from tests.web.routes import ACT, READ, of_map
from tests.web.tables import SEEN, Unchanged, changes, contents

HERS = "the password of mallory"
NEW = "quite another password"


def two_step_on(scene, person):
    """Turns two-step on for somebody; gives the app on the phone, with its first code used up."""
    number, box = person.id, Box(scene.app.extensions["settings"].details_key, "two-step")
    scene.do(lambda: two_step.begin(number, called="x", issuer="Friends", keep=box, at=scene.at))
    offered = two_step.offered(number, called="x", issuer="Friends", keep=box)
    app = TOTP(key=offered.secret.replace(" ", ""))
    first = app.generate(scene.at).token
    codes = two_step.make_codes(number)
    scene.do(lambda: two_step.turn_on(number, first, codes=codes, keep=box, at=scene.at))
    scene.later(seconds=31)
    return app


def half(scene, person):
    """A tab in which somebody has given the password and owes the code."""
    tab = Tab(scene.app)
    assert tab.try_to_sign_in(person.email).path == "/login/code"
    return tab


# --- who has an account ---------------------------------------------------------------------------------------


@pytest.fixture
def hashing(monkeypatch):
    """Counts the slow work: every argon2 that is computed."""
    done = []

    def counted(real):
        return lambda *args, **kwargs: done.append(real.__name__) or real(*args, **kwargs)

    for real in (low_level.hash_secret, low_level.verify_secret):
        monkeypatch.setattr(low_level, real.__name__, counted(real))
    return done


def shut_out(scene, person):
    number = person.id
    scene.do(lambda: setattr(session.get_one(User, number), "shut_out_at", scene.at))


SORTS = ("alice", "nobody", "ula", "carol", "mallory")
"""Known and confirmed, unknown, not confirmed, told by the shop, shut out."""

FORMS = {
    "/login": {"password": "not the password"},
    "/signup": {"password": PASSWORD, "terms": True},
    "/reset": {},
    "/confirm": {},
}


@pytest.mark.case(32)
@pytest.mark.parametrize("path", FORMS)
def test_every_address_costs_a_form_the_same_slow_work(path, app, scene, hashing):
    """The time is told by `tests/bench/enumeration.py`; here, that what takes the time is done for everybody."""
    assert scene.alice
    scene.sign_up("Ula")
    scene.customer("c-1", "carol@example.com")
    shut_out(scene, scene.mallory)
    cost = {}
    for who in SORTS:
        tab = Tab(app)
        form = tab.get(path).form(f"{path}$")
        hashing.clear()
        page = tab.submit(form, follow=False, email=f"{who}@example.com", **FORMS[path])
        cost[who] = (len(hashing), page.status, page.location)
    assert len(set(cost.values())) == 1, cost
    assert cost["alice"][0] == (1 if "password" in FORMS[path] else 0)


@pytest.mark.case(32)
def test_a_change_of_address_costs_the_same_whoever_has_it(scene, tab_of, hashing):
    scene.sign_up("Ula")
    tab, cost = tab_of(scene.alice), {}
    assert scene.bob
    for who in ("bob", "nobody", "ula"):
        form = tab.get("/account/security").form("/account/address")
        hashing.clear()
        fields = {"address-email": f"{who}@example.com", "address-current": PASSWORD}
        page = tab.submit_with(form, fields, follow=False)
        said = re.sub(r"\S+@example\.com|\d+ seconds? ago|just now", "x", tab.get(page.location).main)
        cost[who] = (len(hashing), page.status, page.location, said)
    assert len(set(cost.values())) == 1 and cost["bob"][0] == 1, cost


def test_the_page_of_the_second_step_does_not_say_who_it_is_for(scene):
    shown = set()
    for person in (scene.alice, scene.bob):
        two_step_on(scene, person)
        tab = half(scene, person)
        page = tab.get("/login/code")
        wrong = tab.submit(page.form(), code="000000")
        for one in (page, wrong):
            for word in (person.email, person.name, person.public_id, "•••"):
                assert word not in one.html
        shown.add((page.main, wrong.main))
    assert len(shown) == 1


def test_a_question_for_a_passkey_is_the_same_for_everybody(app, scene):
    number = scene.alice.id
    with writing():
        session.add(Passkey(user_id=number, credential="eA", public_key="eA", name="Hers", made_at=scene.at))
    asked = []
    for who in ("alice@example.com", "nobody@example.com"):
        asked.append(json.loads(Tab(app).post("/passkey/question", {"email": who}).body))
    for one in asked:
        assert one.pop("challenge") and not one.get("allowCredentials")
    assert asked[0] == asked[1]


# --- guessing -------------------------------------------------------------------------------------------------


class TestLimits:
    @pytest.fixture
    def settings(self, settings):
        """A portal with its limits on, as it is served."""
        return dataclasses.replace(settings, rate_limits=True)

    @pytest.mark.case(113)
    @pytest.mark.parametrize("path", ["/join/guess{}", "/address/guess{}", "/address-back/guess{}"])
    def test_guessing_the_secrets_of_mails_is_stopped(self, scene, tab, path):
        token = tab.token()
        fields = {"csrf_token": token, "password": NEW}
        said = [tab.post(path.format(number), fields).status for number in range(32)]
        assert said[30:] == [429, 429] and 429 not in said[:30]

    @pytest.mark.case(113)
    def test_a_flood_from_one_network_locks_nobody_out_elsewhere(self, app, scene, tab_of):
        """Both limits are spent by Mallory, on Alice's account: Alice signs in, asks for a link and for her code."""
        alice, mallory = scene.alice, Tab(app, address="203.0.113.66")
        phone = two_step_on(scene, alice)
        form = mallory.get("/login").form("/login")
        guessed = [mallory.submit(form, follow=False, email=alice.email, password=f"guess {n}") for n in range(11)]
        assert guessed[-1].status == 429
        spread = [mallory.submit(form, follow=False, email=f"p{n}@example.com", password="x") for n in range(61)]
        assert spread[-1].status == 429
        flood = mallory.get("/reset").form("/reset")
        assert [mallory.submit(flood, email=alice.email).status for _ in range(6)][-1] == 429
        tab = half(scene, alice)
        assert tab.submit(tab.get("/login/code").form(), code=phone.generate(scene.at).token).path == "/dashboard"
        assert Tab(app).press("/reset", email=alice.email).status == 200

    def test_at_a_browser_left_open_no_page_is_a_place_to_guess(self, scene, tab_of):
        olivia, bob = tab_of(scene.olivia), scene.bob.public_id
        for path, action, field, given in (
            ("/verify", "/verify", "password", {}),
            ("/account/security", "/account/two-step$", "two-step-current", {}),
            ("/account/security", "/account/password", "password-current", {"password-password": NEW}),
            (f"/admin/people/{bob}", "/erasure", "current", {"sure": True}),
        ):
            scene.later(minutes=6)
            form = olivia.get(path).form(action)
            said = [olivia.submit_with(form, {**given, field: f"a guess {n}"}, follow=False).status for n in range(12)]
            assert said[10:] == [429, 429] and 429 not in said[:10], (path, said)

    def test_guessing_with_the_password_in_hand_stops_before_the_code_is_found(self, app, scene):
        alice = scene.alice
        two_step_on(scene, alice)
        mallory = Tab(app, address="203.0.113.66")
        mallory.try_to_sign_in(alice.email)
        form = mallory.get("/login/code").form()
        said = [mallory.submit(form, follow=False, code=f"{n:06}").status for n in range(10)]
        again = Tab(app, address="203.0.113.66")  # a new half sign-in is no way round
        again.try_to_sign_in(alice.email)
        assert set(said) == {422}
        assert again.submit(again.get("/login/code").form(), follow=False, code="999999").status == 429

    def test_many_networks_are_no_way_round_and_alice_is_told_and_begins_anew_with_a_new_password(self, app, scene):
        alice = scene.alice
        phone = two_step_on(scene, alice)
        said = []
        for network in range(5):
            mallory = Tab(app, address=f"203.0.{network}.66")
            mallory.try_to_sign_in(alice.email)
            form = mallory.get("/login/code").form()
            said += [mallory.submit(form, follow=False, code=f"{network}{n:05}").status for n in range(5)]
        assert said == [422] * 20 + [429] * 5
        (told,) = scene.mails("wrong_code", to=alice)
        assert "somebody knows your password" in told.text
        here = half(scene, alice)
        page = here.get("/login/code")
        assert here.submit(page.form(), follow=False, code=phone.generate(scene.at).token).status == 429
        Tab(app).press("/reset", email=alice.email)
        Tab(app).press(f"/reset/{scene.secret_for(alice, 'reset')}", password=NEW)
        here.try_to_sign_in(alice.email, NEW)
        here.submit(here.get("/login/code").form(), code=phone.generate(scene.at).token)
        assert here.is_signed_in()
        scene.later(days=1)
        here = Tab(app)
        here.try_to_sign_in(alice.email, NEW)
        here.submit(here.get("/login/code").form(), code="000000")
        assert len(scene.mails("wrong_code", to=alice)) == 2, "once a day"


# --- cookies --------------------------------------------------------------------------------------------------


def forged(app, key, **kept):
    """A session cookie with this in it, signed with a key; with Flask's own hash if that is asked for."""
    other = app.session_interface if key is None else access.Sessions()
    made = app.__class__("other")
    made.secret_key = key or app.secret_key
    return other.get_signing_serializer(made).dumps(kept)


def alive(app, scene, tab_of):
    """What stands in the session of somebody who is signed in."""
    tab = tab_of(scene.alice)
    with tab.client.session_transaction(base_url=tab.base_url) as kept:
        return dict(kept)


def test_a_session_signed_with_another_key_is_nobody(app, scene, tab, tab_of):
    kept = alive(app, scene, tab_of)
    tab.set_cookie("session", forged(app, None, **kept))
    assert tab.is_signed_in(), "this is how it would be forged"
    for key in ("", "x", "secret", "dev", app.secret_key + " ", app.secret_key[:-1]):
        if key:
            tab.set_cookie("session", forged(app, key, **kept))
            assert not tab.is_signed_in()


def test_a_session_signed_by_the_hash_of_before_or_none_is_nobody(app, scene, tab, tab_of):
    kept = alive(app, scene, tab_of)
    older = SecureCookieSessionInterface().get_signing_serializer(app)
    good = forged(app, None, **kept)
    body, _, _ = good.rpartition(".")
    for cookie in (older.dumps(kept), body, f"{body}.", f"{body}.AAAA", good.replace(".", ".A", 1)):
        tab.set_cookie("session", cookie)
        assert not tab.is_signed_in()


def test_a_sign_in_of_ones_own_opens_nobody_elses_account(app, scene, tab_of):
    """Names in the cookie are signed, and still not believed: the row says whose sign-in it is."""
    mine = alive(app, scene, tab_of)
    bob = scene.bob
    tab = Tab(app)
    tab.set_cookie("session", forged(app, None, **(mine | {"_user_id": bob.fs_uniquifier})))
    assert not tab.is_signed_in()


def test_the_password_once_more_ends_a_cookie_copied_before(app, scene, tab_of):
    tab, copy = tab_of(scene.alice), Tab(app, address="203.0.113.66")
    for press in (
        lambda: tab.submit(tab.get("/verify").form("/verify"), password=PASSWORD),
        lambda: tab.submit_with(
            tab.get("/account/security").form("/account/two-step$"), {"two-step-current": PASSWORD}
        ),
    ):
        copy.set_cookie("session", tab.cookie("session"))
        assert copy.is_signed_in()
        copy.set_cookie("session", tab.cookie("session"))
        press()
        assert tab.is_signed_in() and not copy.is_signed_in()


def test_signing_out_clears_what_the_browser_keeps(scene, tab):
    tab.sign_in(scene.alice.email)
    page = tab.get("/account")
    form = next(form for form in page.forms if form.action == "/logout")
    assert tab.submit(form, follow=False).headers["Clear-Site-Data"] == '"cache"'
    assert "Clear-Site-Data" not in tab.get("/").headers


# --- the second step ------------------------------------------------------------------------------------------


OWN_OR_COLLEAGUES = {"self", "alice", "read", "decide", "pay", "own"}
"""What needs a sign-in, in the table of routes."""


def test_half_a_sign_in_opens_no_page(app, things):
    tab = Tab(app)
    tab.try_to_sign_in(things.emails["two-step"])
    before = contents()
    for endpoint, (needs, address) in READ.items():
        if needs not in OWN_OR_COLLEAGUES:
            continue
        page = tab.get(things.fill(address))
        assert (page.status, page.location.split("?")[0]) == (302, "/login"), endpoint
    assert not changes(before, contents())
    assert tab.get("/login/code").status == 200, "and still owes the code"


def test_half_a_sign_in_does_nothing(app, things):
    tab = Tab(app)
    tab.try_to_sign_in(things.emails["two-step"])
    token, before = tab.token(), contents()
    for endpoint, (needs, address, form) in ACT.items():
        if needs not in OWN_OR_COLLEAGUES:
            continue
        page = tab.post(things.fill(address), {"csrf_token": token} | things.fill(form))
        assert (page.status, page.location.split("?")[0]) == (302, "/login"), endpoint
    for answer in ("{}", '{"id": "Y3JlZGVudGlhbA", "rawId": "Y3JlZGVudGlhbA", "response": {}, "type": "public-key"}'):
        tab.post("/passkey/question", {"csrf_token": token})
        tab.post("/passkey", {"csrf_token": token, "answer": answer})
        assert not tab.is_signed_in()
    assert not changes(before, contents())


@pytest.mark.parametrize("way", ["reset", "shut out", "erased", "another password"])
def test_half_a_sign_in_ends_with_what_it_stood_on(way, app, scene):
    alice = scene.alice
    phone = two_step_on(scene, alice)
    tab = half(scene, alice)
    form = tab.get("/login/code").form()
    number = alice.id
    if way == "reset":
        Tab(app).press("/reset", email="alice@example.com")
        Tab(app).press(f"/reset/{scene.secret_for(alice, 'reset')}", password=NEW)
    elif way == "shut out":
        shut_out(scene, alice)
    elif way == "erased":
        scene.do(lambda: program.erase(User.by_id(number), gives_up_minor=None, by=None, at=scene.at))
    else:
        other = scene.bob.password
        scene.do(lambda: program.change_password(User.by_id(number), f"{other} ", here="", at=scene.at))
    assert tab.submit(form, code=phone.generate(scene.at).token).path == "/login"
    assert not tab.is_signed_in()


def test_a_new_password_by_mail_leaves_the_second_step_where_it_was(app, scene, tab):
    alice = scene.alice
    phone = two_step_on(scene, alice)
    tab.press("/reset", email=alice.email)
    tab.press(f"/reset/{scene.secret_for(alice, 'reset')}", password=NEW)
    assert tab.try_to_sign_in(alice.email, NEW).path == "/login/code"
    assert not tab.is_signed_in()
    tab.submit(tab.get("/login/code").form(), code=phone.generate(scene.at).token)
    assert tab.is_signed_in()


def test_before_the_address_is_confirmed_there_is_no_second_step_to_go_round(app, scene, tab_of):
    """No page offers one, no route and no verb makes one; one that is there all the same ends with the button."""
    ula = scene.sign_up("Ula")
    tab, number, box = tab_of(ula), ula.id, Box("a key", "two-step")
    page = tab.get("/account/security")
    assert page.text.count("Confirm your e-mail address first.") == 2
    assert not page.has_form("/account/two-step") and not page.has_form("/account/passkeys")
    with Unchanged(*SEEN, "sign_ins.token_hash"):
        begun = tab.post("/account/two-step", {"two-step-current": PASSWORD}, follow=True)
        assert "Confirm your e-mail address first." in begun.text
        asked = tab.post("/account/passkeys/question", {"passkey-current": PASSWORD})
        assert asked.status == 422 and b"Confirm your e-mail address first." in asked.body
        codes = two_step.make_codes(number)
        for verb in (
            lambda: program.begin_two_step(User.by_id(number), issuer="x", keep=box, at=scene.at),
            lambda: program.turn_two_step_on(User.by_id(number), "000000", codes=codes, keep=box, at=scene.at),
            lambda: program.add_passkey(User.by_id(number), "{}", "", Place(HTTPS, "x"), name="", at=scene.at),
        ):
            with pytest.raises(Refusal, match="Confirm your e-mail address first"):
                scene.do(verb)
    two_step_on(scene, ula)
    tab = Tab(app)
    assert tab.press(f"/confirm/{scene.secret_for(ula)}", password=PASSWORD).path == "/welcome"
    assert not two_step.is_on(number)


# --- stolen links ---------------------------------------------------------------------------------------------


def test_the_secrets_of_mails_are_nowhere_else(app, scene, tab):
    assert scene.alice
    tab.press("/reset", email="alice@example.com")
    secret = scene.secret_for(scene.alice, "reset")
    for table, rows in contents().items():
        assert table == "outbox" or secret not in str(rows), table
    (key,) = session.scalars(sa.select(OneTimeKey).where(OneTimeKey.purpose == "reset"))
    assert len(key.token_hash) == 64 and secret not in key.token_hash


def test_mails_with_secrets_are_emptied_when_they_are_out_and_shown_to_no_colleague(app, scene, tab, tab_of):
    assert scene.alice
    tab.press("/reset", email="alice@example.com")
    secret = scene.secret_for(scene.alice, "reset")
    olivia = tab_of(scene.olivia)
    for path in ("/admin/outbox", "/admin/outbox?show=all", "/admin/audit", f"/admin/people/{scene.alice.public_id}"):
        assert secret not in olivia.get(path).html
    for message in scene.do(lambda: outbox.claim(at=scene.at)):
        scene.do(lambda number=message.id: outbox.sent(number, at=scene.at))
    assert all(secret not in str(rows) for rows in contents().values())


@pytest.mark.case(113)
def test_a_link_is_of_no_use_for_anything_else_or_anybody_else(app, scene, tab):
    """A secret of one kind at the addresses of every other kind; and Bob's link changes nothing of Alice's."""
    assert scene.alice and scene.bob
    tab.press("/reset", email="bob@example.com")
    secret, token = scene.secret_for(scene.bob, "reset"), tab.token()
    with Unchanged(*SEEN):
        for path in ("/confirm", "/setup", "/join", "/address", "/address-back", "/unsubscribe"):
            page = tab.post(f"{path}/{secret}", {"csrf_token": token, "password": NEW, "email": "alice@example.com"})
            assert page.status in (404, 410), (path, page)
    fields = {"password": NEW, "email": "alice@example.com", "user_id": scene.alice.id}
    tab.submit_with(tab.get(f"/reset/{secret}").form(), fields)
    Tab(app).sign_in("alice@example.com")
    Tab(app).sign_in("bob@example.com", NEW)


class TestForgedHosts:
    """Every mail with a link leads to BASE_URL, whatever the request says: also behind a proxy that is trusted."""

    @pytest.fixture
    def settings(self, settings):
        return dataclasses.replace(settings, base_url=HTTPS, trusted_proxies=1)

    def test_mailed_links_lead_home(self, app, scene, tab_of):
        behind = create_app(app.extensions["settings"])
        said = {
            "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Server": "evil.example",
            "X-Host": "evil.example", "X-Original-Host": "evil.example", "Forwarded": "host=evil.example;proto=http",
            "X-Forwarded-Prefix": "/evil.example", "X-Original-URL": "/evil.example", "X-Rewrite-URL": "/evil.example",
        }  # fmt: skip
        assert scene.alice
        scene.sign_up("Ula")
        try:
            tab, alice = Tab(behind), tab_of(scene.alice)
            token = tab.token()
            for path, fields in (
                ("/reset", {"email": "alice@example.com"}), ("/confirm", {"email": "ula@example.com"}),
                ("/signup", {"email": "new@example.com", "password": PASSWORD, "terms": "y"}),
                ("/signup", {"email": "alice@example.com", "password": PASSWORD, "terms": "y"}),
            ):  # fmt: skip
                assert tab.post(path, {"csrf_token": token} | fields, headers=said).status in (200, 302)
            moving = {"address-email": "moved@example.com", "address-current": PASSWORD}
            assert alice.post("/account/address", moving, headers=said).status == 302
            invited = {"addresses": "friend@example.com"}
            assert alice.post("/invites", invited, headers=said).status in (200, 302)
        finally:
            with behind.app_context():
                close(behind)
        mails = scene.mails()
        kinds = {"reset", "confirm", "already_registered", "address_confirm", "invite"}
        assert {mail.kind for mail in mails} >= kinds
        for mail in mails:
            found = re.findall(r"https?://[^/\s]+", mail.text)
            assert set(found) <= {HTTPS} and "evil" not in mail.text, mail.kind
            assert found or mail.kind not in kinds


# --- somebody else's address ----------------------------------------------------------------------------------


@pytest.fixture
def squatted(app, scene):
    """Mallory has signed up with Bob's address, and has set up every way in that she can."""
    mallory = Tab(app, address="203.0.113.66")
    mallory.sign_up("bob@example.com", password=HERS)
    mallory.sign_in("bob@example.com", HERS)
    bob = find_by_email("bob@example.com")
    number = bob.id
    two_step_on(scene, bob)
    with writing():
        session.add(Passkey(user_id=number, credential="eA", public_key="eA", name="Hers", made_at=scene.at))
    mallory.press("/payouts", "/payouts/method", kind="paypal", email="mallory@example.com")
    assert methods.in_force(number) is not None
    return mallory


def nothing_of_hers(app, mallory, password):
    """No way of Mallory's leads into Bob's account any more, and no money to her."""
    session.rollback()
    bob = find_by_email("bob@example.com")
    assert bob.confirmed_at is not None and not mallory.is_signed_in()
    assert passkeys.of_person(bob.id) == [] and not two_step.is_on(bob.id) and methods.in_force(bob.id) is None
    assert "do not match" in Tab(app).try_to_sign_in("bob@example.com", HERS).text
    Tab(app).sign_in("bob@example.com", password)


def test_a_sign_up_of_ones_own_leaves_nothing_of_who_was_there_before(app, scene, squatted):
    tab = Tab(app)
    tab.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}")
    assert tab.press(f"/confirm/{scene.secret_for(find_by_email('bob@example.com'))}").path == "/welcome"
    nothing_of_hers(app, squatted, PASSWORD)


def test_asking_for_the_mail_again_and_choosing_a_password_leaves_nothing_either(app, scene, squatted):
    tab = Tab(app)
    tab.sign_up("bob@example.com")
    tab.press("/confirm", email="bob@example.com")
    tab.press(f"/confirm/{scene.secret_for(find_by_email('bob@example.com'))}", password=NEW)
    nothing_of_hers(app, squatted, NEW)


def test_the_button_of_her_own_mail_leaves_nothing_not_even_her_password(app, scene, squatted):
    """Bob signs up nowhere: he presses the button of the mail that Mallory caused, and chooses a password there."""
    Tab(app).press(f"/confirm/{scene.secret_for(find_by_email('bob@example.com'))}", password=NEW)
    nothing_of_hers(app, squatted, NEW)


def test_a_colleague_who_is_invited_finds_nothing_of_hers(app, scene, squatted):
    by = scene.olivia.id
    scene.do(lambda: program.invite_colleague("bob@example.com", Role.FINANCE, by=by, at=scene.at))
    Tab(app).press(f"/join/{scene.secret_for(find_by_email('bob@example.com'), 'join')}", password=NEW)
    nothing_of_hers(app, squatted, NEW)


def test_an_owner_whom_the_operator_makes_finds_nothing_of_hers(app, scene, squatted):
    hashed = scene.alice.password
    older = scene.secret_for(find_by_email("bob@example.com"))
    scene.do(lambda: program.add_owner("bob@example.com", name="Bob", password=hashed, at=scene.at))
    nothing_of_hers(app, squatted, PASSWORD)
    with Unchanged(*SEEN):
        tab = Tab(app)
        assert tab.post(f"/confirm/{older}").status == 410 and not tab.is_signed_in()


def test_who_takes_the_account_back_is_not_paid_elsewhere(app, scene, tab_of):
    """Mallory at Alice's open browser moves the address and the bank account; Alice goes back by the mailed link."""
    tab = tab_of(scene.alice)
    fields = {"address-email": "mallory@example.net", "address-current": PASSWORD}
    tab.submit_with(tab.get("/account/security").form("/account/address"), fields)
    path = scene.mails("address_confirm")[-1].text.partition("http://127.0.0.1:8000")[2].split()[0]
    Tab(app).press(path)
    tab.press("/payouts", "/payouts/method", kind="paypal", email="mallory@example.net")
    (told,) = [mail for mail in scene.mails("address_changed") if mail.to == "alice@example.com"]
    Tab(app).press(told.text.partition("http://127.0.0.1:8000")[2].split()[0])
    session.rollback()
    assert methods.in_force(find_by_email("alice@example.com").id) is None and not tab.is_signed_in()


def test_before_the_address_is_confirmed_nobody_gets_a_link_for_a_new_password(app, scene, squatted):
    with Unchanged():
        Tab(app).press("/reset", email="bob@example.com")


# --- another address --------------------------------------------------------------------------------------------


def ask_to_move(tab, email):
    fields = {"address-email": email, "address-current": PASSWORD}
    return tab.submit_with(tab.get("/account/security").form("/account/address$"), fields)


def path_in(mail):
    """Where the link of a mail leads."""
    return mail.text.partition("http://127.0.0.1:8000")[2].split()[0]


@pytest.mark.parametrize(
    "way",
    [
        "a new password by mail",
        "another password",
        "signing others out",
        "signing one out",
        "cancelling",
        "shut out and let in",
    ],
)
def test_a_move_that_waits_ends_with_whatever_puts_a_thief_out(way, app, scene, tab_of):
    """Mallory knew Alice's password once and asked to move the account; Alice is told, and her mailbox is not moved."""
    alice, thief = scene.alice, tab_of(scene.alice)
    number, owner = alice.id, scene.olivia.id
    assert "We sent a link" in ask_to_move(thief, "thief@example.net").text
    (told,) = scene.mails("address_asked", to=alice)
    assert "t•••@example.net" in told.text and "/reset" in told.text
    if way == "a new password by mail":
        Tab(app).press("/reset", email=alice.email)
        Tab(app).press(f"/reset/{scene.secret_for(alice, 'reset')}", password=NEW)
    elif way == "another password":
        fields = {"password-current": PASSWORD, "password-password": NEW}
        tab = tab_of(alice)
        tab.submit_with(tab.get("/account/security").form("/account/password"), fields)
    elif way == "signing others out":
        tab_of(alice).press("/account/security", "/account/sign-outs$")
    elif way == "signing one out":
        tab_of(alice).press("/account/security", "/account/sign-outs/")
    elif way == "cancelling":
        page = tab_of(alice).press("/account/security", "/account/move/cancellation")
        assert "Your address stays as it is" in page.text and "Waiting for" not in page.text
    else:
        scene.do(lambda: program.shut_out(User.by_id(number), by=owner, note="Stolen.", at=scene.at))
        scene.do(lambda: program.let_in(User.by_id(number), by=owner, note="Hers again.", at=scene.at))
    path = path_in(scene.mails("address_confirm")[-1])
    with Unchanged(*SEEN):
        page = Tab(app).get(path)
        assert not page.has_form("/address/") and Tab(app).post(path).status == 410
    assert find_by_email("alice@example.com").id == number


def moves(scene, person, *addresses):
    """The account moves from one address to the next; gives the links of the mails to the old ones."""
    tab = scene.tab_of(person)
    ways = []
    for email in addresses:
        old = session.get_one(User, person.id).email
        ask_to_move(tab, email)
        Tab(scene.app).press(path_in(scene.mails("address_confirm")[-1]))
        session.rollback()
        assert session.get_one(User, person.id).email == email
        ways.append(path_in([mail for mail in scene.mails("address_changed") if mail.to == old][-1]))
    return ways


@pytest.fixture
def alice_moves(scene, tab_of):
    scene.tab_of = tab_of
    return lambda *addresses: moves(scene, scene.alice, *addresses)


@pytest.mark.both_databases
def test_the_first_address_takes_the_account_back_however_often_it_moved(app, scene, alice_moves):
    to_alice, to_one, to_two = alice_moves("one@example.net", "two@example.net", "three@example.net")
    assert "yours again" in Tab(app).press(to_one).text
    session.rollback()
    assert find_by_email("one@example.net").id == scene.alice.id
    with Unchanged(*SEEN):
        assert Tab(app).post(to_two).status == 410, "a later one is over"
    assert "yours again" in Tab(app).press(to_alice).text
    session.rollback()
    assert find_by_email("alice@example.com").id == scene.alice.id
    assert [mail.to for mail in scene.mails("address_taken_back")] == ["three@example.net", "one@example.net"]
    with Unchanged(*SEEN):
        assert Tab(app).post(to_one).status == 410


@pytest.mark.both_databases
@pytest.mark.parametrize("known_to_the_shop", [False, True])
def test_who_sits_on_the_old_address_and_never_confirmed_it_gives_way(known_to_the_shop, app, scene, alice_moves):
    (back,) = alice_moves("thief@example.net")
    if known_to_the_shop:
        scene.customer("c-9", "alice@example.com")
    squatter = scene.sign_up("Mallory", email="alice@example.com")
    number, older = squatter.id, scene.secret_for(squatter)
    assert "yours again" in Tab(app).press(back).text
    session.rollback()
    assert find_by_email("alice@example.com").id == scene.alice.id
    left = session.get_one(User, number)
    assert not left.has_address and left.password is None
    assert left.external_id == ("c-9" if known_to_the_shop else None) and bool(left.erased_at) is not known_to_the_shop
    assert Tab(app).post(f"/confirm/{older}", {"password": NEW}).status == 410
    session.rollback()
    assert session.get_one(User, number).confirmed_at is None


def test_who_has_confirmed_the_old_address_keeps_it(app, scene, alice_moves):
    (back,) = alice_moves("new@example.net")
    bob = scene.person("Bob", email="alice@example.com")
    assert Tab(app).post(back).status == 410
    session.rollback()
    assert find_by_email("alice@example.com").id == bob.id


def test_the_way_back_leaves_the_second_step_that_was_on_and_ends_one_set_up_since(app, scene, alice_moves):
    alice = scene.alice
    (back,) = alice_moves("thief@example.net")
    two_step_on(scene, alice)
    Tab(app).press(back)
    assert not two_step.is_on(alice.id), "set up since"
    Tab(app).press(f"/reset/{scene.secret_for(alice, 'reset')}", password=PASSWORD)
    phone = two_step_on(scene, alice)
    number, hers = alice.id, scene.mails("address_changed")
    (back,) = alice_moves("elsewhere@example.net")
    assert len(scene.mails("address_changed")) == len(hers) + 1
    scene.later(seconds=31)
    codes = two_step.make_codes(number)
    scene.do(lambda: two_step.renew_codes(number, codes, at=scene.at))
    Tab(app).press(back)
    session.rollback()
    assert two_step.is_on(number) and two_step.codes_left(number) == 0, "codes made since are good no more"
    Tab(app).press(f"/reset/{scene.secret_for(scene.alice, 'reset')}", password=NEW)
    tab = Tab(app)
    assert tab.try_to_sign_in("alice@example.com", NEW).path == "/login/code"
    tab.submit(tab.get("/login/code").form(), code=phone.generate(scene.at).token)
    assert tab.is_signed_in()


@pytest.mark.both_databases
def test_who_never_confirmed_an_address_keeps_nobody_from_moving_to_it(app, scene, tab_of):
    squatter, tab = scene.sign_up("Mallory", email="mine@example.net"), tab_of(scene.alice)
    number = squatter.id
    page = ask_to_move(tab, "mine@example.net")
    assert "We sent a link to mine@example.net" in page.text and not scene.mails("already_registered")
    Tab(app).press(path_in(scene.mails("address_confirm")[-1]))
    session.rollback()
    assert find_by_email("mine@example.net").id == scene.alice.id
    assert session.get_one(User, number).erased_at is not None


# --- more fields than a form has ------------------------------------------------------------------------------

COLUMNS = {column.name: column for table in metadata.sorted_tables for column in table.columns}
MARK, NUMBER = "xyzzy", "4711471147"

ROOMS = ("public.", "security.", "account.", "safety.", "signing_in.", "leaving.", "joining.", "languages.")
TAKES = [
    endpoint for endpoint, (needs, _, _) in ACT.items()
    if endpoint.startswith(ROOMS) or endpoint in ("dashboard.method", "dashboard.claim")
]  # fmt: skip

OWN = {
    "account.mails": {"month"},
    "account.name": {"shows_name"},
    "public.sign_up": {"name", "shows_name", "code", "refused"},
    "public.set_up_done": {"name", "minimum_order", "referrer_amount"},
    "dashboard.method": {"email", "holder", "iban"},
    "signing_in.passkey": {"name"},
}
"""Columns whose names are also fields of a form, beside those that stand in the table of routes."""


def every_column(kind):
    """A value for each column of the portal, as an attacker would send it."""
    for name, column in COLUMNS.items():
        if isinstance(column.type, sa.Integer | sa.BigInteger):
            yield name, NUMBER
        elif kind == "prefixed":
            yield name, MARK
        else:
            yield name, {"Boolean": "y", "Moment": "2020-02-02T02:02:02Z"}.get(type(column.type).__name__, MARK)


def shape(before, after):
    """What changed: by table, how many rows came and went, and in which columns rows differ."""
    found = {}
    for table, one in changes(before, after, but=frozenset({*SEEN, "clicks"})).items():
        gone = {row[0]: row for row in one["gone"]}
        names = [column.name for column in metadata.tables[table].columns]
        changed = set()
        for row in one["new"]:
            old = gone.pop(row[0], None)
            pairs = zip(names, old, row, strict=True) if old else ()
            changed |= {name for name, was, now in pairs if was != now} or {"new row"}
        found[table] = (len(one["new"]), len(gone), frozenset(changed))
    return found


def test_every_form_about_accounts_is_tried(app):
    """A new one is tried as soon as it stands in the table of routes."""
    posted = {endpoint for endpoint in of_map(app, "POST") if endpoint.startswith(ROOMS)}
    assert posted <= set(TAKES) and len(TAKES) >= 30 and len(COLUMNS) >= 150


@pytest.mark.case(104)
@pytest.mark.parametrize("endpoint", TAKES)
def test_the_name_of_every_column_beside_a_forms_fields_changes_nothing(endpoint, app, things, furnished, tab_of):
    """The form does to the database what it does without them, and none of what was sent beside it stands there."""
    needs, address, form = ACT[endpoint]
    path, own = things.fill(address), things.fill(form)
    extra = {name: value for name, value in every_column("plain") if name not in {*own, *OWN.get(endpoint, ())}}
    extra |= {f"{field.rpartition('-')[0]}-{name}": value for field in own if "-" in field
              for name, value in extra.items() if f"{field.rpartition('-')[0]}-{name}" not in own}  # fmt: skip
    extra.pop("passkey-name", None)
    who = {"safety.new_codes": "two-step", "safety.two_step_off": "two-step", "leaving.deletion": "two-step"}
    done = []
    for more in ({}, extra):
        signed_in = needs != "anyone" or endpoint == "security.logout"
        tab = tab_of(things.person(who.get(endpoint, "referrer"))) if signed_in else Tab(app)
        token, before = tab.token(), contents()
        page = tab.post(path, more | own | {"csrf_token": token})
        after = contents()
        done.append((page.status, page.location.split("?")[0], shape(before, after)))
        new = str([one["new"] for one in changes(before, after).values()])
        assert MARK not in new and NUMBER not in new and "2020, 2, 2" not in new
        close(app)
        shutil.copy(furnished[0], app.extensions["settings"].database_url.removeprefix("sqlite:///"))
    assert done[0] == done[1]
