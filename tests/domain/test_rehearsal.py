"""Rehearsal: what other rules would have given equals what the same days give when they are lived through for real."""

import os
import random
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask

from portal import terms
from portal.core.database import session
from portal.reports import rehearsal
from portal.reports.rehearsal import Result
from portal.rewards import clawbacks, rules
from portal.rewards.rewards import Reward
from portal.rewards.rules import Rule
from tests.factories import EVERY, REFEREE, Scene, fixed, milestone, share

LONG = os.environ.get("PORTAL_TEST_LONG") == "1"

OFFERS: dict[str, Callable[[], list[Rule]]] = {
    "a fixed amount for each side": lambda: [fixed(2000), fixed(1000, to=REFEREE)],
    "a share of every order, at most so much": lambda: [share(1250, most_minor=1500, **EVERY), fixed(333, to=REFEREE)],
    "tiers, and a bonus on top": lambda: [
        fixed(1000, **EVERY, tiers=[{"from": 3, "amount_minor": 1700}, {"from": 6, "amount_minor": 2500}]),
        milestone(2, 5000), milestone(4, 9000),
    ],
    "the better of two, from an order on, for a while": lambda: [
        fixed(900, minimum_order_minor=3000), share(1000, **EVERY, months=1), fixed(100, to=REFEREE, **EVERY),
    ],
    "two for a first order on each side": lambda: [
        fixed(700), fixed(2000, minimum_order_minor=5000), share(400, to=REFEREE), fixed(300, to=REFEREE),
    ],
}  # fmt: skip


def live_through(scene: Scene, *, seed: int) -> None:
    """Ninety days of friends, orders and refunds, the same for the same seed."""
    chance = random.Random(seed)
    referrers = [scene.alice, scene.carol]
    friends, orders = [], []
    for day in range(22):
        scene.later(days=4)
        if chance.random() < 0.4:
            friends.append(scene.friend(f"Friend {day}", of=chance.choice(referrers)))
        for friend in friends:
            if chance.random() < 0.2:
                orders.append(scene.order(friend, chance.randrange(500, 20_000), external_id=f"o-{day}-{friend.name}"))
        if orders and chance.random() < 0.4:
            order = chance.choice(orders)
            scene.refund(order, chance.choice([None, chance.randrange(1, 9000)]), external_id=f"r-{day}")
        if chance.random() < 0.2:  # a refund told before its order
            early = f"early-{day}"
            scene.refund(early, 2500, external_id=f"re-{day}")
            if friends:
                orders.append(scene.order(chance.choice(friends), 5000, external_id=early))


def lived(scene: Scene) -> Result:
    """What the days really gave."""
    found = Result()
    for reward in session.scalars(sa.select(Reward)):
        left = reward.amount_minor - clawbacks.taken_back(reward.id)
        found.by_side[reward.beneficiary] += left
        found.rewards += left > 0
    return found


CAPPED = {"tiers, and a bonus on top", "the better of two, from an order on, for a while"}


@pytest.mark.parametrize("offered", OFFERS, ids=str)
def test_what_an_offer_would_have_given_is_what_it_gives_when_the_days_are_lived_with_it(
    offered: str, scene: Scene
) -> None:
    caps = {"referrer_month_cap_minor": 4100, "goal_days": 20} if offered in CAPPED else {}
    scene.publish(*OFFERS[offered](), **caps)
    live_through(scene, seed=len(offered))
    current = terms.in_force()
    session.rollback()
    results = rehearsal.rehearse({"now": (current, rules.of_terms(current.id))}, at=scene.at)
    real = lived(scene)
    assert real.total_minor > 0
    assert (results["now"].by_side, results["now"].rewards) == (real.by_side, real.rewards)


@(pytest.mark.both_databases if LONG else pytest.mark.own_app)
@pytest.mark.own_app
def test_other_rules_give_in_the_rehearsal_what_they_give_when_the_same_days_are_replayed(
    app: Flask, scene: Scene, empty_again: Callable[[], Scene]
) -> None:
    live_through(scene, seed=7)
    draft = terms.Terms(**{c.key: getattr(terms.in_force(), c.key) for c in terms.Terms.__table__.columns})
    draft.goal_days, draft.referrer_year_cap_minor = 30, 20_000
    other = OFFERS["tiers, and a bonus on top"]()
    for number, rule in enumerate(other):
        rule.rule_key = f"draft-{number}"
    promised = rehearsal.rehearse({"new": (draft, other)}, at=scene.at)["new"]
    session.rollback()
    again = empty_again()
    again.publish(*OFFERS["tiers, and a bonus on top"](), goal_days=30, referrer_year_cap_minor=20_000)
    live_through(again, seed=7)
    real = lived(again)
    assert real.total_minor > 0 and (promised.by_side, promised.rewards) == (real.by_side, real.rewards)


@pytest.fixture
def empty_again(app: Flask) -> Callable[[], Scene]:
    """Empties the database and opens the program anew."""

    def anew() -> Scene:
        from portal.core import database, migrate

        session.remove()
        database.metadata.drop_all(database.db.engine)
        with database.db.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE alembic_version")
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("DROP FUNCTION IF EXISTS refuse_change() CASCADE")
        migrate.upgrade(database.db.engine)
        return Scene(app)

    return anew


def test_nothing_is_written_and_who_joined_before_is_left_out(scene: Scene) -> None:
    scene.order(scene.bob)
    scene.later(days=91)
    late = scene.friend("Late", of=scene.alice)
    scene.order(late)
    current = terms.in_force()
    offered = rules.of_terms(current.id)
    before = session.scalar(sa.select(sa.func.count(Reward.id)))
    found = rehearsal.rehearse({"now": (current, offered), "nothing": (current, [])}, at=scene.at)
    session.rollback()
    assert (found["now"].friends, found["now"].total_minor, found["nothing"].total_minor) == (1, 2000, 0)
    assert session.scalar(sa.select(sa.func.count(Reward.id))) == before
