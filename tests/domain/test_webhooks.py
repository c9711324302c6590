"""Webhooks: what the shop's programs are told: once, signed, tried again under the same id, and visible throughout."""

import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from portal import program, sweeps
from portal.core import clock, database
from portal.core.database import session
from portal.core.sealed import Box
from portal.delivery import calls, endpoints, webhooks
from portal.delivery.calls import Caller
from portal.delivery.endpoints import EndpointRefused, Off
from portal.delivery.outbox import GIVE_UP_AFTER, LEASE, State
from portal.payouts.methods import Kind
from portal.rewards.conversions import Customer
from tests.domain.conftest import Post, Shop
from tests.domain.racing import at_once
from tests.factories import Scene, fixed
from tests.mailserver import certificate, free_port
from tests.receiver import Receiver, receiving


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> Callable[..., Any]:
    """The other side's own check, at the scene's moment: what it says a webhook is, or WebhookVerificationError."""

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return scene.at.astimezone(tz or UTC)

    import standardwebhooks.webhooks

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Then)
    return lambda secret, one: Verifier(secret).verify(one.body.decode(), one.headers)


# --- told -----------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_the_story_is_told_event_by_event_by_ids_states_and_amounts(scene: Scene) -> None:
    alice, code = scene.alice, scene.code(scene.alice)
    scene.webhook()
    scene.publish(fixed(2000), fixed(500, to="referee"))
    bob, _ = scene.customer("c-7", "bob@shop.example", code=code)
    scene.later(minutes=1)
    reported = scene.order(Customer("c-7"), external_id="o-1")
    first, friends = scene.rewards(alice)[0], scene.rewards(bob)[0]
    scene.approve(first)
    scene.undo(first)
    scene.later(seconds=1)
    scene.approve(first)
    scene.reject(friends)
    scene.method(alice, Kind.CREDIT)
    scene.later(days=31)
    scene.release()
    batch = scene.exported_batch()
    scene.pay_batch(batch)
    scene.customer("c-8", "carl@shop.example", code=code)
    scene.later(minutes=1)
    scene.order(Customer("c-8"), external_id="o-2")
    scene.refund("o-2")
    scene.friend("Dora", of=alice)
    scene.later(days=91)
    scene.do(lambda: program.expire_due(at=scene.at))
    assert [one.event for one in scene.told()] == [
        "referral.created", "reward.created", "reward.created", "reward.approved", "reward.reopened", "reward.approved",
        "reward.rejected", "credit.granted", "payout.paid", "reward.paid", "referral.created", "reward.created", "reward.created",
        "reward.reversed", "reward.reversed", "referral.created", "referral.expired",
    ]  # fmt: skip
    (made, *_), (paid,) = scene.told("reward.created"), scene.told("reward.paid")
    said = json.loads(made.body)
    assert set(said) == {"type", "timestamp", "data"} and said["type"] == "reward.created"
    assert datetime.fromisoformat(said["timestamp"]) == made.made_at
    assert said["data"] == {
        "id": first.public_id, "user": alice.public_id, "external_id": None, "beneficiary": "referrer",
        "referral": first.referral.public_id, "goal": "purchase", "conversion": reported.conversion.public_id,
        "conversion_external_id": "o-1", "amount_minor": 2000, "taken_back_minor": 0, "currency": "EUR", "state": "pending",
        "hold_until": webhooks.said(first.hold_until),
    }  # fmt: skip
    assert json.loads(paid.body)["data"] | {"state": "pending"} == said["data"]
    (granted,), payout = scene.told("credit.granted"), batch.payouts[0]
    assert json.loads(granted.body)["data"] == {
        "id": payout.public_id, "reference": payout.reference, "user": alice.public_id, "external_id": None,
        "method": "credit", "amount_minor": 2000, "currency": "EUR", "state": "sent",
    }  # fmt: skip
    (joined, *_) = scene.told("referral.created")
    assert json.loads(joined.body)["data"]["referee_external_id"] == "c-7"
    everything = "".join(one.body for one in scene.told())
    assert not any(word in everything.lower() for word in ("@", "alice", "bob", "dora", code))


