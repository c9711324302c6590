"""API keys: by which a shop's program is let in. Shown once, kept as a hash; a revoked one is out at once.

A key that is rotated has a successor of the same name and works on for a day, or until it is revoked: the shop changes
over without a gap.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts import audit
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line, public_id, token, token_hash

PREFIX = "rp_"
OVERLAP = timedelta(hours=24)
"""How long a key works on when it is rotated."""


class KeyRefused(Refusal):
    """A key that cannot be rotated."""


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

    def works(self, *, at: datetime) -> bool:
        """Whether a program is let in by it."""
        return self.revoked_at is None and (self.ends_at is None or at <= self.ends_at)


def make(name: str, *, by: int | None, at: datetime) -> str:
    """A new key; what comes back is shown once and kept nowhere."""
    secret = PREFIX + token()
    key = ApiKey(
        name=one_line(name, 60) or "key", hint=secret[:10], token_hash=token_hash(secret), made_at=at, made_by_id=by
    )
    session.add(key)
    session.flush()
    audit.write("api_key_made", "api_key", key.public_id, by=by, at=at, hint=key.hint)
    return secret


def find(secret: str, *, at: datetime) -> ApiKey | None:
    """The key of a secret, if it works."""
    key = session.scalar(sa.select(ApiKey).where(ApiKey.token_hash == token_hash(secret)))
    return key if key is not None and key.works(at=at) else None


def rotate(wanted: str, *, by: int, at: datetime) -> str:
    """A successor of a key, which works on for a day; what comes back is shown once. Raises KeyRefused for a key that
    has one, or was revoked."""
    where = (ApiKey.public_id == wanted, ApiKey.revoked_at.is_(None), ApiKey.ends_at.is_(None))
    name = session.scalar(sa.update(ApiKey).where(*where).values(ends_at=at + OVERLAP).returning(ApiKey.name))
    if name is None:
        raise KeyRefused(marked("This key was rotated or revoked already."))
    audit.write("api_key_rotated", "api_key", wanted, by=by, at=at)
    return make(name, by=by, at=at)


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
