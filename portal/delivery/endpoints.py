"""Endpoints: the addresses of programs that are told what happens, and the secrets by which they know who tells it.

Invariants: a secret is shown once and kept sealed; after a new one the one of before signs along for a day; one that
fails for days, or says that it is gone, is switched off, and nothing is sent to it any more.
"""

import ipaddress
import re
import secrets
from base64 import b64encode
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import SplitResult, urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database, sealed
from portal.core.database import Json, Model, session
from portal.core.sealed import Box, NotOurs, Turn
from portal.core.text import Refusal, marked, public_id

PREFIX = "whsec_"
PURPOSE = "webhooks"
"""What the key of the box is for, in which the secrets are kept."""
OVERLAP = timedelta(hours=24)
"""How long the secret of before signs along."""
OFF_AFTER = timedelta(days=3)
LEAST_FAILURES = 5
"""However long ago the first one was: after a weekend without a worker, one bad answer is no reason."""
LONGEST_REST_S = 900
SLOW = timedelta(seconds=2)


class EndpointRefused(Refusal):
    """An address that nothing can be sent to, or an endpoint that is not there any more."""


class Off(StrEnum):
    """Why an endpoint is switched off."""

    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"


class Endpoint(Model):
    """One address. `failures`: how many tries in a row came to nothing; meanwhile it is asked one thing at a time, with
    growing rests."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        database.one_of("off_why", ("", *Off)),
        database.rule("(off_at IS NULL) = (off_why = '')", "off_has_a_reason"),
        database.whole("failures"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    url: Mapped[str] = mapped_column(sa.String(500))
    events: Mapped[Any] = mapped_column(Json, default=list)
    secret: Mapped[str] = mapped_column(sa.Text)
    secret_before: Mapped[str] = mapped_column(sa.Text, default="")
    before_until: Mapped[datetime | None]
    key_id: Mapped[str] = mapped_column(sa.String(12))
    made_at: Mapped[datetime]
    failures: Mapped[int] = mapped_column(default=0)
    failing_since: Mapped[datetime | None]
    resting_until: Mapped[datetime | None]
    off_at: Mapped[datetime | None]
    off_why: Mapped[str] = mapped_column(sa.String(8), default="")
    removed_at: Mapped[datetime | None]

    @property
    def host(self) -> str:
        """By what people tell endpoints apart."""
        return urlsplit(self.url).netloc


def read(url: str, *, local: bool) -> SplitResult:
    """An address taken apart. Raises EndpointRefused for what is none by https; `local`: this machine's own, by http as
    well, will do."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EndpointRefused(NO_ADDRESS) from error
    fine = re.fullmatch(r"[!-~]{1,500}", url) and not re.search(r"[\\@#<>\"'`{}|^]", url) and port != 0
    host = parts.hostname or ""
    if not fine or not (_NAME.fullmatch(host) or re.fullmatch(r"[0-9a-f:.]+", host)):
        raise EndpointRefused(NO_ADDRESS)
    if local and _is_here(host):
        if parts.scheme in ("http", "https"):
            return parts
        raise EndpointRefused(NO_ADDRESS)
    if parts.scheme != "https":
        raise EndpointRefused(NO_ADDRESS)
    if _is_here(host) or not _may_be_public(host):
        raise EndpointRefused(INSIDE)
    return parts


_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
NO_ADDRESS = marked("Write an address such as https://shop.example.com/webhooks: by https, without a name or password.")
INSIDE = marked("This address lies inside a network of its own; only public ones are called.")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _may_be_public(host: str) -> bool:
    """Whether a host is a name, whose addresses are looked at before each call, or a public address."""
    try:
        return is_public(ipaddress.ip_address(host))
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".internal", ".local", ".")) and not host[-1].isdigit()


