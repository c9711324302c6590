"""Figures: what reports read equals the rows at every moment: after any story, rolled up or not, late, at once, by zone."""

import random
import threading
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from portal import sweeps
from portal.core import clock
from portal.core.database import session
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.reports import facts, figures, rankings, rollups
from portal.reports.facts import By, Measure
from portal.reports.figures import Range, Step
from portal.reports.rollups import DayFigure, Figure, MonthFigure, Rollup
from portal.reports.touched import Touched
from portal.rewards import ledger
from portal.rewards.clawbacks import Clawback
from portal.rewards.conversions import Conversion
from portal.rewards.ledger import Bucket
from portal.rewards.rewards import Reward, State
from portal.sharing import clicks, links
from portal.sharing.clicks import Click
from portal.sharing.invites import Invite
from portal.sharing.links import Link
from portal.terms import in_force
from tests.factories import EVERY, REFEREE, Scene, fixed

VISITOR = "the-visitor-in-tests{}"


@pytest.fixture(autouse=True)
def _now(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: scene.at)


@pytest.mark.both_databases
def test_a_span_after_joining_ends_to_the_microsecond(scene: Scene) -> None:
    friend = scene.friend("Ben", of=scene.alice)
    number, joined = scene.referral(friend).id, scene.referral(friend).joined_at + timedelta(microseconds=123_456)
    for days in (1, 7, 30, 60):
        for more, within in ((timedelta(0), 1), (timedelta(microseconds=1), 0), (-timedelta(microseconds=1), 1)):
            counted = joined + timedelta(days=days) + more
            scene.do(
                lambda counted=counted: session.execute(
                    sa.update(Referral).where(Referral.id == number).values(joined_at=joined, counted_at=counted)
                )
            )
            inside = sa.select(sa.func.count()).select_from(Referral).where(facts.reached_within(days))
            assert session.scalar(inside) == within, (days, more)


# --- counted plainly ------------------------------------------------------------------------------------------


class Plain:
    """The same figures counted row by row in Python, knowing nothing of roll-ups or of their SQL."""

    def __init__(self) -> None:
        session.rollback()
        self.zone = in_force().time_zone
        self.counts: Counter[tuple[date, str, int, int]] = Counter()
        self.minor: Counter[tuple[date, str, int, int]] = Counter()
        self.visits: set[tuple[date, str]] = set()
        owner = {link.id: link.owner_id for link in session.scalars(sa.select(Link))}
        for click in session.scalars(sa.select(Click)):
            self.count(click.at, "clicks", owner[click.link_id], click.link_id)
            self.visits.add((self.day(click.at), click.visitor))
        for invite in session.scalars(sa.select(Invite)):
            self.count(invite.made_at, "invites", invite.owner_id, invite.link_id)
        self.rewards(list(session.scalars(sa.select(Referral))))

    def rewards(self, listed: list[Referral]) -> None:
        for one in listed:
            mine = list(session.scalars(sa.select(Reward).where(Reward.referral_id == one.id)))
            self.count(one.joined_at, "joined", one.referrer_id, one.link_id)
            if one.counted_at:
                self.count(one.joined_at, "reached", one.referrer_id, one.link_id)
                self.count(one.counted_at, "customers", one.referrer_id, one.link_id)
                for days in (1, 7, 30, 60):
                    if one.counted_at <= one.joined_at + timedelta(days=days):
                        self.count(one.joined_at, f"within_{days}", one.referrer_id, one.link_id)
            if any(reward.state == State.PAID for reward in mine):
                self.count(one.joined_at, "rewarded", one.referrer_id, one.link_id)
            for order in session.scalars(sa.select(Conversion).where(Conversion.referral_id == one.id)):
                if order.amount_minor:
                    self.count(order.occurred_at, "orders", one.referrer_id, one.link_id, order.amount_minor)
            for reward in mine:
                self.count(reward.made_at, reward.state, one.referrer_id, one.link_id, reward.amount_minor)
                if reward.state != State.REJECTED:
                    taken = session.scalars(sa.select(Clawback.amount_minor).where(Clawback.reward_id == reward.id))
                    left = reward.amount_minor - sum(taken)
                    self.count(reward.made_at, "cost", one.referrer_id, one.link_id, left)

    def day(self, at: datetime) -> date:
        return clock.local_date(at, self.zone)

    def count(self, at: datetime, measure: str, referrer: int, link: int, minor: int = 0) -> None:
        key = (self.day(at), str(measure), referrer, link)
        self.counts[key] += 1
        self.minor[key] += minor

    def total(self, within: Range, *, place: int | None = None, number: int = 0) -> dict[str, tuple[int, int]]:
        """All figures of a range; of one referrer (place 2) or link (place 3)."""
        found: dict[str, tuple[int, int]] = {}
        for key, many in self.counts.items():
            if within.first <= key[0] <= within.last and (place is None or key[place] == number):
                before = found.get(key[1], (0, 0))
                found[key[1]] = (before[0] + many, before[1] + self.minor[key])
        return found

    def visitors(self, within: Range) -> int:
        return len({who for day, who in self.visits if within.first <= day <= within.last})


