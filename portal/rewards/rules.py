"""Rules: what a goal earns, and the one function that works it out.

A rule belongs to a version of the terms; its `rule_key` survives versions. `work_out` is pure and gives the amount
together with its computation: a list of steps in words and numbers, kept with the reward and read by everybody.
"""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock, database, money
from portal.core.database import Json, Model, session
from portal.core.text import Refusal, marked, random_code
from portal.rewards import goals
from portal.terms import Terms


class Beneficiary(StrEnum):
    REFERRER = "referrer"
    REFEREE = "referee"


class Kind(StrEnum):
    FIXED = "fixed"
    SHARE = "share"


class Often(StrEnum):
    """For which conversions of one referral a rule earns. Of all rules for the first one of a goal that a side has, one
    gives once: there is but one first order."""

    FIRST = "first"
    EVERY = "every"


class RuleRefused(Refusal):
    """A rule that cannot be published. `column`: which of its columns says so; empty for the whole."""

    def __init__(self, message: str, column: str = "") -> None:
        super().__init__(message)
        self.column = column


def new_key() -> str:
    """A key for a rule that has none yet."""
    return random_code(12)


class Rule(Model):
    """One line of the offer. Amounts in minor units of the terms' currency, shares in basis points (100 = 1 %)."""

    __tablename__ = "rules"
    __table_args__ = (
        database.once("terms_id", "rule_key"),
        database.one_of("beneficiary", Beneficiary),
        database.one_of("kind", Kind),
        database.one_of("often", Often),
        database.rule("(kind = 'fixed') = (amount_minor IS NOT NULL)", "fixed_has_amount"),
        database.rule("(kind = 'share') = (share_bp IS NOT NULL)", "share_has_basis_points"),
        database.rule("amount_minor > 0", "amount_positive"),
        database.rule("share_bp BETWEEN 1 AND 10000", "share_within_the_whole"),
        database.rule("hold_days BETWEEN 0 AND 365", "hold_span"),
        database.whole(
            "amount_minor", "share_bp", "most_minor", "minimum_order_minor", "threshold", "months", "hold_days"
        ),
    )

    id: Mapped[int] = database.key()
    terms_id: Mapped[int] = database.refers_to("terms.id")
    rule_key: Mapped[str] = mapped_column(sa.String(16), default=new_key)
    goal: Mapped[str] = mapped_column(sa.String(32))
    beneficiary: Mapped[str] = mapped_column(sa.String(10))
    kind: Mapped[str] = mapped_column(sa.String(8))
    amount_minor: Mapped[int | None]
    share_bp: Mapped[int | None]
    most_minor: Mapped[int | None]
    """The most that one reward by a share can be."""
    minimum_order_minor: Mapped[int | None]
    often: Mapped[str] = mapped_column(sa.String(8), default=Often.FIRST)
    months: Mapped[int | None]
    """For `every`: only up to this many months after joining."""
    hold_days: Mapped[int] = mapped_column(default=30)
    tiers: Mapped[Any] = mapped_column(Json, default=list)
    """`[{"from": 5, "amount_minor": 1500}, …]`: from the 5th reward of a person by this rule on, this instead.
    For a share, `share_bp` stands in place of `amount_minor`."""
    threshold: Mapped[int | None]
    """A milestone: this many counted friends, once, on top of everything else."""
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    """The last day, by the terms' time zone."""


@dataclass(frozen=True)
class Facts:
    """What a rule needs to know of a conversion and of those it concerns."""

    goal: str
    order_minor: int | None
    occurred_at: datetime
    joined_at: datetime
    expires_at: datetime
    earned_before: bool
    """Whether this goal was counted for this referral before: then expiry is past."""
    ordinal: int = 1
    """Which reward of this person by this rule it would be, counting from 1."""
    counts_as: int | None = None
    """As which one it is worked out all the same, where somebody has put this person at a step of the tiers."""
    set_by: str = ""
    """Who has, by public id."""
    given: bool = False
    """Whether a rule for the first one of this goal and side has given this person something for this referral."""
    friends: int = 0
    """How many friends of the referrer have reached the goal, this one included."""
    reached: bool = False
    """Whether the milestone's bonus is there already."""


@dataclass(frozen=True)
class Computation:
    """An amount and how it came about. No amount: `why_not` names the reason."""

    amount_minor: int
    steps: list[dict[str, Any]] = field(default_factory=list)
    why_not: str | None = None


