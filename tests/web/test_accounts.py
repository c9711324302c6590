"""One's own account: another address, another password, a second step, sign-ins, one's data, and its end."""

import dataclasses
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
import sqlalchemy as sa
from argon2 import low_level
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from passlib.totp import TOTP
from webauthn.helpers import bytes_to_base64url

from portal import program
from portal.accounts import one_time, passkeys, two_step
from portal.accounts.one_time import Purpose
from portal.accounts.passkeys import Passkey, Place
from portal.accounts.two_step import RecoveryCode
from portal.accounts.users import find_by_email
from portal.core.database import session, writing
from portal.core.sealed import Box
from portal.web import access
from tests.factories import PASSWORD
from tests.web.client import Tab
from tests.web.tables import SEEN, Unchanged, contents

NEW = "quite another password"


def app_of(tab, password=PASSWORD):
    """Sets two-step up as far as the page with the secret; gives the app on the phone."""
    page = tab.press("/account/security", "/account/two-step$", **{"two-step-current": password})
    return TOTP(key=secret_on(page))


def secret_on(page):
    """The secret that a page shows for whoever types it in."""
    return page.tree.all("code")[-1].text.replace(" ", "")


def codes_on(page):
    (listed,) = page.tree.all("ol")
    return [line.text for line in listed.all("li")]


def turn_on(tab, at):
    """Turns two-step on and gives the app and the recovery codes."""
    app = app_of(tab)
    page = tab.submit(tab.page.form("/account/two-step/code"), code=app.generate(at).token)
    return app, codes_on(page)


# --- address --------------------------------------------------------------------------------------------------


def ask_to_move(tab, email, password=PASSWORD):
    fields = {"address-email": email, "address-current": password}
    return tab.submit_with(tab.get("/account/security").form("/account/address"), fields)


@pytest.mark.both_databases
def test_a_new_address_is_proved_the_old_one_is_told_and_can_take_it_back(app, scene, tab_of):
    alice, tab = scene.alice, tab_of(scene.alice)
    assert "We sent a link to new@example.com" in ask_to_move(tab, "new@example.com").text
    assert alice.email == "alice@example.com" and "Waiting for new@example.com" in tab.get("/account/security").text
    (mail,) = scene.mails("address_confirm")
    path = mail.text.partition("http://127.0.0.1:8000")[2].split()[0]
    phone = Tab(app)
    with Unchanged():
        for scanner in (Tab(app, agent="ms-office"), phone):
            assert scanner.get(path).status == scanner.head(path).status == 200
    assert phone.submit(phone.get(path).form()).path == "/login"
    session.rollback()
    assert find_by_email("alice@example.com") is None and find_by_email("new@example.com") is not None
    with Unchanged():
        assert phone.get(path).has_form("/address/") is False
    (told,) = [mail for mail in scene.mails("address_changed") if mail.to == "alice@example.com"]
    back = told.text.partition("http://127.0.0.1:8000")[2].split()[0]
    page = Tab(app).press(back)
    assert "yours again" in page.text
    session.rollback()
    assert find_by_email("alice@example.com") is not None and not tab.is_signed_in()
    assert "do not match" in Tab(app).try_to_sign_in("alice@example.com").text, "the password may be somebody else's"
    Tab(app).press(f"/reset/{scene.secret_for(scene.alice, 'reset')}", password=NEW)
    Tab(app).sign_in("alice@example.com", NEW)


def test_an_address_that_has_an_account_is_not_told_apart(scene, tab_of):
    tab, taken = tab_of(scene.alice), scene.bob.email
    known, free = ask_to_move(tab, taken), ask_to_move(tab, "free@example.com")
    assert known.main.replace(taken, "free@example.com") == free.main
    assert not scene.mails("already_registered", to=scene.bob) + scene.mails("address_confirm", to=scene.bob)
    (told,) = scene.mails("address_wanted", to=scene.bob)
    assert "wants this address for another account" in told.text
    for word in ("sign up", "alice", scene.alice.public_id):
        assert word not in told.text.lower(), "neither what did not happen nor who it was"
    ask_to_move(tab, taken)
    assert len(scene.mails("address_wanted", to=scene.bob)) == 1, "at most one an hour"
    scene.later(hours=1)
    ask_to_move(tab, taken)
    assert len(scene.mails("address_wanted", to=scene.bob)) == 2
    assert "Waiting for" in tab.get("/account/security").text


