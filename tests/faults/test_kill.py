"""kill -9 in the middle of the work: what was answered is there, nothing is there by half, and it is back at once.

Orders, approvals and clicks come in from many clients while the processes are killed; ten times on each database, with `--long` 500 times (or PORTAL_TEST_KILLS).
Then the mails: workers are killed while they send.
"""

import os
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
import sqlalchemy as sa

from portal.core import clock, database
from portal.core.database import session
from portal.delivery import outbox
from portal.delivery.outbox import Message
from portal.reports import books
from portal.rewards.conversions import Conversion
from portal.rewards.decisions import Decision
from portal.rewards.rewards import Reward, State
from portal.sharing.clicks import Click
from tests.factories import EVERY, fixed
from tests.faults.conftest import live_once
from tests.faults.live import Live, soon
from tests.faults.portals import Browser, Gone
from tests.mailserver import MailServer, listening
from tests.postgres import Postgres

LONG = os.environ.get("PORTAL_TEST_LONG") == "1"

pytestmark = pytest.mark.timeout(0 if LONG else 300)

KILLS = int(os.environ.get("PORTAL_TEST_KILLS") or 500) if LONG else 10
BACK_WITHIN = 5.0


@pytest.fixture(params=["sqlite", "postgresql"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, maybe_postgres: Postgres | str
) -> Iterator[Live]:
    """A portal of this test's own, as many processes as a small machine has cores."""
    with live_once(request.param, tmp_path_factory, maybe_postgres, workers=2) as found:
        yield found


class Load:
    """Clients that go on until the server is gone, and remember what they were answered."""

    def __init__(self, live: Live, round_: int, friends: list[str]) -> None:
        self.live, self.round, self.friends = live, round_, friends
        self.orders: dict[str, tuple[str, list[str]]] = {}
        self.asked: dict[str, dict[str, object]] = {}
        self.approved: list[str] = []
        self.doubtful: list[str] = []
        self.visitors: list[str] = []
        self.wrong: list[str] = []
        self._to_approve: queue.Queue[str] = queue.Queue()  # a SimpleQueue of Python 3.11 may wait for ever
        self._over = threading.Event()
        self._code = live.scene.code(live.scene.alice)
        reviewers = live.colleagues(2, live.scene.rita)
        jobs: list[Callable[[], None]] = [
            *(lambda number=number: self._until_gone(self._order, live.visitor(), number) for number in range(3)),
            *(lambda window=window: self._until_gone(self._approve, window, 0) for window in reviewers),
            *(lambda: self._until_gone(self._click, live.visitor(), 0) for _ in range(2)),
        ]
        self._threads = [threading.Thread(target=job) for job in jobs]

    def run_until(self, kill: Callable[[], object], *, after: float) -> None:
        """Starts, kills after some seconds, and waits until everybody has noticed."""
        for thread in self._threads:
            thread.start()
        time.sleep(after)
        kill()
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=90)  # the client itself gives up after 60
            assert not thread.is_alive()
        assert not self.wrong, self.wrong[:3]

    def _until_gone(self, act: Callable[[Browser, str], None], client: Browser, number: int) -> None:
        count = 0
        with suppress(Gone):
            while not self._over.is_set():
                count += 1
                act(client, f"kill-{self.round}-{number}-{count}")

    def _order(self, client: Browser, name: str) -> None:
        order = {"goal": "purchase", "external_id": name, "amount_minor": 6400, "currency": "EUR",
                 "customer": {"email": random.choice(self.friends)}}  # fmt: skip
        self.asked[name] = order
        answer = client.tell("/api/v1/conversions", order, key=self.live.key)
        if answer.status != 201:
            self.wrong.append(f"{answer.status} {answer.text[:500]}")
            return
        rewards = [reward["id"] for reward in answer.json["rewards"]]
        self.orders[name] = (answer.json["id"], rewards)
        for reward in rewards:
            self._to_approve.put(reward)

    def _approve(self, client: Browser, _name: str) -> None:
        try:
            reward = self._to_approve.get(timeout=0.2)
        except queue.Empty:
            return
        self.doubtful.append(reward)
        answer = client.post(f"/admin/rewards/{reward}/approval")
        if answer.status != 302:
            self.wrong.append(f"{answer.status} {answer.text[:500]}")
        self.approved.append(reward)

    def _click(self, client: Browser, _name: str) -> None:
        answer = client.get(f"/r/{self._code}")
        if answer.status != 302:
            self.wrong.append(f"{answer.status} {answer.text[:500]}")
        self.visitors.append(client.cookies.pop("visitor").partition(".")[0])

    def check(self) -> None:
        """What was acknowledged is there; the rest is there whole or not at all, and can be asked again."""
        session.rollback()
        there = {
            name: number for name, number in session.execute(sa.select(Conversion.external_id, Conversion.public_id))
        }
        given = set(session.scalars(sa.select(Reward.public_id)))
        for name, (conversion, rewards) in self.orders.items():
            assert there.get(name) == conversion, f"order {name} was acknowledged and is lost"
            assert set(rewards) <= given
        decided = sa.select(Reward.public_id).join(Decision, Decision.reward_id == Reward.id)
        assert set(self.approved) <= set(session.scalars(decided.where(Reward.state == State.APPROVED)))
        assert set(self.visitors) <= set(session.scalars(sa.select(Click.visitor)))
        assert list(books.faults()) == []

    def ask_again(self) -> None:
        """Everything again, as a shop does that got no answer: nothing is there twice."""
        shop, (rita,) = self.live.visitor(), self.live.colleagues(1, self.live.scene.rita)
        for name, order in self.asked.items():
            if name not in self.orders:
                answer = shop.tell("/api/v1/conversions", order, key=self.live.key)
                assert answer.status in (200, 201), answer.text
        for reward in set(self.doubtful) - set(self.approved):
            assert rita.post(f"/admin/rewards/{reward}/approval").status == 302
        session.rollback()
        names = list(session.scalars(sa.select(Conversion.external_id).where(Conversion.external_id.in_(self.asked))))
        assert sorted(names) == sorted(self.asked)
        state = sa.select(Reward.state).where(Reward.public_id.in_(self.doubtful))
        assert set(session.scalars(state)) <= {State.APPROVED}