def as_pairs(numbers: figures.Numbers) -> dict[str, tuple[int, int]]:
    return {str(name): (many, numbers.minor[name]) for name, many in numbers.many.items() if many}


def agree(scene: Scene, *ranges: Range) -> None:
    """Fails unless every report says what the rows say."""
    plain, current = Plain(), in_force()
    seen = figures.view(current, at=scene.at)
    for within in ranges:
        for found in figures.series(seen, *((within, step) for step in Step)):
            assert as_pairs(found.total) == plain.total(within), within
            for piece, numbers in found.pieces:
                assert as_pairs(numbers) == plain.total(piece), piece
            assert found.visitors == plain.visitors(within), within
        for by, place in ((By.REFERRER, 2), (By.LINK, 3)):
            for measure in (Measure.CUSTOMERS, Measure.CLICKS, Measure.COST):
                wanted: Counter[int] = Counter()
                for key, many in plain.counts.items():
                    if key[1] == measure and within.first <= key[0] <= within.last:
                        wanted[key[place]] += plain.minor[key] if measure == Measure.COST else many
                order = sorted(((-many, one) for one, many in wanted.items() if many > 0))
                listed, _ = rankings.ranked(seen, within, by, measure, most=1000)
                assert [(-one.rank, one.number) for one in listed] == order, (within, by, measure)
                for one in listed[:5]:
                    told = plain.total(within, place=place, number=one.number)
                    assert as_pairs(one.numbers) == {key: told[key] for key in told if key in facts.LISTED}
        brought = {key[2] for key in plain.counts if key[1] == "joined" and within.first <= key[0] <= within.last}
        assert rankings.active_referrers(seen, within) == len(brought)
    assert figures.owed(seen, "EUR") == ledger.totals("EUR")
    session.rollback()


def rolled() -> dict[str, list[tuple[object, ...]]]:
    """Everything that is rolled up."""
    session.rollback()
    tables = (Figure.__table__, MonthFigure.__table__, DayFigure.__table__, rollups.DayVisitors.__table__)
    return {
        table.name: sorted(tuple(row) for row in session.execute(sa.select(table)))  # type: ignore[attr-defined]
        for table in tables
    }


# --- a story --------------------------------------------------------------------------------------------------


