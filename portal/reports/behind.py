"""Behind the numbers: for each figure of a report the rows that it counts, one line each, the newest first.

Invariant: the list behind a number has as many lines as the number says, by the same days, referrer and link.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased, joinedload

from portal.accounts.users import User
from portal.core import clock
from portal.core.database import session
from portal.referrals.referrals import Referral
from portal.reports import facts
from portal.reports.facts import WITHIN_DAYS
from portal.reports.figures import Range, View
from portal.rewards.clawbacks import Clawback
from portal.rewards.conversions import Conversion
from portal.rewards.rewards import Reward, State
from portal.sharing.clicks import Click
from portal.sharing.invites import Invite
from portal.sharing.links import Code, Link

PAGE, AT_ONCE = 50, 1000


class What(StrEnum):
    """Which rows, by the word in the address."""

    CLICKS = "clicks"
    VISITORS = "visitors"
    """Of each visitor the first click in the range."""
    INVITES = "invites"
    JOINED = "joined"
    REACHED = "reached"
    WITHIN_1 = "within_1"
    WITHIN_7 = "within_7"
    WITHIN_30 = "within_30"
    WITHIN_60 = "within_60"
    REWARDED = "rewarded"
    CUSTOMERS = "customers"
    ORDERS = "orders"
    REWARDS = "rewards"
    """Of every state, or of one."""
    COST = "cost"


@dataclass(frozen=True)
class Filter:
    """Of which referrer, link or state; None: of all."""

    referrer: User | None = None
    link: Link | None = None
    state: State | None = None


@dataclass(frozen=True)
class Line:
    """One row: when, by whose link, and what it is about."""

    at: datetime
    number: int
    """The row's number, for the key of the next page."""
    referrer: User
    code: str
    referral: Referral | None = None
    order: Conversion | None = None
    reward: Reward | None = None
    taken_minor: int = 0


Key = tuple[datetime, int]


def lines(
    seen: View, within: Range, what: What, of: Filter, *, before: Key | None = None, most: int = PAGE
) -> tuple[list[Line], Key | None]:
    """A page of what a number counts, the newest first, and the key of the next page if there is one."""
    since, until = clock.start_of_day(within.first, seen.zone), clock.start_of_day(within.until, seen.zone)
    query, model, at, as_line = _ASKED[what](of, since)
    query = query.where(at >= since, at < until)
    if before is not None:
        query = query.where(sa.or_(at < before[0], sa.and_(at == before[0], model.id < before[1])))
    found = list(session.execute(query.order_by(at.desc(), model.id.desc()).limit(most + 1)).unique())
    shown = as_line(found[:most])
    return shown, (shown[-1].at, shown[-1].number) if len(found) > most else None


def every(seen: View, within: Range, what: What, of: Filter) -> Iterator[Line]:
    """All of it, a thousand at a time."""
    before: Key | None = None
    while True:
        listed, before = lines(seen, within, what, of, before=before, most=AT_ONCE)
        yield from listed
        if before is None:
            return


Asked = tuple[sa.Select[Any], Any, Any, Callable[[list[Any]], list[Line]]]


def _clicks(of: Filter, _since: datetime) -> Asked:
    query: Any = sa.select(Click, User, Code.text)
    query = query.join(Link, Link.id == Click.link_id).join(User, User.id == Link.owner_id)
    query = _with_code(query, Click.link_id)
    if of.referrer is not None:
        query = query.where(Link.owner_id == of.referrer.id)
    if of.link is not None:
        query = query.where(Click.link_id == of.link.id)

    def as_lines(rows: list[Any]) -> list[Line]:
        return [Line(click.at, click.id, owner, code) for click, owner, code in rows]

    return query, Click, Click.at, as_lines


def _visitors(of: Filter, since: datetime) -> Asked:
    """Counted over all links, so a referrer or link narrows it to the visits with which somebody began there."""
    query, model, at, as_lines = _clicks(of, since)
    other = aliased(Click)
    sooner = sa.or_(other.at < Click.at, sa.and_(other.at == Click.at, other.id < Click.id))
    earlier = sa.select(other.id).where(
        other.visitor == Click.visitor, other.last_at >= since, other.at >= since, sooner
    )
    return query.where(~earlier.exists()), model, at, as_lines


