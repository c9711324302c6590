"""Corrections at the desk: a plus or a minus on somebody's balance, with a reason that they read."""

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program as story
from portal.accounts.users import User
from portal.core import clock, database, text
from portal.core.text import Refusal
from portal.rewards import ledger
from portal.web import access, inputs, words
from portal.web.admin.people import user_of
from portal.web.admin.room import blueprint


@blueprint.get("/people/<wanted>/correction")
@access.needs("pay")
def correction(wanted: str) -> ResponseReturnValue:
    return _page(user_of(wanted), inputs.money.Correction(formdata=None, data={"form_key": text.token()}))


def _page(person: User, form: inputs.money.Correction) -> str:
    return render_template(
        "admin/correction.html",
        person=person,
        form=form,
        balances=ledger.balances(person.id, words.in_force().currency),
        own=person.id == access.me().id,
    )


@blueprint.post("/people/<wanted>/correction")
@access.needs("pay")
def correct(wanted: str) -> ResponseReturnValue:
    """Corrects a balance, once for each time that the page was opened."""
    found, form = user_of(wanted), inputs.money.Correction()
    if not 20 <= len(form.form_key.data or "") <= 43 or not (form.form_key.data or "").isascii():
        form.form_key.data = text.token()
        form.form_errors = [gettext("This page was open too long. Look at it again and send it once more.")]
        return _page(found, form), 422
    if not form.validate() or not inputs.fields.read_amounts(form, words.in_force().currency):
        return _page(found, form), 422
    minor = form.amount.minor or 0
    try:
        with database.writing():
            made = story.correct_balance(
                found, minor if form.way.data == "plus" else -minor, reason=form.reason.data or "",
                form_key=form.form_key.data or "", by=access.me().id, at=clock.now(),
            )  # fmt: skip
    except Refusal as refusal:
        form.amount.errors = [words.say(refusal)]
        return _page(user_of(wanted), form), 422
    flash(
        gettext("Corrected. It goes out, or is made up for, with the next payout.")
        if made
        else gettext("This correction was made already; nothing was changed."),
        "ok",
    )
    return redirect(url_for(".person", wanted=wanted))
