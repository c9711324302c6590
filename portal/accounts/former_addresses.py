"""Former addresses: which addresses an account had before, as keyed hashes, so that none of them is a new customer's.

Invariant: one row for an account and an address; it stays when the account is deleted, since it says nobody's address.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session


class FormerAddress(Model):
    """An address that an account had. `address_hash`: keyed, as on mails."""

    __tablename__ = "former_addresses"
    __table_args__ = (database.once("user_id", "address_hash"),)

    id: Mapped[int] = database.key()
    user_id: Mapped[int] = database.refers_to("users.id", index=False)
    address_hash: Mapped[str] = mapped_column(sa.String(64), index=True)
    left_at: Mapped[datetime]


def remember(user_id: int, address_hash: str, *, at: datetime) -> None:
    """Notes that an account has an address no more."""
    database.insert_once(FormerAddress, user_id=user_id, address_hash=address_hash, left_at=at)


def was_anothers(address_hash: str, user_id: int) -> bool:
    """Whether an address was that of another account."""
    theirs = (FormerAddress.address_hash == address_hash, FormerAddress.user_id != user_id)
    return session.scalar(sa.select(FormerAddress.id).where(*theirs).limit(1)) is not None
