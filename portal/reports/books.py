"""The check of the books: recomputes every balance from its causes and names the first rows that do not fit."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from portal.core import database
from portal.core.database import session
from portal.payouts.payouts import Line, Payout
from portal.payouts.payouts import State as PayoutState
from portal.rewards import ledger
from portal.rewards.clawbacks import Clawback
from portal.rewards.corrections import Correction
from portal.rewards.decisions import Decision
from portal.rewards.ledger import Bucket, Cause, Transfer
from portal.rewards.rewards import Reward, State

BUCKETS = (Bucket.PENDING, Bucket.APPROVED, Bucket.PAYABLE, Bucket.IN_PAYOUT, Bucket.PAID)


def faults() -> Iterator[str]:
    """Every fault found, in words that name the row. Nothing: the books are right."""
    yield from ledger.broken_seals()
    yield from _causes()
    yield from _rewards()
    yield from _corrections()
    yield from _payouts()
    yield from _balances()


_CAUSES: dict[Cause, tuple[type[Any], Any, Any]] = {
    Cause.REWARD: (Reward, Reward.amount_minor, sa.true()),
    Cause.DECISION: (Decision, Decision.amount_minor, Decision.amount_minor > 0),
    Cause.RELEASE: (Decision, None, None),
    Cause.CLAWBACK: (Clawback, sa.func.abs(Clawback.amount_minor), sa.true()),
    Cause.LINE_DRAWN: (Line, sa.func.abs(Line.amount_minor), sa.true()),
    Cause.LINE_RETURNED: (Line, sa.func.abs(Line.amount_minor), Line.returned_at.is_not(None)),
    Cause.LINE_PAID: (Line, sa.func.abs(Line.amount_minor), None),
    Cause.CORRECTION: (Correction, sa.func.abs(Correction.amount_minor), sa.true()),
}
"""By cause: the rows that are one, the amount that each moves (None: not told by it), and which of them always move
something (None: not told by the row)."""


def _causes() -> Iterator[str]:
    """Each transfer against the row that caused it, and each such row against its transfer."""
    for cause in _CAUSES:
        for transfer_id, cause_id, moved, expected in session.execute(_transfers_with(cause)):
            if cause_id is None:
                yield f"transfer {transfer_id} has no cause: its {cause} is gone"
            elif moved != expected:
                yield f"transfer {transfer_id} moved {moved}, its {cause} {cause_id} says {expected}"
    for cause, (_, _, always) in _CAUSES.items():
        if always is not None:
            for number in session.scalars(_not_booked(cause)):
                yield f"{cause} {number} is not booked"


@database.once_for_each_database
def _transfers_with(cause: Cause) -> Any:
    model, amount, _ = _CAUSES[cause]
    moved = Transfer.amount_minor
    return (
        sa.select(Transfer.id, model.id, moved, moved if amount is None else amount)
        .select_from(Transfer)
        .outerjoin(model, model.id == Transfer.cause_id)
        .where(Transfer.cause_kind == cause)
        .order_by(Transfer.id)
    )


@database.once_for_each_database
def _not_booked(cause: Cause) -> Any:
    model, _, always = _CAUSES[cause]
    booked = sa.and_(Transfer.cause_id == model.id, Transfer.cause_kind == cause)
    missing = sa.select(model.id).outerjoin(Transfer, booked).where(Transfer.id.is_(None), always)
    return missing.order_by(model.id)


def _rewards() -> Iterator[str]:
    """Where each reward's money lies against its state, its refunds and its lines."""
    lies: dict[int | None, dict[str, int]] = {}
    for reward_id, left, entered, amount in session.execute(_moved_by_reward()):
        buckets = lies.setdefault(reward_id, {})
        buckets[left] = buckets.get(left, 0) - int(amount)
        buckets[entered] = buckets.get(entered, 0) + int(amount)
    lines = _standing_lines()
    taken = {number: int(amount) for number, amount in session.execute(_taken_back())}
    for number, name, state, given, released_at in session.execute(_all_rewards()):
        rest = given - taken.get(number, 0)
        standing = lines.get(number, {})
        expected = _expected(state, rest, released_at, standing)
        actual = {bucket: lies.get(number, {}).get(bucket, 0) for bucket in BUCKETS}
        if rest < 0:
            yield f"reward {name} ({number}): more was taken back than given"
        if rest > given:
            yield f"reward {name} ({number}): more was given again than taken"
        if actual != expected:
            yield f"reward {name} ({number}) is {state}: expected {_said(expected)}, booked {_said(actual)}"


