"""API keys: by which a shop's program is let in. Shown once, kept as a hash; a revoked one is out at once.

A key that is rotated has a successor of the same name and works on for a day, or until it is revoked: the shop changes
over without a gap. What a key may do are its scopes; it may have a day on which it ends.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts import audit
from portal.core import database
from portal.core.database import Json, Model, session
from portal.core.text import Refusal, marked, one_line, public_id, token, token_hash

PREFIX = "rp_"
OVERLAP = timedelta(hours=24)
"""How long a key works on when it is rotated."""
WARNED = timedelta(days=7)
"""How long before its end a key is named among what needs attention."""


class Scope(StrEnum):
    """What a key may do."""

    REPORT = "report"
    """Tell of customers, orders and refunds."""
    READ = "read"
    """Ask for referrals, rewards, payouts and balances."""


class KeyRefused(Refusal):
    """A key that cannot be made, or not be rotated."""


class MadeAlready(KeyRefused):
    """The form that asks for a key has made it before."""


class ApiKey(Model):
    """One key. `hint` is its beginning, by which people tell keys apart."""

    __tablename__ = "api_keys"

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    name: Mapped[str] = mapped_column(sa.String(60))
    hint: Mapped[str] = mapped_column(sa.String(12))
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    made_at: Mapped[datetime]
    made_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    """Until when it works since it was rotated."""
    scopes: Mapped[Any] = mapped_column(Json, default=list, server_default='["read", "report"]')
    expires_at: Mapped[datetime | None]
    """The end that was chosen for it; most have none."""

    @property
    def end(self) -> datetime | None:
        """Until when it works, unless it is revoked before."""
        return min((end for end in (self.ends_at, self.expires_at) if end is not None), default=None)

    def works(self, *, at: datetime) -> bool:
        """Whether a program is let in by it."""
        return self.revoked_at is None and (self.end is None or at <= self.end)

    def is_about_to_end(self, *, at: datetime) -> bool:
        """Whether its chosen end is near, and it has no successor."""
        near = self.expires_at is not None and self.expires_at <= at + WARNED
        return near and self.ends_at is None and self.works(at=at)

    def may(self, scope: Scope) -> bool:
        """Whether it is for this."""
        return scope in self.scopes


def make(
    name: str,
    *,
    scopes: Collection[str] = tuple(Scope),
    expires_at: datetime | None = None,
    form_key: str | None = None,
    by: int | None,
    at: datetime,
) -> str:
    """A new key for everything, or for these scopes alone; what comes back is shown once and kept nowhere. `form_key`:
    the one-time key of the form, which becomes the key's public id, so that the form makes one. Raises KeyRefused: for
    nothing, or with an end that has passed; MadeAlready."""
    wanted = sorted(scope for scope in Scope if scope in scopes)
    if not wanted:
        raise KeyRefused(marked("Choose at least one thing that the key may do."))
    if expires_at is not None and expires_at <= at:
        raise KeyRefused(marked("Choose a day that is still to come."))
    secret = PREFIX + token()
    key = database.insert_once(
        ApiKey, public_id=form_key or public_id(), name=one_line(name, 60) or "key", hint=secret[:10],
        token_hash=token_hash(secret), made_at=at, made_by_id=by, scopes=wanted, expires_at=expires_at,
    )  # fmt: skip
    if key is None:
        raise MadeAlready(
            marked(
                "This form has made its key already, which was shown then alone. If you did not see it, revoke it and "
                "create another."
            )
        )
    audit.write("api_key_made", "api_key", key.public_id, by=by, at=at, hint=key.hint, scopes=wanted)
    return secret


def find(secret: str) -> ApiKey | None:
    """The key of a secret, whether it works or not."""
    return session.scalar(sa.select(ApiKey).where(ApiKey.token_hash == token_hash(secret)))


def rotate(wanted: str, *, by: int, at: datetime) -> str:
    """A successor of a key for the same, which works on for a day; what comes back is shown once. Where an end was
    chosen, the successor lasts as long from now on. Raises KeyRefused for a key that has a successor, was revoked, or
    has ended."""
    lasts = sa.or_(ApiKey.expires_at.is_(None), ApiKey.expires_at >= at)
    where = (ApiKey.public_id == wanted, ApiKey.revoked_at.is_(None), ApiKey.ends_at.is_(None), lasts)
    before = session.scalar(sa.update(ApiKey).where(*where).values(ends_at=at + OVERLAP).returning(ApiKey))
    if before is None:
        raise KeyRefused(marked("This key was rotated or revoked already, or has ended."))
    audit.write("api_key_rotated", "api_key", wanted, by=by, at=at)
    expires_at = at + (before.expires_at - before.made_at) if before.expires_at else None
    return make(before.name, scopes=before.scopes, expires_at=expires_at, by=by, at=at)


def see(key_id: int, *, at: datetime) -> None:
    """Notes that a key is in use; at most once a minute."""
    late = sa.or_(ApiKey.used_at.is_(None), ApiKey.used_at < at - timedelta(minutes=1))
    session.execute(sa.update(ApiKey).where(ApiKey.id == key_id, late).values(used_at=at))


def revoke(wanted: str, *, by: int, at: datetime) -> bool:
    """Ends a key; False if it was revoked before."""
    where = (ApiKey.public_id == wanted, ApiKey.revoked_at.is_(None))
    if session.scalar(sa.update(ApiKey).where(*where).values(revoked_at=at).returning(ApiKey.id)) is None:
        return False
    audit.write("api_key_revoked", "api_key", wanted, by=by, at=at)
    return True


def named(wanted: str) -> ApiKey | None:
    """The key of a public id, whether it works or not."""
    return session.scalar(sa.select(ApiKey).where(ApiKey.public_id == wanted))


def listed() -> list[ApiKey]:
    return list(session.scalars(sa.select(ApiKey).order_by(ApiKey.id.desc())))


def about_to_end(*, at: datetime) -> list[ApiKey]:
    """The keys whose chosen end is near and that have no successor, the first to end first."""
    query = sa.select(ApiKey).where(ApiKey.expires_at.is_not(None), ApiKey.revoked_at.is_(None))
    found = session.scalars(query.order_by(ApiKey.expires_at, ApiKey.id))
    return [key for key in found if key.is_about_to_end(at=at)]
