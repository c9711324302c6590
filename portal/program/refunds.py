"""What the shop reports of money: given back of an order, and with the shop again."""

from dataclasses import dataclass, replace
from datetime import datetime

from portal.accounts import audit, users
from portal.core.database import session
from portal.notices import events
from portal.notices.events import Event
from portal.payouts import moving, payouts
from portal.rewards import clawbacks, conversions, corrections, decisions, looks, refunds, rewards
from portal.rewards.conversions import Answer, Conversion
from portal.rewards.refunds import GivenBack, Refund, RefundReport, Reinstatement, ReinstatementReport
from portal.rewards.rewards import Reward, State


@dataclass(frozen=True)
class Refunded:
    """A refund as it stands now, and what became of the report."""

    refund: Refund
    answer: Answer


def refund(report: RefundReport, *, at: datetime) -> Refunded:
    """Money was given back for an order, which may not be known yet. Raises ReportRefused."""
    refunds.check(report)
    refunds.lock(report.source, report.external_id)
    conversions.lock_order(report.source, report.conversion_external_id)
    made = refunds.record(report, at=at)
    if made is None:
        known = refunds.find(report.source, report.external_id)
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
    refunds.lock(report.source, report.refund_external_id)
    made = refunds.record_reinstatement(report, at=at)
    refund = refunds.find(report.source, report.refund_external_id)
    if made is None:
        known = refunds.find_reinstatement(report.source, report.refund_external_id)
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
    back = refunds.given_back(conversion)
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
    owed = clawbacks.owed(reward, back)
    if owed > 0:
        moving.join(clawbacks.take_back(reward, owed, back, at=at), at=at)
        if not payouts.lines_about(reward):
            clawbacks.reverse(reward, at=at)
    elif owed < 0:
        if reward.state == State.REVERSED:
            decisions.take_up(reward, at=at)
        clawbacks.give_again(reward, -owed, back, at=at)
        if reward.person.erased_at is not None:
            corrections.give_up_ready(reward.person, at=at)
