"""Rankings: the first page, for which few rows are summed, is the one that all rows give; and so is every later one."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import cycle
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from portal import sweeps
from portal.core import clock, database
from portal.core.database import session
from portal.referrals.referrals import Referral
from portal.reports import facts, figures, rankings, rollups
from portal.reports.facts import By, Measure
from portal.reports.figures import Range, View
from portal.reports.rollups import Figure, MonthFigure
from portal.rewards.rewards import Reward, State
from portal.sharing.clicks import Click
from portal.sharing.links import Link
from portal.terms import in_force
from tests.domain.many import many_events
from tests.factories import Scene, fixed

DAYS = 130
Line = tuple[int, int]
"""Of a ranking: rank and number."""


@pytest.fixture(autouse=True)
def _now(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: scene.at)


class ByRows:
    """The same rankings by all rows, which it reads by `facts`; it knows nothing of roll-ups."""

    def __init__(self, scene: Scene) -> None:
        session.rollback()
        zone, today = in_force().time_zone, in_force().day(scene.at)
        days = facts.days_between(today - timedelta(days=DAYS + 40), today + timedelta(days=1))
        self.rows = list(session.execute(sa.select(facts.counted()), facts.of_days(days, zone)).mappings())

    def ranked(self, within: Range, by: By, measure: Measure) -> list[Line]:
        sums: Counter[int] = Counter()
        for row in self.rows:
            if row["measure"] == measure and within.first <= row["day"] <= within.last:
                sums[row[f"{by}_id"]] += int(row["minor" if measure == Measure.COST else "many"])
        return sorted(((rank, one) for one, rank in sums.items() if rank > 0), key=lambda line: (-line[0], line[1]))


def pages(seen: View, within: Range, by: By, measure: Measure, *, most: int, count: int) -> tuple[list[Line], bool]:
    """The first pages of a ranking, and whether there are more."""
    found: list[Line] = []
    after: Line | None = None
    for _ in range(count):
        listed, after = rankings.ranked(seen, within, by, measure, most=most, after=after)
        found += [(one.rank, one.number) for one in listed]
        for one in listed:
            told = one.numbers.minor if measure == Measure.COST else one.numbers.many
            assert told[measure] == one.rank
        if after is None:
            break
    return found, after is not None


def ranges(scene: Scene) -> list[Range]:
    """As pages ask for them, and such as touch months at their sides alone."""
    today = in_force().day(scene.at)
    first = today - timedelta(days=DAYS)
    second = rollups.next_month(rollups.month_of(first))
    return [
        Range(today - timedelta(days=29), today), Range(first - timedelta(days=30), today), Range(today, today),
        Range(second + timedelta(days=1), rollups.next_month(rollups.next_month(second)) - timedelta(days=2)),
        Range(second + timedelta(days=3), second + timedelta(days=4)), Range(first, second - timedelta(days=1)),
    ]  # fmt: skip


def agree(scene: Scene, *, most: int) -> None:
    """Fails unless every ranking names whom all rows name, in their order."""
    rows, seen, others = (
        ByRows(scene),
        figures.view(in_force(), at=scene.at),
        cycle((Measure.JOINED, Measure.CUSTOMERS, Measure.ORDERS)),
    )
    for within in ranges(scene):
        for by in By:
            for measure in (Measure.CLICKS, Measure.COST, next(others)):
                wanted = rows.ranked(within, by, measure)
                found, more = pages(seen, within, by, measure, most=most, count=2)
                assert (found, more) == (wanted[: 2 * most], len(wanted) > 2 * most), (within, by, measure)


def months_are_sums_of_their_days() -> None:
    session.rollback()
    wanted: Counter[tuple[str, str, date, int]] = Counter()
    for one in session.execute(sa.select(Figure.__table__).where(Figure.measure.in_(facts.LISTED))):
        for by, number in ((By.REFERRER, one.referrer_id), (By.LINK, one.link_id)):
            wanted[str(by), one.measure, rollups.month_of(one.day), number] += 10**9 * one.many + one.minor
    kept = session.execute(sa.select(MonthFigure.__table__))
    assert {(row.whose, row.measure, row.month, row.number): 10**9 * row.many + row.minor for row in kept} == wanted


@contextmanager
def asked() -> Iterator[Counter[str]]:
    """How many rankings were tried by few rows, and how many took the sums of all."""
    count: Counter[str] = Counter()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        count["few"] += "ORDER BY month_figures" in statement
        count["all"] += statement.startswith("WITH recent")

    event.listen(database.db.engine, "before_cursor_execute", note)
    yield count
    event.remove(database.db.engine, "before_cursor_execute", note)


@pytest.mark.both_databases
@pytest.mark.wrecks_the_books
@pytest.mark.parametrize("skewed", [True, False], ids=["few_have_most", "all_alike"])
def test_a_ranking_names_whom_all_rows_name_whatever_changed_since_and_however_alike_they_are(
    scene: Scene, skewed: bool
) -> None:
    dice = random.Random(20261122)
    scene.publish(fixed(2000), time_zone="Europe/Berlin")
    many_events(scene, dice, referrers=100, clicks=2000, friends=250, over_days=DAYS, skewed=skewed)
    sweeps.roll_up()
    months_are_sums_of_their_days()
    agree(scene, most=2)
    agree(scene, most=50)
    scene.do(lambda: change(scene, dice))
    scene.later(days=2)
    agree(scene, most=3)
    sweeps.roll_up()
    months_are_sums_of_their_days()
    agree(scene, most=3)


def change(scene: Scene, dice: random.Random) -> None:
    """Of days long over: clicks that come late, friends given to somebody else, rewards rejected."""
    numbers = list(session.scalars(sa.select(Link.id)))
    late = [(dice.choice(numbers), scene.at - timedelta(days=DAYS * dice.random())) for _ in range(60)]
    rows = [{"link_id": link, "visitor": f"late{n}", "hour": n, "at": at, "last_at": at}
            for n, (link, at) in enumerate(late)]  # fmt: skip
    session.execute(sa.insert(Click), rows)
    best, other = session.execute(
        sa.select(Referral.referrer_id).group_by(Referral.referrer_id).order_by(sa.func.count().desc()).limit(2)
    ).scalars()
    some = sa.update(Referral).where(Referral.referrer_id == best, Referral.id % 3 == 0)
    session.execute(some.values(referrer_id=other))
    session.execute(sa.update(Reward).where(Reward.id % 4 == 0).values(state=State.REJECTED))


@pytest.mark.both_databases
@pytest.mark.wrecks_the_books
def test_few_rows_tell_the_first_page_and_where_they_do_not_all_are_summed(scene: Scene) -> None:
    dice = random.Random(1)
    scene.publish(fixed(2000), time_zone="Europe/Berlin")
    many_events(scene, dice, referrers=150, clicks=4000, friends=20, over_days=DAYS, skewed=True)
    sweeps.roll_up()
    today, seen = in_force().day(scene.at), figures.view(in_force(), at=scene.at)
    whole = Range(today - timedelta(days=DAYS), today)
    with asked() as count:
        for by in By:
            pages(seen, whole, by, Measure.CLICKS, most=3, count=1)
    assert (count["few"], count["all"]) == (2, 0)
    with asked() as count:
        pages(seen, whole, By.LINK, Measure.CLICKS, most=3, count=2)
    assert (count["few"], count["all"]) == (1, 1), "the second page"
    yesterday = Range(today - timedelta(days=1), today - timedelta(days=1))
    with asked() as count:
        pages(seen, yesterday, By.LINK, Measure.CLICKS, most=3, count=1)
    assert (count["few"], count["all"]) == (1, 1), "of a month's largest it is not said who is largest on a day"
