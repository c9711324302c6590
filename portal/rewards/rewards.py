"""Rewards: what one rule gave one person for one conversion, and every decision about it.

Invariants: at most one per rule, conversion and person; each decision is a row that is never changed, the first
counts and the second is told; what was taken back is never more than was given; money moves with the state, in the
same write, under its owner's lock.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, aliased, mapped_column, relationship

from portal.accounts import audit, users
from portal.accounts.users import User
from portal.core import database, money
from portal.core.database import Json, Model, session
from portal.core.text import Refusal, marked, public_id
from portal.referrals.referrals import Referral
from portal.rewards import ledger
from portal.rewards.conversions import Conversion, Refund
from portal.rewards.ledger import Bucket, Cause
from portal.rewards.rules import Beneficiary, Computation, Rule, hold_until
from portal.terms import Terms


class State(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    PAID = "paid"
    REVERSED = "reversed"


class Verdict(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    UNDO = "undo"


class Reason(StrEnum):
    """Why a reward was rejected."""

    SELF_REFERRAL = "self_referral"
    EXISTING_CUSTOMER = "existing_customer"
    DUPLICATE = "duplicate"
    REFUNDED = "refunded"
    TEST_ORDER = "test_order"
    ABUSE = "abuse"
    OTHER = "other"


class DecisionRefused(Refusal):
    """A decision that cannot be taken, or not any more."""


LIVE = "state IN ('pending', 'approved', 'paid')"


class Reward(Model):
    """One reward. `ordinal`: which of this person's by this rule, counted from 1 in order of arrival."""

    __tablename__ = "rewards"
    __table_args__ = (
        database.once("rule_key", "conversion_id", "person_id"),
        database.once("person_id", "rule_key", "ordinal"),
        database.once("rule_key", "person_id", "threshold", where=f"threshold IS NOT NULL AND {LIVE}",
                      name="uq_rewards_milestone"),
        database.one_of("state", State),
        database.one_of("beneficiary", Beneficiary),
        database.rule("amount_minor > 0", "amount_positive"),
        database.rule("state <> 'paid' OR released_at IS NOT NULL", "paid_was_released"),
        database.whole("amount_minor", "ordinal", "threshold"),
        sa.Index("ix_rewards_queue", "state", "made_at"),
        sa.Index("ix_rewards_person", "person_id", "made_at"),
        sa.Index("ix_rewards_due", "state", "released_at", "hold_until"),
    )  # fmt: skip

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    person_id: Mapped[int] = database.refers_to("users.id", index=False)
    beneficiary: Mapped[str] = mapped_column(sa.String(10))
    referral_id: Mapped[int] = database.refers_to("referrals.id")
    conversion_id: Mapped[int] = database.refers_to("conversions.id")
    rule_id: Mapped[int] = database.refers_to("rules.id", index=False)
    rule_key: Mapped[str] = mapped_column(sa.String(16))
    threshold: Mapped[int | None]
    ordinal: Mapped[int]
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    computation: Mapped[Any] = mapped_column(Json)
    """The steps by which the amount came about, see `rules.work_out`; said in words by the pages."""
    made_at: Mapped[datetime] = mapped_column(index=True)
    hold_until: Mapped[datetime]
    state: Mapped[str] = mapped_column(sa.String(10), default=State.PENDING)
    released_at: Mapped[datetime | None]
    """When it became ready to pay."""
    paid_at: Mapped[datetime | None]
    reversed_at: Mapped[datetime | None]

    person: Mapped[User] = relationship(User)
    referral: Mapped[Referral] = relationship(Referral)
    conversion: Mapped[Conversion] = relationship(Conversion)
    rule: Mapped[Rule] = relationship(Rule)


