"""Payouts: paying one user; the batch is the run that pays many; a payout is the sum of its lines.

Invariants: a reward, a clawback or a correction stands in at most one live line; a payout is the sum of its lines and
above zero; a line goes back once; who is left out of a batch is told why. Locks: the name "batches", then people, then
batches.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship, selectinload

from portal.accounts import users
from portal.accounts.users import User
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, public_id
from portal.payouts.methods import Method
from portal.rewards import ledger
from portal.rewards.clawbacks import Clawback
from portal.rewards.corrections import Correction
from portal.rewards.ledger import Bucket, Cause
from portal.rewards.rewards import Reward


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
    """One line: a reward, a correction, or a clawback: with a minus, or with a plus for what was given again.
    `returned_at`: it left, its money went back."""

    __tablename__ = "payout_lines"
    __table_args__ = (
        database.rule(
            "CASE WHEN reward_id IS NULL THEN 0 ELSE 1 END + CASE WHEN clawback_id IS NULL THEN 0 ELSE 1 END"
            " + CASE WHEN correction_id IS NULL THEN 0 ELSE 1 END = 1",
            "about_one_thing",
        ),
        database.rule(
            "amount_minor <> 0 AND (reward_id IS NULL OR amount_minor > 0)",
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


# --- looked up and locked --------------------------------------------------------------------------------------


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


def live_lines(payout: Payout) -> list[Line]:
    """The lines that stand in a payout now."""
    return lines_in([payout.id])


def lines_in(payout_ids: Collection[int]) -> list[Line]:
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


def total(batch: Batch) -> int:
    """What a batch pays, in minor units; failed and cancelled payouts left out."""
    return sum(p.amount_minor for p in batch.payouts if p.state not in (State.FAILED, State.CANCELLED))


def is_out(reward: Reward) -> bool:
    """Whether anything about a reward stands in a payout that is exported, or was paid."""
    return any(line.payout.state != State.PREPARING for line in lines_about(reward))


def on_their_way(user_id: int) -> bool:
    """Whether somebody has a payout that is out and has not arrived yet."""
    query = sa.select(Payout.id).where(Payout.user_id == user_id, Payout.state == State.SENT)
    return session.scalar(query.limit(1)) is not None


# --- booked ----------------------------------------------------------------------------------------------------


def enter(line: Line, counted: Iterable[Clawback], *, at: datetime) -> None:
    """Books a line into its payout, and the clawbacks that it accounts for."""
    session.add(line)
    session.flush()
    book(line, Bucket.PAYABLE, Bucket.IN_PAYOUT, Cause.LINE_DRAWN, at=at)
    session.add_all(Accounted(clawback_id=clawback.id, line_id=line.id) for clawback in counted)
    session.flush()


def book(line: Line, left: Bucket, entered: Bucket, cause: Cause, *, at: datetime) -> None:
    """Moves a line's money; a negative line moves the other way."""
    if line.amount_minor < 0:
        left, entered = entered, left
    ledger.move(
        line.person_id, abs(line.amount_minor), line.payout.currency, left, entered,
        cause=cause, cause_id=line.id, reward_id=line.about.id if line.about else None, at=at,
    )  # fmt: skip
