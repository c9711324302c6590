"""Facts: how each figure is counted, straight from the rows. The one definition behind roll-ups, pages and tests.

A figure belongs to a day of the terms' time zone, a referrer and a link; `many` counts rows, `minor` sums amounts in
minor units. What changes later (a state, a refund) changes the figure of the day to which the row belongs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from portal.core import clock, database
from portal.core.database import Moment
from portal.referrals.referrals import Referral
from portal.rewards.clawbacks import Clawback
from portal.rewards.conversions import Conversion
from portal.rewards.ledger import Bucket, Transfer
from portal.rewards.rewards import Reward, State
from portal.sharing.clicks import HOUR, Click
from portal.sharing.invites import Invite
from portal.sharing.links import Link


class Measure(StrEnum):
    """What is counted, and to which day it belongs. The states of rewards are measures by their own words."""

    CLICKS = "clicks"
    """Visits, by their first moment."""
    INVITES = "invites"
    """Invites, by when they were made."""
    JOINED = "joined"
    """Referrals, by when the friend joined."""
    REACHED = "reached"
    """Of these, the ones whose friend has reached the goal by now."""
    WITHIN_1 = "within_1"
    """Of these, the ones whose friend reached it within a day of joining; so each of the spans below."""
    WITHIN_7 = "within_7"
    WITHIN_30 = "within_30"
    WITHIN_60 = "within_60"
    REWARDED = "rewarded"
    """Of these, the ones for which a reward has been paid by now."""
    CUSTOMERS = "customers"
    """Referrals by when the portal learned that their goal was reached: new customers."""
    ORDERS = "orders"
    """Orders with an amount by referred friends, by when they happened."""
    PENDING = State.PENDING.value
    """Rewards of both sides that are pending by now, by when they were made; so each of the states below."""
    APPROVED = State.APPROVED.value
    REJECTED = State.REJECTED.value
    PAID = State.PAID.value
    REVERSED = State.REVERSED.value
    COST = "cost"
    """Rewards that were not rejected, by when they were made; their amounts less what refunds took back by now."""


class By(StrEnum):
    """Whose figures are told."""

    REFERRER = "referrer"
    LINK = "link"


WITHIN_DAYS = {Measure.WITHIN_1: 1, Measure.WITHIN_7: 7, Measure.WITHIN_30: 30, Measure.WITHIN_60: 60}
"""Within how many days of joining the portal learned that the goal was reached, by measure."""

STATES = tuple(Measure(state.value) for state in State)
"""The measures that are states of rewards."""

RANKED = (Measure.CUSTOMERS, Measure.JOINED, Measure.CLICKS, Measure.ORDERS, Measure.COST)
"""What a list of referrers or links may be ordered by: how many, but for the cost the amount."""

LISTED = (*RANKED, Measure.INVITES, Measure.REACHED)
"""What a line of such a list tells."""

IN_BUCKET = "bucket "
"""Measures of the ledger: this and a bucket's name. What came into the bucket less what left it, by when it moved."""


def days_between(first: date, until: date) -> list[date]:
    """The days from the first one up to `until`, which is left out."""
    return [first + timedelta(days=number) for number in range((until - first).days)]


@dataclass(frozen=True)
class Spans:
    """Days with the moments between which they lie, as a table for queries; narrow: each for one link alone.

    The rows come with the query: `Params`, as `of_days` or `of_cells` gives them.
    """

    table: sa.CTE
    narrow: bool

    def hold(self, at: Any, link_id: Any) -> sa.ColumnElement[bool]:
        """Whether a moment lies in a span, and a row belongs to its link where the span is for one."""
        inside = sa.and_(at >= self.table.c.since, at < self.table.c.until)
        if self.narrow:
            return sa.and_(inside, link_id == self.table.c.link_id)
        if database.is_sqlite():
            return inside
        # Says nothing new but to PostgreSQL's planner, which would else suppose a ninth of the table in each span.
        return sa.and_(inside, at >= _SINCE, at < _UNTIL)


