"""Sharing: a referrer's links and invites, and *Test my link*, which shows what a friend will see."""

from urllib.parse import urlsplit

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from portal import program
from portal.core import clock, database
from portal.core.text import Refusal
from portal.delivery.letters import Block
from portal.notices import invitations, writing
from portal.referrals import candidates
from portal.reports import sharing as report
from portal.sharing import invites, links
from portal.sharing.invites import Answer, Told
from portal.sharing.links import Link
from portal.web import access, inputs, limits, words
from portal.web.acting import act
from portal.web.dashboard import home_page, page_key
from portal.web.public import offer, url_of

blueprint = Blueprint("sharing", __name__)


# --- invites --------------------------------------------------------------------------------------------------


@blueprint.get("/invites")
@access.signed_in
def invite_list() -> ResponseReturnValue:
    """A2: the form, and every invite with where it stands."""
    return _invites_page(inputs.sharing.Invites(formdata=None), [])


@blueprint.post("/invites")
@access.signed_in
@limits.own_forms
def invite() -> ResponseReturnValue:
    """Makes an invite with its own code for each address; what became of each is told above the list."""
    form = inputs.sharing.Invites()
    if not form.validate():
        return _invites_page(form, []) if request.form.get("from") != "home" else home_page(
            form, inputs.sharing.Claim(formdata=None)
        ), 422
    typed = list(invites.addresses(form.addresses.data or ""))
    if not typed or len(typed) > invites.AT_ONCE:
        form.addresses.errors = [
            gettext("Write at least one address.")
            if not typed
            else gettext("Write at most %(most)s addresses at once.", most=invites.AT_ONCE)
        ]
        return _invites_page(form, []), 422
    try:
        with database.writing():
            told = program.invite(
                access.me(), typed, note=form.note.data or "", remind=form.remind.data, spoken=words.spoken(),
                sure=request.form.get("sure", "").splitlines(), at=clock.now(),
            )  # fmt: skip
    except Refusal as refusal:
        form.addresses.errors = [words.say(refusal)]
        return _invites_page(form, []), 422
    made = sum(one.answer == Answer.ACCEPTED for one in told)
    wrong = [one.typed for one in told if one.answer in (Answer.MISTYPED, Answer.LIMIT, Answer.OWN, Answer.ENDED)]
    if made == len(told):  # nothing to mend: a reload must not send the form again
        flash(
            ngettext("%(num)s invite is on its way.", "%(num)s invites are on their way.", made)
            if words.in_force().mails_invites
            else ngettext("%(num)s invite is ready to be sent.", "%(num)s invites are ready to be sent.", made),
            "ok",
        )
        return redirect(url_for(".invite_list", _anchor="invites"))
    again = inputs.sharing.Invites(
        formdata=None, addresses="\n".join(wrong), note=form.note.data, remind=form.remind.data
    )
    return _invites_page(again, told), 200 if made else 422


def _invites_page(form: inputs.sharing.Invites, told: list[Told]) -> str:
    user, at = access.me(), clock.now()
    listed, older = report.invites_of(user.id, at=at, before=page_key("before"))
    left, again_at = invites.room_left(user.id, words.in_force().invites_a_day, at=at)
    return render_template(
        "dashboard/invites.html",
        form=form,
        told=told,
        sure="\n".join(one.typed for one in told if one.meant),
        invites=listed,
        older=older,
        ratios=report.invite_ratios(user.id),
        left=left,
        again_at=again_at,
        most=words.in_force().invites_a_day,
        offer=offer(),
        url_of=url_of,
        only=inputs.fields.Only(),
        preview=_preview(form.note.data or "") if words.in_force().mails_invites else None,
    )


def _preview(note: str) -> tuple[str, list[Block]]:
    """The mail as a friend will get it: its subject and its blocks."""
    letter = invitations.invitation(access.me(), note, words.spoken(), at=clock.now())
    return letter.subject, writing.as_seen(letter.text)


@blueprint.post("/invites/preview")
@access.signed_in
def preview() -> ResponseReturnValue:
    """Shows the mail with the note that was typed, and sends nothing."""
    form = inputs.sharing.Invites()
    form.validate()
    form.addresses.errors = []
    return _invites_page(form, [])


@blueprint.post("/invites/<wanted>/reminder")
@access.signed_in
def remind(wanted: str) -> ResponseReturnValue:
    """Sends the one reminder."""
    user = access.me()
    found = invites.find_of_owner(wanted, owner_id=user.id) or abort(404)
    return act(
        lambda: program.remind_invite(found, by=user.id, at=clock.now()),
        done=gettext("The reminder is on its way."),
        back=url_for(".invite_list"),
    )


@blueprint.post("/invites/<wanted>/withdrawal")
@access.signed_in
def withdraw(wanted: str) -> ResponseReturnValue:
    """Takes an invite back: its link then opens a page that says so."""
    user = access.me()
    found = invites.find_of_owner(wanted, owner_id=user.id) or abort(404)
    return act(
        lambda: program.withdraw_invite(found, by=user.id, at=clock.now()),
        done=gettext("The invite is taken back. Its link counts for nobody any more."),
        back=url_for(".invite_list"),
    )


# --- links ----------------------------------------------------------------------------------------------------


@blueprint.get("/links")
@access.signed_in
def link_list() -> ResponseReturnValue:
    """Every link of one's own: its name, where it leads, its codes, and what came by it."""
    return _links_page(inputs.sharing.NewLink(formdata=None))


