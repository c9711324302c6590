"""Roll-ups: the figures of days that are over, by referrer and link, made from the facts and kept right.

Invariants: a day before `until` holds exactly what `facts` counts, but for what `touched` and the numbers of late
clicks and transfers name; a month is the sum of its days before `until`; each step is one short write under one lock,
and the same step again changes nothing. Another time zone: everything is made anew.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, aliased, mapped_column

from portal.core import clock, database
from portal.core.database import Key, Model, session
from portal.referrals.referrals import Referral
from portal.reports import facts, touched
from portal.reports.facts import IN_BUCKET, By
from portal.reports.touched import Changes, Touched
from portal.rewards.conversions import Conversion
from portal.rewards.ledger import Transfer
from portal.rewards.rewards import Reward
from portal.sharing.clicks import Click
from portal.sharing.invites import Invite

SETTLED = timedelta(minutes=15)
"""After this long a click or transfer is committed: what they take is ended by the database before."""

NOTES_AT_ONCE, DAYS_AT_ONCE = 500, 7

NEVER = date(1, 1, 1)


class Figure(Model):
    """One figure of a link on a day. No foreign keys: it is made anew at will."""

    __tablename__ = "figures"
    __table_args__ = (
        database.whole("many", "minor"),
        sa.Index("ix_figures_link", "link_id", "day"),
        sa.Index("ix_figures_referrer", "referrer_id", "day"),
        {"sqlite_with_rowid": False},
    )

    measure: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    referrer_id: Mapped[int] = mapped_column(Key, primary_key=True)
    link_id: Mapped[int] = mapped_column(Key, primary_key=True)
    many: Mapped[int]
    minor: Mapped[int]


class MonthFigure(Model):
    """A listed figure of one referrer, or of one link, in the month that begins with a day: one row each, so that the
    largest of a month are found by an index. Of the month under way, its days before `until`."""

    __tablename__ = "month_figures"
    __table_args__ = (
        database.one_of("whose", By),
        database.whole("many", "minor"),
        sa.Index("ix_month_figures_many", "whose", "measure", "month", "many"),
        sa.Index(
            "ix_month_figures_cost", "whose", "measure", "month", "minor",
            sqlite_where=sa.text("measure = 'cost'"), postgresql_where=sa.text("measure = 'cost'"),
        ),
        {"sqlite_with_rowid": False},
    )  # fmt: skip

    whose: Mapped[str] = mapped_column(sa.String(8), primary_key=True)
    measure: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Key, primary_key=True)
    many: Mapped[int]
    minor: Mapped[int]


class ReferralFigure(Model):
    """What one referral gave to a day's figure: by it, what a change of the referral changes is the difference."""

    __tablename__ = "referral_figures"
    __table_args__ = (
        database.whole("many", "minor", "referrer_id", "link_id"),
        sa.Index("ix_referral_figures_day", "day"),
        {"sqlite_with_rowid": False},
    )

    referral_id: Mapped[int] = mapped_column(Key, primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    measure: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    referrer_id: Mapped[int] = mapped_column(Key)
    link_id: Mapped[int] = mapped_column(Key)
    many: Mapped[int]
    minor: Mapped[int]


class DayFigure(Model):
    """The sum of a figure over all links on a day, and what moved in the ledger."""

    __tablename__ = "day_figures"
    __table_args__ = (database.whole("many", "minor"), {"sqlite_with_rowid": False})

    day: Mapped[date] = mapped_column(primary_key=True)
    measure: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    many: Mapped[int]
    minor: Mapped[int]


class DayVisitors(Model):
    """How many visitors of a day had been here last on an earlier one (`NEVER` for those who had not).

    So the different visitors of any range are a sum: on each day, those whose day before lies before the range.
    """

    __tablename__ = "day_visitors"
    __table_args__ = (database.whole("many"), {"sqlite_with_rowid": False})

    day: Mapped[date] = mapped_column(primary_key=True)
    previous: Mapped[date] = mapped_column(primary_key=True)
    many: Mapped[int]


class Rollup(Model):
    """How far the roll-ups are: one row. Days before `until` by `time_zone` are in them."""

    __tablename__ = "rollups"
    __table_args__ = (
        database.once("name"),
        database.whole("clicks_seen", "transfers_seen"),
    )

    id: Mapped[int] = database.key()
    name: Mapped[str] = mapped_column(sa.String(10), default="figures")
    time_zone: Mapped[str] = mapped_column(sa.String(64))
    began: Mapped[date]
    """The first day on which anything is counted; the same as `until` as long as nothing is."""
    until: Mapped[date]
    clicks_seen: Mapped[int]
    """Clicks up to this number are in the roll-ups, or are of days that are not."""
    transfers_seen: Mapped[int]


Cell = tuple[str, date, int, int]
"""A figure's place: measure, day, referrer and link."""


class Differences(dict[Cell, tuple[int, int]]):
    """By how much figures that are rolled up are no longer the rows': (many, minor) to be added."""

    def count(self, cell: Cell, many: int, minor: int) -> None:
        before = self.get(cell, (0, 0))
        self[cell] = (before[0] + int(many), before[1] + int(minor))

    def settled(self) -> "Differences":
        """Those that are any."""
        return Differences({cell: both for cell, both in self.items() if both != (0, 0)})


@dataclass(frozen=True)
class Standing:
    """What a page needs to know: the first day there is, the first that is not rolled up, and what is to be added.

    Of `visitor_days` and `book_days` the visitors and the ledger are read from the rows.
    """

    began: date
    until: date
    differences: Differences
    visitor_days: frozenset[date]
    book_days: frozenset[date]


# --- asked ----------------------------------------------------------------------------------------------------


def standing(zone: str) -> Standing:
    """How far one can rely on the roll-ups. Nothing rolled up yet, or by another time zone: not at all."""
    kept = _kept()
    if kept is None or kept.time_zone != zone:
        return Standing(first_day(zone) or NEVER, NEVER, Differences(), frozenset(), frozenset())
    found = Changes()
    if session.scalar(sa.select(Touched.id).limit(1)) is not None:
        found = touched.changes(zone)
    _add_late_clicks(found, kept)
    different, _ = _differences(found, kept)
    visitors = frozenset(day for day in found.visitor_days if day < kept.until)
    books = frozenset(_late_transfers(kept))
    began = min([kept.began, *(cell[1] for cell in different), *books])
    return Standing(began, kept.until, different, visitors, books)


def _kept() -> Rollup | None:
    return session.scalar(_the_one())


@database.once_for_each_database
def _the_one() -> sa.Select[Any]:
    return sa.select(Rollup).execution_options(populate_existing=True)


def _add_late_clicks(found: Changes, kept: Rollup) -> None:
    """Clicks that came after their day was rolled up: their cells, and the next days on which their visitors came."""
    for at, link, after in session.execute(_late_clicks(), _seen(kept, kept.clicks_seen)):
        day = clock.local_date(at, kept.time_zone)
        found.cells.add((day, link))
        found.visitor_days.add(day)
        if after is not None:
            found.visitor_days.add(clock.local_date(_moment(after), kept.time_zone))


@database.once_for_each_database
def _late_clicks() -> Any:
    late, later = aliased(Click), aliased(Click)
    following = sa.select(sa.func.min(later.at)).where(
        later.visitor == late.visitor, later.last_at >= late.at, later.at > late.at
    )
    return sa.select(late.at, late.link_id, following.correlate(late).scalar_subquery()).where(
        late.id > _SEEN, database.unindexed(late.at) < _ROLLED_UNTIL
    )


_SEEN = sa.bindparam("seen", type_=Key)
_ROLLED_UNTIL = sa.bindparam("rolled_until", type_=database.Moment())


def _seen(kept: Rollup, number: int) -> dict[str, Any]:
    """For queries of what came late: up to which number it was seen, and the moment before which all is rolled up."""
    return {"seen": number, "rolled_until": clock.start_of_day(kept.until, kept.time_zone)}


def _moment(value: Any) -> datetime:
    """A moment that came through an aggregate in a subquery, whose type SQLite's driver leaves as text."""
    if isinstance(value, datetime):
        return value
    return clock.parse(str(value) + "+00:00")


def _late_transfers(kept: Rollup) -> set[date]:
    late = session.scalars(_late_movements(), _seen(kept, kept.transfers_seen))
    return {clock.local_date(at, kept.time_zone) for at in late}


@database.once_for_each_database
def _late_movements() -> sa.Select[Any]:
    return sa.select(Transfer.at).where(Transfer.id > _SEEN, database.unindexed(Transfer.at) < _ROLLED_UNTIL)


Given = dict[tuple[int, date, str], tuple[int, int, int, int]]
"""What referrals gave: (referral, day, measure) -> (referrer, link, many, minor)."""


def _differences(found: Changes, kept: Rollup) -> tuple[Differences, Given]:
    """By how much the rolled-up figures of what changed differ from the rows; and what these referrals give now."""
    different, now = Differences(), Given()
    cells = {cell for cell in found.cells if cell[0] < kept.until}
    if cells:
        params = facts.of_cells(cells, kept.time_zone)
        rows = facts.counted_of_links(True)
        for measure, day, referrer, link, many, minor in session.execute(
            sa.select(rows.c.measure, rows.c.day, rows.c.referrer_id, rows.c.link_id, rows.c.many, rows.c.minor), params
        ):
            different.count((measure, day, referrer, link), many, minor)
        for measure, day, referrer, link, many, minor in session.execute(_rolled_cells(), params):
            different.count((measure, day, referrer, link), -many, -minor)
    for some in _in_thousands(found.referrals):
        for key, (referrer, link, many, minor) in _given_before(some).items():
            different.count((key[2], key[1], referrer, link), -many, -minor)
        for key, (referrer, link, many, minor) in _given_now(some, kept).items():
            now[key] = (referrer, link, many, minor)
            different.count((key[2], key[1], referrer, link), many, minor)
    return different.settled(), now


def _in_thousands(numbers: set[int]) -> Iterator[list[int]]:
    listed = sorted(numbers)
    return (listed[start : start + 1000] for start in range(0, len(listed), 1000))


@database.once_for_each_database
def _rolled_cells() -> sa.Select[Any]:
    cells = facts.narrow().table
    columns = (Figure.measure, Figure.day, Figure.referrer_id, Figure.link_id, Figure.many, Figure.minor)
    here = sa.and_(Figure.link_id == cells.c.link_id, Figure.day == cells.c.day)
    query: Any = sa.select(*columns).select_from(cells).join(Figure, here)
    return query.where(Figure.measure.in_(facts.OF_LINKS))


def _given_before(referrals: list[int]) -> Given:
    query = sa.select(ReferralFigure.__table__).where(ReferralFigure.referral_id.in_(referrals))
    return {
        (row.referral_id, row.day, row.measure): (row.referrer_id, row.link_id, row.many, row.minor)
        for row in session.execute(query)
    }


def _given_now(referrals: list[int], kept: Rollup) -> Given:
    given = Given()
    for referral, at, measure, referrer, link, minor in session.execute(facts.rows_of_referrals(), {"ids": referrals}):
        key = (referral, clock.local_date(at, kept.time_zone), measure)
        if key[1] < kept.until:
            _, _, many, sum_minor = given.get(key, (0, 0, 0, 0))
            given[key] = (referrer, link, many + 1, sum_minor + int(minor))
    return given


def due(zone: str, *, at: datetime) -> bool:
    """Whether a step would change anything; asked before taking the lock."""
    kept = _kept()
    if kept is None or kept.time_zone != zone or kept.until < _settled_until(zone, at=at):
        return True
    if session.scalar(sa.select(Touched.id).limit(1)) is not None or _late_transfers(kept):
        return True
    found = Changes()
    _add_late_clicks(found, kept)
    return bool(found)


def _settled_until(zone: str, *, at: datetime) -> date:
    return clock.local_date(at - SETTLED, zone)


# --- made -----------------------------------------------------------------------------------------------------


def step(zone: str, *, at: datetime) -> bool:
    """One step of rolling up, in the caller's write: what changed first, then the next days. Whether it did any."""
    database.lock_names("rollups")
    kept = _kept()
    if kept is None or kept.time_zone != zone:
        _begin(zone, kept, at=at)
        return True
    ids = touched.notes(most=NOTES_AT_ONCE)
    found = touched.changes(zone, ids=ids) if ids else Changes()
    _add_late_clicks(found, kept)
    late_books = _late_transfers(kept)
    if ids or found or late_books:
        _mend(found, kept)
        _roll_books(late_books, kept)
        touched.forget(ids)
        _have_seen(kept, at=at)
        return True
    today = _settled_until(zone, at=at)
    if kept.until >= today:
        return False
    days = facts.days_between(kept.until, min(today, kept.until + timedelta(days=DAYS_AT_ONCE)))
    _roll(days, kept)
    _have_seen(kept, at=at)
    return True


def _begin(zone: str, kept: Rollup | None, *, at: datetime) -> None:
    """From nothing: the days are counted from the first on which anything happened."""
    for table in (Figure, MonthFigure, ReferralFigure, DayFigure, DayVisitors, Touched):
        _drop(table)
    if kept is None:
        kept = Rollup(time_zone=zone, began=NEVER, until=NEVER, clicks_seen=0, transfers_seen=0)
        session.add(kept)
    kept.time_zone = zone
    kept.began = kept.until = min(first_day(zone) or date.max, _settled_until(zone, at=at))
    _have_seen(kept, at=at)


def first_day(zone: str) -> date | None:
    """The day of the first thing that is counted."""
    moments = (Click.at, Invite.made_at, Referral.joined_at, Conversion.occurred_at, Reward.made_at, Transfer.at)
    found = [session.scalar(sa.select(sa.func.min(moment))) for moment in moments]
    return min((clock.local_date(at, zone) for at in found if at is not None), default=None)


def _have_seen(kept: Rollup, *, at: datetime) -> None:
    """Notes up to which number everything is surely committed and counted.

    Of rows of the last minutes a lower number may still be on its way; they are looked at again.
    """
    before = max(at - SETTLED, clock.start_of_day(kept.until, kept.time_zone))
    for model, name in ((Click, "clicks_seen"), (Transfer, "transfers_seen")):
        settled = sa.select(model.id).where(database.unindexed(model.at) < before).order_by(model.id.desc()).limit(1)
        setattr(kept, name, max(getattr(kept, name), session.scalar(settled) or 0))
    session.flush()


def _roll(days: list[date], kept: Rollup) -> None:
    """Whole days that are over, and what they add to their months.

    What is of referrals is summed from what each gave, not counted again: else a change between the two would be
    counted twice, once here and once as the difference that its note makes.
    """
    params = facts.of_days(days, kept.time_zone)
    gave = facts.counted_by_referral()
    keys: list[Any] = [gave.c.referral_id, gave.c.day, gave.c.measure, gave.c.referrer_id, gave.c.link_id]
    names = ["referral_id", "day", "measure", "referrer_id", "link_id", "many", "minor"]
    query = sa.select(*keys, _sum(gave.c.many), _sum(gave.c.minor)).group_by(*keys)
    session.execute(sa.insert(ReferralFigure).from_select(names, query.params(params)))
    links = facts.counted_of_links(False)
    columns = ("measure", "day", "referrer_id", "link_id", "many", "minor")
    both = sa.union_all(
        sa.select(*(links.c[name] for name in columns)),
        sa.select(*(getattr(ReferralFigure, name) for name in columns)).where(ReferralFigure.day.in_(days)),
    ).subquery("both")
    keys = [both.c[name] for name in columns[:4]]
    whole = sa.select(*keys, _sum(both.c.many), _sum(both.c.minor)).group_by(*keys)
    session.execute(sa.insert(Figure).from_select(columns, whole.params(params)))
    _sum_days(days)
    _add_to_months(days)
    _roll_visitors(days, kept)
    _roll_books(days, kept)
    kept.until = days[-1] + timedelta(days=1)
    session.flush()


def _mend(found: Changes, kept: Rollup) -> None:
    """Adds what is different to the days that are rolled up, to their sums and to their months."""
    different, now = _differences(found, kept)
    for some in _in_thousands(found.referrals):
        _drop(ReferralFigure, ReferralFigure.referral_id.in_(some))
    columns = ("referral_id", "day", "measure", "referrer_id", "link_id", "many", "minor")
    given = [dict(zip(columns, (*key, *gave), strict=True)) for key, gave in now.items()]
    if given:
        session.execute(sa.insert(ReferralFigure), given)
    days, sums, referrers, links = Differences(), Differences(), Differences(), Differences()
    for (measure, day, referrer, link), both in different.items():
        days.count((measure, day, referrer, link), *both)
        sums.count((measure, day, 0, 0), *both)
        if measure in facts.LISTED:
            referrers.count((measure, month_of(day), referrer, 0), *both)
            links.count((measure, month_of(day), link, 0), *both)
    _add(Figure, days, ("measure", "day", "referrer_id", "link_id"))
    _add(DayFigure, sums, ("measure", "day"))
    _add(MonthFigure, referrers, ("measure", "month", "number"), whose=By.REFERRER)
    _add(MonthFigure, links, ("measure", "month", "number"), whose=By.LINK)
    kept.began = min([kept.began, *(cell[1] for cell in different)])
    _roll_visitors(sorted(day for day in found.visitor_days if day < kept.until), kept)


def _add(model: type[Any], different: Differences, names: tuple[str, ...], **fixed: str) -> None:
    """Adds to figures, makes those that are not there, and drops those of which nothing is left."""
    rows = [
        dict(zip(names, cell, strict=False)) | fixed | {"many": many, "minor": minor}
        for cell, (many, minor) in different.settled().items()
    ]
    if not rows:
        return
    keys = list(model.__table__.primary_key.columns)
    session.connection().execute(_more(_insert(model)), rows)
    gone = sa.delete(model.__table__).where(model.__table__.c.many == 0, model.__table__.c.minor == 0)
    gone = gone.where(*(key == sa.bindparam(f"the_{key.name}") for key in keys))
    session.connection().execute(gone, [{f"the_{key.name}": row[key.name] for key in keys} for row in rows])


def _insert(model: type[Any]) -> Any:
    return (sqlite.insert if database.is_sqlite() else postgresql.insert)(model.__table__)


def _more(insert: Any) -> Any:
    """Adds to the rows that are there."""
    more = {name: insert.table.c[name] + insert.excluded[name] for name in ("many", "minor")}
    return insert.on_conflict_do_update(index_elements=list(insert.table.primary_key.columns), set_=more)


def _drop(model: type[Any], *where: sa.ColumnElement[bool]) -> None:
    """Deletes rows of which no object is loaded."""
    session.execute(sa.delete(model).where(*where), execution_options={"synchronize_session": False})


def _sum(number: Any) -> Any:
    return sa.cast(sa.func.sum(number), sa.BigInteger)


def _sum_days(days: list[date]) -> None:
    """The days' sums over all links."""
    query = (
        sa.select(Figure.day, Figure.measure, _sum(Figure.many), _sum(Figure.minor))
        .where(Figure.measure.in_(list(facts.Measure)), Figure.day.in_(days))
        .group_by(Figure.day, Figure.measure)
    )
    session.execute(sa.insert(DayFigure).from_select(["day", "measure", "many", "minor"], query))


def _add_to_months(days: list[date]) -> None:
    """What these days add to the sums of their months, by referrer and by link."""
    names = ["whose", "measure", "month", "number", "many", "minor"]
    for first in sorted({month_of(day) for day in days}):
        here = [day for day in days if month_of(day) == first]
        for by in By:
            number = Figure.referrer_id if by == By.REFERRER else Figure.link_id
            keys = (sa.literal(str(by)), Figure.measure, sa.literal(first, sa.Date), number)
            query = sa.select(*keys, _sum(Figure.many), _sum(Figure.minor)).group_by(Figure.measure, number)
            query = query.where(Figure.measure.in_(facts.LISTED), Figure.day.in_(here))
            session.execute(_more(_insert(MonthFigure).from_select(names, query)))


def _roll_visitors(days: list[date], kept: Rollup) -> None:
    if not days:
        return
    came = facts.visitors()
    before = facts.earlier_click(came).with_only_columns(sa.func.max(Click.at)).scalar_subquery()
    found: dict[tuple[date, date], int] = {}
    for day, at in session.execute(sa.select(came.c.day, before), facts.of_days(days, kept.time_zone)):
        key = (day, clock.local_date(_moment(at), kept.time_zone) if at is not None else NEVER)
        found[key] = found.get(key, 0) + 1
    _drop(DayVisitors, DayVisitors.day.in_(days))
    rows = [{"day": day, "previous": previous, "many": many} for (day, previous), many in found.items()]
    if rows:
        session.execute(sa.insert(DayVisitors), rows)


def _roll_books(days: Iterable[date], kept: Rollup) -> None:
    """What moved between the ledger's buckets."""
    wanted = sorted(days)
    if not wanted:
        return
    _drop(DayFigure, DayFigure.day.in_(wanted), DayFigure.measure.startswith(IN_BUCKET))
    moved = facts.moved()
    query = sa.select(moved.c.day, moved.c.measure, sa.literal(0, sa.BigInteger), moved.c.minor)
    query = query.params(facts.of_days(wanted, kept.time_zone))
    names = ["day", "measure", "many", "minor"]
    session.execute(sa.insert(DayFigure).from_select(names, query))


def month_of(day: date) -> date:
    """The first day of a day's month."""
    return day.replace(day=1)


def next_month(first: date) -> date:
    """The first day of the month after."""
    return (first + timedelta(days=32)).replace(day=1)
