"""Payouts: paying one user; the batch is the run that pays many; a payout is the sum of its lines.

Invariants: a reward, a clawback or a correction stands in at most one live line; a payout is the sum of its lines and
above zero; a line goes back once; who is left out of a batch is told why. Locks: the name "batches", then people, then
batches.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit, roles, users
from portal.accounts.users import User
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line, public_id
from portal.payouts import vouchers
from portal.payouts.methods import Kind, Method
from portal.rewards import ledger, rewards
from portal.rewards.corrections import Correction
from portal.rewards.ledger import Bucket, Cause, Transfer
from portal.rewards.rewards import Clawback, Reward
from portal.rewards.rewards import State as RewardState
from portal.terms import Terms


class BatchState(StrEnum):
    DRAFT = "draft"
    APPROVED = "approved"
    EXPORTED = "exported"
    PAID = "paid"
    PARTLY_PAID = "partly_paid"
    CANCELLED = "cancelled"


class State(StrEnum):
    PREPARING = "preparing"
    SENT = "sent"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Why(StrEnum):
    """Why somebody is left out of a batch."""

    BELOW_MINIMUM = "below_minimum"
    NO_METHOD = "no_method"
    METHOD_ON_HOLD = "method_on_hold"
    NO_VOUCHERS = "no_vouchers"
    UNCONFIRMED = "unconfirmed"
    SUSPENDED = "suspended"
    YOUR_OWN = "your_own"


class PayoutRefused(Refusal):
    """Something that cannot be done with a batch or payout, or not any more."""


class Batch(Model):
    """One run. `reference` is what people say, such as PB-2026-0007."""

    __tablename__ = "payout_batches"
    __table_args__ = (database.one_of("state", BatchState),)

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    reference: Mapped[str] = mapped_column(sa.String(24), unique=True)
    state: Mapped[str] = mapped_column(sa.String(12), default=BatchState.DRAFT)
    currency: Mapped[str] = mapped_column(sa.String(3))
    made_at: Mapped[datetime]
    made_by_id: Mapped[int] = database.refers_to("users.id", index=False)
    approved_at: Mapped[datetime | None]
    approved_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)
    exported_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    bank_reference: Mapped[str] = mapped_column(sa.String(80), default="")

    payouts: Mapped[list["Payout"]] = relationship("Payout", back_populates="batch", order_by="Payout.id")


class Payout(Model):
    """What one user gets in one batch, in minor units: the sum of its lines."""

    __tablename__ = "payouts"
    __table_args__ = (
        database.one_of("state", State),
        database.once("batch_id", "user_id"),
        database.rule("amount_minor > 0 OR state = 'cancelled'", "amount_positive"),
        database.whole("amount_minor"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    reference: Mapped[str] = mapped_column(sa.String(24), unique=True)
    batch_id: Mapped[int] = database.refers_to("payout_batches.id", index=False)
    user_id: Mapped[int] = database.refers_to("users.id")
    method_id: Mapped[int] = database.refers_to("payout_methods.id", index=False)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    state: Mapped[str] = mapped_column(sa.String(10), default=State.PREPARING)
    ended_at: Mapped[datetime | None]
    failure: Mapped[str] = mapped_column(sa.String(200), default="")

    batch: Mapped[Batch] = relationship(Batch, back_populates="payouts")
    user: Mapped[User] = relationship(User)
    method: Mapped[Method] = relationship(Method)
    lines: Mapped[list["Line"]] = relationship("Line", back_populates="payout", order_by="Line.id")


class Line(Model):
    """One line: a reward, a clawback with its minus, or a correction. `returned_at`: it left, its money went back."""

    __tablename__ = "payout_lines"
    __table_args__ = (
        database.rule(
            "CASE WHEN reward_id IS NULL THEN 0 ELSE 1 END + CASE WHEN clawback_id IS NULL THEN 0 ELSE 1 END"
            " + CASE WHEN correction_id IS NULL THEN 0 ELSE 1 END = 1",
            "about_one_thing",
        ),
        database.rule(
            "amount_minor <> 0 AND (reward_id IS NULL OR amount_minor > 0)"
            " AND (clawback_id IS NULL OR amount_minor < 0)",
            "sign_fits",
        ),
        database.once("reward_id", where="returned_at IS NULL", name="uq_payout_lines_reward"),
        database.once("clawback_id", where="returned_at IS NULL", name="uq_payout_lines_clawback"),
        database.once("correction_id", where="returned_at IS NULL", name="uq_payout_lines_correction"),
        database.whole("amount_minor"),
    )

    id: Mapped[int] = database.key()
    payout_id: Mapped[int] = database.refers_to("payouts.id")
    reward_id: Mapped[int | None] = database.refers_to("rewards.id")
    clawback_id: Mapped[int | None] = database.refers_to("clawbacks.id")
    amount_minor: Mapped[int]
    returned_at: Mapped[datetime | None]
    correction_id: Mapped[int | None] = database.refers_to("corrections.id")

    payout: Mapped[Payout] = relationship(Payout, back_populates="lines")
    reward: Mapped[Reward | None] = relationship(Reward)
    clawback: Mapped[Clawback | None] = relationship(Clawback)
    correction: Mapped[Correction | None] = relationship(Correction)

    @property
    def about(self) -> Reward | None:
        """The reward that this line gives, or takes from; None for a correction."""
        return self.clawback.reward if self.clawback is not None else self.reward

    @property
    def person_id(self) -> int:
        """Whose money this is."""
        found = self.about or self.correction
        assert found is not None
        return found.person_id


class Accounted(Model):
    """That a line accounts for a clawback: as its own line, or by making the reward's line smaller."""

    __tablename__ = "accounted_clawbacks"
    __table_args__ = (database.once("clawback_id", where="ended_at IS NULL", name="uq_accounted_clawbacks_live"),)

    id: Mapped[int] = database.key()
    clawback_id: Mapped[int] = database.refers_to("clawbacks.id", index=False)
    line_id: Mapped[int] = database.refers_to("payout_lines.id")
    ended_at: Mapped[datetime | None]