class Walk:
    """A story at random: every kind of event, some of it told late, with the worker passing by now and then."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene, self.dice = scene, random.Random(seed)
        scene.publish(fixed(2000, **EVERY), fixed(500, to=REFEREE), time_zone="Europe/Berlin")
        self.referrers = [scene.alice, scene.carol]
        self.friends = [scene.bob]
        self.orders: list[str] = []
        self.number = 0

    def go(self) -> None:
        step = self.dice.choice((
            self.click, self.click, self.click, self.invite, self.join, self.order, self.order, self.decide, self.decide,
            self.refund, self.forget, self.rest, self.rest, self.pay, self.sweep,
        ))  # fmt: skip
        step()

    def click(self) -> None:
        visitor = VISITOR.format(self.dice.randrange(6))
        late = self.dice.random() < 0.2
        here = self.scene.at
        if late:
            self.scene.at -= timedelta(days=self.dice.randrange(1, 9))
        self.scene.click(self.dice.choice(self.referrers), visitor)
        self.scene.at = here

    def invite(self) -> None:
        from portal import program

        self.number += 1
        address = f"invited{self.number}@example.org"
        self.scene.do(lambda: program.invite(self.scene.alice, [address], at=self.scene.at))

    def join(self) -> None:
        self.number += 1
        self.friends.append(self.scene.friend(f"Friend {self.number}", of=self.dice.choice(self.referrers)))

    def order(self) -> None:
        friend = self.dice.choice(self.friends)
        referral = self.scene.referral(friend)
        assert referral is not None
        span = (self.scene.at - referral.joined_at).total_seconds()
        ago = timedelta(seconds=self.dice.choice((0, span * self.dice.random())))
        told = self.scene.order(friend, 1000 * self.dice.randrange(1, 9), occurred_at=self.scene.at - ago)
        self.orders.append(told.conversion.external_id)

    def decide(self) -> None:
        waiting = list(session.scalars(sa.select(Reward).where(Reward.state == State.PENDING).order_by(Reward.id)))
        if waiting:
            self.dice.choice((self.scene.approve, self.scene.reject))(self.dice.choice(waiting))

    def refund(self) -> None:
        if self.orders:
            self.scene.refund(self.dice.choice(self.orders), self.dice.choice((None, 500)))

    def forget(self) -> None:
        visitor = VISITOR.format(self.dice.randrange(6))
        link = links.main_link(self.dice.choice(self.referrers).id).id
        self.scene.do(lambda: clicks.forget(visitor, links={link}))

    def rest(self) -> None:
        self.scene.later(hours=self.dice.randrange(1, 200))

    def pay(self) -> None:
        from portal.payouts.payouts import PayoutRefused

        self.scene.release()
        self.scene.method(self.scene.alice)
        self.scene.later(days=4)
        try:
            self.scene.pay_batch(self.scene.exported_batch())
        except PayoutRefused:
            session.rollback()

    def sweep(self) -> None:
        session.rollback()
        sweeps.roll_up()

    def ranges(self) -> list[Range]:
        today = in_force().day(self.scene.at)
        some = [today - timedelta(days=self.dice.randrange(1, 120)) for _ in range(2)]
        return [Range(today - timedelta(days=200), today), Range(min(some), max(some)), Range(today, today)]


@pytest.mark.both_databases
def test_reports_equal_the_rows_after_any_story_whether_the_worker_came_by_or_not(scene: Scene) -> None:
    walk = Walk(scene, seed=20260901)
    for _ in range(6):
        for _ in range(9):
            walk.go()
        walk.rest()
        walk.sweep()
        for _ in range(4):
            walk.go()
        agree(scene, *walk.ranges()[:2])
    sweeps.roll_up()
    assert session.scalar(sa.select(sa.func.count()).select_from(Touched)) == 0
    agree(scene, *walk.ranges())
    kept = rolled()
    assert kept["figures"] and kept["day_visitors"]
    assert sweeps.roll_up() == 0
    scene.do(lambda: session.execute(sa.delete(Rollup)))
    sweeps.roll_up()
    assert rolled() == kept, "made anew, they are the same to the row"


# --- one by one -----------------------------------------------------------------------------------------------


def in_days(scene: Scene, first: date, last: date | None = None) -> figures.Numbers:
    """What the reports say of some days."""
    session.rollback()
    return figures.totals(figures.view(in_force(), at=scene.at), Range(first, last or first))


@pytest.mark.both_databases
def test_what_comes_late_is_in_its_day_at_once_and_stays_there_when_it_is_rolled_up(scene: Scene) -> None:
    """An order told later, its refund, a decision, a click from before, another referrer: each of a day long over."""
    scene.publish(fixed(2000, **EVERY))
    bob, first = scene.bob, scene.at.date()
    scene.later(days=40)
    session.rollback()
    sweeps.roll_up()
    tenth = scene.at - timedelta(days=30)

    def both(day: date, **wanted: int) -> None:
        """The same before the worker has come by and afterwards."""
        for _ in range(2):
            found = in_days(scene, day)
            assert {name: getattr(found, name) for name in wanted} == wanted
            sweeps.roll_up()

    order = scene.order(bob, occurred_at=tenth)
    both(tenth.date(), orders=1, orders_minor=6400, cost_minor=0)
    made = scene.at.date()
    scene.later(days=3)
    sweeps.roll_up()
    both(made, cost_minor=2000, pending=1, approved=0, customers=1)
    both(first, joined=1, reached=1)
    scene.approve(scene.reward(scene.alice))
    both(made, pending=0, approved=1)
    scene.refund(order, 1600)
    both(made, cost_minor=1500, approved=1)
    here, scene.at = scene.at, tenth
    scene.click(scene.alice, VISITOR.format(1))
    scene.at = here
    both(tenth.date(), clicks=1)
    referral, carol = scene.referral(bob), scene.carol
    assert referral is not None
    moved = sa.update(Referral).where(Referral.id == referral.id)
    scene.do(lambda: session.execute(moved.values(referrer_id=carol.id, link_id=links.main_link(carol.id).id)))
    for _ in range(2):
        agree(scene, Range(first, scene.at.date()))
        sweeps.roll_up()
    scene.do(lambda: referrals.expire_due(at=scene.at))
    assert sweeps.roll_up() == 0, "what no figure counts makes no work"


@pytest.mark.case(101)
def test_a_chargeback_and_its_won_dispute_are_in_the_days_of_the_rewards_at_once(scene: Scene) -> None:
    """Before the worker has come by and afterwards, by days, referrers and links: as the rows say."""
    scene.publish(fixed(2000, **EVERY))
    first = scene.at.date()
    orders = [scene.order(scene.bob), scene.order(scene.friend("Ben", of=scene.alice))]
    scene.approve(scene.rewards(scene.alice)[0])
    for number, order in enumerate(orders):
        scene.later(days=3)
        sweeps.roll_up()
        for does in (
            lambda name=f"CB {number}", order=order, part=3200 * (1 + number): scene.charge_back(
                order, part, external_id=name
            ),
            lambda name=f"CB {number}": scene.win(name),
        ):
            does()
            for _ in range(2):
                agree(scene, Range(first, scene.at.date()))
                sweeps.roll_up()
    found = in_days(scene, first)
    assert (found.cost_minor, found.approved, found.pending, found.reversed) == (4000, 1, 1, 0)


def test_an_order_of_somebody_whom_nobody_brought_is_nobodys_figure(scene: Scene) -> None:
    scene.publish(fixed(2000, **EVERY))
    scene.order(scene.carol, 5000)
    scene.order(scene.bob, 3000)
    today = scene.at.date()
    for _ in range(2):
        found = in_days(scene, today)
        assert (found.orders, found.orders_minor) == (1, 3000)
        scene.later(days=1)
        sweeps.roll_up()


@pytest.mark.both_databases
def test_visitors_of_a_range_are_different_ones_also_when_one_is_forgotten_on_some_links(scene: Scene) -> None:
    alice, carol, first = scene.alice, scene.carol, scene.at.date()
    for link in (alice, alice, carol, carol):
        scene.click(link, VISITOR.format(1))
        scene.click(link, VISITOR.format(2))
        scene.later(days=2)
    whole, end = Range(first, first + timedelta(days=9)), Range(first + timedelta(days=3), first + timedelta(days=9))

    def visitors() -> tuple[int, int]:
        session.rollback()
        seen = figures.view(in_force(), at=scene.at)
        return figures.visitors(seen, whole), figures.visitors(seen, end)

    sweeps.roll_up()
    assert visitors() == (2, 2)
    scene.do(lambda: clicks.forget(VISITOR.format(1), links={links.main_link(alice.id).id}))
    for _ in range(2):
        assert visitors() == (4, 2), "two clicks are nobody's now; the same visitor came again"
        assert figures.visitors(figures.view(in_force(), at=scene.at), whole) == Plain().visitors(whole)
        sweeps.roll_up()
    scene.click(carol, VISITOR.format(3))
    scene.later(days=1)
    sweeps.roll_up()
    here, scene.at = scene.at, scene.at - timedelta(days=5)
    scene.click(alice, VISITOR.format(3))
    scene.at = here
    for _ in range(2):
        assert visitors() == (5, 3), "who had come before, as is known only now, is one all the same"
        sweeps.roll_up()


@pytest.mark.both_databases
def test_many_workers_at_once_roll_up_the_same_once(scene: Scene) -> None:
    walk = Walk(scene, seed=7)
    for _ in range(30):
        walk.go()
    scene.do(lambda: session.execute(sa.delete(Rollup)))
    trouble: list[BaseException] = []

    def work() -> None:
        with scene.app.app_context():
            try:
                sweeps.roll_up()
            except BaseException as error:
                trouble.append(error)
            finally:
                session.remove()

    for _ in range(2):
        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not trouble
        agree(scene, walk.ranges()[0])
        for _ in range(4):
            walk.go()
    sweeps.roll_up()
    kept = rolled()
    scene.do(lambda: session.execute(sa.delete(Rollup)))
    sweeps.roll_up()
    assert rolled() == kept


@pytest.mark.both_databases
@pytest.mark.case(115)
def test_days_begin_and_end_by_the_clocks_of_the_terms_also_when_these_are_changed(scene: Scene) -> None:
    scene.publish(time_zone="Europe/Berlin")
    moments = {
        datetime(2026, 10, 24, 21, 59, tzinfo=UTC): date(2026, 10, 24),  # 23:59 in summer
        datetime(2026, 10, 24, 22, 0, tzinfo=UTC): date(2026, 10, 25),  # midnight; this day has 25 hours
        datetime(2026, 10, 25, 22, 59, tzinfo=UTC): date(2026, 10, 25),
        datetime(2026, 10, 25, 23, 0, tzinfo=UTC): date(2026, 10, 26),  # midnight in winter
    }
    alice = scene.alice
    for number, at in enumerate(moments):
        scene.at = at
        scene.click(alice, VISITOR.format(number))
    scene.at = datetime(2026, 11, 3, tzinfo=UTC)

    def clicks_by_day() -> list[int]:
        return [in_days(scene, date(2026, 10, day)).clicks for day in (24, 25, 26)]

    for _ in range(2):
        assert clicks_by_day() == [1, 2, 1]
        sweeps.roll_up()
    scene.publish(time_zone="Asia/Kathmandu")  # 5 h 45 min ahead
    for _ in range(2):
        assert clicks_by_day() == [0, 2, 2]
        agree(scene, Range(date(2026, 8, 1), date(2026, 11, 3)))
        sweeps.roll_up()
    kept = session.scalar(sa.select(Rollup))
    assert kept is not None and (kept.time_zone, kept.until) == ("Asia/Kathmandu", date(2026, 11, 3))


def test_a_day_is_rolled_up_when_it_is_over_and_its_last_clicks_have_arrived(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR.format(1))
    scene.at = datetime(2026, 9, 2, 0, 14, tzinfo=UTC)
    assert sweeps.roll_up() == 1 and rolled()["figures"] == []
    scene.later(minutes=1)
    assert sweeps.roll_up() == 1 and rolled()["figures"] != []
    assert sweeps.roll_up() == 0


def test_a_range_knows_the_one_before_and_its_pieces() -> None:
    month, week = Range(date(2026, 3, 1), date(2026, 3, 31)), Range(date(2026, 3, 2), date(2026, 3, 8))
    assert month.before == Range(date(2026, 2, 1), date(2026, 2, 28))
    assert week.before == Range(date(2026, 2, 23), date(2026, 3, 1)) and week.days == 7
    assert [piece.days for piece in month.cut(Step.WEEK)] == [7, 7, 7, 7, 3]
    both = Range(date(2026, 1, 20), date(2026, 3, 5))
    assert [(piece.first.month, piece.days) for piece in both.cut(Step.MONTH)] == [(1, 12), (2, 28), (3, 5)]
    assert (week.usual_step, Range(date(2026, 1, 1), date(2026, 12, 31)).usual_step) == (Step.DAY, Step.MONTH)


@pytest.mark.case(70)
def test_a_ranking_goes_on_by_its_last_line_however_many_are_level(scene: Scene) -> None:
    people = [scene.person(f"Person {number}") for number in range(7)]
    for number, person in enumerate(people):
        scene.click(person, VISITOR.format(number))
    scene.click(people[3], VISITOR.format(8))
    seen, today = figures.view(in_force(), at=scene.at), scene.at.date()
    found: list[int] = []
    after = None
    while True:
        listed, after = rankings.ranked(seen, Range(today, today), By.REFERRER, Measure.CLICKS, most=3, after=after)
        found += [one.number for one in listed]
        if after is None:
            break
    assert found == [people[3].id, *(person.id for person in people if person is not people[3])]
    assert rankings.active_referrers(seen, Range(today, today)) == 0, "a click alone brings nobody"


@pytest.mark.both_databases
def test_what_is_owed_at_the_end_of_a_day_is_what_the_ledger_said_then(scene: Scene) -> None:
    said: dict[date, dict[Bucket, int]] = {}

    def note() -> None:
        session.rollback()
        said[scene.at.date()] = ledger.totals("EUR")
        scene.later(days=1)

    reward = scene.pending_reward()
    note()
    scene.approve(reward)
    note()
    scene.method(scene.alice)
    scene.later(days=31)
    scene.release()
    note()
    scene.pay_batch(scene.exported_batch())
    note()
    for _ in range(2):
        session.rollback()
        seen = figures.view(in_force(), at=scene.at)
        assert {day: figures.owed(seen, "EUR", on=day) for day in said} == said
        sweeps.roll_up()
