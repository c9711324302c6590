"""Races of payouts: the same batch or payment at once, and what is taken back meanwhile."""

from collections.abc import Callable, Iterator
from typing import Any

from portal import program
from portal.accounts.audit import AuditEntry
from portal.accounts.users import User
from portal.core.database import session
from portal.delivery.outbox import Message
from portal.payouts.payouts import Line
from portal.rewards.rewards import State
from tests.domain.racing import (
    NAMES,
    PEOPLE,
    Acts,
    Question,
    Race,
    a_reward,
    count,
    expect,
    granted,
    lingering,
    newcomer,
    refund,
    spread,
    state,
    win,
)
from tests.factories import Scene


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


def batches_of_overlapping_people(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """Two batches at once, each of three chosen people, of whom two are in both."""
    people = [a_reward(scene, ready=True)[2] for _ in range(4)]
    names, by = [person.public_id for person in people], scene.finn.id

    def act(number: int) -> Callable[[], Any]:
        chosen = names[number % 2 : number % 2 + 3]
        return lambda: program.draw_batch(by=by, at=scene.at, only=chosen).id

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("batches", len(granted(outcomes)), 2)
        for person in people:
            drawn = (Line.returned_at.is_(None), Line.reward_id.in_([reward.id for reward in scene.rewards(person)]))
            yield from expect(f"lines of {person.name}", count(Line, *drawn), 1)
            yield from expect("balance", scene.balance(person), {"in_payout": 2000})

    return [act(number) for number in range(clients)], question


def a_result_file_against_marking_as_paid(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """The bank says that the payout came back, a colleague that all of the batch was paid: one of them counts."""
    _, _, person = a_reward(scene, ready=True)
    batch = scene.exported_batch()
    number, by, reference = batch.id, scene.finn.id, batch.payouts[0].reference

    def act(paid: bool) -> Callable[[], Any]:
        from portal.payouts.payouts import Batch
        from portal.payouts.results import Outcome, Result

        def done() -> Any:
            found = session.get_one(Batch, number)
            if paid:
                return bool(program.pay_batch(found, by=by, at=scene.at))
            told = [Result(2, reference, Outcome.FAILED, "Account closed.")]
            return bool(program.take_results(found, told, by=by, at=scene.at).new)

        return done

    def question(outcomes: list[Any]) -> Iterator[str]:
        paid = True in outcomes[: clients // 2]
        yield from expect("endings", outcomes.count(True), 1)
        yield from expect("balance", scene.balance(person), {"paid": 2000} if paid else {"payable": 2000})
        yield from expect("mails", len(scene.mails("payout_paid" if paid else "payout_failed", to=person)), 1)
        if not paid:  # or the next round would draw it too
            scene.pay_batch(scene.exported_batch())

    return [act(True)] * (clients // 2) + [act(False)] * (clients // 2), question


def the_same_correction(scene: Scene, clients: int) -> tuple[Acts, Question]:
    person, by, form = newcomer(scene, "corrected"), scene.finn.id, f"form-{next(scene._numbers)}"
    number = person.id

    def act() -> Any:
        done = program.correct_balance(User.by_id(number), 700, reason="A mistake.", form_key=form, by=by, at=scene.at)
        return done is not None

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("corrections", outcomes.count(True), 1)
        yield from expect("others told", outcomes.count(False), clients - 1)
        yield from expect("balance", scene.balance(person), {"payable": 700})

    return [lingering(act)] * clients, question


def the_same_reminder(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """Finance asks somebody for their payout details: they get one mail, and the others are told."""
    person, by = newcomer(scene, "reminded"), scene.finn.id
    number, name = person.id, person.public_id
    scene.do(lambda: setattr(session.get_one(User, number), "confirmed_at", scene.at))
    scene.correct(person, 9000)

    def act() -> Any:
        program.remind(User.by_id(number), by=by, at=scene.at)
        return True

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("reminders", granted(outcomes), [True])
        noted = count(AuditEntry, AuditEntry.verb == "payout_reminder", AuditEntry.subject_id == name)
        yield from expect("lines in the history", noted, 1)
        mails = count(Message, Message.kind == "details_wanted", Message.about_id.startswith(name))
        yield from expect("mails", mails, 1)

    return [lingering(act)] * clients, question


def a_correction_against_a_batch(scene: Scene, clients: int) -> tuple[Acts, Question]:
    _, _, person = a_reward(scene, ready=True)
    scene.correct(person, 5000)
    number, by = person.id, scene.finn.id

    def draws() -> Any:
        return program.draw_batch(by=by, at=scene.at).id

    def corrects(amount: int) -> Callable[[], Any]:
        form = f"form-{next(scene._numbers)}"
        return lambda: program.correct_balance(
            User.by_id(number), amount, reason="A mistake.", form_key=form, by=by, at=scene.at
        ) and amount  # fmt: skip

    amounts = [-100 * (place + 1) for place in range(clients // 2)]

    def question(outcomes: list[Any]) -> Iterator[str]:
        lies = scene.balance(person)
        yield from expect("corrected", sorted(set(granted(outcomes)) & set(amounts)), sorted(amounts))
        yield from expect("the whole", sum(lies.values()), 7000 + sum(amounts))
        yield from expect("drawn", lies.get("in_payout", 0) > 0, True)

    return [act for amount in amounts for act in (draws, lingering(corrects(amount)))], question


def a_batch_against_a_win(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """What is given again is in the batch or with the next one, and a payment of what was drawn takes no heed."""
    number, order, person = a_reward(scene, ready=True)
    lost = [f"race-{next(scene._numbers)}" for _ in range(clients - 2)]
    for external_id in lost:
        scene.charge_back(order, 500, external_id=external_id)
    scene.correct(person, 1500)  # so that there is enough for a payout, whichever comes first
    by, who = scene.finn.id, person.id

    def pays() -> Any:
        batch = program.draw_batch(by=by, at=scene.at)
        program.approve_batch(batch, by=by, at=scene.at)
        program.export_batch(batch, by=by, at=scene.at)
        return program.pay_batch(batch, by=by, at=scene.at)

    def question(outcomes: list[Any]) -> Iterator[str]:
        balance = scene.balance(session.get_one(User, who))
        yield from expect("in all", sum(balance.values()), 3500)
        yield from expect("paid or to be paid", set(balance) <= {"paid", "payable"}, True)
        yield from expect("reward", state(number), State.PAID)

    return [*(win(scene, external_id) for external_id in lost), *spread(scene, [pays, pays])], question


RACES = [
    Race(
        the_same_correction, drop=("ALTER TABLE corrections DROP CONSTRAINT uq_corrections_form_key",), locks=(PEOPLE,)
    ),
    Race(the_same_reminder, locks=(PEOPLE,)),
    Race(a_correction_against_a_batch, locks=(PEOPLE, NAMES)),
    Race(the_same_batch, locks=(PEOPLE, NAMES)),
    Race(the_same_payment, locks=(PEOPLE,)),
    Race(a_payment_against_its_failure, locks=(PEOPLE,)),
    Race(a_batch_against_an_undo, locks=(PEOPLE,)),
    Race(a_batch_against_a_refund, locks=(PEOPLE,)),
    Race(a_batch_against_a_win, locks=(PEOPLE,)),
    Race(an_export_against_a_refund, locks=(PEOPLE,)),
    Race(batches_of_overlapping_people, locks=(PEOPLE, NAMES)),
    Race(a_result_file_against_marking_as_paid, locks=(PEOPLE,)),
]  # fmt: skip
