"""One order in every order of events: what counts is what happened, not when it was told.

And the corners that the model test has found, each as a scene.
"""

import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from portal import program, terms
from portal.core import database
from portal.core.database import session
from portal.core.text import Refusal
from portal.payouts.methods import Kind
from portal.payouts.payouts import Payout
from portal.payouts.payouts import State as PayoutState
from portal.reports import books, desk
from portal.rewards import clawbacks, ledger
from portal.rewards.conversions import Answer, Conversion, Customer, OrderReport
from portal.rewards.decisions import DecisionRefused
from portal.rewards.ledger import Bucket
from portal.rewards.refunds import RefundReason, RefundReport, ReinstatementReport
from portal.rewards.rewards import Reward, State
from tests.factories import EVERY, REFEREE, Scene, fixed, milestone, share

LONG = os.environ.get("PORTAL_TEST_LONG") == "1"

Balances = tuple[tuple[int, ...], ...]
"""For Alice and for Bob what lies in each bucket but the program's own."""

BUCKETS = tuple(bucket for bucket in Bucket if bucket != Bucket.PROGRAM)


class Explorer:
    """Walks every sequence of events, each step in a savepoint that is taken back before its sisters are walked.

    An event that is refused, or that changes no row (a repeat), leads to nothing new and is not followed further.
    """

    def __init__(self, scene: Scene, names: tuple[str, ...], *, longest: int) -> None:
        self.longest = longest
        self.people = [scene.alice.id, scene.bob.id]
        self.rita, self.finn, self.at = scene.rita.id, scene.finn.id, scene.at
        self.bob = Customer(email=scene.bob.email)
        happens: dict[str, Callable[[], object]] = {
            "order": self.order,
            "part": lambda: self.refund("part", 333),
            "second part": lambda: self.refund("second part", 334),
            "whole": lambda: self.refund("whole", None),
            "charge": lambda: self.refund("charge", None, RefundReason.CHARGEBACK),
            "win": lambda: program.reinstate(ReinstatementReport("charge"), at=self.at),
            "approve": self.approve,
            "pay": self.pay,
        }
        self.happens = {name: happens[name] for name in names}
        self.ends: dict[tuple[str, ...], Balances] = {}
        self.refused: Counter[tuple[str, str]] = Counter()
        self.repeats: Counter[str] = Counter()

    def walk(self, told: tuple[str, ...] = ()) -> None:
        for name, happen in self.happens.items():
            savepoint = session.begin_nested()
            before = rows()
            try:
                happen()
                session.flush()
            except Refusal as refusal:
                self.refused[name, type(refusal).__name__] += 1
            else:
                if rows() == before:
                    self.repeats[name] += 1
                else:
                    self.arrive((*told, name))
            finally:
                savepoint.rollback()
                session.expunge_all()  # what comes again under the same number is another

    def arrive(self, told: tuple[str, ...]) -> None:
        assert list(books.faults()) == [], told
        self.ends[told] = self.balances()
        if len(told) < self.longest:
            self.walk(told)

    def balances(self) -> Balances:
        sums = [ledger.balances(person, "EUR") for person in self.people]
        return tuple(tuple(balance[bucket] for bucket in BUCKETS) for balance in sums)

    def order(self) -> None:
        program.convert(OrderReport("purchase", "A-1", self.bob, self.at, 999, "EUR"), at=self.at)

    def refund(self, number: str, amount_minor: int | None, reason: RefundReason = RefundReason.REFUND) -> None:
        program.refund(RefundReport(number, "A-1", amount_minor, reason=reason), at=self.at)

    def approve(self) -> None:
        """Rita decides both sides' rewards; with none there, nothing happens."""
        for number in session.scalars(sa.select(Reward.id).order_by(Reward.id)).all():
            program.approve(number, by=self.rita, at=self.at)

    def pay(self) -> None:
        batch = program.draw_batch(by=self.finn, at=self.at)
        program.approve_batch(batch, by=self.finn, at=self.at)
        program.export_batch(batch, by=self.finn, at=self.at)
        program.pay_batch(batch, by=self.finn, at=self.at)


