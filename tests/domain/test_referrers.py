"""An admin's decision about who brought a friend: the wrong referrer's reward goes, the right one's is made."""

from functools import partial

import pytest

from portal import program
from portal.accounts.audit import about
from portal.accounts.users import User
from portal.referrals import claims
from portal.referrals.referrals import Referral, ReferralRefused
from portal.rewards.decisions import DecisionRefused
from tests.factories import EVERY, REFEREE, Scene, fixed, milestone
from tests.web.tables import Unchanged

pytestmark = pytest.mark.both_databases


def correct(scene: Scene, friend: User, referrer: User, *, by: User | None = None, note: str = "Wrong link.") -> None:
    referral, who = scene.referral(friend), (by or scene.olivia).id
    assert referral is not None
    scene.do(lambda: program.correct_referrer(referral, referrer, note=note, by=who, at=scene.at))


def give(scene: Scene, friend: User, referrer: User, *, by: User | None = None, note: str = "Told us.") -> Referral:
    who = (by or scene.olivia).id
    return scene.do(lambda: program.give_referrer(friend, referrer, note=note, by=who, at=scene.at))


def states(scene: Scene, person: User) -> list[tuple[int, str]]:
    return [(reward.amount_minor, reward.state) for reward in scene.rewards(person)]


@pytest.mark.parametrize("state", ["pending", "approved", "payable", "drawn"])
def test_what_the_wrong_referrer_has_is_taken_back_and_the_right_one_earns_by_the_old_terms(
    scene: Scene, state: str
) -> None:
    scene.publish(fixed(2000), fixed(700, to=REFEREE))
    bob, carol = scene.bob, scene.carol
    scene.publish(fixed(9900), fixed(100, to=REFEREE))
    scene.order(bob, external_id="A1")
    if state != "pending":
        scene.approve(scene.reward(scene.alice))
    if state in ("payable", "drawn"):
        scene.method(scene.alice)
        scene.later(days=31)
        scene.release()
    batch = scene.batch() if state == "drawn" else None
    correct(scene, bob, carol)
    assert scene.balance(scene.alice) == {} and states(scene, scene.alice) == [(2000, "rejected")]
    assert states(scene, carol) == [(2000, "pending")] and states(scene, bob) == [(700, "pending")]
    assert batch is None or batch.payouts[0].state == "cancelled"
    referral = scene.referral(bob)
    assert referral is not None and (referral.referrer_id, referral.how) == (carol.id, "admin")
    assert [other["why"] for other in referral.weighed] == ["corrected"]
    assert [entry.verb for entry in about("referral", referral.public_id)] == ["referral_made", "referrer_corrected"]
    assert scene.mails("reward_rejected", to=scene.alice) and scene.mails("friend_joined", to=carol)
    with pytest.raises(DecisionRefused, match="belongs to another referrer now"):
        scene.undo(scene.reward(scene.alice))
    assert scene.order(bob, external_id="A1").answer == "known"


def test_corrected_back_the_first_referrer_has_what_was_earned_and_once(scene: Scene) -> None:
    scene.publish(fixed(2000, **EVERY))
    scene.order(scene.bob, external_id="A1")
    scene.approve(scene.reward(scene.alice))
    correct(scene, scene.bob, scene.carol)
    scene.order(scene.bob, external_id="A2")
    correct(scene, scene.bob, scene.alice)
    assert states(scene, scene.alice) == [(2000, "pending")] * 2
    assert states(scene, scene.carol) == [(2000, "rejected")] * 2 and scene.balance(scene.carol) == {}
    correct(scene, scene.bob, scene.carol)
    assert scene.balance(scene.carol) == {"pending": 4000} and scene.balance(scene.alice) == {}


def test_refunds_milestones_and_what_was_turned_down_follow(scene: Scene) -> None:
    scene.publish(fixed(2000), milestone(1, 5000))
    scene.order(scene.bob, 6400, external_id="A1")
    scene.refund("A1", 1600)
    assert scene.balance(scene.alice) == {"pending": 6500}
    correct(scene, scene.bob, scene.carol)
    assert scene.balance(scene.alice) == {} and scene.balance(scene.carol) == {"pending": 6500}
    scene.refund("A1", 4800)
    assert scene.balance(scene.carol) == {}


def test_who_was_suspended_when_the_friend_ordered_held_back_both_and_both_earn_now(scene: Scene) -> None:
    scene.publish(fixed(2000), fixed(700, to=REFEREE))
    assert scene.bob
    scene.suspend(scene.alice)
    scene.order(scene.bob)
    assert states(scene, scene.bob) == []
    correct(scene, scene.bob, scene.carol)
    assert states(scene, scene.carol) == [(2000, "pending")] and states(scene, scene.bob) == [(700, "pending")]


def test_it_is_refused_once_something_is_paid_or_where_it_could_not_be_true(scene: Scene) -> None:
    dora = scene.friend("Dora", of=scene.bob)
    scene.payable_reward()
    batch = scene.approve_batch(scene.batch())
    alice, bob, carol, olivia = scene.alice, scene.bob, scene.carol, scene.olivia
    oscar = scene.do(lambda: program.add_owner("oscar@example.com", name="Oscar", password="!", at=scene.at))
    scene.suspend(scene.mallory)
    scene.cancel(batch)
    with Unchanged():
        for refused, says in (
            (partial(correct, scene, bob, alice), "the referrer already"),
            (partial(correct, scene, bob, bob), "Nobody refers themselves"),
            (partial(correct, scene, bob, dora), "brought by this friend"),
            (partial(correct, scene, bob, scene.mallory), "suspended"),
            (partial(correct, scene, bob, olivia), "You are part of this"),
            (partial(correct, scene, bob, oscar, by=oscar), "You are part of this"),
            (partial(correct, scene, bob, carol, note="\n"), "Write why"),
            (partial(give, scene, bob, carol), "has a referrer by now"),
        ):
            with pytest.raises(ReferralRefused, match=says):
                refused()
    scene.exported_batch()
    with Unchanged(), pytest.raises(ReferralRefused, match="paid or on its way"):
        correct(scene, bob, carol)


@pytest.mark.case(26)
def test_who_came_without_a_code_gets_a_referrer_and_what_they_did_counts(scene: Scene) -> None:
    carol, code = scene.carol, scene.code(scene.alice)
    scene.publish(claim_days=7)
    claim = scene.do(lambda: program.claim(carol, code, at=scene.at))
    scene.order(carol)
    referral = give(scene, carol, scene.alice)
    assert (referral.how, referral.joined_at) == ("admin", carol.signed_up_at)
    assert scene.balance(scene.alice) == {"pending": 2000}
    answered = claims.find(claim.public_id)
    assert answered is not None and answered.granted
    old, _ = scene.customer("C-1", "old@example.com", signed_up_at=scene.at.replace(year=2025))
    with Unchanged(), pytest.raises(ReferralRefused, match="before the program began"):
        give(scene, old, scene.alice)
    dora = scene.person("Dora")
    scene.publish(state="paused")
    with Unchanged(), pytest.raises(ReferralRefused, match="takes nobody new"):
        give(scene, dora, scene.alice)
