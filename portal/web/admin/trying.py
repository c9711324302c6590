"""A test conversion: what the API would make of an order, shown and not kept."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue

from portal import program
from portal.accounts import users
from portal.accounts.users import BadAddress, User
from portal.core import clock, database, money
from portal.core.text import public_id
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.reports import desk
from portal.rewards import goals
from portal.rewards.conversions import Answer, ReportRefused
from portal.web import access, answers, api, inputs, words
from portal.web.admin import orders
from portal.web.admin.room import blueprint, settings
from portal.web.inputs.money import TestOrder

EXAMPLE_MINOR = 6400


@dataclass(frozen=True)
class Tried:
    """What came of an order before it was taken back: what was sent, the status and the answer, and in the words of the
    desk whose referral it counts for, who would earn what, and why a rule gives nothing."""

    sent: str
    status: int
    answer: str
    referral: Referral | None
    rewards: list[tuple[User, answers.Reward]]
    outcome: list[dict[str, Any]]

    @property
    def waits(self) -> bool:
        """Whether its customer is not known."""
        return self.status == api.STATUS[Answer.WAITING]


@blueprint.get("/developers/test")
@access.needs("own")
def test_conversion() -> ResponseReturnValue:
    """The form, filled with a friend whose order is likely to count and the amount of the examples."""
    latest, _ = desk.referrals_listed()
    latest.sort(
        key=lambda one: (not one.referee.known, one.counted_at is not None or not words.is_ahead(one.expires_at))
    )
    amount = words.typed(money.plain(EXAMPLE_MINOR, words.in_force().currency))
    given = {"customer_email": latest[0].referee.email if latest else "", "goal": goals.PURCHASE, "amount": amount}
    return _page(TestOrder(formdata=None, data=given))


def _page(form: TestOrder, tried: Tried | None = None) -> str:
    return render_template(
        "admin/test_conversion.html", form=_filled(form), tried=tried, base_url=settings().base_url,
        currency=words.in_force().currency, paused=not words.in_force().open_to_new,
    )  # fmt: skip


def _filled(form: TestOrder) -> TestOrder:
    """With every goal: of one that is not the shop's to report, the API says so."""
    form.goal.choices = {goal.name: words.ready(goal.label) for goal in reversed(goals.listed())}
    return form


@blueprint.post("/developers/test")
@access.needs("own")
def try_conversion() -> ResponseReturnValue:
    """Does what the API does with such an order, shows what came of it, and keeps nothing."""
    form = _filled(TestOrder())
    if not form.validate() or not inputs.fields.read_amounts(form, words.in_force().currency):
        return _page(form), 422
    try:
        return _page(form, _tried(form))
    except api.BodyRefused as refusal:
        for error in refusal.args[0]:
            orders.field_of(form, error["field"], "customer_email").errors = [error["message"]]
    except (ReportRefused, BadAddress) as refusal:
        orders.say_at_field(form, refusal, "customer_email")
    return _page(form), 422


def _tried(form: TestOrder) -> Tried:
    """Raises BodyRefused, ReportRefused, BadAddress."""
    from portal.web.bodies import ConversionIn

    sent = dict(_sent(form))
    body, at = api.read(ConversionIn, sent), clock.now()
    report = api.order_of(body, at=at)
    with database.rehearsing():
        reported = program.convert(report, at=at)
        said = api.conversion_told(reported.conversion)
        outcome, status = list(reported.conversion.outcome or []), api.STATUS[reported.answer]
    people = [(users.find_by_public_id(reward.user), reward) for reward in said.rewards]
    return Tried(
        sent=json.dumps(sent, indent=2, ensure_ascii=False),
        status=status,
        answer=json.dumps(answers.as_json(said), indent=2, ensure_ascii=False),
        referral=referrals.find(said.referral) if said.referral else None,
        rewards=[(person, reward) for person, reward in people if person is not None],
        outcome=[line for line in outcome if "why_not" in line],
    )


def _sent(form: TestOrder) -> Iterator[tuple[str, Any]]:
    """The body of the call, with an id that no order has."""
    yield "goal", form.goal.data
    yield "external_id", f"test-{public_id()}"
    named = {"external_id": form.customer_external_id.data, "email": form.customer_email.data}
    yield "customer", {name: (value or "").strip() for name, value in named.items() if (value or "").strip()}
    if form.amount.minor is not None:
        yield "amount_minor", form.amount.minor
        yield "currency", words.in_force().currency
