"""Figures: the program's numbers in a range of days, by step, by referrer and by link, and what it owes.

Invariant: what is read here equals `facts` to the row at every moment: days that are rolled up come from the roll-ups,
today and every day of which something changed since come from the rows themselves.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from portal.accounts.users import User
from portal.core import clock, database
from portal.core.database import session
from portal.reports import facts, rollups
from portal.reports.facts import IN_BUCKET, Measure
from portal.reports.rollups import DAY, MONTH, NEVER, DayFigure, DayVisitors, Figure, Standing
from portal.rewards import ledger
from portal.rewards.ledger import Bucket
from portal.rewards.rewards import State
from portal.sharing.links import Code, Link
from portal.terms import Terms


class Step(StrEnum):
    """How a range is cut for a series."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True)
class Range:
    """Days from the first to the last, both in it."""

    first: date
    last: date

    @property
    def until(self) -> date:
        """The day after the last one."""
        return self.last + timedelta(days=1)

    @property
    def days(self) -> int:
        return (self.until - self.first).days

    @property
    def before(self) -> "Range":
        """The range before: a month's is the month before, any other's has as many days."""
        last = self.first - timedelta(days=1)
        if self.first.day == 1 and rollups.next_month(self.first) == self.until:
            return Range(last.replace(day=1), last)
        return Range(self.first - timedelta(days=self.days), last)

    @property
    def usual_step(self) -> Step:
        return Step.DAY if self.days <= 45 else Step.WEEK if self.days <= 200 else Step.MONTH

    def cut(self, step: Step) -> list["Range"]:
        """The range in pieces: days, weeks counted from its first day, or months of the calendar."""
        pieces, first = [], self.first
        while first < self.until:
            if step == Step.MONTH:
                following = rollups.next_month(rollups.month_of(first))
            else:
                following = first + timedelta(days=7 if step == Step.WEEK else 1)
            following = min(following, self.until)
            pieces.append(Range(first, following - timedelta(days=1)))
            first = following
        return pieces


@dataclass
class Numbers:
    """The figures of some days: how many, and for what has amounts the sum in minor units."""

    many: dict[str, int] = field(default_factory=dict)
    minor: dict[str, int] = field(default_factory=dict)

    def add(self, measure: str, many: int, minor: int) -> None:
        self.many[measure] = self.many.get(measure, 0) + int(many)
        self.minor[measure] = self.minor.get(measure, 0) + int(minor)

    def __add__(self, other: "Numbers") -> "Numbers":
        both = Numbers(dict(self.many), dict(self.minor))
        for measure, many in other.many.items():
            both.add(measure, many, other.minor[measure])
        return both

    def __getattr__(self, name: str) -> int:
        """`clicks`, `joined`, …: how many there were."""
        if name in _MEASURES:
            return self.many.get(name, 0)
        raise AttributeError(name)

    @property
    def cost_minor(self) -> int:
        """Rewards that were not rejected, less what refunds took back."""
        return self.minor.get(Measure.COST, 0)

    @property
    def orders_minor(self) -> int:
        return self.minor.get(Measure.ORDERS, 0)

    @property
    def spent_minor(self) -> int:
        """Live rewards as they were made: what the month's budget is measured by."""
        return sum(self.minor.get(state, 0) for state in (State.PENDING, State.APPROVED, State.PAID))

    @property
    def cost_per_customer_minor(self) -> int | None:
        """The cost for each new customer, rounded half up; None if there is none."""
        customers = self.many.get(Measure.CUSTOMERS, 0)
        return (2 * self.cost_minor + customers) // (2 * customers) if customers else None

    @property
    def nothing(self) -> bool:
        return not any(self.many.values())


_MEASURES = frozenset(Measure)


@dataclass(frozen=True)
class View:
    """How the figures are seen at one moment: the time zone, today, and how far the roll-ups can be relied on."""

    zone: str
    today: date
    standing: Standing

    @property
    def began(self) -> date:
        """The day of the first thing that is counted; today, as long as nothing is."""
        return self.standing.began if self.standing.began != NEVER else self.today

    def fresh(self, within: Range) -> list[date]:
        """The days of a range that are read from the rows."""
        first, until = max(within.first, self.began), min(within.last, self.today) + timedelta(days=1)
        return facts.days_between(max(first, self.standing.until), until)


def view(current: Terms, *, at: datetime) -> View:
    """How the figures are seen now."""
    zone = current.time_zone
    return View(zone, current.day(at), rollups.standing(zone))


