"""Joining: the page behind the link that a colleague was sent: a password, and with it the role."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program
from portal.accounts import users
from portal.accounts.one_time import Purpose
from portal.core import clock, database
from portal.web import inputs, limits
from portal.web.public import key_state, named_by

blueprint = Blueprint("joining", __name__)


@blueprint.get("/join/<secret>")
def join(secret: str) -> ResponseReturnValue:
    state = key_state(Purpose.JOIN, secret)
    return _page(secret, inputs.account.NewPassword(), state), 404 if state == "unknown" else 200


def _page(secret: str, form: inputs.account.NewPassword, state: str) -> str:
    return render_template("public/join.html", form=form, secret=secret, state=state)


@blueprint.post("/join/<secret>")
@limits.guesses
def joined(secret: str) -> ResponseReturnValue:
    """Sets the password, once; the address is theirs, and the role."""
    form, state = inputs.account.NewPassword(), key_state(Purpose.JOIN, secret)
    form.near = named_by(Purpose.JOIN, secret)
    if state != "open":
        return _page(secret, form, state), 410
    if not form.validate():
        return _page(secret, form, state), 422
    hashed, at = users.hashed(form.password.data), clock.now()
    with database.writing():
        done = program.join(secret, hashed, at=at)
    if not done:
        return _page(secret, form, "used"), 410
    flash(gettext("Welcome. Sign in with your address and the new password."), "ok")
    return redirect(url_for("security.login"))
