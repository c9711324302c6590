"""Invites: a link with one addressee, so that whoever comes by it is known to be the one who was asked.

Invariants: one invite per referrer and address; at most so many a day as the terms say; each has a link and a code of
its own; one that was withdrawn or declined credits nobody any more. The address stands here in the clear until it is
purged, at the latest after 90 days without the friend; what stays for ever is its keyed hash.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import users
from portal.accounts.users import User
from portal.core import clock, database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line, public_id
from portal.sharing import links
from portal.sharing.links import Link

AT_ONCE = 50
LONGEST_NOTE = 280
MAILS = FIRST, REMINDER = "invite", "invite_reminder"
"""The kinds of mails about an invite."""
REMIND_AFTER = timedelta(hours=72)
REMIND_BY_HAND_AFTER = timedelta(hours=24)
KEPT = timedelta(days=90)
"""How long the address of somebody who does not join is kept."""

USUAL_DOMAINS = """gmail.com googlemail.com outlook.com hotmail.com live.com icloud.com me.com yahoo.com yahoo.de
    yahoo.co.uk gmx.de gmx.net gmx.at gmx.ch web.de t-online.de freenet.de mail.de posteo.de mailbox.org proton.me
    protonmail.com aol.com msn.com fastmail.com""".split()
"""Providers whose names are often mistyped."""


class Answer(StrEnum):
    """What became of one address."""

    ACCEPTED = "accepted"
    ALREADY = "already"
    MISTYPED = "mistyped"
    ENDED = "ended"
    LIMIT = "limit"
    OWN = "own"


class InviteRefused(Refusal):
    """Invites that cannot be made at all."""


class Invite(Model):
    """One friend asked by one referrer."""

    __tablename__ = "invites"
    __table_args__ = (
        database.once("owner_id", "to_hash"),
        database.rule("withdrawn_at IS NULL OR declined_at IS NULL", "ended_once"),
        database.whole("remind", name="remind_whole"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    owner_id: Mapped[int] = database.refers_to("users.id", index=False)
    link_id: Mapped[int] = mapped_column(database.Key, sa.ForeignKey("links.id"), unique=True)
    to: Mapped[str | None] = mapped_column(sa.String(320))
    to_hash: Mapped[str] = mapped_column(sa.String(64), index=True)
    note: Mapped[str] = mapped_column(sa.String(LONGEST_NOTE), default="")
    made_at: Mapped[datetime] = mapped_column(index=True)
    withdrawn_at: Mapped[datetime | None]
    declined_at: Mapped[datetime | None]
    """When the friend said *not this person* to it."""
    remind: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    """Whether the referrer wants the friend reminded, once."""
    purged_at: Mapped[datetime | None]
    """When the address was deleted."""

    owner: Mapped[User] = relationship(User)
    link: Mapped[Link] = relationship(Link)

    @property
    def ended_at(self) -> datetime | None:
        """When it was withdrawn or declined."""
        return self.withdrawn_at or self.declined_at


@dataclass(frozen=True)
class Told:
    """What became of one address: `typed` as it was written; `since`: when it was invited, or when the limit ends."""

    typed: str
    answer: Answer
    invite: Invite | None = None
    since: datetime | None = None
    meant: str = ""
    """What the address may have been meant to be."""


# --- addresses ------------------------------------------------------------------------------------------------


def addresses(text: str) -> Iterator[str]:
    """The addresses in what somebody pasted, each as it was written: by lines, commas, semicolons; `Name <a@b>`."""
    for found in re.findall(r'(?:"[^"\n]*"|[^\n,;])+', text):
        part = found.strip()
        inside = re.findall(r"<\s*([^<>\s]+)\s*>", part)
        if inside:
            yield from (one.removeprefix("mailto:") for one in inside)
        elif part.startswith("mailto:"):
            yield part.removeprefix("mailto:").partition("?")[0]
        elif part.count("@") > 1:
            yield from part.split()
        elif part:
            yield part


def meant(email: str) -> str:
    """The address that was probably meant, if the domain looks like a mistyped one; else empty."""
    local, _, domain = email.rpartition("@")
    domain = domain.lower()
    if not local or domain in USUAL_DOMAINS or domain in users.PUBLIC_DOMAINS:
        return ""
    near = difflib.get_close_matches(domain, USUAL_DOMAINS, n=1, cutoff=0.85)
    return f"{local}@{near[0]}" if near else ""


def same_mailbox(one: str, other: str) -> bool:
    """Whether two addresses are probably one person's."""
    return users.mailbox(one) == users.mailbox(other)


