"""The outbox: a mail is a row, claimed by one worker at a time, sent once or given up visibly."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from portal import sweeps
from portal.core import clock
from portal.core.database import session
from portal.delivery import mail, outbox
from portal.delivery.mail import Files, Sender, Undeliverable
from portal.delivery.outbox import GIVE_UP_AFTER, LEASE, Message, State
from portal.notices.writing import Office
from tests.domain.racing import at_once
from tests.factories import Scene


def put(scene: Scene, number: int = 1, *, to: str = "bob@example.com", secret: bool = False) -> Message | None:
    letter = outbox.Letter(to=to, to_hash=to, subject=f"Mail {number}", text="Hello", about_id=str(number))
    put = scene.do(lambda: outbox.put_all("test", "thing", [letter], secret=secret, at=scene.at))
    return session.scalars(sa.select(Message).where(Message.public_id == put[0])).one() if put else None


def claim(scene: Scene) -> list[str]:
    return [message.subject for message in scene.do(lambda: outbox.claim(at=scene.at))]


@pytest.mark.both_databases
def test_one_mail_of_a_kind_about_a_thing_to_a_person(scene: Scene) -> None:
    assert put(scene) is not None and put(scene) is None
    assert put(scene, 2) is not None and put(scene, to="ben@example.com") is not None


@pytest.mark.both_databases
def test_a_claimed_mail_is_nobody_elses_until_its_lease_runs_out(scene: Scene) -> None:
    put(scene)
    assert claim(scene) == ["Mail 1"]
    assert claim(scene) == []
    scene.at += LEASE
    assert claim(scene) == []
    scene.at += timedelta(microseconds=1)
    assert claim(scene) == ["Mail 1"], "its worker died"
    assert session.scalars(sa.select(Message)).one().tries == 2


def test_a_mail_not_due_is_not_claimed_and_the_oldest_goes_first(scene: Scene) -> None:
    put(scene, 2)
    scene.later(hours=-1)
    put(scene, 1)
    assert claim(scene) == ["Mail 1"]
    scene.later(hours=1)
    assert claim(scene) == ["Mail 2", "Mail 1"], "by now Mail 1's lease has run out"


@pytest.mark.case(87)
def test_a_mail_that_fails_is_tried_again_with_growing_waits_and_given_up_visibly(scene: Scene) -> None:
    message = put(scene)
    assert message is not None
    number, first, waits = message.id, scene.at, []
    while session.get_one(Message, number).state != State.GIVEN_UP:
        assert claim(scene) == ["Mail 1"]
        scene.do(lambda: outbox.failed(number, "The server is\r\naway.", at=scene.at, for_good=False))
        found = session.get_one(Message, number)
        assert found.trouble == "The server is away."
        waits.append((found.due_at - scene.at).total_seconds())
        assert claim(scene) == []
        scene.at = max(found.due_at, scene.at)
    assert scene.at > first + GIVE_UP_AFTER and len(waits) < 30
    assert waits[0] < 160 and max(waits) <= 6 * 3600 * 1.2 and waits[3] > 10 * waits[0]
    assert claim(scene) == [] and [m.id for m in outbox.listed([State.GIVEN_UP])[0]] == [number]


def test_a_mail_that_waited_long_for_a_worker_is_not_given_up_at_the_first_trouble(scene: Scene) -> None:
    message = put(scene)
    assert message is not None
    scene.later(days=4)
    claim(scene)
    scene.do(lambda: outbox.failed(message.id, "Away.", at=scene.at, for_good=False))
    assert message.state == State.QUEUED


def test_a_mail_that_cannot_ever_be_sent_is_given_up_at_once(scene: Scene) -> None:
    message = put(scene)
    assert message is not None
    claim(scene)
    scene.do(lambda: outbox.failed(message.id, "No such address.", at=scene.at, for_good=True))
    assert message.state == State.GIVEN_UP


def test_a_secret_is_wiped_from_the_row_once_it_has_gone_out(scene: Scene) -> None:
    plain, secret = put(scene, 1), put(scene, 2, secret=True)
    assert plain is not None and secret is not None
    for message in (plain, secret):
        scene.do(lambda number=message.id: outbox.sent(number, at=scene.at))  # type: ignore[misc]
    assert (plain.text, secret.text) == ("Hello", "") and plain.state == secret.state == State.SENT


def test_how_long_the_oldest_mail_waits(scene: Scene) -> None:
    assert outbox.oldest_due(at=scene.at) is None
    put(scene)
    assert outbox.oldest_due(at=scene.later(minutes=3)) == timedelta(minutes=3)


@pytest.mark.both_databases
def test_eight_workers_never_claim_the_same_mail(scene: Scene) -> None:
    for number in range(60):
        put(scene, number)

    def act() -> list[int]:
        return [message.id for message in outbox.claim(at=scene.at, most=10)]

    claimed = [number for numbers in at_once(scene, [act] * 8) for number in numbers]
    assert len(claimed) == len(set(claimed)) == 60


# --- sent as files --------------------------------------------------------------------------------------------


def sweep(scene: Scene, way_out: Files, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(clock, "now", lambda: scene.at)
    session.rollback()
    return sweeps.send_mail(way_out, sender="portal@friends.example.com", base_url="https://friends.example.com")


@pytest.mark.both_databases
def test_the_worker_sends_what_is_due_once(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.approved_reward()
    way_out = Files(tmp_path / "mail")
    queued = len(scene.mails())
    assert sweep(scene, way_out, monkeypatch) == queued > 4
    assert sweep(scene, way_out, monkeypatch) == 0
    letters = [path.read_text() for path in way_out.newest()]
    assert len(letters) == queued
    (approved,) = [letter for letter in letters if "Your reward of" in letter]
    assert "From: Friends <portal@friends.example.com>" in approved and "To: alice@example.com" in approved
    assert {message.state for message in scene.mails()} == {State.SENT}
    assert all(message.text == "" for message in scene.mails("confirm")), "a sent link is not kept"


def test_a_mail_sent_twice_after_a_crash_is_the_same_mail(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker died between sending and noting it: the file is written over, not a second one."""
    message = put(scene)
    assert message is not None
    way_out = Files(tmp_path / "mail")
    scene.do(lambda: outbox.claim(at=scene.at))
    composed = mail.compose(message, Sender("Friends", "portal@friends.example.com", "https://friends.example.com"))
    way_out.send(message, composed)
    scene.later(minutes=6)
    assert sweep(scene, way_out, monkeypatch) == 1
    (only,) = way_out.newest()
    assert f"Message-ID: <{message.public_id}@friends.example.com>" in only.read_text()


