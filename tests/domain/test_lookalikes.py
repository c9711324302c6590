"""Honest people are not punished: the stories of `lookalikes`, told to the end, and how the signals judge them."""

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal

import pytest
import sqlalchemy as sa
from flask import Flask

from portal import program
from portal.core.database import session
from portal.rewards.rewards import Decision, Reward, State, Verdict
from tests.domain.lookalikes import STORIES, Side
from tests.domain.telling import Teller
from tests.domain.telling import Verdict as Judged
from tests.factories import REFEREE, Scene, fixed


def percent(part: int, whole: int) -> str:
    return f"{(Decimal(100 * part) / whole).quantize(Decimal(1), ROUND_CEILING)} %"


@pytest.mark.timeout(300)
def test_most_cheats_are_raised_few_honest_people_and_none_is_rejected_by_the_machine(
    app: Flask, record_property: Callable[[str, object], None]
) -> None:
    """A cheat is caught if at least half of its friends are raised, an honest story is raised if anybody in it is."""
    scene = Scene(app, fixed(2000), fixed(1000, to=REFEREE, minimum_order_minor=3000), auto_approve_below_minor=5000)
    teller = Teller(scene)
    judged = [teller.tell(story) for story in STORIES]
    honest = [one for one in judged if one.story.side == Side.HONEST]
    cheats = [one for one in judged if one.story.side == Side.CHEAT]
    assert len(honest) >= 30 and len(cheats) >= 60
    raised = [one for one in honest if one.raised]
    missed = [one for one in cheats if 2 * len(one.raised) < len(one.friends)]
    record_property(
        "figure",
        f"Signals: {len(cheats) - len(missed)} of {len(cheats)} cheats raised, "
        f"{len(raised)} of {len(honest)} honest look-alikes raised, 0 rejected but by a person "
        f"(friends: {_friends(cheats)} of the cheats', {_friends(honest)} of the honest)",
    )
    print(*(f"honest, raised: {one.story.name}: {one.by}" for one in raised), sep="\n")
    print(*(f"cheat, not raised: {one.story.name}: {one.by or 'nothing'}" for one in missed), sep="\n")
    assert 10 * len(missed) <= len(cheats), [one.story.name for one in missed]
    assert 10 * len(raised) <= len(honest), [(one.story.name, one.by) for one in raised]

    scene.later(days=100)
    while scene.do(lambda: program.approve_clear(at=scene.at)):
        pass
    by_machine = sa.select(Decision.verdict).where(Decision.by_id.is_(None)).distinct()
    assert list(session.scalars(by_machine)) == [Verdict.APPROVE], "the machine has approved, and done nothing else"
    rejected = sa.select(Reward.id).where(Reward.state == State.REJECTED).order_by(Reward.id)
    assert list(session.scalars(rejected)) == sorted(teller.rejected), "only what a person rejected"


def _friends(judged: list[Judged]) -> str:
    raised, everybody = sum(len(one.raised) for one in judged), sum(len(one.friends) for one in judged)
    return f"{raised} of {everybody}, {percent(raised, everybody)}"
