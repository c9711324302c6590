"""Links and codes: what a referrer shares, and its public token.

Invariants: a code is read case-blind and names one link for ever, also after its owner took another; own codes
are never a reserved word, and a link takes one at most every thirty days (each is taken from everybody else for
ever); every user has a link from the start.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock, database
from portal.core.database import Model, Quick, Statement, session
from portal.core.text import Refusal, marked, one_line, public_id, random_code

CODE_LENGTH = 9
MOST_LINKS = 50
"""Of one person's own making, in use; invites have links besides."""
DAYS_BETWEEN_CODES = 30
LONGEST_CODE = 32

RESERVED = frozenset(
    """about abuse account accounts admin administrator api app assets auth billing blog check-your-email claim
    claims code codes confirm contact dashboard demo dev developers docs faq favicon friend friends healthz help
    home invite invites legal link links login logout mail me metrics news null owner payout payouts portal
    privacy program readyz referral referrals register reports reset reward rewards robots root setup settings
    shop signin signup sitemap static status support system terms test theme undefined unsubscribe user users
    webhook webhooks www""".split()
)

_RUDE = re.compile(r"fuck|shit|cunt|dick|fag|nazi|rape|sex|slut|tits|ass|arse|cock|cum|kkk|nig|piss|wank|hure")
"""Generated codes that contain one of these are drawn again; the alphabet rules out most words anyway."""

_OWN_CODE = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)


class LinkRefused(Refusal):
    """A link that cannot be made or changed."""


class CodeRefused(Refusal):
    """A code that cannot be had."""


class DestinationRefused(Refusal):
    """An address to which a link may not lead."""


class Link(Model):
    """Something of a referrer's to share. `destination` is empty for the sign-up page."""

    __tablename__ = "links"
    __table_args__ = (database.whole("addressed"),)

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    owner_id: Mapped[int] = database.refers_to("users.id")
    label: Mapped[str] = mapped_column(sa.String(60), default="")
    destination: Mapped[str | None] = mapped_column(sa.String(500))
    addressed: Mapped[bool] = mapped_column(default=False)
    """Whether it belongs to an invite."""
    made_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]


class Code(Model):
    """A token that leads to a link. `folded` is what is looked up, `text` what people see."""

    __tablename__ = "codes"
    __table_args__ = (
        database.rule("folded = lower(folded)", "folded_is_lower"),
        database.once("link_id", where="retired_at IS NULL", name="uq_codes_current"),
    )

    id: Mapped[int] = database.key()
    folded: Mapped[str] = mapped_column(sa.String(LONGEST_CODE), unique=True)
    text: Mapped[str] = mapped_column(sa.String(LONGEST_CODE))
    link_id: Mapped[int] = database.refers_to("links.id")
    made_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]
    """When the owner took another code for the link; this one goes on working."""


@dataclass(frozen=True)
class Found:
    """What following a code needs to know; row numbers, and whether a click counts for anybody."""

    link_id: int
    owner_id: int
    code: str
    destination: str | None
    credits: bool
    """False when the link was archived or its owner suspended or erased: it opens, and credits nobody."""


_FIND = Statement(
    "SELECT l.id, l.owner_id, c.text, l.destination,"
    " l.archived_at IS NULL AND u.suspended_at IS NULL AND u.shut_out_at IS NULL AND u.erased_at IS NULL"
    " FROM codes c JOIN links l ON l.id = c.link_id JOIN users u ON u.id = l.owner_id WHERE c.folded = ?"
)


def folded(code: str) -> str | None:
    """A code as it is looked up: trimmed, lower case; None for what cannot be one."""
    code = code.strip().strip("/").strip().lower()
    return code if len(code) <= LONGEST_CODE and _OWN_CODE.fullmatch(code) else None


def find(code: str, *, on: Quick) -> Found | None:
    """The link that a code leads to, by the plain driver: the busiest question of the portal."""
    wanted = folded(code)
    if wanted is None:
        return None
    rows = on.rows(_FIND, (wanted,))
    return Found(rows[0][0], rows[0][1], rows[0][2], rows[0][3], bool(rows[0][4])) if rows else None


def find_by_public_id(wanted: str) -> Link | None:
    return session.scalar(sa.select(Link).where(Link.public_id == wanted))


def by_code(code: str) -> Link | None:
    """The link that a code leads to, in this session."""
    wanted = folded(code)
    if wanted is None:
        return None
    return session.scalar(sa.select(Link).join(Code, Code.link_id == Link.id).where(Code.folded == wanted))


def current_code(link_id: int) -> str:
    """The code shown for a link."""
    found = session.scalar(sa.select(Code.text).where(Code.link_id == link_id, Code.retired_at.is_(None)))
    assert found is not None
    return found


def of_owner(owner_id: int) -> list[Link]:
    """Every link of a person, the first one first."""
    return list(session.scalars(sa.select(Link).where(Link.owner_id == owner_id).order_by(Link.id)))


def find_of_owner(wanted: str, *, owner_id: int) -> Link | None:
    """A link by its public id, if it is this person's."""
    return session.scalar(sa.select(Link).where(Link.public_id == wanted, Link.owner_id == owner_id))


