"""A friend signs up over HTTP: the link, the form, the mail, the button; and what others may not make of it."""

import re

import flask_security
import pytest
import sqlalchemy as sa

from portal.accounts import users
from portal.accounts.one_time import OneTimeKey
from portal.accounts.users import User, find_by_email
from portal.core.database import session
from portal.referrals.referrals import Referral
from portal.sharing.clicks import Click
from tests.factories import PASSWORD
from tests.web.client import Tab
from tests.web.tables import Unchanged


def counted(model):
    session.rollback()
    return session.scalar(sa.select(sa.func.count()).select_from(model))


def confirm_page(scene, email):
    """Where the mailed button is, for whoever has this address."""
    return f"/confirm/{scene.secret_for(find_by_email(email))}"


@pytest.mark.case(1, 14)
def test_a_friend_follows_the_link_signs_up_confirms_signs_out_and_in_again(scene, tab):
    page = tab.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}", name="Bob")
    assert page.path == "/check-your-email"
    assert "b•••@example.com" in page.text and "bob@example.com" not in page.text
    bob = find_by_email("bob@example.com")
    assert (scene.referral(bob).referrer_id, bob.confirmed_at) == (scene.alice.id, None)
    welcome = tab.press(confirm_page(scene, "bob@example.com"))
    assert welcome.path == "/welcome"
    assert find_by_email("bob@example.com").confirmed_at is not None
    tab.sign_out()
    tab.sign_in("bob@example.com")
    assert counted(Referral) == counted(Click) == 1


@pytest.mark.case(25)
def test_somebody_without_a_link_signs_up_and_belongs_to_nobody(scene, tab):
    tab.sign_up("carol@example.com")
    assert scene.referral(find_by_email("carol@example.com")) is None


@pytest.mark.case(15)
def test_who_comes_back_the_next_day_still_belongs_to_alice(scene, tab):
    tab.get(f"/r/{scene.code(scene.alice)}", follow=True)
    for path in (
        "/",
        "/terms",
        "/privacy",
        "/help",
        "/login",
        "/reset",
        "/signup",
        "/confirm",
        "/nothing",
        "/robots.txt",
    ):
        tab.get(path)
    scene.later(days=1)
    tab.sign_up("bob@example.com")
    assert scene.referral(find_by_email("bob@example.com")).referrer_id == scene.alice.id
    assert counted(Click) == 1


@pytest.mark.case(23)
def test_signing_in_and_out_in_between_does_not_lose_the_link(scene, tab):
    carol = scene.carol.email
    tab.get(f"/r/{scene.code(scene.alice)}", follow=True)
    tab.sign_in(carol)
    tab.sign_out()
    tab.sign_up("bob@example.com")
    assert scene.referral(find_by_email("bob@example.com")).referrer_id == scene.alice.id


@pytest.mark.case(24)
def test_somebody_with_an_account_who_follows_a_link_becomes_nobodys_friend(scene, tab, tab_of):
    carol = tab_of(scene.carol)
    page = carol.get(f"/r/{scene.code(scene.alice)}", follow=True)
    assert "You already have an account" in page.heading
    fresh = Tab(scene.app)
    fresh.get(f"/r/{scene.code(scene.alice)}", follow=True)
    fresh.sign_in(scene.carol.email)
    assert scene.referral(scene.carol) is None and counted(Referral) == 0


@pytest.mark.case(20, 22)
def test_a_code_that_was_typed_goes_before_the_link_that_was_opened(scene, tab):
    typed = f"  {scene.code(scene.carol).upper()} "
    tab.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}", code=typed)
    referral = scene.referral(find_by_email("bob@example.com"))
    assert (referral.referrer_id, referral.how) == (scene.carol.id, "code")