@dataclass(frozen=True)
class Standing:
    """Where a person with money stands before a batch: `why` is empty for who is ready; amounts in minor units."""

    user: User
    balance_minor: int
    method: Method | None
    why: Why | None
    missing_minor: int = 0


# --- who is ready ---------------------------------------------------------------------------------------------


def standings(terms: Terms, *, at: datetime, by: int | None = None) -> list[Standing]:
    """Everybody with something payable, with the reason why they are left out, if they are; the largest first."""
    payable = sa.func.sum(
        sa.case((Transfer.to_bucket == Bucket.PAYABLE, Transfer.amount_minor), else_=-Transfer.amount_minor)
    )
    query = (
        sa.select(Transfer.user_id, payable)
        .where(
            Transfer.currency == terms.currency,
            sa.or_(Transfer.to_bucket == Bucket.PAYABLE, Transfer.from_bucket == Bucket.PAYABLE),
        )
        .group_by(Transfer.user_id)
        .having(payable > 0)
        .order_by(payable.desc(), Transfer.user_id)
    )
    sums = {user_id: int(balance) for user_id, balance in session.execute(query)}
    people = {user.id: user for user in session.scalars(sa.select(User).where(User.id.in_(sums)))}
    in_force = sa.select(Method).where(Method.user_id.in_(sums), Method.replaced_at.is_(None))
    chosen = {method.user_id: method for method in session.scalars(in_force)}
    return [_standing(people[i], balance, chosen.get(i), terms, at=at, by=by) for i, balance in sums.items()]


def _standing(
    user: User, balance: int, method: Method | None, terms: Terms, *, at: datetime, by: int | None
) -> Standing:
    why: Why | None = None
    missing = max(0, terms.minimum_payout_minor - balance)
    if not user.in_good_standing:
        why = Why.SUSPENDED
    elif user.confirmed_at is None:
        why = Why.UNCONFIRMED
    elif missing:
        why = Why.BELOW_MINIMUM
    elif method is None:
        why = Why.NO_METHOD
    elif method.usable_at > at:
        why = Why.METHOD_ON_HOLD
    elif user.id == by:
        why = Why.YOUR_OWN
    elif method.kind == Kind.VOUCHER and vouchers.choose(balance, terms.currency) is None:
        why = Why.NO_VOUCHERS
    return Standing(user, balance, method, why, missing)