_CARRIES_ANOTHER = [ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
"""IPv6 networks by which an IPv4 address behind a gateway is reached (RFC 6052, RFC 3056, RFC 4380)."""


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of the open Internet: no loopback, private, link-local, shared, multicast or reserved
    one, and none that carries such a one inside (IANA's registries, as Python has them)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in net for net in _CARRIES_ANOTHER):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


# --- made, changed, removed -----------------------------------------------------------------------------------


def make(url: str, events: list[str], *, local: bool, keep: Box, at: datetime) -> tuple[Endpoint, str]:
    """A new endpoint, and its secret, which is shown this once. Raises EndpointRefused, also for an address that one
    is there for."""
    read(url, local=local)
    database.lock_names(f"webhook {_whereto(url)}")  # of two who add it at once, the second sees the first
    for known in listed():
        if _whereto(known.url) == _whereto(url):
            raise EndpointRefused(
                marked("There is a webhook to %(url)s already: change that one, or remove it first."), url=known.url
            )
    secret = _new_secret()
    made = Endpoint(url=url, events=events, secret=keep.seal(secret), key_id=keep.key_id, made_at=at)
    session.add(made)
    session.flush()
    return made, secret


def _whereto(url: str) -> str:
    """The address however its scheme and host are spelled."""
    return urlsplit(url)._replace(netloc=urlsplit(url).netloc.lower()).geturl()


def _new_secret() -> str:
    return PREFIX + b64encode(secrets.token_bytes(32)).decode()


def renew(endpoint: Endpoint, *, keep: Box, at: datetime) -> str:
    """A new secret, which is shown this once; the one of before signs along for a day. Raises EndpointRefused."""
    lock(endpoint)
    secret = _new_secret()
    endpoint.secret_before, endpoint.before_until = _anew(endpoint.secret, keep), at + OVERLAP
    endpoint.secret, endpoint.key_id = keep.seal(secret), keep.key_id
    return secret


def _anew(kept: str, keep: Box) -> str:
    """A secret under the newest key; none for one that no key opens, which signs nothing."""
    try:
        return keep.anew(kept)
    except NotOurs:
        return ""


def reseal(keep: Box, *, after: int, most: int) -> Turn | None:
    """Writes some secrets anew under the newest key (see `sealed.reseal`)."""

    def change(endpoint: Endpoint) -> None:
        endpoint.secret, endpoint.secret_before = keep.anew(endpoint.secret), _anew(endpoint.secret_before, keep)

    return sealed.reseal(Endpoint, Endpoint.secret, keep, change, after=after, most=most)


def signing(endpoint: Endpoint, *, keep: Box, at: datetime) -> list[str]:
    """The secrets that sign now, the newest first. Raises NotOurs (see `Box.open`)."""
    along = endpoint.before_until is not None and at <= endpoint.before_until
    return [keep.open(sealed) for sealed in (endpoint.secret, endpoint.secret_before if along else "") if sealed]


def remove(endpoint: Endpoint, *, at: datetime) -> None:
    """Nothing is sent there any more, and its secrets are gone; what was sent stays told. Raises EndpointRefused."""
    lock(endpoint)
    endpoint.removed_at, endpoint.secret, endpoint.secret_before = at, "", ""


ITS_LOCK = {"key_share": True}
"""As `database.lock`: what is told meanwhile refers to it, and does not wait."""


def lock(endpoint: Endpoint) -> None:
    """Reads it under its lock. Raises EndpointRefused if it was removed."""
    session.refresh(endpoint, with_for_update=ITS_LOCK)
    if endpoint.removed_at is not None:
        raise EndpointRefused(marked("This webhook was removed."))


# --- how it does ----------------------------------------------------------------------------------------------


def worked(endpoint: Endpoint, *, took: timedelta, at: datetime) -> None:
    """Notes that something arrived. Who takes long rests as long, so that others have their turn."""
    if endpoint.failures or took >= SLOW:
        endpoint.failures, endpoint.failing_since = 0, None
        endpoint.resting_until = at + took if took >= SLOW else None


def failed(endpoint: Endpoint, *, gone: bool, at: datetime) -> bool:
    """Notes that something did not arrive; whether the endpoint is switched off by that. What was sent together with
    something that failed fails with it, and counts once."""
    if endpoint.resting_until is None or endpoint.resting_until <= at:
        endpoint.failures += 1
        endpoint.failing_since = endpoint.failing_since or at
        endpoint.resting_until = at + timedelta(seconds=min(5 * 2 ** min(endpoint.failures, 10), LONGEST_REST_S))
    since = endpoint.failing_since or at
    long = at >= since + OFF_AFTER and endpoint.failures >= LEAST_FAILURES
    if endpoint.off_at is not None or endpoint.removed_at is not None or not (gone or long):
        return False
    endpoint.off_at, endpoint.off_why = at, Off.GONE if gone else Off.FAILING
    return True


def switch_on(endpoint: Endpoint) -> bool:
    """Tries again with one that was switched off; False if it is on. Raises EndpointRefused."""
    lock(endpoint)
    if endpoint.off_at is None:
        return False
    endpoint.off_at, endpoint.off_why = None, ""
    endpoint.failures, endpoint.failing_since, endpoint.resting_until = 0, None, None
    return True


# --- looked up ------------------------------------------------------------------------------------------------


LIVE = (Endpoint.off_at.is_(None), Endpoint.removed_at.is_(None))
"""For queries: those to which something is sent."""


def listening(event: str) -> dict[int, bool]:
    """The endpoints that asked for an event, by row number, and whether each is switched on: for one that is off it is
    kept. One query, whatever happens and how often."""
    return {number: off_at is None for number, events, off_at in session.execute(_asking()) if event in events}


@database.once_for_each_database
def _asking() -> sa.Select[Any]:
    there = Endpoint.removed_at.is_(None)
    return sa.select(Endpoint.id, Endpoint.events, Endpoint.off_at).where(there).order_by(Endpoint.id)


def find(wanted: str) -> Endpoint | None:
    return session.scalar(sa.select(Endpoint).where(Endpoint.public_id == wanted, Endpoint.removed_at.is_(None)))


def listed() -> list[Endpoint]:
    """The endpoints that were not removed, the first one first."""
    return list(session.scalars(sa.select(Endpoint).where(Endpoint.removed_at.is_(None)).order_by(Endpoint.id)))
