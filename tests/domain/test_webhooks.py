"""Webhooks: what the shop's programs are told, once each, signed; and what is forgotten of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from standardwebhooks import WebhookVerificationError

from portal import program, sweeps
from portal.core import database
from portal.core.database import session
from portal.core.sealed import Box
from portal.delivery import webhooks
from portal.delivery.endpoints import Off
from portal.delivery.outbox import State
from portal.payouts.methods import Kind
from portal.rewards.conversions import Customer
from tests.domain.conftest import Shop
from tests.factories import Scene, fixed

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
    endpoint, _ = scene.webhook(f"{shop.receiver.url}&too")
    scene.do(lambda: setattr(endpoint, "secret", Box("another key", "webhooks").seal("whsec_AAAA")))
    scene.pending_reward()
    assert shop.sweep() == 2
    assert "another key" in str(scene.told()[-1].why) and scene.told()[-1].state == State.QUEUED


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
    left = str([(one.body, one.answer, one.trouble, one.trouble_values) for one in scene.told()])
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
