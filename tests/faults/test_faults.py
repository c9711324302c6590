"""Faults in the middle of things: a statement that fails, a locked database, a full disk, a cut connection.

Each time: all of it or nothing, an answer of 503 that says when to come again, and the next try works by itself.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from portal import program
from portal.accounts import api_keys
from portal.accounts.users import NOWHERE, find_by_email
from portal.core import database
from portal.core.database import session
from portal.reports import books
from portal.rewards import goals
from portal.rewards.conversions import Conversion, Customer, OrderReport
from portal.rewards.decisions import Reason
from portal.rewards.refunds import RefundReport
from portal.sharing import clicks
from portal.sharing.clicks import Click
from tests.factories import NOON, PASSWORD, REFEREE, Scene, fixed
from tests.faults.conftest import LONG
from tests.postgres import Postgres
from tests.web.client import FIREFOX, Tab
from tests.web.page import Form
from tests.web.tables import Unchanged, changes, contents

Step = Callable[[], Any]

MOST = 300
"""More statements than any verb or request has: a loop that gets there has lost its way."""


@pytest.fixture(autouse=True)
def the_day_of_the_scene() -> Iterator[None]:
    """Requests are answered on the day on which the scene begins."""
    with time_machine.travel(NOON):
        yield


# --- a fault at each statement --------------------------------------------------------------------------------


@contextmanager
def at_statement(number: int, strike: Step) -> Iterator[list[str]]:
    """Strikes before the statement of this number of the app's engine (its COMMIT counts too); gives what was seen."""
    seen: list[str] = []

    def count(statement: str) -> None:
        seen.append(statement)
        if len(seen) == number:
            strike()

    def executes(_c: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _many: bool) -> None:
        count(statement)

    def commits(_connection: Any) -> None:
        count("COMMIT")

    engine = database.db.engine
    event.listen(engine, "before_cursor_execute", executes)
    event.listen(engine, "commit", commits)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", executes)
        event.remove(engine, "commit", commits)


def break_down() -> None:
    """The disk says no."""
    raise OperationalError("…", {}, Exception("disk I/O error"))


def signs_up(scene: Scene) -> Step:
    code, hashed = scene.code(scene.alice), scene.password_hash()
    return lambda: program.sign_up(
        email="dora@example.com", name="Dora", password=hashed, seen=NOWHERE, carried=code, at=scene.at
    )


def confirms(scene: Scene) -> Step:
    """An order waits for her, and signing up is itself rewarded."""
    scene.publish(fixed(2000), fixed(500, to=REFEREE), fixed(100, goal=goals.SIGNUP))
    dora = scene.sign_up("Dora", carried=scene.code(scene.alice))
    scene.order(dora)
    secret = scene.secret_for(dora)
    return lambda: program.confirm(secret, at=scene.at)


def converts(scene: Scene) -> Step:
    report = OrderReport(goals.PURCHASE, "o-1", Customer(email=scene.bob.email), scene.at, 6400, "EUR")
    return lambda: program.convert(report, at=scene.at)


def refunds(scene: Scene) -> Step:
    """Of an order whose reward stands in a batch."""
    scene.payable_reward()
    order = session.scalars(sa.select(Conversion.external_id).where(Conversion.goal == goals.PURCHASE)).one()
    scene.batch()
    return lambda: program.refund(RefundReport("r-1", order, None), at=scene.at)


def approves(scene: Scene) -> Step:
    reward, rita = scene.pending_reward().id, scene.rita.id
    return lambda: program.approve(reward, by=rita, at=scene.at)


def rejects(scene: Scene) -> Step:
    reward, rita = scene.pending_reward().id, scene.rita.id
    return lambda: program.reject(
        reward, by=rita, reason=Reason.DUPLICATE, told="Not this time.", note="Seen before.", at=scene.at
    )


def undoes(scene: Scene) -> Step:
    """Of a reward that stands in a batch."""
    reward, rita = scene.payable_reward().id, scene.rita.id
    scene.batch()
    return lambda: program.undo(reward, by=rita, note="A mistake.", at=scene.at)


def releases(scene: Scene) -> Step:
    scene.approved_reward()
    scene.approve(scene.reward(scene.bob))
    scene.later(days=31)
    return lambda: program.release_due(at=scene.at)


def both_ready(scene: Scene) -> int:
    """Alice and Bob can be paid; gives who pays them."""
    scene.approved_reward()
    scene.approve(scene.reward(scene.bob))
    scene.method(scene.alice)
    scene.method(scene.bob)
    scene.later(days=31)
    return scene.finn.id