def test_a_payout_that_failed_is_told_and_what_its_reward_came_to(scene: Scene) -> None:
    scene.webhook()
    scene.publish(fixed(6000))
    order = scene.order(scene.bob)
    scene.approve(scene.reward(scene.alice))
    scene.method(scene.alice)
    scene.later(days=31)
    payout = scene.exported_batch().payouts[0]
    assert not scene.told("credit.granted"), "a bank's is not the shop's to put down"
    scene.refund(order)
    assert not scene.told("reward.reversed"), "it may still arrive"
    scene.fail(payout)
    assert [one.event for one in scene.told()][-2:] == ["payout.failed", "reward.reversed"]
    assert json.loads(scene.told()[-1].body)["data"]["taken_back_minor"] == 6000


def test_a_chargeback_and_its_won_dispute_are_told(scene: Scene) -> None:
    scene.webhook()
    scene.order(scene.bob, external_id="order-1")
    scene.approve(scene.reward(scene.alice))
    scene.charge_back("order-1")
    scene.later(days=1)
    scene.win()
    scene.win()
    (reversed_, again) = [*scene.told("reward.reversed"), *scene.told("reward.reinstated")]
    assert json.loads(reversed_.body)["data"]["state"] == "reversed"
    said = json.loads(again.body)["data"]
    assert (said["state"], said["taken_back_minor"]) == ("approved", 0)


def test_only_what_was_asked_for_is_told_and_it_is_kept_for_who_is_off(scene: Scene) -> None:
    wanted, _ = scene.webhook("http://127.0.0.1:9/a", "reward.created")
    off, _ = scene.webhook("http://127.0.0.1:9/b")
    removed, _ = scene.webhook("http://127.0.0.1:9/c")
    by = scene.olivia.id
    scene.do(lambda: program.remove_webhook(removed, by=by, at=scene.at))

    def switch_off() -> None:
        off.off_at, off.off_why = scene.at, Off.FAILING

    scene.do(switch_off)
    scene.pending_reward()
    told = {(one.event, one.endpoint_id): one for one in scene.told()}
    kept = told.pop(("referral.created", off.id)), told.pop(("reward.created", off.id))
    assert [*told] == [("reward.created", wanted.id)], "nothing to one that was removed"
    assert {(one.state, one.tries) for one in kept} == {(State.GIVEN_UP, 0)}
    scene.do(lambda: program.switch_webhook_on(off, by=by, at=scene.at))
    scene.do(lambda: program.send_webhook_again(kept[1], by=by, at=scene.at))
    assert [one.state for one in kept] == [State.GIVEN_UP, State.QUEUED]


def test_what_is_not_done_is_not_told(scene: Scene) -> None:
    """In the same transaction: what fails leaves nothing in the queue."""
    scene.webhook()
    bob = scene.bob
    before = len(scene.told())
    with pytest.raises(RuntimeError, match="at the last moment"), database.writing():
        program.report_customer(Customer("c-1", "x@shop.example"), code=scene.code(scene.alice), at=scene.at)
        raise RuntimeError("at the last moment")
    assert len(scene.told()) == before
    scene.order(bob, external_id="o-1")
    scene.order(bob, external_id="o-1")
    assert len(scene.told("reward.created")) == 1, "a report told twice tells once"