Params = dict[str, Any]

_SINCE = sa.bindparam("spans_since", type_=Moment())
_UNTIL = sa.bindparam("spans_until", type_=Moment())


@database.once_for_each_database
def wide() -> Spans:
    """Whole days."""
    return Spans(database.given("spans", **_BOUNDS), narrow=False)


@database.once_for_each_database
def narrow() -> Spans:
    """Days of one link each."""
    return Spans(database.given("spans", **_BOUNDS, link_id=sa.BigInteger), narrow=True)


_BOUNDS: dict[str, Any] = {"day": sa.Date, "since": Moment, "until": Moment, "edge": Moment}


_NEVER = datetime(1, 1, 1, tzinfo=UTC)


def of_days(days: Iterable[date], zone: str) -> Params:
    """These days, for a query over `wide()`."""
    bounds = [_bounds(day, zone) for day in days]
    since = min((since for _, since, _, _ in bounds), default=_NEVER)
    until = max((until for _, _, until, _ in bounds), default=_NEVER)
    return {"spans_rows": database.told(bounds), "spans_since": since, "spans_until": until}


def of_cells(wanted: Iterable[tuple[date, int]], zone: str) -> Params:
    """These days of links, for a query over `narrow()`."""
    return {"spans_rows": database.told((*_bounds(day, zone), link) for day, link in wanted)}


def _bounds(day: date, zone: str) -> tuple[date, datetime, datetime, datetime]:
    since = clock.start_of_day(day, zone)
    return day, since, clock.start_of_day(day + timedelta(days=1), zone), since + HOUR


# --- what is counted ------------------------------------------------------------------------------------------


def was_rewarded() -> sa.ColumnElement[bool]:
    """Whether a reward for a referral, of either side, has been paid."""
    return sa.select(Reward.id).where(Reward.referral_id == Referral.id, Reward.state == State.PAID).exists()


def reached_within(days: int) -> sa.ColumnElement[bool]:
    """Whether a friend reached the goal within so many days of joining."""
    return Referral.counted_at <= database.days_after(Referral.joined_at, days)


def left() -> Any:
    """What refunds have left of a reward."""
    taken = sa.select(sa.func.sum(Clawback.amount_minor)).where(Clawback.reward_id == Reward.id).correlate(Reward)
    return Reward.amount_minor - sa.func.coalesce(taken.scalar_subquery(), 0)


@dataclass(frozen=True)
class Part:
    """Rows of one table that are a figure: by which moment, of what amount, and which of them."""

    model: Any
    at: Any
    measure: Any
    minor: Any = None
    where: tuple[Any, ...] = ()

    def select(self, *columns: Any, rows: Any = None, on: Any = None) -> sa.Select[Any]:
        """These columns of its rows, joined to `rows` where they are named, with the referral or link behind them."""
        query = sa.select(*columns).where(*self.where)
        query = query.select_from(self.model) if rows is None else query.select_from(rows).join(self.model, on)
        if self.model is Click:
            return query.join(Link, Link.id == Click.link_id)
        if self.model in (Conversion, Reward):
            return query.join(Referral, Referral.id == self.model.referral_id)
        return query

    @property
    def alone(self) -> tuple[Any, ...]:
        """Which of its rows are counted, for a query that joins nothing behind them."""
        return (*self.where, Conversion.referral_id.is_not(None)) if self.model is Conversion else self.where

    @property
    def of(self) -> tuple[Any, Any]:
        """Whose it is: referrer and link."""
        if self.model is Click:
            return Link.owner_id, Click.link_id
        if self.model is Invite:
            return Invite.owner_id, Invite.link_id
        return Referral.referrer_id, Referral.link_id


def _word(measure: Measure) -> Any:
    return sa.literal(str(measure), sa.String)


