"""Races over HTTP: many clients do the same thing at the same moment; it takes effect once, nobody gets an error, and
whoever came second is told.

Against four server processes on PostgreSQL and eight threads on SQLite, by connections opened before and a barrier.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from passlib.hash import argon2

from portal import program
from portal.accounts import users
from portal.core import clock, database
from portal.core.database import session
from portal.delivery.outbox import Message
from portal.payouts.payouts import Batch, Line, Payout
from portal.referrals import referrals
from portal.rewards import decisions
from portal.rewards.clawbacks import Clawback
from portal.rewards.conversions import Conversion
from portal.rewards.decisions import Decision
from portal.rewards.refunds import Refund, Reinstatement
from portal.rewards.rewards import Reward, State
from tests.factories import PASSWORD
from tests.faults.conftest import LONG, PROCESSES
from tests.faults.live import LONG_AGO, Live, at_once, statuses

pytestmark = pytest.mark.timeout(0 if LONG else 300)

ROUNDS = 12 if LONG else 8


def count(model: type, *where: sa.ColumnElement[bool]) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(model).where(*where)) or 0


def approved_mails(reward: Reward) -> int:
    acts = [decisions.name_of_act(reward.person, one.at, reward.currency) for one in decisions.of_reward(reward.id)]
    return count(Message, Message.kind == "reward_approved", Message.about_id.in_(acts))


def test_the_clients_reach_four_processes_or_one_of_eight_threads(live: Live) -> None:
    wanted, reached = (1 if database.is_sqlite() else PROCESSES), set()
    until = time.monotonic() + 60
    while time.monotonic() < until:  # the last ones may still be starting, and which takes a connection is the system's
        clients = live.visitors(40)
        answers = at_once(clients, lambda _, client: client.get("/healthz"))
        assert statuses(answers) == {200: 40}
        reached |= {number for number in live.portal.servers() if connections(number, live.portal.port)}
        if len(reached) >= wanted:
            break
        time.sleep(0.5)
    assert len(reached) == wanted


def connections(process: int, port: int) -> int:
    """How many clients of a port are connected to a process."""
    links = [os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()]
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    here = f"0100007F:{port:04X}"
    return sum(row[1] == here and row[3] == "01" and f"socket:[{row[9]}]" in links for row in rows)


@pytest.mark.case(18, 29)
def test_the_same_sign_up(live: Live) -> None:
    code = live.scene.code(live.scene.alice)
    for number in range(ROUNDS):
        email = f"friend{number}@example.com"
        clients = live.visitors(8)
        for client in clients:
            assert client.get(f"/signup?ref={code}").status == 200
        answers = at_once(
            clients,
            lambda _, client, email=email: client.post(
                "/signup", email=email, name="Bob", password=PASSWORD, ref=code, terms="y"
            ),
        )
        assert {answer.location for answer in answers} == {"/check-your-email"}, "the same answer for everybody"
        friend = users.find_by_email(email)
        assert friend is not None
        referral = referrals.of_referee(friend.id)
        assert referral is not None and referral.referrer_id == live.scene.alice.id
        assert count(referrals.Referral, referrals.Referral.referee_id == friend.id) == 1
        assert count(users.User, users.User.email == email) == 1


@pytest.mark.case(113)
def test_the_same_reset_link_twenty_times(live: Live) -> None:
    """One mailed link, twenty who have it, each with a password of their own: one password is set, and it opens."""
    for number in range(3):
        person = live.scene.person(f"Robbed {number}")
        email = person.email
        live.scene.do(lambda email=email: program.forgot_password(email, at=clock.now()))
        path, clients = f"/reset/{live.scene.secret_for(person, 'reset')}", live.visitors(20)
        for client in clients:
            assert client.get(path).status == 200
        answers = at_once(clients, lambda n, client, path=path: client.post(path, password=f"the password no. {n}"))
        assert statuses(answers) == {302: 1, 410: 19}
        (first,) = [n for n, answer in enumerate(answers) if answer.status == 302]
        kept = session.scalar(sa.select(users.User.password).where(users.User.email == email))
        assert argon2.verify(f"the password no. {first}", kept)
        assert count(Message, Message.kind == "password_changed", Message.to == email) == 1


@pytest.mark.case(53, 54, 55)
def test_the_same_order_a_hundred_times(live: Live, record_property: Callable[[str, object], None]) -> None:
    """`--long`: a thousand orders."""
    copies, rounds = (40, ROUNDS) if database.is_sqlite() else (100, 1000 if LONG else 20)
    clients = live.visitors(copies)
    for number in range(rounds):
        friend = live.scene.friend(f"Ordering {number}", of=live.scene.alice)
        order = {"goal": "purchase", "external_id": f"race-{number}", "customer": {"email": friend.email},
                 "amount_minor": 6400, "currency": "EUR"}  # fmt: skip
        answers = at_once(
            clients, lambda _, client, order=order: client.tell("/api/v1/conversions", order, key=live.key)
        )
        assert statuses(answers) == {201: 1, 200: copies - 1}
        assert len({answer.json["id"] for answer in answers}) == 1
        assert len({answer.json["rewards"][0]["id"] for answer in answers}) == 1
        assert all(len(answer.json["rewards"]) == 1 for answer in answers)
    made = count(Conversion, Conversion.external_id.like("race-%"))
    gave = count(Reward, Reward.conversion.has(Conversion.external_id.like("race-%")))
    assert (made, gave) == (rounds, rounds)
    record_property("figure", f"The same order: {rounds} times {copies} copies, {made} conversions, {gave} rewards")


def pending(live: Live, name: str) -> Reward:
    """Another pending reward of Alice's, for a friend of this name."""
    live.scene.order(live.scene.friend(name, of=live.scene.alice))
    return live.scene.rewards(live.scene.alice)[-1]


