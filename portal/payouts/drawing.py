"""Drawing: who is ready to be paid and why others are left out; the run that puts them into a new batch.

Invariants: what is drawn stands in no live line yet; a new payout is its person's whole payable balance. Locks: the
name "batches", then people.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import contains_eager

from portal.accounts import audit, users
from portal.accounts.users import User
from portal.core import database
from portal.core.database import session
from portal.core.text import marked
from portal.payouts import payouts, vouchers
from portal.payouts.methods import Kind, Method
from portal.payouts.payouts import Accounted, Batch, Line, Payout, PayoutRefused
from portal.rewards import ledger
from portal.rewards.clawbacks import Clawback
from portal.rewards.corrections import Correction
from portal.rewards.ledger import Bucket, Transfer
from portal.rewards.rewards import Reward
from portal.rewards.rewards import State as RewardState
from portal.terms import Terms


class Why(StrEnum):
    """Why somebody is left out of a batch."""

    BELOW_MINIMUM = "below_minimum"
    NO_METHOD = "no_method"
    METHOD_ON_HOLD = "method_on_hold"
    NO_VOUCHERS = "no_vouchers"
    UNCONFIRMED = "unconfirmed"
    SUSPENDED = "suspended"
    YOUR_OWN = "your_own"


@dataclass(frozen=True)
class Standing:
    """Where a person with money stands before a batch: `why` is empty for who is ready; amounts in minor units."""

    user: User
    balance_minor: int
    method: Method | None
    why: Why | None
    missing_minor: int = 0
    vouchers: dict[int, int] = field(default_factory=dict)
    """How many vouchers of each value make the balance up, for who is paid by them."""

    @property
    def lacks_details(self) -> bool:
        """Whether there is nothing in the way but that the person has not said how to be paid."""
        return self.why == Why.NO_METHOD


def standings(
    terms: Terms, *, at: datetime, by: int | None = None, only: Collection[str] | None = None
) -> list[Standing]:
    """Everybody with something payable, with the reason why they are left out, if they are; the largest first.

    `by` does not pay themselves; `only`: nobody but the people of these public ids. Two queries, however many they are.
    """
    balance = sa.func.sum(
        sa.case((Transfer.to_bucket == Bucket.PAYABLE, Transfer.amount_minor), else_=-Transfer.amount_minor)
    )
    payable = (
        sa.select(Transfer.user_id, balance.label("balance"))
        .where(Transfer.currency == terms.currency, sa.text(ledger.THROUGH_PAYABLE))
        .group_by(Transfer.user_id)
        .having(balance > 0)
        .subquery()
    )
    query = (
        sa.select(User, payable.c.balance, Method)
        .join(payable, payable.c.user_id == User.id)
        .outerjoin(Method, sa.and_(Method.user_id == User.id, Method.replaced_at.is_(None)))
        .order_by(payable.c.balance.desc(), User.id)
    )
    pool = vouchers.pool(terms.currency)
    found = []
    for user, sum_, method in session.execute(query):
        if only is None or user.public_id in only:
            standing = _standing(user, int(sum_), method, terms, pool, at=at, by=by)
            pool = {value: count - standing.vouchers.get(value, 0) for value, count in pool.items()}
            found.append(standing)
    return found


def _standing(
    user: User, balance: int, method: Method | None, terms: Terms, pool: dict[int, int], *, at: datetime, by: int | None
) -> Standing:
    why: Why | None = None
    missing = max(0, terms.minimum_payout_minor - balance)
    of_each: dict[int, int] = {}
    if not user.in_good_standing:
        why = Why.SUSPENDED
    elif user.confirmed_at is None:
        why = Why.UNCONFIRMED
    elif missing:
        why = Why.BELOW_MINIMUM
    elif method is None:
        why = Why.NO_METHOD
    elif method.usable_at > at:
        why = Why.METHOD_ON_HOLD
    elif user.id == by:
        why = Why.YOUR_OWN
    elif method.kind == Kind.VOUCHER:
        made_up = vouchers.made_up(balance, pool)
        of_each, why = (made_up, None) if made_up else ({}, Why.NO_VOUCHERS)
    return Standing(user, balance, method, why, missing, of_each)


def ready_rewards(user_ids: Collection[int], currency: str) -> dict[int, int]:
    """How many rewards of each of these people would go into a batch."""
    query = sa.select(Reward.person_id, sa.func.count()).where(*_ready(user_ids, currency)).group_by(Reward.person_id)
    return {number: many for number, many in session.execute(query)}


# --- drawn -----------------------------------------------------------------------------------------------------


def draw(terms: Terms, *, by: int, at: datetime, only: Collection[str] | None = None) -> Batch:
    """Puts everything payable of everybody who is ready into a new draft batch; with `only`, of these among them.

    Raises PayoutRefused if none of them is ready.
    """
    database.lock_names("batches")
    locked = {standing.user.id for standing in standings(terms, at=at, by=by, only=only)}
    users.lock(*locked)
    stand = standings(terms, at=at, by=by, only=only)
    going = [standing for standing in stand if standing.why is None and standing.user.id in locked]
    if not going:
        raise PayoutRefused(marked("Nobody is ready. Nothing was changed."))
    batch = _new_batch(terms, by=by, at=at)
    made = _new_payouts(batch, going, terms, at=at)
    _enter_all({payout.user_id: payout for payout in made}, terms.currency, at=at)
    _reserve(going, {payout.user_id: payout for payout in made}, terms.currency)
    audit.write("batch_made", "batch", batch.public_id, by=by, at=at, reference=batch.reference)
    return batch


def _new_batch(terms: Terms, *, by: int, at: datetime) -> Batch:
    (reference,) = _references("PB", Batch, terms, 1, at=at)
    batch = Batch(reference=reference, currency=terms.currency, made_at=at, made_by_id=by)
    session.add(batch)
    session.flush()
    return batch


def _new_payouts(batch: Batch, going: list[Standing], terms: Terms, *, at: datetime) -> list[Payout]:
    made = [
        Payout(
            reference=reference,
            batch_id=batch.id,
            user_id=standing.user.id,
            method_id=standing.method.id if standing.method else None,
            amount_minor=standing.balance_minor,
            currency=terms.currency,
        )
        for standing, reference in zip(going, _references("PO", Payout, terms, len(going), at=at), strict=True)
    ]
    session.add_all(made)
    session.flush()
    return made


def _enter_all(new: dict[int, Payout], currency: str, *, at: datetime) -> None:
    """Fills new payouts, by their people, with everything payable of each: rewards, what they owe, corrections."""
    drawn = sa.select(Line.id).where(Line.reward_id == Reward.id, Line.returned_at.is_(None)).exists()
    owing = (
        sa.select(Clawback)
        .join(Reward, Reward.id == Clawback.reward_id)
        .options(contains_eager(Clawback.reward))
        .where(Reward.person_id.in_(new), Reward.currency == currency, drawn, ~_is_accounted())
    )
    ready = sa.select(Reward).where(*_ready(new, currency)).order_by(Reward.id)
    gave, owed = list(session.scalars(ready)), _not_made_up(session.scalars(owing.order_by(Clawback.id)))
    taken = _unaccounted({reward.id for reward in gave})
    sums = dict.fromkeys(new, 0)
    for reward in gave:
        less = sum(clawback.amount_minor for clawback in taken[reward.id])
        if less == reward.amount_minor:
            continue
        together = 0 <= less < reward.amount_minor
        amount = reward.amount_minor - less if together else reward.amount_minor
        line = Line(payout_id=new[reward.person_id].id, reward=reward, amount_minor=amount)
        payouts.enter(line, taken[reward.id] if together else [], at=at)
        sums[reward.person_id] += amount
        if not together:  # other payouts hold a part of what was taken or given again
            owed += taken[reward.id]
    for clawback in owed:
        person = clawback.reward.person_id
        line = Line(payout_id=new[person].id, clawback=clawback, amount_minor=-clawback.amount_minor)
        payouts.enter(line, [clawback], at=at)
        sums[person] -= clawback.amount_minor
    entered = sa.select(Line.id).where(Line.correction_id == Correction.id, Line.returned_at.is_(None)).exists()
    corrected = (Correction.person_id.in_(new), Correction.currency == currency, ~entered)
    for correction in session.scalars(sa.select(Correction).where(*corrected).order_by(Correction.id)):
        person, amount = correction.person_id, correction.amount_minor
        payouts.enter(Line(payout_id=new[person].id, correction=correction, amount_minor=amount), [], at=at)
        sums[person] += amount
    for person, payout in new.items():
        if sums[person] != payout.amount_minor:
            raise RuntimeError(f"user {person}: lines {sums[person]}, payable {payout.amount_minor}")


def _not_made_up(owing: Iterable[Clawback]) -> list[Clawback]:
    """Of clawbacks that no line accounts for those that make a difference: what was taken of a reward and given again
    meanwhile needs no lines."""
    found: dict[int, list[Clawback]] = defaultdict(list)
    for clawback in owing:
        found[clawback.reward_id].append(clawback)
    return [one for of_one in found.values() if sum(c.amount_minor for c in of_one) for one in of_one]


def _ready(user_ids: Collection[int], currency: str) -> tuple[sa.ColumnElement[bool], ...]:
    """What says of a reward that it is ready to pay, somebody's of these, and in no payout."""
    drawn = sa.select(Line.id).where(Line.reward_id == Reward.id, Line.returned_at.is_(None)).exists()
    return (
        Reward.person_id.in_(user_ids),
        Reward.currency == currency,
        Reward.state == RewardState.APPROVED,
        Reward.released_at.is_not(None),
        ~drawn,
    )


