"""Races: what many do at once, how often it may take effect, and the guard without which it goes wrong.

A race prepares a round: the acts to be done at the same moment, each in a thread, a session and a write of its own,
and the question what went wrong. A refusal with a name is an answer; any other exception is something that went wrong.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from portal import program
from portal.accounts.users import User
from portal.core import database
from portal.core.database import session
from portal.core.text import Refusal
from portal.payouts.methods import Kind
from portal.referrals.referrals import Referral
from portal.reports import books
from portal.rewards import rewards
from portal.rewards.conversions import Customer, OrderReport
from portal.rewards.refunds import RefundReason, RefundReport, ReinstatementReport
from tests import invariants
from tests.factories import Scene

Acts = list[Callable[[], Any]]
Question = Callable[[list[Any]], Iterator[str]]

PEOPLE, NAMES = "lock", "lock_names"
"""The two ways to lock, by their names in `database`: the rows of people and batches, and names without a row."""


@dataclass(frozen=True)
class Race:
    """`prepare` sets up one round for so many clients; `guards` are what makes it come out right."""

    prepare: Callable[[Scene, int], tuple[Acts, Question]]
    offer: tuple[dict[str, Any], ...] = ()
    clients: int = 8
    drop: tuple[str, ...] = ()
    """SQL for PostgreSQL that drops the constraints that guard this race."""
    locks: tuple[str, ...] = ()
    """The functions of `database` that guard this race."""

    @property
    def name(self) -> str:
        return self.prepare.__name__


MOST_ON_SQLITE = 16
"""More would only sleep longer: there one writes at a time, and the others look again and again."""


# --- run ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Late:
    """An act a little later than the others: a short one meets a long one in another place each round."""

    act: Callable[[], Any]
    seconds: float

    def __call__(self) -> Any:
        return self.act()


def spread(scene: Scene, acts: Acts) -> Acts:
    """These acts one after another, a few milliseconds apart, and all of them later from round to round."""
    return [Late(act, 0.004 * number + 0.001 * scene.round) for number, act in enumerate(acts)]


def lingering(act: Callable[[], Any], seconds: float = 0.02) -> Callable[[], Any]:
    """An act that keeps its write open a while after its work: what is decided without seeing it shows."""

    def does() -> Any:
        outcome = act()
        time.sleep(seconds)
        return outcome

    return does


def at_once(scene: Scene, acts: Acts) -> list[Any]:
    """Does all acts at the same moment. Gives what each returned, or the exception that it raised."""
    session.rollback()
    start, outcomes = threading.Barrier(len(acts)), [None] * len(acts)

    def client(number: int) -> None:
        with scene.app.app_context():
            try:
                start.wait(timeout=60)
                if isinstance(acts[number], Late):
                    time.sleep(acts[number].seconds)
                with database.writing():
                    outcomes[number] = acts[number]()
            except Exception as trouble:
                outcomes[number] = trouble  # type: ignore[call-overload]

    threads = [threading.Thread(target=client, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def play(scene: Scene, race: Race, *, rounds: int) -> str | None:
    """Plays rounds until something goes wrong, and says what; None if nothing did. The books are checked at the end."""
    clients = min(race.clients, MOST_ON_SQLITE) if database.is_sqlite() else race.clients
    for number in range(rounds):
        scene.round = number
        acts, question = race.prepare(scene, clients)
        outcomes = at_once(scene, acts)
        strange = [o for o in outcomes if isinstance(o, Exception) and not isinstance(o, Refusal)]
        found = [f"{type(s).__name__}: {s}" for s in strange]
        found += question(outcomes)
        if found or number % 12 == 11:
            found += [*books.faults(), *invariants.faults()]
        if found:
            return f"round {number + 1}: " + "; ".join(found)
    return None


@contextmanager
def without(race: Race, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes the guards of a race away."""
    with database.writing():
        for statement in race.drop:
            session.execute(sa.text(statement))
    for name in race.locks:
        monkeypatch.setattr(database, name, lambda *args, **kwargs: None)
    yield
    monkeypatch.undo()


def granted(outcomes: list[Any]) -> list[Any]:
    """What was not refused."""
    return [outcome for outcome in outcomes if not isinstance(outcome, Exception)]


def expect(what: str, found: Any, wanted: Any) -> Iterator[str]:
    if found != wanted:
        yield f"{what}: {found}, not {wanted}"


def count(model: type[Any], *where: Any) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(model).where(*where)) or 0


def rewards_for(referee_id: int) -> int:
    """How many rewards there are for a friend."""
    of_friend = sa.select(Referral.id).where(Referral.referee_id == referee_id)
    return count(rewards.Reward, rewards.Reward.referral_id.in_(of_friend))


# --- people ---------------------------------------------------------------------------------------------------


def newcomer(scene: Scene, name: str, **given: Any) -> User:
    """A customer of the shop, in one write."""
    number = next(scene._numbers)
    return scene.customer(f"C-{number}", f"{name}{number}@example.com", **given)[0]


def a_reward(scene: Scene, *, approved: bool = False, ready: bool = False) -> tuple[int, str, User]:
    """A reward of somebody new by a friend's order: its row number, the order's id, its person."""
    person = newcomer(scene, "referrer")
    friend = newcomer(scene, "friend", code=scene.code(person))
    order = scene.order(friend)
    reward = scene.reward(person)
    if approved or ready:
        scene.approve(reward)
    if ready:
        scene.do(lambda: setattr(session.get_one(User, person.id), "confirmed_at", scene.at))
        scene.method(person, Kind.CREDIT)
        scene.do(lambda: setattr(session.get_one(rewards.Reward, reward.id), "hold_until", scene.at))
        scene.release()
    return reward.id, order.conversion.external_id, person


def state(reward_id: int) -> str:
    session.expire_all()
    return session.get_one(rewards.Reward, reward_id).state


def approve(scene: Scene, reward_id: int) -> Callable[[], Any]:
    by = scene.rita.id
    return lambda: program.approve(reward_id, by=by, at=scene.at).id


def convert(scene: Scene, report: OrderReport) -> Callable[[], Any]:
    return lambda: program.convert(report, at=scene.at).answer


def refund(scene: Scene, order: str, external_id: str, amount_minor: int | None = None) -> Callable[[], Any]:
    return lambda: program.refund(RefundReport(external_id, order, amount_minor), at=scene.at).answer


def charge_back(scene: Scene, order: str, external_id: str, amount_minor: int | None = None) -> Callable[[], Any]:
    told = RefundReport(external_id, order, amount_minor, reason=RefundReason.CHARGEBACK)
    return lambda: program.refund(told, at=scene.at).answer


def win(scene: Scene, external_id: str) -> Callable[[], Any]:
    return lambda: program.reinstate(ReinstatementReport(external_id), at=scene.at).answer


def report(scene: Scene, customer: User, external_id: str) -> OrderReport:
    return OrderReport("purchase", external_id, Customer(email=customer.email), scene.at, 6400, "EUR")
