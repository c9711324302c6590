"""Moving: what becomes of a batch once it is drawn: approved, exported, paid, failed, cancelled; what leaves it again.

Invariants: a line goes back once; after the export nothing leaves but what failed. Locks: the people of the batch, then
the batch (`payouts.lock_batch`).
"""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from portal.accounts import audit, roles
from portal.accounts.users import User
from portal.core import clock, database
from portal.core.database import session
from portal.core.text import marked, one_line
from portal.payouts import payouts, vouchers
from portal.payouts.methods import Kind
from portal.payouts.payouts import Accounted, Batch, BatchState, Line, Payout, PayoutRefused, State
from portal.rewards import clawbacks
from portal.rewards.clawbacks import Clawback
from portal.rewards.ledger import Bucket, Cause
from portal.rewards.rewards import Reward
from portal.rewards.rewards import State as RewardState
from portal.terms import Terms


class DayRefused(PayoutRefused):
    """A day on which money cannot have arrived."""


def approve(batch: Batch, terms: Terms, *, by: int, at: datetime) -> None:
    """Approves a draft. Raises PayoutRefused: approved before, one's own payout, or a second person is needed."""
    if batch.state != BatchState.DRAFT:
        raise _already(batch, by)
    if any(payout.user_id == by and payout.state == State.PREPARING for payout in batch.payouts):
        raise PayoutRefused(marked("Your own payout is in this batch; a colleague approves it."))
    if needs_second_person(batch, terms) and by == batch.made_by_id:
        raise PayoutRefused(marked("This batch is above the limit; a second person approves it."))
    batch.state, batch.approved_at, batch.approved_by_id = BatchState.APPROVED, at, by
    _note(batch, "batch_approved", by=by, at=at)


def needs_second_person(batch: Batch, terms: Terms) -> bool:
    """Whether somebody else than who made the batch must approve it: above the limit, and there are two who may."""
    limit = terms.second_person_above_minor
    return limit is not None and payouts.total(batch) > limit and len(roles.holders("pay")) > 1


def export(batch: Batch, *, by: int, at: datetime) -> None:
    """The file is taken out: from now on nothing leaves the batch. Exporting again changes nothing.

    Raises PayoutRefused for a batch that is not approved or has nobody left in it.
    """
    if batch.state in (BatchState.EXPORTED, BatchState.PAID, BatchState.PARTLY_PAID):
        return
    if batch.state != BatchState.APPROVED:
        raise _already(batch, by)
    going = [payout for payout in batch.payouts if payout.state == State.PREPARING]
    if not going:
        raise PayoutRefused(marked("Nobody is left in this batch. Cancel it."))
    for payout in going:
        payout.state = State.SENT
    batch.state, batch.exported_at = BatchState.EXPORTED, at
    _note(batch, "batch_exported", by=by, at=at)


def _already(batch: Batch, by: int) -> PayoutRefused:
    """Why a batch is not approved or exported now."""
    if batch.state == BatchState.DRAFT:
        return PayoutRefused(marked("This batch is a draft: approve it first."))
    if batch.approved_by_id is None or batch.state == BatchState.CANCELLED:
        return PayoutRefused(marked("This batch is %(state)s already."), state=batch.state.replace("_", " "))
    if batch.approved_by_id == by:
        return PayoutRefused(marked("Already approved by you at %(when)s."), when=batch.approved_at)
    who = User.by_id(batch.approved_by_id).called
    return PayoutRefused(marked("Approved by %(who)s at %(when)s."), who=who, when=batch.approved_at)


def refer_to_bank(batch: Batch, reference: str) -> None:
    """Keeps what the bank calls this batch."""
    batch.bank_reference = one_line(reference, 80) or batch.bank_reference


