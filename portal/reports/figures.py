"""Figures: the program's numbers in a range of days, by step, and what it owes. By referrer and link: `rankings`.

Invariant: what is read here equals `facts` to the row at every moment: days that are rolled up come from the roll-ups,
today and every day of which something changed since come from the rows themselves.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from portal.core import clock, database
from portal.core.database import session
from portal.reports import facts, rollups
from portal.reports.facts import IN_BUCKET, Measure
from portal.reports.rollups import NEVER, DayFigure, DayVisitors, Standing
from portal.rewards import ledger
from portal.rewards.ledger import Bucket
from portal.rewards.rewards import State
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


def pieces(seen: View, within: Range, step: Step) -> list[tuple[Range, Numbers]]:
    """The program's numbers in each piece of a range."""
    found = {piece: Numbers() for piece in within.cut(step)}
    _add_all(seen, found)
    return list(found.items())


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
    return sa.select(facts.counted_by_day())


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
        since = {"range_since": clock.start_of_day(within.first, seen.zone)}
        found += session.scalar(_fresh_visitors(), facts.of_days(days, seen.zone) | since) or 0
    return int(found)


@database.once_for_each_database
def _fresh_visitors() -> sa.Select[Any]:
    came = facts.visitors()
    before = facts.earlier_click(came, since=sa.bindparam("range_since", type_=database.Moment()))
    return sa.select(sa.func.count()).select_from(came).where(~before.exists())


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