@blueprint.post("/links")
@access.signed_in
@limits.own_forms
def make() -> ResponseReturnValue:
    """A further link. What cannot be had is said at its field, and nothing is made."""
    form = inputs.sharing.NewLink()
    if not form.validate():
        return _links_page(form), 422
    try:
        with database.writing():
            program.make_link(
                access.me(),
                label=form.label.data or "",
                destination=form.destination.data or None,
                wanted=form.code.data or "",
                own_host=own_host(),
                at=clock.now(),
            )
    except links.CodeRefused as refusal:
        form.code.errors = [words.say(refusal)]
        return _links_page(form), 422
    except links.DestinationRefused as refusal:
        form.destination.errors = [words.say(refusal)]
        return _links_page(form), 422
    except Refusal as refusal:
        form.label.errors = [words.say(refusal)]
        return _links_page(form), 422
    flash(gettext("Your new link is ready."), "ok")
    return redirect(url_for(".link_list"))


def own_host() -> str:
    """The host of the portal itself, with its port if it has one."""
    return urlsplit(current_app.extensions["settings"].base_url).netloc


def _links_page(form: inputs.sharing.NewLink) -> str:
    return render_template(
        "dashboard/links.html",
        links=report.links_of(access.me().id),
        form=form,
        url_of=url_of,
        hosts=sorted(program.destinations(own_host())),
        only=inputs.fields.Only(),
    )


@blueprint.get("/links/<wanted>/edit")
@access.signed_in
def edit(wanted: str) -> ResponseReturnValue:
    """One link's name, code, and whether it is in use."""
    link = _own_link(wanted)
    return _edit_page(
        link, inputs.sharing.LinkName(formdata=None, label=link.label), inputs.sharing.OwnCode(formdata=None)
    )


def _edit_page(link: Link, naming: inputs.sharing.LinkName, own_code: inputs.sharing.OwnCode) -> str:
    (row,) = [one for one in report.links_of(link.owner_id) if one.link.id == link.id]
    return render_template(
        "dashboard/link.html",
        row=row,
        url=url_of(row.codes[0]),
        naming=naming,
        own_code=own_code,
        again_at=links.next_choice(link.id),
        now=clock.now(),
        is_first=links.main_link(link.owner_id).id == link.id,
    )


@blueprint.post("/links/<wanted>/name")
@access.signed_in
def name(wanted: str) -> ResponseReturnValue:
    link, form = _own_link(wanted), inputs.sharing.LinkName()
    if not form.validate():
        return _edit_page(link, form, inputs.sharing.OwnCode(formdata=None)), 422
    archived = link.archived_at is not None
    return act(
        lambda: program.change_link(access.me(), link, label=form.label.data or "", archived=archived, at=clock.now()),
        done=gettext("Saved."),
        back=url_for(".edit", wanted=wanted),
    )


@blueprint.post("/links/<wanted>/archive")
@access.signed_in
def archive(wanted: str) -> ResponseReturnValue:
    """Takes a link out of use, or back into it. Out of use it opens, and counts for nobody."""
    link = _own_link(wanted)
    archived = request.form.get("archived") == "yes"
    return act(
        lambda: program.change_link(access.me(), link, label=link.label, archived=archived, at=clock.now()),
        done=gettext("The link is out of use.") if archived else gettext("The link is in use again."),
        back=url_for(".edit", wanted=wanted),
    )


@blueprint.post("/links/<wanted>/code")
@access.signed_in
@limits.own_forms
def code(wanted: str) -> ResponseReturnValue:
    """An own code for a link; the old one goes on working."""
    link, form = _own_link(wanted), inputs.sharing.OwnCode()
    if not form.validate():
        return _edit_page(link, inputs.sharing.LinkName(formdata=None, label=link.label), form), 422
    try:
        with database.writing():
            program.choose_code(access.me(), link, form.code.data or "", at=clock.now())
    except Refusal as refusal:
        form.code.errors = [words.say(refusal)]
        return _edit_page(link, inputs.sharing.LinkName(formdata=None, label=link.label), form), 422
    flash(gettext("Your code is changed. The old one goes on working."), "ok")
    return redirect(url_for(".edit", wanted=wanted))


def _own_link(wanted: str) -> Link:
    link = links.find_of_owner(wanted, owner_id=access.me().id)
    if link is None or link.addressed:
        abort(404)
    return link


# --- test my link ---------------------------------------------------------------------------------------------

STEPS = ("page", "mail", "confirm", "welcome")


@blueprint.route("/links/<code>/test", methods=["GET", "POST"])
@access.signed_in
def test(code: str) -> ResponseReturnValue:
    """Walks through a friend's pages, as one of one's own links opens them. Counts, flags and stores nothing."""
    link = links.by_code(code)
    user = access.me()
    if link is None or link.owner_id != user.id:
        abort(404)
    step = request.args.get("step", "page")
    step = step if step in STEPS else "page"
    form = inputs.account.SignUp()
    if request.method == "POST":
        if form.validate():
            return redirect(url_for(".test", code=code, step="mail"))
        step = "page"
    return render_template(
        "dashboard/test.html",
        step=step,
        steps=STEPS,
        form=form,
        code=links.current_code(link.id),
        offer=offer(),
        credited=candidates.by_code(code, at=clock.now()) is not None and words.in_force().open_to_new,
        sender=user.first_name or gettext("A friend"),
        destination=link.destination,
        url=url_of(links.current_code(link.id)),
    ), 422 if form.errors else 200
