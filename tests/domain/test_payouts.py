"""Payouts: who is in a batch and who is told why not; what goes back, goes back once."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from portal import terms
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.core.database import session
from portal.payouts import drawing, moving, payouts
from portal.payouts.drawing import Why
from portal.payouts.methods import Kind
from portal.payouts.payouts import BatchState, PayoutRefused, State
from portal.rewards.rewards import State as RewardState
from tests.factories import Scene, fixed

pytestmark = pytest.mark.both_databases


# --- who is ready ---------------------------------------------------------------------------------------------


@pytest.mark.case(83)
@pytest.mark.parametrize(("amount_minor", "missing"), [(1999, 1), (2000, 0), (2001, 0)])
def test_a_balance_is_in_at_the_minimum_and_a_cent_below_is_told_what_is_missing(
    scene: Scene, amount_minor: int, missing: int
) -> None:
    scene.method(scene.alice, Kind.CREDIT)
    scene.earns(scene.alice, amount_minor, "Bob")
    (standing,) = drawing.standings(terms.in_force(), at=scene.at)
    assert (standing.why, standing.missing_minor) == (Why.BELOW_MINIMUM if missing else None, missing)
    if missing:
        with pytest.raises(PayoutRefused, match="Nobody is ready"):
            scene.batch()
        assert scene.balance(scene.alice) == {"payable": amount_minor}
    else:
        assert [payout.amount_minor for payout in scene.batch().payouts] == [amount_minor]


@pytest.mark.case(84)
def test_without_a_method_somebody_is_left_out_with_the_reason_and_loses_nothing(scene: Scene) -> None:
    scene.earns(scene.alice, 2000, "Bob")
    assert scene.left_out() == {"Alice": Why.NO_METHOD}
    with pytest.raises(PayoutRefused):
        scene.batch()
    scene.method(scene.alice, Kind.CREDIT)
    assert [payout.amount_minor for payout in scene.batch().payouts] == [2000]


def test_everybody_left_out_is_told_why(scene: Scene) -> None:
    for number, name in enumerate(("Alice", "Mallory", "Carol", "Vera", "Finn")):
        person = scene.finn if name == "Finn" else scene.person(name)
        scene.earns(person, 2000 + number, f"Friend of {name}")
    everybody = {user.name: user for user in session.scalars(sa.select(User))}
    for name in ("Mallory", "Carol", "Finn"):
        scene.method(everybody[name], Kind.CREDIT)
    scene.method(everybody["Vera"], Kind.VOUCHER)
    scene.suspend(everybody["Mallory"])
    assert scene.left_out(by=scene.finn) == {
        "Alice": Why.NO_METHOD, "Mallory": Why.SUSPENDED, "Carol": None, "Vera": Why.NO_VOUCHERS, "Finn": Why.YOUR_OWN,
    }  # fmt: skip
    assert [payout.user.name for payout in scene.batch().payouts] == ["Carol"]


def test_a_customer_who_never_confirmed_an_address_is_not_paid_yet(scene: Scene) -> None:
    zoe, _ = scene.customer("C-1", "zoe@example.com")
    scene.earns(zoe, 2000, "Bob")
    scene.method(zoe, Kind.CREDIT)
    assert [standing.why for standing in drawing.standings(terms.in_force(), at=scene.at)] == [Why.UNCONFIRMED]


def test_new_payout_details_hold_the_next_payout_for_three_days_and_shop_credit_does_not(scene: Scene) -> None:
    scene.earns(scene.alice, 2000, "Bob")
    scene.method(scene.alice, Kind.CREDIT)
    scene.method(scene.alice)
    assert scene.left_out() == {"Alice": Why.METHOD_ON_HOLD}
    scene.later(days=3)
    scene.at -= timedelta(microseconds=1)
    assert scene.left_out() == {"Alice": Why.METHOD_ON_HOLD}
    scene.at += timedelta(microseconds=1)
    assert scene.left_out() == {"Alice": None}


@pytest.mark.case(85)
def test_only_what_is_ready_is_paid(scene: Scene) -> None:
    """Of five rewards one is ready; the others are pending, on hold, rejected and reversed."""
    scene.publish(fixed(2000, hold_days=30))
    scene.method(scene.alice, Kind.CREDIT)
    orders = [scene.order(scene.friend(f"Friend {n}", of=scene.alice)) for n in range(4)]
    ready, _pending, rejected, _reversed = scene.rewards(scene.alice)
    scene.approve(ready)
    scene.reject(rejected)
    scene.refund(orders[3])
    scene.later(days=31)
    scene.order(scene.friend("Friend 5", of=scene.alice))
    scene.approve(scene.rewards(scene.alice)[4])
    (payout,) = scene.batch().payouts
    assert [line.reward_id for line in payout.lines] == [ready.id]
    assert scene.balance(scene.alice) == {"pending": 2000, "approved": 2000, "in_payout": 2000}


def test_what_is_ready_is_released_before_the_batch_is_drawn(scene: Scene) -> None:
    scene.approved_reward()
    scene.method(scene.alice, Kind.CREDIT)
    scene.later(days=30)
    assert [payout.amount_minor for payout in scene.batch().payouts] == [2000]


@pytest.mark.case(89)
def test_what_is_owed_is_taken_off_the_next_payout_also_when_it_comes_below_the_minimum(scene: Scene) -> None:
    scene.paid_reward()
    scene.refund("order-1", 3200)
    assert scene.balance(scene.alice) == {"payable": -1000, "paid": 2000}
    scene.earns(scene.alice, 2999, "Ben")
    assert scene.left_out() == {"Alice": Why.BELOW_MINIMUM}
    scene.earns(scene.alice, 1, "Bill")
    (payout,) = scene.batch().payouts
    assert payout.amount_minor == 2000 and sorted(line.amount_minor for line in payout.lines) == [-1000, 1, 2999]


# --- moved on -------------------------------------------------------------------------------------------------


@pytest.mark.case(88)
def test_a_batch_is_complete_with_its_last_payout(scene: Scene) -> None:
    for person in (scene.alice, scene.carol):
        scene.method(person, Kind.CREDIT)
        scene.earns(person, 2000, f"Friend of {person.name}")
    batch = scene.exported_batch()
    first, second = batch.payouts
    assert scene.pay(first) and batch.state == BatchState.EXPORTED and batch.settled_at is None
    assert not scene.pay(first), "twice is once"
    assert scene.pay(second) and batch.state == BatchState.PAID and batch.settled_at == scene.at
    assert scene.pay_batch(batch) == 0
    assert len(scene.mails("payout_paid")) == 2
    assert batch.reference == "PB-2026-0001" and [p.reference for p in batch.payouts] == [
        "PO-2026-0001",
        "PO-2026-0002",
    ]


@pytest.mark.case(86)
def test_a_failed_payout_is_payable_again_once_and_can_be_paid_by_the_next_batch(scene: Scene) -> None:
    reward = scene.payable_reward()
    batch = scene.exported_batch()
    (payout,) = batch.payouts
    with pytest.raises(PayoutRefused, match="Write why"):
        scene.fail(payout, failure=" ")
    assert scene.fail(payout) and not scene.fail(payout)
    assert scene.balance(scene.alice) == {"payable": 2000}
    assert (reward.state, payout.state, batch.state) == (RewardState.APPROVED, State.FAILED, BatchState.CANCELLED)
    with pytest.raises(PayoutRefused, match="failed already"):
        scene.pay(payout)
    assert "Account closed." in scene.mails("payout_failed", to=scene.alice)[0].text

    scene.pay_batch(scene.exported_batch())
    assert scene.balance(scene.alice) == {"paid": 2000} and reward.state == RewardState.PAID
    with pytest.raises(PayoutRefused, match="paid already"):
        scene.fail(scene.payout_of(reward))


def test_a_batch_with_one_failure_is_partly_paid(scene: Scene) -> None:
    for person in (scene.alice, scene.carol):
        scene.method(person, Kind.CREDIT)
        scene.earns(person, 2000, f"Friend of {person.name}")
    batch = scene.exported_batch()
    scene.fail(batch.payouts[0])
    scene.pay(batch.payouts[1])
    assert batch.state == BatchState.PARTLY_PAID and payouts.total(batch) == 2000


@pytest.mark.case(86)
@pytest.mark.parametrize("approved", [False, True])
def test_a_batch_cancelled_before_its_export_gives_everything_back_once(scene: Scene, approved: bool) -> None:
    scene.payable_reward()
    batch = scene.batch()
    if approved:
        scene.approve_batch(batch)
    scene.cancel(batch)
    assert scene.balance(scene.alice) == {"payable": 2000} and batch.state == BatchState.CANCELLED
    with pytest.raises(PayoutRefused, match="cancelled already"):
        scene.cancel(batch)
    assert scene.pay_batch(scene.exported_batch()) == 1


def test_each_step_waits_for_the_one_before(scene: Scene) -> None:
    scene.payable_reward()
    batch = scene.batch()
    (payout,) = batch.payouts
    for too_early in (scene.export, scene.pay_batch):
        with pytest.raises(PayoutRefused):
            too_early(batch)
    for end in (scene.pay, scene.fail):
        with pytest.raises(PayoutRefused, match="Export the batch first"):
            end(payout)
    scene.approve_batch(batch)
    with pytest.raises(PayoutRefused, match="Approved by Finn"):
        scene.approve_batch(batch, by=scene.olivia)
    scene.export(batch)
    scene.export(batch)
    assert batch.exported_at == scene.at
    with pytest.raises(PayoutRefused, match="exported already"):
        scene.cancel(batch)
    with pytest.raises(PayoutRefused, match="Already approved by you at"):
        scene.approve_batch(batch)


@pytest.mark.case(92)
def test_nobody_approves_a_batch_with_their_own_payout(scene: Scene) -> None:
    scene.method(scene.finn, Kind.CREDIT)
    scene.earns(scene.finn, 2000, "Bob")
    with pytest.raises(PayoutRefused, match="Nobody is ready"):
        scene.batch(by=scene.finn)
    batch = scene.batch(by=scene.olivia)
    with pytest.raises(PayoutRefused, match="Your own payout"):
        scene.approve_batch(batch, by=scene.finn)
    assert scene.approve_batch(batch, by=scene.olivia).state == BatchState.APPROVED


def test_above_the_limit_a_second_person_approves_where_there_is_one(scene: Scene) -> None:
    scene.publish(second_person_above_minor=1999)
    scene.payable_reward()
    batch = scene.batch()
    assert not moving.needs_second_person(batch, terms.in_force()), "Finn is alone"
    paul = scene.colleague("Paul", Role.FINANCE)
    with pytest.raises(PayoutRefused, match="second person"):
        scene.approve_batch(batch)
    assert scene.approve_batch(batch, by=paul).state == BatchState.APPROVED


def test_at_the_limit_one_person_is_enough(scene: Scene) -> None:
    scene.publish(second_person_above_minor=2000)
    scene.colleague("Paul", Role.FINANCE)
    scene.payable_reward()
    assert scene.approve_batch(scene.batch()).state == BatchState.APPROVED
