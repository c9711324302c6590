"""PostgreSQL goes away under a portal that is served: restarted, and lost for good with a standby that takes over.

What was acknowledged is there, what was not can be asked again, nothing is there twice; and nobody restarts the portal.
"""

import itertools
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from portal.core import clock, database
from portal.core.database import session
from portal.delivery import outbox
from portal.delivery.outbox import Message
from portal.reports import books
from portal.rewards.conversions import Conversion
from portal.rewards.rewards import Reward
from portal.sharing.clicks import Click
from tests.conftest import make_schema, make_settings, missing
from tests.factories import EVERY, fixed
from tests.faults.conftest import LONG
from tests.faults.live import Live, live_on, soon
from tests.faults.pair import Pair
from tests.faults.portals import Answer, Browser, Gone
from tests.postgres import Postgres

pytestmark = pytest.mark.timeout(900)

FAILOVERS = 20 if LONG else 1


@pytest.fixture(scope="module")
def pair(maybe_postgres: Postgres | str) -> Iterator[Pair]:
    """A primary, as yet without its standby."""
    if isinstance(maybe_postgres, str):
        missing(maybe_postgres)
    assert isinstance(maybe_postgres, Postgres)
    found = Pair(maybe_postgres)
    yield found
    found.close()


@pytest.fixture(scope="module")
def live(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A portal that is served on it and pays for every order; its address names both servers."""
    folder = tmp_path_factory.mktemp("live-failover")
    make_schema(make_settings(folder, pair.database_url))
    with live_on(folder, pair.database_url, workers=4 if LONG else 1) as found:
        found.scene.publish(fixed(2000, **EVERY))
        yield found


def test_connections_to_a_machine_that_has_vanished_are_given_up(live: Live) -> None:
    """The system is told so; that it does as told is not tried here."""
    for engine in database.db.engines.values():
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            with socket.socket(fileno=os.dup(driver.fileno())) as found:
                wanted = {
                    socket.TCP_USER_TIMEOUT: 15_000,
                    socket.TCP_KEEPIDLE: 10,
                    socket.TCP_KEEPINTVL: 5,
                    socket.TCP_KEEPCNT: 3,
                }
                assert {name: found.getsockopt(socket.IPPROTO_TCP, name) for name in wanted} == wanted


def is_503(answer: Answer) -> bool:
    return answer.status == 503 and int(answer.headers["Retry-After"]) > 0 and "Traceback" not in answer.text


def order_of(live: Live, name: str) -> dict[str, object]:
    return {"goal": "purchase", "external_id": name, "amount_minor": 6400, "currency": "EUR",
            "customer": {"email": live.scene.bob.email}}  # fmt: skip


def test_while_postgresql_is_restarted_pages_answer_503_and_are_back_by_themselves(live: Live, pair: Pair) -> None:
    order, link = order_of(live, "restart"), f"/r/{live.scene.code(live.scene.alice)}"
    visitor, shop, (rita,) = live.visitor(), live.visitor(), live.colleagues(1, live.scene.rita)
    assert rita.get("/admin/rewards").status == visitor.get("/signup").status == 200
    session.rollback()
    pair.primary.stop()
    for _ in range(3):
        assert is_503(rita.get("/admin/rewards")) and is_503(visitor.get("/signup"))
        assert visitor.get("/readyz").status == 503
        assert is_503(shop.tell("/api/v1/conversions", order, key=live.key))
        shop.connection.close()  # granian may do so, since nobody has read the body
        assert visitor.get(link).status == 302, "a friend is sent on"
    assert visitor.get("/healthz").status == 200
    pair.primary.start()
    assert rita.get("/admin/rewards").status == visitor.get("/signup").status == 200
    assert shop.tell("/api/v1/conversions", order, key=live.key).status == 201
    assert shop.tell("/api/v1/conversions", order, key=live.key).status == 200


class Load:
    """Shops that report one order after the other, each until it is taken; a friend, and a colleague who reads."""

    def __init__(self, live: Live, round_: int) -> None:
        self.live, self.round = live, round_
        self.taken: dict[str, str] = {}
        self.visitors: list[str] = []
        self.refused = 0
        self.wrong: list[str] = []
        self._link = f"/r/{live.scene.code(live.scene.alice)}"
        self._order = order_of(live, "")
        self._over = threading.Event()
        shops, friend, (rita,) = live.visitors(3), live.visitor(), live.colleagues(1, live.scene.rita)
        self._threads = [
            *(threading.Thread(target=self._report, args=(shop, f"{number}")) for number, shop in enumerate(shops)),
            threading.Thread(target=self._follow, args=(friend,)),
            threading.Thread(target=self._read, args=(rita,)),
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=90)  # the client itself gives up after 60
            assert not thread.is_alive()
        assert not self.wrong, self.wrong[:3]

    def _report(self, shop: Browser, number: str) -> None:
        for count in itertools.count():
            name = f"failover-{self.round}-{number}-{count}"
            answer = self.tell(shop, name)
            while answer is None and not self._over.is_set():
                time.sleep(0.02)
                answer = self.tell(shop, name)
            if answer is None or answer.status not in (200, 201) or len(answer.json["rewards"]) != 1:
                self.wrong.append(f"{answer and answer.status} {answer and answer.text[:500]}")
                return
            self.taken[name] = answer.json["id"]
            if self._over.is_set():
                return

    def tell(self, shop: Browser, name: str) -> Answer | None:
        """Reports an order; None for *come again*, which is also what a connection means that is closed."""
        try:
            answer = shop.tell("/api/v1/conversions", self._order | {"external_id": name}, key=self.live.key)
        except Gone:
            return None
        if answer.status == 503:
            self.refused += 1
            shop.connection.close()  # granian may do so, since nobody has read the body
            return None
        return answer

    def _follow(self, friend: Browser) -> None:
        while not self._over.is_set():
            answer = friend.get(self._link)
            if answer.status != 302:
                self.wrong.append(f"{answer.status} {answer.text[:500]}")
            if visitor := friend.cookies.pop("visitor", ""):  # none while the database is away
                self.visitors.append(visitor.partition(".")[0])
            time.sleep(0.01)

    def _read(self, rita: Browser) -> None:
        while not self._over.is_set():
            answer = rita.get("/admin/rewards")
            if answer.status != 200 and not is_503(answer):
                self.wrong.append(f"{answer.status} {answer.text[:500]}")
            time.sleep(0.05)

    def check(self, sure: dict[str, str], visitors: list[str]) -> None:
        """What was acknowledged before the kill is there, what came after it too, each once, and told again it stays
        as it is; the visits that were answered before the kill are there."""
        session.rollback()
        mine = Conversion.external_id.like(f"failover-{self.round}-%")
        there = {
            name: number
            for name, number in session.execute(sa.select(Conversion.external_id, Conversion.public_id).where(mine))
        }
        assert not sure.items() - there.items(), "acknowledged and lost"
        assert there == self.taken
        given = sa.select(sa.func.count()).select_from(Reward).join(Conversion, Reward.conversion_id == Conversion.id)
        assert session.scalar(given.where(mine)) == len(self.taken)
        assert set(visitors) <= set(session.scalars(sa.select(Click.visitor)))
        assert list(books.faults()) == []
        session.rollback()
        shop = self.live.visitor()
        for name, number in self.taken.items():
            answer = self.tell(shop, name)
            assert answer is not None and (answer.status, answer.json["id"]) == (200, number)


def test_when_a_standby_takes_over_nothing_acknowledged_is_lost_or_doubled_and_the_portal_goes_on(
    live: Live, pair: Pair, record_property: Callable[[str, object], None]
) -> None:
    """Twenty times with `--long`: the one that was lost is made anew and follows, and then it takes over itself."""
    acknowledged, back = 0, []
    for number in range(FAILOVERS):
        pair.follow()
        with Load(live, number) as load:
            assert soon(lambda load=load: len(load.taken) >= 6), live.portal.said()
            time.sleep(random.uniform(0, 0.1))
            sure, visitors = dict(load.taken), list(load.visitors)
            pair.primary.kill()
            assert soon(lambda load=load: load.refused >= 3), "nobody noticed"
            pair.promote()
            began, many = time.monotonic(), len(load.taken)
            assert soon(lambda load=load, many=many: len(load.taken) >= many + 3), live.portal.said()
            back.append(time.monotonic() - began)
        session.rollback()
        mail = queue_a_mail()
        load.check(sure, visitors)
        assert soon(lambda mail=mail: is_sent(mail)), "the worker sends again"
        acknowledged += len(load.taken)
    record_property(
        "figure", f"Failovers: {FAILOVERS}, {acknowledged} orders acknowledged, 0 lost, 0 twice; "
        f"the next three were taken {max(back):.1f} s after the standby took over, at most",
    )  # fmt: skip


def queue_a_mail() -> str:
    """A mail for the worker, whose connections were lost as well; gives its name."""
    letter = outbox.Letter("friend@example.com", "friend", "News", "Something happened.", f"{clock.now()}")
    with database.writing():
        (name,) = outbox.put_all("test", "test", [letter], at=clock.now())
    return name


def is_sent(mail: str) -> bool:
    return session.scalar(sa.select(Message.state).where(Message.public_id == mail)) == outbox.State.SENT
