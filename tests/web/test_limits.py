"""Twenty fast attempts are stopped, and whoever is honest still gets in: by account and network, never by account alone."""

import dataclasses
import re

import pytest
from passlib.totp import TOTP

from portal.accounts import two_step
from portal.accounts.users import find_by_email
from portal.core.sealed import Box
from portal.rewards import signals
from tests.factories import PASSWORD
from tests.web.client import Tab
from tests.web.keys import Shop
from tests.web.tables import changes, contents


@pytest.fixture
def settings(settings):
    """A portal with its limits on, as it is served."""
    return dataclasses.replace(settings, rate_limits=True)


def fast(app, path, fields, count=20, address="198.51.100.7"):
    """Attempts by one browser, one after the other; what came back. The form is taken from its page once."""
    tab = Tab(app, address=address)
    form = tab.get(path).form(f"{path.split('?')[0]}$")
    return [
        tab.submit(form, follow=False, **{name: value.format(n) for name, value in fields.items()})
        for n in range(count)
    ]


def limited(pages):
    """How many got through before the first 429; every one after it must be one too, and say when to come back."""
    statuses = [page.status for page in pages]
    assert 429 in statuses, statuses
    first = statuses.index(429)
    assert set(statuses[first:]) == {429}, statuses
    for page in pages[first:]:
        assert 0 < int(page.headers["Retry-After"]) <= 3600
        assert "Too many tries" in page.heading and "Nothing was changed" in page.main
    return first


@pytest.mark.case(113)
def test_guessing_alices_password_is_stopped_and_alice_gets_in_from_elsewhere(app, scene):
    assert scene.alice and scene.carol
    guesses = fast(app, "/login", {"email": "alice@example.com", "password": "a wrong guess {}"})
    assert limited(guesses) == 10
    thief = Tab(app)
    assert thief.try_to_sign_in("alice@example.com", follow=False).status == 429  # with the right one too
    Tab(app, address="203.0.113.9").sign_in("alice@example.com")
    Tab(app).sign_in("carol@example.com")  # from the same network, another account


@pytest.mark.case(113)
def test_the_wait_that_is_told_is_enough(app, scene):
    assert scene.alice
    pages = fast(app, "/login", {"email": "alice@example.com", "password": "a wrong guess {}"}, count=12)
    limited(pages)
    scene.later(seconds=int(pages[-1].headers["Retry-After"]) + 1)
    Tab(app).sign_in("alice@example.com")


def test_one_password_tried_on_many_accounts_is_stopped_by_network(app, scene):
    assert scene.alice
    assert limited(fast(app, "/login", {"email": "person{}@example.com", "password": PASSWORD}, count=65)) == 60
    Tab(app, address="203.0.113.9").sign_in("alice@example.com")


def test_the_spelling_of_an_address_is_no_way_round_the_limit(app, scene):
    assert scene.alice
    tab = Tab(app)
    form = tab.get("/login").form("/login")
    spelled = ["alice@example.com", "ALICE@example.com", " Alice@Example.com ", "aLiCe@example.com"] * 4
    pages = [tab.submit(form, follow=False, email=email, password="a wrong guess") for email in spelled]
    assert limited(pages) == 10


@pytest.mark.case(48, 113)
def test_sign_ups_by_the_hundred_are_stopped_and_an_honest_friend_elsewhere_gets_in(app, scene):
    fields = {"email": "sock{}@example.com", "password": PASSWORD, "terms": "y"}
    assert limited(fast(app, f"/signup?ref={scene.code(scene.mallory)}", fields, count=35)) == 30
    assert find_by_email("sock29@example.com") and not find_by_email("sock30@example.com")
    Tab(app, address="203.0.113.9").sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}")
    assert scene.referral(find_by_email("bob@example.com")).referrer_id == scene.alice.id


@pytest.mark.case(48)
def test_many_sign_ups_of_one_network_wait_for_a_look(app, scene):
    fields = {"email": "sock{}@example.com", "password": PASSWORD, "terms": "y"}
    fast(app, f"/signup?ref={scene.code(scene.mallory)}", fields, count=12)
    last = scene.referral(find_by_email("sock11@example.com"))
    assert signals.assessments({last.id})[last.id] != signals.Assessment.CLEAR


@pytest.mark.case(113)
@pytest.mark.parametrize("path", ["/reset", "/confirm"])
def test_nobodys_mailbox_is_flooded_and_the_owner_can_still_ask(app, scene, path):
    assert scene.alice
    scene.sign_up("Ula")
    email = "alice@example.com" if path == "/reset" else "ula@example.com"
    before = len(scene.mails())
    assert limited(fast(app, path, {"email": email})) == 5
    assert len(scene.mails()) - before == 5
    assert Tab(app, address="203.0.113.9").press(path, email=email).status == 200
    assert Tab(app).press(path, email="somebody@example.com").status == 200


def test_one_network_asks_for_so_many_mails_and_no_more(app, scene):
    assert limited(fast(app, "/reset", {"email": "person{}@example.com"}, count=33)) == 30


