"""Months: what a month brought to some people. Asked for all of them at once, however many they are."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from portal.core.database import session
from portal.payouts import payouts
from portal.payouts.payouts import Payout
from portal.referrals.referrals import Referral
from portal.reports import facts
from portal.rewards.rewards import Reward, State


@dataclass
class Month:
    """How many friends joined and how many counted; what was earned and what was paid, in minor units by currency."""

    joined: int = 0
    counted: int = 0
    earned: dict[str, int] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)


def brought(user_ids: Collection[int], *, since: datetime, until: datetime) -> dict[int, Month]:
    """What happened to each of some people from one moment until before another, by their row numbers; those to whom
    nothing happened are left out. Earned is what was not rejected, less what refunds took back by now."""
    found: dict[int, Month] = {}
    for moment, name in ((Referral.joined_at, "joined"), (Referral.counted_at, "counted")):
        query = sa.select(Referral.referrer_id, sa.func.count()).group_by(Referral.referrer_id)
        mine = (Referral.referrer_id.in_(user_ids), moment >= since, moment < until)
        for number, many in session.execute(query.where(*mine)):
            setattr(found.setdefault(number, Month()), name, many)
    stands = (Reward.state != State.REJECTED, Reward.made_at >= since, Reward.made_at < until)
    for number, currency, minor in _sums(Reward.person_id, Reward.currency, facts.left(), user_ids, *stands):
        if minor > 0:
            found.setdefault(number, Month()).earned[currency] = minor
    paid = (Payout.state == payouts.State.PAID, Payout.ended_at >= since, Payout.ended_at < until)
    for number, currency, minor in _sums(Payout.user_id, Payout.currency, Payout.amount_minor, user_ids, *paid):
        found.setdefault(number, Month()).paid[currency] = minor
    return found


def _sums(whose: Any, currency: Any, minor: Any, user_ids: Collection[int], *where: Any) -> list[tuple[int, str, int]]:
    query = sa.select(whose, currency, sa.cast(sa.func.sum(minor), sa.BigInteger)).where(whose.in_(user_ids), *where)
    rows = session.execute(query.group_by(whose, currency).order_by(whose, currency))
    return [(number, code, int(sum_minor)) for number, code, sum_minor in rows]
