"""Neighbours: who else was seen in a browser or a network, and how common a place is. Questions only, for signals.

A place from which people have come for a while (an office, a hall, a phone company) says little about any two of them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from portal.accounts import users
from portal.accounts.sign_ins import SignIn
from portal.accounts.users import Surroundings, User
from portal.core import clock
from portal.core.database import session

SETTLED_DAYS = 30
COMMON_FROM, CROWDED_FROM = 3, 10


@dataclass(frozen=True)
class Place:
    """Who came from a network long before: `settled` in all, `alike` of them with the same kind of browser."""

    settled: int = 0
    alike: int = 0

    @property
    def is_common(self) -> bool:
        """Whether so many came from this network before that it tells nothing."""
        return self.settled >= COMMON_FROM

    @property
    def has_common_browser(self) -> bool:
        """Whether its kind of browser is usual there, or so many come there that any two may have the same."""
        return self.alike >= COMMON_FROM or self.settled >= CROWDED_FROM


def place(seen: Surroundings, *, but: Collection[int], at: datetime) -> Place:
    """How common somebody's surroundings are: confirmed people from there for 30 days and more, not counting `but`."""
    if seen.network is None:
        return Place()
    settled = sa.select(User.browser).where(
        User.network == seen.network,
        User.confirmed_at.is_not(None),
        User.suspended_at.is_(None),
        User.created_at <= at - clock.days(SETTLED_DAYS),
        User.id.not_in(but),
    )
    browsers = list(session.scalars(settled.limit(1000)))
    return Place(len(browsers), browsers.count(seen.browser))


def in_browser(visitor: str | None, *, but: Collection[int]) -> list[User]:
    """The people who joined or signed in with a visitor's cookie, not counting `but`."""
    if not visitor:
        return []
    signed_in = sa.select(SignIn.user_id).where(SignIn.visitor == visitor)
    query = sa.select(User).where(sa.or_(User.visitor == visitor, User.id.in_(signed_in)), User.id.not_in(but))
    return list(session.scalars(query.order_by(User.id).limit(20)))


def suspended_mailbox(email: str) -> bool:
    """Whether an address reaches the mailbox of somebody who is suspended."""
    query = sa.select(User.email).where(User.suspended_at.is_not(None)).order_by(User.suspended_at.desc()).limit(1000)
    wanted = users.folded(email)
    return any(users.folded(other) == wanted for other in session.scalars(query))