# --- drawn ----------------------------------------------------------------------------------------------------


def draw(terms: Terms, *, by: int, at: datetime) -> Batch:
    """Puts everything payable of everybody who is ready into a new draft batch. Raises PayoutRefused if nobody is."""
    database.lock_names("batches")
    locked = {standing.user.id for standing in standings(terms, at=at, by=by)}
    users.lock(*locked)
    batch: Batch | None = None
    for standing in standings(terms, at=at, by=by):
        if standing.why is not None or standing.method is None or standing.user.id not in locked:
            continue
        lines = _lines_for(standing.user.id, terms.currency)
        amount = sum(line.amount_minor for line in lines)
        if amount != standing.balance_minor:
            raise RuntimeError(f"user {standing.user.id}: lines {amount}, payable {standing.balance_minor}")
        chosen = vouchers.choose(amount, terms.currency) if standing.method.kind == Kind.VOUCHER else []
        if chosen is None:
            continue  # somebody before in this batch took the last of the pool
        batch = batch or _new_batch(terms, by=by, at=at)
        _new_payout(batch, standing, lines, amount, terms, at=at)
        payout_id = lines[0].payout_id
        for voucher in chosen:
            voucher.payout_id = payout_id
    if batch is None:
        raise PayoutRefused(marked("Nobody is ready. Nothing was changed."))
    session.flush()
    audit.write("batch_made", "batch", batch.public_id, by=by, at=at, reference=batch.reference)
    return batch


def _lines_for(user_id: int, currency: str) -> list[Line]:
    lines = []
    drawn = sa.select(Line.id).where(Line.reward_id == Reward.id, Line.returned_at.is_(None)).exists()
    ready = sa.select(Reward).where(
        Reward.person_id == user_id,
        Reward.currency == currency,
        Reward.state == RewardState.APPROVED,
        Reward.released_at.is_not(None),
        ~drawn,
    )
    for reward in session.scalars(ready.order_by(Reward.id)):
        if amount := due(reward):
            lines.append(Line(reward_id=reward.id, amount_minor=amount))
    accounted = sa.select(Accounted.id).where(Accounted.clawback_id == Clawback.id, Accounted.ended_at.is_(None))
    owing = (
        sa.select(Clawback)
        .join(Reward, Reward.id == Clawback.reward_id)
        .where(Reward.person_id == user_id, Reward.currency == currency, drawn, ~accounted.exists())
    )
    for clawback in session.scalars(owing.order_by(Clawback.id)):
        lines.append(Line(clawback_id=clawback.id, amount_minor=-clawback.amount_minor))
    entered = sa.select(Line.id).where(Line.correction_id == Correction.id, Line.returned_at.is_(None)).exists()
    corrected = sa.select(Correction).where(Correction.person_id == user_id, Correction.currency == currency, ~entered)
    for correction in session.scalars(corrected.order_by(Correction.id)):
        lines.append(Line(correction_id=correction.id, amount_minor=correction.amount_minor))
    return lines


def due(reward: Reward) -> int:
    """What a line for a reward would give now, in minor units: less every clawback that no live line accounts for."""
    return reward.amount_minor - sum(clawback.amount_minor for clawback in _unaccounted(reward.id))


def _unaccounted(reward_id: int) -> list[Clawback]:
    accounted = sa.select(Accounted.id).where(Accounted.clawback_id == Clawback.id, Accounted.ended_at.is_(None))
    query = sa.select(Clawback).where(Clawback.reward_id == reward_id, ~accounted.exists())
    return list(session.scalars(query.order_by(Clawback.id)))


def _new_batch(terms: Terms, *, by: int, at: datetime) -> Batch:
    batch = Batch(reference=_reference("PB", Batch, terms, at=at), currency=terms.currency, made_at=at, made_by_id=by)
    session.add(batch)
    session.flush()
    return batch