def rows() -> tuple[int, ...]:
    """How many rows there are of what events make."""
    tables = ("conversions", "refunds", "decisions", "clawbacks", "transfers", "payouts", "disagreements",
              "reinstatements")  # fmt: skip
    counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
    return tuple(session.execute(sa.text(f"SELECT {counts}")).one())


class Enough(Exception):
    """Takes everything back."""


def walked(app: Flask, database_kind: str, *names: str) -> tuple[Explorer, dict[frozenset[str], set[tuple[int, ...]]]]:
    """Every order of these events, with what there is in all for Alice and Bob by what happened: in each the same."""
    scene = Scene(app, share(3333, hold_days=0), fixed(7, to=REFEREE, hold_days=0), minimum_payout_minor=1)
    scene.method(scene.bob, Kind.CREDIT)
    scene.method(scene.alice, Kind.CREDIT)
    explorer = Explorer(scene, names, longest=9 if LONG else 6 if database_kind == "sqlite" else 4)
    with pytest.raises(Enough), database.writing():
        explorer.walk()
        raise Enough

    by_bucket: dict[tuple[frozenset[str], frozenset[str]], set[Balances]] = {}
    in_all: dict[frozenset[str], set[tuple[int, ...]]] = {}
    for told, balances in explorer.ends.items():
        paid_at = told.index("pay") if "pay" in told else len(told)
        by_bucket.setdefault((frozenset(told[:paid_at]), frozenset(told[paid_at:])), set()).add(balances)
        in_all.setdefault(frozenset(told), set()).add(tuple(sum(buckets) for buckets in balances))
    assert {key: found for key, found in by_bucket.items() if len(found) > 1} == {}
    assert {key: found for key, found in in_all.items() if len(found) > 1} == {}, "a payment moves, it does not give"
    return explorer, in_all


@pytest.mark.both_databases
@pytest.mark.timeout(0 if LONG else 900)
def test_the_same_events_in_any_order_end_in_the_same_balances(
    app: Flask, database_kind: str, record_property: Callable[[str, object], None]
) -> None:
    explorer, in_all = walked(app, database_kind, "order", "part", "second part", "whole", "approve", "pay")
    longest = max(map(len, explorer.ends))
    all_of_them = f"{len(explorer.ends)} orders of events on {database_kind}, the longest of {longest}"
    record_property("figure", f"{all_of_them}; {explorer.repeats.total()} repeats, {explorer.refused.total()} refusals")
    assert len(explorer.ends) >= (180 if database_kind == "sqlite" else 80)
    assert set(explorer.repeats) >= {"order", "part", "second part", "whole"}
    assert {name for name, _ in explorer.refused} == {"approve", "pay"}
    assert {refusal for _, refusal in explorer.refused} == {"DecisionRefused", "PayoutRefused"}
    # 999 at 33.33 % is 333; 667 of 999 are given back: half_up(333 x 667 / 999) = 222, half_up(7 x 667 / 999) = 5.
    parts = frozenset({"order", "part", "second part"})
    assert in_all[frozenset({"order"})] == {(333, 7)}
    assert in_all[parts] == in_all[parts | {"approve"}] == {(111, 2)}
    assert in_all[frozenset({"order", "whole"})] == in_all[parts | {"whole"}] == {(0, 0)}
    assert explorer.ends["order", "approve", "pay", "whole"] == ((0, 0, -333, 0, 333), (0, 0, -7, 0, 7))


