"""Leaving: one's own data as a file, and the deletion of one's account."""

import json

from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import logout_user

from portal import program
from portal.core import clock, database
from portal.core.text import Refusal
from portal.program import ErasureRefused, GivenUp
from portal.reports import own_data
from portal.web import access, inputs, limits, words

blueprint = Blueprint("leaving", __name__)


@blueprint.get("/account/data")
@access.signed_in
def page() -> ResponseReturnValue:
    return _page()


def _page(form: inputs.account.Deletion | None = None) -> str:
    gives: GivenUp | None = None
    why_not = ""
    try:
        gives = program.given_up(access.me())
    except ErasureRefused as refusal:
        why_not = words.say(refusal)
    form = form or inputs.account.Deletion(formdata=None)
    form.gives_up.data = str(gives.total_minor) if gives else ""
    return render_template("account/data.html", gives=gives, why_not=why_not, form=form)


@blueprint.get("/account/data.json")
@access.signed_in
@limits.own_forms
def download() -> ResponseReturnValue:
    """Everything that is kept about whoever asks, to be read by people and programs."""
    told = own_data.about(access.me(), at=clock.now())
    body = json.dumps(told, ensure_ascii=False, indent=2)
    answer = Response(body, mimetype="application/json")
    answer.headers["Content-Disposition"] = "attachment; filename=my-data.json"
    return answer


@blueprint.post("/account/deletion")
@access.signed_in
@limits.own_password
def deletion() -> ResponseReturnValue:
    """Deletes the account, for good, if what it gives up is still what the page said."""
    form = inputs.account.Deletion()
    if not access.proved(form):
        return _page(form), 422
    try:
        with database.writing():
            program.erase(access.me(), gives_up_minor=form.gives_up_minor, by=access.me().id, at=clock.now())
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
        return redirect(url_for(".page"))
    logout_user()
    flash(gettext("Your account is deleted."), "ok")
    return redirect(url_for("public.home"))
