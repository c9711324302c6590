"""Events: what the shop's programs are told when the story moves, by webhook.

Each writes rows in the same transaction, one for each endpoint that asked for it; where none did, that is one query.
Invariant: public ids, the shop's own ids, states and amounts, and nothing else that says who somebody is.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from portal.delivery import endpoints, webhooks
from portal.delivery.endpoints import Endpoint
from portal.payouts import payouts
from portal.payouts.methods import Kind
from portal.payouts.payouts import Payout
from portal.referrals.referrals import Referral
from portal.rewards import clawbacks, goals, rewards
from portal.rewards.rewards import Reward, State
from portal.rewards.rules import Beneficiary


class Event(StrEnum):
    """What can be told."""

    REFERRAL_CREATED = "referral.created"
    REFERRAL_EXPIRED = "referral.expired"
    REWARD_CREATED = "reward.created"
    REWARD_APPROVED = "reward.approved"
    REWARD_REJECTED = "reward.rejected"
    REWARD_REOPENED = "reward.reopened"
    """A decision was taken back: it is in review again."""
    REWARD_REVERSED = "reward.reversed"
    REWARD_REINSTATED = "reward.reinstated"
    """Reversed before: what refunds took comes again, and it stands as it was decided."""
    REWARD_PAID = "reward.paid"
    CREDIT_GRANTED = "credit.granted"
    """Somebody is paid by shop credit, which is the shop's to put down."""
    PAYOUT_PAID = "payout.paid"
    PAYOUT_FAILED = "payout.failed"


AT_ONCE = 500
"""So many rewards are read at once: an act may be about more than a statement takes."""

TEST = "webhook.test"
"""What an owner has sent to see whether it arrives."""


@dataclass(frozen=True)
class ReferralTold:
    id: str
    referrer: str
    referrer_external_id: str | None
    referee: str
    referee_external_id: str | None
    joined_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class RewardTold:
    id: str
    user: str
    external_id: str | None
    beneficiary: Beneficiary
    referral: str
    goal: str
    conversion: str
    conversion_external_id: str | None
    amount_minor: int
    taken_back_minor: int
    currency: str
    state: State
    hold_until: datetime


@dataclass(frozen=True)
class PayoutTold:
    id: str
    reference: str
    user: str
    external_id: str | None
    method: Kind
    amount_minor: int
    currency: str
    state: payouts.State


def _tell(event: Event, told: Callable[[], Iterable[tuple[str, Any]]], *, at: datetime) -> None:
    """Queues an event about what `told` gives, each by what it is about; it is asked only if somebody listens."""
    to = endpoints.listening(event)
    if to:
        webhooks.put_all(event, ((about, asdict(data)) for about, data in told()), to=to, at=at)


def try_out(endpoint: Endpoint, *, at: datetime) -> None:
    """Something that arrives at one endpoint and tells nothing."""
    data = {"message": "This is a test. Nothing happened."}
    webhooks.put_all(TEST, [(at.isoformat(), data)], to={endpoint.id: True}, at=at)


# --- referrals ------------------------------------------------------------------------------------------------


def referral_created(referral: Referral, *, at: datetime) -> None:
    _tell(Event.REFERRAL_CREATED, lambda: [(referral.public_id, _referral(referral))], at=at)


def referrals_expired(expired: Iterable[Referral], *, at: datetime) -> None:
    _tell(Event.REFERRAL_EXPIRED, lambda: ((one.public_id, _referral(one)) for one in expired), at=at)


def _referral(referral: Referral) -> ReferralTold:
    return ReferralTold(
        id=referral.public_id,
        referrer=referral.referrer.public_id,
        referrer_external_id=referral.referrer.external_id,
        referee=referral.referee.public_id,
        referee_external_id=referral.referee.external_id,
        joined_at=referral.joined_at,
        expires_at=referral.expires_at,
    )


# --- rewards --------------------------------------------------------------------------------------------------


def rewards_created(conversion_id: int, *, at: datetime) -> None:
    """What a conversion gave at this moment."""
    _tell(
        Event.REWARD_CREATED,
        lambda: _rewards([one.id for one in rewards.of_conversion(conversion_id) if one.made_at == at], ""),
        at=at,
    )


def rewards_moved(event: Event, reward_ids: Collection[int], *, at: datetime) -> None:
    """What became of some rewards at this moment."""
    if reward_ids:
        _tell(event, lambda: _rewards(reward_ids, f" {at.isoformat()}"), at=at)


def rewards_reversed(touched: Iterable[Reward], *, at: datetime) -> None:
    """Those of these rewards that refunds have taken back whole at this moment."""
    gone = [one.id for one in touched if one.state == State.REVERSED and one.reversed_at == at]
    rewards_moved(Event.REWARD_REVERSED, gone, at=at)


def _rewards(reward_ids: Collection[int], moment: str) -> Iterable[tuple[str, RewardTold]]:
    numbers = sorted(reward_ids)
    for start in range(0, len(numbers), AT_ONCE):
        some = numbers[start : start + AT_ONCE]
        taken_back = clawbacks.taken_back_of(some)
        for reward in rewards.read(some):
            yield f"{reward.public_id}{moment}", _reward(reward, taken_back.get(reward.id, 0))


def _reward(reward: Reward, taken_back_minor: int) -> RewardTold:
    conversion = reward.conversion
    return RewardTold(
        id=reward.public_id,
        user=reward.person.public_id,
        external_id=reward.person.external_id,
        beneficiary=Beneficiary(reward.beneficiary),
        referral=reward.referral.public_id,
        goal=conversion.goal,
        conversion=conversion.public_id,
        conversion_external_id=conversion.external_id if conversion.source == goals.SHOP else None,
        amount_minor=reward.amount_minor,
        taken_back_minor=taken_back_minor,
        currency=reward.currency,
        state=State(reward.state),
        hold_until=reward.hold_until,
    )


# --- payouts --------------------------------------------------------------------------------------------------


def credits_granted(out: Iterable[Payout], *, at: datetime) -> None:
    """Payouts that are on their way now: those by shop credit are the shop's to put down."""
    by_credit = [payout for payout in out if payout.method.kind == Kind.CREDIT]
    if by_credit:
        _tell_payouts(Event.CREDIT_GRANTED, by_credit, at=at)


def payouts_paid(paid: Collection[Payout], *, at: datetime) -> None:
    """Payouts that arrived, and the rewards in them."""
    if paid:
        _tell_payouts(Event.PAYOUT_PAID, paid, at=at)
        numbers = [payout.id for payout in paid]
        _tell(
            Event.REWARD_PAID,
            lambda: _rewards(
                {line.reward_id for line in payouts.lines_in(numbers) if line.reward_id}, f" {at.isoformat()}"
            ),
            at=at,
        )


def payout_failed(payout: Payout, *, at: datetime) -> None:
    _tell_payouts(Event.PAYOUT_FAILED, [payout], at=at)
    rewards_reversed([line.reward for line in payout.lines if line.reward is not None], at=at)


def _tell_payouts(event: Event, chosen: Iterable[Payout], *, at: datetime) -> None:
    _tell(event, lambda: ((payout.public_id, payout_told(payout)) for payout in chosen), at=at)


def payout_told(payout: Payout) -> PayoutTold:
    """A payout as programs read it."""
    return PayoutTold(
        id=payout.public_id,
        reference=payout.reference,
        user=payout.user.public_id,
        external_id=payout.user.external_id,
        method=Kind(payout.method.kind),
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        state=payouts.State(payout.state),
    )
