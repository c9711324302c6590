"""Mails to invited friends, and which mails people get at all: one each, never against their will, gone in time."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from portal import program, sweeps
from portal.accounts.mail_choices import Topic
from portal.core.database import session
from portal.delivery import outbox, stops, suppressions, wordings
from portal.delivery.mail import Files, Sender, compose
from portal.delivery.outbox import Message, State
from portal.delivery.wordings import WordingRefused
from portal.notices import examples, writing
from portal.notices.writing import Office
from portal.referrals import referrals
from portal.referrals.attribution import How
from portal.reports import sharing
from portal.reports.status import Word
from portal.sharing import invites
from portal.sharing.invites import Answer, Invite, InviteRefused
from tests.domain.conftest import BASE, Post
from tests.domain.racing import at_once
from tests.factories import Scene, fixed


def invite(scene: Scene, *addresses: str, by=None, note: str = "", remind: bool = False) -> list[Invite]:  # type: ignore[no-untyped-def]
    by = by or scene.alice
    told = scene.do(lambda: program.invite(by, addresses, note=note, remind=remind, at=scene.at))
    assert {one.answer for one in told} <= {Answer.ACCEPTED}
    return [one.invite for one in told if one.invite]


def stop_of(mail) -> str:  # type: ignore[no-untyped-def]
    return str(mail["List-Unsubscribe"]).strip("<>").rpartition("/")[2]


def row(scene: Scene, invite: Invite) -> sharing.InviteRow:
    session.rollback()
    return sharing.invite_rows([invite], at=scene.at)[0]


@pytest.mark.case(32)
@pytest.mark.both_databases
def test_an_invited_friend_reads_who_sent_it_why_and_what_they_get(scene: Scene, post: Post) -> None:
    scene.publish(fixed(2000), fixed(1000, to="referee", minimum_order_minor=3000))
    (asked,) = invite(scene, "bob@example.com", note="They roast <b>on Tuesdays</b>.")
    assert row(scene, asked).status.word == Word.QUEUED
    post.sweep()
    assert row(scene, asked).status.word == Word.SENT
    (mail,) = post.server.to("bob@example.com")
    assert mail["Subject"] == "Alice gives you €10 at Friends"
    text, html = (mail.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html"))
    code = row(scene, asked).code
    for said in ("Alice thinks that you might like Friends", "> They roast <b>on Tuesdays</b>.", f"{BASE}/r/{code}",
                 "You get €10 for your first order of at least €30.00.", "Alice typed your address at Friends"):  # fmt: skip
        assert said in text
    assert "&lt;b&gt;on Tuesdays&lt;/b&gt;" in html and f'href="{BASE}/r/{code}"' in html
    assert post.sweep() == 0
    again = scene.do(lambda: program.invite(scene.alice, ["BOB@example.com"], at=scene.at))
    assert [one.answer for one in again] == [Answer.ALREADY] and post.sweep() == 0


@pytest.mark.both_databases
def test_never_again_holds_for_every_sender_at_once_and_for_ever_and_nobody_is_told(scene: Scene, post: Post) -> None:
    (first,) = invite(scene, "bob@example.com")
    (second,) = invite(scene, "bob@example.com", by=scene.carol)
    post.sweep()
    token = stop_of(post.server.to("bob@example.com")[0])
    assert scene.do(lambda: program.stop(token, at=scene.at)) and scene.do(lambda: program.stop(token, at=scene.at))
    scene.later(days=400)
    (third,) = invite(scene, "bob@example.com", by=scene.mallory)
    before = len(post.server.to("bob@example.com"))
    post.sweep()
    assert len(post.server.to("bob@example.com")) == before, "nothing more, from anybody"
    assert row(scene, third).status.word == Word.SENT, "who asked is not told"
    (kept,) = [m for m in scene.mails("invite") if m.about_id == third.public_id]
    assert (kept.state, kept.trouble) == (State.WITHDRAWN, "This address wants no mails from here.")
    assert first.to_hash == second.to_hash == third.to_hash and suppressions.why(first.to_hash) == "asked"


@pytest.mark.both_databases
def test_what_was_queued_before_somebody_said_no_is_not_sent(scene: Scene, post: Post) -> None:
    (asked,) = invite(scene, "bob@example.com")
    scene.do(lambda: suppressions.suppress(asked.to_hash, suppressions.Why.ASKED, key_id="x", at=scene.at))
    assert post.sweep() >= 0 and post.server.to("bob@example.com") == []


def test_a_member_is_not_written_to_and_nobody_is_told(scene: Scene, post: Post) -> None:
    (asked,) = invite(scene, scene.bob.email)
    post.sweep()
    assert not any("invites you" in subject for subject in post.subjects(scene.bob.email))
    assert row(scene, asked).status.word == Word.SENT
    (kept,) = scene.mails("invite")
    assert (kept.trouble, kept.state) == ("There is an account with this address.", State.WITHDRAWN)


def test_one_address_over_all_senders_is_written_to_so_often_and_no_more(scene: Scene, post: Post) -> None:
    scene.publish(invites_an_address=2)
    for sender in (scene.alice, scene.carol, scene.mallory):
        invite(scene, "new@example.com", by=sender)
    post.sweep()
    assert len(post.server.to("new@example.com")) == 2
    scene.later(days=31)
    invite(scene, "new@example.com", by=scene.finn)
    post.sweep()
    assert len(post.server.to("new@example.com")) == 3


@pytest.mark.case(34)
def test_the_daily_limit_is_the_terms_and_says_when_there_is_room(scene: Scene) -> None:
    scene.publish(invites_a_day=2)
    alice = scene.alice
    told = scene.do(lambda: program.invite(alice, ["a@x.example", "b@x.example", "c@x.example"], at=scene.at))
    assert [one.answer for one in told] == [Answer.ACCEPTED, Answer.ACCEPTED, Answer.LIMIT]
    assert told[2].since == scene.at + timedelta(days=1)


@pytest.mark.both_databases
def test_the_one_reminder_comes_after_three_days_to_who_has_not_joined(scene: Scene, post: Post) -> None:
    bob, ben, cy = invite(scene, "bob@example.com", "ben@example.com", "cy@example.com", remind=True)
    (unasked,) = invite(scene, "dan@example.com")
    post.sweep()
    scene.do(lambda: program.withdraw_invite(cy, by=scene.alice.id, at=scene.at))
    scene.person("Bob", carried=row(scene, bob).code, email="other@example.com")
    scene.later(hours=71)
    assert sweeps.write_mails() == 0
    scene.later(hours=2)
    assert sweeps.write_mails() >= 1 and sweeps.write_mails() == 0
    post.sweep()
    reminded = {
        to: len(post.server.to(to))
        for to in ("bob@example.com", "ben@example.com", "cy@example.com", "dan@example.com")
    }
    assert reminded == {"bob@example.com": 1, "ben@example.com": 2, "cy@example.com": 1, "dan@example.com": 1}
    assert row(scene, ben).reminded_at is not None and not row(scene, ben).can_remind
    with pytest.raises(InviteRefused, match="sent before"):
        scene.do(lambda: program.remind_invite(ben, by=scene.alice.id, at=scene.at))
    scene.do(lambda: program.remind_invite(unasked, by=scene.alice.id, at=scene.at))
    post.sweep()
    assert len(post.server.to("dan@example.com")) == 2
    with pytest.raises(InviteRefused, match="no reminder"):
        scene.do(lambda: program.remind_invite(bob, by=scene.alice.id, at=scene.at))


def test_a_reminder_by_hand_waits_a_day(scene: Scene) -> None:
    (asked,) = invite(scene, "bob@example.com")
    scene.later(hours=23)
    with pytest.raises(InviteRefused, match="Give your friend a day"):
        scene.do(lambda: program.remind_invite(asked, by=scene.alice.id, at=scene.at))


@pytest.mark.both_databases
def test_the_address_of_who_does_not_join_goes_after_ninety_days_and_the_hash_stays(scene: Scene, post: Post) -> None:
    bob, ben = invite(scene, "bob@example.com", "ben@example.com")
    post.sweep()
    scene.person("Ben", carried=row(scene, ben).code, email="ben@example.com")
    scene.later(days=89)
    sweeps.write_mails()
    assert session.get_one(Invite, bob.id).to == "bob@example.com"
    scene.later(days=2)
    sweeps.write_mails()
    session.rollback()
    assert (session.get_one(Invite, bob.id).to, session.get_one(Invite, ben.id).to) == (None, "ben@example.com")
    assert not [m for m in scene.mails("invite") if m.to == "bob@example.com"]
    alice = scene.alice
    (told,) = scene.do(lambda: program.invite(alice, ["bob@example.com"], at=scene.at))
    assert told.answer == Answer.ALREADY, "the hash knows"


def test_a_friend_has_the_address_deleted_at_once(scene: Scene, post: Post) -> None:
    (asked,) = invite(scene, "bob@example.com", remind=True)
    post.sweep()
    token = stop_of(post.server.to("bob@example.com")[0])
    assert scene.do(lambda: program.delete_address(token, at=scene.at))
    session.rollback()
    assert session.get_one(Invite, asked.id).to is None
    held = session.scalars(sa.select(Message.to).where(Message.about_id == asked.public_id)).all()
    assert list(held) == [""]
    scene.later(days=4)
    sweeps.write_mails()
    assert post.sweep() >= 0 and len(post.server.to("bob@example.com")) == 1
    assert not scene.do(lambda: program.delete_address("nonsense", at=scene.at))


@pytest.mark.case(33)
@pytest.mark.both_databases
def test_who_comes_by_themselves_with_the_invited_address_counts_for_the_earliest_invite(scene: Scene) -> None:
    invite(scene, "new@example.com", by=scene.carol)
    scene.later(minutes=1)
    invite(scene, "new@example.com", by=scene.alice)
    friend = scene.sign_up("New", email="new@example.com")
    referral = referrals.of_referee(friend.id)
    assert referral is not None and (referral.referrer_id, referral.how) == (scene.carol.id, How.INVITE)


def test_switched_off_for_the_program_nothing_is_sent_and_the_ready_message_remains(scene: Scene, post: Post) -> None:
    scene.publish(mails_invites=False)
    (asked,) = invite(scene, "bob@example.com", remind=True)
    assert post.sweep() >= 0 and post.server.to("bob@example.com") == []
    assert row(scene, asked).status.word == Word.INVITED and not asked.remind


def test_a_note_carries_no_link_and_only_confirmed_people_send(scene: Scene) -> None:
    for note in ("see http://x.example", "www.x.example", "mail me@x.example", "go to x.example now", "x.co"):
        with pytest.raises(InviteRefused, match="Leave links"):
            invite(scene, "bob@example.com", note=note)
    with pytest.raises(InviteRefused, match="Confirm your"):
        invite(scene, "bob@example.com", by=scene.sign_up("Una"))
    assert scene.mails("invite") == []


# --- which mails ------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_every_optional_mail_is_not_sent_to_who_does_not_want_it_and_one_click_is_enough(
    scene: Scene, post: Post
) -> None:
    scene.bob  # noqa: B018 - joins, and Alice is told
    post.sweep()
    (told,) = [mail for mail in post.server.to("alice@example.com") if "joined" in str(mail["Subject"])]
    assert scene.do(lambda: program.stop(stop_of(told), at=scene.at))
    scene.friend("Ben", of=scene.alice)
    scene.approved_reward()
    post.sweep()
    subjects = post.subjects("alice@example.com")
    assert sum("joined" in subject for subject in subjects) == 1
    assert any("is on its way" in subject for subject in subjects), "the other kinds still come"
    scene.do(lambda: program.choose_mails(scene.alice, set(), at=scene.at))
    scene.order(scene.friend("Cy", of=scene.alice))
    scene.approve(scene.rewards(scene.alice)[-1])
    before = len(post.subjects("alice@example.com"))
    post.sweep()
    assert len(post.subjects("alice@example.com")) == before
    scene.do(lambda: program.choose_mails(scene.alice, set(Topic), at=scene.at))
    scene.friend("Dan", of=scene.alice)
    post.sweep()
    assert len(post.subjects("alice@example.com")) == before + 1


def test_what_was_queued_before_somebody_chose_is_not_sent(scene: Scene, post: Post) -> None:
    scene.friend("Ben", of=scene.alice)
    scene.do(lambda: program.choose_mails(scene.alice, set(), at=scene.at))
    post.sweep()
    assert not any("joined" in subject for subject in post.subjects("alice@example.com"))


@pytest.mark.both_databases
def test_what_passes_its_hold_is_told_once_for_all_that_became_ready_together(scene: Scene, post: Post) -> None:
    for name in ("Ben", "Bo"):
        scene.order(scene.friend(name, of=scene.alice))
    for reward in scene.rewards(scene.alice):
        scene.approve(reward)
    scene.later(days=40)
    assert scene.release() == 2 and scene.release() == 0
    post.sweep()
    (ready,) = [mail for mail in post.server.to("alice@example.com") if "ready to pay" in str(mail["Subject"])]
    assert ready["Subject"] == "€40.00 is ready to pay"
    assert f"Add payout details: {BASE}/payouts" in ready.get_body(("plain",)).get_content().replace("\r\n", "\n")


def test_the_digest_comes_once_a_day_while_anything_waits_to_who_decides(scene: Scene, post: Post) -> None:
    scene.pending_reward()
    rita, finn = scene.rita.email, scene.finn.email
    scene.at = scene.at.replace(hour=5) + timedelta(days=1)
    sweeps.write_mails()
    scene.at = scene.at.replace(hour=8)
    for _ in range(3):
        sweeps.write_mails()
        scene.later(hours=1)
    post.sweep()
    assert sum("1 reward to review" in subject for subject in post.subjects(rita)) == 1
    assert not any("to review" in subject for subject in post.subjects(finn))
    scene.later(days=2)
    sweeps.write_mails()
    post.sweep()
    assert any(subject.startswith("1 reward to review, the oldest for") for subject in post.subjects(rita))
    scene.approve(scene.rewards(scene.alice)[0])
    scene.later(days=1)
    sweeps.write_mails()
    before = len(post.subjects(rita))
    post.sweep()
    assert len(post.subjects(rita)) == before


def test_what_nobody_can_do_without_always_comes(scene: Scene, post: Post) -> None:
    alice = scene.alice
    scene.do(lambda: program.choose_mails(alice, set(), at=scene.at))
    scene.reject(scene.pending_reward())
    post.sweep()
    assert "About your reward at Friends" in post.subjects("alice@example.com")


# --- wording ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(examples.EXAMPLES))
@pytest.mark.parametrize("spoken", ["en", "de"])
def test_every_mail_is_rendered_with_hostile_names_and_stays_one_mail(kind: str, spoken: str, scene: Scene) -> None:
    hostile = "<script>x</script>\r\nBcc: a@b.example https://evil.example \N{RIGHT-TO-LEFT OVERRIDE}"
    facts = {name: hostile if isinstance(fact, str) and name not in ("link", "role", "kind", "goal", "often") else fact
             for name, fact in examples.facts(kind, spoken).items()}  # fmt: skip
    person = writing.Invited("bob@example.com", spoken, hostile)
    (letter,) = writing.written(kind, [(person, "x", facts, "token")])
    scene.do(lambda: outbox.put_all(kind, "test", [letter], at=scene.at))
    (message,) = session.scalars(sa.select(Message).where(Message.about_kind == "test"))
    mail = compose(message, Sender(hostile, "portal@friends.example.com", BASE))
    assert mail["Bcc"] is None and len(mail["To"].addresses) == 1
    html = mail.get_body(("html",)).get_content()
    assert "<script" not in html and 'href="https://evil' not in html


@pytest.mark.parametrize("kind", sorted(examples.EXAMPLES))
@pytest.mark.parametrize("spoken", ["en", "de"])
def test_every_mails_own_text_can_be_begun_with_and_fills_its_places(kind: str, spoken: str, scene: Scene) -> None:
    """What the portal says, with places: an owner changes a word and leaves the rest."""
    told = examples.in_places(kind, spoken)
    assert wordings.check(*told, places=examples.places(kind), needs=examples.needs(kind))
    letter = examples.example(kind, scene.alice, spoken, tried=told, at=scene.at)
    assert not re.search(r"[{}]|90000\d", letter.subject + letter.text)
    if kind not in ("reward_approved", "reward_ready", "digest"):  # a sentence of theirs depends on how many
        usual = examples.example(kind, scene.alice, spoken, at=scene.at)
        assert (letter.subject, letter.text) == (usual.subject, usual.text)


def test_an_owners_text_is_used_with_its_places_filled_and_a_wrong_one_is_refused(scene: Scene, post: Post) -> None:
    by = scene.olivia.id

    def write(subject: str, body: str, kind: str = "friend_joined") -> None:
        scene.do(lambda: program.write_mail(kind, "en", subject, body, by=by, at=scene.at))

    for subject, body, why in (
        ("", "x", "Write a subject"), ("x", " \n ", "Write a subject"), ("x", "Hi {nobody}", "nobody"),
        ("x", "y" * 5000, "too long"),
    ):  # fmt: skip
        with pytest.raises(WordingRefused, match=why):
            write(subject, body)
    with pytest.raises(WordingRefused, match="link"):
        write("Confirm", "Please do.", "confirm")
    write("{friend} is here", "Hi {name}, {friend} came. {{7*7}}\n\nLook: http://127.0.0.1:8000/friends")
    scene.friend("Ben", of=scene.alice)
    post.sweep()
    (mail,) = [one for one in post.server.to("alice@example.com") if "is here" in str(one["Subject"])]
    text = mail.get_body(("plain",)).get_content()
    assert "Hi Alice, Ben" in text and "{{7*7}}" in text and "No more mails of this kind" in text
    scene.do(lambda: program.restore_mail("friend_joined", "en", by=by, at=scene.at))
    assert wordings.find("friend_joined", "en") is None


@pytest.mark.on_postgresql
def test_two_owners_who_write_the_first_text_at_once_are_both_told_it_is_kept(scene: Scene) -> None:
    by, at = scene.olivia.id, scene.at

    def act(number: int):  # type: ignore[no-untyped-def]
        return lambda: program.write_mail("confirm", "en", f"Text {number}", "{link}", by=by, at=at)

    assert at_once(scene, [act(number) for number in range(8)]) == [None] * 8
    assert wordings.texts("confirm", "en") is not None


def test_the_reminder_names_the_day_of_the_invite_or_the_last_one_of_the_gift(scene: Scene, post: Post) -> None:
    scene.publish(fixed(2000), fixed(1000, to="referee"))
    invite(scene, "fred@example.com", remind=True)
    post.sweep()
    scene.later(hours=73)
    scene.publish(fixed(2000), fixed(1000, to="referee", ends_on=date(2026, 12, 31)))
    invite(scene, "greta@example.com", remind=True)
    sweeps.write_mails()
    scene.publish(fixed(2000), fixed(1000, to="referee"))
    invite(scene, "hans@example.com", remind=True)
    post.sweep()
    assert post.subjects("fred@example.com")[-1] == "Your €10 from Alice is waiting until 31 December 2026"
    for to, said in (("fred", "On 1 September 2026 Alice asked us"), ("fred", "This holds until 31 December 2026."),
                     ("greta", "This holds until 31 December 2026.")):  # fmt: skip
        assert said in post.server.to(f"{to}@example.com")[-1].get_body(("plain",)).get_content().replace("\r\n", " ")
    scene.later(hours=73)
    sweeps.write_mails()
    post.sweep()
    assert post.subjects("hans@example.com")[-1] == "Your €10 from Alice has been waiting since 4 September 2026"
    assert "This holds until" not in post.server.to("hans@example.com")[0].get_body(("plain",)).get_content()


# --- what cannot be got round -----------------------------------------------------------------------------------


def test_a_reminder_counts_for_the_addresss_cap_and_none_is_sent_for_an_invite_that_was_not(
    scene: Scene, post: Post
) -> None:
    people = [scene.alice, scene.carol, scene.mallory, scene.person("Nora")]
    for by in people:
        invite(scene, "fred@example.com", by=by, remind=True)
    post.sweep()
    assert len(post.server.to("fred@example.com")) == 3, "the terms say three"
    scene.later(hours=73)
    sweeps.write_mails()
    post.sweep()
    assert len(post.server.to("fred@example.com")) == 3
    (last,) = [one for one in scene.mails("invite_reminder") if one.trouble == str(program.KeptBack.ENOUGH)][-1:]
    assert last.state == State.WITHDRAWN


def test_an_invite_that_could_not_be_delivered_is_not_reminded_of(scene: Scene, post: Post) -> None:
    post.server.says = {"gone@example.com": "550 5.1.1 user unknown"}
    (one,) = invite(scene, "gone@example.com", remind=True)
    post.sweep()
    scene.later(hours=73)
    sweeps.write_mails()
    assert scene.mails("invite_reminder") == [] and row(scene, one).reminded_at is None
    with pytest.raises(InviteRefused, match="could not be delivered"):
        scene.do(lambda: program.remind_invite(one, by=scene.alice.id, at=scene.at))


def test_tags_and_dots_make_no_second_mailbox(scene: Scene, post: Post) -> None:
    alice, typed = (
        scene.alice,
        ["victim@gmail.com", "v.ictim@gmail.com", "victim+1@gmail.com", "vic.tim+2@googlemail.com"],
    )
    told = scene.do(lambda: program.invite(alice, typed, at=scene.at))
    assert [one.answer for one in told] == [Answer.ACCEPTED, *[Answer.ALREADY] * 3]
    invite(scene, "two+first@x5.example")
    post.sweep()
    (mail,) = post.server.to("two+first@x5.example")
    assert scene.do(lambda: program.stop(stop_of(mail), at=scene.at))
    invite(scene, "two+second@x5.example", by=scene.carol)
    post.sweep()
    assert post.server.to("two+second@x5.example") == []


def test_a_deleted_address_is_nowhere_any_more(scene: Scene, post: Post, tmp_path: Path) -> None:
    post.server.says = {"gone@example.com": "550 5.1.1 <gone@example.com> user unknown"}
    bounced, sent = invite(scene, "gone@example.com", "friend@example.com")
    post.sweep()
    files, (message,) = Files(tmp_path), scene.mails("invite")[1:]
    with files.opened() as line:
        line.send(message, compose(message, Sender("Friends", "portal@friends.example.com", BASE)))
    assert files.names() == [message.public_id] and sweeps.forget_files(files) == 0
    for one in (bounced, sent):
        token = stops.token(Office.hash_key, "invite", one.public_id)
        assert scene.do(lambda token=token: program.delete_address(token, at=scene.at))
    assert sweeps.forget_files(files) == 1 and files.names() == []
    for told in scene.mails("invite"):
        assert "example.com" not in f"{told.to} {told.text} {told.subject} {told.trouble}"


def test_while_invites_are_switched_off_they_wait_and_go_out_afterwards(scene: Scene, post: Post) -> None:
    (one,) = invite(scene, "fred@example.com", remind=True)
    scene.publish(mails_invites=False)
    post.sweep()
    assert row(scene, one).status.word == Word.QUEUED and post.server.to("fred@example.com") == []
    scene.later(hours=73)
    sweeps.write_mails()
    assert scene.mails("invite_reminder") == []
    scene.publish(mails_invites=True)
    post.sweep()
    sweeps.write_mails()
    post.sweep()
    assert len(post.server.to("fred@example.com")) == 1, "the reminder comes three days after the invite went out"
    scene.later(hours=73)
    sweeps.write_mails()
    post.sweep()
    assert len(post.server.to("fred@example.com")) == 2


def test_a_known_provider_is_not_taken_for_a_slip_and_any_address_can_be_insisted_on(scene: Scene) -> None:
    alice = scene.alice
    typed = ["bob@mail.com", "carol@ymail.com", "dora@email.de", "ed@gmial.com"]
    told = scene.do(lambda: program.invite(alice, typed, at=scene.at))
    assert [one.answer for one in told] == [*[Answer.ACCEPTED] * 3, Answer.MISTYPED] and told[
        -1
    ].meant == "ed@gmail.com"
    (told_again,) = scene.do(lambda: program.invite(alice, ["ed@gmial.com"], sure=["ed@gmial.com"], at=scene.at))
    assert told_again.answer == Answer.ACCEPTED


def test_no_pasted_address_is_dropped_without_a_word() -> None:
    pasted = (
        "Bob One <b1@x.example> Carol Two <c2@x.example>\nmailto:mt@x.example\nBob <bob3@x.example> (work), d@x.example"
    )
    assert list(invites.addresses(pasted)) == [
        "b1@x.example", "c2@x.example", "mt@x.example", "bob3@x.example", "d@x.example",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "note",
    [
        "go to evil.рф",
        "visit evil。com now",
        "evil．com",
        "localhost:8140/reset",
        "1.2.3.4/x login",
        "tel:+4930123",
        "www.x",
    ],
)
def test_a_note_holds_nothing_that_a_mail_program_would_make_a_link_of(note: str) -> None:
    assert invites.has_link(note)
    assert not invites.has_link("I love it. Really: at 10.30 they open, for 3.5 coins.")
