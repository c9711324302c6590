"""The API: a shop's program tells of customers, orders and refunds, and reads what became of them.

JSON in and out; a key in `Authorization: Bearer`; errors as problem+json. Strict: amounts are JSON integers.

Bodies are imported where one is read: Pydantic takes a fifteenth of a start, and most processes never need it.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from flask import Blueprint, g, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest

from portal import program, terms
from portal.accounts import api_keys, users
from portal.core import clock, database
from portal.notices import events
from portal.payouts.payouts import Payout
from portal.referrals import candidates, referrals
from portal.referrals.attribution import How
from portal.referrals.referrals import Referral
from portal.reports import lists, status
from portal.rewards import clawbacks, conversions, ledger, refunds, rewards
from portal.rewards.conversions import Answer, Conversion, Customer, OrderReport, ReportRefused
from portal.rewards.ledger import Bucket
from portal.rewards.refunds import Refund, RefundReason, RefundReport, ReinstatementReport
from portal.rewards.rewards import Reward
from portal.rewards.rules import Beneficiary
from portal.web import answers, limits, problems, words

if TYPE_CHECKING:
    from portal.web.bodies import CustomerRef

blueprint = Blueprint("api", __name__, url_prefix="/api")

USUAL, MOST = 50, 200
"""How many are on a page of a list: unless it is said, and at most."""
NO_PAGE = "There is no such page."


def keyed(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Lets in only who brings a live key."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        key = api_keys.find(secret.strip(), at=clock.now()) if scheme.lower() == "bearer" and secret else None
        if key is None:
            return problems.answer(401, "Send a live API key as Authorization: Bearer <key>.")
        g.api_key_id = key.id
        return view(*args, **kwargs)

    return limits.api(guarded)


class BodyRefused(Exception):
    """A body of which some fields cannot be taken; its argument is what the answer says of each."""


class NotJson(Exception):
    """A body that cannot be read."""


def told(model: type[Any]) -> Any:
    """The body of this request as a model. Raises BodyRefused, or NotJson."""
    from pydantic import ValidationError

    try:
        given = request.get_json(force=True, silent=False)
    except (BadRequest, UnicodeDecodeError, RecursionError) as error:
        raise NotJson from error
    if not isinstance(given, dict):
        raise BodyRefused([{"field": "body", "message": "Send an object, such as {}."}])
    try:
        return model.model_validate(given)
    except ValidationError as refusal:
        errors = [
            {
                "field": ".".join(str(part) for part in one["loc"]) or "body",
                "message": one["msg"].removeprefix("Value error, "),
            }
            for one in refusal.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise BodyRefused(errors) from refusal


@blueprint.errorhandler(NotJson)
def _not_json(_error: NotJson) -> ResponseReturnValue:
    return problems.answer(400, "The body is not JSON that can be read. Nothing was stored.")


@blueprint.errorhandler(BodyRefused)
def _invalid(refusal: BodyRefused) -> ResponseReturnValue:
    errors = refusal.args[0][:50]
    return problems.answer(422, "Some fields cannot be taken. Nothing was stored.", errors=errors)


@blueprint.errorhandler(ReportRefused)
def _refused(refusal: ReportRefused) -> ResponseReturnValue:
    errors = [{"field": refusal.field, "message": words.say(refusal)}]
    return problems.answer(422, "Some fields cannot be taken. Nothing was stored.", errors=errors)


@blueprint.errorhandler(users.BadAddress)
def _bad_address(refusal: users.BadAddress) -> ResponseReturnValue:
    return problems.answer(422, "Nothing was stored.", errors=[{"field": "email", "message": words.say(refusal)}])


@blueprint.errorhandler(terms.TermsRefused)
def _not_set_up(refusal: terms.TermsRefused) -> ResponseReturnValue:
    return problems.answer(409, words.say(refusal))


# --- told by the shop -----------------------------------------------------------------------------------------


@blueprint.post("/v1/customers")
@keyed
def customers() -> ResponseReturnValue:
    """A customer, with the code they came with if any."""
    from portal.web.bodies import CustomerIn

    body: CustomerIn = told(CustomerIn)
    at = clock.now()
    with database.writing():
        user, new = program.report_customer(
            Customer(body.external_id, body.email),
            name=body.name,
            code=body.code,
            signed_up_at=body.signed_up_at,
            at=at,
        )
        referral = referrals.of_referee(user.id)
        unknown = bool(body.code) and candidates.by_code(body.code, at=at) is None
        said = answers.Customer(
            id=user.public_id,
            external_id=user.external_id,
            referral=_referral(referral) if referral else None,
            note="This code leads to nobody, so nobody is credited." if unknown else None,
        )
        api_keys.see(g.api_key_id, at=at)
    return answers.answer(said, 201 if new else 200)


@blueprint.post("/v1/conversions")
@keyed
def convert() -> ResponseReturnValue:
    """A goal that was reached."""
    from portal.web.bodies import ConversionIn

    body: ConversionIn = told(ConversionIn)
    at = clock.now()
    currency = body.currency or (terms.in_force().currency if body.amount_minor is not None else None)
    report = OrderReport(
        goal=body.goal,
        external_id=body.external_id,
        customer=_customer(body.customer),
        occurred_at=body.occurred_at or at,
        amount_minor=body.amount_minor,
        currency=currency,
    )
    with database.writing():
        reported = program.convert(report, at=at)
        said = _conversion(reported.conversion)
        api_keys.see(g.api_key_id, at=at)
    return _answered(said, reported.answer, "This external_id was told before with other facts. Nothing was changed.")


def _customer(given: "CustomerRef") -> Customer:
    return Customer(given.external_id, users.clean_email(given.email) if given.email else None)


@blueprint.post("/v1/refunds")
@keyed
def refund() -> ResponseReturnValue:
    """Money given back, of an order that may not be known yet."""
    from portal.web.bodies import RefundIn

    body: RefundIn = told(RefundIn)
    at = clock.now()
    reason = RefundReason(body.reason)
    report = RefundReport(body.external_id, body.conversion_external_id, body.amount_minor, reason=reason)
    with database.writing():
        refunded = program.refund(report, at=at)
        said = _refund(refunded.refund)
        api_keys.see(g.api_key_id, at=at)
    return _answered(said, refunded.answer, "This external_id was told before with other facts. Nothing was changed.")


@blueprint.post("/v1/reinstatements")
@keyed
def reinstate() -> ResponseReturnValue:
    """The money of a refund is with the shop again: a dispute was won, or the refund did not go through."""
    from portal.web.bodies import ReinstatementIn

    body: ReinstatementIn = told(ReinstatementIn)
    at = clock.now()
    with database.writing():
        reinstated = program.reinstate(ReinstatementReport(body.refund_external_id), at=at)
        said = answers.Reinstatement(
            id=reinstated.reinstatement.public_id,
            refund_external_id=reinstated.reinstatement.refund_external_id,
            refund=_refund(reinstated.refund) if reinstated.refund else None,
        )
        api_keys.see(g.api_key_id, at=at)
    return _answered(said, reinstated.answer)


def _answered(said: answers.Told, answer: Answer, disagrees: str = "") -> ResponseReturnValue:
    if answer == Answer.DISAGREES:
        return problems.answer(409, disagrees)
    return answers.answer(said, {Answer.MADE: 201, Answer.KNOWN: 200, Answer.WAITING: 202}[answer])


# --- asked by the shop ----------------------------------------------------------------------------------------


@blueprint.get("/v1/referrals")
@keyed
def list_referrals() -> ResponseReturnValue:
    return _page(Referral, _referral, answers.Referrals)


@blueprint.get("/v1/rewards")
@keyed
def list_rewards() -> ResponseReturnValue:
    return _page(Reward, _reward, answers.Rewards)


@blueprint.get("/v1/payouts")
@keyed
def list_payouts() -> ResponseReturnValue:
    return _page(Payout, _payout, answers.Payouts)


@blueprint.get("/v1/users/<user>/balance")
@keyed
def balance(user: str) -> ResponseReturnValue:
    found = users.find_by_public_id(user)
    if found is None:
        return problems.answer(404, "There is no such user.")
    currency = terms.in_force().currency
    sums = ledger.balances(found.id, currency)
    return answers.answer(
        answers.Balance(
            user=found.public_id,
            currency=currency,
            pending_minor=sums[Bucket.PENDING],
            approved_minor=sums[Bucket.APPROVED],
            payable_minor=sums[Bucket.PAYABLE],
            in_payout_minor=sums[Bucket.IN_PAYOUT],
            paid_minor=sums[Bucket.PAID],
        )
    )


def _page(model: type[Any], said: Callable[[Any], Any], page: Callable[..., answers.Told]) -> ResponseReturnValue:
    cursor, limit = request.args.get("cursor", ""), request.args.get("limit", str(USUAL))
    if not re.fullmatch(r"[0-9]{1,3}", limit, re.ASCII) or not 0 < int(limit) <= MOST:
        errors = [{"field": "limit", "message": f"Write a number from 1 to {MOST}."}]
        return problems.answer(422, NO_PAGE, errors=errors)
    after = lists.position(model, cursor) if cursor else 0
    if after is None:
        errors = [{"field": "cursor", "message": "Use the next_cursor of an earlier answer."}]
        return problems.answer(422, NO_PAGE, errors=errors)
    found, more = lists.after(model, after, most=int(limit))
    return answers.answer(page(data=[said(one) for one in found], next_cursor=found[-1].public_id if more else None))


def _referral(referral: Referral) -> answers.Referral:
    return answers.Referral(
        id=referral.public_id,
        referrer=referral.referrer.public_id,
        referee=referral.referee.public_id,
        code=referral.code,
        how=How(referral.how),
        joined_at=referral.joined_at,
        expires_at=referral.expires_at,
        counted_at=referral.counted_at,
    )


def _conversion(conversion: Conversion) -> answers.Conversion:
    return answers.Conversion(
        id=conversion.public_id,
        goal=conversion.goal,
        external_id=conversion.external_id,
        amount_minor=conversion.amount_minor,
        currency=conversion.currency,
        occurred_at=conversion.occurred_at,
        state="applied" if conversion.applied_at else "waiting for the customer",
        referral=conversion.referral.public_id if conversion.referral else None,
        rewards=[_reward(reward) for reward in rewards.of_conversion(conversion.id)],
    )


def _reward(reward: Reward) -> answers.Reward:
    return answers.Reward(
        id=reward.public_id,
        user=reward.person.public_id,
        beneficiary=Beneficiary(reward.beneficiary),
        referral=reward.referral.public_id,
        amount_minor=reward.amount_minor,
        taken_back_minor=reward.amount_minor - clawbacks.left(reward),
        currency=reward.currency,
        state=rewards.State(reward.state),
        status=status.of_reward(reward).word,
        hold_until=reward.hold_until,
        made_at=reward.made_at,
        computation=reward.computation,
    )


def _refund(refund: Refund) -> answers.Refund:
    conversion = conversions.find(refund.source, refund.conversion_external_id)
    return answers.Refund(
        id=refund.public_id,
        external_id=refund.external_id,
        reason=RefundReason(refund.reason),
        stands=refunds.find_reinstatement(refund.source, refund.external_id) is None,
        conversion=_conversion(conversion) if conversion else None,
    )


def _payout(payout: Payout) -> answers.Payout:
    return answers.Payout(**vars(events.payout_told(payout)), ended_at=payout.ended_at)