@pytest.mark.case(80)
def test_the_same_approval_fifty_times(live: Live, record_property: Callable[[str, object], None]) -> None:
    """`--long`: of 500 rewards."""
    copies, rounds = (16, ROUNDS) if database.is_sqlite() else (50, 500 if LONG else 20)
    clients = live.colleagues(copies, live.scene.rita, live.rosa)
    for number in range(rounds):
        reward = pending(live, f"Approved {number}")
        path = f"/admin/rewards/{reward.public_id}/approval"
        answers = at_once(clients, lambda _, client, path=path: client.post(path))
        assert statuses(answers) == {302: copies}
        (decision,) = session.scalars(sa.select(Decision).where(Decision.reward_id == reward.id))
        assert session.get_one(Reward, reward.id).state == State.APPROVED
        assert approved_mails(reward) == 1
        first = live.scene.rita if decision.by_id == live.scene.rita.id else live.rosa
        said = [client.get("/admin/rewards").text for client in clients[number % 12 :][:4]]
        told = [page for page in said if f"Approved by {first.name} at" in page]
        assert len(told) >= 3, "whoever came second is told who was first"
    record_property("figure", f"The same approval: {rounds} times {copies} copies, {rounds} decisions and mails")


@pytest.mark.case(77, 80)
def test_an_approval_against_a_rejection(live: Live) -> None:
    rita, rosa = live.colleagues(8, live.scene.rita), live.colleagues(8, live.rosa)
    said: set[str] = set()
    for number in range(ROUNDS):
        reward = pending(live, f"Disputed {number}")
        path = f"/admin/rewards/{reward.public_id}"
        answers = at_once(
            [*rita, *rosa],
            lambda number, client, path=path: (
                client.post(f"{path}/approval")
                if number < 8
                else client.post(f"{path}/rejection", reason="duplicate", told="This order was counted before.")
            ),
        )
        assert statuses(answers) == {302: 16}
        (decision,) = session.scalars(sa.select(Decision).where(Decision.reward_id == reward.id))
        said.add(decision.verdict)
        approved = decision.verdict == "approve"
        assert session.get_one(Reward, reward.id).state == (State.APPROVED if approved else State.REJECTED)
        late, first = (rosa, "Approved by Rita at") if approved else (rita, "Rejected by Rosa at")
        assert first in late[0].get("/admin/rewards").text, "the other is told who"
    assert said <= {"approve", "reject"}


@pytest.mark.case(95, 98)
def test_a_refund_against_the_approval(live: Live) -> None:
    reviewers, shop = live.colleagues(8, live.scene.rita), live.visitors(8)
    for number in range(ROUNDS):
        reward = pending(live, f"Refunded {number}")
        path, order = f"/admin/rewards/{reward.public_id}/approval", reward.conversion.external_id
        refund = {"external_id": f"back-{number}", "conversion_external_id": order}
        answers = at_once(
            [*reviewers, *shop],
            lambda number, client, path=path, refund=refund: (
                client.post(path) if number < 8 else client.tell("/api/v1/refunds", refund, key=live.key)
            ),
        )
        assert statuses(answers[8:]) == {201: 1, 200: 7}
        assert session.get_one(Reward, reward.id).state == State.REVERSED
        assert count(Clawback, Clawback.reward_id == reward.id) == 1
        assert count(Decision, Decision.reward_id == reward.id) <= 1