@contextmanager
def counted() -> Iterator[list[str]]:
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    sa.event.listen(database.db.engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(database.db.engine, "before_cursor_execute", note)


@pytest.mark.both_databases
def test_where_nobody_listens_it_costs_one_query_and_where_somebody_does_a_few_for_all(scene: Scene) -> None:
    alice, by = scene.alice, scene.rita.id
    for number in range(30):
        scene.order(scene.friend(f"Friend {number}", of=alice))
    given = [reward.id for reward in scene.rewards(alice)]

    def approve(numbers: list[int]) -> list[str]:
        with counted() as asked:
            scene.do(lambda: program.approve_many(numbers, by=by, at=scene.later(seconds=1)))
        return asked

    approve(given[:5])
    few, many = approve(given[5:10]), approve(given[10:20])
    assert len(few) == len(many) and len([one for one in many if "webhook" in one]) == 1
    scene.webhook()
    told = approve(given[20:30])
    assert len(told) <= len(many) + 3 and len(scene.told("reward.approved")) == 10


# --- signed ---------------------------------------------------------------------------------------------------


def test_the_other_side_verifies_it_and_nothing_else(scene: Scene, shop: Shop, verified: Any) -> None:
    _, secret = scene.webhook(shop.receiver.url)
    reward = scene.pending_reward()
    assert shop.sweep() == 2 == len(shop.receiver.taken)
    assert sorted(shop.receiver.events) == ["referral.created", "reward.created"]
    for one in shop.receiver.taken:
        assert one.path == "/hooks?of=shop" and one.headers["content-type"] == "application/json"
        said = verified(secret, one)
        assert said["data"]["id"] in (reward.public_id, reward.referral.public_id)
        with pytest.raises(WebhookVerificationError):
            verified("whsec_" + "A" * 43 + "=", one)
        one.headers["webhook-id"] += "x"
        with pytest.raises(WebhookVerificationError):
            verified(secret, one)
    scene.later(minutes=10)
    with pytest.raises(WebhookVerificationError):
        verified(secret, shop.receiver.taken[0])


def test_for_a_day_after_a_new_secret_both_sign_and_then_the_new_one_alone(
    scene: Scene, shop: Shop, verified: Any
) -> None:
    endpoint, old = scene.webhook(shop.receiver.url)
    by, keep = scene.olivia.id, scene.keep_secrets
    new = scene.do(lambda: program.renew_webhook(endpoint, keep=keep, by=by, at=scene.at))

    def arrives() -> Any:
        scene.do(lambda: program.try_webhook(endpoint, by=by, at=scene.at))
        assert shop.sweep() == 1
        return shop.receiver.taken[-1]

    scene.later(hours=24)
    one = arrives()
    assert one.headers["webhook-signature"].count("v1,") == 2
    assert verified(old, one) == verified(new, one)
    scene.later(seconds=1)
    one = arrives()
    assert one.headers["webhook-signature"].count("v1,") == 1 and verified(new, one)["type"] == "webhook.test"
    with pytest.raises(WebhookVerificationError):
        verified(old, one)
    sealed = session.execute(sa.text("SELECT secret, secret_before FROM webhook_endpoints")).one()
    assert all(secret.removeprefix("whsec_")[:20] not in text for secret in (old, new) for text in sealed)


def test_what_another_key_has_sealed_is_said_and_keeps_nobody_else_waiting(scene: Scene, shop: Shop) -> None:
    scene.webhook(shop.receiver.url)
    endpoint, _ = scene.webhook(shop.receiver.url)
    scene.do(lambda: setattr(endpoint, "secret", Box("another key", "webhooks").seal("whsec_AAAA")))
    scene.pending_reward()
    assert shop.sweep() == 2
    assert "another key" in scene.told()[-1].trouble and scene.told()[-1].state == State.QUEUED


# --- tried again ----------------------------------------------------------------------------------------------


@pytest.mark.case(117)
@pytest.mark.both_databases
def test_while_the_receiver_is_down_it_is_tried_again_with_the_same_id_signed_and_visible(
    scene: Scene, verified: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: scene.at)
    receiver = Receiver()
    receiver.port = free_port()
    shop = Shop(scene, receiver)
    _, secret = scene.webhook(receiver.url, "reward.created")
    scene.pending_reward()
    waits = []
    for tries in range(1, 7):
        assert shop.sweep() == 0 == shop.sweep()
        (told,) = scene.told()
        assert (told.state, told.tries, told.status) == (State.QUEUED, tries, None)
        assert "refused" in told.trouble and told.tried_at == scene.at
        waits.append((told.due_at - scene.at).total_seconds())
        scene.at = max(told.due_at, told.endpoint.resting_until or told.due_at)
    assert waits == sorted(waits) and waits[0] < 15 and waits[-1] > 3600
    with receiving(receiver):
        receiver.says = 503
        assert shop.sweep() == 0
        scene.later(days=1)
        receiver.says = 204
        assert shop.sweep() == 1 and shop.sweep() == 0
    (told,) = scene.told()
    assert (told.state, told.status, told.tries, told.trouble) == (State.SENT, 204, 8, "")
    assert receiver.copies == {told.public_id: 2}
    first, last = receiver.taken
    assert first.body == last.body == told.body.encode()
    assert first.headers["webhook-timestamp"] != last.headers["webhook-timestamp"]
    assert verified(secret, last)["type"] == "reward.created"


def misbehave(receiver: Receiver, how: str) -> None:
    receiver.says = int(how) if how.isdigit() else 200
    receiver.delay_s = 3.0 if how == "slow" else 0.0
    receiver.drips = how == "drips"
    receiver.drops_before = how == "drops before"


@pytest.mark.parametrize(
    ("how", "trouble"),
    [
        ("500", "It answered 500"), ("404", "It answered 404"), ("301", "not followed"), ("307", "not followed"),
        ("slow", "No answer within"), ("drips", "No answer within"), ("drops before", "No answer"),
    ],
)  # fmt: skip
def test_whatever_goes_wrong_stands_beside_it_and_it_arrives_later(
    how: str, trouble: str, scene: Scene, shop: Shop
) -> None:
    scene.webhook(shop.receiver.url, "reward.created")
    scene.pending_reward()
    misbehave(shop.receiver, how)
    began = time.monotonic()
    assert shop.sweep() == 0
    assert time.monotonic() - began < 2.5, "a second in all, however it is spent"
    (told,) = scene.told()
    assert told.state == State.QUEUED and trouble in told.trouble
    assert told.status == (int(how) if how.isdigit() else None)
    assert [one.path for one in shop.receiver.taken] == ["/hooks?of=shop"], "nothing is followed"
    misbehave(shop.receiver, "200")
    scene.later(minutes=30)
    assert shop.sweep() == 1 and shop.receiver.copies == {told.public_id: 2}


def test_what_was_answered_well_has_arrived_also_when_the_line_breaks_then(scene: Scene, shop: Shop) -> None:
    scene.webhook(shop.receiver.url, "reward.created")
    scene.pending_reward()
    shop.receiver.says, shop.receiver.drops_after, shop.receiver.text = 202, 1, b"tak"
    assert shop.sweep() == 1
    scene.later(days=1)
    assert shop.sweep() == 0 and len(shop.receiver.taken) == 1


def test_of_an_answer_as_much_is_kept_as_people_read(scene: Scene, shop: Shop) -> None:
    scene.webhook(shop.receiver.url, "reward.created")
    scene.pending_reward()
    shop.receiver.says, shop.receiver.text = 200, b"a\x00\xff<b>" + b"x" * 200_000
    assert shop.sweep() == 1
    (told,) = scene.told()
    assert told.answer.startswith("a\ufffd<b>xx") and len(told.answer) == 2000
    assert told.took_ms is not None and told.took_ms < 1000


@pytest.mark.both_databases
def test_who_says_that_it_is_gone_is_switched_off_at_once_and_the_owners_are_told(
    scene: Scene, shop: Shop, post: Post
) -> None:
    endpoint, _ = scene.webhook(shop.receiver.url)
    scene.pending_reward()
    shop.receiver.says = 410
    assert shop.sweep() == 0
    assert (endpoint.off_at, endpoint.off_why) == (scene.at, Off.GONE)
    assert {one.state for one in scene.told()} == {State.GIVEN_UP}
    (mail,) = scene.mails("webhook_off")
    assert mail.to == "olivia@example.com" and "410" in mail.text and "127.0.0.1" in mail.subject
    scene.friend("Dora", of=scene.alice)
    assert [one.state for one in scene.told()] == [State.GIVEN_UP] * 3, "kept, to be sent by hand"
    by = scene.olivia.id
    again = scene.told()[-1]
    with pytest.raises(webhooks.WebhookRefused, match="Switch it on"):
        scene.do(lambda: program.send_webhook_again(again, by=by, at=scene.at))
    scene.do(lambda: program.switch_webhook_on(endpoint, by=by, at=scene.at))
    shop.receiver.says = 200
    scene.do(lambda: program.send_webhook_again(again, by=by, at=scene.at))
    assert shop.sweep() == 1 and again.state == State.SENT


def test_who_fails_for_three_days_is_switched_off_and_a_weekend_without_a_worker_is_no_reason(
    scene: Scene, shop: Shop
) -> None:
    endpoint, _ = scene.webhook(shop.receiver.url, "reward.created")
    scene.pending_reward()
    shop.receiver.says = 500
    shop.sweep()
    first = scene.at
    scene.later(days=4)
    shop.sweep()
    assert endpoint.off_at is None, "tried twice"
    while endpoint.off_at is None:
        (told,) = scene.told()
        scene.at = max(told.due_at, endpoint.resting_until or told.due_at)
        shop.sweep()
    assert endpoint.off_why == Off.FAILING and endpoint.off_at >= first + endpoints.OFF_AFTER
    assert scene.told()[0].state == State.GIVEN_UP and len(scene.mails("webhook_off")) == 1
    shop.receiver.says = 200
    by = scene.olivia.id
    scene.do(lambda: program.switch_webhook_on(endpoint, by=by, at=scene.at))
    scene.do(lambda: program.try_webhook(endpoint, by=by, at=scene.at))
    assert shop.sweep() == 1 and (endpoint.failures, endpoint.failing_since) == (0, None)


def test_one_thing_that_never_arrives_is_given_up_and_the_others_arrive(scene: Scene, shop: Shop) -> None:
    scene.webhook(shop.receiver.url)
    scene.pending_reward()
    shop.receiver.refuses = scene.told()[0].public_id
    end = scene.at + GIVE_UP_AFTER + timedelta(days=2)
    while scene.at < end:
        shop.sweep()
        scene.do(lambda: program.try_webhook(scene.told()[0].endpoint, by=scene.olivia.id, at=scene.at))
        shop.sweep()
        scene.later(hours=3)
    assert [one.state for one in scene.told()[:2]] == [State.GIVEN_UP, State.SENT]
    assert scene.told()[0].endpoint.off_at is None and {one.state for one in scene.told()[2:-1]} == {State.SENT}


def test_a_slow_receiver_keeps_neither_mails_nor_other_receivers_waiting(scene: Scene, shop: Shop, post: Post) -> None:
    scene.publish(fixed(500))
    with receiving(Receiver()) as slow:
        slow.delay_s = 2.0
        scene.webhook(slow.url, "reward.created")
        scene.webhook(shop.receiver.url, "reward.created")
        for number in range(20):
            scene.order(scene.friend(f"Friend {number}", of=scene.alice))
        assert post.sweep() > 20, "mails are another job's"
        began = time.monotonic()
        assert shop.sweep() == 20 == len(shop.receiver.taken)
        assert time.monotonic() - began < 6, "a round or two of a second"
        assert 1 <= len(slow.taken) <= 8
        scene.later(seconds=30)
        before = len(slow.taken)
        shop.sweep()
        assert len(slow.taken) == before + 1, "who fails is asked one thing at a time"


def test_one_that_says_at_length_that_all_is_well_keeps_nobody_waiting(scene: Scene, shop: Shop) -> None:
    """Its text is read for a second; and who took long rests as long, while others have their turn."""
    with receiving(Receiver()) as talks:
        talks.says, talks.drips_text = 200, True
        scene.webhook(talks.url, "reward.created")
        scene.pending_reward()
        began = time.monotonic()
        assert shop.sweep() == 1
        assert time.monotonic() - began < 3
        (told,) = scene.told()
        assert told.state == State.SENT and told.answer.startswith("zz")
    endpoint = told.endpoint
    for took, rests in ((1999, None), (2500, scene.at + timedelta(seconds=2.5)), (10, None)):
        endpoint.resting_until = None
        endpoints.worked(endpoint, took=timedelta(milliseconds=took), at=scene.at)
        assert endpoint.resting_until == rests


# --- at once --------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_two_workers_and_more_never_send_the_same_one(scene: Scene, shop: Shop) -> None:
    scene.webhook(shop.receiver.url)
    with receiving(Receiver()) as other:
        scene.webhook(other.url)
        for number in range(15):
            scene.order(scene.friend(f"Friend {number}", of=scene.alice))
        names = {one.public_id for one in scene.told()}
        keep = scene.keep_secrets

        def claims() -> list[str]:
            return [one.public_id for one in webhooks.claim(at=scene.at)]

        claimed = [name for found in at_once(scene, [claims] * 6) for name in found]
        assert len(claimed) == len(set(claimed)) > 0
        scene.at += LEASE + timedelta(seconds=1)
        sweeps.send_webhooks(shop.caller, keep=keep)
        assert shop.receiver.copies + other.copies == dict.fromkeys(names, 1)


KILLED = """
import sys, time
from datetime import datetime
from portal import create_app, sweeps
from portal.config import Settings
from portal.core import clock
from portal.core.sealed import Box
from portal.delivery.calls import Caller
settings = Settings.from_env()
at = datetime.fromisoformat(sys.argv[1])
clock.now = lambda: at
with create_app(settings).app_context():
    sweeps.send_webhooks(Caller(local=True), keep=Box(settings.details_key, "webhooks"))
"""


def test_a_worker_killed_while_it_sends_leaves_it_to_the_next_under_the_same_id(
    scene: Scene, shop: Shop, tmp_path: Path
) -> None:
    scene.webhook(shop.receiver.url, "reward.created")
    scene.pending_reward()
    session.rollback()
    shop.receiver.delay_s = 5.0
    settings = scene.app.extensions["settings"]
    (tmp_path / "details_key").write_text(settings.details_key)
    environ = {
        **os.environ,
        "INSTANCE_DIR": str(tmp_path),
        "DATABASE_URL": settings.database_url,
        "BASE_URL": settings.base_url,
    }
    worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), scene.at.isoformat()], env=environ)
    until = time.monotonic() + 30
    while not shop.receiver.taken and worker.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    shop.receiver.delay_s = 0.0
    session.rollback()
    (told,) = scene.told()
    assert told.state == State.SENDING and shop.sweep() == 0, "it is still the other's"
    scene.at += LEASE + timedelta(seconds=1)
    assert shop.sweep() == 1 and shop.receiver.copies == {told.public_id: 2}


