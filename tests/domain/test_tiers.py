"""Tiers: steps by the number of a reward, and referrers whom an owner has put at one step."""

from datetime import timedelta
from typing import Any

import pytest

from portal import program
from portal.accounts import audit
from portal.accounts.users import User
from portal.reports import own_data, rehearsal
from portal.rewards import rules, tier_locks
from portal.rewards.tier_locks import TierLockRefused
from portal.terms import in_force
from tests.factories import EVERY, REFEREE, Scene, fixed, milestone, share

pytestmark = pytest.mark.both_databases

STEPS = [{"from": 2, "amount_minor": 2500}, {"from": 4, "amount_minor": 3000}]


@pytest.fixture
def steps(scene: Scene) -> Scene:
    """20.00 for each order, 25.00 from the 2nd and 30.00 from the 4th on."""
    scene.publish(fixed(2000, tiers=STEPS, **EVERY))
    return scene


def put(
    scene: Scene, person: User, counts_as: int, *, by: User | None = None, note: str = "A partner of ours."
) -> bool:
    who = (by or scene.olivia).id
    return scene.do(lambda: program.set_tier(person, counts_as, note=note, by=who, at=scene.at))


def free(scene: Scene, person: User, *, by: User | None = None) -> bool:
    who = (by or scene.olivia).id
    return scene.do(lambda: program.free_tier(person, by=who, at=scene.at))


def amounts(scene: Scene, person: User) -> list[tuple[int, int]]:
    """The number and the amount of each of somebody's rewards."""
    return [(reward.ordinal, reward.amount_minor) for reward in scene.rewards(person)]


def last_computation(scene: Scene, person: User) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = scene.rewards(person)[-1].computation
    return steps


@pytest.mark.case(64)
@pytest.mark.case(66)
def test_a_set_step_is_respected_in_both_directions_while_the_numbers_go_on(steps: Scene) -> None:
    alice, bob = steps.alice, steps.bob
    steps.order(bob)
    put(steps, alice, 4)
    steps.order(bob)
    steps.order(bob)
    put(steps, alice, 1)
    steps.order(bob)
    steps.order(bob)
    free(steps, alice)
    steps.order(bob)
    assert amounts(steps, alice) == [(1, 2000), (2, 3000), (3, 3000), (4, 2000), (5, 2000), (6, 3000)]


@pytest.mark.case(66)
def test_the_computation_names_the_step_and_who_set_it(steps: Scene) -> None:
    put(steps, steps.alice, 4)
    steps.order(steps.bob)
    step = {"step": "tier_set", "from": 4, "ordinal": 1, "by": steps.olivia.public_id}
    assert last_computation(steps, steps.alice)[0] == step
    put(steps, steps.alice, 1)
    steps.order(steps.bob)
    assert last_computation(steps, steps.alice)[0] == step | {"from": 1, "ordinal": 2}
    free(steps, steps.alice)
    steps.order(steps.bob)
    assert last_computation(steps, steps.alice)[0] == {"step": "tier", "from": 2, "ordinal": 3}


@pytest.mark.case(66)
def test_rewards_that_are_there_do_not_change(steps: Scene) -> None:
    steps.order(steps.bob)
    before = [(r.amount_minor, r.computation, r.state) for r in steps.rewards(steps.alice)]
    put(steps, steps.alice, 4)
    free(steps, steps.alice)
    assert [(r.amount_minor, r.computation, r.state) for r in steps.rewards(steps.alice)] == before


@pytest.mark.case(66)
def test_each_rule_takes_the_last_of_its_steps_that_begins_by_then(scene: Scene) -> None:
    """The step is set for the person; a rule without steps gives what it gives, and a friend's own stays by number."""
    scene.publish(
        share(1000, tiers=[{"from": 3, "share_bp": 2000}], **EVERY),
        fixed(100, to=REFEREE, tiers=[{"from": 2, "amount_minor": 900}], **EVERY),
        milestone(1, 5000),
    )
    put(scene, scene.alice, 3)
    scene.order(scene.bob, 6400)
    assert [r.amount_minor for r in scene.rewards(scene.alice)] == [1280, 5000]
    assert [r.amount_minor for r in scene.rewards(scene.bob)] == [100]
    assert [step["step"] for step in scene.rewards(scene.alice)[1].computation] == ["milestone", "fixed"]