@pytest.mark.case(21)
def test_a_code_that_nobody_has_is_said_at_the_field_and_what_was_typed_stays(scene, tab):
    assert scene.alice
    with Unchanged("clicks"):
        page = tab.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}", name="Bob", code="nobody-has-it")
        assert page.status == 422
        assert "We do not know this code" in page.error("code")
        assert [page.kept(name) for name in ("email", "name", "code")] == [
            ["bob@example.com"],
            ["Bob"],
            ["nobody-has-it"],
        ]
        assert page.kept("password") == [""]
    tab.submit(page.form("/signup$"), password=PASSWORD, code="", terms=True)
    assert scene.referral(find_by_email("bob@example.com")).referrer_id == scene.alice.id


def test_a_bad_code_in_the_address_does_not_wipe_out_the_link_that_was_opened(scene, tab):
    tab.get(f"/r/{scene.code(scene.alice)}", follow=True)
    tab.sign_up("bob@example.com", at="/signup?ref=nobody-has-it")
    assert scene.referral(find_by_email("bob@example.com")).referrer_id == scene.alice.id


@pytest.mark.case(50)
def test_nobody_becomes_the_friend_of_their_own_friend(scene, tab):
    """A's link brings B; then A, under no new account, cannot be brought by B."""
    bob = scene.bob
    page = tab.sign_up("alice@example.com", at=f"/r/{scene.code(bob)}")
    assert page.path == "/check-your-email"
    assert scene.referral(scene.alice) is None and counted(Referral) == 1


@pytest.mark.case(37)
def test_ones_own_link_with_ones_own_address_makes_nothing(scene, tab):
    code = scene.code(scene.alice)
    with Unchanged("clicks", "outbox"):
        assert tab.sign_up("alice@example.com", at=f"/r/{code}").path == "/check-your-email"
    assert [mail.kind for mail in scene.mails(to=scene.alice)][-1] == "already_registered"


@pytest.mark.case(18)
def test_a_second_sign_up_under_another_link_changes_nothing(scene, tab):
    tab.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}")
    Tab(scene.app, address="203.0.113.9").sign_up("bob@example.com", at=f"/r/{scene.code(scene.carol)}")
    bob = find_by_email("bob@example.com")
    assert scene.referral(bob).referrer_id == scene.alice.id
    assert counted(Referral) == 1
    tab.press(confirm_page(scene, "bob@example.com"))
    assert scene.referral(bob).referrer_id == scene.alice.id


@pytest.mark.case(18)
@pytest.mark.both_databases
def test_whose_own_sign_up_is_confirmed_has_the_name_and_referrer_of_that_one(scene, tab):
    """Mallory signs up with Bob's address by Carol's link, from elsewhere; Bob comes by Alice's, and confirms his own."""
    mallory = Tab(scene.app, address="203.0.113.66")
    mallory.sign_up("bob@example.com", at=f"/r/{scene.code(scene.carol)}", password=HERS, name="Evil", shows_name=True)
    number = find_by_email("bob@example.com").id
    tab.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}", name="Bob", shows_name=True)
    welcome = tab.press(confirm_page(scene, "bob@example.com"))
    bob = session.get_one(User, number)
    referral = scene.referral(bob)
    assert (bob.name, referral.referrer_id, referral.code) == ("Bob", scene.alice.id, scene.code(scene.alice))
    assert "Welcome, Bob" in welcome.text and "Evil" not in welcome.text and counted(Referral) == 1
    assert len(scene.mails("friend_joined", to=scene.alice)) == 1
    assert not scene.mails("friend_joined", to=scene.carol)


@pytest.mark.case(18)
def test_a_sign_up_of_ones_own_without_a_link_or_beside_the_first_one_leaves_the_referrer(scene, tab):
    Tab(scene.app, address="203.0.113.66").sign_up("bob@example.com", at=f"/r/{scene.code(scene.carol)}")
    tab.sign_up("bob@example.com")
    tab.press(confirm_page(scene, "bob@example.com"))
    assert scene.referral(find_by_email("bob@example.com")).referrer_id == scene.carol.id
    Tab(scene.app).sign_up("dora@example.com", at=f"/r/{scene.code(scene.carol)}")
    beside = Tab(scene.app)
    beside.sign_up("dora@example.com", at=f"/r/{scene.code(scene.alice)}")
    beside.press(confirm_page(scene, "dora@example.com"))
    assert scene.referral(find_by_email("dora@example.com")).referrer_id == scene.carol.id