@pytest.mark.case(87)
def test_with_mail_away_the_payment_stands_and_the_trouble_shows(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.paid_reward()
    (tmp_path / "mail").write_text("not a folder")
    assert sweep(scene, Files(tmp_path / "mail"), monkeypatch) == 0
    assert scene.balance(scene.alice) == {"paid": 2000}
    (paid,) = scene.mails("payout_paid")
    assert paid.state == State.QUEUED and paid.trouble and paid.due_at > scene.at
    (tmp_path / "mail").unlink()
    scene.later(minutes=5)
    assert sweep(scene, Files(tmp_path / "mail"), monkeypatch) == len(scene.mails())


@pytest.mark.case(35)
def test_no_control_character_reaches_a_header_and_there_is_one_recipient(scene: Scene) -> None:
    message = put(scene)
    assert message is not None
    session.refresh(message)
    session.expunge(message)
    message.subject = "Hello\r\nBcc: everybody@example.com\x00"
    composed = mail.compose(message, Sender("Evil\r\nBcc: x@y.example", "portal@x.example", "https://x.example"))
    text = composed.as_string()
    assert composed["Bcc"] is None and composed["To"] == "bob@example.com" and "\x00" not in text
    for address in ("a@x.example, b@y.example", "a b@x.example", "a\r\nBcc: b@y.example", "", "@", "a@"):
        message.to = address
        try:
            sent_to = mail.compose(message, Sender("F", "portal@x.example", "https://x.example"))["To"].addresses
        except Undeliverable as trouble:
            assert trouble.for_good
        else:
            assert len(sent_to) == 1


def test_two_sign_ups_with_a_strangers_name_in_the_mail_stay_plain_text(scene: Scene) -> None:
    bob = scene.friend("<b>Bob</b> {{ 7*7 }}\r\nBcc: x@example.com", of=scene.alice, email="bob@example.com")
    (told,) = scene.mails("friend_joined", to=scene.alice)
    assert "49" not in told.subject and "\n" not in told.subject and bob.as_friend in told.subject


def test_an_attempt_on_a_known_address_is_told_to_its_owner_at_most_once_an_hour(scene: Scene) -> None:
    for _ in range(5):
        scene.sign_up("Alice", email=scene.alice.email)
    assert len(scene.mails("already_registered", to=scene.alice)) == 1
    scene.later(hours=1)
    scene.sign_up("Alice", email=scene.alice.email)
    assert len(scene.mails("already_registered", to=scene.alice)) == 2
    assert Office.hash_key, "addressees are hashed with the key of the settings"
