"""Status: the few words for where a friend or a reward stands, derived from states and dates in one place.

Pages, files, mails and the API all ask here; the words themselves are said in the reader's language by the web.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from portal.core.database import session
from portal.delivery.outbox import Message
from portal.delivery.outbox import State as MailState
from portal.payouts.payouts import Line
from portal.referrals.referrals import Referral
from portal.rewards.clawbacks import Clawback
from portal.rewards.refunds import STANDS, Refund, RefundReason
from portal.rewards.rewards import Reward, State
from portal.sharing.invites import Invite


class Word(StrEnum):
    INVITED = "invited"
    QUEUED = "queued"
    SENT = "sent"
    UNDELIVERED = "undelivered"
    OPENED = "opened"
    WITHDRAWN = "withdrawn"
    DECLINED = "declined"
    JOINED = "joined"
    COUNTED = "counted"
    EXPIRED = "expired"
    IN_REVIEW = "in_review"
    ON_HOLD = "on_hold"
    READY = "ready"
    IN_PAYOUT = "in_payout"
    PAID = "paid"
    NOT_ELIGIBLE = "not_eligible"
    REVERSED = "reversed"


@dataclass(frozen=True)
class Status:
    """A word and the day that goes with it: a deadline for what is ahead, else when it happened. `waiting`: the reward
    that somebody has to decide, if one waits."""

    word: Word
    day: datetime | None = None
    waiting: Reward | None = None
    charged_back: bool = False
    """Of what is reversed: the payment was taken back, and not the order."""


def of_rewards(listed: list[Reward]) -> dict[int, Status]:
    """Where each of these rewards stands, by its row number. Two queries at most."""
    released = [reward.id for reward in listed if reward.state == State.APPROVED and reward.released_at]
    drawn: set[int] = set()
    if released:
        lines = sa.select(Line.reward_id).where(Line.reward_id.in_(released), Line.returned_at.is_(None))
        drawn = {number for number in session.scalars(lines) if number is not None}
    charged = _charged_back([reward.id for reward in listed if reward.state == State.REVERSED])
    return {
        reward.id: _of_reward(reward, drawn=reward.id in drawn, charged_back=reward.id in charged) for reward in listed
    }


def _charged_back(reward_ids: list[int]) -> set[int]:
    """Which of these rewards a chargeback that stands has taken from."""
    if not reward_ids:
        return set()
    query = sa.select(Clawback.reward_id).join(Refund, Refund.id == Clawback.refund_id)
    by_bank = (Refund.reason == RefundReason.CHARGEBACK, STANDS)
    return set(session.scalars(query.where(Clawback.reward_id.in_(reward_ids), *by_bank)))


def of_reward(reward: Reward) -> Status:
    """Where a reward stands."""
    return of_rewards([reward])[reward.id]


def _of_reward(reward: Reward, *, drawn: bool, charged_back: bool) -> Status:
    if reward.state == State.PENDING:
        return Status(Word.IN_REVIEW, reward.hold_until, reward)
    if reward.state == State.APPROVED:
        if reward.released_at is None:
            return Status(Word.ON_HOLD, reward.hold_until)
        return Status(Word.IN_PAYOUT if drawn else Word.READY)
    if reward.state == State.PAID:
        return Status(Word.PAID, reward.paid_at)
    if reward.state == State.REJECTED:
        return Status(Word.NOT_ELIGIBLE)
    return Status(Word.REVERSED, reward.reversed_at, charged_back=charged_back)


def of_invite(invite: Invite, mail: Message | None, *, opened: bool) -> Status:
    """Where an invite stands by which nobody has joined; `mail`: the one that the portal wrote, if it did.

    One that was kept back, since its addressee wants none, stands like one that was sent: nobody learns of it.
    """
    if invite.withdrawn_at is not None:
        return Status(Word.WITHDRAWN, invite.withdrawn_at)
    if invite.declined_at is not None:
        return Status(Word.DECLINED, invite.declined_at)
    if opened or mail is None:
        return Status(Word.OPENED if opened else Word.INVITED, invite.made_at)
    if mail.sent_at is not None:
        return Status(Word.SENT, mail.sent_at)
    return Status(Word.UNDELIVERED if mail.state == MailState.GIVEN_UP else Word.QUEUED, invite.made_at)


def of_friend(referral: Referral, latest: Status | None, *, at: datetime) -> Status:
    """Where a friend stands for the referrer: their latest reward says it, else the goal and its deadline."""
    if latest is not None:
        return latest
    if referral.counted_at is not None:
        return Status(Word.COUNTED, referral.counted_at)
    if referral.expires_at < at:
        return Status(Word.EXPIRED, referral.expires_at)
    return Status(Word.JOINED, referral.expires_at)
