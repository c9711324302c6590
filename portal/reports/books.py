"""The check of the books: recomputes every balance from its causes and names the first rows that do not fit."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from portal.core.database import session
from portal.payouts.payouts import Line, Payout
from portal.payouts.payouts import State as PayoutState
from portal.rewards import ledger
from portal.rewards.corrections import Correction
from portal.rewards.decisions import Decision
from portal.rewards.ledger import Bucket, Cause, Transfer
from portal.rewards.rewards import Clawback, Reward, State

BUCKETS = (Bucket.PENDING, Bucket.APPROVED, Bucket.PAYABLE, Bucket.IN_PAYOUT, Bucket.PAID)


def faults() -> Iterator[str]:
    """Every fault found, in words that name the row. Nothing: the books are right."""
    yield from ledger.broken_seals()
    yield from _causes()
    yield from _rewards()
    yield from _corrections()
    yield from _payouts()
    yield from _balances()


def _causes() -> Iterator[str]:
    """Each transfer against the row that caused it, and each such row against its transfer."""
    checks: list[tuple[Cause, type[Any], Any]] = [
        (Cause.REWARD, Reward, Reward.amount_minor),
        (Cause.DECISION, Decision, Decision.amount_minor),
        (Cause.RELEASE, Decision, None),
        (Cause.CLAWBACK, Clawback, Clawback.amount_minor),
        (Cause.LINE_DRAWN, Line, sa.func.abs(Line.amount_minor)),
        (Cause.LINE_RETURNED, Line, sa.func.abs(Line.amount_minor)),
        (Cause.LINE_PAID, Line, sa.func.abs(Line.amount_minor)),
        (Cause.CORRECTION, Correction, sa.func.abs(Correction.amount_minor)),
    ]
    for cause, model, amount in checks:
        joined = (
            sa.select(Transfer.id, model.id, Transfer.amount_minor, Transfer.amount_minor if amount is None else amount)
            .select_from(Transfer)
            .outerjoin(model, model.id == Transfer.cause_id)
            .where(Transfer.cause_kind == cause)
            .order_by(Transfer.id)
        )
        for transfer_id, cause_id, moved, expected in session.execute(joined):
            if cause_id is None:
                yield f"transfer {transfer_id} has no cause: its {cause} is gone"
            elif moved != expected:
                yield f"transfer {transfer_id} moved {moved}, its {cause} {cause_id} says {expected}"
    always: list[tuple[Cause, type[Any], Any]] = [
        (Cause.REWARD, Reward, sa.true()),
        (Cause.DECISION, Decision, Decision.amount_minor > 0),
        (Cause.CLAWBACK, Clawback, sa.true()),
        (Cause.LINE_DRAWN, Line, sa.true()),
        (Cause.LINE_RETURNED, Line, Line.returned_at.is_not(None)),
        (Cause.CORRECTION, Correction, sa.true()),
    ]
    for cause, model, where in always:
        booked = sa.and_(Transfer.cause_id == model.id, Transfer.cause_kind == cause)
        missing = sa.select(model.id).outerjoin(Transfer, booked).where(Transfer.id.is_(None), where)
        for number in session.scalars(missing.order_by(model.id)):
            yield f"{cause} {number} is not booked"


def _rewards() -> Iterator[str]:
    """Where each reward's money lies against its state, its refunds and its lines."""
    lies: dict[int | None, dict[str, int]] = {}
    sums = sa.select(
        Transfer.reward_id, Transfer.from_bucket, Transfer.to_bucket, sa.func.sum(Transfer.amount_minor)
    ).group_by(Transfer.reward_id, Transfer.from_bucket, Transfer.to_bucket)
    for reward_id, left, entered, amount in session.execute(sums):
        buckets = lies.setdefault(reward_id, {})
        buckets[left] = buckets.get(left, 0) - int(amount)
        buckets[entered] = buckets.get(entered, 0) + int(amount)
    lines = _standing_lines()
    taken_query = sa.select(Clawback.reward_id, sa.func.sum(Clawback.amount_minor)).group_by(Clawback.reward_id)
    taken = {number: int(amount) for number, amount in session.execute(taken_query)}
    query = sa.select(Reward.id, Reward.public_id, Reward.state, Reward.amount_minor, Reward.released_at)
    for number, name, state, given, released_at in session.execute(query.order_by(Reward.id)):
        rest = given - taken.get(number, 0)
        standing = lines.get(number, {})
        expected = _expected(state, rest, released_at, standing)
        actual = {bucket: lies.get(number, {}).get(bucket, 0) for bucket in BUCKETS}
        if rest < 0:
            yield f"reward {name} ({number}): more was taken back than given"
        if actual != expected:
            yield f"reward {name} ({number}) is {state}: expected {_said(expected)}, booked {_said(actual)}"


