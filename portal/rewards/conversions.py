"""Conversions and refunds: one goal reached once, as the shop told it, and what was given back of it.

Invariants: UNIQUE(source, external_id) for ever, for orders and refunds alike; the same report again finds the same
row; the same id with other facts is refused and kept for the attention list; a refund may come before its order; a
refund is reinstated once, for good, and that may be told before the refund is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.core import database, money
from portal.core.database import Json, Model, session
from portal.core.text import Refusal, marked, public_id
from portal.referrals.referrals import Referral
from portal.rewards import goals
from portal.rewards.goals import Goal

LONGEST_ID = 128
EARLIEST = timedelta(days=3650)


class ReportRefused(Refusal):
    """A report that cannot be taken; `field` names what is wrong with it."""

    def __init__(self, field: str, message: str, **values: Any) -> None:
        super().__init__(message, **values)
        self.field = field


FORGOTTEN = ""
"""In the place of a customer's address, or of an outside id that is one, once they are erased."""


@dataclass(frozen=True)
class Customer:
    """How a shop names its customer: by its own id, by address, or both."""

    external_id: str | None = None
    email: str | None = None

    @property
    def names(self) -> list[str]:
        """For locking a customer who may not be there yet."""
        given = {"customer id": self.external_id, "customer address": self.email and self.email.lower()}
        return [f"{kind} {value}" for kind, value in given.items() if value]


@dataclass(frozen=True)
class OrderReport:
    """A goal reached, as reported. The amount in minor units, or None for a goal without one."""

    goal: str
    external_id: str
    customer: Customer
    occurred_at: datetime
    amount_minor: int | None = None
    currency: str | None = None
    source: str = goals.SHOP
    recorded_by: int | None = None


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


