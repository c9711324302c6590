"""Stopping: the page to which the small print of a mail leads, and the one click of mail programs (RFC 8058).

Opening the page changes nothing: scanners do that. A POST works at once, without sign-in, cookie or page before it.
"""

from flask import Blueprint, abort, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program, sweeps
from portal.core import clock, database
from portal.delivery import mail, suppressions
from portal.sharing.invites import Invite
from portal.web import limits

blueprint = Blueprint("stopping", __name__)


@blueprint.get("/unsubscribe/<token>")
@limits.guesses
def unsubscribe(token: str) -> ResponseReturnValue:
    return _page(token, done=False)


@blueprint.post("/unsubscribe/<token>")
@limits.guesses
def stop(token: str) -> ResponseReturnValue:
    """No more of them. Mail programs send this by themselves; a person is shown what came of it."""
    with database.writing():
        known = program.stop(token, at=clock.now())
    return _page(token, done=True) if known else abort(404)


def _page(token: str, *, done: bool) -> str:
    found = program.stopped(token)
    if found is None:
        abort(404)
    invite = found if isinstance(found, Invite) else None
    topic = "" if isinstance(found, Invite) else found[1].value
    done = done or (invite is not None and suppressions.why(invite.to_hash) is not None)
    return render_template(
        "public/unsubscribe.html", token=token, invite=invite, topic=topic, done=done,
        sender=invite.owner.first_name if invite else "",
    )  # fmt: skip


@blueprint.post("/unsubscribe/<token>/address")
@limits.guesses
def delete_address(token: str) -> ResponseReturnValue:
    """An invited friend's address is deleted, and nobody here writes to it any more."""
    with database.writing():
        known = program.delete_address(token, at=clock.now())
    if not known:
        abort(404)
    sweeps.forget_files(mail.Files(current_app.extensions["settings"].mail_dir))
    flash(gettext("Your address is deleted, and nobody here writes to it any more."), "ok")
    return redirect(url_for(".unsubscribe", token=token))


@blueprint.post("/unsubscribe/<token>/sender")
@limits.guesses
def not_this_person(token: str) -> ResponseReturnValue:
    """An invited friend does not know the sender: the invite ends; others may still write."""
    found = program.stopped(token)
    if not isinstance(found, Invite):
        abort(404)
    with database.writing():
        program.decline_invite(found, at=clock.now())
    flash(gettext("That invite is ended."), "ok")
    return redirect(url_for(".unsubscribe", token=token))
