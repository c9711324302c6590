"""Refunds: what is taken back, in any state, whatever comes first; never more than was given."""

from datetime import timedelta

import pytest

from portal.core import money
from portal.core.database import session
from portal.payouts.payouts import PayoutRefused
from portal.rewards import clawbacks, rewards
from portal.rewards.conversions import Answer, ReportRefused
from portal.rewards.refunds import Refund
from portal.rewards.rewards import State
from tests.factories import EVERY, REFEREE, Scene, fixed, milestone, share

pytestmark = pytest.mark.both_databases


def taken(reward: rewards.Reward) -> list[int]:
    return [clawback.amount_minor for clawback in clawbacks.of_reward(reward.id)]


@pytest.mark.case(94)
def test_a_pending_reward_of_an_order_given_back_is_reversed(scene: Scene) -> None:
    order = scene.order(scene.bob)
    scene.refund(order)
    reward = scene.reward(scene.alice)
    assert (reward.state, scene.balance(scene.alice)) == (State.REVERSED, {})


@pytest.mark.case(95)
@pytest.mark.parametrize("ready", [False, True])
def test_an_approved_reward_of_an_order_given_back_is_reversed_once(scene: Scene, ready: bool) -> None:
    reward = scene.payable_reward() if ready else scene.approved_reward()
    scene.refund("order-1", external_id="R-1")
    scene.refund("order-1", external_id="R-1")
    scene.refund("order-1", external_id="R-2")
    assert (reward.state, scene.balance(scene.alice), taken(reward)) == (State.REVERSED, {}, [2000])


@pytest.mark.case(96)
def test_a_paid_reward_stays_paid_and_the_balance_goes_below_zero_until_the_next_payout(scene: Scene) -> None:
    reward = scene.paid_reward()
    scene.refund("order-1")
    assert reward.state == State.PAID
    assert scene.balance(scene.alice) == {"payable": -2000, "paid": 2000}
    with pytest.raises(PayoutRefused, match="Nobody is ready"):
        scene.batch()

    scene.publish(fixed(5000))
    scene.order(scene.friend("Ben", of=scene.alice))
    scene.approve(scene.rewards(scene.alice)[1])
    scene.later(days=31)
    (payout,) = scene.exported_batch().payouts
    assert (payout.amount_minor, sorted(line.amount_minor for line in payout.lines)) == (3000, [-2000, 5000])
    scene.pay(payout)
    assert scene.balance(scene.alice) == {"paid": 5000}


@pytest.mark.case(97)
@pytest.mark.parametrize(
    ("given", "order_minor", "parts", "expected"),
    [
        (2000, 6400, [1600], [500]),
        (1000, 3000, [1000, 1000, 1000], [333, 334, 333]),
        (1, 2, [1, 1], [1]),
        (3, 1000, [100, 100, 100, 700], [1, 2]),
        (750, 9999, [5000, 4998, 1], [375, 375]),
    ],
)
def test_a_part_given_back_takes_its_part_of_the_reward_rounded_half_up_in_all(
    scene: Scene, given: int, order_minor: int, parts: list[int], expected: list[int]
) -> None:
    """The rounding is over the sum, so after all of the order exactly all of the reward is gone."""
    scene.publish(fixed(given))
    order = scene.order(scene.bob, order_minor)
    reward, back = scene.reward(scene.alice), 0
    for part in parts:
        scene.refund(order, part)
        back += part
        assert sum(taken(reward)) == money.half_up(given * back, order_minor)
    assert taken(reward) == expected
    assert (reward.state == State.REVERSED) == (sum(expected) == given)


@pytest.mark.case(98)
def test_the_same_refund_twice_counts_once_and_gives_the_same_answer(scene: Scene) -> None:
    order = scene.order(scene.bob)
    first = scene.refund(order, 3200, external_id="R-1")
    again = scene.refund(order, 3200, external_id="R-1")
    assert (first.answer, again.answer) == (Answer.MADE, Answer.KNOWN) and first.refund.id == again.refund.id
    assert scene.balance(scene.alice) == {"pending": 1000}
    assert scene.refund(order, 6400, external_id="R-1").answer == Answer.DISAGREES
    assert scene.refund("order-99", 3200, external_id="R-1").answer == Answer.DISAGREES
    assert scene.balance(scene.alice) == {"pending": 1000} and session.query(Refund).count() == 1


@pytest.mark.case(99)
def test_a_refund_of_an_order_nobody_told_is_kept_and_changes_nothing(scene: Scene) -> None:
    assert scene.refund("never-told", external_id="R-1").answer == Answer.WAITING
    assert scene.refund("never-told", external_id="R-1").answer == Answer.WAITING
    assert session.query(Refund).count() == 1


@pytest.mark.case(100)
@pytest.mark.parametrize("parts", [[None], [1600], [1600, 1600], [1600, None], [9999]])
def test_whether_the_refund_or_the_order_comes_first_ends_in_the_same_balances(
    scene: Scene, parts: list[int | None]
) -> None:
    scene.publish(share(1000, **EVERY), fixed(500, to=REFEREE, **EVERY))
    bob, ben = scene.bob, scene.friend("Ben", of=scene.carol)
    order = scene.order(bob, 6400, external_id="A-1")
    for part in parts:
        scene.refund(order, part)
        scene.refund("A-2", part)
    scene.order(ben, 6400, external_id="A-2")
    assert scene.balance(scene.alice) == scene.balance(scene.carol)
    assert scene.balance(bob) == scene.balance(ben)
    assert [r.state for r in scene.rewards(scene.alice)] == [r.state for r in scene.rewards(scene.carol)]


