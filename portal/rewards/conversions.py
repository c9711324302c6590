"""Conversions: one goal reached once, as the shop told it.

Invariants: UNIQUE(source, external_id) for ever; the same report again finds the same row; the same id with other facts
is refused and kept for the attention list.
"""

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


class Answer(StrEnum):
    """What became of a report."""

    MADE = "made"
    KNOWN = "known"
    WAITING = "waiting"
    DISAGREES = "disagrees"


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
        check_amount(report.amount_minor)
        if report.currency != currency:
            raise ReportRefused("currency", marked("The program's currency is %(currency)s."), currency=currency)
    elif report.currency not in (None, currency):
        raise ReportRefused("currency", marked("The program's currency is %(currency)s."), currency=currency)
    if report.occurred_at > at:
        raise ReportRefused("occurred_at", marked("This moment lies in the future."))
    if report.occurred_at < at - EARLIEST:
        raise ReportRefused("occurred_at", marked("This moment lies more than ten years back."))
    return goal


def check_amount(amount_minor: int) -> None:
    """Raises ReportRefused for what is no order's amount."""
    if not 0 < amount_minor <= money.LARGEST_MINOR:
        raise ReportRefused(
            "amount_minor", marked("Write a whole number from 1 to %(most)s."), most=money.LARGEST_MINOR
        )


def check_id(field: str, value: str) -> None:
    """Raises ReportRefused for an outside id that cannot be kept as it is: empty, long, invisible, spaces around."""
    if not 0 < len(value) <= LONGEST_ID or value != value.strip() or not value.isprintable():
        raise ReportRefused(field, marked("Write 1 to %(most)s visible characters."), most=LONGEST_ID)


def record(report: OrderReport, *, at: datetime) -> Conversion | None:
    """A new row for a report, or None if the id is there already."""
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
