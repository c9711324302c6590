"""Pace: how a referral came about: how fast, in what a row, by which click, and what came of the referrer's others."""

from collections.abc import Iterator
from datetime import timedelta

import sqlalchemy as sa

from portal.accounts.users import User
from portal.core import clock
from portal.core.database import session
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.rewards import decisions
from portal.rewards.kinds import Kind
from portal.rewards.looks.arrivals import Arrival
from portal.rewards.signals import Finding
from portal.sharing import origins
from portal.sharing.clicks import Click

MANY_FRIENDS, LONG_CHAIN, OFTEN_REJECTED = 10, 3, 2
NO_HAND_IS_FASTER = timedelta(seconds=5)


def many_friends(arrival: Arrival) -> Iterator[Finding]:
    """Success looks like this as well, so it weighs little."""
    joined = len(arrival.since(timedelta(hours=1))) + 1
    if joined >= MANY_FRIENDS:
        yield Finding(arrival.referral.id, Kind.MANY_FRIENDS, str(joined))


def quick_sign_up(arrival: Arrival) -> Iterator[Finding]:
    """A form filled in faster than a person, or a browser that remembers everything, can."""
    click = _click(arrival.referral)
    if click is not None and timedelta(0) <= arrival.at - click.at < NO_HAND_IS_FASTER:
        yield Finding(arrival.referral.id, Kind.QUICK_SIGN_UP, str(int((arrival.at - click.at).total_seconds())))


def chain(arrival: Arrival) -> Iterator[Finding]:
    """One brings the next, who brings the next, within a day each and on one network: each link is looked at."""
    if not arrival.seen.network or arrival.place.is_common:
        return
    links, latest = [arrival.referral], arrival.at
    above = referrals.of_referee(arrival.referrer.id)
    while above is not None and latest - above.joined_at <= clock.days(1) and _is_there(above.referee_id, arrival):
        links.append(above)
        latest = above.joined_at
        above = referrals.of_referee(above.referrer_id) if len(links) < 10 else None
    people = len(links) + 1 if _is_there(links[-1].referrer_id, arrival) else len(links)
    if len(links) >= 2 and people >= LONG_CHAIN:
        for link in links:
            yield Finding(link.id, Kind.CHAIN, str(people))


def _is_there(user_id: int, arrival: Arrival) -> bool:
    return User.by_id(user_id).network == arrival.seen.network


def paid_search(arrival: Arrival) -> Iterator[Finding]:
    """Advertising one's own link takes customers who were coming anyway."""
    click = _click(arrival.referral)
    if click is not None and click.came_from == origins.AD:
        yield Finding(arrival.referral.id, Kind.PAID_SEARCH)


def rejected_before(arrival: Arrival) -> Iterator[Finding]:
    rejected = decisions.found_not_genuine([friend.id for friend in arrival.circle])
    if rejected >= OFTEN_REJECTED:
        yield Finding(arrival.referral.id, Kind.REJECTED_BEFORE, str(rejected))


def _click(referral: Referral) -> Click | None:
    return session.scalar(sa.select(Click).where(Click.id == referral.click_id)) if referral.click_id else None