def pay(
    batch: Batch, arrived: list[Payout], terms: Terms, *, by: int, at: datetime, on: date | None = None,
    bank_reference: str = "",
) -> list[Payout]:  # fmt: skip
    """Notes that sent payouts of a batch arrived, on a day by the terms' clocks; gives those not noted before.

    Raises PayoutRefused before the export, for one that came to nothing, and for a day that cannot be.
    """
    new = [payout for payout in arrived if payout.state != State.PAID]
    for payout in new:
        _must_be_sent(payout)
    if not new:
        return []
    paid_at = _moment_of(on, batch, terms, at=at)
    for line in payouts.lines_in([payout.id for payout in new]):
        payouts.book(line, Bucket.IN_PAYOUT, Bucket.PAID, Cause.LINE_PAID, at=at)
        if line.reward is not None:
            line.reward.state, line.reward.paid_at = RewardState.PAID, paid_at
    vouchers.give([payout.id for payout in new], at=at)
    told: dict[str, Any] = {"bank_reference": one_line(bank_reference, 80)} if bank_reference.strip() else {}
    for payout in new:
        payout.state, payout.ended_at = State.PAID, paid_at
        _note_payout(payout, "payout_paid", by=by, at=at, paid_on=terms.day(paid_at).isoformat(), **told)
    _settle(batch, at=at)
    return new


def _moment_of(on: date | None, batch: Batch, terms: Terms, *, at: datetime) -> datetime:
    """A day of payment as a moment: now for today, else the day's noon. Raises DayRefused."""
    if on is None or on == terms.day(at):
        return at
    if on > terms.day(at):
        raise DayRefused(marked("This day has not come yet."))
    if batch.exported_at is None or on < terms.day(batch.exported_at):
        raise DayRefused(marked("That is before the file was taken out, at %(when)s."), when=batch.exported_at)
    return max(clock.noon(on, terms.time_zone), batch.exported_at)


def fail(batch: Batch, payout: Payout, *, failure: str, by: int, at: datetime) -> bool:
    """Notes that a sent payout came back: its lines are payable again, once. Raises PayoutRefused."""
    if payout.state == State.FAILED:
        return False
    _must_be_sent(payout)
    payout.failure = one_line(failure, 200)
    if not payout.failure:
        raise PayoutRefused(marked("Write why the payment failed; the person reads it."))
    _end(payout, State.FAILED, at=at)
    _note_payout(payout, "payout_failed", by=by, at=at)
    _settle(batch, at=at)
    return True


def _must_be_sent(payout: Payout) -> None:
    if payout.state == State.PREPARING:
        raise PayoutRefused(marked("Export the batch first: its file is what gets paid."))
    if payout.state != State.SENT:
        raise PayoutRefused(marked("This payout is %(state)s already."), state=payout.state)


def cancel(batch: Batch, *, by: int, at: datetime) -> None:
    """Dissolves a batch that was not exported: everything in it is payable again. Raises PayoutRefused."""
    if batch.state not in (BatchState.DRAFT, BatchState.APPROVED):
        raise PayoutRefused(marked("This batch is %(state)s already."), state=batch.state.replace("_", " "))
    for payout in batch.payouts:
        if payout.state == State.PREPARING:
            _end(payout, State.CANCELLED, at=at)
            _note_payout(payout, "payout_cancelled", by=by, at=at)
    batch.state, batch.settled_at = BatchState.CANCELLED, at
    _note(batch, "batch_cancelled", by=by, at=at)


# --- left ------------------------------------------------------------------------------------------------------


def withdraw(reward: Reward, *, at: datetime) -> None:
    """Takes everything about a reward out of batches that are not exported."""
    inside = [line for line in payouts.lines_about(reward) if line.payout.state == State.PREPARING]
    for line in inside:
        _leave(line, at=at)
    for payout in {line.payout_id: line.payout for line in inside}.values():
        _sum_up(payout, at=at)


