"""Figures: what reports read equals the rows at every moment: after any story, rolled up or not, late, at once, by zone."""

import random
import threading
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from portal import sweeps
from portal.core import clock, database
from portal.core.database import session
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.reports import figures, rollups
from portal.reports.facts import Measure
from portal.reports.figures import By, Range, Step
from portal.reports.rollups import DayFigure, Figure, Rollup
from portal.reports.touched import Touched
from portal.rewards import ledger
from portal.rewards.conversions import Conversion
from portal.rewards.ledger import Bucket
from portal.rewards.rewards import Clawback, Reward, State
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
        for step in Step:
            (found,) = figures.series(seen, (within, step))
            assert as_pairs(found.total) == plain.total(within), (within, step)
            for piece, numbers in found.pieces:
                assert as_pairs(numbers) == plain.total(piece), piece
            assert found.visitors == plain.visitors(within), within
        for by, place in ((By.REFERRER, 2), (By.LINK, 3)):
            for measure in figures.RANKED:
                wanted: Counter[int] = Counter()
                for key, many in plain.counts.items():
                    if key[1] == measure and within.first <= key[0] <= within.last:
                        wanted[key[place]] += plain.minor[key] if measure == Measure.COST else many
                order = sorted(((-many, one) for one, many in wanted.items() if many > 0))
                listed, _ = figures.ranked(seen, within, by, measure, most=1000)
                assert [(-one.rank, one.number) for one in listed] == order, (within, by, measure)
                for one in listed[:5]:
                    assert as_pairs(one.numbers) == plain.total(within, place=place, number=one.number)
    assert figures.owed(seen, "EUR") == ledger.totals("EUR")
    session.rollback()


def rolled() -> dict[str, list[tuple[object, ...]]]:
    """Everything that is rolled up."""
    session.rollback()
    tables = (Figure.__table__, DayFigure.__table__, rollups.DayVisitors.__table__)
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
    for _ in range(10):
        for _ in range(12):
            walk.go()
        agree(scene, *walk.ranges())
    sweeps.roll_up()
    assert session.scalar(sa.select(sa.func.count()).select_from(Touched)) == 0
    agree(scene, *walk.ranges())
    kept = rolled()
    assert kept["figures"] and kept["day_visitors"]
    assert sweeps.roll_up() == 0
    scene.do(lambda: session.execute(sa.delete(Rollup)))
    sweeps.roll_up()
    assert rolled() == kept, "made anew, they are the same to the row"
