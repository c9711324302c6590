"""People at the desk: finding somebody, roles, suspending and shutting out, each with its way back; colleagues."""

import json
from collections.abc import Callable
from typing import Any

from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program as story
from portal.accounts import passkeys, two_step, users
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.core import clock, database
from portal.core.text import Refusal, one_line
from portal.referrals import referrals as referrals_
from portal.reports import desk
from portal.reports import own_data as own_data_
from portal.reports import people as people_
from portal.reports.people import Show
from portal.rewards import ledger, rules, tier_locks
from portal.web import access, inputs, limits, words
from portal.web.acting import act
from portal.web.admin.room import blueprint
from portal.web.dashboard import one_of, page_key


@blueprint.get("/people")
@access.needs("read")
def people() -> ResponseReturnValue:
    """C5: everybody, by name, address, customer number or code, role and state."""
    search, show = one_line(request.args.get("q", ""), 100), one_of(Show, request.args.get("show"), Show.ALL)
    wanted = request.args.get("role", "")
    role = Role(wanted) if wanted in set(Role) else None
    currency = words.in_force().currency
    rows, older = people_.listed(currency, search=search, role=role, show=show, before=page_key("before"))
    return render_template(
        "admin/people.html", rows=rows, older=older, search=search, role=role, roles=list(Role), show=show,
        shows=list(Show),
    )  # fmt: skip


def user_of(wanted: str) -> User:
    """Whoever has this public id; 404 if nobody has."""
    return users.find_by_public_id(wanted) or abort(404)


FORMS: dict[str, type[inputs.fields.Form]] = {
    "role": inputs.people.Role,
    "withdrawing": inputs.account.OnceMore,
    "suspending": inputs.decisions.Note,
    "shutting": inputs.decisions.Note,
    "stepping": inputs.people.Because,
    "erasing": inputs.people.Erasure,
}
"""The forms of a person's page, by what one is about to do."""


def _form(name: str, **given: Any) -> Any:
    """One of the forms, whose fields have ids of their own on the page."""
    form = FORMS[name](**given)
    for field in form:
        field.id = f"{name}-{field.short_name}"
    return form


@blueprint.get("/people/<wanted>")
@access.needs("read")
def person(wanted: str) -> ResponseReturnValue:
    """C5: one person: what they brought, earned and did, and what was done about them."""
    return _page(user_of(wanted))


def _page(found: User, **wrong: Any) -> str:
    """The page, with a form that could not be taken as it was sent."""
    currency = words.in_force().currency
    gives, why_not = _given_up(found) if access.me().may("own") else (None, "")
    forms = {name: _form(name, formdata=None) for name in FORMS} | wrong
    forms["erasing"].gives_up.data = str(gives.total_minor) if gives else ""
    return render_template(
        "admin/person.html",
        person=found,
        about=people_.about(found, currency),
        referral=referrals_.of_referee(found.id),
        balances=ledger.balances(found.id, currency),
        tier_lock=tier_locks.of_person(found.id),
        tiers=rules.tier_starts(rules.of_terms(words.in_force().id)),
        history=desk.history(subjects=[("user", found.public_id)], most=people_.GLANCE)[0],
        forms_of=forms,
        gives=gives,
        why_not=why_not,
        second_step=two_step.is_on(found.id),
        passkeys=len(passkeys.of_person(found.id)),
        now=clock.now(),
    )


def _given_up(found: User) -> tuple[story.GivenUp | None, str]:
    """What somebody would give up, or why the account cannot be deleted now."""
    try:
        return story.given_up(found), ""
    except story.ErasureRefused as refusal:
        return None, words.say(refusal)


def _wrong(found: User, name: str, form: Any) -> ResponseReturnValue:
    """The page with what is wrong with a form; where the form is not there any more, that says so."""
    page = _page(found, **{name: form})
    if f'action="{request.path}"' in page:
        return page, 422
    flash(gettext("There is nothing to be done any more: look at the page again."), "bad")
    return redirect(url_for(".person", wanted=found.public_id))


def _if_right(wanted: str, name: str, verb: Callable[[User, Any], object], done: str) -> ResponseReturnValue:
    """Does something about somebody by one of the forms. What is wrong with it, the password above all, is said on the
    page, which keeps what was typed."""
    found, form = user_of(wanted), _form(name)
    if not (access.proved(form) if isinstance(form, inputs.account.OnceMore) else form.validate()):
        return _wrong(found, name, form)
    return act(lambda: verb(found, form), done=done, back=url_for(".person", wanted=wanted))


@blueprint.post("/people/<wanted>/roles")
@access.needs("own")
@limits.own_password
def grant(wanted: str) -> ResponseReturnValue:
    found, form = user_of(wanted), _form("role")
    if not form.validate():
        abort(400)
    if not _may_make_owners(form.role.data, form):
        return _wrong(found, "role", form)
    return act(
        lambda: story.grant_role(found, Role(form.role.data), by=access.me().id, at=clock.now()),
        done=gettext("The role is given."),
        back=url_for(".person", wanted=wanted),
    )