@pytest.mark.both_databases
def test_an_address_taken_meanwhile_stays_whose_it_is(app, scene, tab_of):
    ask_to_move(tab_of(scene.alice), "wanted@example.com")
    path = scene.mails("address_confirm")[0].text.partition("http://127.0.0.1:8000")[2].split()[0]
    tab = Tab(app)
    form = tab.get(path).form()
    scene.person("Wanda", email="wanted@example.com")
    page = tab.submit(form)
    assert page.status == 410 and "belongs to an account by now" in page.text
    assert scene.alice.email == "alice@example.com"


def test_a_wrong_password_changes_nothing_and_keeps_what_was_typed(scene, tab_of):
    tab = tab_of(scene.alice)
    with Unchanged(*SEEN):
        page = ask_to_move(tab, "new@example.com", "not the password")
        assert page.status == 422 and "This password is not right." in page.text
        assert page.kept("address-email") == ["new@example.com"]
        for path, field in (
            ("/account/password", "password-current"), ("/account/two-step", "two-step-current"),
            ("/account/deletion", "current"), ("/account/passkeys/question", "passkey-current"),
        ):  # fmt: skip
            fields = {field: "x" * 5000, "password-password": NEW, "gives_up": "0", "sure": "y"}
            assert tab.post(path, fields).status == 422


# --- password and sign-ins ------------------------------------------------------------------------------------


def test_a_new_password_signs_every_other_device_out_and_is_told(app, scene, tab_of):
    tab, phone = tab_of(scene.alice), tab_of(scene.alice)
    fields = {"password-current": PASSWORD, "password-password": NEW}
    page = tab.submit_with(tab.get("/account/security").form("/account/password"), fields)
    assert "Your password is changed" in page.text
    assert tab.is_signed_in() and not phone.is_signed_in()
    assert len(scene.mails("password_changed", to=scene.alice)) == 1
    Tab(app).sign_in("alice@example.com", NEW)


def test_the_password_that_one_has_is_not_taken_for_a_new_one(scene, tab_of):
    tab, phone = tab_of(scene.alice), tab_of(scene.alice)
    fields = {"password-current": PASSWORD, "password-password": PASSWORD}
    page = tab.submit_with(tab.get("/account/security").form("/account/password"), fields)
    assert page.status == 422
    assert page.error("password-password") == "This is the password that you have already. Take another."
    assert phone.is_signed_in() and not scene.mails("password_changed", to=scene.alice)


def test_one_device_can_be_signed_out_and_each_says_what_it_is(app, scene, tab_of):
    mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"
    here, there = Tab(app), Tab(app, agent=mac)
    for tab in (here, there):
        tab.sign_in(scene.alice.email)
    page = here.get("/account/security")
    assert "Firefox on Linux" in page.text and "Safari on macOS" in page.text
    (form,) = [form for form in page.forms if "/account/sign-outs/" in form.action]
    here.submit(form)
    assert here.is_signed_in() and not there.is_signed_in()
    assert tab_of(scene.bob).post(form.action).status == 404


