"""The queue: pending rewards with what speaks for and against each, filtered, in order, and by key.

Invariant: whatever a page costs does not grow with how many pages lie before it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload
from sqlalchemy.sql.base import ExecutableOption

from portal.accounts.users import User
from portal.core import clock
from portal.core.database import session
from portal.referrals.referrals import Referral
from portal.rewards import decisions, rewards, signals
from portal.rewards.clawbacks import Clawback
from portal.rewards.conversions import Conversion
from portal.rewards.rewards import Reward, State
from portal.rewards.rules import Beneficiary
from portal.rewards.signals import Assessment, Signal
from portal.terms import Terms

PAGE = 50


class Order(StrEnum):
    OLDEST = "oldest"
    NEWEST = "newest"
    LARGEST = "largest"
    SMALLEST = "smallest"


@dataclass(frozen=True)
class Filters:
    """Which pending rewards, in which order. Amounts in minor units; `older_days`: waiting for at least so long;
    `overdue_by`: past the deadline for reviews of these terms."""

    assessment: Assessment | None = None
    least_minor: int | None = None
    most_minor: int | None = None
    rule_key: str = ""
    older_days: int | None = None
    overdue_by: Terms | None = None
    referrer: User | None = None
    order: Order = Order.OLDEST


@dataclass(frozen=True)
class Record:
    """What became of a referrer's earlier rewards: how many were approved, and how many rejected."""

    approved: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class Case:
    """One reward with what speaks for and against it."""

    reward: Reward
    assessment: Assessment
    signals: list[Signal]
    record: Record = field(default_factory=Record)


def page(
    filters: Filters, *, after: Reward | None = None, at: datetime, most: int = PAGE
) -> tuple[list[Case], Reward | None]:
    """Pending rewards, and the one after which the next page begins if there is one."""
    query = _pending(filters, at=at).with_only_columns(Reward.id)
    if after is not None:
        query = query.where(_beyond(after, filters.order))
    # Which ones by the index alone; what goes with them is joined to those, and not to all that wait.
    numbers = list(session.scalars(query.order_by(*_order(filters.order)).limit(most + 1)))
    wanted = sa.select(Reward).options(*_shown()).where(Reward.id.in_(numbers[:most]))
    found = {reward.id: reward for reward in session.scalars(wanted).unique()}
    shown = [found[number] for number in numbers[:most]]
    return cases(shown), shown[-1] if len(numbers) > most else None


def _shown() -> tuple[ExecutableOption, ...]:
    """What a case shows of its reward. Not made at import, when not every table is declared yet."""
    return (
        joinedload(Reward.person),
        joinedload(Reward.rule),
        joinedload(Reward.conversion),
        joinedload(Reward.referral).options(joinedload(Referral.referee), joinedload(Referral.referrer)),
    )


def _pending(filters: Filters, *, at: datetime) -> sa.Select[Reward]:
    query = sa.select(Reward).where(Reward.state == State.PENDING)
    if filters.assessment is not None:
        query = query.where(signals.is_assessed(Reward.referral_id, filters.assessment))
    if filters.least_minor is not None:
        query = query.where(Reward.amount_minor >= filters.least_minor)
    if filters.most_minor is not None:
        query = query.where(Reward.amount_minor <= filters.most_minor)
    if filters.rule_key:
        query = query.where(Reward.rule_key == filters.rule_key)
    if filters.older_days is not None:
        query = query.where(Reward.made_at <= at - clock.days(filters.older_days))
    if filters.overdue_by is not None:
        query = query.where(rewards.overdue(filters.overdue_by, at=at))
    if filters.referrer is not None:
        mine = sa.select(Referral.id).where(Referral.referrer_id == filters.referrer.id)
        query = query.where(Reward.referral_id.in_(mine))
    return query


def _order(order: Order) -> tuple[sa.ColumnElement[Any], ...]:
    orders: dict[Order, tuple[sa.ColumnElement[Any], ...]] = {
        Order.OLDEST: (Reward.made_at.asc(), Reward.id.asc()),
        Order.NEWEST: (Reward.made_at.desc(), Reward.id.desc()),
        Order.LARGEST: (Reward.amount_minor.desc(), Reward.id.asc()),
        Order.SMALLEST: (Reward.amount_minor.asc(), Reward.id.asc()),
    }
    return orders[order]