@pytest.mark.case(99, 100)
def test_a_refund_against_its_order(live: Live) -> None:
    shop = live.visitors(16)
    for number in range(ROUNDS):
        friend = live.scene.friend(f"Returning {number}", of=live.scene.alice)
        order = {"goal": "purchase", "external_id": f"returned-{number}", "customer": {"email": friend.email},
                 "amount_minor": 5000, "currency": "EUR"}  # fmt: skip
        refund = {"external_id": f"return-{number}", "conversion_external_id": order["external_id"]}
        answers = at_once(
            shop,
            lambda number, client, order=order, refund=refund: (
                client.tell("/api/v1/conversions", order, key=live.key)
                if number < 8
                else client.tell("/api/v1/refunds", refund, key=live.key)
            ),
        )
        assert statuses(answers[:8]) == {201: 1, 200: 7}
        assert {answer.status for answer in answers[8:]} <= {200, 201, 202}
        conversion = session.scalars(sa.select(Conversion).where(Conversion.external_id == order["external_id"])).one()
        assert count(Refund, Refund.external_id == refund["external_id"], Refund.conversion_id == conversion.id) == 1
        reward = session.scalars(sa.select(Reward).where(Reward.conversion_id == conversion.id)).one()
        assert reward.state == State.REVERSED, "refund first or order first: the same"
        assert count(Clawback, Clawback.reward_id == reward.id) == 1


@pytest.mark.case(101)
def test_a_won_dispute_against_its_chargeback(live: Live) -> None:
    shop = live.visitors(16)
    for number in range(ROUNDS):
        reward = pending(live, f"Charged back {number}")
        order = {"conversion_external_id": reward.conversion.external_id, "reason": "chargeback"}
        lost, won = {"external_id": f"lost-{number}"} | order, {"refund_external_id": f"lost-{number}"}
        answers = at_once(
            shop,
            lambda number, client, lost=lost, won=won: (
                client.tell("/api/v1/refunds", lost, key=live.key)
                if number < 8
                else client.tell("/api/v1/reinstatements", won, key=live.key)
            ),
        )
        assert statuses(answers[:8]) == {201: 1, 200: 7}
        assert {answer.status for answer in answers[8:]} <= {200, 201, 202}
        assert session.get_one(Reward, reward.id).state == State.PENDING
        taken = session.scalars(sa.select(Clawback.amount_minor).where(Clawback.reward_id == reward.id)).all()
        assert (sum(taken), len(taken) in (0, 2)) == (0, True), "the win first takes nothing, else it is given again"
        assert count(Reinstatement, Reinstatement.refund_external_id == won["refund_external_id"]) == 1


def ready_to_pay(live: Live, name: str) -> Reward:
    """A reward whose hold has passed; the scene's clock then stands at the present."""
    live.scene.at = clock.now() - LONG_AGO
    reward = live.scene.approve(pending(live, name))
    live.now()
    live.scene.release()
    return reward


@pytest.mark.case(81, 82)
def test_the_same_batch(live: Live) -> None:
    finance = live.colleagues(16, live.scene.finn)
    for number in range(ROUNDS):
        reward, before = ready_to_pay(live, f"Paid {number}"), count(Batch)
        answers = at_once(finance, lambda _, client: client.post("/admin/payouts", everybody="yes"))
        assert statuses(answers) == {302: 16}
        assert count(Batch) == before + 1
        assert count(Line, Line.reward_id == reward.id, Line.returned_at.is_(None)) == 1
        others = [
            client for client, answer in zip(finance, answers, strict=True) if answer.location == "/admin/payouts"
        ]
        assert len(others) == 15
        assert "Nobody is ready" in others[0].get("/admin/payouts").text


@pytest.mark.case(81, 88)
def test_the_same_payment(live: Live) -> None:
    finance = live.colleagues(16, live.scene.finn)
    for number in range(ROUNDS):
        ready_to_pay(live, f"Settled {number}")
        batch = live.scene.exported_batch()
        (payout,) = batch.payouts
        path, amount, paid = f"/admin/payouts/{batch.public_id}/payment", payout.amount_minor, balance(live)
        answers = at_once(finance, lambda _, client, path=path: client.post(path, bank_reference="SEPA 4711"))
        assert statuses(answers) == {302: 16}
        assert session.get_one(Payout, payout.id).state == "paid"
        assert balance(live) == paid + amount
        assert count(Message, Message.kind == "payout_paid", Message.about_id == payout.public_id) == 1


def balance(live: Live) -> int:
    """What Alice was paid so far."""
    return live.scene.balance(live.scene.alice).get("paid", 0)
