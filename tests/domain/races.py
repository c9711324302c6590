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

from portal import program, terms
from portal.accounts.users import NOWHERE, User
from portal.core import database, money
from portal.core.database import session
from portal.core.text import Refusal
from portal.payouts.methods import Kind
from portal.payouts.payouts import Line
from portal.program import Answer
from portal.referrals.referrals import Referral
from portal.reports import books
from portal.rewards import ledger, rewards
from portal.rewards.conversions import Conversion, Customer, OrderReport, RefundReport
from portal.rewards.rewards import Reason, State
from portal.sharing import links
from tests import invariants
from tests.factories import Scene, fixed

Acts = list[Callable[[], Any]]
Question = Callable[[list[Any]], Iterator[str]]


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
    for number in range(rounds):
        scene.round = number
        acts, question = race.prepare(scene, race.clients)
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


def report(scene: Scene, customer: User, external_id: str) -> OrderReport:
    return OrderReport("purchase", external_id, Customer(email=customer.email), scene.at, 6400, "EUR")


# --- the races ------------------------------------------------------------------------------------------------


def the_same_sign_up(scene: Scene, clients: int) -> tuple[Acts, Question]:
    email, code = f"friend{next(scene._numbers)}@example.com", scene.code(scene.alice)

    def act() -> None:
        program.sign_up(email=email, name="Bob", password="!", seen=NOWHERE, carried=code, at=scene.at)

    def question(outcomes: list[Any]) -> Iterator[str]:
        people = session.scalars(sa.select(User.id).where(sa.func.lower(User.email) == email)).all()
        yield from expect("accounts", len(people), 1)
        yield from expect("referrals", count(Referral, Referral.referee_id.in_(people)), 1)
        yield from expect("links", count(links.Link, links.Link.owner_id.in_(people)), 1)
        yield from expect("told yes", len(granted(outcomes)), clients)

    return [act] * clients, question


def the_same_confirmation(scene: Scene, clients: int) -> tuple[Acts, Question]:
    friend = scene.sign_up(f"Friend {next(scene._numbers)}", carried=scene.code(scene.alice))
    number, secret = friend.id, scene.secret_for(friend)

    def act() -> bool:
        return program.confirm(secret, at=scene.at) is not None

    def question(outcomes: list[Any]) -> Iterator[str]:
        signups = count(Conversion, Conversion.goal == "signup", Conversion.customer_id == number)
        yield from expect("confirmations", granted(outcomes).count(True), 1)
        yield from expect("sign-ups counted", signups, 1)

    return [act] * clients, question


def the_same_order(scene: Scene, clients: int) -> tuple[Acts, Question]:
    friend = newcomer(scene, "friend", code=scene.code(scene.alice))
    number, told = friend.id, report(scene, friend, f"race-{next(scene._numbers)}")

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("orders", count(Conversion, Conversion.external_id == told.external_id), 1)
        yield from expect("rewards", rewards_for(number), 1)
        yield from expect("made", granted(outcomes).count(Answer.MADE), 1)
        yield from expect("known", granted(outcomes).count(Answer.KNOWN), clients - 1)

    return [convert(scene, told)] * clients, question