@pytest.mark.case(66)
def test_a_step_stays_when_the_offer_changes(steps: Scene) -> None:
    """A rule whose steps begin elsewhere gives what it gives for a reward of that number."""
    put(steps, steps.alice, 4)
    steps.publish(fixed(1000, tiers=[{"from": 3, "amount_minor": 1100}, {"from": 5, "amount_minor": 9000}], **EVERY))
    steps.order(steps.friend("Ben", of=steps.alice))
    assert amounts(steps, steps.alice) == [(1, 1100)]
    with pytest.raises(TierLockRefused, match="no step that begins at reward number 4"):
        put(steps, steps.carol, 4)


@pytest.mark.case(66)
@pytest.mark.parametrize("unknown", [0, -1, 3, 5, 10**12])
def test_a_step_that_there_is_not_is_refused(steps: Scene, unknown: int) -> None:
    with pytest.raises(TierLockRefused, match="no step that begins"):
        put(steps, steps.alice, unknown)
    assert tier_locks.of_person(steps.alice.id) is None


@pytest.mark.case(66)
def test_without_tiers_there_is_nothing_to_set(scene: Scene) -> None:
    with pytest.raises(TierLockRefused, match="no step that begins"):
        put(scene, scene.alice, 1)


@pytest.mark.case(66)
def test_it_is_set_with_a_reason_by_somebody_else(steps: Scene) -> None:
    with pytest.raises(TierLockRefused, match="Write why"):
        put(steps, steps.alice, 4, note="  ")
    with pytest.raises(TierLockRefused, match="your own step"):
        put(steps, steps.olivia, 4)
    put(steps, steps.olivia, 4, by=steps.rita)
    with pytest.raises(TierLockRefused, match="your own step"):
        free(steps, steps.olivia)


@pytest.mark.case(66)
def test_the_history_tells_who_set_it_when_and_why_and_the_same_again_is_nothing(steps: Scene) -> None:
    alice = steps.alice
    assert put(steps, alice, 4) is True
    assert put(steps, alice, 4) is False
    assert put(steps, alice, 2) is True
    assert free(steps, alice) is True
    assert free(steps, alice) is False
    told = [one for one in audit.about("user", alice.public_id) if one.verb.startswith("tier_")]
    assert [(one.verb, one.actor_id, one.details) for one in told] == [
        ("tier_set", steps.olivia.id, {"now": 4, "was": None}),
        ("tier_set", steps.olivia.id, {"now": 2, "was": 4}),
        ("tier_freed", steps.olivia.id, {"was": 2}),
    ]
    assert [one.note_id is not None for one in told] == [True, True, False]
    kept = own_data.about(alice, at=steps.at)["steps_set"]
    assert [(one["counts_as"], one["lifted_at"] is not None) for one in kept] == [(2, True), (4, True)]


@pytest.mark.case(66)
def test_a_rehearsal_respects_the_steps_as_they_were_set(steps: Scene) -> None:
    alice, bob, day = steps.alice, steps.bob, timedelta(days=1)
    put(steps, alice, 4)
    steps.at += day
    steps.order(bob)
    steps.at += day
    free(steps, alice)
    steps.at += day
    steps.order(bob)
    terms = in_force()
    offer = {
        "now": (terms, rules.of_terms(terms.id)),
        "other": (terms, [fixed_rule(700, {"from": 4, "amount_minor": 50})]),
    }
    found = rehearsal.rehearse(offer, at=steps.at)
    assert found["now"].total_minor == 3000 + 2500 == sum(amount for _, amount in amounts(steps, alice))
    assert found["other"].total_minor == 50 + 700


def fixed_rule(amount_minor: int, *tiers: dict[str, int]) -> rules.Rule:
    return rules.Rule(
        rule_key="other", goal="purchase", beneficiary="referrer", kind="fixed", amount_minor=amount_minor,
        often="every", hold_days=0, tiers=list(tiers),
    )  # fmt: skip


@pytest.mark.case(66)
def test_an_order_told_later_goes_by_the_step_of_its_arrival(steps: Scene) -> None:
    alice = steps.alice
    friend = steps.friend("Ben", of=alice)
    put(steps, alice, 4)
    steps.later(days=2)
    free(steps, alice)
    steps.order(friend, occurred_at=steps.at - timedelta(days=1))
    assert amounts(steps, alice) == [(1, 2000)], "as its number does"


@pytest.mark.case(66)
def test_the_right_referrer_earns_by_the_step_that_is_theirs(steps: Scene) -> None:
    alice, carol, olivia = steps.alice, steps.carol, steps.olivia.id
    put(steps, carol, 4)
    steps.order(steps.bob)
    referral = steps.reward(alice).referral
    steps.do(lambda: program.correct_referrer(referral, carol, note="It was Carol.", by=olivia, at=steps.at))
    assert amounts(steps, carol) == [(1, 3000)]