@database.once_for_each_database
def _parts() -> dict[Measure, Part]:
    joined = Part(Referral, Referral.joined_at, _word(Measure.JOINED))
    reached = (Referral.counted_at.is_not(None),)
    priced = (Conversion.amount_minor.is_not(None),)
    stands = (Reward.state != State.REJECTED,)
    return {
        Measure.CLICKS: Part(Click, Click.at, _word(Measure.CLICKS)),
        Measure.INVITES: Part(Invite, Invite.made_at, _word(Measure.INVITES)),
        Measure.JOINED: joined,
        Measure.REACHED: Part(Referral, Referral.joined_at, _word(Measure.REACHED), where=reached),
        **{
            within: Part(Referral, Referral.joined_at, _word(within), where=(reached_within(days),))
            for within, days in WITHIN_DAYS.items()
        },
        Measure.REWARDED: Part(Referral, Referral.joined_at, _word(Measure.REWARDED), where=(was_rewarded(),)),
        Measure.CUSTOMERS: Part(Referral, Referral.counted_at, _word(Measure.CUSTOMERS), where=reached),
        Measure.ORDERS: Part(
            Conversion, Conversion.occurred_at, _word(Measure.ORDERS), Conversion.amount_minor, priced
        ),
        Measure.COST: Part(Reward, Reward.made_at, _word(Measure.COST), left(), stands),
        Measure.PENDING: Part(Reward, Reward.made_at, Reward.state, Reward.amount_minor),  # and the other states
    }


OF_LINKS = (Measure.CLICKS, Measure.INVITES)
"""Figures of a link alone; all others are of a referral."""


def _grouped(part: Part, within: Spans, *more: Any, of: By | None = None) -> sa.Select[Any]:
    """A part by day, measure, referrer and link (and `more`), counted and summed; `of`: of those in `ids` alone."""
    referrer, link = part.of
    minor = sa.literal(0, sa.BigInteger) if part.minor is None else sa.func.sum(part.minor)
    keys = [within.table.c.day, part.measure, referrer, link, *more]
    names = ("day", "measure", "referrer_id", "link_id", "referral_id")
    columns = [key.label(name) for key, name in zip(keys, names, strict=False)]
    query = part.select(
        *columns, sa.cast(sa.func.count(), sa.BigInteger).label("many"), sa.cast(minor, sa.BigInteger).label("minor"),
        rows=within.table, on=within.hold(part.at, link),
    )  # fmt: skip
    if of is not None:
        whose = referrer if of == By.REFERRER else link
        if part.model not in (Click, Invite):
            # The days lead to the few rows; by its index a referrer would lead to all that ever were.
            whose = database.unindexed(whose)
        query = query.where(whose.in_(sa.bindparam("ids", expanding=True)))
    return query.group_by(*_columns(*keys))


def _columns(*keys: Any) -> list[Any]:
    """Of these what a query can be grouped by: not the words that stand in it."""
    return [key for key in keys if not isinstance(key, sa.BindParameter)]


@database.once_for_each_database
def counted(*measures: Measure) -> sa.Subquery:
    """Every figure, or these, of the days handed over: (day, measure, referrer_id, link_id, many, minor)."""
    wanted = [part for name, part in _parts().items() if not measures or name in measures]
    return sa.union_all(*(_grouped(part, wide()) for part in wanted)).subquery("counted")


@database.once_for_each_database
def counted_by_day() -> sa.Subquery:
    """Every figure of the days handed over, whoever's it is: (day, measure, many, minor)."""
    within = wide()
    sums = []
    for part in _parts().values():
        minor = sa.literal(0, sa.BigInteger) if part.minor is None else sa.func.sum(part.minor)
        keys = (within.table.c.day, part.measure.label("measure"))
        many = sa.cast(sa.func.count(), sa.BigInteger).label("many")
        query = sa.select(*keys, many, sa.cast(minor, sa.BigInteger).label("minor")).select_from(within.table)
        query = query.join(part.model, within.hold(part.at, None)).where(*part.alone)
        sums.append(query.group_by(*_columns(within.table.c.day, part.measure)))
    return sa.union_all(*sums).subquery("by_day")


