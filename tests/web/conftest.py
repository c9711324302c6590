"""What the web tests stand on: noon of 1 September 2026, the scene of that day, and browsers."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from portal import create_app
from portal.accounts import sign_ins
from portal.accounts.users import NOWHERE, User
from portal.core.clock import now
from portal.core.database import db, session, writing
from portal.web import access
from tests.conftest import close, make_schema, make_settings
from tests.factories import NOON, Scene
from tests.web.client import Tab
from tests.web.commands import Run, runner
from tests.web.routes import Things, furnish
from tests.web.tables import SEEN, changes, contents


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """The clock of requests, at the moment at which the scene begins; it runs on by itself."""
    with time_machine.travel(NOON) as traveller:
        yield traveller


class WebScene(Scene):
    """The scene whose clock is the one by which requests are answered: `later` moves both."""

    clock: time_machine.Traveller

    @property
    def at(self) -> datetime:
        return now()

    @at.setter
    def at(self, moment: datetime) -> None:
        self.clock.move_to(moment)


@pytest.fixture
def scene(app: Flask, clock: time_machine.Traveller) -> Scene:
    """A program that pays 20.00 for a friend's first order, at noon of 1 September 2026, which is now."""
    WebScene.clock = clock
    return WebScene(app)


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Things]:
    """A database with one thing of each kind and state in it, made once; each test gets a copy."""
    folder = tmp_path_factory.mktemp("furnished")
    settings = make_settings(folder, f"sqlite:///{folder / 'portal.db'}")
    make_schema(settings)
    made = create_app(settings)
    with made.app_context(), time_machine.travel(NOON) as WebScene.clock:
        things = furnish(WebScene(made))
        close(made)
    return folder / "portal.db", things


@pytest.fixture
def database_url(database_url: str, request: pytest.FixtureRequest) -> str:
    """A database of this test's own: the furnished one if the test asks for `things`."""
    if "things" in request.fixturenames:
        furnished, _ = request.getfixturevalue("furnished")
        here = Path(database_url.removeprefix("sqlite:///"))
        shutil.copy(furnished, here)
        shutil.copytree(furnished.parent / "uploads", here.parent / "uploads", dirs_exist_ok=True)
    return database_url


@pytest.fixture
def things(app: Flask, furnished: tuple[Path, Things], clock: time_machine.Traveller) -> Things:
    """What stands in the furnished database, at the moment at which it was ready."""
    clock.move_to(furnished[1].at)
    return furnished[1]


@pytest.fixture
def tab(app: Flask) -> Tab:
    """Somebody's browser, not signed in."""
    return Tab(app)


@pytest.fixture
def tab_of(app: Flask) -> Callable[..., Tab]:
    """Makes the tab of somebody who is signed in: `tab_of(scene.alice)`. (Signing in by the page: `tab.sign_in`.)"""

    def make(person: User, **given: Any) -> Tab:
        made, identity = Tab(app, **given), session.merge(person)
        number, uniquifier = identity.id, identity.fs_uniquifier
        with writing():
            secret = sign_ins.start(number, surroundings=NOWHERE, at=now())
        with made.client.session_transaction(base_url=made.base_url) as kept:
            lately = int(now().timestamp())
            kept.update({"_user_id": uniquifier, "_fresh": True, access.TOKEN: secret, access.PROVED: lately})
        return made

    return make


@pytest.fixture
def run(
    tmp_path: Path, database_url: str, app: Flask, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """The portal command, with this test's database."""
    return runner(tmp_path, database_url, monkeypatch, capfd)


Counted = Callable[[], AbstractContextManager[list[str]]]


@pytest.fixture
def counted(app: Flask) -> Counted:
    """Counts the statements within: `with counted() as asked: …`."""

    @contextmanager
    def statements() -> Iterator[list[str]]:
        asked: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            asked.append(statement)

        sa.event.listen(db.engine, "before_cursor_execute", note)
        yield asked
        sa.event.remove(db.engine, "before_cursor_execute", note)

    return statements


Tried = Callable[..., Iterator[AbstractContextManager[Any]]]


@pytest.fixture
def each(subtests: pytest.Subtests) -> Tried:
    """Goes through wrong values one after the other, each a test of its own: none may change anything.

    `for tried in each(values): with tried as value: …`; `but`: tables or columns that may change all the same.
    """

    def one_by_one(values: Iterable[Any], *, but: Iterable[str] = ()) -> Iterator[AbstractContextManager[Any]]:
        before, allowed = contents(), frozenset({*SEEN, *but})

        @contextmanager
        def tried(value: Any) -> Iterator[Any]:
            with subtests.test(repr(value)[:60]):
                yield value
                found = changes(before, contents(), but=allowed)
                assert not found, f"changed: {found}"

        for value in values:
            yield tried(value)

    return one_by_one
