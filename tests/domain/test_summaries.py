"""Summaries of a month: to whom, of what, once, and never to all at once."""

from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from portal import notices, program, sweeps
from portal.accounts.mail_choices import MailChoice, Topic
from portal.accounts.users import User
from portal.core import database
from portal.core.database import session
from portal.delivery.outbox import Message, State
from portal.program import summaries
from portal.reports.months import Month
from tests.domain.conftest import Post
from tests.domain.many import many_ready
from tests.domain.racing import at_once
from tests.factories import Scene, fixed

OCTOBER = datetime(2026, 10, 1, 9, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, 9, tzinfo=UTC)


def ask_for(scene: Scene, *people: User) -> None:
    for person in people:
        scene.do(lambda person=person: program.choose_mails(person, set(Topic), at=scene.at))


def told(scene: Scene, *, at: datetime) -> list[Message]:
    """Lets the worker write at a moment, in several turns; every summary there is by then."""
    scene.at = at
    for _ in range(4):
        scene.do(lambda: program.write_summaries(at=at))
    session.expire_all()
    return scene.mails("month_summary")


@pytest.mark.both_databases
def test_a_month_is_told_once_to_who_asked_and_to_whom_something_happened(scene: Scene) -> None:
    ask_for(scene, scene.alice, scene.carol)
    scene.earns(scene.alice, 3000, "Ben")
    scene.friend("Bea", of=scene.alice)
    scene.release()
    scene.method(scene.alice)
    scene.later(days=4)
    scene.pay_batch(scene.exported_batch())
    (mail,) = told(scene, at=OCTOBER)
    assert mail.to == "alice@example.com" and mail.subject == "Your September 2026 at Friends"
    for said in ("2 friends joined with your link.", "1 friend counted.", "You earned €30.00.",
                 "€30.00 was paid to you.", "See your rewards: http://127.0.0.1:8000/rewards"):  # fmt: skip
        assert said in mail.text
    assert len(told(scene, at=OCTOBER)) == len(told(scene, at=OCTOBER.replace(day=20))) == 1
    assert len(told(scene, at=NOVEMBER)) == 1, "nothing happened in October"


def test_what_refunds_took_back_and_what_was_rejected_is_not_earned(scene: Scene) -> None:
    ask_for(scene, scene.alice)
    scene.publish(fixed(1000))
    scene.refund(scene.order(scene.bob, 6400), 3200)
    scene.order(scene.friend("Ben", of=scene.alice))
    scene.reject(scene.rewards(scene.alice)[-1])
    (mail,) = told(scene, at=OCTOBER)
    assert "You earned €5.00." in mail.text


def test_each_currency_is_told_by_itself_in_the_readers_language(scene: Scene) -> None:
    alice = scene.alice
    ask_for(scene, alice)
    scene.do(lambda: program.choose_language(alice, "de"))
    brought = Month(earned={"EUR": 3000, "USD": 123456}, paid={"EUR": 100})
    scene.do(lambda: notices.month_over([(alice, brought)], date(2026, 9, 1), at=scene.at))
    (mail,) = scene.mails("month_summary")
    assert mail.subject == "Dein September 2026 bei Friends"
    assert "30,00\N{NO-BREAK SPACE}€ und 1.234,56\N{NO-BREAK SPACE}$" in mail.text
    assert "1,00\N{NO-BREAK SPACE}€" in mail.text and "Freund" not in mail.text


@pytest.mark.both_databases
def test_nobody_is_told_before_the_month_is_over_where_the_program_is(scene: Scene) -> None:
    scene.publish(time_zone="Pacific/Auckland")
    ask_for(scene, scene.alice)
    scene.friend("Ben", of=scene.alice)
    early = datetime(2026, 9, 30, 17, 59, tzinfo=UTC)  # 1 October, 6:59 there
    assert told(scene, at=early) == []
    assert [mail.subject for mail in told(scene, at=early.replace(hour=18, minute=0))] == [
        "Your September 2026 at Friends"
    ]


