"""Deliveries: a webhook is sent by one worker, tried again under the same id, and visible throughout."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portal import program, sweeps
from portal.accounts import audit
from portal.core import clock
from portal.core.database import session
from portal.delivery import calls, endpoints, webhooks
from portal.delivery.endpoints import Endpoint, EndpointRefused, Off
from portal.delivery.outbox import GIVE_UP_AFTER, LEASE, State
from tests.domain.conftest import Post, Shop
from tests.domain.racing import at_once
from tests.factories import Scene, fixed
from tests.mailserver import free_port
from tests.receiver import Receiver, receiving


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
        assert "refused" in str(told.why) and told.tried_at == scene.at
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
        ("slow", "No answer within"), ("drips", "No answer within"), ("drops before", "ended the connection"),
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
    assert told.state == State.QUEUED and trouble in str(told.why)
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


@pytest.mark.both_databases
def test_what_was_given_up_is_sent_again_once_however_many_press(scene: Scene) -> None:
    endpoint, _ = scene.webhook()
    for _ in range(10):
        scene.do(lambda: program.try_webhook(endpoint, by=scene.olivia.id, at=scene.later(seconds=1)))
    scene.do(lambda: webhooks.give_up(endpoint))
    number, by = endpoint.id, scene.olivia.id

    def presses() -> int:
        return program.send_given_up_again(session.get_one(Endpoint, number), by=by, at=scene.at)

    assert sorted(at_once(scene, [presses] * 4)) == [0, 0, 0, 10]
    assert {(one.state, one.made_again_at) for one in scene.told()} == {(State.QUEUED, scene.at)}
    noted = [one for one in audit.about("webhook", endpoint.public_id) if one.verb == "webhooks_sent_again"]
    assert [one.details["many"] for one in noted] == [10]


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
    gone, _ = scene.webhook(f"{shop.receiver.url}&too", "reward.created")
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
