"""Rules: what a goal earns, worked out from facts alone. Each answer brings its computation or says why not."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from portal import terms
from portal.core import money
from portal.payouts import vouchers
from portal.rewards import rules
from portal.rewards.conversions import Customer
from portal.rewards.rules import Facts, Rule
from portal.terms import Terms
from tests.factories import EVERY, NOON, REFEREE, Scene, fixed, milestone, share

BERLIN = Terms(time_zone="Europe/Berlin", currency="EUR")
UTC_TERMS = Terms(time_zone="UTC", currency="EUR", goal="purchase")


def facts(order_minor: int | None = 6400, *, days: float = 1, **more: Any) -> Facts:
    given: dict[str, Any] = {
        "goal": "purchase",
        "order_minor": order_minor,
        "occurred_at": NOON + timedelta(days=days),
        "joined_at": NOON,
        "expires_at": NOON + timedelta(days=90),
        "earned_before": False,
    }
    return Facts(**given | more)


def amount(rule: Rule, given: Facts, on: Terms = UTC_TERMS) -> int:
    return rules.work_out(rule, on, given).amount_minor


def why_not(rule: Rule, given: Facts, on: Terms = UTC_TERMS) -> str | None:
    return rules.work_out(rule, on, given).why_not


def with_defaults(rule: Rule) -> Rule:
    """As the table would fill it in."""
    rule.often, rule.tiers = rule.often or "first", rule.tiers or []
    return rule


@pytest.fixture(autouse=True)
def _rules_know_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    real = rules.work_out
    monkeypatch.setattr(rules, "work_out", lambda rule, on, given: real(with_defaults(rule), on, given))


# --- amounts --------------------------------------------------------------------------------------------------


@pytest.mark.case(71)
@pytest.mark.parametrize(
    ("order_minor", "basis_points", "expected"),
    [
        (500, 290, 15),
        (15, 1000, 2),
        (3, 2000, 1),
        (1, 5000, 1),
        (9999, 750, 750),
        (1, 4999, 0),
        (10**12 - 1, 10_000, 10**12 - 1),
    ],
)
def test_a_share_is_rounded_half_up_once(order_minor: int, basis_points: int, expected: int) -> None:
    assert money.share(order_minor, basis_points) == expected
    assert amount(share(basis_points), facts(order_minor)) == expected


@pytest.mark.parametrize(
    ("top", "bottom", "expected"), [(1, 2, 1), (-1, 2, -1), (5, 10, 1), (4, 10, 0), (-5, 10, -1), (0, 7, 0)]
)
def test_half_goes_away_from_zero_on_both_sides(top: int, bottom: int, expected: int) -> None:
    assert money.half_up(top, bottom) == expected


def test_what_rounds_to_nothing_is_no_reward() -> None:
    assert why_not(share(1), facts(4999)) == "rounds_to_nothing"
    assert amount(share(1), facts(5000)) == 1


def test_a_share_stops_at_its_most_and_says_so() -> None:
    worked = rules.work_out(share(1000, most_minor=500), UTC_TERMS, facts(6400))
    assert worked.amount_minor == 500
    assert [step["step"] for step in worked.steps] == ["share", "most"]
    assert [step["amount_minor"] for step in worked.steps] == [640, 500]


# --- conditions -----------------------------------------------------------------------------------------------


@pytest.mark.case(59)
@pytest.mark.parametrize(("order_minor", "expected"), [(4999, 0), (5000, 1000), (5001, 1000)])
def test_a_minimum_order_is_met_by_exactly_itself(order_minor: int, expected: int) -> None:
    rule = fixed(1000, minimum_order_minor=5000)
    assert amount(rule, facts(order_minor)) == expected
    assert why_not(rule, facts(4999)) == "below_minimum"
    assert why_not(rule, facts(None)) == "below_minimum"


@pytest.mark.case(68)
@pytest.mark.parametrize(
    ("at", "inside"),
    [
        (datetime(2026, 10, 24, 21, 59, 59, 999999, tzinfo=UTC), False),
        (datetime(2026, 10, 24, 22, 0, tzinfo=UTC), True),  # 25 October, 0:00 in Berlin, still summer time
        (datetime(2026, 10, 25, 22, 59, 59, 999999, tzinfo=UTC), True),  # that day has 25 hours
        (datetime(2026, 10, 25, 23, 0, tzinfo=UTC), False),
    ],
)
def test_a_rules_dates_go_by_the_terms_time_zone_the_last_day_included(at: datetime, inside: bool) -> None:
    rule = fixed(1000, starts_on=date(2026, 10, 25), ends_on=date(2026, 10, 25))
    assert (why_not(rule, facts(occurred_at=at), BERLIN) is None) == inside


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), True),  # 29 March, 0:00 in Berlin; that day has 23 hours
        (datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 3, 29, 22, 0, tzinfo=UTC), False),
    ],
)
def test_the_day_on_which_the_clocks_go_forward_is_a_day_too(at: datetime, inside: bool) -> None:
    rule = fixed(1000, starts_on=date(2026, 3, 29), ends_on=date(2026, 3, 29))
    given = facts(occurred_at=at, joined_at=at - timedelta(days=1), expires_at=at + timedelta(days=1))
    assert (why_not(rule, given, BERLIN) is None) == inside


def test_an_order_from_before_joining_earns_nothing_one_at_the_moment_does() -> None:
    assert why_not(fixed(1000), facts(days=-1 / 86400)) == "before_joining"
    assert why_not(fixed(1000), facts(days=0)) is None


@pytest.mark.case(28)
def test_the_last_moment_before_expiry_counts() -> None:
    assert why_not(fixed(1000), facts(days=90)) is None
    late = facts(occurred_at=NOON + timedelta(days=90, microseconds=1))
    assert why_not(fixed(1000), late) == "expired"
    assert why_not(fixed(1000, **EVERY), facts(days=91, earned_before=True)) is None, (
        "a referral that counted does not expire"
    )


@pytest.mark.case(58)
def test_twelve_months_end_on_the_same_day_of_the_year_by_the_calendar() -> None:
    rule = fixed(1000, **EVERY, months=12)
    last = NOON.replace(year=2027)
    assert why_not(rule, facts(occurred_at=last, earned_before=True)) is None
    assert why_not(rule, facts(occurred_at=last + timedelta(microseconds=1), earned_before=True)) == "months_over"


@pytest.mark.parametrize(
    ("joined", "months", "expected"),
    [
        (datetime(2026, 1, 31, 12, tzinfo=UTC), 1, datetime(2026, 2, 28, 12, tzinfo=UTC)),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), 12, datetime(2025, 2, 28, 12, tzinfo=UTC)),
        (datetime(2026, 12, 15, 12, tzinfo=UTC), 1, datetime(2027, 1, 15, 12, tzinfo=UTC)),
        # 12:00 in Berlin stays 12:00 there, though it is another hour in UTC after the clocks have changed.
        (datetime(2026, 10, 10, 10, tzinfo=UTC), 1, datetime(2026, 11, 10, 11, tzinfo=UTC)),
    ],
)
def test_a_month_later_is_the_same_day_or_the_months_last(joined: datetime, months: int, expected: datetime) -> None:
    zone = "Europe/Berlin" if joined.hour == 10 else "UTC"
    assert rules.add_months(joined, months, zone) == expected


@pytest.mark.case(57)
def test_the_first_only_is_the_first_only() -> None:
    assert why_not(fixed(1000), facts(given=True)) == "only_the_first"
    assert why_not(fixed(1000, **EVERY), facts(given=True)) is None


def test_what_is_promised_is_the_best_that_a_first_order_can_bring() -> None:
    def best(*offered: Rule) -> Rule | None:
        return rules.best(offered, UTC_TERMS, at=NOON).get("referrer")

    small, large, part, bonus = fixed(1000), fixed(2000), share(5000), milestone(1, 9000)
    hello, over, ahead = (
        fixed(9000, goal="signup"), fixed(9000, ends_on=date(2026, 1, 1)), fixed(9000, starts_on=date(2099, 1, 1)),
    )  # fmt: skip
    assert best(small, bonus, hello, over, ahead, large, part) is large
    assert best(part, bonus, hello, over) is part and best(share(100), part, share(300, most_minor=900)) is part
    assert best(hello, bonus) is hello and best(bonus, over) is None
    today = fixed(1500, starts_on=NOON.date(), ends_on=NOON.date())
    assert best(small, today) is today


@pytest.mark.case(64)
def test_a_tier_begins_with_its_reward_and_the_highest_reached_counts() -> None:
    tiers = [{"from": 10, "amount_minor": 3000}, {"from": 5, "amount_minor": 1500}]
    rule = fixed(1000, **EVERY, tiers=tiers)
    assert [amount(rule, facts(ordinal=n)) for n in (1, 4, 5, 9, 10, 99)] == [1000, 1000, 1500, 1500, 3000, 3000]
    worked = rules.work_out(rule, UTC_TERMS, facts(ordinal=5))
    assert worked.steps[0] == {"step": "tier", "from": 5, "ordinal": 5}


@pytest.mark.case(63)
def test_a_milestone_is_reached_by_exactly_its_number_of_friends() -> None:
    rule = milestone(3, 5000)
    assert [why_not(rule, facts(friends=n)) for n in (2, 3, 4)] == ["not_enough_friends", None, None]
    assert why_not(rule, facts(friends=3, reached=True)) == "already_given"


def test_a_hold_goes_by_the_order_and_a_day_is_24_hours() -> None:
    at = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert rules.hold_until(fixed(1000, hold_days=14), at) == at + timedelta(hours=14 * 24)


# --- what can be published ------------------------------------------------------------------------------------


@pytest.mark.case(75)
@pytest.mark.parametrize(
    "rule",
    [
        fixed(0),
        fixed(-1),
        fixed(10**12),
        share(0),
        share(10_001),
        share(-5),
        fixed(1000, hold_days=-1),
        fixed(1000, hold_days=366),
        milestone(0, 1000),
        fixed(1000, threshold=3, to=REFEREE),
        fixed(1000, tiers=[{"from": 1, "amount_minor": 2000}]),
        fixed(1000, tiers=[{"from": 5, "amount_minor": 0}]),
        fixed(1000, tiers=[{"from": 5, "share_bp": 100}]),
        fixed(1000, tiers=[{"from": 5}]),
        share(1000, tiers=[{"from": 5, "share_bp": 10_001}]),
        share(1000, tiers=[{"from": 5, "amount_minor": 100}]),
    ],
)
def test_a_rule_that_cannot_be_meant_is_not_published(scene: Scene, rule: Rule) -> None:
    version = terms.in_force().version
    with pytest.raises(rules.RuleRefused):
        scene.publish(rules.copied(rule))
    assert terms.in_force().version == version


@pytest.mark.parametrize("what", ["a friend", "an order of nobody's", "a voucher", "a correction"])
def test_the_currency_can_be_mended_until_something_is_kept_in_it(scene: Scene, what: str) -> None:
    alice = scene.alice
    scene.publish(currency="USD")
    assert terms.in_force().currency == "USD"
    if what == "a friend":
        assert scene.bob and scene.referral(scene.bob)
    elif what == "an order of nobody's":
        scene.order(Customer(email="nobody@example.com"), currency="USD")
    elif what == "a voucher":
        scene.do(lambda: vouchers.add(["CODE"], value_minor=500, currency="USD", at=scene.at))
    else:
        scene.correct(alice, 500)
    with pytest.raises(terms.TermsRefused, match="stays what it is"):
        scene.publish(currency="EUR")
    assert terms.in_force().currency == "USD"


def test_an_offer_reads_the_same_in_another_currency() -> None:
    offer = [
        fixed(1050, minimum_order_minor=3000, tiers=[{"from": 2, "amount_minor": 1500}]),
        share(250, most_minor=900),
    ]
    yen, part = rules.in_currency(offer, "EUR", "JPY")
    assert (yen.amount_minor, yen.minimum_order_minor, yen.tiers) == (11, 30, [{"from": 2, "amount_minor": 15}])
    assert (part.share_bp, part.most_minor, offer[0].amount_minor) == (250, 9, 1050)
    assert rules.in_currency(offer, "EUR", "KWD")[0].amount_minor == 10_500
