"""What the shop reports: orders and other goals that were reached."""

from dataclasses import dataclass, replace
from datetime import datetime

from portal import terms as terms_
from portal.accounts import audit, users
from portal.accounts.users import User
from portal.core.database import session
from portal.notices import events
from portal.program.refunds import level
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.rewards import conversions, earning, looks, refunds
from portal.rewards.conversions import Answer, Conversion, Customer, OrderReport

SUSPENDED = {"why_not": "suspended"}
"""The outcome of a conversion of which one side is out of the program."""


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
    refunds.join(made)
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
    conversion.customer_id, conversion.applied_at, conversion.referral = customer.id, at, referral
    if referral is None:
        session.flush()
        return
    users.lock(referral.referrer_id, referral.referee_id)
    if both_in_good_standing(referral):
        earning.earn(conversion, referral, at=at)
    else:
        conversion.outcome = [SUSPENDED]
    session.flush()
    events.rewards_created(conversion.id, at=at)
    level(conversion, at=at)
    looks.at_order(conversion, referral, at=at)


def both_in_good_standing(referral: Referral) -> bool:
    return all(User.by_id(number).in_good_standing for number in (referral.referrer_id, referral.referee_id))
