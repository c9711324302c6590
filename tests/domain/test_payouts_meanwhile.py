"""Payouts, and what happens meanwhile: refunds, suspensions and decisions taken back, before and after the export."""

from functools import partial

import pytest
import sqlalchemy as sa

from portal.core.database import session
from portal.payouts.drawing import Why
from portal.payouts.methods import Kind
from portal.payouts.payouts import BatchState, Line, State
from portal.rewards.rewards import State as RewardState
from tests.factories import EVERY, Scene, fixed

pytestmark = pytest.mark.both_databases


@pytest.mark.case(89)
@pytest.mark.parametrize("step", ["draft", "approved"])
def test_a_refund_before_the_export_makes_the_payout_the_less(scene: Scene, step: str) -> None:
    scene.payable_reward()
    batch = scene.batch()
    if step == "approved":
        scene.approve_batch(batch)
    scene.refund("order-1", 1600)
    (payout,) = batch.payouts
    assert payout.amount_minor == 1500 and [line.amount_minor for line in payout.lines] == [2000, -500]
    if step == "draft":
        scene.approve_batch(batch)
    scene.pay_batch(scene.export(batch))
    assert scene.balance(scene.alice) == {"paid": 1500}


@pytest.mark.case(89)
@pytest.mark.parametrize("step", ["draft", "approved"])
def test_a_whole_refund_before_the_export_leaves_no_payout(scene: Scene, step: str) -> None:
    reward = scene.payable_reward()
    batch = scene.batch()
    if step == "approved":
        scene.approve_batch(batch)
    scene.refund("order-1")
    assert (reward.state, batch.state, scene.balance(scene.alice)) == (RewardState.REVERSED, BatchState.CANCELLED, {})
    assert [payout.state for payout in batch.payouts] == [State.CANCELLED]


def test_a_whole_refund_leaves_the_other_lines_of_the_payout(scene: Scene) -> None:
    scene.payable_reward()
    scene.earns(scene.alice, 700, "Ben")
    batch = scene.batch()
    scene.refund("order-1")
    (payout,) = batch.payouts
    assert (payout.state, payout.amount_minor, scene.balance(scene.alice)) == (State.PREPARING, 700, {"in_payout": 700})


@pytest.mark.parametrize("back", [None, 3200])
def test_a_refund_after_the_export_lets_the_money_go_and_owes_it(scene: Scene, back: int | None) -> None:
    reward = scene.payable_reward()
    batch = scene.exported_batch()
    scene.refund("order-1", back)
    owed = 2000 if back is None else 1000
    assert scene.balance(scene.alice) == {"payable": -owed, "in_payout": 2000}
    scene.pay_batch(batch)
    assert reward.state == RewardState.PAID and scene.balance(scene.alice) == {"payable": -owed, "paid": 2000}


def test_a_refund_after_the_export_of_a_payment_that_then_fails_is_settled_with_it(scene: Scene) -> None:
    reward = scene.payable_reward()
    (payout,) = scene.exported_batch().payouts
    scene.refund("order-1", 3200)
    scene.fail(payout)
    assert scene.balance(scene.alice) == {"payable": 1000}
    scene.refund("order-1")
    assert scene.balance(scene.alice) == {} and reward.state == RewardState.REVERSED


def test_a_whole_refund_after_the_export_of_a_payment_that_then_fails_reverses_the_reward(scene: Scene) -> None:
    reward = scene.payable_reward()
    (payout,) = scene.exported_batch().payouts
    scene.refund("order-1")
    assert reward.state == RewardState.APPROVED
    scene.fail(payout)
    assert reward.state == RewardState.REVERSED and scene.balance(scene.alice) == {}


def test_a_debt_drawn_into_a_batch_that_is_cancelled_is_owed_again(scene: Scene) -> None:
    scene.paid_reward()
    scene.refund("order-1", 3200)
    scene.earns(scene.alice, 3000, "Ben")
    batch = scene.batch()
    assert scene.balance(scene.alice) == {"in_payout": 2000, "paid": 2000}
    scene.cancel(batch)
    assert scene.balance(scene.alice) == {"payable": 2000, "paid": 2000}
    assert [payout.amount_minor for payout in scene.batch().payouts] == [2000]


def test_a_reward_taken_out_of_a_batch_leaves_the_debt_without_a_payout(scene: Scene) -> None:
    """Only the new reward carried the payout; without it the rest is below zero, so there is none."""
    scene.paid_reward()
    scene.refund("order-1", 3200)
    scene.earns(scene.alice, 3000, "Ben")
    batch = scene.batch()
    scene.undo(scene.rewards(scene.alice)[1])
    assert scene.balance(scene.alice) == {"payable": -1000, "pending": 3000, "paid": 2000}
    assert batch.state == BatchState.CANCELLED


@pytest.mark.parametrize("approved", [False, True])
def test_a_suspension_takes_the_persons_lines_out_of_a_batch_not_exported(scene: Scene, approved: bool) -> None:
    for person in (scene.alice, scene.carol):
        scene.method(person, Kind.CREDIT)
        scene.earns(person, 2000, f"Friend of {person.name}")
    batch = scene.batch()
    if approved:
        scene.approve_batch(batch)
    scene.suspend(scene.alice)
    assert {payout.user.name: payout.state for payout in batch.payouts} == {
        "Alice": State.CANCELLED,
        "Carol": State.PREPARING,
    }
    assert scene.balance(scene.alice) == {"payable": 2000} and scene.left_out() == {"Alice": Why.SUSPENDED}


# --- lines ----------------------------------------------------------------------------------------------------


def test_a_line_is_about_one_thing_and_stands_in_one_live_payout(scene: Scene) -> None:
    reward = scene.payable_reward()
    (payout,) = scene.batch().payouts
    for row in (
        {"reward_id": reward.id, "amount_minor": 2000},
        {"reward_id": reward.id, "clawback_id": 1, "amount_minor": 5},
        {"amount_minor": 5},
        {"reward_id": reward.id, "amount_minor": -5},
    ):
        with pytest.raises(sa.exc.IntegrityError):
            scene.do(partial(session.execute, sa.insert(Line).values(payout_id=payout.id, **row)))


def test_every_order_of_a_year_makes_one_payout_of_many_lines(scene: Scene) -> None:
    scene.publish(fixed(500, hold_days=0, **EVERY))
    scene.method(scene.alice, Kind.CREDIT)
    for _ in range(12):
        scene.order(scene.bob)
        scene.later(days=30)
    for reward in scene.rewards(scene.alice):
        scene.approve(reward)
    (payout,) = scene.batch().payouts
    assert payout.amount_minor == 6000 and len(payout.lines) == 12
