"""Earning: what a conversion gives to whom, worked out from the rules its referral came under, and made.

Invariants: for each side the rule that gives most, milestones on top; of the rules for a first one, one, once; ordinals
and caps are taken under the lock of the people concerned, which the caller holds; what no rule gave is kept with its
reason. `weigh` alone decides, from an offer and a past; the past is what the database keeps, or one that is only
imagined (see `reports.rehearsal`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from portal import terms
from portal.core.database import session
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.rewards import conversions, rewards, rules, tier_locks
from portal.rewards.conversions import Conversion
from portal.rewards.rules import Beneficiary, Computation, Facts, Often, Rule
from portal.rewards.tier_locks import TierLock
from portal.terms import Terms


@dataclass(frozen=True)
class Offer:
    """What a referral came under, and the terms of today, whose caps count."""

    pinned: Terms
    rules: list[Rule]
    today: Terms


class Past(Protocol):
    """What happened before a conversion, and where it is noted what it gives. See the functions of these names in
    `rewards` and `conversions`."""

    def counted_before(self, referral: Any, goal: str) -> bool: ...
    def next_ordinal(self, person_id: int, rule_key: str) -> int: ...
    def given(self, referral_id: int, person_id: int, rule: Rule) -> bool: ...
    def friends_counted(self, referrer_id: int, goal: str) -> int: ...
    def milestone_reached(self, person_id: int, rule: Rule) -> bool: ...
    def given_since(self, person_id: int, currency: str, since: datetime) -> int: ...
    def tier_lock(self, person_id: int, at: datetime) -> TierLock | None: ...
    def count(self, conversion: Any, referral: Any, *, counted: bool, towards: bool, at: datetime) -> None:
        """Notes whether a goal counts as reached, and whether it is the one that the terms ask for."""

    def make(
        self, conversion: Any, referral: Any, rule: Rule, terms: Terms, person_id: int, computation: Computation, *,
        ordinal: int, at: datetime,
    ) -> object | None:  # fmt: skip
        """Makes a reward; None if it is there."""


class Kept:
    """The past as the database keeps it."""

    counted_before = staticmethod(conversions.counted_before)
    next_ordinal = staticmethod(rewards.next_ordinal)
    given = staticmethod(rewards.given)
    friends_counted = staticmethod(rewards.friends_counted)
    milestone_reached = staticmethod(rewards.milestone_reached)
    given_since = staticmethod(rewards.given_since)
    tier_lock = staticmethod(tier_locks.at_moment)
    make = staticmethod(rewards.make)

    @staticmethod
    def count(conversion: Conversion, referral: Referral, *, counted: bool, towards: bool, at: datetime) -> None:
        conversion.counted = counted
        if towards:
            referrals.count(referral, at=at)
        session.flush()


def earn(conversion: Conversion, referral: Referral, *, at: datetime) -> None:
    """For each beneficiary the best matching rule of the terms the referral came under; milestones on top."""
    conversion.outcome = weigh(conversion, referral, _offer(referral), Kept(), at=at)


def earn_again(conversion: Conversion, referral: Referral, *, at: datetime) -> None:
    """What a conversion that counted gives the referrer whom its referral has now; what it gave the friend stays."""
    past, offer = Kept(), _offer(referral)
    before = past.counted_before(referral, conversion.goal)
    offered = [rule for rule in offer.rules if rule.goal == conversion.goal]
    weighed = {
        rule.id: rules.work_out(rule, offer.pinned, _facts(conversion, referral, rule, past, before, at=at))
        for rule in offered
        if not rule.threshold and rule.beneficiary == Beneficiary.REFERRER
    }
    kept = [said for said in conversion.outcome if said.get("beneficiary") == Beneficiary.REFEREE]
    again = _given(conversion, referral, offer, offered, weighed, (Beneficiary.REFERRER,), past, counted=True, at=at)
    conversion.outcome = kept + again


def _offer(referral: Referral) -> Offer:
    today = terms.in_force()  # which is mostly the one it came under, and then is not read again
    return Offer(terms.version_of(referral.terms_id), rules.of_terms(referral.terms_id), today)


def weigh(conversion: Any, referral: Any, offer: Offer, past: Past, *, at: datetime) -> list[dict[str, Any]]:
    """Decides what a conversion gives, and has the past make it; what each rule gave or why not, for the outcome."""
    offered = [rule for rule in offer.rules if rule.goal == conversion.goal]
    before = past.counted_before(referral, conversion.goal)
    weighed = {
        rule.id: rules.work_out(rule, offer.pinned, _facts(conversion, referral, rule, past, before, at=at))
        for rule in offered
        if not rule.threshold
    }
    counted = _reached(conversion, referral, list(weighed.values()), before)
    towards = counted and conversion.goal == offer.pinned.goal
    past.count(conversion, referral, counted=counted, towards=towards, at=at)
    return _given(conversion, referral, offer, offered, weighed, tuple(Beneficiary), past, counted=counted, at=at)


def _given(
    conversion: Any,
    referral: Any,
    offer: Offer,
    offered: list[Rule],
    weighed: dict[int, Computation],
    sides: tuple[Beneficiary, ...],
    past: Past,
    *,
    counted: bool,
    at: datetime,
) -> list[dict[str, Any]]:
    """Makes the rewards of these sides; what each rule gave or why not, for the outcome."""
    outcome: list[dict[str, Any]] = []
    for beneficiary in sides:
        mine = [rule for rule in offered if not rule.threshold and rule.beneficiary == beneficiary]
        best = max(mine, key=lambda rule: (weighed[rule.id].amount_minor, -rule.id), default=None)
        for rule in mine:
            if rule is not best or not weighed[rule.id].amount_minor:
                why_not = weighed[rule.id].why_not or "another_gives_more"
                outcome.append({"beneficiary": beneficiary, "rule_key": rule.rule_key, "why_not": why_not})
        if best is not None and weighed[best.id].amount_minor:
            others = [
                {"step": "beats", "rule_key": rule.rule_key, "amount_minor": weighed[rule.id].amount_minor}
                for rule in mine
                if rule is not best and weighed[rule.id].amount_minor
            ]
            outcome.append(_give(conversion, referral, best, offer, weighed[best.id], others, past, at=at))
    for rule in offered:
        if rule.threshold and counted and rule.beneficiary in sides:
            facts = _facts(conversion, referral, rule, past, before=True, at=at)
            worked = rules.work_out(rule, offer.pinned, facts)
            if worked.amount_minor:
                outcome.append(_give(conversion, referral, rule, offer, worked, [], past, at=at))
            else:
                outcome.append({"beneficiary": rule.beneficiary, "rule_key": rule.rule_key, "why_not": worked.why_not})
    return outcome


def _facts(conversion: Any, referral: Any, rule: Rule, past: Past, before: bool, *, at: datetime) -> Facts:
    """What a rule needs to know; `before`: whether the goal was reached for this referral already."""
    of_referrer = rule.beneficiary == Beneficiary.REFERRER
    person_id = referral.referrer_id if of_referrer else referral.referee_id
    lock = past.tier_lock(person_id, at) if of_referrer and rule.tiers else None
    return Facts(
        goal=conversion.goal,
        order_minor=conversion.amount_minor,
        occurred_at=conversion.occurred_at,
        joined_at=referral.joined_at,
        expires_at=referral.expires_at,
        earned_before=before,
        ordinal=past.next_ordinal(person_id, rule.rule_key),
        counts_as=lock.counts_as if lock else None,
        set_by=lock.set_by.public_id if lock else "",
        given=not rule.threshold and rule.often == Often.FIRST and past.given(referral.id, person_id, rule),
        friends=past.friends_counted(referral.referrer_id, conversion.goal) if rule.threshold else 0,
        reached=past.milestone_reached(person_id, rule) if rule.threshold else False,
    )


def _reached(conversion: Any, referral: Any, computations: list[Computation], before: bool) -> bool:
    """Whether a goal counts as reached: in time, and by some rule's measure if there is one."""
    if not referral.joined_at <= conversion.occurred_at:
        return False
    if conversion.occurred_at > referral.expires_at and not before:
        return False
    fine = {None, "rounds_to_nothing", "only_the_first", "months_over", "outside_dates"}
    return not computations or any(computation.why_not in fine for computation in computations)


