"""Rewards: what one rule gave one person for one conversion.

Invariants: at most one per rule, conversion and person; money moves with the state, in the same write, under its
owner's lock. How it is decided: see `decisions`; what refunds take back of it: see `clawbacks`.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, aliased, joinedload, load_only, mapped_column, relationship

from portal.accounts import users
from portal.accounts.users import User
from portal.core import clock, database
from portal.core.database import Json, Model, session
from portal.core.text import public_id
from portal.referrals.referrals import Referral
from portal.rewards import ledger
from portal.rewards.conversions import Conversion
from portal.rewards.ledger import Bucket, Cause
from portal.rewards.rules import Beneficiary, Computation, Often, Rule, hold_until
from portal.terms import Terms


class State(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    PAID = "paid"
    REVERSED = "reversed"


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
    return int(session.scalar(_next_ordinal(), {"person": person_id, "key": rule_key}) or 1)


@database.once_for_each_database
def _next_ordinal() -> sa.Select[Any]:
    query = sa.select(sa.func.coalesce(sa.func.max(Reward.ordinal), 0) + 1)
    return query.where(Reward.person_id == sa.bindparam("person"), Reward.rule_key == sa.bindparam("key"))


def given(referral_id: int, person_id: int, rule: Rule) -> bool:
    """Whether a rule for the first one of this goal and side, be it another one than this, has given a person
    something for a referral, whatever became of it."""
    firsts = sa.and_(Rule.often == Often.FIRST, Rule.threshold.is_(None), Rule.goal == rule.goal)
    query = sa.select(Reward.id).join(Rule, Rule.id == Reward.rule_id)
    mine = query.where(Reward.referral_id == referral_id, Reward.person_id == person_id)
    return session.scalar(mine.where(firsts, Rule.beneficiary == rule.beneficiary).limit(1)) is not None


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
    return session.scalar(_friends_counted(), {"referrer": referrer_id, "goal": goal}) or 0


@database.once_for_each_database
def _friends_counted() -> sa.Select[Any]:
    referrer: Any = sa.bindparam("referrer")
    lost = (
        sa.select(Reward.id)
        .where(
            Reward.conversion_id == Conversion.id,
            sa.or_(Reward.person_id == referrer, Reward.beneficiary == Beneficiary.REFEREE),
            Reward.threshold.is_(None),
            Reward.state.in_((State.REJECTED, State.REVERSED)),
        )
        .exists()
    )
    return (
        sa.select(sa.func.count(sa.distinct(Conversion.referral_id)))
        .join(Referral, Referral.id == Conversion.referral_id)
        .where(Referral.referrer_id == referrer, Conversion.goal == sa.bindparam("goal"), Conversion.counted, ~lost)
    )


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


def of_referral(referral_id: int) -> list[Reward]:
    """The rewards of a referral, both sides' and whatever became of them, the first one first."""
    return list(session.scalars(sa.select(Reward).where(Reward.referral_id == referral_id).order_by(Reward.id)))


def waiting_of(person_id: int) -> list[int]:
    """Row numbers of somebody's rewards that are in review or on hold."""
    waits = sa.or_(Reward.state == State.PENDING, sa.and_(Reward.state == State.APPROVED, Reward.released_at.is_(None)))
    return list(session.scalars(sa.select(Reward.id).where(Reward.person_id == person_id, waits).order_by(Reward.id)))


def where_it_lies(reward: Reward) -> Bucket:
    """The bucket in which an undecided or decided, not yet drawn reward lies."""
    if reward.state == State.PENDING:
        return Bucket.PENDING
    if reward.state == State.APPROVED and reward.released_at is None:
        return Bucket.APPROVED
    return Bucket.PAYABLE


# --- due ------------------------------------------------------------------------------------------------------


def review_due(reward: Reward, terms: Terms) -> datetime | None:
    """By the end of which day a reward that waits is to be decided; None where nothing is promised, or its person is
    suspended, whose rewards wait. What the terms may approve by themselves need not be looked at before its hold has
    passed."""
    if terms.review_days is None or not reward.waits or not reward.person.in_good_standing:
        return None
    due, limit = reward.made_at + clock.days(terms.review_days), terms.auto_approve_below_minor
    if limit is not None and reward.amount_minor < limit:
        due = max(due, reward.hold_until)
    return clock.end_of_day(terms.day(due), terms.time_zone)