def _new_payout(
    batch: Batch, standing: Standing, lines: list[Line], amount: int, terms: Terms, *, at: datetime
) -> None:
    assert standing.method is not None
    payout = Payout(
        reference=_reference("PO", Payout, terms, at=at),
        batch_id=batch.id,
        user_id=standing.user.id,
        method_id=standing.method.id,
        amount_minor=amount,
        currency=terms.currency,
    )
    session.add(payout)
    session.flush()
    for line in lines:
        line.payout_id = payout.id
        _enter(line, at=at)


def _reference(prefix: str, model: type[Batch] | type[Payout], terms: Terms, *, at: datetime) -> str:
    """The next number of the year. Counted under the lock of the batches."""
    start = f"{prefix}-{terms.day(at).year}-"
    last = session.scalar(
        sa.select(model.reference)
        .where(model.reference.startswith(start, autoescape=True))
        .order_by(sa.func.length(model.reference).desc(), model.reference.desc())
        .limit(1)
    )
    return f"{start}{int(last.removeprefix(start)) + 1 if last else 1:04d}"


def _enter(line: Line, *, at: datetime) -> None:
    """Books a line into its payout, and what it accounts for."""
    session.add(line)
    session.flush()
    _book(line, Bucket.PAYABLE, Bucket.IN_PAYOUT, Cause.LINE_DRAWN, at=at)
    counted = _unaccounted(line.reward_id) if line.reward_id else [line.clawback] if line.clawback else []
    for clawback in counted:
        session.add(Accounted(clawback_id=clawback.id, line_id=line.id))
    session.flush()


def _book(line: Line, left: Bucket, entered: Bucket, cause: Cause, *, at: datetime) -> None:
    """Moves a line's money; a negative line moves the other way."""
    if line.amount_minor < 0:
        left, entered = entered, left
    ledger.move(
        line.person_id, abs(line.amount_minor), line.payout.currency, left, entered,
        cause=cause, cause_id=line.id, reward_id=line.about.id if line.about else None, at=at,
    )  # fmt: skip


# --- looked up and locked -------------------------------------------------------------------------------------


def find_batch(wanted: str) -> Batch | None:
    return session.scalar(sa.select(Batch).where(Batch.public_id == wanted))


def find(wanted: str) -> Payout | None:
    return session.scalar(sa.select(Payout).where(Payout.public_id == wanted))


def find_of_user(wanted: str, *, user_id: int) -> Payout | None:
    """A payout by its public id, if it is this user's."""
    return session.scalar(sa.select(Payout).where(Payout.public_id == wanted, Payout.user_id == user_id))


def lock_batch(batch_id: int) -> Batch:
    """The batch with everybody in it locked, read after the lock."""
    users.lock(*session.scalars(sa.select(Payout.user_id).where(Payout.batch_id == batch_id)))
    database.lock(Batch, [batch_id])
    return session.scalars(sa.select(Batch).where(Batch.id == batch_id).execution_options(populate_existing=True)).one()


def live_line(reward_id: int) -> Line | None:
    """The line in which a reward stands."""
    return session.scalar(sa.select(Line).where(Line.reward_id == reward_id, Line.returned_at.is_(None)))


def sent_of(referral_id: int) -> bool:
    """Whether something of a referral is paid or on its way."""
    query = (
        sa.select(Line.id)
        .join(Reward, Reward.id == Line.reward_id)
        .join(Payout, Payout.id == Line.payout_id)
        .where(Reward.referral_id == referral_id, Line.returned_at.is_(None))
        .where(Payout.state.in_((State.SENT, State.PAID)))
    )
    return session.scalar(query.limit(1)) is not None


def lines_about(reward: Reward) -> list[Line]:
    """The lines that stand for a reward: its own and its clawbacks', which may be in another payout."""
    query = (
        sa.select(Line)
        .outerjoin(Clawback, Clawback.id == Line.clawback_id)
        .where(sa.or_(Line.reward_id == reward.id, Clawback.reward_id == reward.id), Line.returned_at.is_(None))
    )
    return list(session.scalars(query.order_by(Line.id)))