@pytest.mark.both_databases
@pytest.mark.case(101)
@pytest.mark.timeout(0 if LONG else 900)
def test_a_chargeback_and_its_won_dispute_in_any_order_end_in_the_same_balances(app: Flask, database_kind: str) -> None:
    explorer, in_all = walked(app, database_kind, "order", "part", "charge", "win", "approve", "pay")
    assert len(explorer.ends) >= (180 if database_kind == "sqlite" else 80)
    assert set(explorer.repeats) >= {"order", "part", "charge", "win"}
    won, lost = frozenset({"order", "charge", "win"}), frozenset({"order", "charge"})
    assert in_all[won] == in_all[won | {"approve"}] == {(333, 7)} and in_all[lost] == in_all[lost | {"part"}] == {
        (0, 0)
    }
    assert in_all[won | {"part"}] == {(222, 5)}
    assert explorer.ends["order", "approve", "pay", "charge"] == ((0, 0, -333, 0, 333), (0, 0, -7, 0, 7))
    assert explorer.ends["win", "order", "approve", "pay"] == ((0, 0, 0, 0, 333), (0, 0, 0, 0, 7))


# --- corners --------------------------------------------------------------------------------------------------


def order_of(reward: Reward) -> str:
    return session.get_one(Conversion, reward.conversion_id).external_id


@pytest.fixture
def two_orders(app: Flask) -> Scene:
    """Bob has ordered twice, and Alice's two rewards of 10.00 are ready to pay."""
    scene = Scene(app, fixed(1000, hold_days=0, **EVERY), minimum_payout_minor=100)
    scene.method(scene.alice, Kind.CREDIT)
    for _ in range(2):
        scene.order(scene.bob, 1000)
    return scene


def out_in_two_batches(scene: Scene) -> Reward:
    """The first reward was paid out, 4.00 of it taken back in a second batch that is out; then the first failed."""
    first, second = scene.rewards(scene.alice)
    scene.approve(first)
    batch = scene.exported_batch()
    scene.refund(order_of(first), 400)
    scene.approve(second)
    scene.exported_batch()
    scene.fail(batch.payouts[0])
    assert scene.balance(scene.alice) == {"payable": 1000, "in_payout": 600}
    return first


@pytest.mark.both_databases
def test_a_decision_stands_while_its_refund_is_out_in_another_batch(two_orders: Scene) -> None:
    first = out_in_two_batches(two_orders)
    with pytest.raises(DecisionRefused, match="payout is out already"):
        two_orders.undo(first)
    assert two_orders.batch().payouts[0].amount_minor == 1000, "the 4.00 are taken in the other batch"


@pytest.mark.both_databases
def test_what_another_batch_took_for_a_reward_that_is_gone_is_given_back(two_orders: Scene) -> None:
    first = out_in_two_batches(two_orders)
    two_orders.refund(order_of(first))
    assert first.state == State.APPROVED and two_orders.balance(two_orders.alice) == {"payable": 400, "in_payout": 600}
    batch = two_orders.exported_batch()
    assert [payout.amount_minor for payout in batch.payouts] == [400]
    two_orders.pay_batch(batch)
    assert two_orders.balance(two_orders.alice) == {"paid": 400, "in_payout": 600}


@pytest.mark.both_databases
def test_a_reward_that_was_gone_is_reversed_once_nothing_of_it_is_out(two_orders: Scene) -> None:
    first = out_in_two_batches(two_orders)
    two_orders.refund(order_of(first))
    second_payout = session.scalars(sa.text("SELECT id FROM payouts WHERE state = 'sent'")).one()
    payout = session.get_one(Payout, second_payout)
    two_orders.fail(payout)
    assert first.state == State.REVERSED and two_orders.balance(two_orders.alice) == {"payable": 1000}


@pytest.mark.both_databases
def test_undoing_takes_a_refund_out_of_a_batch_that_is_not_exported(two_orders: Scene) -> None:
    first, second = two_orders.rewards(two_orders.alice)
    two_orders.approve(first)
    sent = two_orders.exported_batch()
    two_orders.refund(order_of(first), 400)
    two_orders.approve(second)
    draft = two_orders.batch()
    two_orders.fail(sent.payouts[0])
    two_orders.undo(first)
    assert [payout.amount_minor for payout in draft.payouts] == [1000]
    assert two_orders.balance(two_orders.alice) == {"pending": 600, "in_payout": 1000}


