"""What the pages of payouts show: batches by how far they came, what is in one, what came back, what clears next.

Each list is paged by key and asks a handful of questions, however many people there are.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import aliased, joinedload, selectinload

from portal.core.database import session
from portal.delivery.outbox import Message
from portal.payouts.drawing import Standing, Why
from portal.payouts.methods import Kind, Method
from portal.payouts.payouts import Batch, Line, Payout, State
from portal.referrals.referrals import Referral
from portal.rewards import ledger
from portal.rewards.clawbacks import Clawback
from portal.rewards.ledger import Bucket
from portal.rewards.rewards import Reward
from portal.rewards.rewards import State as RewardState

PAGE = 50
AT_ONCE = 100
"""How many people of a batch, or ready for one, stand on a page."""

COUNTS = Payout.state.not_in((State.FAILED, State.CANCELLED))
"""The payouts that a batch pays."""


class Stage(StrEnum):
    """How far a batch came, as the tabs name it."""

    PROGRESS = "progress"
    PAID = "paid"


@dataclass(frozen=True)
class Row:
    """A batch with how many people it pays and what in all, in minor units."""

    batch: Batch
    people: int
    total_minor: int


def listed(stage: Stage, *, before: int | None = None, most: int = PAGE) -> tuple[list[Row], int | None]:
    """Batches that are under way, or done; the newest first, and the key of the next page if there is one."""
    query = (
        sa.select(Batch, sa.func.count(Payout.id), sa.func.coalesce(sa.func.sum(Payout.amount_minor), 0))
        .outerjoin(Payout, sa.and_(Payout.batch_id == Batch.id, COUNTS))
        .where(Batch.settled_at.is_(None) if stage == Stage.PROGRESS else Batch.settled_at.is_not(None))
        .group_by(Batch.id)
    )
    if before is not None:
        query = query.where(Batch.id < before)
    found = [Row(*row) for row in session.execute(query.order_by(Batch.id.desc()).limit(most + 1))]
    return found[:most], found[most - 1].batch.id if len(found) > most else None


def under_way() -> int:
    """How many batches are not done."""
    return session.scalar(sa.select(sa.func.count()).select_from(Batch).where(Batch.settled_at.is_(None))) or 0


# --- one batch ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sum:
    """What one way of paying comes to, in minor units."""

    kind: Kind
    people: int
    total_minor: int


def sums_of(batch: Batch) -> list[Sum]:
    """What a batch pays, by method, the largest sum first."""
    total = sa.func.sum(Payout.amount_minor)
    query = (
        sa.select(Method.kind, sa.func.count(), total)
        .join(Payout, Payout.method_id == Method.id)
        .where(Payout.batch_id == batch.id, COUNTS)
        .group_by(Method.kind)
        .order_by(total.desc(), Method.kind)
    )
    return [Sum(Kind(kind), people, int(minor)) for kind, people, minor in session.execute(query)]


def sums_of_ready(ready: list[Standing]) -> list[Sum]:
    """The same for people who are ready."""
    found: dict[Kind, Sum] = {}
    for standing in ready:
        assert standing.method is not None
        kind = Kind(standing.method.kind)
        before = found.get(kind, Sum(kind, 0, 0))
        found[kind] = Sum(kind, before.people + 1, before.total_minor + standing.balance_minor)
    return sorted(found.values(), key=lambda one: -one.total_minor)


@dataclass(frozen=True)
class LeftOut:
    """How many people are left out for one reason (none: they are ready), and what they have in minor units."""

    why: Why | None
    people: int
    total_minor: int


def by_reason(left_out: list[Standing]) -> list[LeftOut]:
    """People who are in no batch, by the reason, the most first."""
    people = Counter(standing.why for standing in left_out)
    sums: Counter[Why | None] = Counter()
    for standing in left_out:
        sums[standing.why] += standing.balance_minor
    return [LeftOut(why, many, sums[why]) for why, many in people.most_common()]


def states_of(batch: Batch) -> dict[str, int]:
    """How many payouts of a batch are in each state."""
    query = sa.select(Payout.state, sa.func.count()).where(Payout.batch_id == batch.id).group_by(Payout.state)
    return {state: many for state, many in session.execute(query)}


def payouts_of(batch: Batch, *, after: int | None = None, most: int = AT_ONCE) -> tuple[list[Payout], int | None]:
    """The payouts of a batch with everything that their page shows, and the key of the next page if there is one."""
    of_reward = joinedload(Reward.referral).joinedload(Referral.referee)
    lines = selectinload(Payout.lines).options(
        joinedload(Line.reward).options(of_reward),
        joinedload(Line.clawback).joinedload(Clawback.reward).options(of_reward),
    )
    query = (
        sa.select(Payout)
        .where(Payout.batch_id == batch.id)
        .options(joinedload(Payout.user), joinedload(Payout.method), lines)
    )
    if after is not None:
        query = query.where(Payout.id > after)
    found = list(session.scalars(query.order_by(Payout.id).limit(most + 1)))
    return found[:most], found[most - 1].id if len(found) > most else None


def mails_about(shown: list[Payout]) -> list[Message]:
    """What the portal wrote to people about these payouts, oldest first."""
    names = [payout.public_id for payout in shown]
    told = (Message.kind.in_(("payout_paid", "payout_failed")), Message.about_kind == "payout")
    query = sa.select(Message).where(*told, Message.about_id.in_(names))
    return list(session.scalars(query.order_by(Message.id)))


def holds(batch: Batch, user_id: int) -> bool:
    """Whether somebody's own payout is in a batch and not sent."""
    query = sa.select(Payout.id).where(
        Payout.batch_id == batch.id, Payout.user_id == user_id, Payout.state == State.PREPARING
    )
    return session.scalar(query) is not None


# --- what came back -------------------------------------------------------------------------------------------


def tried_again() -> sa.ColumnElement[bool]:
    """Of a payout: that its person stands in a later one that was not cancelled."""
    later = aliased(Payout)
    same = (later.user_id == Payout.user_id, later.id > Payout.id, later.state != State.CANCELLED)
    return sa.select(later.id).where(*same).exists()


def failed(*, before: int | None = None, most: int = PAGE) -> tuple[list[tuple[Payout, bool]], int | None]:
    """Payouts that came back, each with whether it was tried again; the newest first, and the next page's key."""
    query = (
        sa.select(Payout, tried_again())
        .where(Payout.state == State.FAILED)
        .options(joinedload(Payout.user), joinedload(Payout.method), joinedload(Payout.batch))
    )
    if before is not None:
        query = query.where(Payout.id < before)
    found = [
        (payout, bool(again)) for payout, again in session.execute(query.order_by(Payout.id.desc()).limit(most + 1))
    ]
    return found[:most], found[most - 1][0].id if len(found) > most else None


def problems() -> int:
    """How many payouts came back and were not tried again."""
    query = sa.select(sa.func.count()).select_from(Payout).where(Payout.state == State.FAILED, ~tried_again())
    return session.scalar(query) or 0


def clearing(currency: str) -> tuple[int, datetime | None]:
    """What is approved and on hold, in minor units, and when the last of it clears."""
    waits = (Reward.state == RewardState.APPROVED, Reward.released_at.is_(None), Reward.currency == currency)
    return ledger.totals(currency)[Bucket.APPROVED], session.scalar(
        sa.select(sa.func.max(Reward.hold_until)).where(*waits)
    )