class Conversion(Model):
    """One report. `referral_id` and `applied_at` are empty while the customer is not known."""

    __tablename__ = "conversions"
    __table_args__ = (
        database.once("source", "external_id"),
        database.rule("amount_minor > 0", "amount_positive"),
        database.rule("(amount_minor IS NULL) = (currency IS NULL)", "amount_has_currency"),
        database.rule("customer_external_id IS NOT NULL OR customer_email IS NOT NULL", "customer_is_named"),
        database.whole("amount_minor", "counted"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    source: Mapped[str] = mapped_column(sa.String(40))
    external_id: Mapped[str] = mapped_column(sa.String(LONGEST_ID))
    goal: Mapped[str] = mapped_column(sa.String(32))
    customer_external_id: Mapped[str | None] = mapped_column(sa.String(LONGEST_ID), index=True)
    customer_email: Mapped[str | None] = mapped_column(sa.String(320), index=True)
    amount_minor: Mapped[int | None]
    currency: Mapped[str | None] = mapped_column(sa.String(3))
    occurred_at: Mapped[datetime] = mapped_column(index=True)
    received_at: Mapped[datetime] = mapped_column(index=True)
    recorded_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)
    customer_id: Mapped[int | None] = database.refers_to("users.id")
    referral_id: Mapped[int | None] = database.refers_to("referrals.id")
    applied_at: Mapped[datetime | None]
    counted: Mapped[bool] = mapped_column(default=False)
    """Whether the goal was reached by the rules the referral came under."""
    outcome: Mapped[Any] = mapped_column(Json, default=list)
    """What each rule gave or why not, for whoever asks: `[{"beneficiary", "rule_key", "why_not" | "amount_minor"}]`."""

    referral: Mapped[Referral | None] = relationship(Referral)


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


class Disagreement(Model):
    """A known id told with other facts: nothing was changed, somebody should look."""

    __tablename__ = "disagreements"
    __table_args__ = (database.once("conversion_id", "told"),)

    id: Mapped[int] = database.key()
    conversion_id: Mapped[int] = database.refers_to("conversions.id", index=False)
    told: Mapped[Any] = mapped_column(Json)
    at: Mapped[datetime]


def check(report: OrderReport, *, currency: str, at: datetime) -> Goal:
    """The goal of a report that can be taken. Raises ReportRefused with the field's name."""
    goal = goals.find(report.goal)
    if goal is None:
        raise ReportRefused("goal", marked("There is no goal “%(goal)s”."), goal=report.goal)
    if goal.source != report.source:
        raise ReportRefused("goal", marked("The goal “%(goal)s” is not reported by this source."), goal=report.goal)
    check_id("external_id", report.external_id)
    if not report.customer.names:
        raise ReportRefused("customer", marked("Name the customer by external_id or email."))
    if report.customer.external_id:
        check_id("customer.external_id", report.customer.external_id)
    if goal.has_amount and report.amount_minor is None:
        raise ReportRefused("amount_minor", marked("This goal needs an amount."))
    if report.amount_minor is not None:
        _check_amount(report.amount_minor)
        if report.currency != currency:
            raise ReportRefused("currency", marked("The program's currency is %(currency)s."), currency=currency)
    elif report.currency not in (None, currency):
        raise ReportRefused("currency", marked("The program's currency is %(currency)s."), currency=currency)
    if report.occurred_at > at:
        raise ReportRefused("occurred_at", marked("This moment lies in the future."))
    if report.occurred_at < at - EARLIEST:
        raise ReportRefused("occurred_at", marked("This moment lies more than ten years back."))
    return goal


def check_refund(report: RefundReport) -> None:
    """Raises ReportRefused for a refund that cannot be taken, with the field's name."""
    check_id("external_id", report.external_id)
    check_id("conversion_external_id", report.conversion_external_id)
    if report.amount_minor is not None:
        _check_amount(report.amount_minor)


def _check_amount(amount_minor: int) -> None:
    if not 0 < amount_minor <= money.LARGEST_MINOR:
        raise ReportRefused(
            "amount_minor", marked("Write a whole number from 1 to %(most)s."), most=money.LARGEST_MINOR
        )


def check_id(field: str, value: str) -> None:
    """Raises ReportRefused for an outside id that cannot be kept as it is: empty, long, invisible, spaces around."""
    if not 0 < len(value) <= LONGEST_ID or value != value.strip() or not value.isprintable():
        raise ReportRefused(field, marked("Write 1 to %(most)s visible characters."), most=LONGEST_ID)


def record(report: OrderReport, *, at: datetime) -> Conversion | None:
    """A new row for a report, or None if the id is there already. Refunds that came before it have their order now."""
    made: Conversion | None = database.insert_once(
        Conversion,
        source=report.source,
        external_id=report.external_id,
        goal=report.goal,
        customer_external_id=report.customer.external_id,
        customer_email=report.customer.email.lower() if report.customer.email else None,
        amount_minor=report.amount_minor,
        currency=report.currency if report.amount_minor is not None else None,
        occurred_at=report.occurred_at,
        received_at=at,
        recorded_by_id=report.recorded_by,
    )
    if made is not None:
        early = (Refund.source == made.source, Refund.conversion_external_id == made.external_id)
        session.execute(sa.update(Refund).where(*early).values(conversion_id=made.id))
    return made


def find(source: str, external_id: str) -> Conversion | None:
    return session.scalar(
        sa.select(Conversion).where(Conversion.source == source, Conversion.external_id == external_id)
    )


def agrees(known: Conversion, report: OrderReport, *, customer_id: int | None) -> bool:
    """Whether a report says what a known conversion says. `customer_id`: whom the report names, if known."""
    told = (report.goal, report.amount_minor, report.currency if report.amount_minor is not None else None)
    if told != (known.goal, known.amount_minor, known.currency):
        return False
    if customer_id is not None and known.customer_id is not None:
        return customer_id == known.customer_id
    if FORGOTTEN in (known.customer_email, known.customer_external_id):
        return True
    email = report.customer.email.lower() if report.customer.email else None
    return (report.customer.external_id, email) == (known.customer_external_id, known.customer_email)


def disagree(known: Conversion, report: OrderReport, *, at: datetime) -> None:
    """Keeps what was told otherwise, once, for the attention list."""
    told = {
        "goal": report.goal,
        "amount_minor": report.amount_minor,
        "currency": report.currency,
        "customer": report.customer.external_id or report.customer.email,
    }
    database.insert_once(Disagreement, conversion_id=known.id, told=told, at=at)


def waiting_for(customer: Customer) -> list[Conversion]:
    """The conversions kept for a customer who was not known, locked, oldest first."""
    named = []
    if customer.external_id:
        named.append(Conversion.customer_external_id == customer.external_id)
    if customer.email:
        named.append(Conversion.customer_email == customer.email.lower())
    query = sa.select(Conversion).where(Conversion.applied_at.is_(None), sa.or_(*named))
    return list(session.scalars(query.order_by(Conversion.id).with_for_update(key_share=True)))


def without_referral(customer_id: int, *, since: datetime) -> list[Conversion]:
    """What a customer did since a moment that counted for nobody, oldest first."""
    query = sa.select(Conversion).where(
        Conversion.customer_id == customer_id, Conversion.referral_id.is_(None), Conversion.occurred_at >= since
    )
    return list(session.scalars(query.order_by(Conversion.id)))


def of_customer(customer_id: int) -> list[Conversion]:
    """What a customer did, in order of arrival."""
    query = sa.select(Conversion).where(Conversion.customer_id == customer_id).order_by(Conversion.id)
    return list(session.scalars(query))


def record_refund(report: RefundReport, *, at: datetime) -> Refund | None:
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


def find_refund(source: str, external_id: str) -> Refund | None:
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


def find_refund_by_public_id(wanted: str) -> Refund | None:
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


def lock_refund(source: str, external_id: str) -> None:
    """Locks a refund by name, so that its report and its reinstatement cannot miss each other. Before its order."""
    database.lock_names(f"refund {source} {external_id}")


def lock_order(source: str, external_id: str) -> None:
    """Locks an order by name, so that its report and its refund cannot miss each other."""
    database.lock_names(f"order {source} {external_id}")


def lock_everything_of(customer_id: int, customer: Customer) -> bool:
    """Locks a customer and all their orders by name, orders first as everybody does; whether these were all of them.

    If not, another one was told meanwhile, of which a refund might be missed.
    """
    before = {(told.source, told.external_id) for told in of_customer(customer_id)}
    database.lock_names(*(f"order {source} {external_id}" for source, external_id in before))
    lock_customer(customer)
    return {(told.source, told.external_id) for told in of_customer(customer_id)} == before


def lock_customer(customer: Customer) -> None:
    """Locks a customer by name, so that a report of theirs and an order cannot miss each other."""
    database.lock_names(*customer.names)


def recorded(referral_id: int, by: int) -> bool:
    """Whether somebody recorded an order of a referral by form."""
    query = sa.select(Conversion.id).where(Conversion.referral_id == referral_id, Conversion.recorded_by_id == by)
    return session.scalar(query.limit(1)) is not None


def counted_before(referral: Referral, goal: str) -> bool:
    """Whether this goal was reached for a referral already."""
    query = sa.select(Conversion.id).where(
        Conversion.referral_id == referral.id, Conversion.goal == goal, Conversion.counted
    )
    return session.scalar(query.limit(1)) is not None


def forget_customer(customer_id: int, email: str, external_id: str | None) -> None:
    """Takes a customer's address out of what was reported of them; `external_id` only if it has to go as well."""
    theirs = sa.or_(Conversion.customer_id == customer_id, Conversion.customer_email == email.lower())
    blank = sa.case((Conversion.customer_email.is_not(None), FORGOTTEN))
    session.execute(sa.update(Conversion).where(theirs).values(customer_email=blank))
    words = [email.lower()]
    if external_id is not None:
        named = Conversion.customer_external_id == external_id
        session.execute(sa.update(Conversion).where(named).values(customer_external_id=FORGOTTEN))
        words.append(external_id)
    told = sa.select(Disagreement).join(Conversion, Conversion.id == Disagreement.conversion_id)
    for one in session.scalars(told.where(Conversion.customer_id == customer_id)):
        if str(one.told.get("customer") or "").lower() in words:
            session.delete(one)
    session.flush()