def _unaccounted(reward_ids: Collection[int]) -> dict[int, list[Clawback]]:
    """What refunds took of these rewards and no live line accounts for, by reward."""
    query = sa.select(Clawback).where(Clawback.reward_id.in_(reward_ids), ~_is_accounted()).order_by(Clawback.id)
    found: dict[int, list[Clawback]] = defaultdict(list)
    for clawback in session.scalars(query):
        found[clawback.reward_id].append(clawback)
    return found


def _is_accounted() -> sa.Exists:
    return sa.select(Accounted.id).where(Accounted.clawback_id == Clawback.id, Accounted.ended_at.is_(None)).exists()


def _reserve(going: list[Standing], new: dict[int, Payout], currency: str) -> None:
    """Deals out the vouchers of those who are paid by them."""
    wanted: dict[int, int] = defaultdict(int)
    for standing in going:
        for value, count in standing.vouchers.items():
            wanted[value] += count
    free = {value: iter(vouchers.free_ones(value, currency, most=count)) for value, count in wanted.items()}
    for standing in going:
        for value, count in standing.vouchers.items():
            for _ in range(count):
                next(free[value]).payout_id = new[standing.user.id].id
    session.flush()


def _references(prefix: str, model: type[Batch] | type[Payout], terms: Terms, many: int, *, at: datetime) -> list[str]:
    """The next numbers of the year. Counted under the lock of the batches."""
    start = f"{prefix}-{terms.day(at).year}-"
    last = session.scalar(
        sa.select(model.reference)
        .where(model.reference.startswith(start, autoescape=True))
        .order_by(sa.func.length(model.reference).desc(), model.reference.desc())
        .limit(1)
    )
    first = int(last.removeprefix(start)) + 1 if last else 1
    return [f"{start}{number:04d}" for number in range(first, first + many)]
