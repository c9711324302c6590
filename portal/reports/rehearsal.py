"""Rehearsal: what an offer would have given for the friends of the last 90 days, had it been there when they joined.

Decided by the very function that makes rewards (`earning.weigh`), over an imagined past: nothing is written.
What a person decided afterwards, or who was suspended, is left out: it shows what the rules give. A program that is
paused or ended makes no referrals, so it would have given nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from portal.core import clock, money
from portal.core.database import session
from portal.referrals.referrals import Referral
from portal.rewards import earning, tier_locks
from portal.rewards.conversions import Conversion
from portal.rewards.earning import Offer
from portal.rewards.refunds import STANDS, Refund
from portal.rewards.rules import Beneficiary, Computation, Often, Rule
from portal.rewards.tier_locks import TierLock
from portal.terms import Terms

DAYS = 90

Told = tuple[Conversion, Refund | None]
"""A conversion as it arrived, or a refund of it."""


@dataclass(frozen=True)
class Friend:
    """A referral as it would be under other terms."""

    id: int
    referrer_id: int
    referee_id: int
    joined_at: datetime
    expires_at: datetime


@dataclass
class Made:
    """One reward that there would be. Amounts in minor units."""

    conversion_id: int
    rule: Rule
    person_id: int
    amount_minor: int
    made_at: datetime
    taken_minor: int = 0

    @property
    def lives(self) -> bool:
        """Whether anything of it is left: a pending one of which nothing is left is reversed."""
        return self.taken_minor < self.amount_minor


@dataclass
class Result:
    """What an offer gives in all, in minor units, refunds taken off."""

    friends: int = 0
    counted: int = 0
    rewards: int = 0
    by_side: dict[str, int] = field(default_factory=lambda: {side.value: 0 for side in Beneficiary})

    @property
    def total_minor(self) -> int:
        return sum(self.by_side.values())


class Imagined:
    """A past in memory; see `earning.Past`."""

    def __init__(self, friends: dict[int, Friend]) -> None:
        self.friends = friends
        self.made: list[Made] = []
        self.towards: set[int] = set()
        self._counted: dict[tuple[int, str], list[int]] = defaultdict(list)
        self._friends: dict[tuple[int, str], set[int]] = defaultdict(set)
        self._ordinals: Counter[tuple[int, str]] = Counter()
        self._locks: dict[int, list[TierLock]] = defaultdict(list)
        for lock in tier_locks.of_people({friend.referrer_id for friend in friends.values()}):
            self._locks[lock.person_id].append(lock)
        self._given: set[tuple[int, int, str, str]] = set()
        self._of_person: dict[int, list[Made]] = defaultdict(list)
        self._of_conversion: dict[int, list[Made]] = defaultdict(list)

    def counted_before(self, referral: Friend, goal: str) -> bool:
        return bool(self._counted[referral.id, goal])

    def next_ordinal(self, person_id: int, rule_key: str) -> int:
        return self._ordinals[person_id, rule_key] + 1

    def given(self, referral_id: int, person_id: int, rule: Rule) -> bool:
        return (referral_id, person_id, rule.goal, rule.beneficiary) in self._given

    def friends_counted(self, referrer_id: int, goal: str) -> int:
        return sum(
            any(not self._lost(one) for one in self._counted[number, goal])
            for number in self._friends[referrer_id, goal]
        )

    def _lost(self, conversion_id: int) -> bool:
        return any(not made.lives for made in self._of_conversion[conversion_id] if not made.rule.threshold)

    def milestone_reached(self, person_id: int, rule: Rule) -> bool:
        mine = self._of_person[person_id]
        return any(
            one.rule.rule_key == rule.rule_key and one.rule.threshold == rule.threshold and one.lives for one in mine
        )

    def given_since(self, person_id: int, currency: str, since: datetime) -> int:
        mine = self._of_person[person_id]
        return sum(
            one.amount_minor
            for one in mine
            if one.lives and one.made_at >= since and one.rule.beneficiary == Beneficiary.REFERRER
        )

    def tier_lock(self, person_id: int, at: datetime) -> TierLock | None:
        """Steps that somebody set are as they were: no terms change them."""
        mine = self._locks[person_id]
        return next((one for one in mine if one.set_at <= at and (one.lifted_at is None or at < one.lifted_at)), None)

    def count(self, conversion: Conversion, referral: Friend, *, counted: bool, towards: bool, at: datetime) -> None:
        if counted:
            self._counted[referral.id, conversion.goal].append(conversion.id)
            self._friends[referral.referrer_id, conversion.goal].add(referral.id)
        if towards:
            self.towards.add(referral.id)

    def make(
        self, conversion: Conversion, referral: Friend, rule: Rule, terms: Terms, person_id: int,
        computation: Computation, *, ordinal: int, at: datetime,
    ) -> Made:  # fmt: skip
        made = Made(conversion.id, rule, person_id, computation.amount_minor, at)
        self._ordinals[person_id, rule.rule_key] = ordinal
        if rule.often == Often.FIRST and not rule.threshold:
            self._given.add((referral.id, person_id, rule.goal, rule.beneficiary))
        self._of_person[person_id].append(made)
        self._of_conversion[conversion.id].append(made)
        self.made.append(made)
        return made

    def take_back(self, conversion_id: int, part: int, whole: int) -> None:
        """A refund: as `clawbacks.owed` has it."""
        for made in self._of_conversion[conversion_id]:
            if made.lives and not (made.rule.threshold and part < whole):
                asked = money.half_up(made.amount_minor * min(part, whole), whole)
                made.taken_minor = max(made.taken_minor, asked)


def rehearse(drafts: dict[str, tuple[Terms, list[Rule]]], *, at: datetime) -> dict[str, Result]:
    """What each of these offers would have given for the friends who joined in the last 90 days, by its name.

    `Terms` and rules need not be kept anywhere; each rule has a `rule_key` of its own. Where none of the offers is open
    to new friends only their rules can differ, and each is taken as if it were open.
    """
    since = at - clock.days(DAYS)
    joined = list(session.scalars(sa.select(Referral).where(Referral.joined_at > since, Referral.joined_at <= at)))
    told = list(_told(since))
    any_open = any(terms.open_to_new for terms, _ in drafts.values())
    return {
        name: _one(terms, rules, joined, told) if terms.open_to_new or not any_open else Result()
        for name, (terms, rules) in drafts.items()
    }


def _one(
    terms: Terms, rules: list[Rule], joined: list[Referral], told: "list[tuple[Conversion, Refund | None]]"
) -> Result:
    for number, rule in enumerate(rules):
        if sa.inspect(rule).transient:  # a draft: `weigh` tells rules apart by it, and a row that is kept is left alone
            rule.id, rule.tiers, rule.often = -1 - number, rule.tiers or [], rule.often or Often.FIRST
    friends = {
        one.id: Friend(
            one.id, one.referrer_id, one.referee_id, one.joined_at, one.joined_at + clock.days(terms.goal_days)
        )
        for one in joined
    }
    past, offer = Imagined(friends), Offer(terms, rules, terms)
    refunded: dict[int, tuple[int, int]] = {}
    done: set[int] = set()
    for conversion, refund in told:
        friend = friends.get(conversion.referral_id or 0)
        if friend is None:
            continue
        if refund is None:
            assert conversion.applied_at is not None
            earning.weigh(conversion, friend, offer, past, at=conversion.applied_at)
            done.add(conversion.id)
        else:
            refunded[conversion.id] = _part(conversion, refund, refunded.get(conversion.id, (0, 1)))
        if conversion.id in done and conversion.id in refunded:
            past.take_back(conversion.id, *refunded[conversion.id])
    result = Result(len(friends), len(past.towards), sum(made.lives for made in past.made))
    for made in past.made:
        result.by_side[made.rule.beneficiary] += made.amount_minor - made.taken_minor
    return result


def _told(since: datetime) -> Iterator[Told]:
    """What was reported of these friends, in order of arrival: conversions, and refunds of them."""
    theirs = sa.select(Referral.id).where(Referral.joined_at > since)
    query = sa.select(Conversion).where(Conversion.referral_id.in_(theirs), Conversion.applied_at.is_not(None))
    conversions = {one.id: one for one in session.scalars(query)}
    back = sa.select(Refund).join(Conversion, Conversion.id == Refund.conversion_id)
    refunds = session.scalars(back.where(Conversion.referral_id.in_(theirs), STANDS))
    events: list[tuple[datetime, int, int, Conversion, Refund | None]] = [
        (one.applied_at, 0, one.id, one, None) for one in conversions.values() if one.applied_at
    ]
    events += [
        (one.received_at, 1, one.id, conversions[one.conversion_id], one)
        for one in refunds
        if one.conversion_id in conversions
    ]
    for _, _, _, conversion, refund in sorted(events, key=lambda event: event[:3]):
        yield conversion, refund


def _part(conversion: Conversion, refund: Refund, before: tuple[int, int]) -> tuple[int, int]:
    """What was given back of an order in all, as `refunds.given_back` has it: (part, whole)."""
    if conversion.amount_minor is None:
        return 1, 1
    whole = conversion.amount_minor
    gone = before[0] if before[1] == whole else 0
    return (whole if refund.amount_minor is None else min(whole, gone + refund.amount_minor)), whole