class Decision(Model):
    """One decision. `by_id` is empty where the terms decided. `amount_minor` is what it moved."""

    __tablename__ = "decisions"
    __table_args__ = (
        database.once("reward_id", "number"),
        database.one_of("verdict", Verdict),
        database.rule(f"reason IS NULL OR reason IN ({', '.join(repr(r.value) for r in Reason)})", "reason_known"),
        database.rule("verdict <> 'reject' OR reason IS NOT NULL", "rejection_has_reason"),
        database.rule("verdict <> 'undo' OR note_id IS NOT NULL", "undo_has_note"),
        database.whole("number", "amount_minor"),
    )

    id: Mapped[int] = database.key()
    reward_id: Mapped[int] = database.refers_to("rewards.id", index=False)
    number: Mapped[int]
    verdict: Mapped[str] = mapped_column(sa.String(8))
    by_id: Mapped[int | None] = database.refers_to("users.id", index=False)
    at: Mapped[datetime]
    reason: Mapped[str | None] = mapped_column(sa.String(20))
    told_id: Mapped[int | None] = database.refers_to("notes.id", index=False)
    """The words to the person who was to get it."""
    note_id: Mapped[int | None] = database.refers_to("notes.id", index=False)
    """Why, for colleagues only."""
    amount_minor: Mapped[int]


