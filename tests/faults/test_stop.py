"""TERM: what was asked before it is answered, and the next process takes over what was left."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from portal.core import database
from portal.core.database import session
from portal.rewards.conversions import Conversion
from tests.faults.conftest import LONG, live_once
from tests.faults.live import Live
from tests.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"] if LONG else ["postgresql"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, maybe_postgres: Postgres | str
) -> Iterator[Live]:
    """A portal of this test's own."""
    with live_once(request.param, tmp_path_factory, maybe_postgres, workers=2) as found:
        yield found


@contextmanager
def nobody_else_writes() -> Iterator[None]:
    """Holds what every order needs."""
    with database.db.engine.connect().execution_options(writing=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("LOCK TABLE conversions IN ACCESS EXCLUSIVE MODE"))
        yield


def test_what_is_under_way_at_term_is_answered_and_the_process_ends_by_itself(live: Live) -> None:
    friend = live.scene.friend("Dora", of=live.scene.alice).email
    shops = live.visitors(6)
    for shop in shops:
        shop.connect()
    session.rollback()

    def report(number: int) -> Any:
        order = {"goal": "purchase", "external_id": f"stop-{number}", "amount_minor": 6400, "currency": "EUR",
                 "customer": {"email": friend}}  # fmt: skip
        return shops[number].tell("/api/v1/conversions", order, key=live.key)

    process = live.portal.process
    assert process is not None
    with ThreadPoolExecutor(len(shops)) as threads:
        with nobody_else_writes():
            asked = [threads.submit(report, number) for number in range(len(shops))]
            time.sleep(0.7)  # until all of them wait
            process.send_signal(signal.SIGTERM)
            threading.Event().wait(0.7)
            assert process.poll() is None and not any(one.done() for one in asked)
        answers = [one.result(timeout=30) for one in asked]
    assert [answer.status for answer in answers] == [201] * len(shops)
    try:
        assert process.wait(timeout=20) == 0
    except subprocess.TimeoutExpired:
        pytest.fail(f"it does not end: {live.portal.said()}")
    assert "Traceback" not in live.portal.said()
    session.rollback()
    named = sa.select(Conversion.external_id).where(Conversion.external_id.like("stop-%"))
    assert len(list(session.scalars(named))) == len(shops)
    live.portal.start()
