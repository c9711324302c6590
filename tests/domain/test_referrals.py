"""Referrals: who can be whose friend, and until when: not by a dead link, not who was there before or stands above."""

from datetime import timedelta

import pytest

from portal import program, terms
from portal.core.database import session
from portal.referrals import referrals
from portal.referrals.attribution import Attribution, How
from portal.sharing import links
from tests.factories import Scene

VISITOR = "the-visitor-in-testsA"


@pytest.mark.case(7)
def test_an_archived_link_earns_nobody(scene: Scene) -> None:
    alice = scene.alice
    link = scene.do(lambda: links.make(alice.id, at=scene.at, label="Old"))
    code = links.current_code(link.id)
    scene.click(code, VISITOR)

    def archive() -> None:
        session.get_one(links.Link, link.id).archived_at = scene.at

    scene.do(archive)
    assert scene.came_by(VISITOR) is None
    assert scene.referral(scene.sign_up("Ben", typed=code)) is None


@pytest.mark.case(11, 47)
def test_a_suspended_referrer_earns_nobody_by_link_cookie_or_code(scene: Scene) -> None:
    scene.click(scene.mallory, VISITOR)
    scene.suspend(scene.mallory)
    assert scene.came_by(VISITOR) is None
    assert scene.referral(scene.sign_up("Ben", typed=scene.code(scene.mallory))) is None
    assert scene.referral(scene.sign_up("Bill", carried=scene.code(scene.mallory))) is None


def test_a_suspended_referrers_touch_leaves_the_friend_to_the_one_before(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    scene.later(minutes=1)
    scene.click(scene.mallory, VISITOR)
    scene.suspend(scene.mallory)
    assert scene.came_by(VISITOR) == ("Alice", How.LAST_TOUCH)


@pytest.mark.case(24, 37)
def test_an_existing_account_never_becomes_a_referee_not_even_of_its_own_link(scene: Scene) -> None:
    alice = scene.alice
    for link_of in (alice, scene.carol):
        scene.click(link_of, VISITOR)
        scene.sign_up("Alice", visitor=VISITOR, carried=scene.code(link_of), typed=scene.code(link_of))
        scene.sign_up("Alice", email="ALICE@EXAMPLE.COM", carried=scene.code(link_of))
    assert scene.referral(alice) is None
    assert session.query(referrals.Referral).count() == 0


@pytest.mark.case(50)
def test_nobody_refers_somebody_above_them(scene: Scene) -> None:
    """Alice signed up with her own link and never confirmed; meanwhile Bob came by it, and Ben by Bob's."""
    alice = scene.sign_up("Alice")
    bob = scene.friend("Bob", of=alice)
    ben = scene.friend("Ben", of=bob)
    for below in (bob, ben):
        scene.sign_up("Alice", carried=scene.code(below))
        scene.confirm(alice)
        assert scene.referral(alice) is None
    assert referrals.is_above(alice.id, ben.id) and not referrals.is_above(ben.id, alice.id)


@pytest.mark.case(50)
def test_the_table_itself_refuses_a_referral_to_oneself(scene: Scene) -> None:
    outcome = Attribution(links.main_link(scene.alice.id).id, scene.alice.id, "x", How.CODE, scene.at, None)
    assert scene.do(lambda: referrals.make(scene.alice, outcome, terms=terms.in_force(), at=scene.at)) is None


def test_a_touch_after_the_account_was_made_comes_too_late_though_nobody_had_confirmed_it(scene: Scene) -> None:
    bob = scene.sign_up("Bob")
    scene.later(minutes=1)
    scene.sign_up("Bob", carried=scene.code(scene.alice), password="Bob's own")
    assert scene.confirm(bob) is not None
    assert scene.referral(bob) is None
    assert bob.password == "Bob's own", "whoever presses the button gets the password they chose themselves"


def test_a_touch_before_the_account_was_made_counts_once_the_address_is_confirmed(scene: Scene) -> None:
    """Somebody else typed Bob's address a minute before Bob did, who had opened Alice's link by then."""
    scene.click(scene.alice, VISITOR)
    scene.later(minutes=1)
    bob = scene.sign_up("Bob", password="a stranger's")
    scene.later(minutes=1)
    scene.sign_up("Bob", visitor=VISITOR, password="Bob's own")
    assert scene.referral(bob) is None
    assert scene.confirm(bob) is not None
    referral = scene.referral(bob)
    assert referral is not None and referral.referrer_id == scene.alice.id
    assert bob.password == "Bob's own"


@pytest.mark.case(68)
@pytest.mark.parametrize("state", [terms.State.PAUSED, terms.State.ENDED])
def test_a_paused_or_ended_program_opens_its_links_and_makes_no_new_referrals(scene: Scene, state: terms.State) -> None:
    bob = scene.bob
    scene.publish(state=state)
    assert scene.click(scene.alice, VISITOR) is not None
    assert scene.came_by(VISITOR, "Ben") is None
    scene.order(bob)
    assert len(scene.rewards(scene.alice)) == 1, "those that are there keep their terms"


@pytest.mark.case(28)
def test_a_referral_whose_goal_is_not_reached_in_time_expires_and_earns_nothing(scene: Scene) -> None:
    bob = scene.bob
    scene.later(days=90)
    assert scene.do(lambda: program.expire_due(at=scene.at)) == 0, "its last moment still counts"
    scene.at += timedelta(microseconds=1)
    assert scene.do(lambda: program.expire_due(at=scene.at)) == 1
    reported = scene.order(bob)
    referral = scene.referral(bob)
    assert referral is not None and referral.expired_at == scene.at
    assert scene.rewards(scene.alice) == []
    assert reported.conversion.outcome[0]["why_not"] == "expired"


@pytest.mark.case(28)
def test_an_order_in_time_that_is_reported_late_counts_and_ends_the_expiry(scene: Scene) -> None:
    bob, in_time = scene.bob, scene.later(days=90)
    scene.later(days=5)
    scene.do(lambda: referrals.expire_due(at=scene.at))
    scene.order(bob, occurred_at=in_time)
    referral = scene.referral(bob)
    assert referral is not None and referral.expired_at is None and referral.counted_at is not None
    assert scene.balance(scene.alice) == {"pending": 2000}