def test_who_asks_afterwards_is_told_of_the_month_that_follows_and_never_twice(scene: Scene) -> None:
    alice, carol = scene.alice, scene.carol
    for one in (alice, carol):
        scene.friend(f"Friend of {one.name}", of=one)
    ask_for(scene, carol)
    scene.at = OCTOBER.replace(hour=1)
    ask_for(scene, alice)
    assert [mail.to for mail in told(scene, at=OCTOBER)] == [carol.email]
    for wanted in (set(), set(Topic)):
        scene.do(lambda wanted=wanted: program.choose_mails(carol, wanted, at=scene.at))
    scene.friend("Ben", of=alice)
    assert len(told(scene, at=OCTOBER.replace(day=2))) == 1
    assert [(mail.to, mail.about_id[-7:]) for mail in told(scene, at=NOVEMBER)] == [
        (carol.email, "2026-09"), (alice.email, "2026-10"),
    ]  # fmt: skip


def test_who_is_unconfirmed_suspended_shut_out_or_gone_is_not_told(scene: Scene) -> None:
    people = [scene.person(name) for name in ("Sue", "Otto", "Gina", "Nell")]
    ask_for(scene, *people)
    for person in people:
        scene.friend(f"Friend of {person.name}", of=person)
    sue, otto, gina, nell = people
    owner = scene.olivia.id
    scene.suspend(sue)
    scene.do(lambda: program.shut_out(otto, by=owner, note="So.", at=scene.at))
    scene.do(lambda: program.erase(gina, gives_up_minor=None, by=owner, at=scene.at))
    session.execute(sa.update(User).where(User.id == nell.id).values(confirmed_at=None))
    session.commit()
    assert told(scene, at=OCTOBER) == []
    scene.readmit(sue)
    assert told(scene, at=OCTOBER) == [], "the month was looked at"


def test_one_click_ends_it_also_for_a_summary_that_waits(scene: Scene, post: Post) -> None:
    ask_for(scene, scene.alice)
    post.sweep()
    post.server.taken.clear()
    scene.friend("Ben", of=scene.alice)
    (mail,) = told(scene, at=OCTOBER)
    assert scene.do(lambda: program.stop(mail.stop, at=scene.at))
    post.sweep()
    session.expire_all()
    assert session.get_one(Message, mail.id).state == State.WITHDRAWN
    assert "September" not in " ".join(post.subjects("alice@example.com"))
    scene.friend("Bea", of=scene.alice)
    assert len(told(scene, at=NOVEMBER)) == 1


@pytest.mark.both_databases
def test_however_many_asked_a_turn_looks_at_few_with_the_same_questions(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "AT_ONCE", 20)
    many_ready(scene, 50)
    people = session.scalars(sa.select(User.id).where(User.name.startswith("referrer"))).all()
    rows = [{"user_id": number, "topic": Topic.MONTH, "chosen_at": scene.at} for number in people]
    scene.do(lambda: session.execute(sa.insert(MailChoice), rows))
    assert len(rows) == 50
    asked: list[int] = []

    def note(*_: object) -> None:
        asked[-1] += 1

    sa.event.listen(database.db.engine, "before_cursor_execute", note)
    written = []
    for _ in range(4):
        asked.append(0)
        written.append(scene.do(lambda: program.write_summaries(at=OCTOBER)))
    sa.event.remove(database.db.engine, "before_cursor_execute", note)
    assert written == [20, 20, 10, 0] and max(asked) <= 15
    mails = scene.mails("month_summary")
    assert len({mail.to for mail in mails}) == len(mails) == 50


@pytest.mark.on_postgresql
def test_two_workers_who_write_at_once_tell_each_person_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "AT_ONCE", 2)
    people = [scene.person(f"P{number}") for number in range(6)]
    ask_for(scene, *people)
    for person in people:
        scene.friend(f"Friend of {person.name}", of=person)
    outcomes = at_once(scene, [lambda: program.write_summaries(at=OCTOBER)] * 4)
    assert sum(outcomes) == len(scene.mails("month_summary"))
    mails = told(scene, at=OCTOBER)
    assert len({mail.to for mail in mails}) == len(mails) == 6


def test_the_worker_writes_them_with_its_other_mails(scene: Scene, post: Post) -> None:
    ask_for(scene, scene.alice)
    scene.friend("Ben", of=scene.alice)
    scene.at = OCTOBER
    sweeps.write_mails()
    sweeps.write_mails()
    assert len(scene.mails("month_summary")) == 1
