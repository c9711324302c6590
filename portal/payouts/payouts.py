"""Payouts: paying one user; the batch is the run that pays many; a payout is the sum of its lines.

Invariants: a reward, a clawback or a correction stands in at most one live line; a payout is the sum of its lines and
above zero; a line goes back once; who is left out of a batch is told why. Locks: the name "batches", then people, then
batches.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, contains_eager, joinedload, mapped_column, relationship, selectinload

from portal.accounts import audit, roles, users
from portal.accounts.users import User
from portal.core import clock, database
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


class DayRefused(PayoutRefused):
    """A day on which money cannot have arrived."""


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
    vouchers: dict[int, int] = field(default_factory=dict)
    """How many vouchers of each value make the balance up, for who is paid by them."""

    @property
    def lacks_details(self) -> bool:
        """Whether there is nothing in the way but that the person has not said how to be paid."""
        return self.why == Why.NO_METHOD


# --- who is ready ---------------------------------------------------------------------------------------------


def standings(
    terms: Terms, *, at: datetime, by: int | None = None, only: Collection[str] | None = None
) -> list[Standing]:
    """Everybody with something payable, with the reason why they are left out, if they are; the largest first.

    `by` does not pay themselves; `only`: nobody but the people of these public ids. Two queries, however many they are.
    """
    balance = sa.func.sum(
        sa.case((Transfer.to_bucket == Bucket.PAYABLE, Transfer.amount_minor), else_=-Transfer.amount_minor)
    )
    payable = (
        sa.select(Transfer.user_id, balance.label("balance"))
        .where(Transfer.currency == terms.currency, sa.text(ledger.THROUGH_PAYABLE))
        .group_by(Transfer.user_id)
        .having(balance > 0)
        .subquery()
    )
    query = (
        sa.select(User, payable.c.balance, Method)
        .join(payable, payable.c.user_id == User.id)
        .outerjoin(Method, sa.and_(Method.user_id == User.id, Method.replaced_at.is_(None)))
        .order_by(payable.c.balance.desc(), User.id)
    )
    pool = vouchers.pool(terms.currency)
    found = []
    for user, sum_, method in session.execute(query):
        if only is None or user.public_id in only:
            standing = _standing(user, int(sum_), method, terms, pool, at=at, by=by)
            pool = {value: count - standing.vouchers.get(value, 0) for value, count in pool.items()}
            found.append(standing)
    return found


def _standing(
    user: User, balance: int, method: Method | None, terms: Terms, pool: dict[int, int], *, at: datetime, by: int | None
) -> Standing:
    why: Why | None = None
    missing = max(0, terms.minimum_payout_minor - balance)
    of_each: dict[int, int] = {}
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
    elif method.kind == Kind.VOUCHER:
        made_up = vouchers.made_up(balance, pool)
        of_each, why = (made_up, None) if made_up else ({}, Why.NO_VOUCHERS)
    return Standing(user, balance, method, why, missing, of_each)


def ready_rewards(user_ids: Collection[int], currency: str) -> dict[int, int]:
    """How many rewards of each of these people would go into a batch."""
    query = sa.select(Reward.person_id, sa.func.count()).where(*_ready(user_ids, currency)).group_by(Reward.person_id)
    return {number: many for number, many in session.execute(query)}


# --- drawn ----------------------------------------------------------------------------------------------------


def draw(terms: Terms, *, by: int, at: datetime, only: Collection[str] | None = None) -> Batch:
    """Puts everything payable of everybody who is ready into a new draft batch; with `only`, of these among them.

    Raises PayoutRefused if none of them is ready.
    """
    database.lock_names("batches")
    locked = {standing.user.id for standing in standings(terms, at=at, by=by, only=only)}
    users.lock(*locked)
    stand = standings(terms, at=at, by=by, only=only)
    going = [standing for standing in stand if standing.why is None and standing.user.id in locked]
    if not going:
        raise PayoutRefused(marked("Nobody is ready. Nothing was changed."))
    batch = _new_batch(terms, by=by, at=at)
    made = _new_payouts(batch, going, terms, at=at)
    _enter_all({payout.user_id: payout for payout in made}, terms.currency, at=at)
    _reserve(going, {payout.user_id: payout for payout in made}, terms.currency)
    audit.write("batch_made", "batch", batch.public_id, by=by, at=at, reference=batch.reference)
    return batch


def _new_batch(terms: Terms, *, by: int, at: datetime) -> Batch:
    (reference,) = _references("PB", Batch, terms, 1, at=at)
    batch = Batch(reference=reference, currency=terms.currency, made_at=at, made_by_id=by)
    session.add(batch)
    session.flush()
    return batch


def _new_payouts(batch: Batch, going: list[Standing], terms: Terms, *, at: datetime) -> list[Payout]:
    made = [
        Payout(
            reference=reference,
            batch_id=batch.id,
            user_id=standing.user.id,
            method_id=standing.method.id if standing.method else None,
            amount_minor=standing.balance_minor,
            currency=terms.currency,
        )
        for standing, reference in zip(going, _references("PO", Payout, terms, len(going), at=at), strict=True)
    ]
    session.add_all(made)
    session.flush()
    return made


def _enter_all(payouts: dict[int, Payout], currency: str, *, at: datetime) -> None:
    """Fills new payouts, by their people, with everything payable of each: rewards, what they owe, corrections."""
    drawn = sa.select(Line.id).where(Line.reward_id == Reward.id, Line.returned_at.is_(None)).exists()
    owing = (
        sa.select(Clawback)
        .join(Reward, Reward.id == Clawback.reward_id)
        .options(contains_eager(Clawback.reward))
        .where(Reward.person_id.in_(payouts), Reward.currency == currency, drawn, ~_is_accounted())
    )
    ready = sa.select(Reward).where(*_ready(payouts, currency)).order_by(Reward.id)
    gave, owed = list(session.scalars(ready)), list(session.scalars(owing.order_by(Clawback.id)))
    taken = _unaccounted({reward.id for reward in gave})
    sums = dict.fromkeys(payouts, 0)
    for reward in gave:
        amount = reward.amount_minor - sum(clawback.amount_minor for clawback in taken[reward.id])
        if amount:
            line = Line(payout_id=payouts[reward.person_id].id, reward=reward, amount_minor=amount)
            _enter(line, taken[reward.id], at=at)
            sums[reward.person_id] += amount
    for clawback in owed:
        person = clawback.reward.person_id
        line = Line(payout_id=payouts[person].id, clawback=clawback, amount_minor=-clawback.amount_minor)
        _enter(line, [clawback], at=at)
        sums[person] -= clawback.amount_minor
    entered = sa.select(Line.id).where(Line.correction_id == Correction.id, Line.returned_at.is_(None)).exists()
    corrected = (Correction.person_id.in_(payouts), Correction.currency == currency, ~entered)
    for correction in session.scalars(sa.select(Correction).where(*corrected).order_by(Correction.id)):
        person, amount = correction.person_id, correction.amount_minor
        _enter(Line(payout_id=payouts[person].id, correction=correction, amount_minor=amount), [], at=at)
        sums[person] += amount
    for person, payout in payouts.items():
        if sums[person] != payout.amount_minor:
            raise RuntimeError(f"user {person}: lines {sums[person]}, payable {payout.amount_minor}")


def _ready(user_ids: Collection[int], currency: str) -> tuple[sa.ColumnElement[bool], ...]:
    """What says of a reward that it is ready to pay, somebody's of these, and in no payout."""
    drawn = sa.select(Line.id).where(Line.reward_id == Reward.id, Line.returned_at.is_(None)).exists()
    return (
        Reward.person_id.in_(user_ids),
        Reward.currency == currency,
        Reward.state == RewardState.APPROVED,
        Reward.released_at.is_not(None),
        ~drawn,
    )