def test_what_is_on_its_way_when_its_endpoint_goes_is_noted_and_not_sent_again(scene: Scene, shop: Shop) -> None:
    removed, _ = scene.webhook(shop.receiver.url, "reward.created")
    gone, _ = scene.webhook(shop.receiver.url, "reward.created")
    scene.pending_reward()
    scene.order(scene.friend("Dora", of=scene.alice))
    by = scene.olivia.id
    claimed = scene.do(lambda: webhooks.claim(at=scene.at))
    scene.do(lambda: program.remove_webhook(removed, by=by, at=scene.at))
    mine = sorted(claimed, key=lambda one: one.endpoint_id)
    for one, status in zip(mine, (200, 500, 410, 204), strict=True):
        scene.do(
            lambda one=one, status=status: program.note_webhook(one.id, calls.Outcome(5, status=status), at=scene.at)
        )  # type: ignore[misc]
    assert [one.state for one in mine] == [State.SENT, State.GIVEN_UP, State.GIVEN_UP, State.SENT]
    assert (removed.secret, removed.off_at, gone.off_why) == ("", None, Off.GONE)
    assert len(scene.mails("webhook_off")) == 1
    scene.later(days=1)
    assert shop.sweep() == 0 and shop.receiver.taken == []
    with pytest.raises(EndpointRefused, match="removed"):
        scene.do(lambda: program.try_webhook(removed, by=by, at=scene.at))


