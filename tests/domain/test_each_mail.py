"""Each mail the portal can write is caused by its event: over SMTP, once, to whom it is for, and not when unwanted."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from passlib.totp import TOTP

from portal import notices, program, sweeps
from portal.accounts import one_time, two_step, users
from portal.accounts.mail_choices import Topic
from portal.accounts.one_time import Purpose
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.core import language
from portal.core.database import session
from portal.core.sealed import Box
from portal.delivery import outbox, webhooks, wordings
from portal.delivery.calls import Outcome
from portal.delivery.outbox import Message
from portal.notices import examples, writing
from portal.notices.writing import TOPICS
from portal.payouts.methods import Kind
from portal.rewards import appeals
from portal.sharing import invites
from portal.sharing.invites import Invite
from portal.terms import in_force
from tests.domain.conftest import Post
from tests.factories import PASSWORD, Scene, fixed

Event = Callable[[Scene], User | str]
"""Makes it happen, and gives who is to be told."""

EVENTS: dict[str, Event] = {}


def event(kind: str) -> Callable[[Event], Event]:
    """What causes a mail of this kind."""

    def add(cause: Event) -> Event:
        EVENTS[kind] = cause
        return cause

    return add


# --- accounts ---------------------------------------------------------------------------------------------------


@event("confirm")
def _signs_up(scene: Scene) -> User:
    return scene.sign_up("Nora")


@event("already_registered")
def _signs_up_again(scene: Scene) -> User:
    return scene.sign_up("Somebody", email=scene.alice.email)


@event("reset")
def _forgot_the_password(scene: Scene) -> User:
    alice = scene.alice
    scene.do(lambda: program.forgot_password(alice.email, at=scene.at))
    return alice


@event("password_changed")
def _changes_the_password(scene: Scene) -> User:
    alice = scene.alice
    secret = scene.do(lambda: one_time.make(Purpose.RESET, alice.id, at=scene.at))
    assert scene.do(lambda: program.set_password(secret, PASSWORD, at=scene.at))
    return alice


@event("address_confirm")
def _wants_another_address(scene: Scene) -> str:
    alice = scene.alice
    scene.do(lambda: program.ask_to_move(alice, "alice.new@example.com", at=scene.at))
    return "alice.new@example.com"


@event("address_asked")
def _is_to_have_another_address(scene: Scene) -> User:
    alice = scene.alice
    scene.do(lambda: program.ask_to_move(alice, "alice.new@example.com", at=scene.at))
    return alice


@event("address_wanted")
def _anothers_account_is_to_have_ones_address(scene: Scene) -> User:
    alice, bob = scene.alice, scene.bob
    scene.do(lambda: program.ask_to_move(bob, alice.email, at=scene.at))
    return alice


@event("address_changed")
def _has_another_address(scene: Scene) -> str:
    alice = scene.alice
    carried = {"to": "alice.new@example.com"}
    secret = scene.do(lambda: one_time.make(Purpose.MOVE, alice.id, carried=carried, at=scene.at))
    assert scene.do(lambda: program.move(secret, at=scene.at))
    return "alice@example.com"


@event("address_taken_back")
def _loses_the_account_again(scene: Scene) -> str:
    alice = scene.alice
    for purpose, verb, to in (
        (Purpose.MOVE, program.move, "alice.new"),
        (Purpose.MOVE_BACK, program.move_back, "alice"),
    ):
        carried = {"to": f"{to}@example.com"}
        secret = scene.do(lambda: one_time.make(purpose, alice.id, carried=carried, at=scene.at))  # noqa: B023
        assert scene.do(lambda: verb(secret, at=scene.at))  # noqa: B023
    return "alice.new@example.com"


@event("account_changed")
def _turns_two_step_on(scene: Scene) -> User:
    alice, box = scene.alice, Box("a key", "two-step")
    offered = scene.do(lambda: two_step.begin(alice.id, called="Alice", issuer="Friends", keep=box, at=scene.at))
    code = TOTP(key=offered.secret.replace(" ", "")).generate(scene.at).token
    codes = two_step.make_codes(alice.id)
    scene.do(lambda: program.turn_two_step_on(alice, code, codes=codes, keep=box, at=scene.at))
    return alice


@event("wrong_code")
def _is_asked_for_a_code(scene: Scene) -> User:
    alice = scene.alice
    for _ in range(2):
        scene.do(lambda: notices.wrong_code(alice, at=scene.at))
    return alice


@event("method_changed")
def _says_how_to_be_paid(scene: Scene) -> User:
    alice = scene.alice
    scene.do(lambda: program.choose_method(alice, Kind.PAYPAL, {"email": alice.email}, keep=scene.keep, at=scene.at))
    return alice


@event("join")
def _a_colleague_is_asked_in(scene: Scene) -> str:
    by = scene.olivia.id
    scene.do(lambda: program.invite_colleague("nils@example.com", Role.REVIEWER, by=by, at=scene.at))
    return "nils@example.com"


@event("role_given")
def _somebody_known_is_asked_in(scene: Scene) -> User:
    alice, by = scene.alice, scene.olivia.id
    scene.do(lambda: program.invite_colleague(alice.email, Role.FINANCE, by=by, at=scene.at))
    return alice


# --- friends ----------------------------------------------------------------------------------------------------


def _invite(scene: Scene, *, remind: bool) -> Invite:
    alice = scene.alice
    (told,) = scene.do(lambda: program.invite(alice, ["fred@example.com"], remind=remind, at=scene.at))
    assert told.invite is not None
    return told.invite


@event(invites.FIRST)
def _invites(scene: Scene) -> str:
    _invite(scene, remind=False)
    return "fred@example.com"


@event(invites.REMINDER)
def _invites_with_a_reminder(scene: Scene) -> str:
    _invite(scene, remind=True)
    for message in scene.do(lambda: outbox.claim(at=scene.at)):
        scene.do(lambda number=message.id: outbox.sent(number, at=scene.at))
    scene.later(hours=73)
    sweeps.write_mails()
    return "fred@example.com"


@event("friend_joined")
def _a_friend_joins(scene: Scene) -> User:
    scene.friend("Ben", of=scene.alice)
    return scene.alice


def _claim(scene: Scene) -> tuple[User, User]:
    nora, alice = scene.person("Nora"), scene.alice
    scene.do(lambda: program.claim(nora, alice.email, at=scene.at))
    return nora, alice


@event("claim_made")
def _says_who_invited_her(scene: Scene) -> User:
    return _claim(scene)[1]


@event("claim_answered")
def _is_told_whether_it_counts(scene: Scene) -> User:
    nora, alice = _claim(scene)
    from portal.referrals import claims

    claim = claims.open_of(nora.id)
    assert claim is not None
    scene.do(lambda: program.answer_claim(claim, granted=True, by=alice.id, at=scene.at))
    return nora


# --- rewards and payouts ----------------------------------------------------------------------------------------


@event("reward_approved")
def _a_reward_is_approved(scene: Scene) -> User:
    scene.approved_reward()
    return scene.alice


@event("reward_ready")
def _a_hold_passes(scene: Scene) -> User:
    scene.approved_reward()
    scene.later(days=31)
    scene.release()
    return scene.alice


@event("reward_rejected")
def _a_reward_is_rejected(scene: Scene) -> User:
    scene.reject(scene.pending_reward())
    return scene.alice


@event("appeal_answered")
def _an_appeal_is_answered(scene: Scene) -> User:
    reward, rita = scene.reject(scene.pending_reward()), scene.rita.id
    appeal = scene.do(lambda: program.appeal(reward, "Please look again.", by=reward.person_id, at=scene.at))
    scene.do(lambda: program.answer_appeal(session.get_one(appeals.Appeal, appeal.id), "No.", by=rita, at=scene.at))
    return scene.alice


@event("balance_corrected")
def _a_balance_is_corrected(scene: Scene) -> User:
    scene.correct(scene.alice, 500)
    return scene.alice


@event("details_wanted")
def _money_waits_for_details(scene: Scene) -> User:
    scene.earns(scene.alice, 9000, "Ben")
    scene.release()
    alice, by = scene.alice, scene.finn.id
    scene.do(lambda: program.remind(alice, by=by, at=scene.at))
    return alice


@event("payout_paid")
def _a_payout_is_paid(scene: Scene) -> User:
    scene.paid_reward()
    return scene.alice


@event("payout_failed")
def _a_payout_fails(scene: Scene) -> User:
    reward = scene.payable_reward()
    scene.exported_batch()
    scene.fail(scene.payout_of(reward))
    return scene.alice


@event("webhook_off")
def _a_webhook_is_gone(scene: Scene) -> User:
    endpoint, _ = scene.webhook()
    by = scene.olivia.id
    scene.do(lambda: program.try_webhook(endpoint, by=by, at=scene.at))
    (one,) = scene.do(lambda: webhooks.claim(at=scene.at))
    scene.do(lambda: program.note_webhook(one.id, Outcome(5, status=410), at=scene.at))
    return scene.olivia


@event("digest")
def _something_waits(scene: Scene) -> User:
    rita, olivia = scene.rita, scene.olivia.id
    scene.do(lambda: program.choose_mails(User.by_id(olivia), set(), at=scene.at))
    scene.pending_reward()
    scene.at = scene.at.replace(hour=9) + timedelta(days=1)
    sweeps.write_mails()
    return rita


@event("month_summary")
def _a_month_is_over(scene: Scene) -> User:
    scene.friend("Ben", of=scene.alice)
    scene.at = scene.at.replace(month=scene.at.month + 1, day=1, hour=9)
    sweeps.write_mails()
    return scene.alice


# --- the tests --------------------------------------------------------------------------------------------------


def mails_of(kind: str, post: Post) -> list[str]:
    """Who got a mail of a kind, by what came over SMTP."""
    named = set(session.scalars(sa.select(Message.public_id).where(Message.kind == kind)))
    return [str(mail["To"]) for mail in post.server.taken if mail["Message-ID"].strip("<").partition("@")[0] in named]


def before(scene: Scene, post: Post) -> None:
    """The people there are before the event; the mails about them are out."""
    people = (scene.alice, scene.bob, scene.rita, scene.finn, scene.olivia)
    assert all(people)
    scene.do(lambda: program.choose_mails(scene.alice, set(Topic), at=scene.at))
    scene.publish(fixed(9000))
    post.sweep()
    post.server.taken.clear()


def test_no_mail_is_without_its_event() -> None:
    assert sorted(EVENTS) == sorted(examples.EXAMPLES)


@pytest.mark.parametrize("kind", sorted(examples.EXAMPLES))
def test_each_mail_is_caused_by_its_event_and_comes_once_to_whom_it_is_for(kind: str, scene: Scene, post: Post) -> None:
    before(scene, post)
    told = EVENTS[kind](scene)
    post.sweep()
    post.sweep()
    assert mails_of(kind, post) == [told if isinstance(told, str) else told.email]


def test_a_mail_about_a_friend_leads_to_their_page_and_one_about_a_gift_to_the_rewards(scene: Scene) -> None:
    scene.publish(fixed(2000), fixed(1000, to="referee"))
    scene.order(scene.bob)
    for person in (scene.alice, scene.bob):
        scene.reject(scene.reward(person))
    referral = scene.referral(scene.bob)
    assert referral is not None
    for kind, to, page in (
        ("friend_joined", scene.alice, f"friends/{referral.public_id}"),
        ("reward_rejected", scene.alice, f"friends/{referral.public_id}"),
        ("reward_rejected", scene.bob, "rewards"),
    ):
        (mail,) = scene.mails(kind, to=to)
        assert f": http://127.0.0.1:8000/{page}\n" in mail.text


@pytest.mark.parametrize("kind", sorted(TOPICS))
def test_a_mail_that_is_switched_off_does_not_come(kind: str, scene: Scene, post: Post) -> None:
    before(scene, post)
    for person in (scene.alice, scene.rita):
        scene.do(lambda person=person: program.choose_mails(person, set(), at=scene.at))
    EVENTS[kind](scene)
    post.sweep()
    assert mails_of(kind, post) == []


@pytest.mark.parametrize("kind", invites.MAILS)
def test_an_invite_to_somebody_who_wants_none_does_not_come(kind: str, scene: Scene, post: Post) -> None:
    before(scene, post)
    carol = scene.carol
    (told,) = scene.do(lambda: program.invite(carol, ["fred@example.com"], remind=False, at=scene.at))
    post.sweep()
    stop = str(post.server.to("fred@example.com")[0]["List-Unsubscribe"]).strip("<>").rpartition("/")[2]
    scene.do(lambda: program.stop(stop, at=scene.at))
    post.server.taken.clear()
    EVENTS[kind](scene)
    post.sweep()
    assert told.invite is not None and users.find_by_email("fred@example.com") is None
    assert mails_of(kind, post) == []


@pytest.mark.parametrize("kind", sorted(examples.EXAMPLES))
def test_a_text_rendered_for_many_says_to_each_what_one_rendered_for_them_alone_says(kind: str, scene: Scene) -> None:
    scene.publish(fixed(9000))
    for spoken in language.LANGUAGES:
        facts = {**examples.facts(kind, spoken), "amount": "1,00 € %(amount)s {name}"}
        empty = facts | {name: "" for name in writing.PRINTED if name in facts}
        for of_own in (None, ("{name}: {subject}", "{text}\n\n{amount}, {name}.")):
            for name, told in ((" Ann ", facts), ("Björn", facts), ("", empty)):
                person = writing.Invited("a@example.com", spoken, name)
                (letter,) = writing.written(kind, [(person, "x", told, "")], tried=of_own)
                zone, program_name = in_force().time_zone, in_force().program_name
                own = of_own or wordings.texts(kind, spoken)
                alone = writing._rendered(kind, spoken, zone, own, program=program_name, name=name, **told)
                assert (letter.subject, letter.text.rpartition("\n\n-- \n")[0]) == (alone[0], alone[1].rstrip())