# --- the program ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Series:
    """A range cut into pieces, each with its numbers, and all of them together."""

    pieces: list[tuple[Range, Numbers]]
    visitors: int

    @property
    def total(self) -> Numbers:
        total = Numbers()
        for _, numbers in self.pieces:
            total = total + numbers
        return total


def series(seen: View, *wanted: tuple[Range, Step]) -> list[Series]:
    """The program's numbers in each of these ranges, cut by its step: two queries, and two each for visitors."""
    cut = [whole.cut(step) for whole, step in wanted]
    found = {piece: Numbers() for pieces in cut for piece in pieces}
    _add_all(seen, found)
    return [
        Series([(piece, found[piece]) for piece in pieces], visitors(seen, whole))
        for pieces, (whole, _) in zip(cut, wanted, strict=True)
    ]


def totals(seen: View, within: Range) -> Numbers:
    """The program's numbers in a range."""
    found = {within: Numbers()}
    _add_all(seen, found)
    return found[within]


def _add_all(seen: View, found: dict[Range, Numbers]) -> None:
    """What is rolled up, what that lacks by now, and the days that are read from the rows."""
    _add_rolled(seen, found)
    for (measure, day, _, _), (many, minor) in seen.standing.differences.items():
        _add(found, day, measure, many, minor)
    _add_fresh(seen, found)


def _add(found: dict[Range, Numbers], day: date, measure: str, many: int, minor: int) -> None:
    for piece, numbers in found.items():
        if piece.first <= day <= piece.last:
            numbers.add(measure, many, minor)


def _add_rolled(seen: View, found: dict[Range, Numbers]) -> None:
    rows = [(piece.first, min(piece.until, seen.standing.until)) for piece in found]
    params = {"pieces_rows": database.told(rows)}
    by_first = {piece.first: [one for one in found if one.first == piece.first] for piece in found}
    for first, until, measure, many, minor in session.execute(_rolled_sums(), params):
        for piece in by_first[first]:
            if min(piece.until, seen.standing.until) == until:
                found[piece].add(measure, many, minor)


@database.once_for_each_database
def _rolled_sums() -> sa.Select[Any]:
    table = database.given("pieces", first=sa.Date, until=sa.Date)
    inside = sa.and_(DayFigure.day >= table.c.first, DayFigure.day < table.c.until)
    return (
        sa.select(table.c.first, table.c.until, DayFigure.measure, _sum(DayFigure.many), _sum(DayFigure.minor))
        .join(DayFigure, inside)
        .where(DayFigure.measure.in_(list(Measure)))
        .group_by(table.c.first, table.c.until, DayFigure.measure)
    )


def _add_fresh(seen: View, found: dict[Range, Numbers]) -> None:
    days = sorted({day for piece in found for day in seen.fresh(piece)})
    if not days:
        return
    for day, measure, many, minor in session.execute(_fresh_sums(), facts.of_days(days, seen.zone)):
        _add(found, day, measure, many, minor)


@database.once_for_each_database
def _fresh_sums() -> sa.Select[Any]:
    rows = facts.counted()
    query = sa.select(rows.c.day, rows.c.measure, _sum(rows.c.many), _sum(rows.c.minor))
    return query.group_by(rows.c.day, rows.c.measure)


def _sum(number: Any) -> Any:
    return sa.cast(sa.func.sum(number), sa.BigInteger)


def visitors(seen: View, within: Range) -> int:
    """How many different visitors came in a range: on each day those who had not come before in it."""
    stale = [day for day in seen.standing.visitor_days if within.first <= day <= within.last]
    rolled = sa.select(_sum(DayVisitors.many)).where(
        DayVisitors.day >= within.first, DayVisitors.day <= within.last, DayVisitors.day < seen.standing.until,
        DayVisitors.previous < within.first, DayVisitors.day.not_in(stale),
    )  # fmt: skip
    found = session.scalar(rolled) or 0
    days = stale + seen.fresh(within)
    if days:
        since = {"range_since": facts.start_of(within.first, seen.zone)}
        found += session.scalar(_fresh_visitors(), facts.of_days(days, seen.zone) | since) or 0
    return int(found)


@database.once_for_each_database
def _fresh_visitors() -> sa.Select[Any]:
    came = facts.visitors()
    before = facts.earlier_click(came, since=sa.bindparam("range_since", type_=database.Moment()))
    return sa.select(sa.func.count()).select_from(came).where(~before.exists())


# --- by referrer and by link ----------------------------------------------------------------------------------