def test_who_confirms_elsewhere_sees_the_address_and_sets_the_name_right(scene, tab):
    mallory = Tab(scene.app, address="203.0.113.66")
    mallory.sign_up("bob@example.com", password=HERS, name="Evil")
    page = tab.get(confirm_page(scene, "bob@example.com"))
    assert 'value="bob@example.com" readonly' in page.html and page.form("/confirm/").fields["name"] == ["Evil"]
    assert tab.submit(page.form("/confirm/"), password=PASSWORD, name="Bob").path == "/welcome"
    assert find_by_email("bob@example.com").name == "Bob"


def test_a_password_typed_on_the_mailed_page_counts_wherever_it_is_sent_from(scene, tab):
    """Asked for on the way, and sent from the network of the sign-up."""
    tab.sign_up("bob@example.com", password=HERS)
    path, phone = confirm_page(scene, "bob@example.com"), Tab(scene.app, address="203.0.113.50")
    form = phone.get(path).form("/confirm/")
    phone.address = tab.address
    assert phone.submit(form, password=PASSWORD).path == "/welcome"
    assert "do not match" in Tab(scene.app).try_to_sign_in("bob@example.com", HERS).text
    Tab(scene.app).sign_in("bob@example.com")


def test_who_is_signed_in_as_somebody_else_is_told_so_before_confirming(scene, tab, tab_of):
    tab.sign_up("bob@example.com")
    page = tab_of(scene.alice).get(confirm_page(scene, "bob@example.com"))
    assert "You are signed in as Alice. This signs you in to the other account instead." in page.text


# --- the mailed button ----------------------------------------------------------------------------------------


def test_looking_at_the_mailed_page_confirms_nothing(app, scene, tab):
    tab.sign_up("bob@example.com")
    path = confirm_page(scene, "bob@example.com")
    with Unchanged():
        for scanner in (Tab(app, agent="BarracudaCentral"), Tab(app, agent=""), Tab(app), tab):
            for _ in range(3):
                assert scanner.get(path).status == 200
                assert scanner.head(path).status == 200
                assert not scanner.is_signed_in()
    assert tab.press(path).path == "/welcome"


def test_the_button_works_once_and_in_any_browser(app, scene, tab):
    tab.sign_up("bob@example.com")
    path, phone = confirm_page(scene, "bob@example.com"), Tab(app, address="203.0.113.50")
    form = tab.get(path).form("/confirm/")
    assert phone.press(path, password=PASSWORD).path == "/welcome"
    with Unchanged():
        again = tab.submit(form)
        assert again.status == 410 and "Already confirmed" in again.heading
        assert "Already confirmed" in tab.get(path).heading
        assert not tab.is_signed_in()


def test_a_link_that_is_too_old_or_was_made_up_says_so(scene, tab, each):
    tab.sign_up("bob@example.com")
    path, token = confirm_page(scene, "bob@example.com"), tab.token()
    scene.later(days=2, minutes=1)
    secrets = [path.rpartition("/")[2], "nothing", "x" * 5000, "%ff", "ü", "..", "0"]
    for tried in each(secrets):
        with tried as secret:
            assert tab.get(f"/confirm/{secret}").status == (200 if secret == secrets[0] else 404)
            assert "Confirm e-mail" not in tab.page.text
            assert tab.post(f"/confirm/{secret}", {"csrf_token": token}).status in (404, 410)
    assert tab.press("/confirm", email="bob@example.com").path == "/check-your-email"
    assert tab.press(confirm_page(scene, "bob@example.com")).path == "/welcome"


def test_the_referrer_is_told_of_a_friend_once_the_address_is_theirs_for_sure(scene, tab):
    tab.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}")
    assert not scene.mails("friend_joined", to=scene.alice)
    tab.press(confirm_page(scene, "bob@example.com"))
    assert len(scene.mails("friend_joined", to=scene.alice)) == 1