def work_out(rule: Rule, terms: Terms, facts: Facts) -> Computation:
    """What a rule gives for a conversion, and every step of it. Rounds half-up, once."""
    why_not = _does_not_apply(rule, terms, facts)
    if why_not:
        return Computation(0, why_not=why_not)
    number = facts.counts_as or facts.ordinal
    tier = max((t for t in rule.tiers if t["from"] <= number), key=lambda t: t["from"], default=None)
    steps: list[dict[str, Any]] = []
    if rule.tiers and facts.counts_as:
        first = tier["from"] if tier else 1
        steps.append({"step": "tier_set", "from": first, "ordinal": facts.ordinal, "by": facts.set_by})
    elif tier:
        steps.append({"step": "tier", "from": tier["from"], "ordinal": facts.ordinal})
    if rule.threshold:
        steps.append({"step": "milestone", "threshold": rule.threshold})
    if rule.kind == Kind.FIXED:
        amount: int = tier["amount_minor"] if tier else rule.amount_minor or 0
        steps.append({"step": "fixed", "amount_minor": amount})
    else:
        share_bp: int = tier["share_bp"] if tier else rule.share_bp or 0
        amount = money.share(facts.order_minor or 0, share_bp)
        steps.append({"step": "share", "share_bp": share_bp, "order_minor": facts.order_minor, "amount_minor": amount})
        if rule.most_minor is not None and amount > rule.most_minor:
            amount = rule.most_minor
            steps.append({"step": "most", "amount_minor": amount})
    if rule.minimum_order_minor:
        steps.append(
            {"step": "minimum_met", "minimum_minor": rule.minimum_order_minor, "order_minor": facts.order_minor}
        )
    return Computation(amount, steps, why_not=None if amount > 0 else "rounds_to_nothing")


def _does_not_apply(rule: Rule, terms: Terms, facts: Facts) -> str | None:
    if rule.goal != facts.goal:
        return "other_goal"
    if facts.occurred_at < facts.joined_at:
        return "before_joining"
    if facts.occurred_at > facts.expires_at and not facts.earned_before:
        return "expired"
    day = terms.day(facts.occurred_at)
    if (rule.starts_on and day < rule.starts_on) or (rule.ends_on and day > rule.ends_on):
        return "outside_dates"
    if rule.minimum_order_minor and (facts.order_minor or 0) < rule.minimum_order_minor:
        return "below_minimum"
    if rule.threshold:
        return "already_given" if facts.reached else None if facts.friends >= rule.threshold else "not_enough_friends"
    if rule.often == Often.FIRST and facts.given:
        return "only_the_first"
    if rule.months and facts.occurred_at > add_months(facts.joined_at, rule.months, terms.time_zone):
        return "months_over"
    return None


def add_months(at: datetime, months: int, time_zone: str) -> datetime:
    """The same time of day so many months later by a time zone's calendar; the 31st becomes the month's last."""
    local = at.astimezone(ZoneInfo(time_zone))
    year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
    day = min(local.day, monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day).astimezone(at.tzinfo)


def hold_until(rule: Rule, occurred_at: datetime) -> datetime:
    """When a reward's hold has passed: by the moment of the order, never by its arrival."""
    return occurred_at + clock.days(rule.hold_days)


def of_terms(terms_id: int) -> list[Rule]:
    return list(session.scalars(sa.select(Rule).where(Rule.terms_id == terms_id).order_by(Rule.id)))


def best(offered: Sequence[Rule], terms: Terms, *, at: datetime) -> dict[str, Rule]:
    """For each side the best that a friend's first order can bring by an offer, by the rules of this day: that is what
    pages and mails promise.

    The goal that the terms ask for goes before others, a fixed amount before a share, whose worth nobody knows yet.
    """
    day = terms.day(at)
    found: dict[str, Rule] = {}
    for rule in offered:
        if rule.threshold or (rule.starts_on and day < rule.starts_on) or (rule.ends_on and day > rule.ends_on):
            continue
        known = found.get(rule.beneficiary)
        if known is None or _worth(rule, terms) > _worth(known, terms):
            found[rule.beneficiary] = rule
    return found


def _worth(rule: Rule, terms: Terms) -> tuple[bool, bool, int, int]:
    """By what one rule is told to be better than another before there is an order."""
    most = money.LARGEST_MINOR if rule.most_minor is None else rule.most_minor
    return rule.goal == terms.goal, rule.kind == Kind.FIXED, rule.amount_minor or rule.share_bp or 0, most


def tier_starts(offered: Sequence[Rule]) -> list[int]:
    """The numbers of rewards at which a referrer's tiers begin by an offer, the first reward before all; none if there
    are no tiers."""
    later = {tier["from"] for rule in offered if rule.beneficiary == Beneficiary.REFERRER for tier in rule.tiers or []}
    return [1, *sorted(later)] if later else []


