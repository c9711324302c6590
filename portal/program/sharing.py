"""How a link gets about: invites, links of one's own, and the click of whoever follows one."""

import logging
from collections.abc import Collection, Iterable
from datetime import datetime
from urllib.parse import urlsplit

from portal import terms as terms_
from portal.accounts import audit, users
from portal.accounts.users import Surroundings, User
from portal.core.database import Quick, Unavailable, session
from portal.core.text import keyed_hash, marked
from portal.notices import invitations, writing
from portal.notices.writing import Office
from portal.referrals import attribution, candidates
from portal.referrals.attribution import Attribution
from portal.sharing import clicks, invites, links
from portal.sharing.invites import Invite, Told
from portal.sharing.links import Found, Link

log = logging.getLogger(__name__)


# --- share ----------------------------------------------------------------------------------------------------


def invite(
    user: User,
    typed: Iterable[str],
    *,
    note: str = "",
    remind: bool = False,
    spoken: str = "",
    sure: Collection[str] = (),
    at: datetime,
) -> list[Told]:
    """Makes an invite for each address, with a link and a code of its own, and writes to it where the terms have the
    portal do so, in the language that its sender speaks; what became of each, in their order.

    `sure`: addresses that look mistyped and are not. Whether an address has an account, or wants no mail, is never
    told. Raises InviteRefused where nothing can be invited at all.
    """
    if user.confirmed_at is None:
        raise invites.InviteRefused(marked("Confirm your e-mail address first; then you can invite friends."))
    if not user.in_good_standing:
        raise invites.InviteRefused(marked("Your account is paused, so nobody can be invited."))
    if not terms_.in_force().open_to_new:
        raise invites.InviteRefused(marked("The program takes nobody new at the moment, so nobody can be invited."))
    if invites.has_link(note):
        raise invites.InviteRefused(invites.NO_LINKS)
    users.lock(user.id)
    seen: dict[str, Told] = {}
    for one in typed:
        email = invites.clean(one)
        key = (email or one).lower()
        if key not in seen:
            seen[key] = told = _invite(user, one, email, note=note, remind=remind, sure=one in sure, at=at)
            if told.answer == invites.Answer.ACCEPTED and told.invite and terms_.in_force().mails_invites:
                invitations.invited(told.invite, user, spoken=spoken, at=at)
    return list(seen.values())


def _invite(user: User, typed: str, email: str | None, *, note: str, remind: bool, sure: bool, at: datetime) -> Told:
    if email is None:
        return Told(typed, invites.Answer.MISTYPED)
    if invites.same_mailbox(email, user.email):
        return Told(typed, invites.Answer.OWN)
    to_hash = hashed_address(email)
    known = invites.find(user.id, to_hash)
    if known is not None:
        answer = invites.Answer.ENDED if known.ended_at else invites.Answer.ALREADY
        return Told(typed, answer, known, known.made_at)
    if not sure and (meant := invites.meant(email)):
        return Told(typed, invites.Answer.MISTYPED, meant=meant)
    terms = terms_.in_force()
    left, again_at = invites.room_left(user.id, terms.invites_a_day, at=at)
    if not left:
        return Told(typed, invites.Answer.LIMIT, since=again_at)
    made = invites.make(user.id, email, to_hash, note=note, remind=remind and terms.mails_invites, at=at)
    audit.write("invite_made", "invite", made.public_id, by=user.id, at=at)
    return Told(typed, invites.Answer.ACCEPTED, made, at)


def hashed_address(email: str) -> str:
    """An address as invites know it for ever: hashed with the portal's own key."""
    return writing.hashed(email)


def withdraw_invite(invite: Invite, *, by: int, at: datetime) -> None:
    """Takes an invite back. Raises InviteRefused if it has ended."""
    users.lock(invite.owner_id)
    session.refresh(invite)
    invites.withdraw(invite, at=at)
    invitations.invite_withdrawn(invite)
    audit.write("invite_withdrawn", "invite", invite.public_id, by=by, at=at)