def _unaccounted(reward_ids: Collection[int]) -> dict[int, list[Clawback]]:
    """What refunds took of these rewards and no live line accounts for, by reward."""
    query = sa.select(Clawback).where(Clawback.reward_id.in_(reward_ids), ~_is_accounted()).order_by(Clawback.id)
    found: dict[int, list[Clawback]] = defaultdict(list)
    for clawback in session.scalars(query):
        found[clawback.reward_id].append(clawback)
    return found


def _is_accounted() -> sa.Exists:
    return sa.select(Accounted.id).where(Accounted.clawback_id == Clawback.id, Accounted.ended_at.is_(None)).exists()


def _reserve(going: list[Standing], payouts: dict[int, Payout], currency: str) -> None:
    """Deals out the vouchers of those who are paid by them."""
    wanted: dict[int, int] = defaultdict(int)
    for standing in going:
        for value, count in standing.vouchers.items():
            wanted[value] += count
    free = {value: iter(vouchers.free_ones(value, currency, most=count)) for value, count in wanted.items()}
    for standing in going:
        for value, count in standing.vouchers.items():
            for _ in range(count):
                next(free[value]).payout_id = payouts[standing.user.id].id
    session.flush()


def _references(prefix: str, model: type[Batch] | type[Payout], terms: Terms, many: int, *, at: datetime) -> list[str]:
    """The next numbers of the year. Counted under the lock of the batches."""
    start = f"{prefix}-{terms.day(at).year}-"
    last = session.scalar(
        sa.select(model.reference)
        .where(model.reference.startswith(start, autoescape=True))
        .order_by(sa.func.length(model.reference).desc(), model.reference.desc())
        .limit(1)
    )
    first = int(last.removeprefix(start)) + 1 if last else 1
    return [f"{start}{number:04d}" for number in range(first, first + many)]


