"""Candidates: the links that might earn a friend, found by a code or by a visitor's touches.

Invariant: a link that was archived, or whose owner is suspended or gone, is none.
"""

from datetime import datetime

from portal.accounts.users import User
from portal.core.database import session
from portal.referrals.attribution import Candidate
from portal.sharing import clicks, invites, links
from portal.sharing.links import Link


def by_code(code: str, *, at: datetime) -> Candidate | None:
    """What a code stands for as a way to be attributed; None if it is unknown or credits nobody."""
    link = links.by_code(code)
    if link is None or link.archived_at is not None:
        return None
    if not User.by_id(link.owner_id).in_good_standing:
        return None
    return Candidate(link.id, link.owner_id, links.current_code(link.id), at, at)


def by_invite(to_hash: str, *, but: Link | None = None) -> Candidate | None:
    """The earliest open invite to an address, by its keyed hash; none of whoever `but` belongs to."""
    for invite in invites.open_to(to_hash):
        if but is not None and invite.owner_id == but.owner_id:
            continue
        if User.by_id(invite.owner_id).in_good_standing:
            code = links.current_code(invite.link_id)
            return Candidate(invite.link_id, invite.owner_id, code, invite.made_at, invite.made_at)
    return None


def by_touches(visitor: str | None, *, at: datetime) -> list[Candidate]:
    """A visitor's touches, the latest first; several of one link if it was opened in several hours."""
    found = clicks.touches(visitor, until=at)
    codes = {number: links.current_code(number) for number in {click.link_id for click in found} if _credits(number)}
    return [
        Candidate(click.link_id, _link(click.link_id).owner_id, codes[click.link_id], click.at, click.last_at, click.id)
        for click in found
        if click.link_id in codes
    ]


def _credits(link_id: int) -> bool:
    link = _link(link_id)
    return link.archived_at is None and User.by_id(link.owner_id).in_good_standing


def _link(link_id: int) -> links.Link:
    return session.get_one(links.Link, link_id)
