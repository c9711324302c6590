"""The post: a mail server, and the worker's job that sends to it."""

from collections.abc import Iterator

import pytest

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
def post(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    monkeypatch.setattr(clock, "now", lambda: scene.at)
    with listening(MailServer()) as server:
        yield Post(scene, server)
