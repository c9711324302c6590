"""Tiers at the desk: a referrer is put at one step, with a reason, and let go again."""

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program as story
from portal.accounts.users import User
from portal.core import clock, database
from portal.core.text import Refusal
from portal.rewards import rules, tier_locks
from portal.rewards.rules import Beneficiary
from portal.web import access, inputs, words
from portal.web.acting import act, told_already
from portal.web.admin.people import user_of
from portal.web.admin.room import blueprint


@blueprint.get("/people/<wanted>/tier")
@access.needs("own")
def tier(wanted: str) -> ResponseReturnValue:
    found = user_of(wanted)
    lock = tier_locks.of_person(found.id)
    return _page(found, inputs.people.Tier(formdata=None, data={"counts_as": lock.counts_as if lock else 1}))


def _page(person: User, form: inputs.people.Tier) -> str:
    offered = [one for one in rules.of_terms(words.in_force().id) if one.beneficiary == Beneficiary.REFERRER]
    starts = rules.tier_starts(offered)
    form.counts_as.choices = [
        (start, gettext("From reward number %(number)s on", number=start) if start > 1 else gettext("The first step"))
        for start in starts
    ]
    return render_template(
        "admin/tier.html",
        person=person,
        form=form,
        lock=tier_locks.of_person(person.id),
        rules=[one for one in offered if one.tiers],
        own=person.id == access.me().id,
    )


@blueprint.post("/people/<wanted>/tier")
@access.needs("own")
def set_tier(wanted: str) -> ResponseReturnValue:
    """Puts somebody at a step; the same again changes nothing."""
    found, form = user_of(wanted), inputs.people.Tier()
    if not form.validate():
        return _page(found, form), 422
    try:
        with database.writing():
            changed = story.set_tier(
                found, form.counts_as.data, note=form.note.data or "", by=access.me().id, at=clock.now()
            )
    except Refusal as refusal:
        form.counts_as.errors = [words.say(refusal)]
        return _page(user_of(wanted), form), 422
    flash(
        gettext("Set: this step counts from the next reward on.")
        if changed
        else gettext("This step was set already; nothing was changed."),
        "ok",
    )
    return redirect(url_for(".person", wanted=wanted))


@blueprint.post("/people/<wanted>/tier/removal")
@access.needs("own")
def free_tier(wanted: str) -> ResponseReturnValue:
    found = user_of(wanted)
    return act(
        lambda: story.free_tier(found, by=access.me().id, at=clock.now()),
        done=gettext("Taken off: the numbers of their own rewards count again."),
        back=url_for(".person", wanted=wanted),
        already=lambda: told_already("tier_freed", "user", found.public_id),
    )