@database.once_for_each_database
def counted_of(by: By, *measures: Measure) -> sa.Subquery:
    """These figures of the referrers or links in `ids` alone, in the same columns."""
    wanted = [part for name, part in _parts().items() if name in measures]
    return sa.union_all(*(_grouped(part, wide(), of=by) for part in wanted)).subquery("counted")


@database.once_for_each_database
def counted_of_links(by_cell: bool) -> sa.Subquery:
    """The figures that are of a link alone, in the same columns; of the days handed over, or by cell."""
    within = narrow() if by_cell else wide()
    return sa.union_all(*(_grouped(_parts()[name], within) for name in OF_LINKS)).subquery("of_links")


@database.once_for_each_database
def counted_by_referral() -> sa.Subquery:
    """All other figures of the days handed over, each referral's by itself: the same columns and `referral_id`."""
    parts = (_grouped(part, wide(), Referral.id) for name, part in _parts().items() if name not in OF_LINKS)
    return sa.union_all(*parts).subquery("by_referral")


@database.once_for_each_database
def rows_of_referrals() -> sa.CompoundSelect[Any]:
    """Row by row what is counted of some referrals, by their row numbers in `ids`.

    (referral_id, at, measure, referrer_id, link_id, minor)
    """
    parts = []
    for name, part in _parts().items():
        if name not in OF_LINKS:
            minor = sa.literal(0, sa.BigInteger) if part.minor is None else sa.cast(part.minor, sa.BigInteger)
            columns = (Referral.id, part.at, part.measure, Referral.referrer_id, Referral.link_id, minor)
            parts.append(part.select(*columns).where(Referral.id.in_(sa.bindparam("ids", expanding=True))))
    return sa.union_all(*parts)


# --- visitors and the ledger, which belong to no link ------------------------------------------------------------


def visitors() -> sa.Subquery:
    """Who came on each of the days handed over: (day, since, edge, visitor), each once a day.

    `edge`: an hour after the day's start.
    """
    within = wide()
    table = within.table
    query = sa.select(table.c.day, table.c.since, table.c.edge, Click.visitor).select_from(table)
    return query.join(Click, within.hold(Click.at, Click.link_id)).distinct().subquery("came")


def earlier_click(came: sa.Subquery, *, since: Any = None) -> sa.Select[Any]:
    """The moments of a visitor's clicks before the day on which `came` has them, perhaps from a moment on.

    By the index on a click's latest moment, which lies less than an hour after its first.
    """
    query = sa.select(Click.at).where(
        Click.visitor == came.c.visitor, Click.last_at < came.c.edge, Click.at < came.c.since
    )
    if since is not None:
        query = query.where(Click.last_at >= since, Click.at >= since)
    return query.correlate(came)


def moved() -> sa.Subquery:
    """What moved between the ledger's buckets on the days handed over: (day, measure, minor).

    The program's own side is left out.
    """
    within = wide()
    sides = []
    for bucket, sign in ((Transfer.to_bucket, 1), (Transfer.from_bucket, -1)):
        minor = sa.cast(sa.func.sum(Transfer.amount_minor) * sign, sa.BigInteger).label("minor")
        measure = (sa.literal(IN_BUCKET, sa.String) + bucket).label("measure")
        query = sa.select(within.table.c.day, measure, minor).select_from(within.table)
        query = query.join(Transfer, within.hold(Transfer.at, Transfer.id)).where(bucket != Bucket.PROGRAM)
        sides.append(query.group_by(within.table.c.day, bucket))
    both = sa.union_all(*sides).subquery("sides")
    summed = sa.cast(sa.func.sum(both.c.minor), sa.BigInteger).label("minor")
    return sa.select(both.c.day, both.c.measure, summed).group_by(both.c.day, both.c.measure).subquery("moved")