@database.once_for_each_database
def _moved_by_reward() -> Any:
    key = (Transfer.reward_id, Transfer.from_bucket, Transfer.to_bucket)
    return sa.select(*key, sa.func.sum(Transfer.amount_minor)).group_by(*key)


@database.once_for_each_database
def _taken_back() -> Any:
    return sa.select(Clawback.reward_id, sa.func.sum(Clawback.amount_minor)).group_by(Clawback.reward_id)


@database.once_for_each_database
def _all_rewards() -> Any:
    columns = (Reward.id, Reward.public_id, Reward.state, Reward.amount_minor, Reward.released_at)
    return sa.select(*columns).order_by(Reward.id)


def _standing_lines() -> dict[int, dict[str, int]]:
    """By reward: the sums of its live lines (its own and its clawbacks') on their way and paid."""
    found: dict[int, dict[str, int]] = {}
    for reward_id, state, amount in session.execute(_live_lines()):
        bucket = Bucket.PAID if state == PayoutState.PAID else Bucket.IN_PAYOUT
        sums = found.setdefault(reward_id, {})
        sums[bucket] = sums.get(bucket, 0) + int(amount)
    return found


@database.once_for_each_database
def _live_lines() -> Any:
    reward_id = sa.func.coalesce(Line.reward_id, Clawback.reward_id)
    return (
        sa.select(reward_id, Payout.state, sa.func.sum(Line.amount_minor))
        .select_from(Line)
        .join(Payout, Payout.id == Line.payout_id)
        .outerjoin(Clawback, Clawback.id == Line.clawback_id)
        .where(Line.returned_at.is_(None), Line.correction_id.is_(None))
        .group_by(reward_id, Payout.state)
    )


def _expected(state: str, left: int, released_at: datetime | None, standing: dict[str, int]) -> dict[Bucket, int]:
    expected = dict.fromkeys(BUCKETS, 0) | {Bucket(bucket): amount for bucket, amount in standing.items()}
    out = sum(standing.values())
    if state == State.PENDING:
        expected[Bucket.PENDING] = left
        expected[Bucket.PAYABLE] = -out
    elif state == State.APPROVED and released_at is None:
        expected[Bucket.APPROVED] = left
        expected[Bucket.PAYABLE] = -out
    elif state in (State.APPROVED, State.PAID):
        expected[Bucket.PAYABLE] = left - out
    else:
        expected[Bucket.PAYABLE] = -out
    return expected


def _said(buckets: dict[Bucket, int]) -> str:
    return ", ".join(f"{bucket} {amount}" for bucket, amount in buckets.items() if amount) or "nothing"


def _corrections() -> Iterator[str]:
    """Each correction against its transfer's direction and its live line; each person's against where they lie."""
    for name, transfer_id in session.execute(_corrections_astray()):
        yield f"correction {name}: transfer {transfer_id} went another way"
    lies: dict[tuple[int, str], dict[Bucket, int]] = {}

    def add(user_id: int, currency: str, bucket: str, amount: int) -> None:
        buckets = lies.setdefault((user_id, currency), dict.fromkeys(BUCKETS, 0))
        if bucket != Bucket.PROGRAM:
            buckets[Bucket(bucket)] += amount

    for user_id, currency, left, entered, amount in session.execute(_moved_without_reward()):
        add(user_id, currency, left, -int(amount))
        add(user_id, currency, entered, int(amount))
    for name, user_id, currency, amount, line, state in session.execute(_corrections_and_lines()):
        if line not in (None, amount):
            yield f"correction {name} of {amount} stands in a payout with {line}"
        bucket = Bucket.PAYABLE if line is None else Bucket.PAID if state == PayoutState.PAID else Bucket.IN_PAYOUT
        add(user_id, currency, bucket, -amount)
    for (user_id, currency), buckets in sorted(lies.items()):
        if any(buckets.values()):
            yield f"user {user_id}: {currency} of corrections does not lie where it should: {_said(buckets)}"