def _give(
    conversion: Any,
    referral: Any,
    rule: Rule,
    offer: Offer,
    computation: Computation,
    others: list[dict[str, Any]],
    past: Past,
    *,
    at: datetime,
) -> dict[str, Any]:
    """Makes one reward, within what the caps of today leave a referrer; what became of it, for the outcome."""
    said = {"beneficiary": rule.beneficiary, "rule_key": rule.rule_key}
    person_id = referral.referrer_id if rule.beneficiary == Beneficiary.REFERRER else referral.referee_id
    amount, steps = computation.amount_minor, computation.steps + others
    if rule.beneficiary == Beneficiary.REFERRER:
        amount, steps = _within_caps(person_id, amount, steps, offer.today, past, at=at)
    if amount == 0:
        return said | {"why_not": "cap_reached"}
    reward = past.make(
        conversion,
        referral,
        rule,
        offer.pinned,
        person_id,
        Computation(amount, steps),
        ordinal=past.next_ordinal(person_id, rule.rule_key),
        at=at,
    )
    if reward is None:
        return said | {"why_not": "already_given"}
    return said | {"amount_minor": amount}


def _within_caps(
    person_id: int, amount: int, steps: list[dict[str, Any]], today: Terms, past: Past, *, at: datetime
) -> tuple[int, list[dict[str, Any]]]:
    """What today's caps a month and a year leave of an amount, with the step that says so."""
    caps: dict[Literal["month", "year"], int | None] = {
        "month": today.referrer_month_cap_minor,
        "year": today.referrer_year_cap_minor,
    }
    for period, cap in caps.items():
        if cap is None:
            continue
        used = past.given_since(person_id, today.currency, today.period_start(period, at=at))
        room = max(0, cap - used)
        if amount > room:
            amount = room
            steps = [*steps, {"step": "cap", "period": period, "cap_minor": cap, "amount_minor": room}]
    return amount, steps
