"""One batch at the desk: from draft to paid, its files, and the bank's answer read back."""

from flask import Response, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from portal import program as story
from portal import terms
from portal.core import clock, database
from portal.core.text import Refusal
from portal.payouts import drawing, files, moving, payouts, results
from portal.payouts.methods import Details
from portal.payouts.payouts import Batch, Payout
from portal.payouts.results import Checked, Fault, ResultsRefused
from portal.reports import batches, desk
from portal.web import access, inputs, words
from portal.web.acting import act
from portal.web.admin.room import blueprint, name_of
from portal.web.dashboard import page_key


def _batch(wanted: str) -> Batch:
    return payouts.find_batch(wanted) or abort(404)


def _payout(wanted: str) -> Payout:
    return payouts.find(wanted) or abort(404)


@blueprint.get("/payouts/<wanted>")
@access.needs("read")
def batch(wanted: str) -> ResponseReturnValue:
    return _page(_batch(wanted))


def _page(
    found: Batch,
    *,
    payment: inputs.money.Payment | None = None,
    line: str = "",
    wrong: inputs.fields.Form | None = None,
) -> str:
    """The page of a batch. `payment` was sent for all of it, `wrong` for the payout `line`, and cannot be taken."""
    current, at = terms.in_force(), clock.now()
    shown, later = batches.payouts_of(found, after=page_key("after"))
    subjects = [("batch", found.public_id), *(("payout", payout.public_id) for payout in shown)]
    return render_template(
        "admin/batch.html",
        batch=found,
        shown=shown,
        later=later,
        states=batches.states_of(found),
        sums=batches.sums_of(found),
        mine=batches.holds(found, access.me().id),
        second=moving.needs_second_person(found, current) and found.made_by_id == access.me().id,
        reasons=batches.by_reason(_left_out(found)),
        lines_of=payouts.shown_lines,
        mails=batches.mails_about(shown),
        history=desk.history(subjects=subjects)[0],
        name_of=name_of,
        payment=payment or inputs.money.Payment(formdata=None, paid_on=current.day(at)),
        today=current.day(at),
        line=line,
        wrong=wrong,
        results=inputs.money.Results(formdata=None),
    )


def _left_out(found: Batch) -> list[drawing.Standing]:
    """Who has money and is not in a draft; once it is approved, that is another batch's matter."""
    if found.approved_at is not None or found.settled_at is not None:
        return []
    return drawing.standings(terms.in_force(), at=clock.now())


@blueprint.post("/payouts/<wanted>/approval")
@access.needs("pay")
@access.second_step
def batch_approval(wanted: str) -> ResponseReturnValue:
    found = _batch(wanted)
    return act(
        lambda: story.approve_batch(found, by=access.me().id, at=clock.now()),
        done=gettext("The batch is approved. Take out its file next."),
        back=url_for(".batch", wanted=wanted),
    )