def total(batch: Batch) -> int:
    """What a batch pays, in minor units; failed and cancelled payouts left out."""
    return sum(p.amount_minor for p in batch.payouts if p.state not in (State.FAILED, State.CANCELLED))


# --- moved on -------------------------------------------------------------------------------------------------


def approve(batch: Batch, terms: Terms, *, by: int, at: datetime) -> None:
    """Approves a draft. Raises PayoutRefused: approved before, one's own payout, or a second person is needed."""
    _must_be(batch, BatchState.DRAFT)
    if any(payout.user_id == by and payout.state == State.PREPARING for payout in batch.payouts):
        raise PayoutRefused(marked("Your own payout is in this batch; a colleague approves it."))
    if needs_second_person(batch, terms) and by == batch.made_by_id:
        raise PayoutRefused(marked("This batch is above the limit; a second person approves it."))
    batch.state, batch.approved_at, batch.approved_by_id = BatchState.APPROVED, at, by
    _note(batch, "batch_approved", by=by, at=at)


def needs_second_person(batch: Batch, terms: Terms) -> bool:
    """Whether somebody else than who made the batch must approve it: above the limit, and there are two who may."""
    limit = terms.second_person_above_minor
    return limit is not None and total(batch) > limit and len(roles.holders("pay")) > 1


def export(batch: Batch, *, by: int, at: datetime) -> None:
    """The file is taken out: from now on nothing leaves the batch. Exporting again changes nothing.

    Raises PayoutRefused for a batch that is not approved or has nobody left in it.
    """
    if batch.state in (BatchState.EXPORTED, BatchState.PAID, BatchState.PARTLY_PAID):
        return
    _must_be(batch, BatchState.APPROVED)
    going = [payout for payout in batch.payouts if payout.state == State.PREPARING]
    if not going:
        raise PayoutRefused(marked("Nobody is left in this batch. Cancel it."))
    for payout in going:
        payout.state = State.SENT
    batch.state, batch.exported_at = BatchState.EXPORTED, at
    _note(batch, "batch_exported", by=by, at=at)


def refer_to_bank(batch: Batch, reference: str) -> None:
    """Keeps what the bank calls this batch."""
    batch.bank_reference = one_line(reference, 80) or batch.bank_reference


def pay(payout: Payout, *, by: int, at: datetime) -> bool:
    """Notes that a sent payout arrived; whether this changed anything. Raises PayoutRefused before the export."""
    if payout.state == State.PAID:
        return False
    _must_be_sent(payout)
    for line in live_lines(payout):
        _book(line, Bucket.IN_PAYOUT, Bucket.PAID, Cause.LINE_PAID, at=at)
        if line.reward is not None:
            line.reward.state, line.reward.paid_at = RewardState.PAID, at
    payout.state, payout.ended_at = State.PAID, at
    vouchers.give(payout.id, at=at)
    _note_payout(payout, "payout_paid", by=by, at=at)
    _settle(payout.batch, at=at)
    return True


def fail(payout: Payout, *, failure: str, by: int, at: datetime) -> bool:
    """Notes that a sent payout came back: its lines are payable again, once. Raises PayoutRefused."""
    if payout.state == State.FAILED:
        return False
    _must_be_sent(payout)
    payout.failure = one_line(failure, 200)
    if not payout.failure:
        raise PayoutRefused(marked("Write why the payment failed; the person reads it."))
    _end(payout, State.FAILED, at=at)
    _note_payout(payout, "payout_failed", by=by, at=at)
    _settle(payout.batch, at=at)
    return True


def cancel(batch: Batch, *, by: int, at: datetime) -> None:
    """Dissolves a batch that was not exported: everything in it is payable again. Raises PayoutRefused."""
    if batch.state not in (BatchState.DRAFT, BatchState.APPROVED):
        raise _already(batch)
    for payout in batch.payouts:
        if payout.state == State.PREPARING:
            _end(payout, State.CANCELLED, at=at)
            _note_payout(payout, "payout_cancelled", by=by, at=at)
    batch.state, batch.settled_at = BatchState.CANCELLED, at
    _note(batch, "batch_cancelled", by=by, at=at)


