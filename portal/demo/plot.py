"""The plot: the demo's program, and everything that happens in it, in any order."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from portal import program, terms
from portal.demo import arrivals, earnings
from portal.demo.people import BEGAN, GRETA, MANY, OLIVIA, TIERS_SINCE
from portal.demo.storyteller import Step, Storyteller, email
from portal.rewards import rules
from portal.rewards.rules import Beneficiary, Rule


def steps(story: Storyteller) -> Iterator[Step]:
    """Everything that happens, in any order."""
    yield Step(BEGAN, partial(_open, story))
    yield Step(TIERS_SINCE, partial(_add_tiers, story))
    yield Step(TIERS_SINCE - 0.2, partial(_set_step, story))
    yield from arrivals.arrivals(story)
    yield from earnings.orders(story)
    yield from earnings.payouts(story)
    for day in range(BEGAN):
        yield Step(day + 0.01, _turn_of_the_worker)


def _open(story: Storyteller, at: datetime) -> None:
    program.mark_as_sample(at=at)
    olivia = story.known(program.add_owner(email(OLIVIA), name=OLIVIA, password=story.password, at=at))
    program.open_program(
        [_rule(side) for side in Beneficiary],
        by=olivia.id,
        at=at,
        program_name="Fernhill Coffee",
        currency="EUR",
        time_zone="Europe/Berlin",
        goal_days=45,
        minimum_payout_minor=1000,
        pay_day=1,
        review_days=5,
        second_person_above_minor=1500,
        shop_url="https://shop.demo.example.com",
        product_text="Coffee from six growers we know by name, roasted on Tuesdays and at your door on Thursdays.\n"
        "No subscription: order when the tin is empty.",
        privacy_text="Fernhill Coffee, Mill Lane 4, is responsible for what this portal keeps. We use it to run the "
        "program and to pay what was earned, and for nothing else.",
        legal_text="New customers only. One gift per household. Orders that are given back earn nothing.",
        help_contact="help@demo.example.com",
    )


def _rule(side: Beneficiary) -> Rule:
    return Rule(
        goal="purchase", beneficiary=side, kind="fixed", amount_minor=1000, minimum_order_minor=3000, hold_days=14
    )


def _add_tiers(story: Storyteller, at: datetime) -> None:
    """Who brings many gets more: friends who join from now on count by this."""
    current = terms.in_force()
    rule = next(rule for rule in rules.of_terms(current.id) if rule.beneficiary == Beneficiary.REFERRER)
    more = _rule(Beneficiary.REFERRER)
    more.rule_key, more.tiers = rule.rule_key, [{"from": MANY, "amount_minor": 1250}]
    program.change_program(current.version, put=more, by=story.number(OLIVIA), at=at)


def _set_step(story: Storyteller, at: datetime) -> None:
    note = "Writes about us every month; agreed with her."
    program.set_tier(story.who(GRETA), MANY, note=note, by=story.number(OLIVIA), at=at)


def _turn_of_the_worker(at: datetime) -> None:
    program.release_due(at=at)
    program.expire_due(at=at)
