"""Rewards: what one rule gave one person for one conversion, and every decision about it.

Invariants: at most one per rule, conversion and person; each decision is a row that is never changed, the first
counts and the second is told; what was taken back is never more than was given; money moves with the state, in the
same write, under its owner's lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, aliased, joinedload, mapped_column, relationship
from sqlalchemy.orm.attributes import set_committed_value

from portal.accounts import audit, users
from portal.accounts.users import User
from portal.core import database, money
from portal.core.database import Json, Model, session
from portal.core.text import Refusal, marked, one_line, public_id
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
    OTHER_REFERRER = "other_referrer"
    """An admin has given the friend to another referrer (see `program.correct_referrer`)."""


TOLD_OF_OTHER_REFERRER = marked("We looked again: this friend was brought by somebody else.")
"""What the wrong referrer reads about a reward that is taken back."""


NOT_GENUINE = (Reason.SELF_REFERRAL, Reason.DUPLICATE, Reason.EXISTING_CUSTOMER, Reason.TEST_ORDER, Reason.ABUSE)
"""The reasons that say that the friend was none, or not a new one: those by which a signal was right."""


class DecisionRefused(Refusal):
    """A decision that cannot be taken, or not any more."""


LONGEST_HOLD = timedelta(days=366)
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

    @property
    def can_be_held(self) -> bool:
        """Whether its hold can still be lengthened: it is not ready to pay, and was not turned down."""
        return self.state in (State.PENDING, State.APPROVED) and self.released_at is None

    @property
    def waits(self) -> bool:
        """Whether nobody has decided about it yet."""
        return self.state == State.PENDING


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
        sa.Index("ix_decisions_at", "at"),
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
    """How many friends of a referrer have reached a goal and kept it: not rejected, not refunded.

    What somebody else lost who was taken for the referrer before says nothing about the friend.
    """
    lost = (
        sa.select(Reward.id)
        .where(
            Reward.conversion_id == Conversion.id,
            sa.or_(Reward.person_id == referrer_id, Reward.beneficiary == Beneficiary.REFEREE),
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


def stands_as_not_genuine() -> sa.ColumnElement[bool]:
    """For queries over rewards: whether the decision that stands rejected it for a reason in `NOT_GENUINE`."""
    latest, later = aliased(Decision), aliased(Decision)
    overruled = sa.select(later.id).where(later.reward_id == latest.reward_id, later.number > latest.number).exists()
    stands = sa.select(latest.id).where(latest.reward_id == Reward.id, latest.reason.in_(NOT_GENUINE), ~overruled)
    return sa.and_(Reward.state == State.REJECTED, stands.correlate(Reward).exists())


def found_not_genuine(referral_ids: list[int]) -> int:
    """How many of these referrals have a reward that stands rejected as not genuine."""
    query = sa.select(sa.func.count(sa.distinct(Reward.referral_id)))
    return session.scalar(query.where(Reward.referral_id.in_(referral_ids), stands_as_not_genuine())) or 0


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


def numbers_of(names: Sequence[str]) -> list[int]:
    """The row numbers of rewards by their public ids."""
    return list(session.scalars(sa.select(Reward.id).where(Reward.public_id.in_(names)).order_by(Reward.id)))


def of_conversion(conversion_id: int) -> list[Reward]:
    return list(session.scalars(sa.select(Reward).where(Reward.conversion_id == conversion_id).order_by(Reward.id)))


def decisions(reward_id: int) -> list[Decision]:
    """The decisions about a reward, the first one first."""
    return list(session.scalars(sa.select(Decision).where(Decision.reward_id == reward_id).order_by(Decision.number)))


def decided_times(reward_ids: Sequence[int]) -> dict[int, int]:
    """How many decisions there are about each of these rewards, those taken back among them."""
    query = sa.select(Decision.reward_id, sa.func.max(Decision.number)).where(Decision.reward_id.in_(reward_ids))
    return {number: times for number, times in session.execute(query.group_by(Decision.reward_id))}


def of_referral(referral_id: int) -> list[Reward]:
    """The rewards of a referral, both sides' and whatever became of them, the first one first."""
    return list(session.scalars(sa.select(Reward).where(Reward.referral_id == referral_id).order_by(Reward.id)))


