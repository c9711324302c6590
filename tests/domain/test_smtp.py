"""Mails over SMTP: a real conversation with a server that takes, refuses, delays, breaks off and is away."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from portal import sweeps
from portal.core import clock
from portal.core.database import session
from portal.delivery import mail, outbox, suppressions
from portal.delivery.mail import Away, Server
from portal.delivery.outbox import State
from tests.domain.test_outbox import put
from tests.factories import Scene
from tests.mailserver import MailServer, certificate, listening

BASE = "http://127.0.0.1:8000"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with listening(MailServer()) as found:
        yield found


def plain(server: MailServer, **more: object) -> Server:
    return Server("127.0.0.1", server.port, "none", **more)  # type: ignore[arg-type]


@pytest.fixture
def sweep(scene: Scene, server: MailServer, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """The worker's job at the scene's moment."""
    monkeypatch.setattr(clock, "now", lambda: scene.at)

    def run(out: Server | None = None) -> int:
        session.rollback()
        return sweeps.send_mail(out or plain(server), sender="portal@friends.example.com", base_url=BASE)

    return run


@pytest.mark.both_databases
def test_a_mail_arrives_once_with_both_parts_and_the_way_out(scene: Scene, server: MailServer, sweep) -> None:
    scene.approved_reward()
    assert sweep() == len(scene.mails()) and sweep() == 0
    (told,) = [one for one in server.to("alice@example.com") if "is on its way" in one["Subject"]]
    assert told["From"] == "Friends <portal@friends.example.com>" and told["Message-ID"].endswith("@127.0.0.1>")
    parts = [part.get_content_type() for part in told.walk()]
    assert parts == ["multipart/alternative", "text/plain", "text/html"]
    html = told.get_body(("html",)).get_content()
    assert "<script" not in html and "<img" not in html and "//" not in html.replace(BASE, "")
    assert f'href="{BASE}/rewards"' in html and "See your rewards" in html
    stop = told["List-Unsubscribe"].strip("<>")
    assert stop.startswith(f"{BASE}/unsubscribe/") and told["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert stop in told.get_body(("plain",)).get_content().replace("\n", "")
    (confirm,) = [one for one in server.to("alice@example.com") if "Confirm" in one["Subject"]]
    assert confirm["List-Unsubscribe"] is None, "nobody can do without it"
    assert set(server.copies.values()) == {1}


@pytest.mark.both_databases
def test_later_is_tried_again_and_never_is_given_up_and_the_second_time_for_ever(
    scene: Scene, server: MailServer, sweep
) -> None:
    server.says = {"later@example.com": "451 not now", "never@example.com": "550 nobody of this name"}
    late, gone = put(scene, 1, to="later@example.com"), put(scene, 2, to="never@example.com")
    fine = put(scene, 3, to="fine@example.com")
    assert late and gone and fine
    numbers = [message.id for message in (late, gone, fine)]
    assert sweep() == 1
    late, gone, fine = (session.get_one(outbox.Message, number) for number in numbers)
    assert (late.state, gone.state, fine.state) == (State.QUEUED, State.GIVEN_UP, State.SENT)
    assert late.due_at > scene.at + timedelta(seconds=60) and "451 not now" in late.trouble
    assert "550 nobody of this name" in gone.trouble
    assert suppressions.why(gone.to_hash) is None
    put(scene, 4, to="never@example.com")
    assert sweep() == 0
    assert suppressions.why(gone.to_hash) == "bounced", "mail to it came back twice"
    server.says = {}
    scene.later(hours=1)
    assert sweep() == 1 and len(server.to("later@example.com")) == 1


def test_a_server_that_relays_nothing_says_nothing_of_the_addressees(scene: Scene, server: MailServer, sweep) -> None:
    """It is tried again: such a server is mended by its operator, and no mail is lost meanwhile."""
    server.says = {"bob@example.com": "550 5.7.1 relaying denied", "ben@example.com": "550 relay not permitted"}
    numbers = [
        message.id
        for number in range(6)
        if (message := put(scene, number, to="bob@example.com" if number % 2 else "ben@example.com"))
    ]
    assert sweep() == 0
    messages = [session.get_one(outbox.Message, number) for number in numbers]
    assert {message.state for message in messages} == {State.QUEUED}
    assert {suppressions.why(message.to_hash) for message in messages} == {None}
    server.says = {}
    scene.later(hours=1)
    assert sweep() == 6 and set(server.copies.values()) == {1}


def test_the_way_out_stands_in_the_header_as_it_is_and_whole(scene: Scene, server: MailServer, sweep) -> None:
    """Not folded into an encoded word, which a header of addresses may not hold (RFC 2047, 5; RFC 2369, 2)."""
    scene.approved_reward()
    sweep()
    raw = b"".join(server.raw)
    stops = re.findall(rb"^List-Unsubscribe: (.*)\r\n", raw, re.MULTILINE)
    assert stops and all(re.fullmatch(rb"<http://127\.0\.0\.1:8000/unsubscribe/[\w.-]+>", stop) for stop in stops)
    assert raw.count(b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n") == len(stops)


def test_a_domain_with_other_letters_goes_out_in_those_that_every_server_takes(
    scene: Scene, server: MailServer, sweep
) -> None:
    put(scene, 1, to="fritz@müller.example")
    assert sweep() == 1
    assert b"To: fritz@xn--mller-kva.example\r\n" in server.raw[0]


def test_a_connection_that_breaks_before_the_answer_gives_a_copy_under_the_same_message_id(
    scene: Scene, server: MailServer, sweep
) -> None:
    server.drops_before = 1
    for number in range(3):
        put(scene, number, to=f"friend{number}@example.com")
    assert sweep() == 2, "the others go on over a new connection"
    scene.later(hours=1)
    assert sweep() == 1
    assert sorted(server.copies.values()) == [1, 1, 2] and len(server.copies) == 3


def test_a_connection_that_breaks_after_the_answer_gives_none(scene: Scene, server: MailServer, sweep) -> None:
    server.drops_after = 2
    for number in range(4):
        put(scene, number, to=f"friend{number}@example.com")
    while sweep() or scene.later(hours=1) < scene.at:
        pass
    scene.later(hours=3)
    sweep()
    assert set(server.copies) == {str(one["Message-ID"]) for one in server.taken} and len(server.copies) == 4


@pytest.mark.both_databases
def test_with_the_server_away_for_half_an_hour_all_goes_out_within_a_minute_of_its_return(
    scene: Scene, server: MailServer, sweep
) -> None:
    numbers = [message.id for number in range(30) if (message := put(scene, number, to=f"f{number}@example.com"))]
    away = Server("127.0.0.1", 9, "none", timeout_s=2)
    until = scene.at + timedelta(minutes=30)
    while scene.at < until:
        assert sweep(away) == 0
        scene.later(seconds=5)
    waiting = [session.get_one(outbox.Message, number) for number in numbers]
    assert {message.state for message in waiting} == {State.QUEUED}
    assert all("no mail server answers" in message.trouble and message.tries == 0 for message in waiting)
    for _ in range(12):
        sweep()
        scene.later(seconds=5)
    assert len(server.taken) == 30 and set(server.copies.values()) == {1}


def test_a_slow_server_holds_up_nobody_who_could_send_meanwhile(scene: Scene, server: MailServer, monkeypatch) -> None:
    """What is left of a claim goes back when half of its lease is over."""
    for number in range(6):
        put(scene, number, to=f"f{number}@example.com")
    moments = iter(scene.at + timedelta(seconds=50 * step) for step in range(100))
    monkeypatch.setattr(clock, "now", lambda: next(moments))
    session.rollback()

    def claim() -> list[outbox.Message]:
        claimed = outbox.claim(at=scene.at)
        for message in claimed:
            session.expunge(message)
        return claimed

    claimed = scene.do(claim)
    by = mail.Sender("Friends", "portal@friends.example.com", BASE)
    gone, goes_on = sweeps._send_all(claimed, plain(server), by)
    left, _ = outbox.listed([State.QUEUED])
    assert 0 < gone < 6 and len(left) == 6 - gone and goes_on and {message.tries for message in left} == {0}


# --- as secure as it has to be ----------------------------------------------------------------------------------


def tried(server: Server) -> str:
    try:
        return server.check()
    except Away as trouble:
        return str(trouble)


def test_what_is_to_be_encrypted_goes_out_encrypted_or_not_at_all(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    other, others = certificate(tmp_path, "elsewhere.example.com")
    given = {"user": "portal", "password": "a password of the mail server"}

    def at(found: MailServer, security: str, **more: str) -> Server:
        return Server("127.0.0.1", found.port, security, **{"ca": str(trusted), "timeout_s": 5} | given | more)

    with listening(MailServer(), tls=context, signs_in=True) as found:
        assert tried(at(found, "starttls")) == f"Mails go to 127.0.0.1:{found.port} with STARTTLS as portal."
        assert "user or password are not accepted" in tried(at(found, "starttls", password="another"))
        assert "certificate" in tried(at(found, "starttls", ca=""))
        assert "certificate" in tried(at(found, "starttls", ca=str(others)))
    with listening(MailServer()) as found:
        assert "offers no STARTTLS, so nothing is sent" in tried(at(found, "starttls"))
    with listening(MailServer(), tls=other) as found:
        assert "certificate" in tried(at(found, "starttls", ca=str(others))), "of another name"
    with listening(MailServer(), tls=context, over="tls") as found:
        given = {}
        assert tried(at(found, "tls")) == f"Mails go to 127.0.0.1:{found.port} over TLS."
        assert "certificate" in tried(at(found, "tls", ca=str(others)))
    assert "no mail server answers" in tried(Server("127.0.0.1", 9, "tls", timeout_s=2))


def test_the_address_of_the_server_is_read_from_the_setting(tmp_path: Path) -> None:
    found = mail.way_out("smtp://me%40x.example:p%20w@mail.example.com", tmp_path)
    assert found == Server("mail.example.com", 587, "starttls", "me@x.example", "p w")
    assert mail.way_out("smtps://mail.example.com", tmp_path) == Server("mail.example.com", 465, "tls")
    assert mail.way_out("smtp://127.0.0.1:2525?security=none", tmp_path) == Server("127.0.0.1", 2525, "none")
    assert isinstance(mail.way_out("", tmp_path), mail.Files)