# --- second step ----------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_with_two_step_a_password_alone_opens_nothing_and_each_code_is_good_once(app, scene, tab_of):
    phone, codes = turn_on(tab_of(scene.alice), scene.at)
    assert len(codes) == 10 and scene.mails("account_changed", to=scene.alice)
    tab = Tab(app)
    page = tab.try_to_sign_in(scene.alice.email)
    assert page.path == "/login/code" and not tab.is_signed_in()
    used = phone.generate(scene.at).token
    assert tab.submit(tab.get("/login/code").form(), code=used).status == 422, "it turned two-step on"
    scene.later(seconds=31)
    page = tab.submit(
        tab.get("/login/code").form(),
        code=f" {phone.generate(scene.at).token[:3]} {phone.generate(scene.at).token[3:]}",
    )
    assert page.path == "/account" and tab.is_signed_in(), "the page that they wanted"
    other = Tab(app)
    other.try_to_sign_in(scene.alice.email)
    assert other.submit(other.get("/login/code").form(), code=phone.generate(scene.at).token).status == 422
    assert other.submit(other.get("/login/code").form(), code=codes[0].upper()).path == "/dashboard"
    another = Tab(app)
    another.try_to_sign_in(scene.alice.email)
    assert another.submit(another.get("/login/code").form(), code=codes[0]).status == 422, (
        "a recovery code is good once"
    )
    assert "9 of 10 left" in other.get("/account/security").text


def test_the_code_is_asked_for_ten_minutes_and_without_the_password_not_at_all(app, scene, tab_of):
    phone, _ = turn_on(tab_of(scene.alice), scene.at)
    assert Tab(app).get("/login/code").location == "/login"
    assert Tab(app).post("/login/code", {"code": phone.generate(scene.at).token}).location == "/login"
    tab = Tab(app)
    tab.try_to_sign_in(scene.alice.email)
    form = tab.get("/login/code").form()
    scene.later(minutes=10, seconds=1)
    assert tab.submit(form, code=phone.generate(scene.at).token).path == "/login" and not tab.is_signed_in()


def test_new_recovery_codes_end_the_older_and_turning_it_off_needs_the_password(app, scene, tab_of):
    tab = tab_of(scene.alice)
    _, older = turn_on(tab, scene.at)
    page = tab.submit_with(tab.get("/account/security").form("/account/two-step/codes"), {"codes-current": PASSWORD})
    newer = codes_on(page)
    assert len(newer) == 10 and not set(newer) & set(older)
    half = Tab(app)
    half.try_to_sign_in(scene.alice.email)
    assert half.submit(half.get("/login/code").form(), code=older[0]).status == 422
    tab.submit_with(tab.get("/account/security").form("/account/two-step/end"), {"off-current": PASSWORD})
    assert Tab(app).sign_in(scene.alice.email)
    assert [mail.text for mail in scene.mails("account_changed", to=scene.alice) if "turned off" in mail.text]