def overdue(terms: Terms, *, at: datetime) -> sa.ColumnElement[bool]:
    """For queries over rewards that wait: whether that day has passed."""
    if terms.review_days is None:
        return sa.false()
    today, limit = clock.start_of_day(terms.day(at), terms.time_zone), terms.auto_approve_below_minor
    person = aliased(User)
    taking_part = sa.select(person.id).where(person.id == Reward.person_id, users.in_good_standing(person)).exists()
    late = sa.and_(Reward.made_at < today - clock.days(terms.review_days), taking_part)
    return late if limit is None else sa.and_(late, sa.or_(Reward.amount_minor >= limit, Reward.hold_until < today))


def due_for_release(*, at: datetime, most: int = 500) -> list[int]:
    """Row numbers of approved rewards whose hold has passed and whose two sides are in good standing."""
    query = of_who_takes_part(sa.select(Reward.id).where(*due(at)))
    return list(session.scalars(query.order_by(Reward.id).limit(most)))


def due(at: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """For queries over rewards: approved, not released yet, and past the hold."""
    return (Reward.state == State.APPROVED, Reward.released_at.is_(None), Reward.hold_until <= at)


def of_who_takes_part(query: sa.Select[Any]) -> sa.Select[Any]:
    """Those of these rewards of whose two sides none is out. One who deleted the account holds up nobody else's."""
    sides = User.id.in_((Referral.referrer_id, Referral.referee_id))
    out = sa.and_(~users.in_good_standing(User), User.erased_at.is_(None))
    away = sa.select(User.id).where(sides, out).exists()
    return query.join(Referral, Referral.id == Reward.referral_id).where(~away)


def due_for_approval(below_minor: int, *where: sa.ColumnElement[bool], at: datetime, most: int = 500) -> list[int]:
    """Row numbers of pending rewards below an amount whose hold has passed, of whom takes part and `where` this is so.

    What does not fit is left out here, or as many as fill the first page would keep the others waiting for ever.
    """
    query = sa.select(Reward.id).where(
        Reward.state == State.PENDING, Reward.hold_until <= at, Reward.amount_minor < below_minor, *where
    )
    return list(session.scalars(of_who_takes_part(query).order_by(Reward.id).limit(most)))


def locked(numbers: Collection[int]) -> list[Reward]:
    """These rewards with their owners locked, in order; read after the lock."""
    lock(numbers)
    return read(numbers)


def people_of(numbers: Collection[int]) -> dict[int, User]:
    """Whose these rewards are, by row number."""
    theirs, these = _owners(numbers)
    query = sa.select(User).where(User.id.in_(theirs)).options(load_only(*_WRITTEN_TO))
    return {user.id: user for user in session.scalars(query, these)}


_WRITTEN_TO = (User.public_id, User.email, User.name, User.language)
"""What a mail to somebody needs; the rest is read if it is asked for."""


def lock(numbers: Collection[int]) -> None:
    """Locks the owners of these rewards."""
    if numbers and not database.is_sqlite():  # which has one writer, who holds the lock
        users.lock(*session.scalars(*_owners(numbers)))


def _owners(numbers: Collection[int]) -> tuple[sa.Select[Any], dict[str, str]]:
    """The query for whose these rewards are, and its parameters."""
    chosen = database.given("chosen", id=database.Key)
    query = sa.select(Reward.person_id).where(Reward.id == chosen.c.id).distinct()
    return query, {"chosen_rows": database.told([number] for number in numbers)}


def read(numbers: Collection[int]) -> list[Reward]:
    """These rewards in order, with what a decision about them looks at."""
    if not numbers:
        return []
    both_sides = joinedload(Reward.referral).options(joinedload(Referral.referrer), joinedload(Referral.referee))
    of_each = (joinedload(Reward.person), joinedload(Reward.conversion), both_sides)
    query = sa.select(Reward).options(*of_each).where(Reward.id.in_(numbers))
    return list(session.scalars(query.order_by(Reward.id)))
