"""Mails: who is written to no more, what the portal writes by itself, and what goes away in time."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from portal import notices
from portal import terms as terms_
from portal.accounts import audit, mail_choices, roles, users
from portal.accounts.mail_choices import Topic
from portal.accounts.users import User
from portal.core import clock
from portal.core.database import session
from portal.core.text import marked
from portal.delivery import outbox, stops, suppressions, wordings
from portal.delivery.outbox import Message, State
from portal.delivery.suppressions import Why
from portal.notices import examples, invitations, writing
from portal.notices.writing import Office
from portal.referrals import unanswered
from portal.reports import queue
from portal.sharing import invites
from portal.sharing.invites import Invite, InviteRefused

BOUNCES = 2
"""After so many mails that came back for good, an address is written to no more."""
DIGEST_FROM = 7
"""The hour of the program's day before which no digest is written."""


class KeptBack(StrEnum):
    """Why a mail that was due was not sent, in words for colleagues."""

    UNWANTED = marked("Its addressee wants no such mails.")
    BOUNCES = marked("Mails to this address come back.")
    ENDED = marked("The invite has ended.")
    SUPPRESSED = marked("This address wants no mails from here.")
    MEMBER = marked("There is an account with this address.")
    JOINED = marked("The friend has joined.")
    OFF = marked("The program sends no invites at the moment.")
    ENOUGH = marked("This address got enough invites lately.")
    UNSENT = marked("The invite that it reminds of was not sent.")


# --- no more --------------------------------------------------------------------------------------------------


def stopped(token: str) -> tuple[User, Topic] | Invite | None:
    """What the token of a mail is about: somebody's mails of a kind, or an invite; None for a token that is none."""
    match stops.read(Office.hash_key, token):
        case ["user", name, topic] if topic in list(Topic):
            user = users.find_by_public_id(name)
            return (user, Topic(topic)) if user else None
        case ["invite", name]:
            return invites.find_by_name(name)
    return None


def stop(token: str, *, at: datetime) -> bool:
    """No more such mails, at once and for ever: of a kind to somebody, or of any sender's to an address. Whether the
    token is one of ours; a second time changes nothing."""
    found = stopped(token)
    if isinstance(found, Invite):
        suppressions.suppress(found.to_hash, Why.ASKED, key_id=writing.key_id(), at=at)
        for invite in invites.to_address(found.to_hash):
            invitations.invite_withdrawn(invite)
    elif found is not None:
        mail_choices.turn_off(found[0].id, found[1], at=at)
    return found is not None


def choose_mails(user: User, wanted: set[Topic], *, at: datetime) -> None:
    """Sets which of the mails that one can do without somebody wants."""
    for topic in Topic:
        if topic in wanted:
            mail_choices.turn_on(user.id, topic, at=at)
        else:
            mail_choices.turn_off(user.id, topic, at=at)


def delete_address(token: str, *, at: datetime) -> bool:
    """An invited friend's address goes from every invite and every mail to it, and is written to no more."""
    found = stopped(token)
    if not isinstance(found, Invite) or not stop(token, at=at):
        return False
    for invite in invites.to_address(found.to_hash):
        _purge(invite, at=at)
    return True


def unwanted(message: Message, *, at: datetime) -> KeptBack | None:
    """Why a message that is due is not to be sent after all; None if it is to be."""
    if message.kind in invites.MAILS:
        return _unwanted_invite(message, at=at)
    found = stopped(message.stop) if message.stop else None
    if isinstance(found, tuple) and found[1] in mail_choices.off(found[0].id):
        return KeptBack.UNWANTED
    if message.stop and suppressions.why(message.to_hash) == Why.BOUNCED:
        return KeptBack.BOUNCES
    return None


def _unwanted_invite(message: Message, *, at: datetime) -> KeptBack | None:
    invite = invites.find_by_name(message.about_id)
    if invite is None or invite.ended_at is not None or invite.to is None:
        return KeptBack.ENDED
    if suppressions.why(message.to_hash) is not None:
        return KeptBack.SUPPRESSED
    if users.find_by_email(message.to) is not None:
        return KeptBack.MEMBER
    if message.kind == invites.REMINDER and not unanswered.is_unanswered(invite):
        return KeptBack.JOINED
    terms = terms_.in_force()
    if not terms.mails_invites or not terms.open_to_new:
        return KeptBack.OFF
    if outbox.sent_to(message.to_hash, invites.MAILS, since=at - clock.days(30)) >= terms.invites_an_address:
        return KeptBack.ENOUGH
    if message.kind == invites.REMINDER and _firsts([invite]).get(invite.public_id) != State.SENT:
        return KeptBack.UNSENT
    return None