def of_other_referrer(reward: Reward) -> bool:
    """Whether a reward was rejected because its friend was given to another referrer."""
    last = decisions(reward.id)[-1:]
    return reward.state == State.REJECTED and bool(last) and last[0].reason == Reason.OTHER_REFERRER


def taken_back(reward_id: int) -> int:
    """What refunds have taken of a reward, in minor units."""
    query = sa.select(sa.func.coalesce(sa.func.sum(Clawback.amount_minor), 0))
    return int(session.scalar(query.where(Clawback.reward_id == reward_id)) or 0)


def clawbacks(reward_id: int) -> list[Clawback]:
    """What refunds took of a reward, the first one first."""
    return list(session.scalars(sa.select(Clawback).where(Clawback.reward_id == reward_id).order_by(Clawback.id)))


def waited_since(since: datetime) -> list[timedelta]:
    """How long each reward that a person decided since a moment had waited."""
    query = sa.select(Decision.at, Reward.made_at).join(Reward, Reward.id == Decision.reward_id)
    query = query.where(Decision.at >= since, Decision.by_id.is_not(None), Decision.verdict != Verdict.UNDO)
    return [decided_at - made_at for decided_at, made_at in session.execute(query)]


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


def approve(chosen: Sequence[Reward], *, by: int | None, at: datetime) -> None:
    """Approves pending rewards, all in a handful of statements; raises DecisionRefused if any may not be (see
    `check_approval`, by which the others can be told apart before)."""
    for reward in chosen:
        check_approval(reward, by)
    decided = _decide(chosen, Verdict.APPROVE, by=by, at=at)
    moves = [
        _moved(reward, taken.amount_minor, Bucket.PENDING, Bucket.APPROVED, Cause.DECISION, taken.id)
        for reward, taken in zip(chosen, decided, strict=True)
    ]
    ledger.move_all(moves, at=at)
    _set(chosen, state=State.APPROVED)


def check_approval(reward: Reward, by: int | None) -> None:
    """Raises DecisionRefused if this reward cannot be approved, or not by this person."""
    _must_be_pending(reward)
    _must_be_somebody_elses(reward, by)
    if not reward.person.in_good_standing:
        raise DecisionRefused(marked("This person is suspended: what is pending waits."))


def reject(reward: Reward, *, by: int, reason: Reason, told: str, note: str, at: datetime) -> None:
    """Rejects a pending reward for a reason; `told` is what its person reads. Raises DecisionRefused."""
    _must_be_pending(reward)
    _must_be_somebody_elses(reward, by)
    if not one_line(told, 500):
        raise DecisionRefused(marked("Write what the referrer should read."))
    told_id = audit.note(told, by=by, about=reward.person_id, at=at)
    note_id = audit.note(note, by=by, about=reward.person_id, at=at)
    (decision,) = _decide([reward], Verdict.REJECT, by=by, at=at, reason=reason, told_id=told_id, note_id=note_id)
    _move(reward, decision.amount_minor, Bucket.PENDING, Bucket.PROGRAM, Cause.DECISION, decision.id, at=at)
    reward.state = State.REJECTED


def undo(reward: Reward, *, by: int, note: str, at: datetime) -> int:
    """Takes the last decision back: the reward is pending again. Its line must have left any payout before. Gives the
    number of the decision that was taken back.

    Raises DecisionRefused without a reason, or for a reward that is not decided.
    """
    check_undo(reward, by)
    note_id = audit.note(note, by=by, about=reward.person_id, at=at)
    if note_id is None:
        raise DecisionRefused(marked("Write why the decision is taken back."))
    lay = Bucket.PROGRAM if reward.state == State.REJECTED else where_it_lies(reward)
    (decision,) = _decide([reward], Verdict.UNDO, by=by, at=at, note_id=note_id)
    _move(reward, decision.amount_minor, lay, Bucket.PENDING, Cause.DECISION, decision.id, at=at)
    reward.state, reward.released_at = State.PENDING, None
    return decision.number - 1


