"""Offers: the rules that a program publishes, in one line each."""

from typing import Any

from portal.rewards import goals, rules
from portal.rewards.rules import Beneficiary, Often, Rule

REFERRER, REFEREE = Beneficiary.REFERRER, Beneficiary.REFEREE


def fixed(
    amount_minor: int, *, to: Beneficiary = REFERRER, goal: str = goals.PURCHASE, hold_days: int = 30, **more: Any
) -> Rule:
    """A rule that gives an amount for a goal."""
    return Rule(
        goal=goal, beneficiary=to, kind=rules.Kind.FIXED, amount_minor=amount_minor, hold_days=hold_days, **more
    )


def share(
    share_bp: int, *, to: Beneficiary = REFERRER, goal: str = goals.PURCHASE, hold_days: int = 30, **more: Any
) -> Rule:
    """A rule that gives a share of the order; 100 basis points are 1 %."""
    return Rule(goal=goal, beneficiary=to, kind=rules.Kind.SHARE, share_bp=share_bp, hold_days=hold_days, **more)


def milestone(
    threshold: int, amount_minor: int, *, goal: str = goals.PURCHASE, hold_days: int = 30, **more: Any
) -> Rule:
    """A rule that gives a bonus when so many friends have reached a goal."""
    return fixed(amount_minor, goal=goal, hold_days=hold_days, threshold=threshold, **more)


def offer() -> list[Rule]:
    """The usual offer of the tests: 20.00 for a friend's first order, held for 30 days."""
    return [fixed(2000)]


EVERY = {"often": Often.EVERY}
"""For a rule that earns for every order, not for the first only."""
