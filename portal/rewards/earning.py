"""Earning: what a conversion gives to whom, worked out from the rules its referral came under, and made.

Invariants: for each side the rule that gives most, milestones on top; ordinals and caps are taken under the lock of
the people concerned, which the caller holds; what no rule gave is kept with its reason.
"""

from datetime import datetime
from typing import Any, Literal

from portal import terms
from portal.core.database import session
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.rewards import conversions, rewards, rules
from portal.rewards.conversions import Conversion
from portal.rewards.rules import Beneficiary, Computation, Facts, Rule
from portal.terms import Terms


def earn(conversion: Conversion, referral: Referral, *, at: datetime) -> None:
    """For each beneficiary the best matching rule of the terms the referral came under; milestones on top."""
    pinned = terms.version_of(referral.terms_id)
    offered = [rule for rule in rules.of_terms(pinned.id) if rule.goal == conversion.goal]
    usual = [rule for rule in offered if not rule.threshold]
    before = conversions.counted_before(referral, conversion.goal)
    weighed = {rule.id: rules.work_out(rule, pinned, _facts(conversion, referral, rule, before)) for rule in usual}
    conversion.counted = _reached(conversion, referral, list(weighed.values()), before)
    if conversion.counted and conversion.goal == pinned.goal:
        referrals.count(referral, at=at)
    session.flush()
    conversion.outcome = _given(conversion, referral, pinned, offered, weighed, tuple(Beneficiary), at=at)


def earn_again(conversion: Conversion, referral: Referral, *, at: datetime) -> None:
    """What a conversion that counted gives the referrer whom its referral has now; what it gave the friend stays."""
    pinned = terms.version_of(referral.terms_id)
    offered = [rule for rule in rules.of_terms(pinned.id) if rule.goal == conversion.goal]
    before = conversions.counted_before(referral, conversion.goal)
    weighed = {
        rule.id: rules.work_out(rule, pinned, _facts(conversion, referral, rule, before))
        for rule in offered
        if not rule.threshold and rule.beneficiary == Beneficiary.REFERRER
    }
    kept = [said for said in conversion.outcome if said.get("beneficiary") == Beneficiary.REFEREE]
    again = _given(conversion, referral, pinned, offered, weighed, (Beneficiary.REFERRER,), at=at)
    conversion.outcome = kept + again


def _given(
    conversion: Conversion,
    referral: Referral,
    pinned: Terms,
    offered: list[Rule],
    weighed: dict[int, Computation],
    sides: tuple[Beneficiary, ...],
    *,
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
            outcome.append(_give(conversion, referral, best, pinned, weighed[best.id], others, at=at))
    for rule in offered:
        if rule.threshold and conversion.counted and rule.beneficiary in sides:
            worked = rules.work_out(rule, pinned, _facts(conversion, referral, rule, before=True))
            if worked.amount_minor:
                outcome.append(_give(conversion, referral, rule, pinned, worked, [], at=at))
            else:
                outcome.append({"beneficiary": rule.beneficiary, "rule_key": rule.rule_key, "why_not": worked.why_not})
    return outcome


def _facts(conversion: Conversion, referral: Referral, rule: Rule, before: bool) -> Facts:
    """What a rule needs to know; `before`: whether the goal was reached for this referral already."""
    person_id = referral.referrer_id if rule.beneficiary == Beneficiary.REFERRER else referral.referee_id
    return Facts(
        goal=conversion.goal,
        order_minor=conversion.amount_minor,
        occurred_at=conversion.occurred_at,
        joined_at=referral.joined_at,
        expires_at=referral.expires_at,
        earned_before=before,
        ordinal=rewards.next_ordinal(person_id, rule.rule_key),
        given=rewards.given(referral.id, person_id, rule.rule_key),
        friends=rewards.friends_counted(referral.referrer_id, conversion.goal) if rule.threshold else 0,
        reached=rewards.milestone_reached(person_id, rule) if rule.threshold else False,
    )


def _reached(conversion: Conversion, referral: Referral, computations: list[Computation], before: bool) -> bool:
    """Whether a goal counts as reached: in time, and by some rule's measure if there is one."""
    if not referral.joined_at <= conversion.occurred_at:
        return False
    if conversion.occurred_at > referral.expires_at and not before:
        return False
    fine = {None, "rounds_to_nothing", "only_the_first", "months_over", "outside_dates"}
    return not computations or any(computation.why_not in fine for computation in computations)


def _give(
    conversion: Conversion,
    referral: Referral,
    rule: Rule,
    pinned: Terms,
    computation: Computation,
    others: list[dict[str, Any]],
    *,
    at: datetime,
) -> dict[str, Any]:
    """Makes one reward, within what the caps of today leave a referrer; what became of it, for the outcome."""
    said = {"beneficiary": rule.beneficiary, "rule_key": rule.rule_key}
    person_id = referral.referrer_id if rule.beneficiary == Beneficiary.REFERRER else referral.referee_id
    amount, steps = computation.amount_minor, computation.steps + others
    if rule.beneficiary == Beneficiary.REFERRER:
        amount, steps = _within_caps(person_id, amount, steps, at=at)
    if amount == 0:
        return said | {"why_not": "cap_reached"}
    reward = rewards.make(
        conversion,
        referral,
        rule,
        pinned,
        person_id,
        Computation(amount, steps),
        ordinal=rewards.next_ordinal(person_id, rule.rule_key),
        at=at,
    )
    if reward is None:
        return said | {"why_not": "already_given"}
    return said | {"amount_minor": amount}


def _within_caps(
    person_id: int, amount: int, steps: list[dict[str, Any]], *, at: datetime
) -> tuple[int, list[dict[str, Any]]]:
    """What today's caps a month and a year leave of an amount, with the step that says so."""
    today = terms.in_force()
    caps: dict[Literal["month", "year"], int | None] = {
        "month": today.referrer_month_cap_minor,
        "year": today.referrer_year_cap_minor,
    }
    for period, cap in caps.items():
        if cap is None:
            continue
        used = rewards.given_since(person_id, today.currency, today.period_start(period, at=at))
        room = max(0, cap - used)
        if amount > room:
            amount = room
            steps = [*steps, {"step": "cap", "period": period, "cap_minor": cap, "amount_minor": room}]
    return amount, steps
