"""The referrer of a friend at the desk: corrected by an admin's decision, with a reason, until something is paid."""

from collections.abc import Callable

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program as story
from portal.accounts import users
from portal.accounts.users import User
from portal.core import clock, database
from portal.core.text import Refusal
from portal.payouts import payouts
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.reports import referrer as seen
from portal.rewards import rewards
from portal.sharing import links
from portal.web import access, inputs, words
from portal.web.admin.people import user_of
from portal.web.admin.room import blueprint


def _referral(wanted: str) -> Referral:
    return referrals.find(wanted) or abort(404)


@blueprint.get("/referrals/<wanted>/referrer")
@access.needs("own")
def referrer(wanted: str) -> ResponseReturnValue:
    return _page(_referral(wanted), inputs.decisions.Referrer(formdata=None))


def _page(referral: Referral, form: inputs.decisions.Referrer) -> str:
    made = rewards.of_referral(referral.id)
    return render_template(
        "admin/referrer.html",
        friend=referral.referee,
        referral=referral,
        rewards=seen.earned(made),
        fixed=payouts.sent_of(referral.id),
        form=form,
    )


@blueprint.post("/referrals/<wanted>/referrer")
@access.needs("own")
def correct_referrer(wanted: str) -> ResponseReturnValue:
    """Gives a friend to the right referrer."""
    found, form = _referral(wanted), inputs.decisions.Referrer()

    def correct(named: User) -> None:
        story.correct_referrer(found, named, note=form.note.data or "", by=access.me().id, at=clock.now())

    if not _done(form, correct):
        return _page(_referral(wanted), form), 422
    flash(gettext("Corrected: the friend belongs to the right referrer now."), "ok")
    return redirect(url_for(".referral", wanted=wanted))


@blueprint.get("/people/<wanted>/referrer")
@access.needs("own")
def first_referrer(wanted: str) -> ResponseReturnValue:
    """The same for somebody who came without a code; who has a referrer is shown the page that corrects it."""
    found = user_of(wanted)
    referral = referrals.of_referee(found.id)
    if referral is not None:
        return redirect(url_for(".referrer", wanted=referral.public_id))
    return _first(found, inputs.decisions.Referrer(formdata=None))


def _first(friend: User, form: inputs.decisions.Referrer) -> str:
    return render_template("admin/referrer.html", friend=friend, referral=None, rewards=[], fixed=False, form=form)


@blueprint.post("/people/<wanted>/referrer")
@access.needs("own")
def give_referrer(wanted: str) -> ResponseReturnValue:
    """Gives a friend who came without a code to whoever brought them."""
    found, form = user_of(wanted), inputs.decisions.Referrer()

    def give(named: User) -> None:
        story.give_referrer(found, named, note=form.note.data or "", by=access.me().id, at=clock.now())

    if not _done(form, give):
        return _first(user_of(wanted), form), 422
    flash(gettext("Noted: the friend counts from the day they joined."), "ok")
    return redirect(url_for(".person", wanted=wanted))


def _done(form: inputs.decisions.Referrer, verb: Callable[[User], None]) -> bool:
    """Does it for whoever the form names; if not, what is wrong stands at its field."""
    if not form.validate():
        return False
    named = (form.named.data or "").strip()
    link = links.by_code(named)
    person = User.by_id(link.owner_id) if link else users.find_by_email(named)
    if person is None:
        form.named.errors = [gettext("Nobody has this code or address.")]
        return False
    try:
        with database.writing():
            verb(person)
    except Refusal as refusal:
        form.named.errors = [words.say(refusal)]
        return False
    return True