@blueprint.post("/payouts/<wanted>/export")
@access.needs("pay")
@access.second_step
def batch_export(wanted: str) -> ResponseReturnValue:
    """The batch's file for a bank, PayPal or Wise. Taking it out again gives the same."""
    found, settings = _batch(wanted), current_app.extensions["settings"]
    asked = request.form.get("file", "")
    form = files.Form(asked) if asked in list(files.Form) else files.Form.ALL
    try:
        with database.writing():
            story.export_batch(found, by=access.me().id, at=clock.now())
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
        return redirect(url_for(".batch", wanted=wanted))
    found = _batch(wanted)
    text = files.batch_csv(found, keep=Details(settings.details_keys), form=form)
    name = found.reference if form == files.Form.ALL else f"{found.reference}-{form}"
    response = Response(text, mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
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


# --- paid or not ----------------------------------------------------------------------------------------------


@blueprint.post("/payouts/<wanted>/payment")
@access.needs("pay")
@access.second_step
def batch_payment(wanted: str) -> ResponseReturnValue:
    """Everything in the batch that is on its way has arrived."""
    found, form = _batch(wanted), inputs.money.Payment()
    if not form.validate():
        return _page(found, payment=form), 422
    try:
        with database.writing():
            many = story.pay_batch(
                found, by=access.me().id, bank_reference=form.bank_reference.data or "", on=form.paid_on.data,
                at=clock.now(),
            )  # fmt: skip
    except moving.DayRefused as refusal:
        form.paid_on.errors = [words.say(refusal)]
        return _page(_batch(wanted), payment=form), 422
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
    else:
        flash(_paid(many), "ok" if many else "info")
    return redirect(url_for(".batch", wanted=wanted))


def _paid(many: int) -> str:
    if not many:
        return gettext("Everything in it was noted already; nothing was changed.")
    return ngettext("Marked %(num)s payout as paid.", "Marked %(num)s payouts as paid.", many)


@blueprint.post("/payouts/lines/<wanted>/payment")
@access.needs("pay")
@access.second_step
def payout_payment(wanted: str) -> ResponseReturnValue:
    found, form = _payout(wanted), inputs.money.Payment()
    batch_id = found.batch.public_id
    if not form.validate():
        return _page(found.batch, line=wanted, wrong=form), 422
    try:
        with database.writing():
            changed = story.pay(
                found, by=access.me().id, bank_reference=form.bank_reference.data or "", on=form.paid_on.data,
                at=clock.now(),
            )  # fmt: skip
    except moving.DayRefused as refusal:
        form.paid_on.errors = [words.say(refusal)]
        return _page(_batch(batch_id), line=wanted, wrong=form), 422
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
    else:
        flash(_paid(int(changed)), "ok" if changed else "info")
    return redirect(url_for(".batch", wanted=batch_id))


@blueprint.post("/payouts/lines/<wanted>/failure")
@access.needs("pay")
def payout_failure(wanted: str) -> ResponseReturnValue:
    found, form = _payout(wanted), inputs.money.Failure()
    if not form.validate():
        return _page(found.batch, line=wanted, wrong=form), 422
    return act(
        lambda: story.fail(found, failure=form.failure.data, by=access.me().id, at=clock.now()),
        done=gettext("Marked as failed; the money is payable again."),
        back=url_for(".batch", wanted=found.batch.public_id),
    )


@blueprint.post("/payouts/<wanted>/results")
@access.needs("pay")
@access.second_step
def batch_results(wanted: str) -> ResponseReturnValue:
    """The bank's answer: first shown with what it would do, then taken."""
    found, form = _batch(wanted), inputs.money.Results()
    if not form.validate():
        return _results(found, form, Checked()), 422
    try:
        told, faults = results.read(form.text.data or "")
        checked = results.check(found, told)
        checked.faults.extend(faults)
        if "take" not in request.form or checked.faults:
            return _results(found, form, checked), 422 if checked.faults else 200
        with database.writing():
            done = story.take_results(found, told, by=access.me().id, at=clock.now())
            paid, failed = len(done.paid), len(done.failed)
    except ResultsRefused as refusal:
        form.text.errors = [words.say(refusal)]
        return _results(_batch(wanted), form, Checked(faults=refusal.faults)), 422
    flash(
        gettext("Noted: %(paid)s paid, %(failed)s failed.", paid=paid, failed=failed)
        if paid + failed
        else gettext("Everything in it was noted already; nothing was changed."),
        "ok" if paid + failed else "info",
    )
    return redirect(url_for(".batch", wanted=wanted))


def _results(found: Batch, form: inputs.money.Results, checked: Checked) -> str:
    faults = sorted(checked.faults, key=lambda fault: fault.line)
    return render_template(
        "admin/results.html",
        batch=found,
        form=form,
        checked=checked,
        faults=[(fault.line, _said(fault)) for fault in faults[: results.MOST_FAULTS]],
        more_faults=max(0, len(faults) - results.MOST_FAULTS),
    )


def _said(fault: Fault) -> str:
    return words.say(Refusal(fault.message, **fault.values))
