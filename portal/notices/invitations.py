"""Invites by mail: to a friend, in the name of whoever asked for it."""

from datetime import datetime
from typing import Any

from portal import terms
from portal.accounts.users import User
from portal.core import clock, language, money, text
from portal.delivery import outbox, stops
from portal.notices.writing import Invited, Office, written
from portal.rewards import rules
from portal.rewards.rules import Beneficiary, Rule
from portal.sharing import invites, links
from portal.sharing.invites import Invite
from portal.terms import Terms


def invited(invite: Invite, sender: User, *, at: datetime, kind: str = invites.FIRST, spoken: str = "") -> bool:
    """To a friend, in the name of whoever asked for it; where the address has been deleted, to nobody. Whether a mail
    was written: of each kind there is one."""
    if invite.to is None:
        return False
    stop = stops.token(Office.hash_key, "invite", invite.public_id)
    link = f"{Office.base_url}/r/{links.current_code(invite.link_id)}"
    before = outbox.about(invites.MAILS, "invite", [invite.public_id])
    spoken = language.spoken(before[0].language if before else spoken or sender.language)
    facts = _invitation(sender, invite.note, link, spoken, reminds=invite.remind, at=at) | {"since": invite.made_at}
    letter = (Invited(invite.to, spoken), invite.public_id, facts, stop)
    return bool(outbox.put_all(kind, "invite", written(kind, [letter]), at=at))


def invitation(sender: User, note: str, spoken: str, *, at: datetime) -> outbox.Letter:
    """An invite as it would be written now in a language, to nobody."""
    facts = _invitation(sender, note, f"{Office.base_url}/r/…", spoken, reminds=False, at=at)
    stop = stops.token(Office.hash_key, "example")
    to = Invited("friend@example.com", spoken)
    (letter,) = written(invites.FIRST, [(to, "", facts, stop)])
    return letter


def _invitation(sender: User, note: str, link: str, spoken: str, *, reminds: bool, at: datetime) -> dict[str, Any]:
    current = terms.in_force()
    return _of_offer(sender, note, link, spoken, current, rules.of_terms(current.id), reminds=reminds, at=at)


def draft(sender: User, planned: Terms, offer: list[Rule], spoken: str, *, at: datetime) -> outbox.Letter:
    """An invite as it would be written if the program were another, to nobody."""
    facts = _of_offer(sender, "", f"{Office.base_url}/r/…", spoken, planned, offer, reminds=False, at=at)
    stop = stops.token(Office.hash_key, "example")
    to = Invited("friend@example.com", spoken)
    (letter,) = written(invites.FIRST, [(to, "", facts, stop)], program=planned.program_name)
    return letter


def _of_offer(
    sender: User, note: str, link: str, spoken: str, planned: Terms, offer: list[Rule], *, reminds: bool, at: datetime
) -> dict[str, Any]:
    gift, currency = rules.best(offer, planned, at=at).get(Beneficiary.REFEREE), planned.currency
    minimum = gift.minimum_order_minor if gift else None
    return {
        "sender": sender.first_name,
        "note": text.one_line(note, 280),
        "reminds": reminds,
        "gift": _gift(gift, currency, spoken) if gift else "",
        "goal": gift.goal if gift else "",
        "often": gift.often if gift else "",
        "minimum": money.shown(minimum, currency, spoken) if minimum else "",
        "since": at,
        "ends": clock.end_of_day(gift.ends_on, planned.time_zone) if gift and gift.ends_on else "",
        "link": link,
    }


def _gift(rule: Rule, currency: str, spoken: str) -> str:
    """What a friend gets, for a heading."""
    if rule.amount_minor is not None:
        return money.brief(rule.amount_minor, currency, spoken)
    return language.share(rule.share_bp or 0, spoken)


def invite_withdrawn(invite: Invite) -> None:
    """What has not gone out yet stays here."""
    for kind in invites.MAILS:
        outbox.withdraw(kind, "invite", [invite.public_id])
