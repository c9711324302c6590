"""What the shop reports: orders and other goals, and what was given back of them."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from portal import terms as terms_
from portal.accounts import audit, users
from portal.accounts.users import User
from portal.core.database import session
from portal.notices import events
from portal.notices.events import Event
from portal.payouts import moving, payouts
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.rewards import conversions, corrections, decisions, earning, looks, rewards
from portal.rewards.conversions import (
    Conversion,
    Customer,
    GivenBack,
    OrderReport,
    Refund,
    RefundReport,
    Reinstatement,
    ReinstatementReport,
)
from portal.rewards.rewards import Reward, State

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
    level(conversion, at=at)
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
    conversions.lock_refund(report.source, report.external_id)
    conversions.lock_order(report.source, report.conversion_external_id)
    made = conversions.record_refund(report, at=at)
    if made is None:
        known = conversions.find_refund(report.source, report.external_id)
        assert known is not None
        told = (report.conversion_external_id, report.amount_minor, report.reason)
        if told != (known.conversion_external_id, known.amount_minor, known.reason):
            return Refunded(known, Answer.DISAGREES)
        return Refunded(known, Answer.KNOWN if known.conversion_id else Answer.WAITING)
    conversion = conversions.find(report.source, report.conversion_external_id)
    if conversion is None:
        return Refunded(made, Answer.WAITING)
    session.refresh(conversion, with_for_update={"key_share": True})  # as `database.lock`: keys that point to it go in
    made.conversion_id = conversion.id
    session.flush()
    level(conversion, at=at)
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


@dataclass(frozen=True)
class Reinstated:
    """A reinstatement, the refund if it is known, and what became of the report."""

    reinstatement: Reinstatement
    refund: Refund | None
    answer: Answer


def reinstate(report: ReinstatementReport, *, at: datetime) -> Reinstated:
    """The money of a refund, which may not be known yet, is with the shop again: what it took is given again, once.

    Raises ReportRefused.
    """
    conversions.check_id("refund_external_id", report.refund_external_id)
    conversions.lock_refund(report.source, report.refund_external_id)
    made = conversions.record_reinstatement(report, at=at)
    refund = conversions.find_refund(report.source, report.refund_external_id)
    if made is None:
        known = conversions.find_reinstatement(report.source, report.refund_external_id)
        assert known is not None
        return Reinstated(known, refund, Answer.KNOWN if refund and refund.conversion_id else Answer.WAITING)
    if refund is None:
        return Reinstated(made, None, Answer.WAITING)
    conversions.lock_order(refund.source, refund.conversion_external_id)
    conversion = conversions.find(refund.source, refund.conversion_external_id)
    if conversion is None:
        return Reinstated(made, refund, Answer.WAITING)
    session.refresh(conversion, with_for_update={"key_share": True})
    level(conversion, at=at)
    if conversion.referral is not None:
        looks.at_chargebacks(conversion.referral, at=at)
    return Reinstated(made, refund, Answer.MADE)


def record_reinstatement(refund: Refund, *, by: int, at: datetime) -> Reinstated:
    """A colleague reports by form that the money of a refund is with the shop again."""
    reinstated = reinstate(ReinstatementReport(refund.external_id, refund.source, recorded_by=by), at=at)
    if reinstated.reinstatement.received_at == at:
        audit.write("refund_reinstated", "refund", refund.public_id, by=by, at=at, shown=refund.external_id)
    return reinstated


def level(conversion: Conversion, *, at: datetime) -> None:
    """Brings what is taken of every reward of an order to what its refunds that stand ask for in all."""
    back = conversions.given_back(conversion)
    if not back.standing and not back.reinstated:
        return
    made = rewards.of_conversion(conversion.id)
    sides = (conversion.referral.referrer_id, conversion.referral.referee_id) if conversion.referral else ()
    users.lock(*(reward.person_id for reward in made), *sides)
    gone = {reward.id for reward in made if reward.state == State.REVERSED}
    for reward in made:
        settle(reward, back, at=at)
    events.rewards_reversed(made, at=at)
    events.rewards_moved(
        Event.REWARD_REINSTATED, [one.id for one in made if one.id in gone and one.state != State.REVERSED], at=at
    )


def settle(reward: Reward, back: GivenBack, *, at: datetime) -> None:
    """Takes back what the refunds of an order ask for of one reward, or gives again what they took too much.

    What is given again comes with the next payout: a batch that somebody has looked at never grows. The caller holds
    its owner's lock.
    """
    owed = rewards.owed(reward, back)
    if owed > 0:
        moving.join(rewards.take_back(reward, owed, back, at=at), at=at)
        if not payouts.lines_about(reward):
            rewards.reverse(reward, at=at)
    elif owed < 0:
        if reward.state == State.REVERSED:
            decisions.take_up(reward, at=at)
        rewards.give_again(reward, -owed, back, at=at)
        if reward.person.erased_at is not None:
            corrections.give_up_ready(reward.person, at=at)