@pytest.mark.both_databases
def test_a_reward_taken_back_whole_by_rounding_leaves_its_batch(app: Flask) -> None:
    scene = Scene(app, fixed(7, hold_days=0, **EVERY), minimum_payout_minor=1)
    scene.method(scene.alice, Kind.CREDIT)
    for _ in range(2):
        scene.order(scene.bob, 1000)
    small, other = scene.rewards(scene.alice)
    scene.approve(small)
    scene.approve(other)
    batch = scene.batch()
    scene.refund(order_of(small), 950)  # 6.65 of 7
    assert (small.state, batch.payouts[0].amount_minor) == (State.REVERSED, 7)
    scene.refund(order_of(other), 950)
    assert (other.state, batch.payouts[0].state) == (State.REVERSED, PayoutState.CANCELLED)
    assert scene.balance(scene.alice) == {}


@pytest.mark.both_databases
def test_a_failed_payout_leaves_nothing_approved_of_which_nothing_is_left(two_orders: Scene) -> None:
    first, _ = two_orders.rewards(two_orders.alice)
    two_orders.approve(first)
    batch = two_orders.batch()
    two_orders.refund(order_of(first), 300)
    two_orders.approve_batch(batch)
    two_orders.export(batch)
    two_orders.refund(order_of(first))
    assert first.state == State.APPROVED, "700 of it are on their way"
    two_orders.fail(batch.payouts[0])
    assert first.state == State.REVERSED and two_orders.balance(two_orders.alice) == {"pending": 1000}


@pytest.mark.both_databases
def test_a_bonus_earned_again_keeps_the_rejected_one_rejected(app: Flask) -> None:
    scene = Scene(app, fixed(1000, hold_days=0), milestone(1, 5000, hold_days=0))
    scene.order(scene.bob)
    rejected = scene.rewards(scene.alice)[1]
    scene.reject(rejected)
    carl = scene.friend("Carl", of=scene.alice)
    scene.order(carl)
    again = scene.rewards(scene.alice)[3]
    assert (rejected.threshold, again.threshold, again.state) == (1, 1, State.PENDING)
    with pytest.raises(DecisionRefused, match="earned again since"):
        scene.undo(rejected)
    scene.reject(again)
    assert scene.undo(rejected).state == State.PENDING


@pytest.mark.both_databases
def test_a_refund_told_while_a_reward_was_rejected_counts_when_it_is_taken_up_again(two_orders: Scene) -> None:
    first, second = two_orders.rewards(two_orders.alice)
    two_orders.reject(first)
    two_orders.reject(second)
    two_orders.refund(order_of(first), 250)
    two_orders.refund(order_of(first), 250)
    two_orders.refund(order_of(second))
    two_orders.later(hours=1)
    two_orders.undo(first)
    two_orders.undo(second)
    assert (first.state, clawbacks.left(first), second.state) == (State.PENDING, 500, State.REVERSED)
    assert two_orders.balance(two_orders.alice) == {"pending": 500}
    assert two_orders.at - timedelta(hours=1) == first.made_at


@pytest.mark.both_databases
def test_a_refund_told_before_its_order_does_not_wait_when_the_order_is_there(app: Flask) -> None:
    """Nor where the order earns nobody anything, or waits itself for its customer."""
    scene = Scene(app, fixed(1000))
    stranger = Customer(email="nobody@example.com")
    for number, customer in (("A-1", Customer(email=scene.bob.email)), ("A-2", scene.carol), ("A-3", stranger)):
        assert scene.refund(number, 100, external_id=f"refund of {number}").answer == Answer.WAITING
        scene.order(customer, 1000, external_id=number)
        assert scene.refund(number, 100, external_id=f"refund of {number}").answer == Answer.KNOWN, number
    assert desk.attention(terms.in_force(), at=scene.at).waiting_refunds == 0
