"""Status: the few words for where a friend or a reward stands, derived from states and dates in one place.

Pages, files, mails and the API all ask here; the words themselves are said in the reader's language by the web.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from portal.referrals.referrals import Referral
from portal.rewards.rewards import Reward, State


class Word(StrEnum):
    JOINED = "joined"
    COUNTED = "counted"
    EXPIRED = "expired"
    IN_REVIEW = "in_review"
    ON_HOLD = "on_hold"
    READY = "ready"
    PAID = "paid"
    NOT_ELIGIBLE = "not_eligible"
    REVERSED = "reversed"


@dataclass(frozen=True)
class Status:
    """A word and the day that goes with it: a deadline for what is ahead, else when it happened."""

    word: Word
    day: datetime | None = None


def of_reward(reward: Reward) -> Status:
    """Where a reward stands."""
    if reward.state == State.PENDING:
        return Status(Word.IN_REVIEW, reward.hold_until)
    if reward.state == State.APPROVED:
        return Status(Word.ON_HOLD, reward.hold_until) if reward.released_at is None else Status(Word.READY)
    if reward.state == State.PAID:
        return Status(Word.PAID, reward.paid_at)
    if reward.state == State.REJECTED:
        return Status(Word.NOT_ELIGIBLE)
    return Status(Word.REVERSED, reward.reversed_at)


def of_friend(referral: Referral, rewards: list[Reward], *, at: datetime) -> Status:
    """Where a friend stands for the referrer: the latest reward says it, else the goal and its deadline."""
    if rewards:
        return of_reward(rewards[-1])
    if referral.counted_at is not None:
        return Status(Word.COUNTED, referral.counted_at)
    if referral.expires_at < at:
        return Status(Word.EXPIRED, referral.expires_at)
    return Status(Word.JOINED, referral.expires_at)