def check_undo(reward: Reward, by: int) -> None:
    """Raises DecisionRefused if there is no decision to take back, or not for this person."""
    _must_be_somebody_elses(reward, by)
    if reward.state not in (State.APPROVED, State.REJECTED):
        raise DecisionRefused(marked("This reward is not decided, so there is nothing to take back."))
    if reward.beneficiary == Beneficiary.REFERRER and reward.person_id != reward.referral.referrer_id:
        raise DecisionRefused(marked("This friend belongs to another referrer now."))
    if (
        reward.threshold is not None
        and reward.state == State.REJECTED
        and milestone_reached(reward.person_id, reward.rule)
    ):
        raise DecisionRefused(marked("This bonus has been earned again since, and is given once."))


def hold(reward: Reward, *, until: datetime, note: str, by: int, at: datetime) -> None:
    """Lengthens the hold of a reward that is not ready to pay. Raises DecisionRefused without a reason, for an earlier
    day or one beyond a year, and for what is not there to be held."""
    _must_be_somebody_elses(reward, by)
    if not reward.can_be_held:
        raise DecisionRefused(marked("Only what is in review or on hold can be held for longer."))
    if not max(at, reward.hold_until) < until <= at + LONGEST_HOLD:
        raise DecisionRefused(
            marked("Choose a day after %(from)s and within a year."), **{"from": max(at, reward.hold_until)}
        )
    note_id = audit.note(note, by=by, about=reward.person_id, at=at)
    if note_id is None:
        raise DecisionRefused(marked("Write why it is held; colleagues read it."))
    audit.write("hold_lengthened", "reward", reward.public_id, by=by, at=at, note_id=note_id,
                was=reward.hold_until.isoformat(), until=until.isoformat())  # fmt: skip
    reward.hold_until = until


def decided_by(user_id: int, at: datetime) -> list[int]:
    """Row numbers of the rewards on whose last decision somebody decided at this moment."""
    numbers = sa.select(sa.func.max(Decision.number)).where(Decision.reward_id == Reward.id)
    last = numbers.correlate(Reward).scalar_subquery()
    query = sa.select(Reward.id).join(Decision, Decision.reward_id == Reward.id)
    mine = (Decision.by_id == user_id, Decision.at == at, Decision.number == last, Decision.verdict != Verdict.UNDO)
    return list(session.scalars(query.where(*mine)))


def release(chosen: Sequence[Reward], *, at: datetime) -> int:
    """Makes those of these rewards ready to pay that are approved, past their hold, and whose two sides take part;
    gives how many."""
    due = [
        reward
        for reward in chosen
        if reward.state == State.APPROVED
        and reward.released_at is None
        and reward.hold_until <= at
        and reward.referral.referrer.in_good_standing
        and reward.referral.referee.in_good_standing
    ]
    query = sa.select(Decision.reward_id, sa.func.max(Decision.id)).where(Decision.reward_id.in_([r.id for r in due]))
    approvals = {number: last for number, last in session.execute(query.group_by(Decision.reward_id))}
    moves = [
        _moved(reward, amount, Bucket.APPROVED, Bucket.PAYABLE, Cause.RELEASE, approvals[reward.id])
        for reward, amount in zip(due, lefts(due), strict=True)
    ]
    ledger.move_all(moves, at=at)
    _set(due, released_at=at)
    return len(due)


def _set(chosen: Sequence[Reward], **values: Any) -> None:
    """Gives all of these the same values, in one statement."""
    if not chosen:
        return
    mine = Reward.id.in_([reward.id for reward in chosen])
    session.execute(sa.update(Reward).where(mine).values(values), execution_options={"synchronize_session": False})
    for reward in chosen:
        for name, value in values.items():
            set_committed_value(reward, name, value)


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


@dataclass(frozen=True)
class _Taken:
    """A decision that was just taken: its row number, which one about its reward it is, and of how much."""

    id: int
    number: int
    amount_minor: int


