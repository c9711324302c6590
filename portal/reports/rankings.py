"""Rankings: referrers and links by a figure in a range of days, the highest first.

Invariant: a page names whom the sums of all rows would name, in their order, at every moment. For the first page few
are summed: nobody has more of a range than of the months that it touches, and of a month, whose largest rows are read,
nobody else has more than the smallest of these (see `_highest`). Where that does not tell the page, all are summed.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from portal.accounts.users import User
from portal.core import database
from portal.core.database import session
from portal.reports import facts, rollups
from portal.reports.facts import LISTED, By, Measure
from portal.reports.figures import Numbers, Range, View
from portal.reports.rollups import Figure, MonthFigure
from portal.sharing.links import Code, Link

DEPTH, DEEPEST = 6, 300
"""Of each month the largest rows are read: so many for each line of the page, since who is high in a year is high in
most of its months; but no more than that, which is quicker than to sum all."""

MOST = 1500
"""Beyond so many who could be on the page, it is quicker to sum all."""


@dataclass(frozen=True)
class Standee:
    """A line of a list: the row number of a referrer or link, what it is ordered by, and its numbers."""

    number: int
    rank: int
    numbers: Numbers


Key = tuple[int, int]
"""What a line has of what the list is ordered by, and its number."""

Recent = dict[int, int]
"""What everybody, by their numbers, has of a range beside the rolled-up rows."""


def ranked(
    seen: View, within: Range, by: By, measure: Measure, *, most: int, after: Key | None = None
) -> tuple[list[Standee], Key | None]:
    """Referrers or links by a figure in a range, the highest first, and the key of the next page if there is one.

    `measure`: one of `facts.RANKED`. Who has nothing of it is not listed.
    """
    parts, recent = _parts(seen, within), _recent(seen, within, by, measure)
    found = None if after else _highest(parts, recent, by, measure, most=most + 1)
    if found is None:
        found = _sorted(parts, recent, by, measure, most=most + 1, after=after or (2**62, 0))
    shown = found[:most]
    numbers = _numbers_of(seen, within, by, [number for _, number in shown])
    listed = [Standee(number, rank, numbers[number]) for rank, number in shown]
    return listed, shown[-1] if len(found) > most else None


def active_referrers(seen: View, within: Range) -> int:
    """By how many people's links a friend joined in a range."""
    recent = _recent(seen, within, By.REFERRER, Measure.JOINED)
    return session.scalar(_active(), _parts(seen, within).params | _told(recent)) or 0


@database.once_for_each_database
def _active() -> sa.Select[Any]:
    sums = _sums(By.REFERRER, Measure.JOINED)
    return sa.select(sa.func.count()).select_from(sums).where(sums.c.rank > 0)