@pytest.mark.case(51)
def test_before_the_address_is_confirmed_one_may_look_and_earns_nothing(scene, tab):
    tab.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}")
    bob = find_by_email("bob@example.com")
    tab.sign_in("bob@example.com")
    for path in ("/dashboard", "/friends", "/rewards", "/payouts", "/account"):
        assert tab.get(path).status == 200
    scene.later(minutes=1)
    assert scene.order(bob).conversion.applied_at is None
    assert scene.rewards(scene.alice) == []
    tab.press(confirm_page(scene, "bob@example.com"))
    assert len(scene.rewards(scene.alice)) == 1


# --- addresses of others --------------------------------------------------------------------------------------

HERS = "the password of mallory"


def test_who_confirms_gets_the_password_they_chose_and_not_one_chosen_for_them(app, scene, tab):
    mallory = Tab(app, address="203.0.113.66")
    mallory.sign_up("bob@example.com", password=HERS)
    mallory.sign_in("bob@example.com", HERS)
    tab.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}")
    tab.press(confirm_page(scene, "bob@example.com"))  # the second mail: his own
    assert not mallory.is_signed_in()
    assert "do not match" in mallory.try_to_sign_in("bob@example.com", HERS).text
    Tab(app).sign_in("bob@example.com")


@pytest.mark.both_databases
def test_in_another_browser_elsewhere_who_confirms_chooses_the_password(app, scene, tab):
    """Mallory signs up with Bob's address; Bob presses the button of the mail that this caused: she is out, he is in."""
    mallory = Tab(app, address="203.0.113.66")
    mallory.sign_up("bob@example.com", password=HERS)
    mallory.sign_in("bob@example.com", HERS)
    path = confirm_page(scene, "bob@example.com")
    page = tab.get(path)
    assert "Choose a password" in page.text and page.form("/confirm/").fields["password"] == [""]
    for wrong in ("", "short", "bob@example.com"):
        with Unchanged():
            assert tab.submit(page.form("/confirm/"), password=wrong).error("password")
    assert tab.submit(page.form("/confirm/"), password=PASSWORD).path == "/welcome" and tab.is_signed_in()
    assert not mallory.is_signed_in()
    assert "do not match" in Tab(app).try_to_sign_in("bob@example.com", HERS).text
    Tab(app).sign_in("bob@example.com")


def test_in_the_browser_that_signed_up_or_beside_it_nothing_more_is_asked(app, scene, tab):
    tab.sign_up("bob@example.com")
    tab.sign_in("bob@example.com")
    page = tab.get(confirm_page(scene, "bob@example.com"))
    assert "password" not in page.form("/confirm/").fields
    with Unchanged():
        for address, asked in (("198.51.100.99", False), ("203.0.113.50", True)):
            form = Tab(app, address=address).get(confirm_page(scene, "bob@example.com")).form("/confirm/")
            assert ("password" in form.fields) is asked, "beside it, as a telephone is, nothing either"
    assert tab.submit(page.form("/confirm/")).path == "/welcome"
    Tab(app).sign_in("bob@example.com")


def test_asking_for_the_mail_again_does_not_bring_back_the_strangers_password(app, scene, tab):
    mallory = Tab(app, address="203.0.113.66")
    mallory.sign_up("bob@example.com", password=HERS)
    tab.sign_up("bob@example.com")
    mallory.press("/confirm", email="bob@example.com")
    page = tab.get(confirm_page(scene, "bob@example.com"))
    assert "Choose a password" in page.text, "also in his own browser: the mail stands for neither sign-up"
    assert tab.submit(page.form("/confirm/"), password=PASSWORD).path == "/welcome"
    assert "do not match" in Tab(app).try_to_sign_in("bob@example.com", HERS).text
    Tab(app).sign_in("bob@example.com")


def test_the_mail_asked_for_again_stands_for_the_one_sign_up_there_was(app, scene, tab):
    scene.customer("c-1", "bob@example.com")
    tab.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}")
    for _ in range(2):
        tab.press("/confirm", email="bob@example.com")
    tab.press(confirm_page(scene, "bob@example.com"))
    assert scene.mails("reset") == []
    Tab(app).sign_in("bob@example.com")