def test_an_apps_code_is_good_from_ten_seconds_before_it_shows_to_twenty_after(app, scene, tab_of):
    """ASVS 6.5.5. A step of 30 seconds, and what a clock that is ahead and slow typing need."""
    phone, _ = turn_on(tab_of(scene.alice), scene.at)
    alice, box = scene.alice.id, Box(app.extensions["settings"].details_key, "two-step")
    begins = datetime.fromtimestamp(int(scene.at.timestamp()) // 30 * 30 + 300, UTC)
    typed = two_step.read(alice, phone.generate(begins).token)
    for seconds, good in ((-11, False), (-10, True), (0, True), (29, True), (49, True), (50, False), (80, False)):
        at = begins + timedelta(seconds=seconds)
        assert two_step.check(alice, typed, keep=box, at=at) is good, seconds
        session.rollback()  # each asks as the first


def test_recovery_codes_are_kept_as_passwords_are_and_hashed_before_a_write_begins(app, scene, tab_of, monkeypatch):
    """ASVS 6.5.2: argon2id with a salt. One hash for each code typed, whichever of the ten it is; none for an app's."""
    hashed, slow = [], low_level.hash_secret_raw

    def seen(secret, salt, **how):
        hashed.append((salt, how["memory_cost"], how["time_cost"], how["type"], bool(session.info.get("writing"))))
        return slow(secret, salt, **how)

    monkeypatch.setattr(low_level, "hash_secret_raw", seen)
    tab = tab_of(scene.alice)
    phone, codes = turn_on(tab, scene.at)
    kept = session.execute(sa.select(RecoveryCode.code_hash, RecoveryCode.salt)).all()
    assert len({one.code_hash for one in kept}) == 10 and len({one.salt for one in kept}) == 1
    (salt,) = {bytes.fromhex(one.salt) for one in kept}
    assert set(hashed) == {(salt, 19 * 1024, 2, low_level.Type.ID, False)} and len(hashed) == 10
    scene.later(seconds=31)
    for code, hashes in ((codes[7], 1), (codes[7], 1), ("aaaaa-aaaaa", 1), (phone.generate(scene.at).token, 0)):
        hashed.clear()
        other = Tab(app)
        other.try_to_sign_in(scene.alice.email)
        other.submit(other.get("/login/code").form(), code=code)
        assert len(hashed) == hashes and not any(writing for *_, writing in hashed), code
    session.rollback()
    assert two_step.codes_left(scene.alice.id) == 9


def test_the_page_says_how_many_recovery_codes_are_left_and_when_new_ones_are_due(scene, tab_of):
    tab = tab_of(scene.alice)
    turn_on(tab, scene.at)
    page = tab.get("/account/security")
    assert "Recovery codes: 10 of 10 left." in page.main and "before they run out" not in page.main
    for left, due in ((4, False), (3, True), (0, True)):
        used = session.scalars(sa.select(RecoveryCode).where(RecoveryCode.used_at.is_(None)).offset(left)).all()
        for code in used:
            code.used_at = scene.at
        session.commit()
        page = tab.get("/account/security")
        assert f"Recovery codes: {left} of 10 left." in page.main and ("before they run out" in page.main) is due


def test_secrets_of_apps_are_not_to_be_read_in_the_database(scene, tab_of):
    tab = tab_of(scene.alice)
    app_of(tab)
    secret = secret_on(tab.get("/account/two-step"))
    assert secret.lower() not in str(contents()).lower()
    assert tab.get("/account/two-step/qr.svg").body.startswith(b"<?xml")


# --- passkeys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "works"),
    [("http://127.0.0.1:8000", False), ("http://localhost:8000", True), ("https://friends.example.com", True),
     ("http://friends.example.com", False), ("https://[::1]", False)],
)  # fmt: skip
def test_passkeys_are_offered_where_browsers_make_them(origin, works):
    assert Place(origin, "Friends").works is works


def test_an_answer_that_nobody_asked_for_signs_nobody_in(app, scene, tab):
    assert scene.alice
    with Unchanged(*SEEN):
        for answer in (
            "",
            "{}",
            "null",
            "[]",
            json.dumps({"id": "x", "rawId": "eA", "response": {}, "type": "public-key"}),
            "x" * 30_000,
            "[" * 8_000,
            '{"response":' * 1_600,
        ):
            page = tab.post("/passkey", {"answer": answer})
            assert page.location == "/login"
            tab.post("/passkey/question")
            page = tab.post("/passkey", {"answer": answer})
            assert page.location == "/login" and not tab.is_signed_in()


@pytest.mark.parametrize("answer", ["[" * 8_000, '{"response":' * 1_600, "null", "{}"])
def test_an_answer_that_is_none_makes_no_passkey(scene, tab_of, answer):
    tab = tab_of(scene.alice)
    with Unchanged(*SEEN):
        tab.post("/passkey/question")
        page = tab.post("/account/passkeys", {"passkey-answer": answer}, follow=True)
        assert "This passkey could not be taken. Try again." in page.text


def test_only_ones_own_passkey_can_be_removed(scene, tab_of):
    number = scene.alice.id
    with writing():
        key = Passkey(user_id=number, credential="eA", public_key="eA", name="Mine", made_at=scene.at)
        session.add(key)
    name = key.public_id
    assert tab_of(scene.bob).post(f"/account/passkeys/{name}/removal").status == 404
    tab = tab_of(scene.alice)
    form = tab.get("/account/security").form(f"/account/passkeys/{name}/removal")
    with Unchanged(*SEEN):
        page = tab.submit_with(form, {"removal-current": "not the password"})
        assert page.status == 422 and "This password is not right." in page.text
    tab.submit_with(form, {"removal-current": PASSWORD})
    session.rollback()
    assert passkeys.of_person(scene.alice.id) == []