def _decide(chosen: Sequence[Reward], verdict: Verdict, *, by: int | None, at: datetime, **facts: Any) -> list[_Taken]:
    """One decision about each, of what is left of it, in their order; their owners are locked."""
    numbers = [reward.id for reward in chosen]
    last = decided_times(numbers)
    rows = [
        {"reward_id": reward.id, "number": last.get(reward.id, 0) + 1, "verdict": verdict, "by_id": by, "at": at,
         "amount_minor": amount, **facts}
        for reward, amount in zip(chosen, lefts(chosen), strict=True)
    ]  # fmt: skip
    made = dict(database.insert_all(Decision, rows, Decision.reward_id, Decision.id))
    if len(made) < len(chosen):
        raise DecisionRefused(marked("Somebody else has just decided this. Look at it again."))
    lines = [
        (reward.public_id, {"was": reward.state, "reason": facts.get("reason"), "amount_minor": row["amount_minor"],
                            "currency": reward.currency})
        for reward, row in zip(chosen, rows, strict=True)
    ]  # fmt: skip
    audit.write_all(f"reward_{verdict}", "reward", lines, by=by, at=at, note_id=facts.get("note_id"))
    return [_Taken(made[row["reward_id"]], row["number"], row["amount_minor"]) for row in rows]


def lefts(chosen: Sequence[Reward]) -> list[int]:
    """What is left of each after refunds, in minor units."""
    query = sa.select(Clawback.reward_id, sa.func.sum(Clawback.amount_minor))
    query = query.where(Clawback.reward_id.in_([reward.id for reward in chosen])).group_by(Clawback.reward_id)
    taken: dict[int, int] = {number: int(amount) for number, amount in session.execute(query)}
    return [reward.amount_minor - taken.get(reward.id, 0) for reward in chosen]


def _moved(reward: Reward, amount: int, left_: Bucket, entered: Bucket, cause: Cause, cause_id: int) -> ledger.Move:
    return ledger.Move(reward.person_id, amount, reward.currency, left_, entered, cause, cause_id, reward.id)


def _move(
    reward: Reward, amount: int, left_: Bucket, entered: Bucket, cause: Cause, cause_id: int, *, at: datetime
) -> None:
    ledger.move_all([_moved(reward, amount, left_, entered, cause, cause_id)], at=at)


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
    query = sa.select(Reward.id).where(
        Reward.state == State.APPROVED, Reward.released_at.is_(None), Reward.hold_until <= at
    )
    return list(session.scalars(_of_who_takes_part(query).order_by(Reward.id).limit(most)))


def _of_who_takes_part(query: sa.Select[Any]) -> sa.Select[Any]:
    """Those of these rewards whose two sides are in good standing."""
    query = query.join(Referral, Referral.id == Reward.referral_id)
    for side in (Referral.referrer_id, Referral.referee_id):
        person = aliased(User)
        query = query.join(person, person.id == side).where(
            person.suspended_at.is_(None), person.shut_out_at.is_(None), person.erased_at.is_(None)
        )
    return query


def due_for_approval(below_minor: int, *where: sa.ColumnElement[bool], at: datetime, most: int = 500) -> list[int]:
    """Row numbers of pending rewards below an amount whose hold has passed, of whom takes part and `where` this is so.

    What does not fit is left out here, or as many as fill the first page would keep the others waiting for ever.
    """
    query = sa.select(Reward.id).where(
        Reward.state == State.PENDING, Reward.hold_until <= at, Reward.amount_minor < below_minor, *where
    )
    return list(session.scalars(_of_who_takes_part(query).order_by(Reward.id).limit(most)))


def locked(numbers: Sequence[int]) -> list[Reward]:
    """These rewards with their owners locked, in order; read after the lock."""
    if not numbers:
        return []
    owners = session.scalars(sa.select(Reward.person_id).where(Reward.id.in_(numbers)))
    users.lock(*owners)
    both_sides = joinedload(Reward.referral).options(joinedload(Referral.referrer), joinedload(Referral.referee))
    of_each = (joinedload(Reward.person), joinedload(Reward.conversion), both_sides)
    query = sa.select(Reward).options(*of_each).where(Reward.id.in_(numbers))
    return list(session.scalars(query.order_by(Reward.id)))
