"""The terms: versions that never change, of which the newest is in force."""

from typing import Any

import pytest
import sqlalchemy as sa

from portal import sweeps, terms
from portal.accounts import audit
from portal.core import clock
from portal.core.database import session
from portal.rewards import rules
from portal.terms import TermsRefused
from tests.factories import Scene, fixed


def test_a_new_version_keeps_what_was_not_changed(scene: Scene) -> None:
    first = terms.in_force()
    scene.later(days=1)
    second = scene.publish(window_days=30, by=scene.olivia.id)
    assert (second.version, second.window_days, second.minimum_payout_minor) == (2, 30, 2000)
    assert (first.version, first.window_days) == (1, 60)
    assert terms.in_force().id == second.id and second.published_by_id == scene.olivia.id
    assert [rule.rule_key for rule in rules.of_terms(second.id)] == [rule.rule_key for rule in rules.of_terms(first.id)]
    assert [entry.verb for entry in audit.about("terms", "2")] == ["terms_published"]


def test_before_the_set_up_there_are_no_terms(app: Any) -> None:
    assert terms.current() is None
    with pytest.raises(TermsRefused, match="not been set up"):
        terms.in_force()


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "nonsense",
    [
        {"window_days": 0},
        {"window_days": 366},
        {"goal_days": 0},
        {"claim_days": -1},
        {"minimum_payout_minor": -1},
        {"state": "asleep"},
        {"touch": "middle"},
        {"pay_day": 0},
        {"pay_day": 29},
        {"review_days": 0},
        {"review_days": 61},
    ],
)
def test_the_table_itself_refuses_settings_that_cannot_be(scene: Scene, nonsense: dict[str, Any]) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        scene.publish(**nonsense)
    assert terms.in_force().version == 1


@pytest.mark.parametrize(
    ("pay_day", "at", "named"),
    [
        (None, "2026-11-23T12:00:00Z", None),
        (1, "2026-11-23T12:00:00Z", "2026-12-01"),
        (23, "2026-11-23T12:00:00Z", "2026-11-23"),
        (22, "2026-11-23T12:00:00Z", "2026-12-22"),
        (28, "2026-02-28T12:00:00Z", "2026-02-28"),
        (27, "2028-01-31T12:00:00Z", "2028-02-27"),
        (15, "2026-12-16T12:00:00Z", "2027-01-15"),
        (1, "2026-11-30T22:59:59Z", "2026-12-01"),  # the last second of November in Berlin
        (28, "2026-11-28T23:00:00Z", "2026-12-28"),  # in Berlin it is the 29th by then
        (25, "2026-10-24T22:00:00Z", "2026-10-25"),  # the day on which Berlin's clocks go back has begun there
    ],
)
def test_the_next_pay_day_goes_by_the_programs_calendar(scene: Scene, pay_day: Any, at: str, named: str | None) -> None:
    found = scene.publish(pay_day=pay_day, time_zone="Europe/Berlin").next_pay_day(at=clock.parse(at))
    assert (found.isoformat() if found else None) == named


def test_a_friend_accepts_the_version_in_force(scene: Scene) -> None:
    scene.alice  # noqa: B018 - signs up under the first version
    scene.publish(fixed(3000))
    assert (scene.alice.accepted_terms_version, scene.carol.accepted_terms_version) == (1, 2)


def test_a_rule_of_another_version_is_a_row_of_its_own(scene: Scene) -> None:
    scene.publish(window_days=30)
    found = session.scalars(sa.select(rules.Rule).order_by(rules.Rule.id)).all()
    assert [rule.terms_id for rule in found] == [1, 2] and len({rule.rule_key for rule in found}) == 1


def test_before_the_set_up_the_worker_finds_nothing_to_do(app) -> None:
    assert (sweeps.approve_and_release(), sweeps.expire(), sweeps.seal()) == (0, 0, 0)
    assert not sweeps.write_mails() and not sweeps.roll_up()
