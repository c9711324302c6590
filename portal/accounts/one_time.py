"""One-time keys: the secret in a mailed link, for confirming an address, a new password, a colleague, the first owner.

Invariants: kept only as a hash; used once, of twenty at once by one; a newer key ends the older ones of its kind, but
for confirmations (each is of a sign-up) and ways back (each is to another address). A confirmation key carries the
password of the sign-up it was mailed for: whoever confirms gets the password they chose themselves, not one that
somebody else chose for their address earlier.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Json, Model, session
from portal.core.text import token, token_hash


class Purpose(StrEnum):
    CONFIRM = "confirm"
    RESET = "reset"
    SET_UP = "set_up"
    JOIN = "join"
    """For a colleague who was invited: proves the address, chooses a password, brings the role it `carried`."""
    MOVE = "move"
    """Proves a new address, which it `carried`."""
    MOVE_BACK = "move_back"
    """Goes back to the address of before, which it `carried`."""


LASTS = {
    Purpose.CONFIRM: timedelta(days=2),
    Purpose.RESET: timedelta(hours=2),
    Purpose.SET_UP: timedelta(days=1),
    Purpose.JOIN: timedelta(days=3),
    Purpose.MOVE: timedelta(days=1),
    Purpose.MOVE_BACK: timedelta(days=7),
}

MAILED = {purpose: lasts for purpose, lasts in LASTS.items() if purpose != Purpose.SET_UP}
"""How long a mailed link works; that of the set-up is printed on the terminal."""


class OneTimeKey(Model):
    """One mailed or printed secret."""

    __tablename__ = "one_time_keys"
    __table_args__ = (database.one_of("purpose", Purpose),)

    id: Mapped[int] = database.key()
    purpose: Mapped[str] = mapped_column(sa.String(10))
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int | None] = database.refers_to("users.id")
    password: Mapped[str | None] = mapped_column(sa.String(255))
    carried: Mapped[Any] = mapped_column(Json, nullable=True)
    """What the sign-up came with, to be used only once the address is confirmed (see `program.confirm`)."""
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    network: Mapped[str | None] = mapped_column(sa.String(64))
    """Of a confirmation: from which network (masked) its sign-up came."""

    def open_at(self, at: datetime) -> bool:
        return self.used_at is None and self.ended_at is None and at <= self.expires_at


def make(
    purpose: Purpose, user_id: int | None, *, at: datetime, password: str | None = None, carried: Any = None,
    network: str | None = None,
) -> str:  # fmt: skip
    """A new secret for a link. `password` (hashed) becomes the account's when a confirmation is used."""
    secret = token()
    if purpose not in (Purpose.CONFIRM, Purpose.MOVE_BACK):
        end_all(purpose, user_id, at=at)
    session.add(
        OneTimeKey(
            purpose=purpose,
            token_hash=token_hash(secret),
            user_id=user_id,
            password=password,
            carried=carried,
            network=network,
            made_at=at,
            expires_at=at + LASTS[purpose],
        )
    )
    return secret


def find(purpose: Purpose, secret: str) -> OneTimeKey | None:
    """The key that a secret stands for, whether it can still be used or not."""
    query = sa.select(OneTimeKey).where(OneTimeKey.token_hash == token_hash(secret), OneTimeKey.purpose == purpose)
    return session.scalar(query)


def made_for(purpose: Purpose, user_id: int) -> list[OneTimeKey]:
    """The keys of one kind of a person, whether they can still be used or not, the latest first."""
    query = sa.select(OneTimeKey).where(OneTimeKey.user_id == user_id, OneTimeKey.purpose == purpose)
    return list(session.scalars(query.order_by(OneTimeKey.id.desc())))


def use(purpose: Purpose, secret: str, *, at: datetime) -> OneTimeKey | None:
    """Uses a key up and gives it back; None if it is unknown, used, ended or too old."""
    key = find(purpose, secret)
    if key is None or not key.open_at(at):
        return None
    where = (OneTimeKey.id == key.id, OneTimeKey.used_at.is_(None), OneTimeKey.ended_at.is_(None))
    used = session.execute(sa.update(OneTimeKey).where(*where).values(used_at=at).returning(OneTimeKey.id)).scalar()
    return key if used else None


def end_all(purpose: Purpose, user_id: int | None, *, at: datetime) -> None:
    """Ends the open keys of one kind of a person (or, without one, of the set-up)."""
    where = (
        OneTimeKey.purpose == purpose,
        OneTimeKey.user_id.is_(None) if user_id is None else OneTimeKey.user_id == user_id,
        OneTimeKey.used_at.is_(None),
        OneTimeKey.ended_at.is_(None),
    )
    session.execute(sa.update(OneTimeKey).where(*where).values(ended_at=at))


def end_later(key: OneTimeKey, *, at: datetime) -> None:
    """Ends the open keys of the same kind and person that were made after this one."""
    where = (
        OneTimeKey.purpose == key.purpose,
        OneTimeKey.user_id == key.user_id,
        OneTimeKey.id > key.id,
        OneTimeKey.used_at.is_(None),
        OneTimeKey.ended_at.is_(None),
    )
    session.execute(sa.update(OneTimeKey).where(*where).values(ended_at=at))


def forget(user_id: int) -> None:
    """Deletes every key of a person, with what it carried."""
    session.execute(sa.delete(OneTimeKey).where(OneTimeKey.user_id == user_id))