def not_this_person(visitor: str | None, code: str, *, at: datetime) -> None:
    """A friend does not know the sender: its owner's touches are this browser's no more, an invite is declined."""
    link = links.by_code(code)
    if link is None:
        return
    clicks.forget(visitor, links={one.id for one in links.of_owner(link.owner_id)})
    invited = invites.of_link(link.id)
    if invited is not None:
        decline_invite(invited, at=at)


def decline_invite(invite: Invite, *, at: datetime) -> None:
    """A friend does not want an invite: it credits nobody any more, and nothing more is written about it."""
    invites.decline(invite, at=at)
    invitations.invite_withdrawn(invite)


def make_link(user: User, *, label: str, destination: str | None, wanted: str, own_host: str, at: datetime) -> Link:
    """A further link, perhaps with a code of one's own choice. Raises CodeRefused, DestinationRefused, LinkRefused."""
    if user.confirmed_at is None:
        raise links.LinkRefused(marked("Confirm your e-mail address first."))
    if not user.in_good_standing:
        raise links.LinkRefused(marked("Your account is paused, so no links can be made."))
    users.lock(user.id)
    link = links.make(
        user.id,
        label=label,
        destination=destination,
        allowed=destinations(own_host),
        own=own_host,
        most=links.MOST_LINKS,
        at=at,
    )
    if wanted:
        links.take_code(link, wanted, retired_name=retired_name, at=at)
    audit.write("link_made", "link", link.public_id, by=user.id, at=at)
    return link


def destinations(own_host: str) -> frozenset[str]:
    """The hosts to which links may lead: the portal's own, the shop's, and those that the terms allow."""
    terms = terms_.in_force()
    return frozenset(host for host in (own_host, urlsplit(terms.shop_url).netloc, *terms.allowed_hosts) if host)


def retired_name(code: str) -> str:
    """The name under which a code of somebody's own choice stays taken once its owner is erased."""
    return f"x{keyed_hash(Office.hash_key, f'code {code}')[: links.LONGEST_CODE - 1]}"


def change_link(user: User, link: Link, *, label: str, archived: bool, at: datetime) -> None:
    """Names a link, archives it (it opens and credits nobody) or takes it back into use. Raises LinkRefused."""
    users.lock(user.id)
    links.change(link, label=label, archived=archived, at=at)
    audit.write("link_changed", "link", link.public_id, by=user.id, at=at, archived=archived)


# --- follow ---------------------------------------------------------------------------------------------------


def follow(
    code: str, seen: Surroundings, *, new: bool, on: Quick, at: datetime, by: int | None = None,
    came_from: str | None = None,
) -> Found | None:  # fmt: skip
    """A person opens a link: the click is recorded, committed when this returns. None for an unknown code.

    `new`: the visitor's id was issued for this visit; `came_from`: a word of `origins.came_from`. Its owner's own
    visit, and a link that credits nobody, open and are not counted. A click that cannot be stored keeps nobody from
    being sent on.
    """
    found = links.find(code, on=on)
    if found is not None and found.credits and found.owner_id != by:
        try:
            clicks.record(found.link_id, seen, new=new, at=at, on=on, came_from=came_from)
        except Unavailable:
            log.exception("a click could not be stored")
    return found


def foresee(
    visitor: str | None, *, carried: str = "", typed: str = "", email: str = "", refused: str = "", at: datetime
) -> Attribution | None:
    """Who would be the referrer of somebody who signs up now: by a typed code, by touches and a carried code, or by
    an invite to the address.

    `carried` is the code that travelled in the form: where there is no cookie it is the only touch. `refused` is a code
    of somebody whom the friend does not know: no invite of theirs counts.
    """
    terms = terms_.in_force()
    touches = candidates.by_touches(visitor, at=at)
    brought = candidates.by_code(carried, at=at) if carried else None
    if brought is not None and all(touch.link_id != brought.link_id for touch in touches):
        touches.append(brought)
    return attribution.decide(
        typed=candidates.by_code(typed, at=at) if typed else None,
        touches=touches,
        touch=terms_.Touch(terms.touch),
        window_days=terms.window_days,
        at=at,
        invited=candidates.by_invite(hashed_address(email), but=links.by_code(refused)) if email else None,
    )