def withdraw(reward: Reward, *, at: datetime) -> bool:
    """Takes everything about a reward out of batches that are not exported; whether nothing of it is out already."""
    lines = lines_about(reward)
    inside = [line for line in lines if line.payout.state == State.PREPARING]
    for line in inside:
        _leave(line, at=at)
    for payout in {line.payout_id: line.payout for line in inside}.values():
        _sum_up(payout, at=at)
    return inside == lines


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
    line = live_line(clawback.reward_id)
    if line is None or line.payout.state != State.PREPARING:
        return
    if rewards.left(clawback.reward) == 0:
        for other in lines_about(clawback.reward):
            if other.payout_id == line.payout_id:
                _leave(other, at=at)
    else:
        _enter(Line(payout_id=line.payout_id, clawback_id=clawback.id, amount_minor=-clawback.amount_minor), at=at)
    _sum_up(line.payout, at=at)


def live_lines(payout: Payout) -> list[Line]:
    """The lines that stand in a payout now."""
    query = sa.select(Line).where(Line.payout_id == payout.id, Line.returned_at.is_(None))
    return list(session.scalars(query.order_by(Line.id)))


def shown_lines(payout: Payout) -> list[Line]:
    """The lines that make up a payout's amount; for one that came to nothing, those that were in it at the end."""
    left_at = payout.ended_at if payout.state in (State.FAILED, State.CANCELLED) else None
    return [line for line in payout.lines if line.returned_at == left_at]


def _leave(line: Line, *, at: datetime) -> None:
    """Takes a line out of its payout: its money goes back, and what it accounted for is open again."""
    _book(line, Bucket.IN_PAYOUT, Bucket.PAYABLE, Cause.LINE_RETURNED, at=at)
    line.returned_at = at
    session.execute(
        sa.update(Accounted).where(Accounted.line_id == line.id, Accounted.ended_at.is_(None)).values(ended_at=at)
    )
    session.flush()


def _sum_up(payout: Payout, *, at: datetime) -> None:
    """A payout is the sum of its lines; at zero or below it is none. Vouchers that no longer fit end it too."""
    amount = sum(line.amount_minor for line in live_lines(payout))
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
    lines = live_lines(payout)
    for line in lines:
        _leave(line, at=at)
    for reward in {line.about.id: line.about for line in lines if line.about}.values():
        if not lines_about(reward):
            rewards.reverse(reward, at=at)
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


def _must_be_sent(payout: Payout) -> None:
    if payout.state == State.PREPARING:
        raise PayoutRefused(marked("Export the batch first: its file is what gets paid."))
    if payout.state != State.SENT:
        raise PayoutRefused(marked("This payout is %(state)s already."), state=payout.state)


def _must_be(batch: Batch, state: BatchState) -> None:
    if batch.state != state:
        raise _already(batch)


def _already(batch: Batch) -> PayoutRefused:
    if batch.state == BatchState.DRAFT:
        return PayoutRefused(marked("This batch is a draft: approve it first."))
    if batch.state == BatchState.APPROVED and batch.approved_by_id:
        who = User.by_id(batch.approved_by_id).called
        return PayoutRefused(marked("Approved by %(who)s at %(when)s."), who=who, when=batch.approved_at)
    return PayoutRefused(marked("This batch is %(state)s already."), state=batch.state.replace("_", " "))


def _note_payout(payout: Payout, verb: str, *, by: int | None, at: datetime) -> None:
    audit.write(verb, "payout", payout.public_id, by=by, at=at,
                amount_minor=payout.amount_minor, currency=payout.currency)  # fmt: skip


def _note(batch: Batch, verb: str, *, by: int | None, at: datetime) -> None:
    session.flush()
    audit.write(verb, "batch", batch.public_id, by=by, at=at, reference=batch.reference,
                amount_minor=total(batch), currency=batch.currency)  # fmt: skip