def test_what_others_read_of_ones_name_is_shown_as_it_is_typed_and_may_be_hidden_from_who_invited_one(scene, tab_of):
    tab = tab_of(scene.bob)
    typed = tab.get("/account/name/shown?name=Robert+Roe&shows_name=y", headers={"HX-Request": "true"})
    assert "“Robert gives you …”" in typed.text and "Who invited you reads: Robert." in typed.text
    hidden = tab.get("/account/name/shown?name=evil.example", headers={"HX-Request": "true"})
    assert "“A friend gives you …”" in hidden.text and "Who invited you reads: b•••@example.com." in hidden.text
    assert "Bob" in tab_of(scene.alice).get("/friends").text
    tab.get("/account")
    tab.press("/account", "/account/name", name="Robert", shows_name=None)
    session.rollback()
    assert (scene.bob.name, scene.bob.shows_name) == ("Robert", False)
    seen = tab_of(scene.alice).get("/friends").text
    assert "b•••@example.com" in seen and "Robert" not in seen


# --- data and deletion ----------------------------------------------------------------------------------------


def test_a_code_of_ones_own_is_chosen_and_the_page_says_from_when_on_another_one_can_be(scene, tab_of):
    tab, before = tab_of(scene.alice), scene.code(scene.alice)
    page = tab.submit(tab.get("/account").form("/account/code"), code="not a code!")
    assert page.status == 422 and page.kept("code") == ["not a code!"] and page.error("code")
    page = tab.submit(tab.get("/account").form("/account/code"), code="Alice-7K")
    assert "Your code is Alice-7K." in page.main and "You can choose another one from 1 Oct 2026 on." in page.main
    assert not page.has_form("/account/code") and Tab(scene.app).get(f"/r/{before}", follow=False).status == 302
    again = tab.post("/account/code", {"code": "alice-8k"})
    assert again.status == 422 and "every 30 days" in again.error("code")
    scene.later(days=30, seconds=1)
    assert tab_of(scene.alice).get("/account").has_form("/account/code")


def test_ones_data_is_whole_and_nobody_elses(scene, tab_of):
    scene.paid_reward()
    scene.correct(scene.alice, 500)
    tab = tab_of(scene.alice)
    answer = tab.get("/account/data.json")
    told = json.loads(answer.body)
    assert "attachment" in answer.headers["Content-Disposition"]
    assert told["account"]["email"] == "alice@example.com" and told["balances"]["EUR"]["paid"] == 2000
    assert [one["state"] for one in told["rewards"]] == ["paid"] and told["rewards"][0]["amount_minor"] == 2000
    assert told["corrections"][0]["amount_minor"] == 500 and told["payouts"][0]["amount_minor"] == 2000
    assert told["friends"][0]["friend"] == "Bob" and told["mails"] and told["links"][0]["codes"]
    assert told["payout_methods"][0]["kind"] == "bank" and "replaced_at" in told["payout_methods"][0]
    scene.do(lambda: program.rename(scene.alice, "Alice", at=scene.at))
    again = json.loads(tab.get("/account/data.json").body)
    assert again["what_you_did"][-1]["verb"] == "user_renamed"
    said = answer.body.decode()
    assert "bob@example.com" not in said and "DE89" not in said and scene.alice.password not in said
    assert json.loads(tab_of(scene.bob).get("/account/data.json").body)["brought_by"]["referrer"] == "Alice"


