"""Clawbacks: what refunds took of rewards and gave again, and what is left of them.

Invariants: for one refund a reward is taken from once, and given again once; what was taken is never more than was
given, and what was given again never more than was taken; a reward of which nothing is left is reversed, unless it is
paid. What is taken in all follows the refunds that stand, by one formula (`owed`).
"""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship

from portal.accounts import audit
from portal.core import database, money
from portal.core.database import Model, session
from portal.core.text import public_id
from portal.rewards import ledger
from portal.rewards.ledger import Bucket, Cause
from portal.rewards.refunds import GivenBack, Refund
from portal.rewards.rewards import Reward, State, milestone_reached, where_it_lies
from portal.rewards.rules import Beneficiary


class Clawback(Model):
    """What one refund took back of one reward; with a minus, what was given again when the refund was reinstated."""

    __tablename__ = "clawbacks"
    __table_args__ = (
        database.once("reward_id", "refund_id", where="amount_minor > 0", name="uq_clawbacks_taken"),
        database.once("reward_id", "refund_id", where="amount_minor < 0", name="uq_clawbacks_given_again"),
        database.rule("amount_minor <> 0", "amount_not_zero"),
        database.whole("amount_minor"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    reward_id: Mapped[int] = database.refers_to("rewards.id", index=False)
    refund_id: Mapped[int] = database.refers_to("refunds.id")
    amount_minor: Mapped[int]
    at: Mapped[datetime]

    reward: Mapped[Reward] = relationship(Reward)
    refund: Mapped[Refund] = relationship(Refund)

    @property
    def gives_again(self) -> bool:
        """Whether it gives what was taken."""
        return self.amount_minor < 0


def owed(reward: Reward, back: GivenBack) -> int:
    """What the refunds of its order ask for in all, less what they took, in minor units; below zero: what is to be
    given again.

    A milestone counts friends, not money: it goes only with the whole of the order that reached it. A rejected reward
    has nothing to take, nor has one that was given up with its person's account. A reversed one does not come again if
    it was earned again meanwhile, or its friend belongs to another referrer now.
    """
    if reward.state == State.REJECTED or (reward.state != State.PAID and reward.person.erased_at is not None):
        return 0
    if reward.threshold is None:
        asked = money.half_up(reward.amount_minor * back.part, back.whole)
    else:
        asked = reward.amount_minor if back.part == back.whole else 0
    found = asked - taken_back(reward.id)
    if reward.state != State.REVERSED:
        return found
    earned_again = reward.threshold is not None and milestone_reached(reward.person_id, reward.rule)
    anothers = reward.beneficiary == Beneficiary.REFERRER and reward.person_id != reward.referral.referrer_id
    return 0 if earned_again or anothers else min(0, found)


def take_back(reward: Reward, amount_minor: int, back: GivenBack, *, at: datetime) -> Clawback:
    """Takes back what is owed, for the latest refund that took nothing of this reward yet."""
    return _claw(reward, amount_minor, back.standing, at=at)


def give_again(reward: Reward, amount_minor: int, back: GivenBack, *, at: datetime) -> Clawback:
    """Gives again what was taken too much, where the reward lies now, for the latest refund that was reinstated and has
    given nothing again yet."""
    return _claw(reward, -amount_minor, back.reinstated, at=at)


def _claw(reward: Reward, amount_minor: int, among: list[Refund], *, at: datetime) -> Clawback:
    booked = {one.refund_id for one in of_reward(reward.id) if one.gives_again == (amount_minor < 0)}
    refund = next(one for one in reversed(among) if one.id not in booked)
    clawback = Clawback(reward_id=reward.id, refund_id=refund.id, amount_minor=amount_minor, at=at)
    session.add(clawback)
    session.flush()
    lies = where_it_lies(reward)
    left_, entered = (Bucket.PROGRAM, lies) if clawback.gives_again else (lies, Bucket.PROGRAM)
    ledger.move(
        reward.person_id, abs(amount_minor), reward.currency, left_, entered,
        cause=Cause.CLAWBACK, cause_id=clawback.id, reward_id=reward.id, at=at,
    )  # fmt: skip
    verb = "reward_given_again" if clawback.gives_again else "reward_clawback"
    audit.write(verb, "reward", reward.public_id, by=None, at=at,
                amount_minor=abs(amount_minor), currency=reward.currency, refund=refund.public_id)  # fmt: skip
    return clawback


def reverse(reward: Reward, *, at: datetime) -> None:
    """A pending or approved reward of which nothing is left becomes reversed; a paid one stays paid."""
    if reward.state in (State.PENDING, State.APPROVED) and left(reward) == 0:
        audit.write("reward_reversed", "reward", reward.public_id, by=None, at=at, was=reward.state)
        reward.state, reward.reversed_at = State.REVERSED, at


# --- what is left ---------------------------------------------------------------------------------------------


def taken_back(reward_id: int) -> int:
    """What refunds have taken of a reward and not given again, in minor units."""
    query = sa.select(sa.func.coalesce(sa.func.sum(Clawback.amount_minor), 0))
    return int(session.scalar(query.where(Clawback.reward_id == reward_id)) or 0)


def taken_back_of(numbers: Collection[int]) -> dict[int, int]:
    """What refunds have taken of these rewards, by row number; without those that are whole. Minor units."""
    query = sa.select(Clawback.reward_id, sa.func.sum(Clawback.amount_minor)).where(Clawback.reward_id.in_(numbers))
    return {number: int(minor) for number, minor in session.execute(query.group_by(Clawback.reward_id))}


def of_reward(reward_id: int) -> list[Clawback]:
    """What refunds took of a reward and gave again, the first one first."""
    query = sa.select(Clawback).options(joinedload(Clawback.refund)).where(Clawback.reward_id == reward_id)
    return list(session.scalars(query.order_by(Clawback.id)))


def left(reward: Reward) -> int:
    """What is left of a reward after refunds, in minor units."""
    return reward.amount_minor - taken_back(reward.id)


LEFT = Reward.amount_minor - sa.func.coalesce(
    sa.select(sa.cast(sa.func.sum(Clawback.amount_minor), sa.BigInteger))
    .where(Clawback.reward_id == Reward.id)
    .correlate(Reward)
    .scalar_subquery(),
    0,
)
"""What is left of a reward after refunds, in minor units."""


def sums_of(numbers: Collection[int]) -> list[tuple[int, str, int, int]]:
    """What these rewards come to, by person and currency: (person, currency, how many, what is left in minor units)."""
    chosen = database.given("chosen", id=database.Key)
    query = (
        sa.select(Reward.person_id, Reward.currency, sa.func.count(), sa.func.sum(LEFT))
        .where(Reward.id == chosen.c.id)
        .group_by(Reward.person_id, Reward.currency)
        .order_by(Reward.person_id, Reward.currency)
    )
    rows = session.execute(query, {"chosen_rows": database.told([number] for number in numbers)})
    return [(person, currency, many, int(minor)) for person, currency, many, minor in rows]