class By(StrEnum):
    """Whose figures are listed."""

    REFERRER = "referrer"
    LINK = "link"


RANKED = (Measure.CUSTOMERS, Measure.JOINED, Measure.CLICKS, Measure.ORDERS, Measure.COST)
"""What a list may be ordered by: how many, but for the cost the amount."""


LISTED = (*RANKED, Measure.INVITES, Measure.REACHED)
"""What a line of such a list tells."""


@dataclass(frozen=True)
class Standee:
    """A line of a list: the row number of a referrer or link, what it is ordered by, and its numbers."""

    number: int
    rank: int
    numbers: Numbers


def ranked(
    seen: View, within: Range, by: By, measure: Measure, *, most: int, after: tuple[int, int] | None = None
) -> tuple[list[Standee], tuple[int, int] | None]:
    """Referrers or links by a figure in a range, the highest first, and the key of the next page if there is one.

    Who has nothing of it is not listed.
    """
    rank, number = after or (2**62, 0)
    params = _range(seen, within) | {"after_rank": rank, "after_number": number, "most": most + 1}
    found = [(int(one), int(value)) for one, value in session.execute(_ranking(by, measure), params)]
    shown = found[:most]
    numbers = _numbers_of(seen, within, by, [one for one, _ in shown])
    listed = [Standee(one, value, numbers[one]) for one, value in shown]
    return listed, (shown[-1][1], shown[-1][0]) if len(found) > most else None


@database.once_for_each_database
def _ranking(by: By, measure: Measure) -> sa.Select[Any]:
    rows = _parts(measure).subquery("parts")
    number = rows.c.referrer_id if by == By.REFERRER else rows.c.link_id
    rank = _sum(rows.c.minor if measure == Measure.COST else rows.c.many).label("rank")
    grouped = sa.select(number.label("number"), rank).group_by(number).subquery("grouped")
    last = sa.bindparam("after_rank", type_=sa.BigInteger)
    lower = sa.and_(grouped.c.rank == last, grouped.c.number > sa.bindparam("after_number", type_=sa.BigInteger))
    query = sa.select(grouped.c.number, grouped.c.rank).where(grouped.c.rank > 0)
    query = query.where(sa.or_(grouped.c.rank < last, lower))
    return query.order_by(grouped.c.rank.desc(), grouped.c.number).limit(sa.bindparam("most", type_=sa.Integer))


def _numbers_of(seen: View, within: Range, by: By, wanted: list[int]) -> dict[int, Numbers]:
    """What the list tells of some referrers or links."""
    numbers = {one: Numbers() for one in wanted}
    if wanted:
        for one, measure, many, minor in session.execute(_all_of(by), _range(seen, within) | {"ids": wanted}):
            numbers[one].add(measure, many, minor)
    return numbers


@database.once_for_each_database
def _all_of(by: By) -> sa.Select[Any]:
    rows = _parts(None, by).subquery("parts")
    number = rows.c.referrer_id if by == By.REFERRER else rows.c.link_id
    query = sa.select(number, rows.c.measure, _sum(rows.c.many), _sum(rows.c.minor))
    return query.group_by(number, rows.c.measure)


def active_referrers(seen: View, within: Range) -> int:
    """By how many people's links a friend joined in a range."""
    return session.scalar(_active(), _range(seen, within)) or 0


@database.once_for_each_database
def _active() -> sa.Select[Any]:
    rows = _parts(Measure.JOINED).subquery("parts")
    brought = sa.select(rows.c.referrer_id).group_by(rows.c.referrer_id).having(sa.func.sum(rows.c.many) > 0)
    return sa.select(sa.func.count()).select_from(brought.subquery("brought"))


def _range(seen: View, within: Range) -> dict[str, Any]:
    """The parts of a range: whole months, the days at their sides, what these lack by now, and the days read afresh."""
    months, days = _months_and_days(seen, within)
    different = [
        (measure, referrer, link, many, minor)
        for (measure, day, referrer, link), (many, minor) in seen.standing.differences.items()
        if within.first <= day <= within.last
    ]
    parts = {"months": months, "days": days, "differences_rows": database.told(different)}
    return parts | facts.of_days(seen.fresh(within), seen.zone)


