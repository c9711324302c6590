"""Candidates: the links that might earn a friend, found by a code or by a visitor's touches.

Invariant: a link that was archived, or whose owner is suspended or gone, is none.
"""

from datetime import datetime

from portal.accounts.users import User
from portal.core.database import session
from portal.referrals.attribution import Candidate
from portal.sharing import clicks, links


def by_code(code: str, *, at: datetime) -> Candidate | None:
    """What a code stands for as a way to be attributed; None if it is unknown or credits nobody."""
    link = links.by_code(code)
    if link is None or link.archived_at is not None:
        return None
    owner = User.by_id(link.owner_id)
    if owner.suspended_at or not owner.active:
        return None
    return Candidate(link.id, link.owner_id, links.current_code(link.id), at, at)


def by_touches(visitor: str | None, *, at: datetime) -> list[Candidate]:
    """A visitor's touches, one a link: with the moments of its first and its last visit."""
    by_link: dict[int, Candidate] = {}
    for click in clicks.touches(visitor, until=at):
        known = by_link.get(click.link_id)
        link = session.get_one(links.Link, click.link_id)
        owner = User.by_id(link.owner_id)
        if link.archived_at or owner.suspended_at or not owner.active:
            continue
        by_link[click.link_id] = Candidate(
            link.id,
            link.owner_id,
            links.current_code(link.id),
            min(click.at, known.first_at) if known else click.at,
            known.last_at if known else click.last_at,
            known.click_id if known else click.id,
        )
    return list(by_link.values())
