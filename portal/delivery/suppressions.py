"""Suppressions: the addresses to which nobody is written any more: their owners asked so, or mail to them comes back.

Invariants: an address stands here as a keyed hash alone; once in, it stays.
"""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session


class Why(StrEnum):
    ASKED = "asked"
    BOUNCED = "bounced"


class Suppression(Model):
    """One address. `key_id`: by which key it was hashed, so that another can follow."""

    __tablename__ = "suppressions"
    __table_args__ = (database.one_of("reason", Why),)

    id: Mapped[int] = database.key()
    to_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    key_id: Mapped[str] = mapped_column(sa.String(8))
    reason: Mapped[str] = mapped_column(sa.String(10))
    at: Mapped[datetime]


def suppress(to_hash: str, why: Why, *, key_id: str, at: datetime) -> None:
    """Nobody is written at this address any more; the first reason stands."""
    database.insert_once(Suppression, to_hash=to_hash, key_id=key_id, reason=why, at=at)


def why(to_hash: str) -> Why | None:
    """Why an address is suppressed; None if it is not."""
    found = session.scalar(sa.select(Suppression.reason).where(Suppression.to_hash == to_hash))
    return Why(found) if found else None
