"""Exports: everything that is one referrer's, for files: all of it and not a page, the newest first.

Every question takes the referrer's row number and answers of theirs alone. The number of queries grows with the
thousands, not with the rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from portal.core.database import session
from portal.payouts import payouts
from portal.payouts.payouts import Line, Payout
from portal.referrals.referrals import Referral
from portal.reports import referrer, sharing
from portal.reports.referrer import Earned, Friend
from portal.reports.sharing import InviteRow
from portal.rewards.clawbacks import Clawback
from portal.rewards.conversions import Conversion
from portal.rewards.corrections import Correction
from portal.rewards.rewards import Reward

AT_ONCE = 1000


def friends(user_id: int, *, at: datetime) -> Iterator[Friend]:
    """A person's friends, with what is left of the rewards for each."""
    before: int | None = None
    while True:
        listed, before = referrer.friends(user_id, at=at, before=before, most=AT_ONCE)
        yield from listed
        if before is None:
            return


def rewards(user_id: int) -> Iterator[Earned]:
    """A person's rewards, with where each stands and what is left of it."""
    before: int | None = None
    while True:
        listed, before = referrer.rewards_of(user_id, before=before, most=AT_ONCE)
        wanted = sa.select(Conversion).where(Conversion.id.in_([reward.conversion_id for reward in listed]))
        _orders = session.scalars(wanted).all()  # at once, or each reward would ask for its own
        yield from referrer.earned(listed)
        if before is None:
            return


@dataclass(frozen=True)
class InvitedGoal:
    """An invite, and one goal that the friend has reached; None where there is none yet, or no reward by it."""

    row: InviteRow
    goal: Conversion | None
    earned: Earned | None


def invites(user_id: int, *, at: datetime) -> Iterator[InvitedGoal]:
    """A person's invites, each with every goal that the friend reached and what it gave."""
    before: int | None = None
    while True:
        listed, before = sharing.invites_of(user_id, at=at, before=before, most=AT_ONCE)
        friends = [row.friend.id for row in listed if row.friend]
        reached: dict[int, list[Conversion]] = {}
        goals = sa.select(Conversion).where(Conversion.referral_id.in_(friends), Conversion.counted)
        for goal in session.scalars(goals.order_by(Conversion.id)):
            reached.setdefault(goal.referral_id or 0, []).append(goal)
        gave = sa.select(Reward).where(Reward.referral_id.in_(friends), Reward.person_id == user_id)
        made = list(session.scalars(gave.where(Reward.threshold.is_(None)).order_by(Reward.id)))
        earned = {one.reward.conversion_id: one for one in referrer.earned(made)}
        for row in listed:
            goals_of = reached.get(row.friend.id, []) if row.friend else []
            for found in goals_of:
                yield InvitedGoal(row, found, earned.get(found.id))
            if not goals_of:
                yield InvitedGoal(row, None, None)
        if before is None:
            return


def corrections(user_id: int) -> list[Correction]:
    """What was added to a person's balance or taken from it by hand, the newest first."""
    query = sa.select(Correction).where(Correction.person_id == user_id)
    return list(session.scalars(query.order_by(Correction.id.desc())))


@dataclass(frozen=True)
class PayoutLine:
    """A line of a payout; None where nothing is in the payout any more."""

    payout: Payout
    line: Line | None


def payout_lines(user_id: int) -> Iterator[PayoutLine]:
    """A person's payouts line by line: the lines of one payout sum to its amount."""
    query = (
        sa.select(Payout)
        .options(joinedload(Payout.method), joinedload(Payout.batch), *_with_lines())
        .where(Payout.user_id == user_id)
        .order_by(Payout.id.desc())
    )
    for payout in session.scalars(query).unique():
        lines = payouts.shown_lines(payout)
        if not lines:
            yield PayoutLine(payout, None)
        for line in lines:
            yield PayoutLine(payout, line)


def _with_lines() -> list[ORMOption]:
    """Loads what a line names along with it: the reward that it gives or takes from, its friend and its order; or
    its correction."""
    lines = selectinload(Payout.lines)
    rewards = (lines.joinedload(Line.reward), lines.joinedload(Line.clawback).joinedload(Clawback.reward))
    friends = [reward.joinedload(Reward.referral).joinedload(Referral.referee) for reward in rewards]
    orders = [reward.joinedload(Reward.conversion) for reward in rewards]
    return [*friends, *orders, lines.joinedload(Line.correction)]