def change(link: Link, *, label: str, archived: bool, at: datetime) -> None:
    """Names a link, and archives it or takes it back into use. Raises LinkRefused for archiving the first one."""
    if archived and main_link(link.owner_id).id == link.id:
        raise LinkRefused(marked("Your first link stays in use."))
    link.label = one_line(label, 60)
    link.archived_at = (link.archived_at or at) if archived else None
    session.flush()


def main_link(owner_id: int) -> Link:
    """The link that every user has from the start."""
    found = session.scalar(sa.select(Link).where(Link.owner_id == owner_id).order_by(Link.id).limit(1))
    assert found is not None
    return found


def make(
    owner_id: int,
    *,
    at: datetime,
    label: str = "",
    destination: str | None = None,
    allowed: frozenset[str] = frozenset(),
    most: int | None = None,
    addressed: bool = False,
    own: str = "",
) -> Link:
    """A new link with a generated code. `allowed` are the hosts it may lead to, `own` the portal's among them.

    Raises DestinationRefused; LinkRefused for one more than `most` in use.
    """
    if most is not None:
        in_use = [link for link in of_owner(owner_id) if not link.addressed and link.archived_at is None]
        if len(in_use) >= most:
            raise LinkRefused(marked("You have %(most)s links in use. Archive one first."), most=most)
    link = Link(
        owner_id=owner_id,
        label=one_line(label, 60),
        destination=clean_destination(destination, allowed, own=own) if destination else None,
        addressed=addressed,
        made_at=at,
    )
    session.add(link)
    session.flush()
    while not _take(link.id, generated(), at=at):
        pass  # somebody has it: draw again
    return link


def generated() -> str:
    """A random code of 9 from 31 letters and digits, read aloud without doubt, none of them rude."""
    while _RUDE.search(code := random_code(CODE_LENGTH)):
        pass
    return code


def take_code(link: Link, wanted: str, *, retired_name: Callable[[str], str] = str, at: datetime) -> None:
    """Gives a link a code of its owner's own choice; the old one goes on working. Raises CodeRefused, also for one that
    an erased person had, which stands under its `retired_name`."""
    text = one_line(wanted, 64)
    code = folded(text)
    if code is None or len(code) < 3:
        raise CodeRefused(marked("Use 3 to 32 letters, digits and hyphens."))
    if code in RESERVED:
        raise CodeRefused(marked("This word is kept for the portal itself. Choose another."))
    again = next_choice(link.id)
    if again is not None and at < again:
        raise CodeRefused(marked("A code can be chosen every 30 days. Come back after %(moment)s."), moment=again)
    if (
        by_code(code) is not None
        or by_code(retired_name(code)) is not None
        or not _take(link.id, text.strip("/"), at=at)
    ):
        raise CodeRefused(marked("This code is taken. Choose another."))


def next_choice(link_id: int) -> datetime | None:
    """From when on a link may take another code of its owner's choice; None while it has its first one."""
    query = sa.select(Code.made_at).where(Code.link_id == link_id).order_by(Code.id.desc()).limit(2)
    made = list(session.scalars(query))
    return made[0] + clock.days(DAYS_BETWEEN_CODES) if len(made) > 1 else None


def _take(link_id: int, text: str, *, at: datetime) -> bool:
    session.execute(sa.update(Code).where(Code.link_id == link_id, Code.retired_at.is_(None)).values(retired_at=at))
    return database.insert_once(Code, folded=text.lower(), text=text, link_id=link_id, made_at=at) is not None


def clean_destination(address: str, allowed: frozenset[str], *, own: str = "") -> str:
    """An address that a link may lead to: https (or http), one of the allowed hosts with its port, nothing hidden.

    `own` is the portal's host: none of its links leads to another, or round in circles.

    Raises DestinationRefused.
    """
    refused = DestinationRefused(
        marked("Links may lead only to these sites: %(hosts)s."), hosts=", ".join(sorted(allowed)) or "-"
    )
    if len(address) > 500 or re.search(r"[\s\\\x00-\x1f\x7f]", address):
        raise refused
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port  # either may be impossible
    except ValueError as error:
        raise refused from error
    here = host if port is None or port == {"https": 443, "http": 80}.get(parts.scheme) else f"{host}:{port}"
    if parts.scheme not in {"https", "http"} or here not in allowed or parts.username or parts.password:
        raise refused
    if here == own and parts.path.startswith("/r/"):
        raise DestinationRefused(marked("A link cannot lead to a link. Name the page itself."))
    return address


def forget(owner_id: int, *, retired_name: Callable[[str], str], at: datetime) -> dict[str, str]:
    """Takes out of a person's links what they chose themselves: labels, and codes of their own choice, which stay taken
    under the name that `retired_name` gives them. Every link is archived. Gives the codes that changed: was -> is."""
    changed = {}
    for link in of_owner(owner_id):
        link.label, link.archived_at = "", link.archived_at or at
        _given, *chosen = session.scalars(sa.select(Code).where(Code.link_id == link.id).order_by(Code.id))
        for code in chosen:
            was, code.folded = code.text, retired_name(code.folded)
            code.text = changed[was] = code.folded
    session.flush()
    return changed
