"""Around COMMIT: the connection is cut as it is sent, and as its answer comes back; and a disk that breaks there.

Before it nothing was done; after it everything was. Whoever asks cannot tell the two apart, gets a 503, asks again,
and finds it done once.
"""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from portal.config import Settings
from portal.core import clock, database
from portal.core.database import session
from portal.reports import books
from portal.rewards.conversions import Conversion
from portal.rewards.decisions import Decision
from portal.rewards.rewards import Reward, State
from portal.sharing.clicks import Click
from tests.conftest import Browser
from tests.factories import EVERY, Scene, fixed
from tests.faults.conftest import LONG
from tests.faults.live import LONG_AGO
from tests.faults.proxy import Proxy, When
from tests.web.client import Tab
from tests.web.keys import new_key
from tests.web.tables import changes, contents

CUTS = 500 if LONG else 50


@pytest.fixture
def scene(app: object) -> Scene:
    """A program that pays for every order, begun long enough ago for a hold to have passed."""
    return Scene(app, fixed(2000, **EVERY), at=clock.now() - LONG_AGO)


@pytest.fixture
def tab(app: object, scene: Scene) -> Tab:
    """Rita's, who is signed in."""
    found = Tab(app)
    found.sign_in(scene.rita.email)
    return found


def order(scene: Scene, key: str, name: str) -> tuple[int, dict]:
    """An order of Bob's is reported."""
    told = {"goal": "purchase", "external_id": name, "customer": {"email": scene.bob.email}, "amount_minor": 6400}
    client: Browser = scene.app.test_client(use_cookies=False)
    answer = client.post("/api/v1/conversions", json=told, headers={"Authorization": f"Bearer {key}"})
    return answer.status_code, answer.get_json(force=True)


class TestCut:
    """Connections to PostgreSQL that are cut by a proxy in between."""

    @pytest.fixture
    def database_kind(self) -> str:
        return "postgresql"

    @pytest.fixture
    def proxy(self, database_url: str) -> Iterator[Proxy]:
        found = Proxy(database_url)
        yield found
        found.close()

    @pytest.fixture
    def settings(self, settings: Settings, proxy: Proxy) -> Settings:
        return replace(settings, database_url=proxy.database_url)

    @pytest.mark.timeout(900)
    def test_cut_around_commit_an_order_is_there_once(
        self, scene: Scene, proxy: Proxy, record_property: Callable[[str, object], None]
    ) -> None:
        key, bob = new_key(), scene.bob
        for number in range(CUTS):
            name, when = f"cut-{number}", list(When)[number % 2]
            session.rollback()
            proxy.cut_next(b"COMMIT", when)
            status, _ = order(scene, key, name)
            assert status == 503, f"cut {when}"
            found = session.scalars(sa.select(Conversion).where(Conversion.external_id == name)).all()
            assert len(found) == (0 if when is When.BEFORE else 1)
            status, said = order(scene, key, name)
            assert (status, len(said["rewards"])) == (201 if when is When.BEFORE else 200, 1)
        assert proxy.cuts == CUTS
        assert (
            session.scalar(sa.select(sa.func.count()).select_from(Conversion).where(Conversion.goal == "purchase"))
            == CUTS
        )
        assert len(scene.rewards(scene.alice)) == CUTS and bob
        assert list(books.faults()) == []
        record_property("figure", f"Cuts around COMMIT: {CUTS}, of {CUTS} orders each is there once")

    @pytest.mark.parametrize("when", When)
    def test_cut_around_commit_an_approval_is_there_once(
        self, scene: Scene, tab: Tab, proxy: Proxy, when: When
    ) -> None:
        reward = scene.pending_reward()
        path, token, before = f"/admin/rewards/{reward.public_id}/approval", tab.token(), contents()
        proxy.cut_next(b"COMMIT", when)
        tab.may_break = True
        assert tab.post(path, {"csrf_token": token}).status == 503
        assert bool(changes(before, contents())) == (when is When.AFTER)
        assert tab.post(path, {"csrf_token": token}).status == 302
        assert session.get_one(Reward, reward.id).state == State.APPROVED
        assert session.scalar(sa.select(sa.func.count()).select_from(Decision)) == 1
        assert len(scene.mails("reward_approved")) == 1

    @pytest.mark.parametrize("when", When)
    def test_cut_around_a_click_it_is_counted_once_and_the_friend_sent_on(
        self, scene: Scene, proxy: Proxy, when: When
    ) -> None:
        visitor = Tab(scene.app)
        code = scene.code(scene.alice)
        assert visitor.get(f"/r/{code}").status == 302
        name = (visitor.cookie("visitor") or "").partition(".")[0]
        with database.writing():
            session.execute(sa.update(Click).values(at=scene.at, last_at=scene.at, hour=1))  # it was long ago
        proxy.cut_next(name.encode(), when)
        assert visitor.get(f"/r/{code}").location == f"/signup?ref={code}"
        assert proxy.cuts == 1
        session.rollback()
        assert session.scalar(sa.select(sa.func.count()).select_from(Click)) == 2


@contextmanager
def no_file_grows(most: int) -> Iterator[None]:
    """For this process the disk breaks where a file would grow beyond so many bytes: EFBIG, an I/O error to SQLite."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_breaks_while_writing_is_a_503_with_nothing_done_and_it_works_again(
    scene: Scene, settings: Settings
) -> None:
    key, visitor = new_key(), Tab(scene.app)
    code = scene.code(scene.alice)
    assert scene.bob and order(scene, key, "whole")[0] == 201
    before = contents()
    log = Path(settings.database_url.removeprefix("sqlite:///") + "-wal")
    with no_file_grows(log.stat().st_size):
        status, said = order(scene, key, "broken")
        assert (status, said["status"]) == (503, 503)
        assert visitor.get(f"/r/{code}").location == f"/signup?ref={code}", "the friend is sent on"
    assert not changes(before, contents())
    assert order(scene, key, "broken")[0] == 201
    assert order(scene, key, "broken")[0] == 200
    assert visitor.get(f"/r/{code}").status == 302
    session.rollback()
    assert session.scalar(sa.select(sa.func.count()).select_from(Click)) == 1