def _enter(line: Line, counted: Iterable[Clawback], *, at: datetime) -> None:
    """Books a line into its payout, and the clawbacks that it accounts for."""
    session.add(line)
    session.flush()
    _book(line, Bucket.PAYABLE, Bucket.IN_PAYOUT, Cause.LINE_DRAWN, at=at)
    session.add_all(Accounted(clawback_id=clawback.id, line_id=line.id) for clawback in counted)
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
    everything = selectinload(Batch.payouts).options(joinedload(Payout.user), joinedload(Payout.method))
    query = sa.select(Batch).where(Batch.id == batch_id).options(everything)
    return session.scalars(query.execution_options(populate_existing=True)).one()


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


def of_rewards(reward_ids: Collection[int]) -> set[int]:
    """Which of these rewards have a line that stands, their own or a clawback's."""
    about = sa.func.coalesce(Line.reward_id, Clawback.reward_id)
    query = sa.select(about).outerjoin(Clawback, Clawback.id == Line.clawback_id)
    mine = sa.or_(Line.reward_id.in_(reward_ids), Clawback.reward_id.in_(reward_ids))
    return set(session.scalars(query.where(mine, Line.returned_at.is_(None))))


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
    return limit is not None and total(batch) > limit and len(roles.holders("pay")) > 1


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
    for line in _lines_in([payout.id for payout in new]):
        _book(line, Bucket.IN_PAYOUT, Bucket.PAID, Cause.LINE_PAID, at=at)
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


def is_out(reward: Reward) -> bool:
    """Whether anything about a reward stands in a payout that is exported, or was paid."""
    return any(line.payout.state != State.PREPARING for line in lines_about(reward))


def withdraw(reward: Reward, *, at: datetime) -> None:
    """Takes everything about a reward out of batches that are not exported."""
    inside = [line for line in lines_about(reward) if line.payout.state == State.PREPARING]
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
    line = live_line(clawback.reward_id)
    if line is None or line.payout.state != State.PREPARING:
        return
    if rewards.left(clawback.reward) == 0:
        for other in lines_about(clawback.reward):
            if other.payout_id == line.payout_id:
                _leave(other, at=at)
    else:
        beside = Line(payout_id=line.payout_id, clawback=clawback, amount_minor=-clawback.amount_minor)
        _enter(beside, [clawback], at=at)
    _sum_up(line.payout, at=at)


def live_lines(payout: Payout) -> list[Line]:
    """The lines that stand in a payout now."""
    return _lines_in([payout.id])


def _lines_in(payout_ids: Collection[int]) -> list[Line]:
    """The lines that stand in these payouts now, with the rewards that they are about."""
    query = (
        sa.select(Line)
        .where(Line.payout_id.in_(payout_ids), Line.returned_at.is_(None))
        .options(joinedload(Line.reward), joinedload(Line.clawback).joinedload(Clawback.reward))
    )
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


def _note_payout(payout: Payout, verb: str, *, by: int | None, at: datetime, **told: Any) -> None:
    audit.write(verb, "payout", payout.public_id, by=by, at=at,
                amount_minor=payout.amount_minor, currency=payout.currency, **told)  # fmt: skip


def _note(batch: Batch, verb: str, *, by: int | None, at: datetime) -> None:
    session.flush()
    audit.write(verb, "batch", batch.public_id, by=by, at=at, reference=batch.reference,
                amount_minor=total(batch), currency=batch.currency)  # fmt: skip


def on_their_way(user_id: int) -> bool:
    """Whether somebody has a payout that is out and has not arrived yet."""
    query = sa.select(Payout.id).where(Payout.user_id == user_id, Payout.state == State.SENT)
    return session.scalar(query.limit(1)) is not None