def _invites(of: Filter, _since: datetime) -> Asked:
    query: Any = sa.select(Invite, User, Code.text)
    query = query.join(User, User.id == Invite.owner_id)
    query = _with_code(query, Invite.link_id)
    if of.referrer is not None:
        query = query.where(Invite.owner_id == of.referrer.id)
    if of.link is not None:
        query = query.where(Invite.link_id == of.link.id)

    def as_lines(rows: list[Any]) -> list[Line]:
        came = _referrals_by_link([invite.link_id for invite, _, _ in rows])
        return [Line(invite.made_at, invite.id, owner, code, came.get(invite.link_id)) for invite, owner, code in rows]

    return query, Invite, Invite.made_at, as_lines


def _referrals_by_link(link_ids: list[int]) -> dict[int, Referral]:
    query = sa.select(Referral).options(joinedload(Referral.referee)).where(Referral.link_id.in_(link_ids))
    return {referral.link_id: referral for referral in session.scalars(query)}


def _with_code(query: sa.Select[Any], link_id: Any) -> sa.Select[Any]:
    return query.join(Code, sa.and_(Code.link_id == link_id, Code.retired_at.is_(None)))


def _friends(at: Any, *where: sa.ColumnElement[bool]) -> Callable[[Filter, datetime], Asked]:
    def asked(of: Filter, _since: datetime) -> Asked:
        query = sa.select(Referral).options(joinedload(Referral.referee), joinedload(Referral.referrer))

        def as_lines(rows: list[Any]) -> list[Line]:
            moment = at.key
            return [Line(getattr(one, moment), one.id, one.referrer, one.code, one) for (one,) in rows]

        return _of_referral(query.where(*where), of), Referral, at, as_lines

    return asked


def _within(days: int) -> Callable[[Filter, datetime], Asked]:
    def asked(of: Filter, since: datetime) -> Asked:
        return _friends(Referral.joined_at, facts.reached_within(days))(of, since)

    return asked


def _of_referral(query: sa.Select[Any], of: Filter) -> sa.Select[Any]:
    if of.referrer is not None:
        query = query.where(Referral.referrer_id == of.referrer.id)
    return query.where(Referral.link_id == of.link.id) if of.link is not None else query


def _orders(of: Filter, _since: datetime) -> Asked:
    friends = joinedload(Conversion.referral)
    query = sa.select(Conversion).join(Referral, Referral.id == Conversion.referral_id)
    query = query.options(friends.joinedload(Referral.referee), friends.joinedload(Referral.referrer))

    def as_lines(rows: list[Any]) -> list[Line]:
        return [
            Line(one.occurred_at, one.id, one.referral.referrer, one.referral.code, one.referral, one)
            for (one,) in rows
        ]

    return (
        _of_referral(query.where(Conversion.amount_minor.is_not(None)), of),
        Conversion,
        Conversion.occurred_at,
        as_lines,
    )


def _rewards(*where: sa.ColumnElement[bool]) -> Callable[[Filter, datetime], Asked]:
    def asked(of: Filter, _since: datetime) -> Asked:
        friends = joinedload(Reward.referral)
        query = sa.select(Reward).join(Referral, Referral.id == Reward.referral_id).where(*where)
        query = query.options(
            joinedload(Reward.person), friends.joinedload(Referral.referee), friends.joinedload(Referral.referrer)
        )
        if of.state is not None:
            query = query.where(Reward.state == of.state)
        return _of_referral(query, of), Reward, Reward.made_at, _as_reward_lines

    return asked


def _as_reward_lines(rows: list[Any]) -> list[Line]:
    numbers = [one.id for (one,) in rows]
    taken_query = sa.select(Clawback.reward_id, sa.func.sum(Clawback.amount_minor)).group_by(Clawback.reward_id)
    taken = {
        number: int(minor) for number, minor in session.execute(taken_query.where(Clawback.reward_id.in_(numbers)))
    }
    return [
        Line(
            one.made_at, one.id, one.referral.referrer, one.referral.code, one.referral, reward=one,
            taken_minor=taken.get(one.id, 0),
        )
        for (one,) in rows
    ]  # fmt: skip


_ASKED: dict[What, Callable[[Filter, datetime], Asked]] = {
    What.CLICKS: _clicks,
    What.VISITORS: _visitors,
    What.INVITES: _invites,
    What.JOINED: _friends(Referral.joined_at),
    What.REACHED: _friends(Referral.joined_at, Referral.counted_at.is_not(None)),
    **{What(within): _within(days) for within, days in WITHIN_DAYS.items()},
    What.REWARDED: _friends(Referral.joined_at, facts.was_rewarded()),
    What.CUSTOMERS: _friends(Referral.counted_at),
    What.ORDERS: _orders,
    What.REWARDS: _rewards(),
    What.COST: _rewards(Reward.state != State.REJECTED),
}
