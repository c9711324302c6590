"""Vouchers: codes that the owner uploads, each of which goes to one person once.

Invariants: a code is there once; a voucher belongs to at most one payout; an empty pool holds, and says so.
"""

import math
from collections.abc import Collection, Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session
from portal.core.text import one_line


class Voucher(Model):
    """One code worth `value_minor`. `payout_id` reserves it, `given_at` says that its person has it."""

    __tablename__ = "vouchers"
    __table_args__ = (
        database.rule("value_minor > 0", "value_positive"),
        database.rule("given_at IS NULL OR payout_id IS NOT NULL", "given_to_somebody"),
        database.whole("value_minor"),
    )

    id: Mapped[int] = database.key()
    code: Mapped[str] = mapped_column(sa.String(80), unique=True)
    value_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    added_at: Mapped[datetime]
    payout_id: Mapped[int | None] = database.refers_to("payouts.id")
    given_at: Mapped[datetime | None]


def add(codes: Iterable[str], *, value_minor: int, currency: str, at: datetime) -> int:
    """Adds codes to the pool; those that are there already are passed over. Gives how many are new."""
    new = 0
    for code in codes:
        cleaned = one_line(code, 80)
        if cleaned and database.insert_once(
            Voucher, code=cleaned, value_minor=value_minor, currency=currency, added_at=at
        ):
            new += 1
    return new


def pool(currency: str) -> dict[int, int]:
    """How many free vouchers there are of each value."""
    query = sa.select(Voucher.value_minor, sa.func.count()).where(Voucher.payout_id.is_(None))
    return {
        value: count
        for value, count in session.execute(query.where(Voucher.currency == currency).group_by(Voucher.value_minor))
    }


def free_ones(value_minor: int, currency: str, *, most: int) -> list[Voucher]:
    """Free vouchers of a value, the oldest first. They are reserved only under the lock of the batches."""
    of_value = sa.select(Voucher).where(
        Voucher.payout_id.is_(None), Voucher.currency == currency, Voucher.value_minor == value_minor
    )
    return list(session.scalars(of_value.order_by(Voucher.id).limit(most)))


def made_up(amount_minor: int, pool: dict[int, int]) -> dict[int, int] | None:
    """How many vouchers of each value make up an amount exactly, large ones first; None if the pool cannot.

    `pool`: value -> how many there are. A bit for each sum that the values so far can make (in units of what divides
    them all), once for every handful of 1, 2, 4 … vouchers of a value.
    """
    values = sorted(value for value in pool if value <= amount_minor)
    unit = math.gcd(*values)
    if not values or amount_minor % unit:
        return None
    wanted = amount_minor // unit
    below = (1 << wanted + 1) - 1
    reached = [1]
    for value in values:
        sums = reached[-1]
        for many in _handfuls(min(pool[value], amount_minor // value)):
            sums = (sums | sums << value * many // unit) & below
        reached.append(sums)
    if not reached[-1] >> wanted & 1:
        return None
    chosen: dict[int, int] = {}
    for value, before in zip(reversed(values), reversed(reached[:-1]), strict=True):
        size = value // unit
        most = min(pool[value], wanted // size)
        chosen[value] = next(many for many in range(most, -1, -1) if before >> wanted - many * size & 1)
        wanted -= chosen[value] * size
    return {value: many for value, many in chosen.items() if many}


def _handfuls(many: int) -> list[int]:
    """Numbers of which every count up to `many` is a sum, each used once: 1, 2, 4 … and the rest."""
    parts, part = [], 1
    while part <= many:
        parts.append(part)
        many -= part
        part *= 2
    return [*parts, many] if many else parts


def of_payout(payout_id: int) -> list[Voucher]:
    return of_payouts([payout_id])[payout_id]


def of_payouts(payout_ids: Collection[int]) -> dict[int, list[Voucher]]:
    """The vouchers of these payouts, by payout."""
    found: dict[int, list[Voucher]] = {number: [] for number in payout_ids}
    for voucher in session.scalars(sa.select(Voucher).where(Voucher.payout_id.in_(payout_ids)).order_by(Voucher.id)):
        assert voucher.payout_id is not None
        found[voucher.payout_id].append(voucher)
    return found


def give(payout_ids: Collection[int], *, at: datetime) -> None:
    """The people of these payouts have their vouchers now."""
    session.execute(sa.update(Voucher).where(Voucher.payout_id.in_(payout_ids)).values(given_at=at))


def free(payout_id: int) -> None:
    """Puts the vouchers of a payout that came to nothing back into the pool."""
    where = (Voucher.payout_id == payout_id, Voucher.given_at.is_(None))
    session.execute(sa.update(Voucher).where(*where).values(payout_id=None))