def came_back(to_hash: str, *, at: datetime) -> None:
    """A mail came back for good; after the second one nobody is written at the address any more."""
    if outbox.came_back(to_hash) >= BOUNCES:
        suppressions.suppress(to_hash, Why.BOUNCED, key_id=writing.key_id(), at=at)


# --- by itself ------------------------------------------------------------------------------------------------


def remind_invited(*, at: datetime) -> int:
    """Writes the one reminder to friends whose referrers wanted it; gives how many."""
    terms = terms_.in_force()
    due = unanswered.to_remind(at=at) if terms.open_to_new and terms.mails_invites else []
    firsts, written = _firsts(due), 0
    for invite in due:
        if firsts.get(invite.public_id) != State.GIVEN_UP:
            written += invitations.invited(invite, invite.owner, at=at, kind=invites.REMINDER)
        invites.reminded(invite)
    return written


def _firsts(wanted: Collection[Invite]) -> dict[str, str]:
    """What became of the first mails of these invites, by their public ids."""
    mails = outbox.about([invites.FIRST], "invite", [invite.public_id for invite in wanted])
    return {mail.about_id: mail.state for mail in mails}


def remind_invite(invite: Invite, *, by: int, at: datetime) -> None:
    """The referrer asks for the one reminder. Raises InviteRefused: too early, ended, joined, or reminded before."""
    users.lock(invite.owner_id)
    session.refresh(invite)
    if invite.ended_at is not None or invite.to is None or not unanswered.is_unanswered(invite):
        raise InviteRefused(marked("This invite needs no reminder any more."))
    if _firsts([invite]).get(invite.public_id) == State.GIVEN_UP:
        raise InviteRefused(marked("The invite could not be delivered, so there is nothing to remind of."))
    if at < invite.made_at + invites.REMIND_BY_HAND_AFTER:
        raise InviteRefused(marked("Give your friend a day; then you can send the one reminder."))
    if not terms_.in_force().mails_invites or not terms_.in_force().open_to_new:
        raise InviteRefused(marked("The program sends no invites at the moment."))
    if not invitations.invited(invite, invite.owner, at=at, kind=invites.REMINDER):
        raise InviteRefused(marked("The one reminder was sent before."))
    invites.reminded(invite)
    audit.write("invite_reminded", "invite", invite.public_id, by=by, at=at)


def write_digests(*, at: datetime) -> int:
    """Tells everybody who decides what waits, once a day; gives to how many."""
    terms, standing = terms_.in_force(), queue.standing(at=at)
    if not standing.pending or standing.oldest_at is None or clock.in_zone(at, terms.time_zone).hour < DIGEST_FROM:
        return 0
    colleagues = [user for user in map(User.by_id, roles.holders("decide")) if user.active]
    for user in colleagues:
        notices.digest(user, standing.pending, standing.oldest_at, terms.day(at), at=at)
    return len(colleagues)


def purge_invites(*, at: datetime) -> int:
    """Deletes the addresses of friends who have not joined in 90 days; gives how many."""
    due = unanswered.overdue(at=at)
    for invite in due:
        _purge(invite, at=at)
    return len(due)


def _purge(invite: Invite, *, at: datetime) -> None:
    invites.purge(invite, at=at)
    invitations.invite_withdrawn(invite)
    for kind in invites.MAILS:
        outbox.forget(kind, "invite", invite.public_id)


# --- wording and sending again --------------------------------------------------------------------------------


def write_mail(kind: str, language: str, subject: str, body: str, *, by: int, at: datetime) -> None:
    """An owner writes a mail in their own words. Raises WordingRefused."""
    subject, body = wordings.check(subject, body, places=examples.places(kind), needs=examples.needs(kind))
    wordings.write(kind, language, subject, body, by=by, at=at)
    audit.write("mail_worded", "mail", f"{kind} {language}", by=by, at=at)


def restore_mail(kind: str, language: str, *, by: int, at: datetime) -> None:
    """Goes back to the text that came with the portal."""
    if wordings.drop(kind, language):
        audit.write("mail_restored", "mail", f"{kind} {language}", by=by, at=at)


def try_mail(kind: str, to: User, spoken: str, *, at: datetime) -> None:
    """Sends an owner an example of a mail, as it is worded now in a language."""
    examples.send_example(kind, to, spoken, at=at)
    audit.write("mail_tried", "mail", f"{kind} {spoken}", by=to.id, at=at)


def send_again(message: Message, *, by: int, at: datetime) -> None:
    """An admin has a mail tried again. Raises OutboxRefused."""
    outbox.send_again(message, at=at)
    audit.write("mail_sent_again", "mail", message.public_id, by=by, at=at, shown=message.kind)