def latest() -> list[Rule]:
    """Every rule there ever was, as it was last offered."""
    last = sa.select(sa.func.max(Rule.id)).group_by(Rule.rule_key)
    return list(session.scalars(sa.select(Rule).where(Rule.id.in_(last)).order_by(Rule.id)))


def set_rules(terms: Terms, rules: Sequence[Rule]) -> None:
    """Gives a new version of the terms its rules. Raises RuleRefused for one that cannot be meant."""
    for rule in rules:
        check(rule)
        rule.terms_id = terms.id
        session.add(rule)
    session.flush()


def with_it(offer: Sequence[Rule], rule: Rule) -> list[Rule]:
    """An offer with a rule put into it: in the place of the one whose `rule_key` it has, or at the end.

    Raises RuleRefused where it cannot be meant, or is there already as another.
    """
    check(rule)
    if rule.goal == goals.SIGNUP and rule.minimum_order_minor:
        told = marked("A sign-up is no order with an amount: leave this empty, or choose something else under For.")
        raise RuleRefused(told, "minimum_order_minor")
    if rule.goal == goals.SIGNUP and rule.kind == Kind.SHARE:
        told = marked("A sign-up is no order with an amount: take a fixed amount, or choose something else under For.")
        raise RuleRefused(told, "kind")
    if any(same(rule, other) for other in offer if other.rule_key != rule.rule_key):
        raise RuleRefused(marked("This rule is in the offer already."))
    if rule.rule_key not in {other.rule_key for other in offer}:
        return [*offer, rule]
    return [rule if other.rule_key == rule.rule_key else other for other in offer]


def check(rule: Rule) -> None:
    """Raises RuleRefused for a rule that cannot be published."""
    if rule.kind == Kind.FIXED and not 0 < (rule.amount_minor or 0) <= money.LARGEST_MINOR:
        raise RuleRefused(marked("A fixed amount is above zero."), "amount_minor")
    if rule.kind == Kind.SHARE and not 0 < (rule.share_bp or 0) <= 10_000:
        raise RuleRefused(marked("A share is more than 0 % and at most 100 %."), "share_bp")
    if rule.threshold is not None and (rule.threshold < 1 or rule.beneficiary != Beneficiary.REFERRER):
        raise RuleRefused(
            marked(
                "A bonus for so many friends is for the referrer, and for at least one friend. Else leave this empty."
            ),
            "threshold",
        )
    if not 0 <= rule.hold_days <= 365:
        raise RuleRefused(marked("A hold lasts from 0 to 365 days."), "hold_days")
    if rule.starts_on and rule.ends_on and rule.ends_on < rule.starts_on:
        raise RuleRefused(marked("The last day does not come before the first."), "ends_on")
    wanted = "amount_minor" if rule.kind == Kind.FIXED else "share_bp"
    if len({tier.get("from") for tier in rule.tiers or []}) < len(rule.tiers or []):
        raise RuleRefused(marked("Two steps begin at the same reward."), "tiers")
    for tier in rule.tiers or []:
        if (
            set(tier) != {"from", wanted}
            or tier["from"] < 2
            or not 0 < tier[wanted] <= (money.LARGEST_MINOR if rule.kind == Kind.FIXED else 10_000)
        ):
            raise RuleRefused(marked("A step begins at the 2nd reward or later and gives more than nothing."), "tiers")


def same(one: Rule, other: Rule) -> bool:
    """Whether two rules say the same: sent twice, a bonus on top would be paid twice."""
    left_out = {"id", "terms_id", "rule_key"}
    return all(getattr(one, c.key) == getattr(other, c.key) for c in Rule.__table__.columns if c.key not in left_out)


def copied(rule: Rule) -> Rule:
    """The same rule for another version of the terms."""
    left_out = {"id", "terms_id"}
    return Rule(**{c.key: getattr(rule, c.key) for c in Rule.__table__.columns if c.key not in left_out})


def in_currency(offer: Sequence[Rule], old: str, new: str) -> list[Rule]:
    """Copies of an offer for another version of the terms; in another currency amounts read the same: 10.00 as 10."""

    def amount(minor: int | None) -> int | None:
        return None if minor is None else money.half_up(minor * 10 ** money.digits(new), 10 ** money.digits(old))

    copies = [copied(rule) for rule in offer]
    for rule in copies if old != new else []:
        rule.amount_minor, rule.most_minor = amount(rule.amount_minor), amount(rule.most_minor)
        rule.minimum_order_minor = amount(rule.minimum_order_minor)
        rule.tiers = [
            tier | {"amount_minor": amount(tier["amount_minor"])} if "amount_minor" in tier else tier
            for tier in rule.tiers or []
        ]
    return copies