LINK = re.compile(
    r"://|www\.|@|\b(mailto|tel|sms|data|javascript):|\b\d{1,3}(\.\d{1,3}){3}\b|\blocalhost\b|\w[.\u3002][^\W\d_]{2,}|\w:\d{2,5}/",
    re.IGNORECASE,
)


NO_LINKS = marked("Leave links and addresses out of the note, and put a space after each full stop.")


def has_link(note: str) -> bool:
    """Whether a note holds an address of the web or of a person, which mail programs would make links of."""
    return LINK.search(unicodedata.normalize("NFKC", note)) is not None


def clean(typed: str) -> str | None:
    """An address as it is kept; None for what cannot be one."""
    try:
        return users.clean_email(typed)
    except users.BadAddress:
        return None


# --- made and ended -------------------------------------------------------------------------------------------


def room_left(owner_id: int, a_day: int, *, at: datetime) -> tuple[int, datetime | None]:
    """How many invites a referrer may still make now, of so many a day; if none, when there is room again."""
    query = sa.select(Invite.made_at).where(Invite.owner_id == owner_id, Invite.made_at > at - clock.days(1))
    made = list(session.scalars(query.order_by(Invite.made_at.desc()).limit(a_day)))
    left = a_day - len(made)
    return left, None if left or not made else made[-1] + clock.days(1)


def find(owner_id: int, to_hash: str) -> Invite | None:
    """A referrer's invite to an address."""
    return session.scalar(sa.select(Invite).where(Invite.owner_id == owner_id, Invite.to_hash == to_hash))


def make(owner_id: int, email: str, to_hash: str, *, note: str, remind: bool, at: datetime) -> Invite:
    """A new invite with a link and a code of its own. The caller holds the referrer's lock and looked before."""
    link = links.make(owner_id, at=at, addressed=True)
    invite = Invite(
        owner_id=owner_id, link_id=link.id, to=email, to_hash=to_hash, note=one_line(note, LONGEST_NOTE),
        remind=remind, made_at=at,
    )  # fmt: skip
    session.add(invite)
    session.flush()
    return invite


def withdraw(invite: Invite, *, at: datetime) -> None:
    """Takes an invite back: its link opens a page that says so, and credits nobody. Raises InviteRefused."""
    if invite.ended_at is not None:
        raise InviteRefused(marked("This invite has ended already."))
    invite.withdrawn_at = invite.link.archived_at = at
    session.flush()


def decline(invite: Invite, *, at: datetime) -> None:
    """The friend does not want it. Once ended, it stays as it ended."""
    if invite.ended_at is None:
        invite.declined_at = invite.link.archived_at = at
        session.flush()


# --- addresses that go ----------------------------------------------------------------------------------------


def reminded(invite: Invite) -> None:
    """Notes that the one reminder is written."""
    invite.remind = False
    session.flush()


def purge(invite: Invite, *, at: datetime) -> None:
    """Deletes the address; the keyed hash stays."""
    invite.to, invite.purged_at, invite.remind, invite.note = None, at, False, ""
    session.flush()


def to_address(to_hash: str) -> list[Invite]:
    """Every invite to an address, whoever made it."""
    return list(session.scalars(sa.select(Invite).where(Invite.to_hash == to_hash).order_by(Invite.id)))


def find_by_name(wanted: str) -> Invite | None:
    """An invite by its public id."""
    return session.scalar(sa.select(Invite).where(Invite.public_id == wanted))


# --- asked for ------------------------------------------------------------------------------------------------


def find_of_owner(wanted: str, *, owner_id: int) -> Invite | None:
    """An invite by its public id, if it is this referrer's."""
    return session.scalar(sa.select(Invite).where(Invite.public_id == wanted, Invite.owner_id == owner_id))


def of_link(link_id: int) -> Invite | None:
    """The invite that a link belongs to, if it is one's."""
    return session.scalar(sa.select(Invite).where(Invite.link_id == link_id))


def open_to(to_hash: str) -> list[Invite]:
    """The invites to an address that have not ended, the earliest first."""
    query = sa.select(Invite).where(
        Invite.to_hash == to_hash, Invite.withdrawn_at.is_(None), Invite.declined_at.is_(None)
    )
    return list(session.scalars(query.order_by(Invite.made_at, Invite.id).limit(50)))


def by_owner(owner_id: int) -> list[Invite]:
    """Every invite that somebody made."""
    return list(session.scalars(sa.select(Invite).where(Invite.owner_id == owner_id).order_by(Invite.id)))