# --- what a range is made of ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """What is rolled up of a range: months whose days before `until` all lie in it, by their first days, and other
    days."""

    months: list[date]
    days: list[date]

    @property
    def touched(self) -> list[date]:
        """All months of which any day is among these."""
        return sorted({*self.months, *(rollups.month_of(day) for day in self.days)})

    @property
    def params(self) -> dict[str, Any]:
        return {"months": self.months, "days": self.days}


def _parts(seen: View, within: Range) -> Parts:
    first, until = max(within.first, seen.began), min(within.until, seen.standing.until)
    months, days, day = [], [], first
    while day < until:
        following = rollups.next_month(rollups.month_of(day))
        starts = day.day == 1 or (day == seen.began and within.first <= rollups.month_of(day))
        if starts and (following <= until or until == seen.standing.until):
            months.append(rollups.month_of(day))
        else:
            days += facts.days_between(day, min(following, until))
        day = following
    return Parts(months, days)


def _recent(seen: View, within: Range, by: By, measure: Measure) -> Recent:
    """What the roll-ups lack by now, and the days that are read from the rows."""
    found: Recent = {}
    for whose, here, many, minor in _differences(seen, within, by):
        if here == measure:
            found[whose] = found.get(whose, 0) + (minor if measure == Measure.COST else many)
    days = seen.fresh(within)
    if days:
        for whose, rank in _ask(_fresh(by, measure), facts.of_days(days, seen.zone)):
            found[whose] = found.get(whose, 0) + int(rank)
    return found


def _differences(seen: View, within: Range, by: By) -> Iterator[tuple[int, str, int, int]]:
    """What the roll-ups lack: whose, measure, many and minor."""
    for (measure, day, referrer, link), (many, minor) in seen.standing.differences.items():
        if within.first <= day <= within.last:
            yield referrer if by == By.REFERRER else link, measure, many, minor


@database.once_for_each_database
def _fresh(by: By, measure: Measure) -> sa.Select[Any]:
    rows = facts.counted(measure).c
    return sa.select(_whose(rows, by), _rank(rows, measure))


def _ask(query: Any, params: dict[str, Any]) -> Any:
    """Of the connection: a session takes twice as long over thousands of rows of numbers."""
    return session.connection().execute(query, params)


def _whose(rows: Any, by: By) -> Any:
    return rows.referrer_id if by == By.REFERRER else rows.link_id


def _told(recent: Recent) -> dict[str, str]:
    return {"recent_rows": database.told(recent.items())}


def _rank(rows: Any, measure: Measure) -> Any:
    """The amount of the cost, of all others how many."""
    return rows.minor if measure == Measure.COST else rows.many


def _rolled(by: By, measure: Measure, *, picked: bool = False) -> list[sa.Select[Any]]:
    """The rows that are rolled up of a range, (number, rank); `picked`: of those in `ids`."""
    months: Any = _of_months(by, measure).add_columns(MonthFigure.number, _rank(MonthFigure, measure))
    days: Any = sa.select(_whose(Figure, by), _rank(Figure, measure)).where(Figure.measure == measure)
    months, days = months.where(_in(MonthFigure.month, "months")), days.where(_in(Figure.day, "days"))
    if picked:
        return [months.where(_in(MonthFigure.number, "ids")), days.where(_in(_whose(Figure, by), "ids"))]
    return [months, days]


def _of_months(by: By, measure: Measure) -> sa.Select[Any]:
    # The word stands in the statement, or no index that is for it alone would be used.
    word = sa.bindparam(None, str(measure), type_=sa.String, literal_execute=True)
    return sa.select().where(MonthFigure.whose == by, MonthFigure.measure == word)


def _in(column: Any, name: str) -> sa.ColumnElement[bool]:
    return column.in_(sa.bindparam(name, expanding=True))


def _sum(number: Any) -> Any:
    return sa.cast(sa.func.sum(number), sa.BigInteger)


# --- the first page -------------------------------------------------------------------------------------------


def _highest(parts: Parts, recent: Recent, by: By, measure: Measure, *, most: int) -> list[Key] | None:
    """The first ones, (rank, number), by the largest rows of the months; None if these do not tell.

    Of the range nobody has more than of its months, since no figure is less than nothing. So when `most` of them are
    known to have `enough` of the range, whoever could have as much is among those read; unless what may be `unread`
    were enough.
    """
    bounds, unread = _bounds(parts.touched, recent, by, measure, depth=min(DEPTH * most, DEEPEST))
    sums = _sums_of(parts, recent, by, measure, heapq.nlargest(2 * most, bounds, key=bounds.__getitem__))
    best = heapq.nlargest(most, sums.values())
    enough = max(1, best[-1] if len(best) == most else 0)
    if unread >= enough:
        return None
    rest = [number for number, bound in bounds.items() if bound >= enough and number not in sums]
    if len(rest) > MOST:
        return None
    sums |= _sums_of(parts, recent, by, measure, rest)
    return sorted(((rank, number) for number, rank in sums.items() if rank > 0), key=_order)[:most]


def _order(line: Key) -> Key:
    return -line[0], line[1]


def _bounds(months: list[date], recent: Recent, by: By, measure: Measure, *, depth: int) -> tuple[dict[int, int], int]:
    """The most that each of those can have of these months, and of what is recent, who are among the largest of one or
    are recent; and the most that anybody else can have: in each month as much as the smallest row that was read."""
    read: dict[date, list[tuple[int, int]]] = {month: [] for month in months}
    if months:
        params: dict[str, Any] = {f"month_{place}": month for place, month in enumerate(months)}
        for month, number, rank in _ask(_largest(by, measure, len(months)), params | {"depth": depth}):
            read[month].append((number, int(rank)))
    least = {month: min(rank for _, rank in rows) if len(rows) == depth else 0 for month, rows in read.items()}
    unread = sum(least.values())
    bounds = {number: unread + rank for number, rank in recent.items()}
    for month, rows in read.items():
        for number, rank in rows:
            bounds[number] = bounds.get(number, unread) + rank - least[month]
    return bounds, unread


@database.once_for_each_database
def _largest(by: By, measure: Measure, months: int) -> sa.CompoundSelect[Any]:
    """The largest rows of so many months, month by month."""
    rank, depth = _rank(MonthFigure, measure), sa.bindparam("depth", type_=sa.Integer)
    parts: list[Any] = []
    for place in range(months):
        here = MonthFigure.month == sa.bindparam(f"month_{place}", type_=sa.Date)
        one: Any = _of_months(by, measure).add_columns(MonthFigure.month, MonthFigure.number, rank).where(here)
        parts.append(sa.select(one.order_by(rank.desc()).limit(depth).subquery()))
    return sa.union_all(*parts)


def _sums_of(parts: Parts, recent: Recent, by: By, measure: Measure, wanted: list[int]) -> dict[int, int]:
    """What each of these has of a range."""
    sums = {number: recent.get(number, 0) for number in wanted}
    if wanted:
        for number, rank in _ask(_picked_sums(by, measure), parts.params | {"ids": wanted}):
            sums[number] += int(rank)
    return sums


@database.once_for_each_database
def _picked_sums(by: By, measure: Measure) -> sa.Select[Any]:
    rows = sa.union_all(*_rolled(by, measure, picked=True)).subquery("rows").c
    return sa.select(rows[0], _sum(rows[1])).group_by(rows[0])


# --- any page, by the sums of all -----------------------------------------------------------------------------


def _sorted(parts: Parts, recent: Recent, by: By, measure: Measure, *, most: int, after: Key) -> list[Key]:
    """Those after a line, (rank, number)."""
    params = {"after_rank": after[0], "after_number": after[1], "most": most}
    found = _ask(_ranking(by, measure), params | parts.params | _told(recent))
    return [(int(rank), int(number)) for rank, number in found]


@database.once_for_each_database
def _ranking(by: By, measure: Measure) -> sa.Select[Any]:
    sums = _sums(by, measure)
    last = sa.bindparam("after_rank", type_=sa.BigInteger)
    lower = sa.and_(sums.c.rank == last, sums.c.number > sa.bindparam("after_number", type_=sa.BigInteger))
    query = sa.select(sums.c.rank, sums.c.number).where(sums.c.rank > 0, sa.or_(sums.c.rank < last, lower))
    return query.order_by(sums.c.rank.desc(), sums.c.number).limit(sa.bindparam("most", type_=sa.Integer))


def _sums(by: By, measure: Measure) -> sa.Subquery:
    """What everybody has of a range: (number, rank)."""
    recent = database.given("recent", number=sa.BigInteger, rank=sa.BigInteger)
    rows = sa.union_all(*_rolled(by, measure), sa.select(recent)).subquery("rows").c
    return sa.select(rows[0].label("number"), _sum(rows[1]).label("rank")).group_by(rows[0]).subquery("sums")


# --- what is told ---------------------------------------------------------------------------------------------


def _numbers_of(seen: View, within: Range, by: By, wanted: list[int]) -> dict[int, Numbers]:
    """What the list tells of some referrers or links."""
    numbers = {one: Numbers() for one in wanted}
    if not wanted:
        return numbers
    of = {"ids": wanted}
    for one, measure, many, minor in _ask(_rolled_of(by), _parts(seen, within).params | of):
        numbers[one].add(measure, many, minor)
    for one, measure, many, minor in _differences(seen, within, by):
        if one in numbers and measure in LISTED:
            numbers[one].add(measure, many, minor)
    days = seen.fresh(within)
    if days:
        for one, measure, many, minor in _ask(_fresh_of(by), facts.of_days(days, seen.zone) | of):
            numbers[one].add(measure, many, minor)
    return numbers


@database.once_for_each_database
def _rolled_of(by: By) -> sa.Select[Any]:
    months = sa.select(MonthFigure.number, MonthFigure.measure, MonthFigure.many, MonthFigure.minor).where(
        MonthFigure.whose == by, MonthFigure.measure.in_(LISTED), _in(MonthFigure.month, "months"),
        _in(MonthFigure.number, "ids"),
    )  # fmt: skip
    # Few people lead to their few rows, by their own index; the measure would lead to everybody's.
    days = sa.select(_whose(Figure, by), Figure.measure, Figure.many, Figure.minor).where(
        _in(Figure.day, "days"), _in(_whose(Figure, by), "ids"), database.unindexed(Figure.measure).in_(LISTED)
    )
    rows = sa.union_all(months, days).subquery("rows").c
    return sa.select(rows[0], rows[1], _sum(rows[2]), _sum(rows[3])).group_by(rows[0], rows[1])


@database.once_for_each_database
def _fresh_of(by: By) -> sa.Select[Any]:
    rows = facts.counted_of(by, *LISTED).c
    return sa.select(_whose(rows, by), rows.measure, rows.many, rows.minor)


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
