"""The ledger: transfers between the buckets of a user, and the seals that make a change behind its back visible.

Invariants: append-only by triggers; every transfer has a cause that is a row, once; balances are sums of transfers
and stand nowhere else; a seal covers one transfer and the seal before it.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session


class Bucket(StrEnum):
    PROGRAM = "program"
    PENDING = "pending"
    APPROVED = "approved"
    PAYABLE = "payable"
    IN_PAYOUT = "in_payout"
    PAID = "paid"


class Cause(StrEnum):
    """What made money move; with the row number of that thing it is unique."""

    REWARD = "reward"
    DECISION = "decision"
    RELEASE = "release"
    """The row is the decision that had approved."""
    CLAWBACK = "clawback"
    LINE_DRAWN = "line_drawn"
    LINE_RETURNED = "line_returned"
    LINE_PAID = "line_paid"
    CORRECTION = "correction"


THROUGH_PAYABLE = "(to_bucket = 'payable' OR from_bucket = 'payable')"
"""The transfers of which what is ready to be paid is the sum; with an index of their own, for queries that say so."""


class Transfer(Model):
    """An amount moved. Always positive: the buckets say the direction."""

    __tablename__ = "transfers"
    __table_args__ = (
        database.once("cause_kind", "cause_id"),
        database.one_of("from_bucket", Bucket),
        database.one_of("to_bucket", Bucket),
        database.one_of("cause_kind", Cause),
        database.rule("amount_minor > 0", "amount_positive"),
        database.rule("from_bucket <> to_bucket", "goes_somewhere"),
        database.whole("amount_minor", "user_id", "cause_id"),
        sa.Index("ix_transfers_user", "user_id", "currency"),
        sa.Index(
            "ix_transfers_payable", "user_id", "currency", "to_bucket", "amount_minor",
            sqlite_where=sa.text(THROUGH_PAYABLE), postgresql_where=sa.text(THROUGH_PAYABLE),
        ),
    )  # fmt: skip

    id: Mapped[int] = database.key()
    user_id: Mapped[int] = database.refers_to("users.id", index=False)
    from_bucket: Mapped[str] = mapped_column(sa.String(10))
    to_bucket: Mapped[str] = mapped_column(sa.String(10))
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    cause_kind: Mapped[str] = mapped_column(sa.String(16))
    cause_id: Mapped[int] = mapped_column(database.Key)
    reward_id: Mapped[int | None] = database.refers_to("rewards.id")
    """The reward whose money this is; empty for a correction's."""
    at: Mapped[datetime] = mapped_column(index=True)


class Seal(Model):
    """The seal of one transfer: a hash over it and the seal before."""

    __tablename__ = "seals"
    __table_args__ = (database.whole("number"),)

    id: Mapped[int] = database.key()
    number: Mapped[int] = mapped_column(unique=True)
    transfer_id: Mapped[int] = mapped_column(database.Key, sa.ForeignKey("transfers.id"), unique=True)
    hash: Mapped[str] = mapped_column(sa.String(64))


database.append_only(Transfer)
database.append_only(Seal)

Balances = dict[Bucket, int]


def move(
    user_id: int,
    amount_minor: int,
    currency: str,
    from_bucket: Bucket,
    to_bucket: Bucket,
    *,
    cause: Cause,
    cause_id: int,
    reward_id: int | None,
    at: datetime,
) -> None:
    """Moves money; nothing to move is nothing to do. The caller holds the user's lock."""
    if not amount_minor:
        return
    session.flush()
    session.execute(
        sa.insert(Transfer),
        [{"user_id": user_id, "amount_minor": amount_minor, "currency": currency, "from_bucket": from_bucket,
          "to_bucket": to_bucket, "cause_kind": cause, "cause_id": cause_id, "reward_id": reward_id, "at": at}],
    )  # fmt: skip


def balances(user_id: int, currency: str) -> Balances:
    """The sums of a user's buckets in one currency, in minor units."""
    return _sums(Transfer.user_id == user_id, Transfer.currency == currency)


def currencies(user_id: int) -> list[str]:
    """The currencies in which a user's money ever moved."""
    query = sa.select(Transfer.currency).where(Transfer.user_id == user_id).distinct()
    return list(session.scalars(query.order_by(Transfer.currency)))


def totals(currency: str) -> Balances:
    """The sums of everybody's buckets in one currency."""
    return _sums(Transfer.currency == currency)


def of_reward(reward_id: int) -> Balances:
    """Where the money of one reward lies."""
    return _sums(Transfer.reward_id == reward_id)


def _sums(*where: "sa.ColumnElement[bool]") -> Balances:
    found = dict.fromkeys(Bucket, 0)
    query = sa.select(Transfer.from_bucket, Transfer.to_bucket, sa.func.sum(Transfer.amount_minor)).where(*where)
    for left, entered, amount in session.execute(query.group_by(Transfer.from_bucket, Transfer.to_bucket)):
        found[Bucket(left)] -= int(amount)
        found[Bucket(entered)] += int(amount)
    return found


# --- seals ----------------------------------------------------------------------------------------------------


def seal(*, most: int = 1000) -> int:
    """Seals transfers that have no seal yet, in order, under one lock. Gives how many.

    By what has no seal, not by `id > last`: on PostgreSQL a lower number may be committed later.
    """
    database.lock_names("seals")
    number, last = _last_seal()
    query = sa.select(Transfer).outerjoin(Seal, Seal.transfer_id == Transfer.id).where(Seal.id.is_(None))
    unsealed = list(session.scalars(query.order_by(Transfer.id).limit(most)))
    for transfer in unsealed:
        number, last = number + 1, _hash(number + 1, last, transfer)
        session.add(Seal(number=number, transfer_id=transfer.id, hash=last))
    session.flush()
    return len(unsealed)


def _last_seal() -> tuple[int, str]:
    found = session.scalar(sa.select(Seal).order_by(Seal.number.desc()).limit(1))
    return (found.number, found.hash) if found else (0, "")


def _hash(number: int, before: str, transfer: Transfer) -> str:
    told = [
        number,
        before,
        transfer.id,
        transfer.user_id,
        transfer.from_bucket,
        transfer.to_bucket,
        transfer.amount_minor,
        transfer.currency,
        transfer.cause_kind,
        transfer.cause_id,
        transfer.reward_id,
        transfer.at.isoformat(timespec="microseconds"),
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def broken_seals() -> Iterator[str]:
    """Names every place where the chain of seals does not fit what it seals, the first one first."""
    last = ""
    query = sa.select(Seal, Transfer).outerjoin(Transfer, Transfer.id == Seal.transfer_id).order_by(Seal.number)
    with session.execute(query.execution_options(yield_per=1000)) as rows:
        for expected, row in enumerate(rows, start=1):
            found: Seal = row[0]
            transfer: Transfer | None = row[1]
            if found.number != expected:
                yield f"seal {expected} is missing"
                return
            if transfer is None:
                yield f"transfer {found.transfer_id} is gone, seal {found.number} remains"
            elif found.hash != _hash(expected, last, transfer):
                yield f"transfer {transfer.id} is not what seal {found.number} sealed"
                return
            last = found.hash