@pytest.mark.case(27)
@pytest.mark.both_databases
def test_who_deletes_the_account_is_told_what_they_give_up_and_gone_after_it(app, scene, tab_of):
    scene.payable_reward()
    tab, other = tab_of(scene.alice), tab_of(scene.alice)
    page = tab.get("/account/data")
    assert "You give up €20.00." in page.text
    form = page.form("/account/deletion")
    with Unchanged(*SEEN, "sign_ins.token_hash"):
        assert tab.submit(form, current=PASSWORD).status == 422, "the box is not ticked"
        assert "changed since you looked" in tab.submit(form, current=PASSWORD, sure=True, gives_up="0").text
    page = tab.submit(tab.get("/account/data").form("/account/deletion"), current=PASSWORD, sure=True)
    assert "Your account is deleted." in page.text and not tab.is_signed_in() and not other.is_signed_in()
    assert "do not match" in Tab(app).try_to_sign_in("alice@example.com").text
    friend, owner = tab_of(scene.bob), tab_of(scene.olivia)
    number = scene.alice.public_id
    for reader, path in ((friend, "/dashboard"), (friend, "/rewards"), (owner, "/admin"), (owner, f"/admin/people/{number}"),
                         (owner, "/admin/people"), (owner, "/admin/rewards?show=all"), (owner, "/admin/audit"), (owner, "/admin/payouts"),
                         (owner, f"/admin/referrals/{scene.referral(scene.bob).public_id}"), (owner, "/admin/reports")):  # fmt: skip
        page = reader.get(path)
        assert page.status == 200 and "alice" not in page.text.lower(), path


def test_an_owner_deletes_an_account_that_was_asked_for_by_their_own_password(scene, tab_of):
    tab, name = tab_of(scene.olivia), scene.bob.public_id
    path = f"/admin/people/{name}"
    with Unchanged(*SEEN):
        wrong = tab.submit(tab.get(path).form("/erasure"), current="not it", sure=True)
        assert wrong.status == 422 and wrong.error("current") == "This password is not right."
    assert "The account is deleted" in tab.submit(tab.get(path).form("/erasure"), current=PASSWORD, sure=True).text
    assert find_by_email("bob@example.com") is None
    assert not tab.get(path).has_form("/erasure")


def test_the_command_deletes_an_account_once_it_is_told_to(run, scene, monkeypatch):
    scene.payable_reward()
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run("erase-user", "alice@example.com").code != 0
    assert find_by_email("alice@example.com") is not None
    done = run("erase-user", "alice@example.com", "--yes")
    assert done.code == 0 and "They give up €20.00" in done.out
    session.rollback()
    assert find_by_email("alice@example.com") is None
    assert "nobody has this address" in run("erase-user", "alice@example.com", "--yes").err


# --- money ----------------------------------------------------------------------------------------------------


@pytest.mark.own_app
def test_before_money_leaves_a_second_step_is_asked_for(app, scene, tab_of):
    scene.payable_reward()
    batch = scene.batch()
    app.extensions["settings"] = dataclasses.replace(app.extensions["settings"], require_two_step=True)
    tab = tab_of(scene.finn)
    with Unchanged(*SEEN):
        page = tab.post(f"/admin/payouts/{batch.public_id}/approval", follow=True)
        assert page.path == "/account/security" and "Before money leaves" in page.text
    turn_on(tab, scene.at)
    assert tab.post(f"/admin/payouts/{batch.public_id}/approval").status == 302
    session.rollback()
    assert batch.state == "approved"


class Key:
    """A passkey in the hand of a test: it answers as a phone does."""

    def __init__(self, person, at):
        self.private = ec.generate_private_key(ec.SECP256R1())
        numbers = self.private.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        self.id, number = bytes_to_base64url(b"a key"), person.id
        with writing():
            kept = Passkey(
                user_id=number, credential=self.id, public_key=bytes_to_base64url(cbor2.dumps(public)), name="K",
                made_at=at,
            )  # fmt: skip
            session.add(kept)

    def show(self, tab):
        """Answers the question of the page, and follows to where that leads."""
        asked = json.loads(tab.post("/passkey/question").body)["challenge"]
        told = json.dumps({"type": "webauthn.get", "challenge": asked, "origin": tab.base_url}).encode()
        data = hashlib.sha256(b"127.0.0.1").digest() + b"\x05" + bytes(4)
        signed = self.private.sign(data + hashlib.sha256(told).digest(), ec.ECDSA(SHA256()))
        parts = {"clientDataJSON": told, "authenticatorData": data, "signature": signed}
        response = {name: bytes_to_base64url(part) for name, part in parts.items()}
        answer = {"id": self.id, "rawId": self.id, "response": response, "type": "public-key"}
        return tab.post("/passkey", {"answer": json.dumps(answer)}, follow=True)


