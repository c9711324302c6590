"""Payouts: people who have named one bank account or PayPal address to be paid to."""

from collections.abc import Iterator

import sqlalchemy as sa

from portal.core.database import session
from portal.referrals.referrals import Referral
from portal.rewards.kinds import Kind
from portal.rewards.signals import Finding

MANY = 3
"""Two may be a couple; of more each is looked at."""


def shared(person_id: int, others: list[int]) -> Iterator[Finding]:
    """A referrer and a friend with one account, and friends whose account several have named."""
    people = {person_id, *others}
    for referral in session.scalars(sa.select(Referral).where(Referral.referee_id.in_(people)).order_by(Referral.id)):
        if referral.referrer_id in people and person_id in (referral.referrer_id, referral.referee_id):
            yield Finding(referral.id, Kind.SAME_PAYOUT)
        if len(people) >= MANY:
            yield Finding(referral.id, Kind.SHARED_PAYOUT, str(len(people)))
