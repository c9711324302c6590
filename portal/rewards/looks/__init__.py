"""Looks: the moments at which the portal looks for signals, each with the questions that it asks then.

A question is a generator that gives what it has found; what it means stands in `kinds`, that it is kept once and
withdrawn if its reason ends in `signals`. A look reads a bounded number of rows, however many friends a referrer has.
"""

from datetime import datetime

from portal.accounts.users import User
from portal.referrals.referrals import Referral
from portal.rewards import kinds, signals
from portal.rewards.conversions import Conversion
from portal.rewards.kinds import Kind
from portal.rewards.looks import addresses, arrivals, browsers, orders, pace, payouts
from portal.rewards.signals import Signal

AT_ARRIVAL = (
    addresses.same_mailbox,
    addresses.twin_mailbox,
    addresses.alike_address,
    addresses.disposable,
    addresses.same_domain,
    addresses.one_domain,
    addresses.same_name,
    browsers.same_as_referrers,
    browsers.one_browser,
    browsers.alike_friends,
    browsers.known_browser,
    browsers.suspended,
    browsers.many_sign_ups,
    pace.many_friends,
    pace.quick_sign_up,
    pace.chain,
    pace.paid_search,
    pace.rejected_before,
)
AT_ORDER = (orders.quick_order, orders.barely_enough, orders.refund_rate)


def at_referral(referral: Referral, referee: User, referrer: User, *, at: datetime) -> None:
    """Looks at a new referral and raises what there is to see."""
    arrival = arrivals.of(referral, referee, referrer, at=at)
    signals.keep((finding for question in AT_ARRIVAL for finding in question(arrival)), at=at)
    signals.note_assessed(referral.id, at=at)


def at_order(conversion: Conversion, referral: Referral, *, at: datetime) -> None:
    """Looks at an order of a friend, of which a refund may have been told before."""
    signals.keep(orders.charged_back(referral.id), at=at)
    if conversion.amount_minor is not None:
        signals.keep((finding for question in AT_ORDER for finding in question(conversion, referral)), at=at)


def at_refund(conversion: Conversion, referral: Referral, *, at: datetime) -> None:
    """Looks at what a referrer's friends have given back, when one of them did."""
    at_chargebacks(referral, at=at)
    if conversion.amount_minor is not None:
        signals.keep(orders.refund_rate(conversion, referral), at=at)


def at_chargebacks(referral: Referral, *, at: datetime) -> None:
    """Looks whether a chargeback of a friend's orders stands, when one was told or its dispute won: the signal comes
    and goes with it. The caller holds the lock of both sides."""
    findings = list(orders.charged_back(referral.id))
    signals.keep(findings, at=at)
    if not findings:
        signals.withdraw(referral.id, Kind.CHARGEBACK, at=at)


def stands(signal: Signal) -> bool:
    """Whether there is still what a signal was raised for, as far as that can end."""
    return signal.kind not in kinds.MAY_END or any(orders.charged_back(signal.referral_id))


def at_details(person_id: int, others: list[int], *, at: datetime) -> None:
    """Looks at people who have named one bank account or PayPal address: this person and `others`."""
    if others:
        signals.keep(payouts.shared(person_id, others), at=at)