def _beyond(last: Reward, order: Order) -> sa.ColumnElement[bool]:
    """What comes after a reward in an order; whether it is pending still does not matter."""
    made, amount = Reward.made_at, Reward.amount_minor
    return {
        Order.OLDEST: sa.tuple_(made, Reward.id) > sa.tuple_(sa.literal(last.made_at, made.type), last.id),
        Order.NEWEST: sa.tuple_(made, Reward.id) < sa.tuple_(sa.literal(last.made_at, made.type), last.id),
        Order.LARGEST: sa.or_(amount < last.amount_minor, sa.and_(amount == last.amount_minor, Reward.id > last.id)),
        Order.SMALLEST: sa.tuple_(amount, Reward.id) > sa.tuple_(sa.literal(last.amount_minor), last.id),
    }[order]


def cases(shown: Sequence[Reward]) -> list[Case]:
    """These rewards with what speaks for and against each, in their order; so many queries for one as for fifty."""
    numbers = {reward.referral_id for reward in shown}
    assessed = signals.assessments(numbers)
    raised: dict[int, list[Signal]] = {}
    for signal in session.scalars(
        sa.select(Signal)
        .where(Signal.referral_id.in_(numbers), Signal.dismissed_at.is_(None))
        .order_by(Signal.weight.desc(), Signal.id)
    ):
        raised.setdefault(signal.referral_id, []).append(signal)
    records = _records({reward.referral.referrer_id for reward in shown})
    return [
        Case(
            reward,
            assessed[reward.referral_id],
            raised.get(reward.referral_id, []),
            records.get(reward.referral.referrer_id, Record()),
        )
        for reward in shown
    ]


def _records(referrer_ids: set[int]) -> dict[int, Record]:
    """How it went with these referrers so far: of their own rewards, both sides' friends left out."""
    approved = sa.func.count().filter(Reward.state.in_((State.APPROVED, State.PAID)))
    rejected = sa.func.count().filter(Reward.state == State.REJECTED)
    query = sa.select(Reward.person_id, approved, rejected).where(
        Reward.person_id.in_(referrer_ids), Reward.beneficiary == Beneficiary.REFERRER
    )
    return {number: Record(yes, no) for number, yes, no in session.execute(query.group_by(Reward.person_id))}


@dataclass(frozen=True)
class Tally:
    """How many rewards there are and their sum in minor units; `mark` is another as soon as one of them is.

    `more`: how many there are beyond those, which one act does not reach.
    """

    many: int
    sum_minor: int
    mark: str
    reward_ids: list[int]
    more: int = 0


MOST_AT_ONCE = 1000
"""How many rewards one press decides at most."""


def tally(filters: Filters, *, for_id: int, at: datetime, most: int = MOST_AT_ONCE) -> Tally:
    """What somebody could approve at once: nothing of their own, that they recorded, or of people suspended; the
    first ones in order."""
    own = sa.or_(
        Reward.person_id == for_id,
        Referral.referrer_id == for_id,
        Referral.referee_id == for_id,
        sa.func.coalesce(Conversion.recorded_by_id, 0) == for_id,
    )
    query = (
        _pending(filters, at=at)
        .join(Referral, Referral.id == Reward.referral_id)
        .join(Conversion, Conversion.id == Reward.conversion_id)
        .join(User, User.id == Reward.person_id)
        .where(~own, User.suspended_at.is_(None))
    )
    taken = sa.select(sa.func.sum(Clawback.amount_minor)).where(Clawback.reward_id == Reward.id).scalar_subquery()
    left = Reward.amount_minor - sa.func.coalesce(taken, 0)
    found = session.execute(query.with_only_columns(Reward.id, left).order_by(Reward.id).limit(most)).all()
    mark = hashlib.sha256(" ".join(f"{number}:{left}" for number, left in found).encode()).hexdigest()[:24]
    in_all = len(found)
    if in_all == most:
        in_all = session.scalar(query.with_only_columns(sa.func.count())) or 0
    return Tally(
        len(found), sum(int(left) for _, left in found), mark, [number for number, _ in found], in_all - len(found)
    )


def pending_count() -> int:
    """How many rewards wait, whatever is filtered."""
    return session.scalar(sa.select(sa.func.count()).where(Reward.state == State.PENDING)) or 0


@dataclass(frozen=True)
class Standing:
    """The queue as a whole: how many wait, and since when the oldest does."""

    pending: int
    oldest_at: datetime | None
    decided_today: int
    longest_today_hours: int
    """How many hours the reward waited, of those decided in the last 24 hours, that waited longest."""


def standing(*, at: datetime) -> Standing:
    """How the queue stands."""
    pending, oldest = session.execute(
        sa.select(sa.func.count(), sa.func.min(Reward.made_at)).where(Reward.state == State.PENDING)
    ).one()
    waited = decisions.waited_since(at - clock.days(1))
    longest = max((int(span.total_seconds() // 3600) for span in waited), default=0)
    return Standing(pending, oldest, len(waited), longest)
