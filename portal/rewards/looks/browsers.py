"""Browsers: what the browser and the network of a new friend say, beside those of others."""

from collections.abc import Iterator
from datetime import timedelta

import sqlalchemy as sa

from portal.accounts import neighbours
from portal.accounts.users import User
from portal.core import clock
from portal.core.database import session
from portal.rewards.kinds import Kind
from portal.rewards.looks.arrivals import Arrival
from portal.rewards.signals import Finding

MANY_SIGN_UPS, MANY_IN_BROWSER, MANY_ALIKE = 4, 3, 3


def same_as_referrers(arrival: Arrival) -> Iterator[Finding]:
    """The referrer's own browser; or, without its cookie, the same network and kind of browser.

    Where many others have used that kind of browser on that network for a while, only the network is noted.
    """
    if "visitor" in arrival.shared:
        yield Finding(arrival.referral.id, Kind.SAME_VISITOR)
    if "browser" in arrival.shared and not arrival.place.has_common_browser:
        yield Finding(arrival.referral.id, Kind.SAME_BROWSER)
    elif "network" in arrival.shared:
        yield Finding(arrival.referral.id, Kind.SAME_NETWORK)


def one_browser(arrival: Arrival) -> Iterator[Finding]:
    """Several friends of one referrer in one browser: each of them is looked at."""
    visitor = arrival.seen.visitor
    mates = [friend for friend in arrival.since(clock.days(7)) if visitor and friend.visitor == visitor]
    if len(mates) + 1 >= MANY_IN_BROWSER:
        for number in arrival.with_mates(mates):
            yield Finding(number, Kind.ONE_BROWSER, str(len(mates) + 1))


def alike_friends(arrival: Arrival) -> Iterator[Finding]:
    """Several friends from one network with one kind of browser, where that is not usual: each is looked at."""
    seen = arrival.seen
    if not seen.network or not seen.browser or arrival.place.has_common_browser:
        return
    mates = [
        friend
        for friend in arrival.since(clock.days(1))
        if (friend.network, friend.browser) == (seen.network, seen.browser)
    ]
    if len(mates) + 1 >= MANY_ALIKE:
        for number in arrival.with_mates(mates):
            yield Finding(number, Kind.ALIKE_FRIENDS, str(len(mates) + 1))


def known_browser(arrival: Arrival) -> Iterator[Finding]:
    """Somebody else's account in this browser: a family's tablet, or a customer who comes as a new one."""
    told_already = {arrival.referrer.id} if "visitor" in arrival.shared else set()
    if neighbours.in_browser(arrival.seen.visitor, but={arrival.referee.id} | told_already):
        yield Finding(arrival.referral.id, Kind.KNOWN_BROWSER)


def suspended(arrival: Arrival) -> Iterator[Finding]:
    others = neighbours.in_browser(arrival.seen.visitor, but={arrival.referee.id})
    if any(other.suspended_at for other in others) or neighbours.suspended_mailbox(arrival.referee.email):
        yield Finding(arrival.referral.id, Kind.SUSPENDED)


def many_sign_ups(arrival: Arrival) -> Iterator[Finding]:
    """Many from one network within an hour: more than came from there before."""
    if arrival.seen.network is None:
        return
    query = sa.select(sa.func.count()).where(
        User.network == arrival.seen.network,
        User.created_at > arrival.at - timedelta(hours=1),
        User.created_at <= arrival.at,
    )
    near = session.scalar(query) or 0
    if near >= MANY_SIGN_UPS + arrival.place.settled:
        yield Finding(arrival.referral.id, Kind.MANY_SIGN_UPS, str(near))
