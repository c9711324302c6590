"""Conversions: a goal is reached once, however often it is told; what is told otherwise changes nothing."""

from datetime import timedelta

import pytest

from portal.core.database import session
from portal.rewards import goals
from portal.rewards.conversions import Answer, Conversion, Customer, Disagreement, ReportRefused
from portal.rewards.rewards import Reward
from tests.factories import Scene, fixed

pytestmark = pytest.mark.both_databases


def amounts(rewards: list[Reward]) -> list[int]:
    return [reward.amount_minor for reward in rewards]


def republished(scene: Scene, *offered, **settings) -> Scene:  # type: ignore[no-untyped-def]
    """The scene with another offer, before anybody has come."""
    scene.publish(*offered, **settings)
    return scene


# --- reported -------------------------------------------------------------------------------------------------


@pytest.mark.case(53)
def test_the_same_report_again_finds_the_same_row_and_makes_nothing(scene: Scene) -> None:
    first = scene.order(scene.bob, external_id="A-1")
    scene.later(days=3)
    again = scene.order(scene.bob, external_id="A-1", occurred_at=scene.at - timedelta(days=3))
    assert (first.answer, again.answer) == (Answer.MADE, Answer.KNOWN)
    assert again.conversion.id == first.conversion.id
    assert amounts(scene.rewards(scene.alice)) == [2000]


def test_the_same_id_with_other_facts_changes_nothing_and_is_kept_for_somebody_to_look_at(scene: Scene) -> None:
    scene.do(lambda: goals.add("subscription", label="Subscription", has_amount=True))
    scene.order(scene.bob, 6400, external_id="A-1")
    for _ in range(2):
        assert scene.order(scene.bob, 6500, external_id="A-1").answer == Answer.DISAGREES
    assert scene.order(scene.carol, 6400, external_id="A-1").answer == Answer.DISAGREES
    assert scene.order(scene.bob, 6400, external_id="A-1", goal="subscription").answer == Answer.DISAGREES
    assert scene.order(scene.bob, 6400, external_id="A-1").answer == Answer.KNOWN
    assert session.query(Disagreement).count() == 3, "each disagreement once"
    assert scene.balance(scene.alice) == {"pending": 2000}


def test_the_same_customer_may_be_named_by_id_or_by_address(scene: Scene) -> None:
    bob, _ = scene.customer("C-7", scene.bob.email)
    scene.order(bob, external_id="A-1")
    for named in (Customer("C-7"), Customer("C-7", "bob@example.com"), Customer(email="BOB@example.com")):
        assert scene.order(named, external_id="A-1").answer == Answer.KNOWN


def test_an_order_has_one_id_for_every_goal_and_for_ever(scene: Scene) -> None:
    scene.order(scene.bob, external_id="A-1")
    assert scene.order(scene.carol, external_id="a-1").answer == Answer.MADE, "ids are exact"


@pytest.mark.case(60)
@pytest.mark.parametrize("amount_minor", [0, -1, -6400, 10**12, None])
def test_an_amount_that_cannot_be_is_refused_by_its_field(scene: Scene, amount_minor: int | None) -> None:
    with pytest.raises(ReportRefused) as refusal:
        scene.order(scene.bob, amount_minor)
    assert refusal.value.field == "amount_minor"
    assert session.query(Conversion).filter_by(goal="purchase").count() == 0


@pytest.mark.case(74)
def test_what_cannot_be_taken_is_refused_by_its_field(scene: Scene) -> None:
    bob = scene.bob
    bad = {
        "goal": [{"goal": "nothing"}, {"goal": "signup"}, {"source": "another shop"}],
        "external_id": [
            {"external_id": " A-1"},
            {"external_id": "A\n1"},
            {"external_id": "x" * 129},
            {"external_id": "A\x001"},
        ],
        "currency": [{"currency": "USD"}, {"currency": None}, {"currency": "eur"}],
        "occurred_at": [
            {"occurred_at": scene.at + timedelta(seconds=1)},
            {"occurred_at": scene.at - timedelta(days=3651)},
        ],
    }
    for field, reports in bad.items():
        for more in reports:
            with pytest.raises(ReportRefused) as refusal:
                scene.order(bob, **more)
            assert refusal.value.field == field, more
    for customer, field in ((Customer(), "customer"), (Customer(" 7"), "customer.external_id")):
        with pytest.raises(ReportRefused) as refusal:
            scene.order(customer)
        assert refusal.value.field == field
    assert scene.rewards(scene.alice) == []


def test_a_goal_of_ones_own_is_reported_by_its_name(scene: Scene) -> None:
    scene.do(lambda: goals.add("trial", label="Trial begun", has_amount=False))
    republished(scene, fixed(300, goal="trial"))
    assert scene.order(scene.bob, None, goal="trial").answer == Answer.MADE
    assert amounts(scene.rewards(scene.alice)) == [300]
