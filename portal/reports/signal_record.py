"""The record of signals: how often each kind was raised in a year, how often decided, and how often it was right.

Decided: a reward of the referral was approved, paid or rejected. Right: one of them stands rejected as not genuine
(self-referral, duplicate, customer before, test order, abuse). What a refund took back undecided counts as neither.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from portal.core import clock
from portal.core.database import session
from portal.rewards import kinds, rewards
from portal.rewards.kinds import ABOUT, About, Kind, Look, Standing
from portal.rewards.rewards import Reward, State
from portal.rewards.signals import Signal

SPAN_DAYS = 365
DECIDED = (State.APPROVED, State.PAID, State.REJECTED)


class Outcome(StrEnum):
    RAISED = "raised"
    DECIDED = "decided"
    RIGHT = "right"


@dataclass(frozen=True)
class Record:
    """One kind: what it is, how it stands today, and what became of the referrals for which it was raised."""

    kind: Kind
    about: About
    standing: Standing
    raised: int = 0
    decided: int = 0
    right: int = 0


def records(*, at: datetime) -> dict[Look, list[Record]]:
    """Every kind, by when the portal looks for it; two queries, whatever there is."""
    each = (
        sa.select(
            Signal.kind,
            sa.func.max(sa.case((Reward.state.in_(DECIDED), 1), else_=0)).label("decided"),
            sa.func.max(sa.case((rewards.stands_as_not_genuine(), 1), else_=0)).label("right"),
        )
        .outerjoin(Reward, Reward.referral_id == Signal.referral_id)
        .where(Signal.raised_at >= at - clock.days(SPAN_DAYS))
        .group_by(Signal.kind, Signal.referral_id)
        .subquery()
    )
    query = sa.select(each.c.kind, sa.func.count(), sa.func.sum(each.c.decided), sa.func.sum(each.c.right))
    counted = {kind: (raised, int(decided), int(right)) for kind, raised, decided, right in
               session.execute(query.group_by(each.c.kind))}  # fmt: skip
    today = kinds.standings()
    found: dict[Look, list[Record]] = {look: [] for look in Look}
    for kind, about in ABOUT.items():
        found[about.look].append(Record(kind, about, today[kind], *counted.get(kind, (0, 0, 0))))
    return found


def behind(kind: Kind, outcome: Outcome, *, at: datetime) -> sa.Select[Any]:
    """The row numbers of the referrals behind one of these numbers, as a query."""
    query = sa.select(Signal.referral_id).where(Signal.kind == kind, Signal.raised_at >= at - clock.days(SPAN_DAYS))
    decided = sa.select(Reward.id).where(Reward.referral_id == Signal.referral_id)
    if outcome == Outcome.DECIDED:
        return query.where(decided.where(Reward.state.in_(DECIDED)).exists())
    if outcome == Outcome.RIGHT:
        return query.where(decided.where(rewards.stands_as_not_genuine()).exists())
    return query