def draws(scene: Scene) -> Step:
    finn = both_ready(scene)
    return lambda: program.draw_batch(by=finn, at=scene.at)


def approves_batch(scene: Scene) -> Step:
    finn = both_ready(scene)
    batch = scene.batch()
    return lambda: program.approve_batch(batch, by=finn, at=scene.at)


def exports(scene: Scene) -> Step:
    finn = both_ready(scene)
    batch = scene.approve_batch(scene.batch())
    return lambda: program.export_batch(batch, by=finn, at=scene.at)


def pays(scene: Scene) -> Step:
    finn = both_ready(scene)
    batch = scene.exported_batch()
    return lambda: program.pay_batch(batch, by=finn, at=scene.at)


def fails(scene: Scene) -> Step:
    finn = both_ready(scene)
    payout = scene.exported_batch().payouts[0]
    return lambda: program.fail(payout, failure="Account closed.", by=finn, at=scene.at)


PATHS = (
    signs_up, confirms, converts, refunds, approves, rejects, undoes, releases,
    draws, approves_batch, exports, pays, fails,
)  # fmt: skip


@pytest.mark.both_databases
@pytest.mark.parametrize("prepare", PATHS)
def test_a_fault_at_any_statement_leaves_nothing_and_the_next_try_does_it_all(
    scene: Scene, prepare: Callable[[Scene], Step]
) -> None:
    scene.publish(fixed(2000), fixed(500, to=REFEREE))
    step = prepare(scene)
    before = contents()
    for number in range(1, MOST):
        with at_statement(number, break_down) as seen:
            struck = runs_into_a_fault(lambda: scene.do(step))
        if not struck:
            break
        assert len(seen) == number, f"somebody went on after the fault: {seen[number - 1 :]}"
        assert not changes(before, contents()), f"half done at {seen[-1]}"
    assert 4 < number < MOST - 1 and len(seen) == number - 1 and seen[-1] == "COMMIT"
    assert changes(before, contents())
    assert list(books.faults()) == []


def runs_into_a_fault(step: Step) -> bool:
    """Whether the disk said no."""
    try:
        step()
    except OperationalError as error:
        assert "disk I/O error" in str(error)
        return True
    return False


# --- what a request may meet ----------------------------------------------------------------------------------


class Outside:
    """A shop, somebody who signs up, and somebody who follows Alice's link: what each of them gets to see."""

    def __init__(self, app: Flask, scene: Scene) -> None:
        self.app, self.code = app, scene.code(scene.alice)
        self.bob = scene.bob.email
        self.key = scene.do(lambda: api_keys.make("the shop", by=None, at=scene.at))
        self.tab = Tab(app)
        self.form: Form = self.tab.get("/signup").form("/signup")
        self.tab.may_break = True

    def ask(self, path: str, **given: Any) -> TestResponse:
        return self.app.test_client(use_cookies=False).open(path, base_url=self.tab.base_url, **given)

    def order(self, external_id: str = "o-1") -> TestResponse:
        told = {"goal": "purchase", "external_id": external_id, "customer": {"email": self.bob},
                "amount_minor": 6400, "currency": "EUR"}  # fmt: skip
        return self.ask(
            "/api/v1/conversions", method="POST", json=told, headers={"Authorization": f"Bearer {self.key}"}
        )

    def sign_up(self, email: str = "dora@example.com") -> TestResponse:
        fields = self.form.filled({"email": email, "password": PASSWORD, "terms": True})
        return self.tab.client.post(
            "/signup", data=fields, base_url=self.tab.base_url, headers=self.tab.from_here() | {"User-Agent": FIREFOX}
        )

    def follow(self, agent: str = FIREFOX) -> TestResponse:
        return self.ask(f"/r/{self.code}", headers={"User-Agent": agent})

    def is_sent_on(self) -> bool:
        answer = self.follow()
        return (answer.status_code, answer.location) == (302, f"/signup?ref={self.code}")


@pytest.fixture
def outside(app: Flask, scene: Scene) -> Outside:
    return Outside(app, scene)


def check_503(answer: TestResponse) -> None:
    """It says that it is not for now, when to come again, and in the manner of whoever asked."""
    assert answer.status_code == 503, (answer.status_code, answer.text[:300])
    assert int(answer.headers["Retry-After"]) > 0
    api = answer.request.path.startswith("/api/")
    assert answer.content_type == ("application/problem+json" if api else "text/html; charset=utf-8")
    assert "</html>" in answer.text or answer.get_json(force=True)["status"] == 503
    for word in ("Traceback", "sqlite", "psycopg", "sqlalchemy", "SELECT", "INSERT"):
        assert word not in answer.text