def the_same_approval(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, _, person = a_reward(scene)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("approvals", len(granted(outcomes)), 1)
        yield from expect("decisions", count(rewards.Decision, rewards.Decision.reward_id == number), 1)
        yield from expect("mails", len(scene.mails("reward_approved", to=person)), 1)
        told = {str(outcome) for outcome in outcomes if isinstance(outcome, Refusal)}
        yield from expect("told", {text.startswith("Approved by Rita at") for text in told}, {True})

    return [approve(scene, number)] * clients, question


def an_approval_against_a_rejection(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, _, _ = a_reward(scene)
    by = scene.rita.id

    def rejects() -> Any:
        return program.reject(number, by=by, reason=Reason.OTHER, told="No.", at=scene.at).id

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("decisions granted", len(granted(outcomes)), 1)
        yield from expect("decisions", count(rewards.Decision, rewards.Decision.reward_id == number), 1)
        approved = any(not isinstance(outcome, Exception) for outcome in outcomes[: clients // 2])
        yield from expect("state", state(number), State.APPROVED if approved else State.REJECTED)

    return [approve(scene, number)] * (clients // 2) + [rejects] * (clients // 2), question


def a_refund_against_an_approval(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, order, person = a_reward(scene)
    gives_back = refund(scene, order, f"race-{next(scene._numbers)}")

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("state", state(number), State.REVERSED)
        yield from expect("balance", scene.balance(person), {})
        yield from expect("taken back", rewards.taken_back(number), 2000)
        yield from expect("refunds made", outcomes.count(Answer.MADE), 1)

    return [approve(scene, number), gives_back] * (clients // 2), question


def refunds_against_their_order(scene: Scene, clients: int) -> tuple[Acts, Question]:
    person = newcomer(scene, "referrer")
    friend = newcomer(scene, "friend", code=scene.code(person))
    told = report(scene, friend, f"race-{next(scene._numbers)}")
    parts = [refund(scene, told.external_id, f"race-{next(scene._numbers)}", 1000) for _ in range(clients - 2)]

    def question(outcomes: list[Any]) -> Iterator[str]:
        left = 2000 - money.half_up(2000 * 1000 * (clients - 2), 6400)
        yield from expect("balance", scene.balance(person), {"pending": left})
        yield from expect("orders made", outcomes[:2].count(Answer.MADE), 1)

    return [convert(scene, told)] * 2 + spread(scene, parts), question


def the_same_refund(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, order, person = a_reward(scene, approved=True)
    told = RefundReport(f"race-{next(scene._numbers)}", order, 1600)

    def act() -> Any:
        return program.refund(told, at=scene.at).answer

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("taken back", rewards.taken_back(number), 500)
        yield from expect("balance", scene.balance(person), {"approved": 1500})
        yield from expect("made", outcomes.count(Answer.MADE), 1)

    return [act] * clients, question


def the_same_batch(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, _, person = a_reward(scene, ready=True)
    by = scene.finn.id

    def act() -> Any:
        return program.draw_batch(by=by, at=scene.at).id

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("batches", len(granted(outcomes)), 1)
        yield from expect("lines", count(Line, Line.reward_id == number, Line.returned_at.is_(None)), 1)
        yield from expect("balance", scene.balance(person), {"in_payout": 2000})

    return [act] * clients, question


def the_same_payment(scene: Scene, clients: int) -> tuple[Acts, Question]:
    _, _, person = a_reward(scene, ready=True)
    batch = scene.exported_batch()
    number, by, payout = batch.id, scene.finn.id, batch.payouts[0].id

    def act() -> Any:
        from portal.payouts.payouts import Batch, Payout

        if payout % 2:
            return program.pay(session.get_one(Payout, payout), by=by, at=scene.at)
        return bool(program.pay_batch(session.get_one(Batch, number), by=by, at=scene.at))

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("payments", outcomes.count(True), 1)
        yield from expect("others told no", outcomes.count(False), clients - 1)
        yield from expect("balance", scene.balance(person), {"paid": 2000})
        yield from expect("mails", len(scene.mails("payout_paid", to=person)), 1)

    return [act] * clients, question


def a_payment_against_its_failure(scene: Scene, clients: int) -> tuple[Acts, Question]:
    _, _, person = a_reward(scene, ready=True)
    payout, by = scene.exported_batch().payouts[0].id, scene.finn.id

    def act(paid: bool) -> Callable[[], Any]:
        from portal.payouts.payouts import Payout

        def done() -> Any:
            found = session.get_one(Payout, payout)
            if paid:
                return program.pay(found, by=by, at=scene.at)
            return program.fail(found, failure="Closed.", by=by, at=scene.at)

        return done

    def question(outcomes: list[Any]) -> Iterator[str]:
        paid = True in outcomes[: clients // 2]
        yield from expect("endings", outcomes.count(True), 1)
        yield from expect("balance", scene.balance(person), {"paid": 2000} if paid else {"payable": 2000})
        if not paid:  # or the next round would draw it too
            scene.pay_batch(scene.exported_batch())

    return [act(True)] * (clients // 2) + [act(False)] * (clients // 2), question


def a_tier_of_one(scene: Scene, clients: int) -> tuple[Acts, Question]:
    person = newcomer(scene, "referrer")
    friends = [newcomer(scene, "friend", code=scene.code(person)) for _ in range(clients)]
    acts = [convert(scene, report(scene, friend, f"race-{next(scene._numbers)}")) for friend in friends]

    def question(outcomes: list[Any]) -> Iterator[str]:
        made = scene.rewards(person)
        yield from expect("ordinals", sorted(reward.ordinal for reward in made), list(range(1, clients + 1)))
        yield from expect("of the middle tier", [r.ordinal for r in made if r.amount_minor == 7777], [2])

    return acts, question


def a_milestone(scene: Scene, clients: int) -> tuple[Acts, Question]:
    acts, _ = a_tier_of_one(scene, clients)
    person = session.scalars(sa.select(User).where(User.email.startswith("referrer")).order_by(User.id.desc())).first()
    assert person is not None

    def question(outcomes: list[Any]) -> Iterator[str]:
        reached = [reward.threshold for reward in scene.rewards(person) if reward.threshold]
        yield from expect("milestones", reached, [3])

    return acts, question


def orders_against_their_customers_confirmation(scene: Scene, clients: int) -> tuple[Acts, Question]:
    friend = scene.sign_up(f"Friend {next(scene._numbers)}", carried=scene.code(scene.alice))
    number, secret = friend.id, scene.secret_for(friend)
    orders = [convert(scene, report(scene, friend, f"race-{next(scene._numbers)}")) for _ in range(clients - 1)]

    def confirms() -> bool:
        return program.confirm(secret, at=scene.at) is not None

    def question(outcomes: list[Any]) -> Iterator[str]:
        applied = Conversion.customer_id == number, Conversion.goal == "purchase"
        yield from expect("orders applied", count(Conversion, *applied), clients - 1)
        yield from expect("orders waiting", count(Conversion, Conversion.applied_at.is_(None)), 0)
        mine = (
            sa.select(sa.func.count()).select_from(rewards.Reward).join(Referral).where(Referral.referee_id == number)
        )
        yield from expect("rewards", session.scalar(mine), clients - 1)

    return [confirms, *spread(scene, orders)], question


def orders_against_their_customers_report(scene: Scene, clients: int) -> tuple[Acts, Question]:
    person, external_id = newcomer(scene, "referrer"), f"C-{next(scene._numbers)}"
    code, customer = scene.code(person), Customer(external_id, f"{external_id}@example.com")
    orders = [
        convert(scene, OrderReport("purchase", f"{external_id} {n}", Customer(external_id), scene.at, 6400, "EUR"))
        for n in range(clients - 2)
    ]

    def reports() -> Any:
        return program.report_customer(customer, code=code, at=scene.at)[1]

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("customers made", outcomes[:2].count(True), 1)
        yield from expect("orders waiting", count(Conversion, Conversion.applied_at.is_(None)), 0)
        yield from expect("balance", scene.balance(person), {"pending": 2000 * (clients - 2)})

    return [reports] * 2 + spread(scene, orders), question


def a_batch_against_an_undo(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, _, person = a_reward(scene, ready=True)
    finn, rita = scene.finn.id, scene.rita.id

    def draws() -> Any:
        return program.draw_batch(by=finn, at=scene.at).id

    def undoes() -> Any:
        return program.undo(number, by=rita, note="A mistake.", at=scene.at).id

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("state", state(number), State.PENDING)
        yield from expect("balance", scene.balance(person), {"pending": 2000})
        yield from expect("undone", len(granted(outcomes[1::2])), 1)

    return [draws, undoes] * (clients // 2), question


def a_batch_against_a_refund(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, order, person = a_reward(scene, ready=True)
    finn, gives_back = scene.finn.id, refund(scene, order, f"race-{next(scene._numbers)}")

    def draws() -> Any:
        return program.draw_batch(by=finn, at=scene.at).id

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("state", state(number), State.REVERSED)
        yield from expect("balance", scene.balance(person), {})

    return [draws, gives_back] * (clients // 2), question


def an_export_against_a_refund(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, order, person = a_reward(scene, ready=True)
    batch = scene.approve_batch(scene.batch()).id
    finn, gives_back = scene.finn.id, refund(scene, order, f"race-{next(scene._numbers)}")

    def exports() -> Any:
        from portal.payouts.payouts import Batch

        program.export_batch(session.get_one(Batch, batch), by=finn, at=scene.at)

    def question(outcomes: list[Any]) -> Iterator[str]:
        out = any(not isinstance(outcome, Exception) for outcome in outcomes[2:])
        yield from expect("state", state(number), State.APPROVED if out else State.REVERSED)
        yield from expect("balance", scene.balance(person), {"in_payout": 2000, "payable": -2000} if out else {})

    return [gives_back] * 2 + spread(scene, [exports] * (clients - 2)), question


def the_same_code(scene: Scene, clients: int) -> tuple[Acts, Question]:
    wanted = f"wanted-{next(scene._numbers)}"
    mine = [links.main_link(newcomer(scene, "referrer").id).id for _ in range(clients)]

    def takes(link_id: int) -> Callable[[], Any]:
        return lambda: links.take_code(session.get_one(links.Link, link_id), wanted, at=scene.at)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("took it", len(granted(outcomes)), 1)
        yield from expect("codes", count(links.Code, links.Code.folded == wanted), 1)
        current = count(links.Code, links.Code.link_id.in_(mine), links.Code.retired_at.is_(None))
        yield from expect("links with a code", current, clients)

    return [takes(number) for number in mine], question


def the_same_terms(scene: Scene, clients: int) -> tuple[Acts, Question]:
    version = terms.in_force().version

    def question(outcomes: list[Any]) -> Iterator[str]:
        published = len(granted(outcomes))
        yield from expect("versions", terms.in_force().version, version + published)
        yield from expect("versions of one number", count(terms.Terms), version + published)

    def act() -> None:
        program.open_program([fixed(2000)], by=None, at=scene.at)

    return [act] * clients, question


def the_same_seals(scene: Scene, clients: int) -> tuple[Acts, Question]:
    for _ in range(2):
        a_reward(scene, approved=True)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("seals", count(ledger.Seal), count(ledger.Transfer))

    return [ledger.seal] * clients, question


TIERS = [{"from": 2, "amount_minor": 7777}, {"from": 3, "amount_minor": 1000}]
PEOPLE, NAMES = "lock", "lock_names"

RACES = [
    Race(the_same_sign_up, clients=16, drop=("DROP INDEX uq_users_email_lower",)),
    Race(the_same_confirmation, locks=(NAMES,),
         drop=("CREATE OR REPLACE FUNCTION forgets() RETURNS trigger LANGUAGE plpgsql AS "
               "$$ BEGIN NEW.used_at = NULL; NEW.ended_at = NULL; RETURN NEW; END $$",
               "CREATE TRIGGER forgets BEFORE UPDATE ON one_time_keys FOR EACH ROW EXECUTE FUNCTION forgets()",
               "ALTER TABLE conversions DROP CONSTRAINT uq_conversions_source_external_id")),
    Race(the_same_order, offer=({"often": "every"},), clients=40,
         drop=("ALTER TABLE conversions DROP CONSTRAINT uq_conversions_source_external_id",)),
    Race(the_same_approval, clients=40, locks=(PEOPLE,),
         drop=("ALTER TABLE decisions DROP CONSTRAINT uq_decisions_reward_id_number",)),
    Race(an_approval_against_a_rejection, locks=(PEOPLE,),
         drop=("ALTER TABLE decisions DROP CONSTRAINT uq_decisions_reward_id_number",)),
    Race(a_refund_against_an_approval, locks=(PEOPLE,)),
    Race(refunds_against_their_order, locks=(NAMES,)),
    Race(the_same_refund, drop=("ALTER TABLE refunds DROP CONSTRAINT uq_refunds_source_external_id",)),
    Race(the_same_batch, locks=(PEOPLE, NAMES)),
    Race(the_same_payment, locks=(PEOPLE,)),
    Race(a_payment_against_its_failure, locks=(PEOPLE,)),
    Race(a_tier_of_one, offer=({"tiers": TIERS, "often": "every"},), locks=(PEOPLE,)),
    Race(a_milestone, offer=({"threshold": 3},), locks=(PEOPLE,)),
    Race(orders_against_their_customers_confirmation, offer=({"often": "every"},), locks=(NAMES,)),
    Race(orders_against_their_customers_report, offer=({"often": "every"},), locks=(NAMES,)),
    Race(a_batch_against_an_undo, locks=(PEOPLE,)),
    Race(a_batch_against_a_refund, locks=(PEOPLE,)),
    Race(an_export_against_a_refund, locks=(PEOPLE,)),
    Race(the_same_code, drop=("ALTER TABLE codes DROP CONSTRAINT uq_codes_folded",)),
    Race(the_same_terms, drop=("ALTER TABLE terms DROP CONSTRAINT uq_terms_version",)),
    Race(the_same_seals, locks=(NAMES,)),
]  # fmt: skip
"""Every race, with the guards that are shown to be needed: see `test_races.py`."""