@database.once_for_each_database
def _corrections_astray() -> Any:
    went = sa.case((Correction.amount_minor > 0, Bucket.PAYABLE.value), else_=Bucket.PROGRAM.value)
    booked = sa.and_(Transfer.cause_id == Correction.id, Transfer.cause_kind == Cause.CORRECTION)
    wrong = sa.or_(
        Transfer.to_bucket != went,
        Transfer.from_bucket.not_in((Bucket.PAYABLE, Bucket.PROGRAM)),
        Transfer.user_id != Correction.person_id,
        Transfer.currency != Correction.currency,
    )
    query = sa.select(Correction.public_id, Transfer.id).join(Transfer, booked).where(wrong)
    return query.order_by(Correction.id)


@database.once_for_each_database
def _moved_without_reward() -> Any:
    key = (Transfer.user_id, Transfer.currency, Transfer.from_bucket, Transfer.to_bucket)
    return sa.select(*key, sa.func.sum(Transfer.amount_minor)).where(Transfer.reward_id.is_(None)).group_by(*key)


@database.once_for_each_database
def _corrections_and_lines() -> Any:
    out = sa.select(Line.correction_id, Line.amount_minor, Payout.state).join(Payout, Payout.id == Line.payout_id)
    lines = out.where(Line.correction_id.is_not(None), Line.returned_at.is_(None)).subquery()
    stands = sa.select(
        Correction.public_id, Correction.person_id, Correction.currency, Correction.amount_minor,
        lines.c.amount_minor, lines.c.state,
    ).outerjoin(lines, lines.c.correction_id == Correction.id)  # fmt: skip
    return stands.order_by(Correction.id)


def _payouts() -> Iterator[str]:
    """A payout is the sum of its lines; a failed or cancelled one keeps none."""
    for reference, state, amount, lines in session.execute(_payouts_and_lines()):
        expected = 0 if state in (PayoutState.FAILED, PayoutState.CANCELLED) else amount
        if lines != expected:
            yield f"payout {reference} is {state} of {amount}: its lines sum to {lines}"


@database.once_for_each_database
def _payouts_and_lines() -> Any:
    live = sa.func.coalesce(sa.func.sum(sa.case((Line.returned_at.is_(None), Line.amount_minor), else_=0)), 0)
    return (
        sa.select(Payout.reference, Payout.state, Payout.amount_minor, live)
        .outerjoin(Line, Line.payout_id == Payout.id)
        .group_by(Payout.id, Payout.reference, Payout.state, Payout.amount_minor)
        .order_by(Payout.id)
    )


def _balances() -> Iterator[str]:
    """Only payable may be negative."""
    for bucket in BUCKETS:
        if bucket != Bucket.PAYABLE:
            for user_id, currency, amount in session.execute(_negative(bucket)):
                yield f"user {user_id}: {bucket} is {amount} {currency}"


@database.once_for_each_database
def _negative(bucket: Bucket) -> Any:
    signed = sa.case((Transfer.to_bucket == bucket, Transfer.amount_minor), else_=-Transfer.amount_minor)
    return (
        sa.select(Transfer.user_id, Transfer.currency, sa.func.sum(signed))
        .where(sa.or_(Transfer.to_bucket == bucket, Transfer.from_bucket == bucket))
        .group_by(Transfer.user_id, Transfer.currency)
        .having(sa.func.sum(signed) < 0)
    )
