"""Customers: people whom the shop reports. One table of people, whichever way somebody came first."""

from datetime import timedelta

import pytest

from portal.accounts.users import BadAddress, User
from portal.core.database import session
from portal.referrals.attribution import How
from portal.rewards.conversions import Answer, Customer, ReportRefused
from tests.factories import Scene, fixed

pytestmark = pytest.mark.both_databases

VISITOR = "the-visitor-in-testsA"


def test_a_customer_reported_with_a_code_is_the_referrers_friend(scene: Scene) -> None:
    bob, new = scene.customer("C-7", "Bob@Example.COM", name="Bob Bold", code=scene.code(scene.alice).upper())
    referral = scene.referral(bob)
    assert new and (bob.email, bob.external_id, bob.password) == ("Bob@example.com", "C-7", None)
    assert referral is not None and (referral.referrer_id, referral.how) == (scene.alice.id, How.SHOP)
    again, new = scene.customer("C-7", "bob@example.com", code=scene.code(scene.carol))
    assert again.id == bob.id and not new
    assert session.query(User).filter_by(external_id="C-7").count() == 1


def test_an_order_of_a_reported_customer_earns_though_nobody_confirmed_an_address(scene: Scene) -> None:
    bob, _ = scene.customer("C-7", "bob@example.com", code=scene.code(scene.alice))
    assert scene.order(Customer("C-7")).answer == Answer.MADE
    assert scene.balance(scene.alice) == {"pending": 2000} and bob.confirmed_at is None


def test_an_order_of_nobody_known_is_kept_and_applied_when_the_customer_is_reported(scene: Scene) -> None:
    kept = scene.order(Customer("C-7"), external_id="A-1")
    assert kept.answer == Answer.WAITING
    assert scene.order(Customer("C-7"), external_id="A-1").answer == Answer.WAITING
    before = scene.at - timedelta(days=1)
    scene.later(hours=1)
    scene.customer("C-7", "bob@example.com", code=scene.code(scene.alice), signed_up_at=before)
    assert scene.balance(scene.alice) == {"pending": 2000}
    assert scene.order(Customer("C-7"), external_id="A-1").answer == Answer.KNOWN


def test_an_order_by_address_waits_until_that_address_is_confirmed(scene: Scene) -> None:
    bob = scene.sign_up("Bob", carried=scene.code(scene.alice))
    scene.later(minutes=1)
    assert scene.order(Customer(email="BOB@example.com")).answer == Answer.WAITING
    scene.later(minutes=1)
    scene.confirm(bob)
    assert scene.balance(scene.alice) == {"pending": 2000}


def test_a_refund_waits_with_its_order(scene: Scene) -> None:
    scene.order(Customer("C-7"), 6400, external_id="A-1")
    scene.refund("A-1", 3200)
    scene.customer("C-7", "bob@example.com", code=scene.code(scene.alice), signed_up_at=scene.at)
    assert scene.balance(scene.alice) == {"pending": 1000}


def test_somebody_who_has_an_account_becomes_a_customer_and_stays_whose_friend_they_are(scene: Scene) -> None:
    bob, new = scene.customer("C-7", "BOB@example.com", code=scene.code(scene.carol))
    assert (bob.external_id, new) == ("C-7", True), "Bob was not there yet"
    other = scene.bob
    assert other.id == bob.id, "Bob signs up with the address that the shop reported"
    ben = scene.friend("Ben", of=scene.alice)
    same, new = scene.customer("C-8", "ben@example.com", code=scene.code(scene.carol))
    referral = scene.referral(ben)
    assert (same.id, new) == (ben.id, False)
    assert referral is not None and referral.referrer_id == scene.alice.id


@pytest.mark.case(24)
def test_a_customer_from_before_the_link_never_becomes_a_referee(scene: Scene) -> None:
    """Imported before the opening, then comes through Alice's link and signs up at the portal."""
    old, _ = scene.customer("C-7", "bob@example.com", signed_up_at=scene.at - timedelta(days=400))
    scene.click(scene.alice, VISITOR)
    scene.later(minutes=1)
    scene.sign_up("Bob", email="bob@example.com", visitor=VISITOR, typed=scene.code(scene.alice))
    scene.confirm(old)
    assert old.confirmed_at is not None and scene.referral(old) is None


def test_a_customer_reported_after_the_touch_can_still_be_the_referrers_friend(scene: Scene) -> None:
    """Bob follows the link, buys, is reported without a code, and then signs up at the portal."""
    scene.click(scene.alice, VISITOR)
    scene.later(minutes=5)
    bob, _ = scene.customer("C-7", "bob@example.com")
    scene.order(Customer("C-7"), external_id="A-1")
    scene.later(minutes=5)
    scene.sign_up("Bob", visitor=VISITOR)
    assert scene.referral(bob) is None
    scene.confirm(bob)
    referral = scene.referral(bob)
    assert referral is not None and referral.referrer_id == scene.alice.id


def test_two_customers_never_share_an_address_or_an_id(scene: Scene) -> None:
    scene.customer("C-7", "bob@example.com")
    scene.customer("C-8", "ben@example.com")
    for external_id, email, field in (("C-7", "ben@example.com", "email"), ("C-9", "bob@example.com", "external_id")):
        with pytest.raises(ReportRefused) as refusal:
            scene.customer(external_id, email)
        assert refusal.value.field == field


def test_a_customer_is_named_by_id_and_a_real_address_and_signed_up_before_now(scene: Scene) -> None:
    with pytest.raises(ReportRefused):
        scene.customer("", "bob@example.com")
    with pytest.raises(ReportRefused):
        scene.customer("C-7", "")
    for address in ("bob", "bob@", "a@x, b@y", "bob@exa mple.com", "bob\x00@example.com"):
        with pytest.raises(BadAddress):
            scene.customer("C-7", address)
    with pytest.raises(ReportRefused) as refusal:
        scene.customer("C-7", "bob@example.com", signed_up_at=scene.at + timedelta(seconds=1))
    assert refusal.value.field == "signed_up_at"


def test_an_order_that_names_two_people_is_nobodys(scene: Scene) -> None:
    """The id is not known and the address belongs to a customer with another id."""
    scene.customer("C-7", "bob@example.com", code=scene.code(scene.alice))
    assert scene.order(Customer("C-8", "bob@example.com")).answer == Answer.WAITING
    assert scene.rewards(scene.alice) == []


def test_the_goal_signup_of_a_reported_customer_waits_for_the_address(scene: Scene) -> None:
    scene.publish(fixed(500, goal="signup"))
    bob, _ = scene.customer("C-7", "bob@example.com", code=scene.code(scene.alice))
    assert scene.rewards(scene.alice) == []
    scene.later(minutes=1)
    scene.sign_up("Bob")
    scene.confirm(bob)
    assert scene.balance(scene.alice) == {"pending": 500}


def test_a_customer_cannot_be_signed_in_until_the_address_is_confirmed_with_a_password(scene: Scene) -> None:
    bob, _ = scene.customer("C-7", "bob@example.com")
    assert bob.password is None
    scene.sign_up("Bob", password="Bob's own")
    assert bob.password is None
    scene.confirm(bob)
    assert bob.password == "Bob's own"
