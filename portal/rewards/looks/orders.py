"""Orders: what an order says by its moment and its size, and what a referrer's friends give back of theirs."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from portal.core import database
from portal.core.database import session
from portal.referrals.referrals import Referral
from portal.rewards import rules
from portal.rewards.conversions import Conversion
from portal.rewards.kinds import Kind
from portal.rewards.refunds import STANDS, Refund, RefundReason
from portal.rewards.rewards import Reward, State
from portal.rewards.signals import Finding
from portal.sharing import clicks

AT_ONCE = timedelta(minutes=2)
ABOVE_PERCENT = 3
ENOUGH_FRIENDS, LATEST_FRIENDS = 4, 200


def quick_order(conversion: Conversion, referral: Referral) -> Iterator[Finding]:
    """Ordered in the minutes after the visitor's first click: the order came first, the click was slipped in."""
    first = clicks.first_visit(referral.click_id)
    if first is not None and timedelta(0) <= conversion.occurred_at - first <= AT_ONCE:
        seconds = int((conversion.occurred_at - first).total_seconds())
        yield Finding(referral.id, Kind.QUICK_ORDER, str(seconds))


def barely_enough(conversion: Conversion, referral: Referral) -> Iterator[Finding]:
    """Many do so to get the gift; beside something else it counts."""
    amount = conversion.amount_minor or 0
    least = [
        rule.minimum_order_minor or 0 for rule in rules.of_terms(referral.terms_id) if rule.goal == conversion.goal
    ]
    if any(minimum and minimum <= amount <= minimum * (100 + ABOVE_PERCENT) // 100 for minimum in least):
        yield Finding(referral.id, Kind.BARELY_ENOUGH)


def refund_rate(_conversion: Conversion, referral: Referral) -> Iterator[Finding]:
    """Half and more of the friends who ordered gave most of it back: raised for them, and wherever a reward is live.

    Of a referrer's latest 200 friends. Who changes a size, and so gives all back and orders again, has kept half.
    """
    friends = session.execute(_kept_by_friend(), {"referrer": referral.referrer_id}).all()
    back = [number for number, kept in friends if kept < 0]
    if len(friends) < ENOUGH_FRIENDS or 2 * len(back) < len(friends):
        return
    live = sa.select(Reward.referral_id).where(
        Reward.referral_id.in_([number for number, _ in friends]), Reward.state.in_((State.PENDING, State.APPROVED))
    )
    for number in {referral.id, *back, *session.scalars(live)}:
        yield Finding(number, Kind.REFUND_RATE, f"{len(back)}/{len(friends)}")


def charged_back(referral_id: int) -> Iterator[Finding]:
    """The customer's bank took the payment of an order of this friend back, and no dispute of it was won."""
    query = sa.select(Refund.id).join(Conversion, Conversion.id == Refund.conversion_id)
    by_bank = (Refund.reason == RefundReason.CHARGEBACK, STANDS)
    if session.scalar(query.where(Conversion.referral_id == referral_id, *by_bank).limit(1)) is not None:
        yield Finding(referral_id, Kind.CHARGEBACK)


@database.once_for_each_database
def _kept_by_friend() -> Any:
    """Of a referrer's latest friends who ordered: what each kept less what went back."""
    latest = (
        sa.select(Referral.id)
        .where(Referral.referrer_id == sa.bindparam("referrer"))
        .order_by(Referral.joined_at.desc())
        .limit(LATEST_FRIENDS)
    )
    all_of_it = sa.func.coalesce(Refund.amount_minor, Conversion.amount_minor)
    of_order = (
        sa.select(
            Conversion.referral_id,
            Conversion.amount_minor,
            sa.func.sum(sa.case((Refund.id.is_not(None), all_of_it), else_=0)).label("back_minor"),
        )
        .outerjoin(Refund, sa.and_(Refund.conversion_id == Conversion.id, STANDS))
        .where(Conversion.referral_id.in_(latest), Conversion.amount_minor.is_not(None))
        .group_by(Conversion.id, Conversion.referral_id, Conversion.amount_minor)
        .subquery()
    )
    kept_minor = sa.func.sum(of_order.c.amount_minor) - 2 * sa.func.sum(of_order.c.back_minor)
    return sa.select(of_order.c.referral_id, kept_minor).group_by(of_order.c.referral_id)