@blueprint.post("/people/<wanted>/roles/<role>/withdrawal")
@access.needs("own")
@limits.own_password
def withdraw(wanted: str, role: str) -> ResponseReturnValue:
    found, form = user_of(wanted), _form("withdrawing")
    if role not in set(Role):
        abort(404)
    if not _may_make_owners(role, form):
        return _wrong(found, "withdrawing", form)
    return act(
        lambda: story.withdraw_role(found, Role(role), by=access.me().id, at=clock.now()),
        done=gettext("The role is taken away."),
        back=url_for(".person", wanted=wanted),
    )


def _may_make_owners(role: str, form: Any) -> bool:
    """Whether a role may be given or taken now: that of an owner asks for the password once more."""
    if role != Role.OWNER or access.once_more(form.current.data or ""):
        return True
    form.current.errors = [gettext("For the role of an owner, enter your own password.")]
    return False


@blueprint.post("/people/<wanted>/suspension")
@access.needs("own")
def suspension(wanted: str) -> ResponseReturnValue:
    return _with_reason(wanted, "suspending", story.suspend, gettext("Suspended: links open and credit nobody."))


@blueprint.post("/people/<wanted>/readmission")
@access.needs("own")
def readmission(wanted: str) -> ResponseReturnValue:
    return _with_reason(wanted, "suspending", story.readmit, gettext("No longer suspended."))


@blueprint.post("/people/<wanted>/shut-out")
@access.needs("own")
def shut_out(wanted: str) -> ResponseReturnValue:
    done = gettext("Shut out: signed out everywhere, and no signing in.")
    return _with_reason(wanted, "shutting", story.shut_out, done)


@blueprint.post("/people/<wanted>/letting-in")
@access.needs("own")
def let_in(wanted: str) -> ResponseReturnValue:
    return _with_reason(wanted, "shutting", story.let_in, gettext("Let in: signing in works again."))


@blueprint.post("/people/<wanted>/second-step/end")
@access.needs("own")
@limits.own_password
def second_step_end(wanted: str) -> ResponseReturnValue:
    """Takes the second step away from somebody who has lost it."""
    done = gettext("Two-step sign-in is off for this account, and its person is told by mail.")
    return _with_reason(wanted, "stepping", story.take_second_step_away, done)


def _with_reason(wanted: str, name: str, verb: Callable[..., None], done: str) -> ResponseReturnValue:
    def doing(found: User, form: Any) -> None:
        verb(found, by=access.me().id, note=form.note.data, at=clock.now())

    return _if_right(wanted, name, doing, done)


@blueprint.post("/people/<wanted>/erasure")
@access.needs("own")
@limits.own_password
def erasure(wanted: str) -> ResponseReturnValue:
    """Deletes somebody's account for good, because they asked for it."""

    def erasing(found: User, form: inputs.people.Erasure) -> None:
        story.erase(found, gives_up_minor=form.gives_up_minor, by=access.me().id, at=clock.now())

    return _if_right(wanted, "erasing", erasing, gettext("The account is deleted; its sums stay."))


@blueprint.post("/people/<wanted>/reset")
@access.needs("own")
@limits.own_forms
def mail_reset(wanted: str) -> ResponseReturnValue:
    """Has the link for a new password mailed to somebody who asks for help."""
    found = user_of(wanted)
    return act(
        lambda: story.mail_reset(found, by=access.me().id, at=clock.now()),
        done=gettext("The link for a new password is on its way to %(email)s.", email=found.email),
        back=url_for(".person", wanted=wanted),
    )


@blueprint.post("/people/<wanted>/data.json")
@access.needs("own")
def own_data(wanted: str) -> ResponseReturnValue:
    """Everything that is kept about somebody, to be sent to them; that it was taken out stands in the history."""
    with database.writing():
        story.note_download(user_of(wanted), by=access.me().id, at=clock.now())
    told = json.dumps(own_data_.about(user_of(wanted), at=clock.now()), ensure_ascii=False, indent=2)
    headers = {"Content-Disposition": f"attachment; filename=data-{wanted}.json"}
    return Response(told, mimetype="application/json", headers=headers)


# --- colleagues -----------------------------------------------------------------------------------------------


@blueprint.get("/colleagues")
@access.needs("own")
def colleagues() -> ResponseReturnValue:
    """Who works on the program, and the form that invites somebody more."""
    return _colleagues(inputs.people.Colleague(formdata=None))


def _colleagues(form: inputs.people.Colleague) -> str:
    found = people_.colleagues()
    safe = two_step.among([one.id for one in found])
    return render_template("admin/colleagues.html", colleagues=found, safe=safe, form=form)


@blueprint.post("/colleagues")
@access.needs("own")
@limits.own_forms
@limits.own_password
def invite_colleague() -> ResponseReturnValue:
    form = inputs.people.Colleague()
    if not form.validate():
        return _colleagues(form), 422
    if not _may_make_owners(form.role.data, form):
        return _colleagues(form), 422
    try:
        with database.writing():
            invited = story.invite_colleague(
                form.email.data, Role(form.role.data), name=form.name.data or "", by=access.me().id, at=clock.now()
            )
            at_once = invited.confirmed_at is not None
    except Refusal as refusal:
        form.email.errors = [words.say(refusal)]
        return _colleagues(form), 422
    flash(
        gettext("%(email)s has the role and is told by mail.", email=form.email.data)
        if at_once
        else gettext("A link is on its way to %(email)s. The role is theirs once they open it.", email=form.email.data),
        "ok",
    )
    return redirect(url_for(".colleagues"))
