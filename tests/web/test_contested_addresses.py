"""An address that two people want: an account set up with somebody else's, and one that moves and is taken back.

Tested elsewhere: passwords chosen for somebody else's address (`test_sign_up`), a move as it should be (`test_accounts`).
"""

import re

import pytest

from portal import program
from portal.accounts import passkeys, two_step
from portal.accounts.passkeys import Passkey
from portal.accounts.roles import Role
from portal.accounts.users import User, find_by_email
from portal.core.database import session, writing
from portal.payouts import methods
from tests.factories import PASSWORD
from tests.web.client import Tab
from tests.web.second_step import two_step_on
from tests.web.tables import SEEN, Unchanged

HERS = "the password of mallory"
NEW = "quite another password"


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
    assert "too old" in Tab(app).get(f"/confirm/{older}").heading
    assert Tab(app).post(f"/confirm/{older}", {"password": NEW}).status == 410
    session.rollback()
    assert session.get_one(User, number).confirmed_at is None


def test_who_has_confirmed_the_old_address_keeps_it(app, scene, alice_moves):
    (back,) = alice_moves("new@example.net")
    bob = scene.person("Bob", email="alice@example.com")
    assert Tab(app).post(back).status == 410
    session.rollback()
    assert find_by_email("alice@example.com").id == bob.id


NOTHING_OF_THE_OLD_ONE = {
    "en": "The link works for 2 hours, once. If you did not ask for it, leave it: this mail by itself changes nothing.",
    "de": "Der Link gilt 2 Stunden, einmal. Wenn du ihn nicht angefordert hast, lass ihn liegen: Diese Mail allein ändert"
    " nichts.",
}
"""What the mail with a link for a new password says beside its link."""


@pytest.mark.parametrize("spoken", NOTHING_OF_THE_OLD_ONE)
def test_the_mail_for_a_new_password_after_the_way_back_does_not_say_that_the_old_one_stays(
    spoken, app, scene, alice_moves
):
    """It is gone, since a thief may have known it."""
    number = scene.alice.id
    scene.do(lambda: program.choose_language(User.by_id(number), spoken))
    (back,) = alice_moves("thief@example.net")
    Tab(app).press(back)
    assert "do not match" in Tab(app).try_to_sign_in("alice@example.com").text
    (mail,) = scene.mails("reset")
    said = mail.text.partition("/reset/")[2].partition("\n")[2].strip().split("\n\n")
    assert mail.to == "alice@example.com" and said[0] == NOTHING_OF_THE_OLD_ONE[spoken]
    assert not re.search("(?i)old password|password (stays|remains)|altes Passwort|Passwort bleibt", mail.text)


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
    assert "We sent a link to mine@example.net" in page.text and not scene.mails("address_wanted")
    Tab(app).press(path_in(scene.mails("address_confirm")[-1]))
    session.rollback()
    assert find_by_email("mine@example.net").id == scene.alice.id
    assert session.get_one(User, number).erased_at is not None
