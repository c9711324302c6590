"""A live portal with its cast: the scene is set in the test's own process, the clients ask the served one."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from flask import Flask

from portal import create_app
from portal.accounts import api_keys
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.config import Settings
from portal.core import clock, database
from tests import invariants
from tests.conftest import close
from tests.factories import PASSWORD, Scene
from tests.faults.portals import Answer, Browser, Portal

Thing = TypeVar("Thing")

LONG_AGO = timedelta(days=40)
"""When the scenes of live portals begin: long enough for a hold of 30 days to have passed by now."""


class Live:
    """A portal that is served, and the same database in the hands of the test."""

    def __init__(self, portal: Portal, app: Flask) -> None:
        self.portal, self.app = portal, app
        self.scene = Scene(app, at=clock.now() - LONG_AGO)
        self.scene.method(self.scene.alice)  # usable by now: new details hold a payout for three days
        self.key: str = self.scene.do(lambda: api_keys.make("The shop", by=None, at=self.scene.at))
        self._signed_in: dict[str, Browser] = {}
        self._addresses = iter(f"10.{a}.{b}.{c}" for a in range(1, 255) for b in range(1, 255) for c in range(1, 255))

    def now(self) -> None:
        """Moves the scene's clock to the present, where the served portal is."""
        self.scene.at = clock.now()

    def visitor(self) -> Browser:
        """Somebody new, from a network of their own."""
        return self.portal.browser(address=next(self._addresses))

    def visitors(self, many: int) -> list[Browser]:
        return [self.visitor() for _ in range(many)]

    def colleagues(self, many: int, *who: User) -> list[Browser]:
        """Windows of these colleagues, who are signed in, in turn."""
        return [self._window(who[number % len(who)]) for number in range(many)]

    def _window(self, user: User) -> Browser:
        if user.email not in self._signed_in:
            browser = self.visitor()
            browser.sign_in(user.email, PASSWORD)
            self._signed_in[user.email] = browser
        first, window = self._signed_in[user.email], self.visitor()
        window.cookies, window.token = dict(first.cookies), first.token
        return window

    @cached_property
    def rosa(self) -> User:
        """A second reviewer."""
        return self.scene.colleague("Rosa", Role.REVIEWER)


@contextmanager
def live_on(folder: Path, database_url: str, *, workers: int) -> Iterator[Live]:
    """A live portal on an empty database that has its tables; at its end the books are checked."""
    portal = Portal(folder, database_url, workers=workers)
    app = create_app(Settings.from_env(portal.environ))
    with app.app_context():
        try:
            live = Live(portal, app)
            with portal:
                yield live
            database.session.rollback()
            invariants.check()
            checked = portal.command("check-ledger")
            assert checked.returncode == 0, checked.stderr
        finally:
            close(app)


def at_once(clients: Sequence[Browser], ask: Callable[[int, Browser], Answer]) -> list[Answer]:
    """All clients ask at the same moment: connected before, released by a barrier. Their answers, none of them 5xx."""
    database.session.rollback()
    barrier = threading.Barrier(len(clients), timeout=60)

    def one(number: int) -> Answer:
        clients[number].connect()
        barrier.wait()
        return ask(number, clients[number])

    with ThreadPoolExecutor(len(clients)) as threads:
        answers = list(threads.map(one, range(len(clients))))
    broken = [answer for answer in answers if answer.status >= 500]
    assert not broken, f"{len(broken)} answers of 5xx, the first: {broken[0].status} {broken[0].text[:2000]}"
    database.session.rollback()
    return answers


def statuses(answers: Sequence[Answer]) -> dict[int, int]:
    """How often each status came."""
    return dict(Counter(answer.status for answer in answers))


def soon(happened: Callable[[], bool], *, within: float = 20.0) -> bool:
    """Whether something comes true before long."""
    end = time.monotonic() + within
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
        database.session.rollback()
    return True
