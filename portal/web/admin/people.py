"""People at the desk: finding somebody, roles, suspension."""

from collections.abc import Callable

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program as story
from portal import terms
from portal.accounts import users
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.core import clock
from portal.referrals import referrals as referrals_
from portal.reports import desk
from portal.rewards import ledger
from portal.web import access, inputs
from portal.web.acting import act
from portal.web.admin.room import blueprint
from portal.web.dashboard import page_key


@blueprint.get("/people")
@access.needs("read")
def people() -> ResponseReturnValue:
    search = request.args.get("q", "")[:100].replace("\x00", "")
    listed, older = desk.people(search=search, before=page_key("before"))
    return render_template("admin/people.html", people=listed, older=older, search=search)


def _user(wanted: str) -> User:
    return users.find_by_public_id(wanted) or abort(404)


@blueprint.get("/people/<wanted>")
@access.needs("read")
def person(wanted: str) -> ResponseReturnValue:
    found = _user(wanted)
    return render_template(
        "admin/person.html",
        person=found,
        referral=referrals_.of_referee(found.id),
        balances=ledger.balances(found.id, terms.in_force().currency),
        history=desk.history(subjects=[("user", found.public_id)])[0],
        role=inputs.Role(formdata=None),
        note=inputs.Note(formdata=None),
        only=inputs.Only(),
    )


@blueprint.post("/people/<wanted>/roles")
@access.needs("own")
def grant(wanted: str) -> ResponseReturnValue:
    found, form = _user(wanted), inputs.Role()
    if not form.validate():
        abort(400)
    return act(
        lambda: story.grant_role(found, Role(form.role.data), by=access.me().id, at=clock.now()),
        done=gettext("The role is given."),
        back=url_for(".person", wanted=wanted),
    )


@blueprint.post("/people/<wanted>/roles/<role>/withdrawal")
@access.needs("own")
def withdraw(wanted: str, role: str) -> ResponseReturnValue:
    found = _user(wanted)
    if role not in set(Role):
        abort(404)
    return act(
        lambda: story.withdraw_role(found, Role(role), by=access.me().id, at=clock.now()),
        done=gettext("The role is taken away."),
        back=url_for(".person", wanted=wanted),
    )


@blueprint.post("/people/<wanted>/suspension")
@access.needs("own")
def suspension(wanted: str) -> ResponseReturnValue:
    return _with_reason(wanted, story.suspend, gettext("Suspended: links open and credit nobody."))


@blueprint.post("/people/<wanted>/readmission")
@access.needs("own")
def readmission(wanted: str) -> ResponseReturnValue:
    return _with_reason(wanted, story.readmit, gettext("No longer suspended."))


def _with_reason(wanted: str, verb: Callable[..., None], done: str) -> ResponseReturnValue:
    found, form = _user(wanted), inputs.Note()
    if not form.validate():
        flash(gettext("Write why."), "bad")
        return redirect(url_for(".person", wanted=wanted))
    return act(
        lambda: verb(found, by=access.me().id, note=form.note.data, at=clock.now()),
        done=done,
        back=url_for(".person", wanted=wanted),
    )
