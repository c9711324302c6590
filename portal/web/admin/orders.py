"""Orders and refunds recorded by hand, in the place of the shop; whoever records one does not decide it."""

from datetime import datetime
from zoneinfo import ZoneInfo

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from wtforms import Field

from portal import program as story
from portal.accounts import users
from portal.accounts.users import BadAddress
from portal.core import clock, database
from portal.core.text import Refusal, marked
from portal.program import Reported
from portal.referrals import referrals
from portal.rewards import conversions, goals, refunds, rewards
from portal.rewards.conversions import Answer, Conversion, Customer, OrderReport, ReportRefused
from portal.rewards.refunds import RefundReason, RefundReport
from portal.web import access, inputs, words
from portal.web.acting import act
from portal.web.admin.room import blueprint

FIELDS = {
    "customer": "customer_email", "customer.external_id": "customer_external_id", "amount_minor": "amount",
    "currency": "amount",
}  # fmt: skip
"""Where a report's part stands in the form, if not under its own name."""


@blueprint.get("/orders")
@access.needs("own")
def order() -> ResponseReturnValue:
    """The form, filled with the person from whose page one comes."""
    named = users.find_by_public_id(request.args.get("person", "")[:16])
    given = {"customer_email": named.email, "customer_external_id": named.external_id} if named else {}
    return _order(inputs.money.Order(formdata=None, data=given))


def _order(form: inputs.money.Order) -> str:
    return render_template("admin/order.html", form=_filled(form), zone=words.zone())


def _filled(form: inputs.money.Order) -> inputs.money.Order:
    form.goal.choices = {
        goal.name: words.ready(goal.label) for goal in reversed(goals.listed()) if goal.source == goals.SHOP
    }
    return form


@blueprint.post("/orders")
@access.needs("own")
def record_order() -> ResponseReturnValue:
    """Takes the order; the same number again says what is there."""
    form, at = _filled(inputs.money.Order()), clock.now()
    if not form.validate() or not inputs.fields.read_amounts(form, words.in_force().currency):
        return _order(form), 422
    try:
        report = _report(form, at=at)
        with database.writing():
            reported = story.record_order(report, by=access.me().id, at=at)
            back = _back(reported.conversion)
    except Refusal as refusal:
        _at_its_field(form, refusal, "customer_email" if isinstance(refusal, BadAddress) else "external_id")
        return _order(form), 422
    if reported.answer == Answer.DISAGREES:
        form.external_id.errors = [_told_before(conversions.find(goals.SHOP, report.external_id))]
        return _order(form), 422
    flash(_became(reported), "ok")
    return redirect(back)


def _report(form: inputs.money.Order, *, at: datetime) -> OrderReport:
    email, minor = (form.customer_email.data or "").strip(), form.amount.minor
    when = form.occurred_at.data
    return OrderReport(
        goal=form.goal.data,
        external_id=(form.external_id.data or "").strip(),
        customer=Customer(
            (form.customer_external_id.data or "").strip() or None, users.clean_email(email) if email else None
        ),
        occurred_at=_moment(form.occurred_at, when) if when else at,
        amount_minor=minor,
        currency=words.in_force().currency if minor is not None else None,
    )


def _moment(field: Field, typed: datetime) -> datetime:
    """What was typed by the clocks of the program's time zone."""
    if not 1970 <= typed.year < 2200:
        raise ReportRefused(field.name, marked("Write a day of this century."))
    return clock.parse(typed.replace(tzinfo=ZoneInfo(words.zone())).isoformat())


def _at_its_field(form: inputs.fields.Form, refusal: Refusal, otherwise: str) -> None:
    """Says a refusal at the field that it is about."""
    name = getattr(refusal, "field", otherwise)
    field = FIELDS.get(name, name)
    form[field if field in form else otherwise].errors = [words.say(refusal)]


def _told_before(known: Conversion | None) -> str:
    assert known is not None
    return gettext(
        "This number was told before, on %(day)s for %(customer)s with %(amount)s. Nothing was changed.",
        day=words.day(known.received_at),
        customer=known.customer_email or known.customer_external_id,
        amount=words.amount(known.amount_minor, known.currency) if known.currency and known.amount_minor else "–",
    )


def _became(reported: Reported) -> str:
    """What became of an order, for whoever recorded it."""
    told = reported.conversion
    if reported.answer == Answer.WAITING:
        return gettext("Kept: it counts as soon as this customer is known.")
    if reported.answer == Answer.KNOWN:
        return gettext("This order is there since %(day)s; nothing was changed.", day=words.day(told.received_at))
    if told.referral is None:
        return gettext("The order is taken. Nobody brought this customer, so it earned nothing.")
    if not rewards.of_conversion(told.id):
        return gettext("The order is taken. It earned nothing; why stands beside it.")
    return gettext("The order is taken. A colleague decides what it earned.")


def _back(told: Conversion) -> str:
    """The page of the referral that it counts for, or of its customer, or of everybody."""
    referral = told.referral or (referrals.of_referee(told.customer_id) if told.customer_id else None)
    if referral is not None:
        return url_for(".referral", wanted=referral.public_id)
    if told.customer_id is not None:
        return url_for(".person", wanted=users.User.by_id(told.customer_id).public_id)
    return url_for(".people")


# --- refunds --------------------------------------------------------------------------------------------------


@blueprint.get("/refunds")
@access.needs("own")
def refund() -> ResponseReturnValue:
    given = {"conversion_external_id": request.args.get("order", "")[:128].replace("\x00", "")}
    return render_template("admin/refund.html", form=inputs.money.Refund(formdata=None, data=given))


@blueprint.post("/refunds")
@access.needs("own")
def record_refund() -> ResponseReturnValue:
    """Takes the refund, which may come before its order; the same number again says what is there."""
    form = inputs.money.Refund()
    if not form.validate() or not inputs.fields.read_amounts(form, words.in_force().currency):
        return render_template("admin/refund.html", form=form), 422
    report = RefundReport(
        (form.external_id.data or "").strip(), (form.conversion_external_id.data or "").strip(), form.amount.minor,
        reason=RefundReason(form.reason.data),
    )  # fmt: skip
    try:
        with database.writing():
            refunded = story.record_refund(report, by=access.me().id, at=clock.now())
            order = conversions.find(goals.SHOP, report.conversion_external_id)
            back = _back(order) if order else url_for(".people")
    except Refusal as refusal:
        _at_its_field(form, refusal, "external_id")
        return render_template("admin/refund.html", form=form), 422
    if refunded.answer == Answer.DISAGREES:
        form.external_id.errors = [gettext("This number was told before with other facts. Nothing was changed.")]
        return render_template("admin/refund.html", form=form), 422
    said = {
        Answer.MADE: gettext("The refund is taken; what it asks for is taken back."),
        Answer.KNOWN: gettext("This refund is there already; nothing was changed."),
        Answer.WAITING: gettext("Kept: it counts as soon as its order is told."),
    }
    flash(said[refunded.answer], "ok")
    return redirect(back)


@blueprint.post("/refunds/<wanted>/reinstatement")
@access.needs("own")
def reinstate(wanted: str) -> ResponseReturnValue:
    """The dispute of a chargeback was won: what it took is given again. Twice is once."""
    given_back = refunds.find_by_public_id(wanted) or abort(404)
    order = conversions.find(given_back.source, given_back.conversion_external_id)
    return act(
        lambda: story.record_reinstatement(given_back, by=access.me().id, at=clock.now()),
        done=gettext("The payment stands after all; what was taken back for it is given again."),
        back=_back(order) if order else url_for(".people"),
    )
