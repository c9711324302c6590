"""What a stranger finds out about accounts: neither who has one, nor by guessing how to get in.

Tested elsewhere: the answers to known and unknown addresses (`test_sign_in`, `test_sign_up`), how often one may guess
(`test_limits`), many at once (`tests/domain/races_of_people.py`).
"""

import dataclasses
import json
import re

import pytest
from argon2 import low_level

from portal.accounts.passkeys import Passkey
from portal.accounts.users import User
from portal.core.database import session, writing
from tests.factories import PASSWORD
from tests.web.client import Tab
from tests.web.second_step import half, two_step_on

NEW = "quite another password"


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