def freeze(user_id: int, *, at: datetime) -> None:
    """Takes everything of a person out of batches that are not exported."""
    query = sa.select(Payout).where(Payout.user_id == user_id, Payout.state == State.PREPARING)
    for payout in session.scalars(query.order_by(Payout.id)):
        _end(payout, State.CANCELLED, at=at)
        _note_payout(payout, "payout_cancelled", by=None, at=at)
        _settle(payout.batch, at=at)


def join(clawback: Clawback, *, at: datetime) -> None:
    """Puts a clawback beside its reward if that stands in a batch not exported, so that the payout is the less.

    A reward of which nothing is left leaves the payout instead, with what stood beside it.
    """
    line = payouts.live_line(clawback.reward_id)
    if line is None or line.payout.state != State.PREPARING:
        return
    if clawbacks.left(clawback.reward) == 0:
        for other in payouts.lines_about(clawback.reward):
            if other.payout_id == line.payout_id:
                _leave(other, at=at)
    else:
        beside = Line(payout_id=line.payout_id, clawback=clawback, amount_minor=-clawback.amount_minor)
        payouts.enter(beside, [clawback], at=at)
    _sum_up(line.payout, at=at)


# --- in common -------------------------------------------------------------------------------------------------


def _leave(line: Line, *, at: datetime) -> None:
    """Takes a line out of its payout: its money goes back, and what it accounted for is open again."""
    payouts.book(line, Bucket.IN_PAYOUT, Bucket.PAYABLE, Cause.LINE_RETURNED, at=at)
    line.returned_at = at
    session.execute(
        sa.update(Accounted).where(Accounted.line_id == line.id, Accounted.ended_at.is_(None)).values(ended_at=at)
    )
    session.flush()


def _sum_up(payout: Payout, *, at: datetime) -> None:
    """A payout is the sum of its lines; at zero or below it is none. Vouchers that no longer fit end it too."""
    amount = sum(line.amount_minor for line in payouts.live_lines(payout))
    fits = payout.method.kind != Kind.VOUCHER or amount == payout.amount_minor
    if amount <= 0 or not fits:
        _end(payout, State.CANCELLED, at=at)
        _note_payout(payout, "payout_cancelled", by=None, at=at)
        _settle(payout.batch, at=at)
    else:
        payout.amount_minor = amount
        session.flush()


def _end(payout: Payout, state: State, *, at: datetime) -> None:
    """Ends a payout that came to nothing."""
    lines = payouts.live_lines(payout)
    for line in lines:
        _leave(line, at=at)
    for reward in {line.about.id: line.about for line in lines if line.about}.values():
        if not payouts.lines_about(reward):
            clawbacks.reverse(reward, at=at)
    payout.state, payout.ended_at = state, at
    vouchers.free(payout.id)
    session.flush()


def _settle(batch: Batch, *, at: datetime) -> None:
    """A batch is done when none of its payouts is on its way any more."""
    session.flush()
    database.lock(Batch, [batch.id])  # two of its people may leave it at once, each under their own lock only
    states = set(session.scalars(sa.select(Payout.state).where(Payout.batch_id == batch.id)))
    if states & {State.PREPARING, State.SENT}:
        return
    if State.PAID not in states:
        batch.state = BatchState.CANCELLED
    else:
        batch.state = BatchState.PARTLY_PAID if State.FAILED in states else BatchState.PAID
    batch.settled_at = at
    _note(batch, f"batch_{batch.state}", by=None, at=at)


def _note_payout(payout: Payout, verb: str, *, by: int | None, at: datetime, **told: Any) -> None:
    audit.write(verb, "payout", payout.public_id, by=by, at=at,
                amount_minor=payout.amount_minor, currency=payout.currency, **told)  # fmt: skip


def _note(batch: Batch, verb: str, *, by: int | None, at: datetime) -> None:
    session.flush()
    audit.write(verb, "batch", batch.public_id, by=by, at=at, reference=batch.reference,
                amount_minor=payouts.total(batch), currency=batch.currency)  # fmt: skip
