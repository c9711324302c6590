"""Honest people are not punished: the stories of `lookalikes`, told to the end, and how the signals judge them."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask

from portal import program
from portal.core.database import session
from portal.rewards.decisions import Decision, Verdict
from portal.rewards.rewards import Reward, State
from tests.domain.lookalikes import STORIES, Side
from tests.domain.telling import Teller
from tests.domain.telling import Verdict as Judged
from tests.factories import REFEREE, Scene, fixed


@pytest.fixture
def teller(app: Flask) -> Teller:
    """Tells stories in a program whose clear rewards are approved by the terms."""
    return Teller(
        Scene(app, fixed(2000), fixed(1000, to=REFEREE, minimum_order_minor=3000), auto_approve_below_minor=5000)
    )


@pytest.mark.timeout(300)
def test_most_cheats_are_raised(teller: Teller, record_property: Callable[[str, object], None]) -> None:
    """A cheat is caught if at least half of its friends are raised."""
    judged = told(teller, Side.CHEAT)
    missed = [one for one in judged if 2 * len(one.raised) < len(one.friends)]
    for one in missed:
        print(f"not raised: {one.story.name}: {one.by or 'nothing'}")
    record_property("figure", f"Signals: {len(judged) - len(missed)} of {len(judged)} cheats raised{_friends(judged)}")
    assert len(judged) >= 60 and 10 * len(missed) <= len(judged), [one.story.name for one in missed]


@pytest.mark.timeout(300)
def test_few_honest_people_are_raised_and_none_is_rejected_but_by_a_person(
    teller: Teller, record_property: Callable[[str, object], None]
) -> None:
    """An honest story is raised if anybody in it is."""
    judged = told(teller, Side.HONEST)
    raised = [one for one in judged if one.raised]
    for one in raised:
        print(f"raised: {one.story.name}: {one.by}")
    assert len(judged) >= 30 and 10 * len(raised) <= len(judged), [(one.story.name, one.by) for one in raised]

    teller.waits("100d")
    while teller.scene.do(lambda: program.approve_by_terms(at=teller.scene.at)):
        pass
    by_machine = sa.select(Decision.verdict).where(Decision.by_id.is_(None)).distinct()
    assert list(session.scalars(by_machine)) == [Verdict.APPROVE], "the machine has approved, and done nothing else"
    rejected = sa.select(Reward.id).where(Reward.state == State.REJECTED).order_by(Reward.id)
    assert list(session.scalars(rejected)) == sorted(teller.rejected), "only what a person rejected"
    line = f"Signals: {len(raised)} of {len(judged)} honest look-alikes raised{_friends(judged)}"
    record_property("figure", f"{line}; none rejected but by a person")


def told(teller: Teller, side: Side) -> list[Judged]:
    """Every story of a side, told to its end."""
    return [teller.tell(story) for story in STORIES if story.side == side]


def _friends(judged: list[Judged]) -> str:
    raised, everybody = sum(len(one.raised) for one in judged), sum(len(one.friends) for one in judged)
    return f" ({raised} of their {everybody} friends)"