# --- where to -------------------------------------------------------------------------------------------------


INSIDE = """
127.0.0.1 127.8.9.10 0.0.0.0 10.0.0.5 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 192.0.2.1 198.18.0.1
198.51.100.7 203.0.113.9 224.0.0.1 240.0.0.1 255.255.255.255 ::1 :: ::ffff:127.0.0.1 ::ffff:10.0.0.1 fe80::1 fc00::1 fd12::1
ff02::1 64:ff9b::7f00:1 64:ff9b::a00:1 2002:7f00:1:: 2001::1 2001:db8::1
""".split()


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_inside_a_network_is_called(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as it is, nor behind a name whose owner lets it lead there."""
    assert not endpoints.is_public(ipaddress.ip_address(address))
    with pytest.raises(EndpointRefused):
        endpoints.read(f"https://[{address}]/" if ":" in address else f"https://{address}/", local=False)
    leads_to(monkeypatch, address)
    outcome = Caller().post("https://hooks.example.com/", {}, b"{}")
    assert outcome.status is None and "a network of its own" in outcome.trouble


def leads_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Has names lead to these addresses; the list says which were asked for."""
    asked: list[str] = []

    def found(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return asked


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_called(address: str) -> None:
    assert endpoints.is_public(ipaddress.ip_address(address))


def test_a_name_with_one_address_inside_is_not_called_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, "1.1.1.1", "10.0.0.1")
    assert "a network of its own" in Caller().post("https://hooks.example.com/", {}, b"{}").trouble


def test_the_address_that_was_looked_at_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere a moment later gains nothing: it is asked once."""
    asked, reached = leads_to(monkeypatch, "1.1.1.1"), []

    def connects(where: tuple[str, int], **_: Any) -> socket.socket:
        reached.append(where)
        raise OSError("no network in a test")

    monkeypatch.setattr(socket, "create_connection", connects)
    outcome = Caller().post("https://hooks.example.com:8443/x", {}, b"{}")
    assert (asked, reached) == (["hooks.example.com"], [("1.1.1.1", 8443)]) and "no network" in outcome.trouble


WRONG = """
http://shop.example.com/ ftp://shop.example.com/ https:///x //shop.example.com/ shop.example.com javascript:alert(1)
https://user@shop.example.com/ https://user:word@shop.example.com/ https://shop.example.com:0/ https://shop.example.com:99999/
https://shop.example.com/#part https://shop.example.com\\@evil.example/ https://bücher.example/ https://shop/ https://localhost/
http://127.0.0.1/ https://127.0.0.1/ https://127.1/ https://2130706433/ https://0x7f000001/ https://0177.0.0.1/ https://[::1]/
https://portal.internal/ https://nas.local/ https://metadata.google.internal/ https://shop.example.com./ https://[fe80::1%25eth0]/
""".split()


@pytest.mark.parametrize(
    "url",
    [*WRONG, "", " https://shop.example.com/", "https://shop.example.com/\r\nX: y", "https://s.example/" + "x" * 500],
)
def test_what_is_no_address_of_a_receiver_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(EndpointRefused):
        endpoints.read(url, local=False)


def test_on_one_machine_alone_its_own_addresses_will_do_and_no_others_inside() -> None:
    for url in ("http://127.0.0.1:8080/x", "http://localhost/", "https://[::1]:8443/"):
        assert endpoints.read(url, local=True)
    for url in ("http://shop.example.com/", "http://10.0.0.1/", "https://10.0.0.1/", "ftp://127.0.0.1/"):
        with pytest.raises(EndpointRefused):
            endpoints.read(url, local=True)


def test_over_tls_only_with_the_right_certificate(scene: Scene, tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    other, others = certificate(tmp_path, "elsewhere.example.com")
    with receiving(Receiver(), tls=context) as receiver:
        url = receiver.url.replace("http:", "https:")
        assert Caller(local=True, ca=str(trusted)).post(url, {}, b"{}").status == 204
        assert "certificate" in Caller(local=True).post(url, {}, b"{}").trouble
    with receiving(Receiver(), tls=other) as receiver:
        url = receiver.url.replace("http:", "https:")
        assert "certificate" in Caller(local=True, ca=str(others)).post(url, {}, b"{}").trouble, "of another name"
        assert receiver.taken == []


def test_a_receiver_that_never_speaks_tls_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        outcome = Caller(local=True, timeout_s=0.5).post(f"https://127.0.0.1:{silent.getsockname()[1]}/", {}, b"{}")
        assert time.monotonic() - began < 2 and outcome.status is None and outcome.trouble


# --- forgotten ------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_of_an_erased_person_what_was_told_keeps_ids_alone(scene: Scene, shop: Shop) -> None:
    scene.webhook(shop.receiver.url)
    person, _ = scene.customer("zebulon@quartz.example", "zebulon@quartz.example", code=scene.code(scene.alice))
    scene.customer("c-9", "other@shop.example", code=scene.code(person))
    shop.receiver.text, shop.receiver.says = b"Hello Zebulon", 200
    shop.sweep()
    scene.later(minutes=1)
    scene.order(Customer("c-9"))
    assert "zebulon" in str([(one.body, one.answer) for one in scene.told()]).lower()
    scene.do(lambda: program.erase(person, gives_up_minor=None, by=None, at=scene.at))
    left = str([(one.body, one.answer, one.trouble) for one in scene.told()])
    assert "zebulon" not in left.lower() and person.public_id in left and '"c-9"' in left
    assert all(json.loads(one.body)["data"] for one in scene.told())
    shop.sweep()
    assert "zebulon" not in str([one.body for one in shop.receiver.taken[2:]]).lower()


def test_what_has_been_over_for_a_month_is_deleted(scene: Scene, shop: Shop) -> None:
    scene.webhook(shop.receiver.url, "reward.created")
    scene.pending_reward()
    shop.sweep()
    scene.later(days=30)
    assert sweeps.forget_webhooks() == 0
    scene.later(seconds=1)
    assert sweeps.forget_webhooks() == 1 and scene.told() == []