def test_killed_under_load_nothing_acknowledged_is_lost(
    live: Live, record_property: Callable[[str, object], None]
) -> None:
    live.scene.publish(fixed(2000, **EVERY))
    friends = [live.scene.friend(f"Friend {number}", of=live.scene.alice).email for number in range(8)]
    usual = live.portal.took
    back, answers = [], 0
    for number in range(KILLS):
        load = Load(live, number, friends)
        only_the_servers = number % 5 == 4
        load.run_until(
            live.portal.kill_servers if only_the_servers else live.portal.kill, after=random.uniform(0.3, 0.9)
        )
        back.append(live.portal.wait() if only_the_servers else live.portal.start())
        load.check()
        load.ask_again()
        answers += len(load.orders) + len(load.approved) + len(load.visitors)
    assert answers > 10 * KILLS, "there was hardly anything to lose"
    back.sort()
    record_property(
        "figure", f"Kills on {session.get_bind().dialect.name}: {KILLS}, {answers} answers acknowledged, 0 lost, "
        f"back after {back[KILLS // 2]:.1f} s, at most {back[-1]:.1f} s",
    )  # fmt: skip
    # On a busy machine every start takes longer; that one after a kill takes no longer than any is what counts.
    assert back[KILLS // 2] <= max(BACK_WITHIN, 2 * usual), back


# --- mails ----------------------------------------------------------------------------------------------------

MAILS = int(os.environ.get("PORTAL_TEST_MAILS") or 1000) if LONG else 300
PATIENCE_S = 60 + MAILS // 10
AT_ONCE = 4 if LONG else 2
ROUNDS = 5 if LONG else 3


@pytest.mark.case(87)
def test_killed_while_sending_no_mail_is_lost(live: Live) -> None:
    """Over a real conversation with a mail server. `--long`: 1,000 mails, or PORTAL_TEST_MAILS, four workers, twenty kills."""
    live.portal.stop()
    names = queue_mails(MAILS)
    with listening(MailServer()) as server:
        live.portal.environ["MAIL_URL"] = f"smtp://127.0.0.1:{server.port}?security=none"
        for number in range(ROUNDS):
            wanted = MAILS * (2 * number + 1) // (2 * ROUNDS + 2)
            with ExitStack() as killed:
                for _ in range(AT_ONCE):
                    killed.enter_context(live.portal.worker())
                assert soon(lambda wanted=wanted: sent() >= wanted, within=PATIENCE_S), live.portal.said()
            session.rollback()  # what was read while they lived is not what they left
            let_the_leases_run_out()
        with live.portal.worker():
            assert soon(lambda: sent() >= MAILS, within=PATIENCE_S), live.portal.said()
        waiting = sa.select(sa.func.count()).select_from(Message).where(Message.state != outbox.State.SENT)
        assert not session.scalar(waiting)
        copies = Counter({name.strip("<>").partition("@")[0]: many for name, many in server.copies.items()})
    assert names <= set(copies), "none is lost, and each went out under its own Message-ID"
    print(f"{len(copies)} mails, {ROUNDS * AT_ONCE} kills: {copies.total() - len(copies)} copies beyond one, 0 lost")
    assert copies.total() - len(copies) <= ROUNDS * AT_ONCE, "at most one copy more for each kill"


def queue_mails(many: int) -> set[str]:
    """Puts mails into the outbox; gives their names."""
    letters = [
        outbox.Letter(f"friend{number}@example.com", f"{number}", "News", "Something happened.", str(number))
        for number in range(many)
    ]
    with database.writing():
        return set(outbox.put_all("test", "test", letters, at=clock.now()))


def sent() -> int:
    state = Message.state == outbox.State.SENT
    return session.scalar(sa.select(sa.func.count()).select_from(Message).where(state, Message.kind == "test")) or 0


def let_the_leases_run_out() -> None:
    """As if their five minutes had passed."""
    with database.writing():
        session.execute(
            sa.update(Message)
            .where(Message.state == outbox.State.SENDING)
            .values(leased_until=clock.now() - outbox.LEASE)
        )
