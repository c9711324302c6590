"""The record of signals: how often each kind was raised in a year, how often decided, and how often it was right.

Decided: a reward of the referral was approved, paid or rejected. Right: one of them stands rejected as not genuine
(self-referral, duplicate, customer before, test order, abuse). What a refund took back undecided counts as neither.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from portal.core import clock
from portal.core.database import session
from portal.referrals.referrals import Referral
from portal.rewards import decisions, kinds
from portal.rewards.kinds import ABOUT, About, Kind, Look, Standing
from portal.rewards.rewards import Reward, State
from portal.rewards.signals import Signal

SPAN_DAYS, PAGE = 365, 50
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
    decided = sa.select(Reward.referral_id).where(Reward.state.in_(DECIDED)).distinct().subquery()
    right = sa.select(Reward.referral_id).where(decisions.stands_as_not_genuine()).distinct().subquery()
    query = (
        sa.select(
            Signal.kind, sa.func.count(), sa.func.count(decided.c.referral_id), sa.func.count(right.c.referral_id)
        )
        .outerjoin(decided, decided.c.referral_id == Signal.referral_id)
        .outerjoin(right, right.c.referral_id == Signal.referral_id)
        .where(Signal.raised_at >= at - clock.days(SPAN_DAYS))
        .group_by(Signal.kind)
    )
    counted = {kind: numbers for kind, *numbers in session.execute(query)}
    today = kinds.standings()
    found: dict[Look, list[Record]] = {look: [] for look in Look}
    for kind, about in ABOUT.items():
        found[about.look].append(Record(kind, about, today[kind], *counted.get(kind, (0, 0, 0))))
    return found


def behind(
    kind: Kind, outcome: Outcome, *, before: int | None = None, most: int = PAGE, at: datetime
) -> tuple[list[Referral], int | None]:
    """The referrals behind one of these numbers, the newest first, and the key of the next page if there is one."""
    query = sa.select(Signal.referral_id).where(Signal.kind == kind, Signal.raised_at >= at - clock.days(SPAN_DAYS))
    of_it = sa.select(Reward.id).where(Reward.referral_id == Signal.referral_id)
    if outcome == Outcome.DECIDED:
        query = query.where(of_it.where(Reward.state.in_(DECIDED)).exists())
    if outcome == Outcome.RIGHT:
        query = query.where(of_it.where(decisions.stands_as_not_genuine()).exists())
    if before is not None:
        query = query.where(Signal.referral_id < before)
    numbers = list(session.scalars(query.order_by(Signal.referral_id.desc()).limit(most + 1)))
    people = (joinedload(Referral.referee), joinedload(Referral.referrer))
    found = sa.select(Referral).options(*people).where(Referral.id.in_(numbers[:most])).order_by(Referral.id.desc())
    return list(session.scalars(found)), numbers[most - 1] if len(numbers) > most else None
