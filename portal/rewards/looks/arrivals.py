"""Arrivals: what the questions about a new referral share: the two people, the place, the referrer's other friends."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from portal.accounts import neighbours, sign_ins
from portal.accounts.neighbours import Place
from portal.accounts.users import Surroundings, User
from portal.core import clock
from portal.core.database import session
from portal.referrals.referrals import Referral

MOST_FRIENDS = 200
LATELY_DAYS = 90
"""Older than this, a browser may have been passed on, and a network is somebody else's."""


@dataclass(frozen=True)
class Friend:
    """Another friend of the referrer: the row number of their referral, who they are, whence they came."""

    id: int
    referee_id: int
    joined_at: datetime
    email: str
    visitor: str | None
    network: str | None
    browser: str | None


@dataclass(frozen=True)
class Arrival:
    """A friend who has just joined. `circle`: the referrer's other friends so far, the latest first, at most 200.

    `shared`: what of visitor, network and browser was lately the referrer's as well.
    """

    referral: Referral
    referee: User
    referrer: User
    at: datetime
    seen: Surroundings
    place: Place
    shared: frozenset[str]
    circle: list[Friend]

    def with_mates(self, mates: list[Friend]) -> list[int]:
        """The row numbers of the referrals of this friend and of others about whom the same was found."""
        return [self.referral.id, *(mate.id for mate in mates)]

    def since(self, span: timedelta) -> list[Friend]:
        """The other friends who joined within a span before this one."""
        return [friend for friend in self.circle if self.at - span <= friend.joined_at]


def of(referral: Referral, referee: User, referrer: User, *, at: datetime) -> Arrival:
    """The arrival of a referral that was made at a moment."""
    columns = (
        Referral.id,
        Referral.referee_id,
        Referral.joined_at,
        User.email,
        User.visitor,
        User.network,
        User.browser,
    )
    query = (
        sa.select(*columns)
        .join(User, User.id == Referral.referee_id)
        .where(Referral.referrer_id == referrer.id, Referral.id != referral.id, Referral.joined_at <= at)
        .order_by(Referral.joined_at.desc())
    )
    circle = [Friend(*row) for row in session.execute(query.limit(MOST_FRIENDS))]
    seen = Surroundings(visitor=referee.visitor, network=referee.network, browser=referee.browser)
    own = {referee.id, referrer.id, *(friend.referee_id for friend in circle)}
    place, shared = neighbours.place(seen, but=own, at=at), _shared(referrer, seen, since=at - clock.days(LATELY_DAYS))
    return Arrival(referral, referee, referrer, at, seen, place, shared, circle)


def _shared(referrer: User, seen: Surroundings, *, since: datetime) -> frozenset[str]:
    shared = sign_ins.shared_with(referrer.id, seen, since=since)
    if referrer.created_at < since:
        return frozenset(shared)
    if seen.visitor and referrer.visitor == seen.visitor:
        shared.add("visitor")
    if seen.network and referrer.network == seen.network:
        shared.add("network")
        if seen.browser and referrer.browser == seen.browser:
            shared.add("browser")
    return frozenset(shared)
