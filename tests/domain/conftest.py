"""The post: a mail server, a shop's program that takes webhooks, and the worker's jobs that send to them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks.webhooks
from standardwebhooks import Webhook as Verifier

from portal import sweeps
from portal.core import clock
from portal.core.database import session
from portal.delivery.calls import Caller
from portal.delivery.mail import Server
from tests.factories import Scene
from tests.mailserver import MailServer, listening
from tests.receiver import Receiver, receiving

BASE = "http://127.0.0.1:8000"


class Post:
    """A mail server, and the worker's job that sends to it at the scene's moment."""

    def __init__(self, scene: Scene, server: MailServer) -> None:
        self.scene, self.server = scene, server

    def sweep(self) -> int:
        session.rollback()
        out = Server("127.0.0.1", self.server.port, "none")
        return sweeps.send_mail(out, sender="portal@friends.example.com", base_url=BASE)

    def subjects(self, to: str) -> list[str]:
        return [str(mail["Subject"]) for mail in self.server.to(to)]


class Shop:
    """A shop's program that takes webhooks, and the worker's job that sends them at the scene's moment."""

    def __init__(self, scene: Scene, receiver: Receiver) -> None:
        self.scene, self.receiver = scene, receiver
        self.caller = Caller(local=True, timeout_s=1)

    def sweep(self) -> int:
        session.rollback()
        return sweeps.send_webhooks(self.caller, keep=self.scene.keep_secrets)


@pytest.fixture
def shop(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(clock, "now", lambda: scene.at)
    with receiving(Receiver()) as receiver:
        yield Shop(scene, receiver)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> Callable[..., Any]:
    """The other side's own check, at the scene's moment: what it says a webhook is, or WebhookVerificationError."""

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return scene.at.astimezone(tz or UTC)

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Then)
    return lambda secret, one: Verifier(secret).verify(one.body.decode(), one.headers)


@pytest.fixture
def post(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    monkeypatch.setattr(clock, "now", lambda: scene.at)
    with listening(MailServer()) as server:
        yield Post(scene, server)
