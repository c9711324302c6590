"""Payouts at the desk: who is ready, batches from draft to paid, the file for the bank, the pool of vouchers."""

from flask import Response, abort, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from portal import program as story
from portal import terms
from portal.core import clock, database
from portal.core.text import Refusal
from portal.payouts import files, payouts, vouchers
from portal.payouts.methods import Details
from portal.payouts.payouts import Batch, Payout
from portal.reports import desk
from portal.web import access, inputs, words
from portal.web.acting import act
from portal.web.admin.room import blueprint, name_of


@blueprint.get("/payouts")
@access.needs("read")
def payout_list() -> ResponseReturnValue:
    return _page(inputs.Vouchers(formdata=None))


def _page(form: inputs.Vouchers) -> str:
    current = terms.in_force()
    standings = payouts.standings(current, at=clock.now(), by=access.me().id)
    return render_template(
        "admin/payouts.html",
        ready=[standing for standing in standings if standing.why is None],
        left_out=[standing for standing in standings if standing.why is not None],
        batches=desk.batches(),
        total=payouts.total,
        pool=vouchers.pool(current.currency),
        form=form,
        only=inputs.Only(),
    )


@blueprint.post("/payouts")
@access.needs("pay")
def draw() -> ResponseReturnValue:
    """Draws a batch of everybody who is ready."""
    try:
        with database.writing():
            wanted = story.draw_batch(by=access.me().id, at=clock.now()).public_id
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
        return redirect(url_for(".payout_list"))
    return redirect(url_for(".batch", wanted=wanted))


@blueprint.post("/vouchers")
@access.needs("pay")
def add_vouchers() -> ResponseReturnValue:
    form, currency = inputs.Vouchers(), terms.in_force().currency
    if not form.validate() or not inputs.read_amounts(form, currency):
        return _page(form), 422
    if not form.value.minor:
        form.value.errors = [gettext("Write an amount above zero.")]
        return _page(form), 422
    at = clock.now()
    with database.writing():
        new = story.add_vouchers(
            form.codes.data.splitlines(), value_minor=form.value.minor, currency=currency, by=access.me().id, at=at
        )
    flash(ngettext("%(num)s new code is in the pool.", "%(num)s new codes are in the pool.", new), "ok")
    return redirect(url_for(".payout_list"))


def _batch(wanted: str) -> Batch:
    return payouts.find_batch(wanted) or abort(404)


def _payout(wanted: str) -> Payout:
    return payouts.find(wanted) or abort(404)


@blueprint.get("/payouts/<wanted>")
@access.needs("read")
def batch(wanted: str) -> ResponseReturnValue:
    found = _batch(wanted)
    return render_template(
        "admin/batch.html",
        batch=found,
        total=payouts.total(found),
        second=payouts.needs_second_person(found, terms.in_force()),
        lines_of=payouts.shown_lines,
        history=desk.history(subjects=[("batch", found.public_id), *(("payout", p.public_id) for p in found.payouts)])[
            0
        ],
        name_of=name_of,
        payment=inputs.Payment(formdata=None),
        failure=inputs.Failure(formdata=None),
        only=inputs.Only(),
    )


@blueprint.post("/payouts/<wanted>/approval")
@access.needs("pay")
def batch_approval(wanted: str) -> ResponseReturnValue:
    found = _batch(wanted)
    return act(
        lambda: story.approve_batch(found, by=access.me().id, at=clock.now()),
        done=gettext("The batch is approved. Take out its file next."),
        back=url_for(".batch", wanted=wanted),
    )


@blueprint.post("/payouts/<wanted>/export")
@access.needs("pay")
def batch_export(wanted: str) -> ResponseReturnValue:
    """The batch's file for a bank, PayPal or Wise. Taking it out again gives the same."""
    found, settings = _batch(wanted), current_app.extensions["settings"]
    try:
        with database.writing():
            story.export_batch(found, by=access.me().id, at=clock.now())
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
        return redirect(url_for(".batch", wanted=wanted))
    found = _batch(wanted)
    response = Response(files.batch_csv(found, keep=Details(settings.details_key)), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{found.reference}.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("/payouts/<wanted>/cancellation")
@access.needs("pay")
def batch_cancellation(wanted: str) -> ResponseReturnValue:
    found = _batch(wanted)
    return act(
        lambda: story.cancel_batch(found, by=access.me().id, at=clock.now()),
        done=gettext("The batch is cancelled; everything in it can be paid again."),
        back=url_for(".batch", wanted=wanted),
    )


@blueprint.post("/payouts/<wanted>/payment")
@access.needs("pay")
def batch_payment(wanted: str) -> ResponseReturnValue:
    """Everything in the batch that is on its way has arrived."""
    found, form = _batch(wanted), inputs.Payment()
    if not form.validate():
        flash(gettext("Use at most 80 characters for the reference."), "bad")
        return redirect(url_for(".batch", wanted=wanted))
    return act(
        lambda: story.pay_batch(
            found, by=access.me().id, bank_reference=form.bank_reference.data or "", at=clock.now()
        ),
        done=gettext("Marked as paid."),
        back=url_for(".batch", wanted=wanted),
    )


@blueprint.post("/payouts/lines/<wanted>/payment")
@access.needs("pay")
def payout_payment(wanted: str) -> ResponseReturnValue:
    found = _payout(wanted)
    back = url_for(".batch", wanted=found.batch.public_id)
    return act(lambda: story.pay(found, by=access.me().id, at=clock.now()), done=gettext("Marked as paid."), back=back)


@blueprint.post("/payouts/lines/<wanted>/failure")
@access.needs("pay")
def payout_failure(wanted: str) -> ResponseReturnValue:
    found, form = _payout(wanted), inputs.Failure()
    back = url_for(".batch", wanted=found.batch.public_id)
    if not form.validate():
        flash(gettext("Write why the payment failed; the person reads it."), "bad")
        return redirect(back)
    return act(
        lambda: story.fail(found, failure=form.failure.data, by=access.me().id, at=clock.now()),
        done=gettext("Marked as failed; the money is payable again."),
        back=back,
    )