class Clawback(Model):
    """What one refund took back of one reward."""

    __tablename__ = "clawbacks"
    __table_args__ = (
        database.once("reward_id", "refund_id"),
        database.rule("amount_minor > 0", "amount_positive"),
        database.whole("amount_minor"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    reward_id: Mapped[int] = database.refers_to("rewards.id", index=False)
    refund_id: Mapped[int] = database.refers_to("refunds.id")
    amount_minor: Mapped[int]
    at: Mapped[datetime]

    reward: Mapped[Reward] = relationship(Reward)


database.append_only(Decision)


# --- made -----------------------------------------------------------------------------------------------------


def make(
    conversion: Conversion,
    referral: Referral,
    rule: Rule,
    terms: Terms,
    person_id: int,
    computation: Computation,
    *,
    ordinal: int,
    at: datetime,
) -> Reward | None:
    """Makes a pending reward and books it; None if this rule gave this person one for this conversion already."""
    made: Reward | None = database.insert_once(
        Reward,
        person_id=person_id,
        beneficiary=rule.beneficiary,
        referral_id=referral.id,
        conversion_id=conversion.id,
        rule_id=rule.id,
        rule_key=rule.rule_key,
        threshold=rule.threshold,
        ordinal=ordinal,
        amount_minor=computation.amount_minor,
        currency=terms.currency,
        computation=computation.steps,
        made_at=at,
        hold_until=hold_until(rule, conversion.occurred_at),
    )
    if made is not None:
        ledger.move(
            person_id,
            made.amount_minor,
            made.currency,
            Bucket.PROGRAM,
            Bucket.PENDING,
            cause=Cause.REWARD,
            cause_id=made.id,
            reward_id=made.id,
            at=at,
        )
    return made


def next_ordinal(person_id: int, rule_key: str) -> int:
    """Which reward of a person by a rule the next one is. Taken under the person's lock; never recomputed."""
    query = sa.select(sa.func.coalesce(sa.func.max(Reward.ordinal), 0) + 1)
    number = session.scalar(query.where(Reward.person_id == person_id, Reward.rule_key == rule_key))
    return int(number or 1)


def given(referral_id: int, person_id: int, rule_key: str) -> bool:
    """Whether a rule has given a person something for a referral, whatever became of it."""
    query = sa.select(Reward.id).where(
        Reward.referral_id == referral_id, Reward.person_id == person_id, Reward.rule_key == rule_key
    )
    return session.scalar(query.limit(1)) is not None


def milestone_reached(person_id: int, rule: Rule) -> bool:
    """Whether a milestone's bonus is there and live."""
    query = sa.select(Reward.id).where(
        Reward.person_id == person_id,
        Reward.rule_key == rule.rule_key,
        Reward.threshold == rule.threshold,
        sa.text(LIVE),
    )
    return session.scalar(query.limit(1)) is not None


def friends_counted(referrer_id: int, goal: str) -> int:
    """How many friends of a referrer have reached a goal and kept it: not rejected, not refunded."""
    lost = (
        sa.select(Reward.id)
        .where(
            Reward.conversion_id == Conversion.id,
            Reward.threshold.is_(None),
            Reward.state.in_((State.REJECTED, State.REVERSED)),
        )
        .exists()
    )
    query = (
        sa.select(sa.func.count(sa.distinct(Conversion.referral_id)))
        .join(Referral, Referral.id == Conversion.referral_id)
        .where(Referral.referrer_id == referrer_id, Conversion.goal == goal, Conversion.counted, ~lost)
    )
    return session.scalar(query) or 0


def given_since(person_id: int, currency: str, since: datetime) -> int:
    """The sum of a person's rewards as a referrer since a moment, rejected and reversed ones left out; minor units."""
    query = sa.select(sa.func.coalesce(sa.func.sum(Reward.amount_minor), 0)).where(
        Reward.person_id == person_id,
        Reward.currency == currency,
        Reward.beneficiary == Beneficiary.REFERRER,
        Reward.made_at >= since,
        sa.text(LIVE),
    )
    return int(session.scalar(query) or 0)


def spent_since(currency: str, since: datetime) -> int:
    """The sum of everybody's live rewards since a moment, for the budget; minor units."""
    query = sa.select(sa.func.coalesce(sa.func.sum(Reward.amount_minor), 0))
    return int(session.scalar(query.where(Reward.currency == currency, Reward.made_at >= since, sa.text(LIVE))) or 0)


# --- looked up ------------------------------------------------------------------------------------------------


def find(wanted: str) -> Reward | None:
    return session.scalar(sa.select(Reward).where(Reward.public_id == wanted))


def of_conversion(conversion_id: int) -> list[Reward]:
    return list(session.scalars(sa.select(Reward).where(Reward.conversion_id == conversion_id).order_by(Reward.id)))


def decisions(reward_id: int) -> list[Decision]:
    """The decisions about a reward, the first one first."""
    return list(session.scalars(sa.select(Decision).where(Decision.reward_id == reward_id).order_by(Decision.number)))


def taken_back(reward_id: int) -> int:
    """What refunds have taken of a reward, in minor units."""
    query = sa.select(sa.func.coalesce(sa.func.sum(Clawback.amount_minor), 0))
    return int(session.scalar(query.where(Clawback.reward_id == reward_id)) or 0)


def clawbacks(reward_id: int) -> list[Clawback]:
    """What refunds took of a reward, the first one first."""
    return list(session.scalars(sa.select(Clawback).where(Clawback.reward_id == reward_id).order_by(Clawback.id)))


def told(decision: Decision) -> str:
    """The words to the person who was to get the reward; empty if there are none."""
    note = session.get(audit.Note, decision.told_id) if decision.told_id else None
    return note.text if note else ""


def left(reward: Reward) -> int:
    """What is left of a reward after refunds, in minor units."""
    return reward.amount_minor - taken_back(reward.id)


def where_it_lies(reward: Reward) -> Bucket:
    """The bucket in which an undecided or decided, not yet drawn reward lies."""
    if reward.state == State.PENDING:
        return Bucket.PENDING
    if reward.state == State.APPROVED and reward.released_at is None:
        return Bucket.APPROVED
    return Bucket.PAYABLE


# --- decided --------------------------------------------------------------------------------------------------


def approve(reward: Reward, *, by: int | None, at: datetime) -> Decision:
    """Approves a pending reward. Raises DecisionRefused if it is decided, or not this person's to decide."""
    _must_be_pending(reward)
    _must_be_somebody_elses(reward, by)
    decision = _decide(reward, Verdict.APPROVE, by=by, at=at, amount_minor=left(reward))
    _move(reward, decision.amount_minor, Bucket.PENDING, Bucket.APPROVED, Cause.DECISION, decision.id, at=at)
    reward.state = State.APPROVED
    return decision


def reject(reward: Reward, *, by: int, reason: Reason, told: str, note: str, at: datetime) -> Decision:
    """Rejects a pending reward for a reason; `told` is what its person reads. Raises DecisionRefused."""
    _must_be_pending(reward)
    _must_be_somebody_elses(reward, by)
    if not told.strip():
        raise DecisionRefused(marked("Write what the referrer should read."))
    told_id = audit.note(told, by=by, about=reward.person_id, at=at)
    note_id = audit.note(note, by=by, about=reward.person_id, at=at)
    decision = _decide(
        reward, Verdict.REJECT, by=by, at=at, amount_minor=left(reward), reason=reason, told_id=told_id, note_id=note_id
    )
    _move(reward, decision.amount_minor, Bucket.PENDING, Bucket.PROGRAM, Cause.DECISION, decision.id, at=at)
    reward.state = State.REJECTED
    return decision


def undo(reward: Reward, *, by: int, note: str, at: datetime) -> Decision:
    """Takes the last decision back: the reward is pending again. Its line must have left any payout before.

    Raises DecisionRefused without a reason, or for a reward that is not decided.
    """
    _must_be_somebody_elses(reward, by)
    if reward.state not in (State.APPROVED, State.REJECTED):
        raise DecisionRefused(marked("This reward is not decided, so there is nothing to take back."))
    if (
        reward.threshold is not None
        and reward.state == State.REJECTED
        and milestone_reached(reward.person_id, reward.rule)
    ):
        raise DecisionRefused(marked("This bonus has been earned again since, and is given once."))
    note_id = audit.note(note, by=by, about=reward.person_id, at=at)
    if note_id is None:
        raise DecisionRefused(marked("Write why the decision is taken back."))
    lay = Bucket.PROGRAM if reward.state == State.REJECTED else where_it_lies(reward)
    decision = _decide(reward, Verdict.UNDO, by=by, at=at, amount_minor=left(reward), note_id=note_id)
    _move(reward, decision.amount_minor, lay, Bucket.PENDING, Cause.DECISION, decision.id, at=at)
    reward.state, reward.released_at = State.PENDING, None
    return decision


def release(reward: Reward, *, at: datetime) -> bool:
    """Makes an approved reward ready to pay once its hold has passed and both sides take part; whether it did."""
    if reward.state != State.APPROVED or reward.released_at is not None or reward.hold_until > at:
        return False
    if not (reward.referral.referrer.in_good_standing and reward.referral.referee.in_good_standing):
        return False
    approval = decisions(reward.id)[-1]
    _move(reward, left(reward), Bucket.APPROVED, Bucket.PAYABLE, Cause.RELEASE, approval.id, at=at)
    reward.released_at = at
    return True


def _must_be_pending(reward: Reward) -> None:
    if reward.state == State.PENDING:
        return
    taken = decisions(reward.id)
    if not taken or reward.state in (State.PAID, State.REVERSED):
        raise DecisionRefused(marked("This reward is %(state)s already."), state=reward.state)
    last = taken[-1]
    who = User.by_id(last.by_id).called if last.by_id else marked("the terms")
    said = (
        marked("Approved by %(who)s at %(when)s.")
        if last.verdict == Verdict.APPROVE
        else marked("Rejected by %(who)s at %(when)s.")
    )
    raise DecisionRefused(said, who=who, when=last.at)


def _must_be_somebody_elses(reward: Reward, by: int | None) -> None:
    if by is None:
        return
    referral = reward.referral
    if by in (reward.person_id, referral.referrer_id, referral.referee_id):
        raise DecisionRefused(marked("This one is yours; a colleague decides it."))
    if reward.conversion.recorded_by_id == by:
        raise DecisionRefused(marked("You recorded this order; a colleague decides it."))


def _decide(reward: Reward, verdict: Verdict, *, by: int | None, at: datetime, **facts: Any) -> Decision:
    number = session.scalar(
        sa.select(sa.func.coalesce(sa.func.max(Decision.number), 0) + 1).where(Decision.reward_id == reward.id)
    )
    decision: Decision | None = database.insert_once(
        Decision, reward_id=reward.id, number=number, verdict=verdict, by_id=by, at=at, **facts
    )
    if decision is None:
        raise DecisionRefused(marked("Somebody else has just decided this. Look at it again."))
    audit.write(
        f"reward_{verdict}", "reward", reward.public_id, by=by, at=at, note_id=facts.get("note_id"),
        was=reward.state, reason=facts.get("reason"), amount_minor=decision.amount_minor, currency=reward.currency,
    )  # fmt: skip
    return decision


def _move(
    reward: Reward, amount: int, left_: Bucket, entered: Bucket, cause: Cause, cause_id: int, *, at: datetime
) -> None:
    ledger.move(
        reward.person_id, amount, reward.currency, left_, entered,
        cause=cause, cause_id=cause_id, reward_id=reward.id, at=at,
    )  # fmt: skip


# --- taken back -----------------------------------------------------------------------------------------------


def take_back(reward: Reward, refund: Refund, part: int, whole: int, *, at: datetime) -> Clawback | None:
    """Takes back what `part` of an order of `whole` asks for in all, less what was taken; None if that is nothing.

    A milestone counts friends, not money: it goes only with the whole of the order that reached it. A rejected or
    reversed reward has nothing to take.
    """
    if reward.state in (State.REJECTED, State.REVERSED):
        return None
    if reward.threshold is not None and part < whole:
        return None
    amount = money.half_up(reward.amount_minor * min(part, whole), whole) - taken_back(reward.id)
    if amount <= 0:
        return None
    clawback: Clawback | None = database.insert_once(
        Clawback, reward_id=reward.id, refund_id=refund.id, amount_minor=amount, at=at
    )
    if clawback is not None:
        _move(reward, amount, where_it_lies(reward), Bucket.PROGRAM, Cause.CLAWBACK, clawback.id, at=at)
        audit.write("reward_clawback", "reward", reward.public_id, by=None, at=at,
                    amount_minor=amount, currency=reward.currency, refund=refund.public_id)  # fmt: skip
    return clawback


def reverse(reward: Reward, *, at: datetime) -> None:
    """A pending or approved reward of which nothing is left becomes reversed; a paid one stays paid."""
    if reward.state in (State.PENDING, State.APPROVED) and left(reward) == 0:
        audit.write("reward_reversed", "reward", reward.public_id, by=None, at=at, was=reward.state)
        reward.state, reward.reversed_at = State.REVERSED, at


# --- due ------------------------------------------------------------------------------------------------------


def due_for_release(*, at: datetime, most: int = 500) -> list[int]:
    """Row numbers of approved rewards whose hold has passed and whose two sides are in good standing."""
    query = (
        sa.select(Reward.id)
        .join(Referral, Referral.id == Reward.referral_id)
        .where(Reward.state == State.APPROVED, Reward.released_at.is_(None), Reward.hold_until <= at)
    )
    for side in (Referral.referrer_id, Referral.referee_id):
        person = aliased(User)
        query = query.join(person, person.id == side).where(
            person.suspended_at.is_(None), person.shut_out_at.is_(None), person.erased_at.is_(None)
        )
    return list(session.scalars(query.order_by(Reward.id).limit(most)))


def due_for_approval(below_minor: int, *, at: datetime, most: int = 500) -> list[int]:
    """Row numbers of pending rewards below an amount whose hold has passed: the terms may approve the Clear ones."""
    query = sa.select(Reward.id).where(
        Reward.state == State.PENDING, Reward.hold_until <= at, Reward.amount_minor < below_minor
    )
    return list(session.scalars(query.order_by(Reward.id).limit(most)))


def locked(numbers: list[int]) -> list[Reward]:
    """These rewards with their owners locked, in order; read after the lock."""
    owners = session.scalars(sa.select(Reward.person_id).where(Reward.id.in_(numbers)))
    users.lock(*owners)
    return list(session.scalars(sa.select(Reward).where(Reward.id.in_(numbers)).order_by(Reward.id)))
