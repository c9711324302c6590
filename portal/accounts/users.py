"""Users: one table of people, whether they signed up or a shop reported them.

Invariants: an address is there once, by lower case; an outside id once; nobody is deleted, only blanked.
A customer reported by the shop has no password and cannot sign in until the address is confirmed.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

import email_validator
import sqlalchemy as sa
from disposable_email_domains import blocklist
from flask_security import UserMixin, hash_password
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts.roles import RoleGrant
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line, public_id, token

FOLDING = {
    "gmail.com": "gmail.com",
    "googlemail.com": "gmail.com",
}
"""Providers that ignore dots in the local part (Google's help, "Dots don't matter in Gmail addresses")."""

PLUS_TAGS = FOLDING.keys() | {"outlook.com", "hotmail.com", "live.com", "icloud.com", "me.com", "fastmail.com",
                              "proton.me", "protonmail.com", "pm.me"}  # fmt: skip
"""Providers that deliver `name+tag@` to `name@`."""


PASSWORD_FORM: Literal["NFKD"] = "NFKD"
"""The Unicode form of passwords before they are hashed (NIST SP 800-63B, 5.1.1.2)."""
ARGON2_KIB, ARGON2_TIME, ARGON2_LANES = 19 * 1024, 2, 1
"""How much argon2id works on a password (OWASP Password Storage Cheat Sheet)."""


NOBODYS = "deleted.invalid"
"""The domain of the addresses of those who have none: who is erased or gave way; it receives nothing (RFC 2606)."""


class BadAddress(Refusal):
    """An e-mail address that cannot be one."""


@dataclass(frozen=True)
class Surroundings:
    """What the web knows of a browser, coarse on purpose: for signals, never for showing who somebody is."""

    visitor: str | None = None
    """The visitor's random id from the signed cookie."""
    network: str | None = None
    """The network with its last part masked, such as `203.0.113.0/24`."""
    browser: str | None = None
    """A short keyed hash of the browser's description."""


NOWHERE = Surroundings()


class User(Model, UserMixin):
    """A person: referrer, referee, customer, colleague or all of these."""

    __tablename__ = "users"
    __table_args__ = (
        sa.Index("uq_users_email_lower", sa.text("lower(email)"), unique=True),
        database.rule("length(email) BETWEEN 3 AND 320", "email_length"),
        database.whole("shows_name", "accepted_terms_version"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    email: Mapped[str] = mapped_column(sa.String(320))
    password: Mapped[str | None] = mapped_column(sa.String(255))
    name: Mapped[str] = mapped_column(sa.String(80), default="")
    shows_name: Mapped[bool] = mapped_column(default=True)
    """Whether the referrer reads the first name or a masked address."""
    external_id: Mapped[str | None] = mapped_column(sa.String(128), unique=True)
    fs_uniquifier: Mapped[str] = mapped_column(sa.String(64), unique=True, default=token)
    created_at: Mapped[datetime]
    signed_up_at: Mapped[datetime]
    """When the person became a customer; the shop may know of an earlier day than ours."""
    confirmed_at: Mapped[datetime | None]
    accepted_terms_version: Mapped[int | None]
    suspended_at: Mapped[datetime | None]
    """Out of the program: links open and credit nobody, what is pending waits. Signing in still works."""
    shut_out_at: Mapped[datetime | None]
    """No signing in."""
    erased_at: Mapped[datetime | None]
    language: Mapped[str] = mapped_column(sa.String(8), default="")
    """The language of pages and mails; empty: what the browser asks for."""
    visitor: Mapped[str | None] = mapped_column(sa.String(32), index=True)
    network: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    browser: Mapped[str | None] = mapped_column(sa.String(16))
    time_zone: Mapped[str] = mapped_column(sa.String(64), default="", server_default="")
    """By whose clocks pages tell the time; empty: the program's."""
    former_hash: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    """The keyed hash of an address that had an account before: on the blanked one, and on that of who comes back."""

    grants: Mapped[list[RoleGrant]] = relationship(RoleGrant, foreign_keys=RoleGrant.user_id)

    @property
    def roles(self) -> list[RoleGrant]:  # type: ignore[override] # theirs is a column, ours follows from the grants
        """For Flask-Security, which asks each for its `name`."""
        return self.grants

    @property
    def active(self) -> bool:  # type: ignore[override] # theirs is a column, ours follows from dates
        """For Flask-Security and Flask-Login: whether this person may sign in."""
        return self.shut_out_at is None and self.erased_at is None

    @property
    def in_good_standing(self) -> bool:
        """Whether this person takes part: neither out of the program nor out of the house."""
        return self.active and self.suspended_at is None

    @property
    def role_names(self) -> set[str]:
        return {grant.name for grant in self.grants}

    def may(self, permission: str) -> bool:
        """Whether one of this person's roles carries a permission (see `roles.MAY`)."""
        return self.active and any(grant.allows(permission) for grant in self.grants)

    @property
    def first_name(self) -> str:
        """The first word of the name; none if it is an address: mails and greetings would make a link of it."""
        return first_name_of(self.name)

    @property
    def known(self) -> bool:
        """Whether somebody vouches for the address: its owner, by confirming it, or the shop."""
        return self.confirmed_at is not None or self.external_id is not None

    @property
    def has_address(self) -> bool:
        """Whether the address is one: not so once somebody is erased, or gave way to its owner."""
        return not self.email.endswith(f"@{NOBODYS}")

    @property
    def called(self) -> str:
        """How colleagues read this person: the name, else the address; of an erased one the id."""
        return f"#{self.public_id}" if self.erased_at else self.name or self.email

    @property
    def as_friend(self) -> str:
        """How the referrer reads this person: the first name if shown, else a masked address; of an erased one the
        beginning of the id."""
        if self.erased_at:
            return f"#{self.public_id[:6]}"
        return friend_name(self.name, self.email, shows_name=self.shows_name)

    @classmethod
    def by_id(cls, number: int) -> Self:
        user = session.get(cls, number)
        assert user is not None
        return user


def first_name_of(name: str) -> str:
    """See `User.first_name`."""
    first = name.split(" ")[0] if name else ""
    return "" if re.search(r"[/:@\\]|\.\w{2}", first) else first


def friend_name(name: str, email: str, *, shows_name: bool) -> str:
    """How the referrer reads somebody of this name and address."""
    first = first_name_of(name)
    return first if first and shows_name else masked(email)


def in_good_standing(person: Any) -> sa.ColumnElement[bool]:
    """For queries over people, `User` or an alias of it: the same as `User.in_good_standing`."""
    return sa.and_(person.suspended_at.is_(None), person.shut_out_at.is_(None), person.erased_at.is_(None))


def clean_email(text: str) -> str:
    """An address as it is kept: checked by syntax, domain in lower case. Raises BadAddress."""
    try:
        found = email_validator.validate_email(text.strip(), check_deliverability=False, allow_smtputf8=True)
    except (email_validator.EmailNotValidError, UnicodeError) as error:
        _, at_sign, domain = text.strip().lower().rpartition("@")
        if at_sign and any(f".{domain}".endswith(f".{one}") for one in email_validator.SPECIAL_USE_DOMAIN_NAMES):
            raise BadAddress(marked("No mail reaches %(domain)s: such names are for tests and for networks at home."),
                             domain=domain) from error  # fmt: skip
        raise BadAddress(marked("Enter an e-mail like name@example.com.")) from error
    return found.normalized


def folded(email: str) -> str:
    """The address by which two spellings of one mailbox are the same: case, dots and tags where they are folded."""
    local, _, domain = email.lower().rpartition("@")
    if domain in PLUS_TAGS:
        local = local.split("+")[0]
    if domain in FOLDING:
        local, domain = local.replace(".", ""), FOLDING[domain]
    return f"{local}@{domain}"


def mailbox(email: str) -> str:
    """The same, with tags taken off wherever it is: most probably one mailbox. For what protects its owner."""
    local, _, domain = folded(email).rpartition("@")
    return f"{local.split('+')[0] or local}@{domain}"


PUBLIC_DOMAINS = frozenset(
    """
    gmail.com googlemail.com outlook.com outlook.de hotmail.com hotmail.de hotmail.co.uk hotmail.fr live.com live.de
    live.co.uk live.nl msn.com yahoo.com yahoo.de yahoo.co.uk yahoo.fr yahoo.it yahoo.es ymail.com rocketmail.com
    icloud.com me.com mac.com privaterelay.appleid.com aol.com aol.de gmx.de gmx.net gmx.com gmx.at gmx.ch web.de
    t-online.de freenet.de arcor.de vodafone.de posteo.de posteo.net mailbox.org online.de email.de 1und1.de proton.me
    protonmail.com pm.me tutanota.com tutanota.de tuta.io fastmail.com hey.com zoho.com mail.com mail.de mail.ru
    yandex.com yandex.ru orange.fr wanadoo.fr free.fr laposte.net sfr.fr libero.it virgilio.it alice.it tiscali.it
    telenet.be skynet.be ziggo.nl kpnmail.nl planet.nl hetnet.nl bluewin.ch sunrise.ch aon.at chello.at wp.pl o2.pl
    onet.pl interia.pl seznam.cz centrum.cz telia.com btinternet.com sky.com virginmedia.com ntlworld.com talktalk.net
    comcast.net verizon.net att.net sbcglobal.net cox.net bellsouth.net rogers.com shaw.ca bigpond.com optusnet.com.au
    qq.com 163.com 126.com naver.com duck.com simplelogin.com mozmail.com relay.firefox.com
""".split()
)
"""Where anybody can have an address, so that one domain says nothing: mail and internet providers, relays."""


def private_domain(email: str) -> str | None:
    """The domain of an address if it is one's own or a company's; None for public providers."""
    domain = email.lower().rpartition("@")[2]
    nobodys = re.search(r"(^|\.)example\.(com|net|org)$", domain)  # RFC 2606
    return None if nobodys or domain in PUBLIC_DOMAINS or domain in blocklist else domain


def stem(email: str) -> str:
    """The letters of an address's local part: `jo.moll84+x@` and `jomoll@` have one stem."""
    return re.sub(r"[^a-z]", "", email.lower().rpartition("@")[0].split("+")[0])


def masked(email: str) -> str:
    """An address for other eyes: `b•••@example.com`."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def hashed(password: str) -> str:
    """A password as it is kept (argon2id). Slow on purpose: call it before a write begins.

    Two keyboards may write one letter in two ways; the form is the one to which a sign-in brings what was typed.
    """
    kept: str = hash_password(unicodedata.normalize(PASSWORD_FORM, password))
    return kept


def is_disposable(email: str) -> bool:
    """Whether the domain is on the public list of throw-away providers."""
    return email.lower().rpartition("@")[2] in blocklist


def find_by_email(email: str) -> User | None:
    return session.scalar(sa.select(User).where(sa.func.lower(User.email) == email.lower()))


def find_by_external_id(external_id: str) -> User | None:
    return session.scalar(sa.select(User).where(User.external_id == external_id))


def find_by_public_id(wanted: str) -> User | None:
    return session.scalar(sa.select(User).where(User.public_id == wanted))


def add(
    *,
    email: str,
    at: datetime,
    name: str = "",
    password: str | None = None,
    external_id: str | None = None,
    signed_up_at: datetime | None = None,
    shows_name: bool = True,
    language: str = "",
    surroundings: Surroundings = NOWHERE,
) -> User | None:
    """A new person with a clean address and a hashed password, or None if the address or outside id is there."""
    user: User | None = database.insert_once(
        User,
        email=email,
        name=one_line(name, 80),
        password=password,
        external_id=external_id,
        created_at=at,
        signed_up_at=signed_up_at or at,
        shows_name=shows_name,
        language=language,
        visitor=surroundings.visitor,
        network=surroundings.network,
        browser=surroundings.browser,
    )
    return user


def taking_part(user_ids: Collection[int]) -> list[User]:
    """Those of some people who are in good standing and have confirmed their address."""
    query = sa.select(User).where(User.id.in_(user_ids), User.confirmed_at.is_not(None), in_good_standing(User))
    return list(session.scalars(query.order_by(User.id)))


def was_here(former_hash: str) -> bool:
    """Whether an address had an account that was deleted."""
    query = sa.select(User.id).where(User.former_hash == former_hash, User.erased_at.is_not(None))
    return session.scalar(query.limit(1)) is not None


def take_address_away(user: User) -> None:
    """Leaves a row without its address, which is free for its owner."""
    user.email = f"{user.public_id}@{NOBODYS}"
    session.flush()


def blank(user: User, *, former_hash: str | None, at: datetime) -> None:
    """Takes everything out of a row that says who it was. The shop's own id stays, unless it is an address: by it late
    refunds and orders find their place. `former_hash`: of the address, if the account was its owner's."""
    user.email, user.name, user.password = f"{user.public_id}@{NOBODYS}", "", None
    user.external_id = None if "@" in (user.external_id or "") else user.external_id
    user.visitor = user.network = user.browser = None
    user.language = user.time_zone = ""
    user.fs_uniquifier, user.former_hash, user.erased_at = token(), former_hash, at
    session.flush()


def lock(*people: int | None) -> None:
    """Locks people for the rest of this write. Money moves only under its owner's lock, taken in one order."""
    session.flush()
    if not database.is_sqlite():
        database.lock(User, people)
        session.expire_all()