def test_each_sign_up_is_confirmed_in_its_own_browser_and_then_the_other_mails_do_nothing_more(app, scene, tab):
    mallory = Tab(app, address="203.0.113.66")
    mallory.sign_up("bob@example.com", password=HERS)
    first = confirm_page(scene, "bob@example.com")
    tab.sign_up("bob@example.com")
    own = confirm_page(scene, "bob@example.com")
    for reader, path, asked in ((tab, first, True), (mallory, own, True), (mallory, first, False), (tab, own, False)):
        assert ("password" in reader.get(path).form("/confirm/").fields) is asked
    tab.press(own)
    with Unchanged():
        page = mallory.get(first)
        assert not page.has_form("/confirm/") and not mallory.is_signed_in()
    Tab(app).sign_in("bob@example.com")


def test_a_customer_whom_only_the_shop_knows_signs_up_and_keeps_the_orders(scene, tab):
    scene.customer("c-1", "bob@example.com", code=scene.code(scene.alice))
    scene.later(minutes=1)
    scene.order(find_by_email("bob@example.com"))
    tab.sign_up("bob@example.com")
    assert "do not match" in tab.try_to_sign_in("bob@example.com").text
    assert tab.press(confirm_page(scene, "bob@example.com")).path == "/welcome"
    assert counted(User) == 2 and len(scene.rewards(scene.alice)) == 1


# --- the same answer ------------------------------------------------------------------------------------------


def asked(app, path, known):
    """What the page at a path answers to an address; the address itself left out."""
    tab = Tab(app)
    email = "alice@example.com" if known == "known" else f"{known}@example.com"
    given = {"email": email} | ({"password": PASSWORD, "terms": True} if path == "/signup" else {})
    page = tab.submit(tab.get(path).form(f"{path}$"), follow=False, **given)
    shown = tab.get(page.location) if page.location else page
    body = shown.body if isinstance(shown.body, bytes) else b""
    for word in (tab.token(), email, f"{email[0]}•••@example.com"):
        body = body.replace(word.encode(), b"")
    return page.status, page.location, sorted(page.headers.keys()), shown.status, tokenless(body.decode())


def tokenless(html):
    return re.sub(r'(name="(?:csrf_token|form_token)" value=")[^"]*', r"\1", html)


@pytest.mark.case(32)
@pytest.mark.parametrize("path", ["/signup", "/reset", "/confirm"])
def test_nobody_learns_whether_an_address_has_an_account(app, scene, path):
    assert scene.alice
    scene.sign_up("Amy", email="amy@example.com")  # not confirmed
    scene.customer("c-1", "ann@example.com")  # told by the shop
    known, unknown, unconfirmed, customer = (asked(app, path, who) for who in ("known", "arthur", "amy", "ann"))
    assert known == unknown == unconfirmed == customer


def test_a_known_address_costs_a_sign_up_as_much_work_as_an_unknown_one(app, scene, monkeypatch):
    """Time is the other way to learn it: the slow part, the hash, is done for both."""
    assert scene.alice
    hashes = []
    monkeypatch.setattr(users, "hash_password", lambda word: hashes.append(word) or flask_security.hash_password(word))
    for email in ("alice@example.com", "arthur@example.com"):
        Tab(app).sign_up(email)
    assert len(hashes) == 2


def test_the_owner_of_an_account_is_told_at_most_once_an_hour(app, scene):
    assert scene.alice
    for _ in range(3):
        Tab(app).sign_up("alice@example.com")
    assert len(scene.mails("already_registered")) == 1
    scene.later(hours=1)
    Tab(app).sign_up("alice@example.com")
    assert len(scene.mails("already_registered")) == 2


def test_secrets_are_kept_as_hashes_only(scene, tab):
    tab.sign_up("bob@example.com")
    path = confirm_page(scene, "bob@example.com")
    (key,) = session.scalars(sa.select(OneTimeKey).where(OneTimeKey.user_id == find_by_email("bob@example.com").id))
    assert path.rpartition("/")[2] not in (key.token_hash, key.password)
    assert key.password.startswith("$argon2id$") and PASSWORD not in key.password
