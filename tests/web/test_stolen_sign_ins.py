"""What Mallory does with a cookie, a half sign-in or a mailed link of somebody else's: nothing.

Tested elsewhere: forged Host names and senders (`test_hosts_and_sizes`), roles taken away (`test_sign_in`).
"""

import dataclasses
import re

import pytest
import sqlalchemy as sa
from flask.sessions import SecureCookieSessionInterface

from portal import create_app, program
from portal.accounts import two_step
from portal.accounts.one_time import OneTimeKey
from portal.accounts.passkeys import Place
from portal.accounts.users import User
from portal.core.database import session
from portal.core.sealed import Box
from portal.core.text import Refusal
from portal.delivery import outbox
from portal.web import access
from tests.conftest import close
from tests.factories import PASSWORD
from tests.web.client import HTTPS, Tab
from tests.web.routes import ACT, READ
from tests.web.second_step import half, two_step_on
from tests.web.tables import SEEN, Unchanged, changes, contents

NEW = "quite another password"


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
        owner = scene.olivia.id
        scene.do(lambda: program.shut_out(User.by_id(number), by=owner, note="Stolen.", at=scene.at))
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