@pytest.mark.case(102)
def test_a_refund_takes_from_both_sides_alike(scene: Scene) -> None:
    scene.publish(fixed(2000), fixed(1000, to=REFEREE))
    order = scene.order(scene.bob, 6400)
    scene.refund(order, 3200)
    assert (scene.balance(scene.alice), scene.balance(scene.bob)) == ({"pending": 1000}, {"pending": 500})
    scene.refund(order)
    assert (scene.balance(scene.alice), scene.balance(scene.bob)) == ({}, {})


def test_more_than_the_order_takes_no_more_than_the_reward(scene: Scene) -> None:
    order = scene.order(scene.bob, 6400)
    scene.refund(order, 6000)
    scene.refund(order, 6000)
    scene.refund(order, 6000)
    assert sum(taken(scene.reward(scene.alice))) == 2000


def test_falling_below_the_minimum_order_takes_no_more_than_its_part(scene: Scene) -> None:
    scene.publish(fixed(2000, minimum_order_minor=6000))
    order = scene.order(scene.bob, 6400)
    scene.refund(order, 640)
    assert scene.balance(scene.alice) == {"pending": 1800}


def test_a_rejected_reward_has_nothing_to_take_and_its_undo_brings_back_only_what_is_left(scene: Scene) -> None:
    reward = scene.reject(scene.pending_reward())
    scene.refund("order-1", 3200)
    assert taken(reward) == [] and scene.balance(scene.alice) == {}
    scene.undo(reward)
    assert scene.balance(scene.alice) == {"pending": 1000}, "an order half given back earns half, whenever one decides"


def test_a_rejected_reward_of_an_order_given_back_is_nothing_after_its_undo(scene: Scene) -> None:
    reward = scene.reject(scene.pending_reward())
    scene.refund("order-1")
    scene.undo(reward)
    assert (reward.state, scene.balance(scene.alice)) == (State.REVERSED, {})


def test_what_was_taken_before_a_decision_is_not_approved(scene: Scene) -> None:
    reward = scene.pending_reward()
    scene.refund("order-1", 1600)
    scene.approve(reward)
    assert scene.balance(scene.alice) == {"approved": 1500}
    scene.undo(reward)
    scene.refund("order-1", 1600)
    scene.reject(reward)
    assert scene.balance(scene.alice) == {}
    scene.undo(reward)
    assert scene.balance(scene.alice) == {"pending": 1000}


def test_a_milestone_goes_only_with_the_whole_order_that_reached_it_and_can_be_reached_again(scene: Scene) -> None:
    scene.publish(fixed(100), milestone(2, 5000))
    scene.order(scene.bob, 6400)
    second = scene.order(scene.friend("Ben", of=scene.alice), 6400)
    scene.refund(second, 6399)
    assert scene.balance(scene.alice) == {"pending": 5100}
    scene.refund(second, 1)
    assert scene.balance(scene.alice) == {"pending": 100}
    scene.order(scene.friend("Bill", of=scene.alice))
    assert scene.balance(scene.alice) == {"pending": 5200}


def test_an_order_given_back_before_its_reward_would_be_paid_is_not_paid(scene: Scene) -> None:
    scene.payable_reward()
    scene.refund("order-1")
    with pytest.raises(PayoutRefused, match="Nobody is ready"):
        scene.batch()


def test_a_goal_without_an_amount_is_given_back_as_a_whole(scene: Scene) -> None:
    from portal.rewards import goals

    scene.do(lambda: goals.add("trial", label="Trial begun", has_amount=False))
    scene.publish(fixed(300, goal="trial"))
    order = scene.order(scene.bob, None, goal="trial")
    scene.refund(order)
    assert scene.reward(scene.alice).state == State.REVERSED


def test_a_refund_that_cannot_be_taken_is_refused_by_its_field(scene: Scene) -> None:
    scene.order(scene.bob, external_id="A-1")
    for amount_minor in (0, -1, 10**12):
        with pytest.raises(ReportRefused) as refusal:
            scene.refund("A-1", amount_minor)
        assert refusal.value.field == "amount_minor"
    with pytest.raises(ReportRefused) as refusal:
        scene.refund("A-1", 5, external_id=" R")
    assert refusal.value.field == "external_id"
    with pytest.raises(ReportRefused) as refusal:
        scene.refund("x" * 129, 5)
    assert refusal.value.field == "conversion_external_id"


@pytest.mark.case(103)
def test_with_the_referrer_out_of_the_program_when_the_hold_ends_nothing_is_released(scene: Scene) -> None:
    scene.approved_reward()
    scene.later(days=1)
    scene.suspend(scene.alice)
    scene.at += timedelta(days=40)
    assert scene.release() == 0


@pytest.mark.case(103)
def test_with_the_friend_out_of_the_program_when_the_hold_ends_nothing_is_released(scene: Scene) -> None:
    scene.approved_reward()
    scene.later(days=1)
    scene.suspend(scene.bob)
    scene.at += timedelta(days=40)
    assert scene.release() == 0
    assert scene.balance(scene.alice) == {"approved": 2000}
