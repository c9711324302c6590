"""What the shop reports: orders and other goals, and what was given back of them."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from portal import terms as terms_
from portal.accounts import audit, users
from portal.accounts.users import User
from portal.core.database import session
from portal.notices import events
from portal.payouts import moving, payouts
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.rewards import conversions, earning, looks, rewards
from portal.rewards.conversions import Conversion, Customer, OrderReport, Refund, RefundReport

# --- convert --------------------------------------------------------------------------------------------------


SUSPENDED = {"why_not": "suspended"}
"""The outcome of a conversion of which one side is out of the program."""


class Answer(StrEnum):
    """What became of a report."""

    MADE = "made"
    KNOWN = "known"
    WAITING = "waiting"
    DISAGREES = "disagrees"


@dataclass(frozen=True)
class Reported:
    """A conversion as it stands now, and what became of the report."""

    conversion: Conversion
    answer: Answer


def convert(report: OrderReport, *, at: datetime) -> Reported:
    """A goal is reported as reached. The same report again finds the same row. Raises ReportRefused.

    A customer not known yet (or with an address nobody vouches for): the report is kept and applied later.
    """
    terms = terms_.in_force()
    conversions.check(report, currency=terms.currency, at=at)
    conversions.lock_order(report.source, report.external_id)
    conversions.lock_customer(report.customer)
    customer = _customer(report.customer)
    if customer is not None and customer.erased_at is not None:
        report = replace(report, customer=replace(report.customer, email=None))
    made = conversions.record(report, at=at)
    if made is None:
        known = conversions.find(report.source, report.external_id)
        assert known is not None
        if not conversions.agrees(known, report, customer_id=customer.id if customer else None):
            conversions.disagree(known, report, at=at)
            return Reported(known, Answer.DISAGREES)
        return Reported(known, Answer.KNOWN if known.applied_at else Answer.WAITING)
    if customer is None or not customer.known:
        return Reported(made, Answer.WAITING)
    apply(made, customer, at=at)
    return Reported(made, Answer.MADE)


def record_order(report: OrderReport, *, by: int, at: datetime) -> Reported:
    """A colleague reports an order by form in the place of the shop; another one decides it. Raises ReportRefused."""
    reported = convert(replace(report, recorded_by=by), at=at)
    if reported.answer in (Answer.MADE, Answer.WAITING) and reported.conversion.received_at == at:
        audit.write("order_recorded", "conversion", reported.conversion.public_id, by=by, at=at,
                    shown=report.external_id)  # fmt: skip
    return reported


def _customer(named: Customer) -> User | None:
    found = users.find_by_external_id(named.external_id) if named.external_id else None
    if found is None and named.email:
        found = users.find_by_email(named.email)
        if found is not None and named.external_id and found.external_id not in (None, named.external_id):
            return None
    return found


def apply_waiting(customer: Customer, user: User, *, at: datetime) -> None:
    """What was kept for somebody who is known now."""
    for conversion in conversions.waiting_for(customer):
        if _customer(Customer(conversion.customer_external_id, conversion.customer_email)) is user:
            apply(conversion, user, at=at)


def apply(conversion: Conversion, customer: User, *, at: datetime) -> None:
    """Makes the rewards of a conversion, both sides in this write, and then what its refunds ask for."""
    referral = referrals.of_referee(customer.id)
    if referral is not None:
        users.lock(referral.referrer_id, referral.referee_id)
    conversion.customer_id, conversion.applied_at = customer.id, at
    if referral is None:
        session.flush()
        return
    conversion.referral_id = referral.id
    if both_in_good_standing(referral):
        earning.earn(conversion, referral, at=at)
    else:
        conversion.outcome = [SUSPENDED]
    session.flush()
    events.rewards_created(conversion.id, at=at)
    for refund in conversions.refunds_for(conversion):
        take_back(conversion, refund, at=at)
    looks.at_order(conversion, referral, at=at)


def both_in_good_standing(referral: Referral) -> bool:
    return all(User.by_id(number).in_good_standing for number in (referral.referrer_id, referral.referee_id))


# --- refund ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refunded:
    """A refund as it stands now, and what became of the report."""

    refund: Refund
    answer: Answer


def refund(report: RefundReport, *, at: datetime) -> Refunded:
    """Money was given back for an order, which may not be known yet. Raises ReportRefused."""
    conversions.check_refund(report)
    conversions.lock_order(report.source, report.conversion_external_id)
    made = conversions.record_refund(report, at=at)
    if made is None:
        known = conversions.find_refund(report.source, report.external_id)
        assert known is not None
        told = (report.conversion_external_id, report.amount_minor)
        if told != (known.conversion_external_id, known.amount_minor):
            return Refunded(known, Answer.DISAGREES)
        return Refunded(known, Answer.KNOWN if known.conversion_id else Answer.WAITING)
    conversion = conversions.find(report.source, report.conversion_external_id)
    if conversion is None:
        return Refunded(made, Answer.WAITING)
    session.refresh(conversion, with_for_update={"key_share": True})  # as `database.lock`: keys that point to it go in
    take_back(conversion, made, at=at)
    if conversion.referral is not None:
        session.flush()
        looks.at_refund(conversion, conversion.referral, at=at)
    return Refunded(made, Answer.MADE)


def record_refund(report: RefundReport, *, by: int, at: datetime) -> Refunded:
    """A colleague reports a refund by form, in the place of the shop. Raises ReportRefused."""
    refunded = refund(replace(report, recorded_by=by), at=at)
    if refunded.answer in (Answer.MADE, Answer.WAITING) and refunded.refund.received_at == at:
        audit.write("refund_recorded", "refund", refunded.refund.public_id, by=by, at=at, shown=report.external_id)
    return refunded


def take_back(conversion: Conversion, given_back: Refund, *, at: datetime) -> None:
    """Takes back from every reward of an order what its refunds so far ask for in all."""
    given_back.conversion_id = conversion.id
    part, whole = conversions.refunded(conversion)
    made = rewards.of_conversion(conversion.id)
    users.lock(*(reward.person_id for reward in made))
    for reward in made:
        clawback = rewards.take_back(reward, given_back, part, whole, at=at)
        if clawback is not None:
            moving.join(clawback, at=at)
            if not payouts.lines_about(reward):
                rewards.reverse(reward, at=at)
    events.rewards_reversed(made, at=at)
