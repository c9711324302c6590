"""Races: many do the same thing at once, on both databases: one effect, the others are told, the books are right.

And the test of the tests: each race goes wrong once its guard is taken away, so each of them can fail.
"""

import os
from typing import Any

import pytest

from tests.domain import races_of_payouts, races_of_people, races_of_rewards
from tests.domain.racing import Race, play, without
from tests.factories import Scene, fixed

MONEY = [*races_of_rewards.RACES, *races_of_payouts.RACES]
RACES = [*races_of_people.RACES, *MONEY]
LONG = os.environ.get("PORTAL_TEST_LONG") == "1"
ROUNDS = 12 if LONG else 8
UNTIL_IT_SHOWS = 200

OVER_HTTP = {
    "the_same_sign_up", "the_same_order", "the_same_approval", "an_approval_against_a_rejection",
    "a_refund_against_an_approval", "refunds_against_their_order", "the_same_batch", "the_same_payment",
}  # fmt: skip
"""Raced on PostgreSQL by real clients against four processes in `tests/faults/test_http_races.py`: here, by threads, in the
long run only. That each goes wrong without its guard is shown here all the same."""

CASES = {
    "the_same_order": (53, 54),
    "a_milestone": (62,),
    "a_tier_of_one": (64,),
    "the_same_approval": (80,),
    "the_same_batch": (81, 82),
    "the_same_refund": (98,),
    "a_step_set_beside_orders": (66,),
    "the_same_win": (101,),
    "a_win_against_its_chargeback": (101,),
    "a_batch_against_a_win": (101,),
    "wins_of_all_chargebacks_of_a_friend": (101,),
    "refunds_against_their_order": (100,),
    "the_same_code": (29,),
}


def scene_for(race: Race, scene: Scene) -> Scene:
    """The scene with the offer that the race is about."""
    usual = fixed(2000)
    for more in race.offer:
        if "threshold" in more:
            scene.publish(usual, fixed(5000, **more))
        else:
            scene.publish(fixed(2000, **more))
    return scene


def named(*races: Race) -> list[Any]:
    """The races as parameters, with the numbers of their cases."""
    return [pytest.param(race, id=race.name, marks=pytest.mark.case(*CASES.get(race.name, ()))) for race in races]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("race", named(*RACES))
def test_of_many_at_once_one_takes_effect(race: Race, scene: Scene) -> None:
    assert play(scene_for(race, scene), race, rounds=ROUNDS) is None


@pytest.mark.timeout(300)
@pytest.mark.on_postgresql
@pytest.mark.parametrize("race", named(*(race for race in RACES if LONG or race.name not in OVER_HTTP)))
def test_of_many_at_once_one_takes_effect_on_postgresql(race: Race, scene: Scene) -> None:
    """Half as many rounds, but for the long run: each is shown below to go wrong without its guard, those that are not of
    money in the long run only."""
    assert play(scene_for(race, scene), race, rounds=ROUNDS if LONG else ROUNDS // 2) is None


@pytest.mark.timeout(300)
@pytest.mark.on_postgresql
@pytest.mark.wrecks_the_books
@pytest.mark.parametrize("race", RACES if LONG else MONEY, ids=lambda race: race.name)
def test_without_its_guard_a_race_goes_wrong(race: Race, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_for(race, scene)
    people = (scene.alice, scene.rita, scene.finn)
    assert all(people)
    with without(race, monkeypatch):
        assert play(scene, race, rounds=UNTIL_IT_SHOWS) is not None, "this race never fails, so it shows nothing"
