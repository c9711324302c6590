"""Refunds: what was given back of an order, and the money of it that came again.

Invariants: UNIQUE(source, external_id) for ever; the same report again finds the same row; a refund may come before its
order; a refund is reinstated once, for good, and that may be told before the refund is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session
from portal.core.text import public_id
from portal.rewards import conversions, goals
from portal.rewards.conversions import LONGEST_ID, Conversion


class RefundReason(StrEnum):
    """Why money went back: the shop gave it, or the customer's bank took it."""

    REFUND = "refund"
    CHARGEBACK = "chargeback"


@dataclass(frozen=True)
class RefundReport:
    """Money given back. No amount: all of the order."""

    external_id: str
    conversion_external_id: str
    amount_minor: int | None = None
    source: str = goals.SHOP
    recorded_by: int | None = None
    reason: RefundReason = RefundReason.REFUND


@dataclass(frozen=True)
class ReinstatementReport:
    """That the money of a refund is with the shop again."""

    refund_external_id: str
    source: str = goals.SHOP
    recorded_by: int | None = None


class Refund(Model):
    """One refund. `conversion_id` is empty while its order is not known, `amount_minor` where it is for all."""

    __tablename__ = "refunds"
    __table_args__ = (
        database.once("source", "external_id"),
        database.rule("amount_minor > 0", "amount_positive"),
        database.one_of("reason", RefundReason),
        database.whole("amount_minor"),
        sa.Index("ix_refunds_order", "source", "conversion_external_id"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    source: Mapped[str] = mapped_column(sa.String(40))
    external_id: Mapped[str] = mapped_column(sa.String(LONGEST_ID))
    conversion_external_id: Mapped[str] = mapped_column(sa.String(LONGEST_ID))
    conversion_id: Mapped[int | None] = database.refers_to("conversions.id")
    amount_minor: Mapped[int | None]
    received_at: Mapped[datetime]
    recorded_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)
    reason: Mapped[str] = mapped_column(
        sa.String(10), default=RefundReason.REFUND, server_default=RefundReason.REFUND.value
    )

    @property
    def is_chargeback(self) -> bool:
        """Whether the customer's bank took the payment back."""
        return self.reason == RefundReason.CHARGEBACK


class Reinstatement(Model):
    """That the money of a refund came again: the dispute of a chargeback was won, or the refund did not go through.

    The refund may not be known yet; from then on it takes nothing.
    """

    __tablename__ = "reinstatements"
    __table_args__ = (database.once("source", "refund_external_id"),)

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    source: Mapped[str] = mapped_column(sa.String(40))
    refund_external_id: Mapped[str] = mapped_column(sa.String(LONGEST_ID))
    received_at: Mapped[datetime]
    recorded_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)


STANDS = ~(
    sa.select(Reinstatement.id)
    .where(Reinstatement.source == Refund.source, Reinstatement.refund_external_id == Refund.external_id)
    .correlate(Refund)
    .exists()
)
"""For queries over refunds: it was not reinstated."""


@dataclass(frozen=True)
class GivenBack:
    """What was given back of an order: `part` of the `whole`, by the refunds that stand; and those that were
    reinstated. Never more than the whole; without an amount all or nothing."""

    part: int
    whole: int
    standing: list[Refund]
    reinstated: list[Refund]


def check(report: RefundReport) -> None:
    """Raises ReportRefused for a refund that cannot be taken, with the field's name."""
    conversions.check_id("external_id", report.external_id)
    conversions.check_id("conversion_external_id", report.conversion_external_id)
    if report.amount_minor is not None:
        conversions.check_amount(report.amount_minor)


def record(report: RefundReport, *, at: datetime) -> Refund | None:
    """A new row for a refund, or None if the id is there already."""
    made: Refund | None = database.insert_once(
        Refund,
        source=report.source,
        external_id=report.external_id,
        conversion_external_id=report.conversion_external_id,
        amount_minor=report.amount_minor,
        received_at=at,
        recorded_by_id=report.recorded_by,
        reason=report.reason,
    )
    return made


def join(conversion: Conversion) -> None:
    """The refunds of an order that were told before it have their order now."""
    early = (Refund.source == conversion.source, Refund.conversion_external_id == conversion.external_id)
    session.execute(sa.update(Refund).where(*early).values(conversion_id=conversion.id))


def find(source: str, external_id: str) -> Refund | None:
    return session.scalar(sa.select(Refund).where(Refund.source == source, Refund.external_id == external_id))


def record_reinstatement(report: ReinstatementReport, *, at: datetime) -> Reinstatement | None:
    """A new row for a reinstatement, or None if the refund was reinstated before."""
    made: Reinstatement | None = database.insert_once(
        Reinstatement,
        source=report.source,
        refund_external_id=report.refund_external_id,
        received_at=at,
        recorded_by_id=report.recorded_by,
    )
    return made


def find_by_public_id(wanted: str) -> Refund | None:
    return session.scalar(sa.select(Refund).where(Refund.public_id == wanted))


def find_reinstatement(source: str, refund_external_id: str) -> Reinstatement | None:
    query = sa.select(Reinstatement).where(Reinstatement.source == source)
    return session.scalar(query.where(Reinstatement.refund_external_id == refund_external_id))


def with_refunds(conversion_ids: Iterable[int]) -> set[int]:
    """Which of these conversions something was given back of."""
    query = sa.select(Refund.conversion_id).where(Refund.conversion_id.in_(set(conversion_ids)))
    return {number for number in session.scalars(query) if number is not None}


def given_back(conversion: Conversion) -> GivenBack:
    """What was given back of an order, by all that was told of it in order of arrival, before the order or after."""
    query = sa.select(Refund, STANDS.label("stands")).where(
        Refund.source == conversion.source, Refund.conversion_external_id == conversion.external_id
    )
    told = session.execute(query.order_by(Refund.id)).all()
    standing = [refund for refund, stands in told if stands]
    reinstated = [refund for refund, stands in told if not stands]
    whole = conversion.amount_minor or 1
    gone = sum(whole if refund.amount_minor is None else refund.amount_minor for refund in standing)
    part = min(whole, gone) if conversion.amount_minor is not None else int(bool(standing))
    return GivenBack(part, whole, standing, reinstated)


def lock(source: str, external_id: str) -> None:
    """Locks a refund by name, so that its report and its reinstatement cannot miss each other. Before its order."""
    database.lock_names(f"refund {source} {external_id}")
