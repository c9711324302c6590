"""The tests' own foundation: the closing line, parts that are missing, browsers that share nothing with the test."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from portal.accounts.users import User
from portal.core import database
from portal.core.database import session
from tests import cases, conftest, invariants
from tests.factories import Scene
from tests.postgres import open_server


def report(nodeid: str, outcome: str, *numbers: int, when: str = "call") -> pytest.TestReport:
    given = [("case", number) for number in numbers]
    return pytest.TestReport(nodeid, ("", 0, ""), {}, outcome, None, when, user_properties=given)  # type: ignore[arg-type]


def test_a_case_is_passed_if_every_test_with_its_number_ran_and_passed() -> None:
    told = cases.Cases()
    for each in (
        report("a", "passed", 1, 2, 3),
        report("b", "passed", 2),
        report("b", "failed", 2, when="teardown"),
        report("c", "skipped", 3, when="setup"),
        report("d", "passed", 4, when="setup"),
        report("e", "passed", 117),
    ):
        told.pytest_runtest_logreport(each)
    assert told.line().startswith("Cases: 2 of 117 passed, 115 open (2, 3, 4, 5, 6, ")
    assert told.line().endswith("115, 116)")


def test_when_nothing_is_open_the_line_says_so() -> None:
    told = cases.Cases()
    told.pytest_runtest_logreport(report("a", "passed", *range(1, 118)))
    assert told.line() == "Cases: 117 of 117 passed, 0 open"


def test_a_missing_part_skips_on_a_laptop_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no browser"):
        conftest.missing("no browser")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no browser"):
        conftest.missing("no browser")


def test_a_server_that_cannot_be_started_gives_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert str(open_server(tmp_path / "file" / "pgdata")).startswith("no PostgreSQL here: ")


def test_a_browser_shares_nothing_with_the_test(scene: Scene, client: FlaskClient) -> None:
    assert client.get("/r/no-such-code").status_code == 404
    with database.writing(), pytest.raises(RuntimeError, match="inside a write"):
        client.get("/")


@pytest.mark.both_databases
def test_each_test_has_a_database_of_its_own(scene: Scene) -> None:
    assert [user.name for user in session.scalars(sa.select(User))] == []
    assert scene.alice.id == 1


@pytest.mark.wrecks_the_books
def test_the_check_after_each_test_finds_what_is_wrong(scene: Scene) -> None:
    reward = scene.approved_reward()
    invariants.check()
    scene.do(lambda: session.execute(sa.text("UPDATE rewards SET state = 'rejected'")))
    with pytest.raises(AssertionError, match=f"reward {reward.id} is rejected, the history says"):
        invariants.check()