def _parts(measure: Measure | None, by: By | None = None) -> sa.CompoundSelect[Any]:
    """Rows that together are a range (see `_range`): of one measure, or the listed ones of those in `ids`."""
    parts: list[Any] = []
    columns = (Figure.measure, Figure.referrer_id, Figure.link_id, Figure.many, Figure.minor)
    for span, listed in ((MONTH, "months"), (DAY, "days")):
        query = sa.select(*columns).where(Figure.span == span, Figure.day.in_(sa.bindparam(listed, expanding=True)))
        # Few people lead to their few rows, by their own index; the measure would lead to everybody's.
        query = query.where(database.unindexed(Figure.measure).in_(LISTED) if by else Figure.measure == measure)
        parts.append(_only(query, by, Figure.referrer_id, Figure.link_id))
    number = sa.BigInteger
    different = database.given(
        "differences", measure=sa.String, referrer_id=number, link_id=number, many=number, minor=number
    )
    # The days lead to the few rows; by its index a referrer would lead to all that ever were.
    wanted = LISTED if measure is None else (measure,)
    for rows in (different.c, facts.counted(*wanted).c):
        fresh = sa.select(rows.measure, rows.referrer_id, rows.link_id, rows.many, rows.minor)
        fresh = fresh.where(rows.measure.in_(wanted))
        parts.append(_only(fresh, by, *map(database.unindexed, (rows.referrer_id, rows.link_id))))
    return sa.union_all(*parts)


def _only(query: Any, by: By | None, referrer: Any, link: Any) -> Any:
    if by is None:
        return query
    return query.where((referrer if by == By.REFERRER else link).in_(sa.bindparam("ids", expanding=True)))


def _months_and_days(seen: View, within: Range) -> tuple[list[date], list[date]]:
    """The rolled-up months that lie in a range, by their first days; and the other rolled-up days."""
    first, until = max(within.first, seen.began), min(within.until, seen.standing.until)
    months, days, day = [], [], first
    while day < until:
        following = rollups.next_month(rollups.month_of(day))
        starts = day.day == 1 or (day == seen.began and within.first <= rollups.month_of(day))
        if starts and following <= until:
            months.append(rollups.month_of(day))
        else:
            days += facts.days_between(day, min(following, until))
        day = following
    return months, days


def people(listed: list[Standee]) -> dict[int, User]:
    """The referrers of such a list."""
    query = sa.select(User).where(User.id.in_([one.number for one in listed]))
    return {user.id: user for user in session.scalars(query)}


@dataclass(frozen=True)
class Source:
    """A link with the code that is shown for it, and whose it is."""

    link: Link
    code: str
    owner: User


def sources(listed: list[Standee]) -> dict[int, Source]:
    """The links of such a list."""
    query = (
        sa.select(Link, Code.text, User)
        .join(Code, sa.and_(Code.link_id == Link.id, Code.retired_at.is_(None)))
        .join(User, User.id == Link.owner_id)
        .where(Link.id.in_([one.number for one in listed]))
    )
    return {link.id: Source(link, code, owner) for link, code, owner in session.execute(query)}


# --- money ----------------------------------------------------------------------------------------------------


def owed(seen: View, currency: str, *, on: date | None = None) -> ledger.Balances:
    """What lies in each bucket at the end of a day (now, if none is named), in minor units."""
    last = on or seen.today
    if seen.standing.until == NEVER and last >= seen.today:
        return ledger.totals(currency)
    found = dict.fromkeys(Bucket, 0)
    rolled = [DayFigure.measure.startswith(IN_BUCKET), DayFigure.day <= last, DayFigure.day < seen.standing.until]
    if seen.standing.book_days:
        rolled.append(DayFigure.day.not_in(seen.standing.book_days))
    query = sa.select(DayFigure.measure, _sum(DayFigure.minor)).where(*rolled).group_by(DayFigure.measure)
    rows = list(session.execute(query))
    first = max(seen.standing.until, seen.began)
    days = [day for day in seen.standing.book_days if day <= last] + facts.days_between(first, last + timedelta(days=1))
    if days:
        moved = facts.moved()
        fresh = sa.select(moved.c.measure, _sum(moved.c.minor)).group_by(moved.c.measure)
        rows += list(session.execute(fresh, facts.of_days(days, seen.zone)))
    for measure, minor in rows:
        found[Bucket(measure.removeprefix(IN_BUCKET))] += int(minor)
    found[Bucket.PROGRAM] = -sum(found.values())
    return found


def this_month(seen: View) -> Range:
    """The month so far."""
    return Range(rollups.month_of(seen.today), seen.today)


def local_days(at: datetime, zone: str, count: int) -> Range:
    """So many days up to and with the one of a moment."""
    last = clock.local_date(at, zone)
    return Range(last - timedelta(days=count - 1), last)