def count(model: type[Any]) -> int:
    session.rollback()
    found = session.scalar(sa.select(sa.func.count()).select_from(model)) or 0
    session.rollback()
    return found


@contextmanager
def connections_with(pragma: str) -> Iterator[None]:
    """All of the app's connections are new and have this pragma; afterwards they are new again and do not."""

    def say(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute(f"PRAGMA {pragma}").close()

    session.rollback()
    engines = database.db.engines.values()
    for engine in engines:
        event.listen(engine, "connect", say)
        engine.dispose()
    try:
        yield
    finally:
        session.rollback()
        for engine in engines:
            event.remove(engine, "connect", say)
            engine.dispose()


# --- SQLite: locked -------------------------------------------------------------------------------------------


@contextmanager
def somebody_else_writes() -> Iterator[None]:
    """Another program holds the write lock for longer than the portal waits."""
    other = sqlite3.connect(database.db.engine.url.database or "", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


def test_a_locked_database_is_a_503_with_nothing_done_and_the_same_request_works_later(outside: Outside) -> None:
    with connections_with("busy_timeout=100"):
        with Unchanged(), somebody_else_writes():
            check_503(outside.order())
            check_503(outside.sign_up())
        assert outside.order().status_code == 201
        assert outside.sign_up().location == "/check-your-email"
    assert outside.order().status_code == 200
    assert count(Conversion) == 2 + 1  # the signups of Alice and Bob, and the order


def test_reading_goes_on_while_somebody_else_writes(outside: Outside) -> None:
    with connections_with("busy_timeout=100"), somebody_else_writes():
        for path in ("/", "/signup", "/login", "/healthz"):
            assert outside.ask(path).status_code == 200


def test_a_friend_is_sent_on_though_the_database_is_locked(outside: Outside) -> None:
    with connections_with("busy_timeout=100"):
        with Unchanged(), somebody_else_writes():
            assert outside.is_sent_on()
        assert outside.is_sent_on()
    assert count(Click) == 1


# --- SQLite: full ---------------------------------------------------------------------------------------------


def fill_up(ask: Callable[[int], TestResponse]) -> tuple[int, TestResponse]:
    """Asks for one thing after the other until one does not fit; gives which, and the answer. It changed nothing."""
    for number in range(1, MOST):
        before = contents()
        answer = ask(number)
        if answer.status_code >= 500:
            assert not changes(before, contents())
            return number, answer
    pytest.fail("the disk was never full")


FULL = "max_page_count=1"
"""SQLite takes this as the pages that there are."""


def test_a_full_disk_is_a_503_for_the_shop_and_the_same_order_works_later(outside: Outside) -> None:
    with connections_with(FULL):
        number, answer = fill_up(lambda number: outside.order(f"o-{number}"))
        check_503(answer)
        assert outside.ask("/").status_code == 200
    assert outside.order(f"o-{number}").status_code == 201
    assert outside.order(f"o-{number}").status_code == 200


def test_a_full_disk_is_a_503_for_who_signs_up_and_the_same_form_works_later(outside: Outside) -> None:
    with connections_with(FULL):
        number, answer = fill_up(lambda number: outside.sign_up(f"dora{number}@example.com"))
        check_503(answer)
    assert outside.sign_up(f"dora{number}@example.com").location == "/check-your-email"
    assert find_by_email(f"dora{number}@example.com") is not None


def test_a_friend_is_sent_on_though_the_disk_is_full(outside: Outside) -> None:
    with connections_with(FULL):
        for stored in range(MOST):
            assert outside.is_sent_on()
            if count(Click) == stored:
                break
        assert count(Click) == stored < MOST - 1
    assert outside.is_sent_on()
    assert count(Click) == stored + 1


# --- PostgreSQL: cut ------------------------------------------------------------------------------------------


class Server:
    """The database server's own hand on the app's database."""

    def __init__(self, postgres: Postgres) -> None:
        self.name = database.db.engine.url.database
        address = postgres.url("postgres").replace("postgresql+psycopg://", "postgresql://", 1)
        self.admin = psycopg.connect(address, autocommit=True)

    def cut(self) -> None:
        """Ends every connection to the app's database, and waits until they are gone."""
        self.admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (self.name,)
        )

    @contextmanager
    def away(self) -> Iterator[None]:
        """The database takes no connections."""
        session.rollback()
        self._take_connections(False)
        try:
            self.cut()
            yield
        finally:
            self._take_connections(True)

    def _take_connections(self, takes: bool) -> None:
        self.admin.execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS {takes}'.encode())


@pytest.fixture
def server(app: Flask, postgres: Postgres) -> Iterator[Server]:
    found = Server(postgres)
    yield found
    found.admin.close()


@pytest.mark.on_postgresql
def test_connections_cut_between_requests_are_noticed_by_nobody(outside: Outside, server: Server) -> None:
    assert outside.is_sent_on()
    server.cut()
    assert outside.order().status_code == 201
    server.cut()
    assert outside.sign_up().location == "/check-your-email"
    server.cut()
    assert outside.is_sent_on()
    assert count(Click) == 2


@pytest.mark.on_postgresql
@pytest.mark.parametrize("what", ["order", "sign_up"])
def test_a_connection_cut_at_any_statement_is_a_503_with_nothing_done_and_the_next_request_works(
    outside: Outside, server: Server, what: str
) -> None:
    ask: Callable[[], TestResponse] = getattr(outside, what)
    before = contents()
    for number in range(1, MOST):
        with at_statement(number, server.cut) as seen:
            answer = ask()
        if len(seen) < number:
            break
        check_503(answer)
        assert not changes(before, contents()), f"half done at {seen[number - 1]}"
        assert outside.ask("/").status_code == 200
    assert number > 8 and "COMMIT" in seen
    assert answer.status_code == (201 if what == "order" else 302)
    assert count(Conversion) == (3 if what == "order" else 2)


@pytest.mark.on_postgresql
def test_a_friend_whose_connection_is_cut_between_link_and_click_is_sent_on_and_counted(
    outside: Outside, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = clicks.record

    def cut_and_record(*given: Any, **more: Any) -> None:
        server.cut()
        record(*given, **more)

    monkeypatch.setattr(clicks, "record", cut_and_record)
    assert outside.is_sent_on()
    assert outside.is_sent_on()
    assert count(Click) == 2


@pytest.mark.on_postgresql
def test_while_the_database_is_away_friends_are_sent_on_and_others_told_to_come_again(
    outside: Outside, server: Server, scene: Scene
) -> None:
    assert outside.is_sent_on()
    rita = Tab(outside.app)
    rita.sign_in(scene.rita.email)
    rita.may_break = True
    with server.away():
        assert outside.is_sent_on()
        assert outside.follow("Googlebot/2.1 (+http://www.google.com/bot.html)").status_code == 302
        check_503(outside.order())
        check_503(outside.sign_up())
        check_503(outside.ask("/"))
        assert rita.get("/admin/rewards").status == 503
    assert rita.get("/admin/rewards").status == 200
    assert outside.order().status_code == 201
    assert outside.sign_up().location == "/check-your-email"
    assert outside.is_sent_on()
    assert count(Click) == 2


@pytest.mark.on_postgresql
@pytest.mark.parametrize("path", ["/dashboard", "/admin/rewards"] if LONG else ["/admin/rewards"])
def test_a_connection_cut_at_a_statement_of_a_page_of_ones_own_is_a_503_and_the_next_look_works(
    app: Flask, scene: Scene, server: Server, path: str
) -> None:
    """`--long`: at each statement."""
    scene.pending_reward()
    rita = Tab(app)
    rita.sign_in(scene.rita.email)
    rita.may_break = True
    for number in range(1, MOST, 1 if LONG else 6):
        with at_statement(number, server.cut) as seen:
            status = rita.get(path).status
        if len(seen) < number:
            break
        assert status == 503, seen[-1]
        assert rita.get("/terms").status == 200
    assert number > 8 and status == 200


@pytest.mark.on_postgresql
def test_a_connection_cut_when_the_answer_is_ready_changes_nothing_about_it(
    outside: Outside, server: Server, scene: Scene
) -> None:
    """The last thing that a page asks of the database is to forget the reading."""
    rita = Tab(outside.app)
    rita.sign_in(scene.rita.email)
    session.rollback()
    engine = database.db.engine
    for look in (lambda: outside.ask("/").status_code, lambda: rita.get("/admin/rewards").status):
        ends: list[str] = []
        event.listen(engine, "rollback", lambda _, ends=ends: (ends.append("ROLLBACK"), server.cut()), once=True)
        assert look() == 200
        assert ends
    assert rita.get("/admin/rewards").status == 200