@pytest.mark.case(113)
@pytest.mark.parametrize("path", ["/r/guess{}", "/confirm/guess{}", "/reset/guess{}", "/setup/guess{}"])
def test_guessing_codes_and_secrets_is_stopped_and_a_right_link_still_opens(app, scene, path):
    code, tab = scene.code(scene.alice), Tab(app)
    token = tab.token()

    def guess(number):
        if path.startswith("/r/"):
            return tab.get(path.format(number))
        return tab.post(path.format(number), {"csrf_token": token, "password": "a new password of 12"})

    assert limited([guess(number) for number in range(35)]) == 30
    assert Tab(app).get(f"/r/{code}").location == f"/signup?ref={code}"
    assert Tab(app, address="203.0.113.9").get("/r/guess").status == 404


@pytest.mark.case(113)
def test_guessing_keys_is_stopped_and_the_shop_with_its_key_is_not(app, scene):
    shop, thief = Shop(app), Shop(app, secret="rp_guess")
    answers = [thief.get("rewards") for _ in range(62)]
    assert [answer.status_code for answer in answers] == [401] * 60 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) > 0
    other = app.test_client()
    said = {"Authorization": f"Bearer {shop.secret}"}
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    assert other.get("/api/v1/rewards", headers=said, environ_overrides=elsewhere).status_code == 200


def test_a_shop_that_reports_much_is_never_stopped(app, scene):
    shop = Shop(app)
    shop.customer()
    assert {shop.order(f"o-{number}").status_code for number in range(80)} == {201}


def test_a_whole_network_of_the_new_internet_is_one(app, scene):
    assert scene.alice
    tab = Tab(app)
    form = tab.get("/login").form("/login")
    pages = []
    for number in range(12):
        tab.address = f"2001:db8:1:{number:x}::{number:x}"
        pages.append(tab.submit(form, follow=False, email="alice@example.com", password="a wrong guess"))
    assert limited(pages) == 10
    Tab(app, address="2001:db8:2::1").sign_in("alice@example.com")


def test_what_is_stopped_changes_nothing(app, scene):
    assert scene.alice
    fields = {"email": "sock{}@example.com", "password": "short", "terms": "y"}
    limited(fast(app, "/signup", fields, count=31))
    before = contents()
    limited(fast(app, "/signup", fields | {"password": PASSWORD}, count=3))
    assert not changes(before, contents())


def test_wrong_passwords_in_a_browser_left_open_are_counted(app, scene):
    tab = Tab(app)
    tab.sign_in(scene.alice.email)
    form = tab.get("/account/security").form("/account/address")
    pages = [
        tab.submit_with(form, {"address-email": "new@example.com", "address-current": f"guess {number}"}, follow=False)
        for number in range(12)
    ]
    assert limited(pages) == 10
    Tab(app).sign_in(scene.alice.email)


def test_a_box_that_was_not_ticked_is_no_wrong_password(app, scene):
    tab = Tab(app)
    tab.sign_in(scene.alice.email)
    form = tab.get("/account/data").form("/account/deletion")
    for _ in range(12):
        page = tab.submit(form, follow=False, current=PASSWORD)
        assert page.status == 422 and page.error("sure")
    for number in range(11):
        page = tab.submit(form, follow=False, current=f"guess {number}", sure=True)
    assert page.status == 429, "wrong ones are counted here too"


def with_two_step(app, scene):
    """Alice turns two-step on."""
    number, box = scene.alice.id, Box(app.extensions["settings"].details_key, "two-step")
    scene.do(lambda: two_step.begin(number, called="Alice", issuer="Friends", keep=box, at=scene.at))
    offered = two_step.offered(number, called="Alice", issuer="Friends", keep=box)
    first = TOTP(key=offered.secret.replace(" ", "")).generate(scene.at).token
    codes = two_step.make_codes(number)
    scene.do(lambda: two_step.turn_on(number, first, codes=codes, keep=box, at=scene.at))


def test_codes_of_the_second_step_are_not_guessed(app, scene):
    with_two_step(app, scene)
    tab = Tab(app)
    tab.try_to_sign_in(scene.alice.email)
    form = tab.get("/login/code").form()
    assert limited([tab.submit(form, follow=False, code=f"{number:06}") for number in range(12)]) == 10
    assert re.search(r"Try again in [45] minutes", tab.page.main), "and not in hundreds of seconds"
    assert not tab.page.has_form("/reset") and "/reset" not in tab.page.html, "a new password would not help"


def test_who_is_stopped_by_somebody_elses_codes_is_told_the_way_out(app, scene):
    with_two_step(app, scene)
    tab = Tab(app)
    tab.try_to_sign_in(scene.alice.email)
    form, pages = tab.get("/login/code").form(), []
    for number in range(22):
        tab.address = f"203.0.{number}.1"
        pages.append(tab.submit(form, follow=False, code=f"{number:06}"))
    assert limited(pages) == 20
    assert re.search(r"Try again in (59|60) minutes", tab.page.main)
    assert "choose a new password, and codes are counted anew" in tab.page.main and "/reset" in tab.page.html
