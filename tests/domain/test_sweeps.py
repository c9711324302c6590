"""Sweeps and the worker: what happens by itself, and only once however many workers there are."""

import logging
import threading
from datetime import timedelta

import pytest

from portal import sweeps
from portal.core import clock, database
from portal.core.database import session
from portal.delivery import worker
from portal.delivery.worker import Job
from portal.rewards import ledger
from portal.rewards.rewards import State
from tests.factories import Scene, fixed


@pytest.fixture(autouse=True)
def _now(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: scene.at)


@pytest.mark.both_databases
def test_the_worker_approves_what_the_terms_allow_and_releases_what_was_held(scene: Scene) -> None:
    scene.publish(fixed(2000), auto_approve_below_minor=5000)
    reward = scene.pending_reward()
    session.rollback()
    assert sweeps.approve_and_release() == 0
    scene.later(days=30)
    assert sweeps.approve_and_release() == 1
    assert reward.state == State.APPROVED and scene.balance(scene.alice) == {"payable": 2000}
    assert sweeps.approve_and_release() == 0


def test_the_worker_expires_and_seals(scene: Scene) -> None:
    scene.pending_reward()
    scene.friend("Ben", of=scene.alice)
    assert sweeps.seal() == 1 and sweeps.seal() == 0
    scene.later(days=90)
    assert sweeps.expire() == 0
    scene.at += timedelta(microseconds=1)
    assert sweeps.expire() == 1 and sweeps.expire() == 0
    assert list(ledger.broken_seals()) == []


def test_the_workers_last_turn_is_a_row(scene: Scene) -> None:
    assert worker.last_turn("worker") is None
    sweeps.keep_time()
    sweeps.keep_time()
    assert worker.last_turn("worker") == scene.at
    assert session.query(worker.Turn).count() == 1


def test_a_job_that_fails_is_logged_and_has_its_next_turn(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.undo()  # the clock of the scheduler is the real one
    turns, done = [], threading.Event()

    def fails_first() -> None:
        turns.append(len(turns))
        if len(turns) == 1:
            raise RuntimeError("the disk is full")
        done.set()

    with caplog.at_level(logging.ERROR, logger="portal.delivery.worker"):
        scheduler = worker.start([Job("test", 1, fails_first)])
        try:
            assert done.wait(20)
        finally:
            scheduler.shutdown()
    assert "job test failed" in caplog.text and "the disk is full" in caplog.text


def test_a_write_inside_a_write_is_a_mistake_and_says_so(scene: Scene) -> None:
    with pytest.raises(RuntimeError, match="a write is open already"), database.writing(), database.writing():
        pass
    with database.writing():
        pass


@pytest.mark.both_databases
def test_a_write_that_fails_leaves_nothing_also_of_what_a_savepoint_kept(scene: Scene) -> None:
    before = len(scene.mails())
    with pytest.raises(ZeroDivisionError), database.writing():
        with session.begin_nested():
            database.session.execute(database.sa.text("UPDATE users SET name = 'changed'"))
        database.session.execute(database.sa.text("UPDATE outbox SET subject = 'changed'"))
        _ = 1 / 0
    assert len(scene.mails()) == before and scene.alice.name == "Alice"
    assert all(mail.subject != "changed" for mail in scene.mails())