def _standing_lines() -> dict[int, dict[str, int]]:
    """By reward: the sums of its live lines (its own and its clawbacks') on their way and paid."""
    found: dict[int, dict[str, int]] = {}
    query = (
        sa.select(sa.func.coalesce(Line.reward_id, Clawback.reward_id), Payout.state, sa.func.sum(Line.amount_minor))
        .select_from(Line)
        .join(Payout, Payout.id == Line.payout_id)
        .outerjoin(Clawback, Clawback.id == Line.clawback_id)
        .where(Line.returned_at.is_(None), Line.correction_id.is_(None))
        .group_by(sa.func.coalesce(Line.reward_id, Clawback.reward_id), Payout.state)
    )
    for reward_id, state, amount in session.execute(query):
        bucket = Bucket.PAID if state == PayoutState.PAID else Bucket.IN_PAYOUT
        sums = found.setdefault(reward_id, {})
        sums[bucket] = sums.get(bucket, 0) + int(amount)
    return found


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
    went = sa.case((Correction.amount_minor > 0, Bucket.PAYABLE.value), else_=Bucket.PROGRAM.value)
    booked = sa.and_(Transfer.cause_id == Correction.id, Transfer.cause_kind == Cause.CORRECTION)
    wrong = sa.or_(
        Transfer.to_bucket != went,
        Transfer.from_bucket.not_in((Bucket.PAYABLE, Bucket.PROGRAM)),
        Transfer.user_id != Correction.person_id,
        Transfer.currency != Correction.currency,
    )
    query = sa.select(Correction.public_id, Transfer.id).join(Transfer, booked).where(wrong)
    for name, transfer_id in session.execute(query.order_by(Correction.id)):
        yield f"correction {name}: transfer {transfer_id} went another way"
    lies: dict[tuple[int, str], dict[Bucket, int]] = {}

    def add(user_id: int, currency: str, bucket: str, amount: int) -> None:
        buckets = lies.setdefault((user_id, currency), dict.fromkeys(BUCKETS, 0))
        if bucket != Bucket.PROGRAM:
            buckets[Bucket(bucket)] += amount

    key = (Transfer.user_id, Transfer.currency, Transfer.from_bucket, Transfer.to_bucket)
    moved = sa.select(*key, sa.func.sum(Transfer.amount_minor)).where(Transfer.reward_id.is_(None)).group_by(*key)
    for user_id, currency, left, entered, amount in session.execute(moved):
        add(user_id, currency, left, -int(amount))
        add(user_id, currency, entered, int(amount))
    out = sa.select(Line.correction_id, Line.amount_minor, Payout.state).join(Payout, Payout.id == Line.payout_id)
    lines = out.where(Line.correction_id.is_not(None), Line.returned_at.is_(None)).subquery()
    stands = sa.select(
        Correction.public_id, Correction.person_id, Correction.currency, Correction.amount_minor,
        lines.c.amount_minor, lines.c.state,
    ).outerjoin(lines, lines.c.correction_id == Correction.id)  # fmt: skip
    for name, user_id, currency, amount, line, state in session.execute(stands.order_by(Correction.id)):
        if line not in (None, amount):
            yield f"correction {name} of {amount} stands in a payout with {line}"
        bucket = Bucket.PAYABLE if line is None else Bucket.PAID if state == PayoutState.PAID else Bucket.IN_PAYOUT
        add(user_id, currency, bucket, -amount)
    for (user_id, currency), buckets in sorted(lies.items()):
        if any(buckets.values()):
            yield f"user {user_id}: {currency} of corrections does not lie where it should: {_said(buckets)}"


def _payouts() -> Iterator[str]:
    """A payout is the sum of its lines; a failed or cancelled one keeps none."""
    live = sa.func.coalesce(sa.func.sum(sa.case((Line.returned_at.is_(None), Line.amount_minor), else_=0)), 0)
    query = (
        sa.select(Payout.reference, Payout.state, Payout.amount_minor, live)
        .outerjoin(Line, Line.payout_id == Payout.id)
        .group_by(Payout.id, Payout.reference, Payout.state, Payout.amount_minor)
        .order_by(Payout.id)
    )
    for reference, state, amount, lines in session.execute(query):
        expected = 0 if state in (PayoutState.FAILED, PayoutState.CANCELLED) else amount
        if lines != expected:
            yield f"payout {reference} is {state} of {amount}: its lines sum to {lines}"


def _balances() -> Iterator[str]:
    """Only payable may be negative."""
    for bucket in BUCKETS:
        if bucket == Bucket.PAYABLE:
            continue
        signed = sa.case((Transfer.to_bucket == bucket, Transfer.amount_minor), else_=-Transfer.amount_minor)
        query = (
            sa.select(Transfer.user_id, Transfer.currency, sa.func.sum(signed))
            .where(sa.or_(Transfer.to_bucket == bucket, Transfer.from_bucket == bucket))
            .group_by(Transfer.user_id, Transfer.currency)
            .having(sa.func.sum(signed) < 0)
        )
        for user_id, currency, amount in session.execute(query):
            yield f"user {user_id}: {bucket} is {amount} {currency}"