@pytest.mark.own_app
def test_before_money_leaves_a_passkey_counts_only_where_it_was_shown(app, scene, tab_of):
    scene.payable_reward()
    path = f"/admin/payouts/{scene.batch().public_id}/approval"
    app.extensions["settings"] = dataclasses.replace(app.extensions["settings"], require_two_step=True)
    key, tab = Key(scene.finn, scene.at), Tab(app)
    tab.sign_in(scene.finn.email)
    with Unchanged(*SEEN):
        page = tab.post(path, follow=True)
        assert page.path == "/account/security" and "sign in with your passkey" in page.text
    assert key.show(tab).path == "/admin/payouts", "shown in the sign-in that is there"
    assert "The batch is approved" in tab.post(path, follow=True).text
    scene.later(seconds=1)
    fresh = Tab(app)
    key.show(fresh)
    assert fresh.is_signed_in()
    assert "Nothing was paid" not in fresh.post(path, follow=True).text, "or in one of its own"
    scene.later(seconds=1)
    other = tab_of(scene.rita)
    key.show(other)
    assert "Nothing was paid" not in other.page.text and access.BY_PASSKEY not in kept_by(other), "somebody else's"


def kept_by(tab):
    with tab.client.session_transaction(base_url=tab.base_url) as kept:
        return dict(kept)


def test_moments_are_told_by_ones_own_clocks(scene, tab_of):
    tab = tab_of(scene.alice)
    before = tab.get("/account/security").html
    tab.press("/account", "/account/time-zone", time_zone="Asia/Tokyo")
    told = tab.get("/account/security").html
    assert "21:00" in told and "21:00" not in before, "noon in Greenwich is nine in the evening there"
    assert (
        "Write a time zone such as Europe/Berlin."
        in tab.press("/account", "/account/time-zone", time_zone="Nowhere").text
    )
    for typed, zone in ((" europe/berlin", "Europe/Berlin"), ("AMERICA/new york", "America/New_York"), ("utc", "UTC")):
        page = tab.press("/account", "/account/time-zone", time_zone=typed)
        assert "Write a time zone" not in page.text and tab.get("/account").kept("time_zone") == [zone]


def test_the_page_of_privacy_names_how_long_every_mailed_link_works(scene, tab, monkeypatch):
    spans = {
        Purpose.CONFIRM: ("to confirm the address of a new account: 2 days", "Kontos zu bestätigen: 2 Tage"),
        Purpose.RESET: ("to set a new password: 2 hours", "neues Passwort zu setzen: 2 Stunden"),
        Purpose.JOIN: ("to join as a colleague: 3 days", "mitzuarbeiten: 3 Tage"),
        Purpose.MOVE: ("to confirm another address for an account: 24 hours", "zu bestätigen: 24 Stunden"),
        Purpose.MOVE_BACK: ("to go back to the address of before: 7 days", "zurückzugehen: 7 Tage"),
    }
    assert set(spans) == set(Purpose) - {Purpose.SET_UP}, "which is printed, not mailed"
    said = tab.get("/privacy").text
    in_german = tab.get("/privacy", headers={"Accept-Language": "de"}).text
    for english, german in spans.values():
        assert english in said and german in in_german
    monkeypatch.setitem(one_time.MAILED, Purpose.JOIN, timedelta(days=5))
    assert "to join as a colleague: 5 days" in tab.get("/privacy").text, "by what holds, not by what was written"
