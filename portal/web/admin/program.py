"""The program at the desk: the terms in force, the goals, the look; each change is a new version, looked at before it
is made if one likes, refused if somebody else has published meanwhile, and kept in the history."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from portal import images, terms
from portal import program as story
from portal.core import clock, database, money
from portal.core.text import Refusal
from portal.images import Drawn, Use
from portal.referrals import referrals
from portal.reports import versions
from portal.rewards import goals, rules
from portal.terms import Moved, State, Terms, Unchanged
from portal.web import access, inputs, words
from portal.web.admin.room import blueprint, name_of
from portal.web.admin.trial import (
    by_script,
    draft,
    looks,
    nothing_new,
    old_picture,
    only_looks,
    picture,
    picture_of_look,
    tint,
    trial,
    wrong_of,
)
from portal.web.dashboard import page_key

PLAIN = (
    "program_name", "state", "touch", "goal", "window_days", "claim_days", "goal_days", "time_zone", "shop_url",
    "help_contact", "product_text", "legal_text", "privacy_text", "mails_invites", "invites_a_day",
    "invites_an_address",
)  # fmt: skip
DAYS = ("pay_day", "review_days")
"""Numbers that may be none."""
AMOUNTS = {
    "minimum_payout": "minimum_payout_minor",
    "auto_approve_below": "auto_approve_below_minor",
    "second_person_above": "second_person_above_minor",
    "referrer_month_cap": "referrer_month_cap_minor",
    "referrer_year_cap": "referrer_year_cap_minor",
    "budget_month": "budget_month_minor",
}
"""Field of the form -> column of the terms, for amounts of money."""


@blueprint.get("/program")
@access.needs("read")
def program() -> ResponseReturnValue:
    return page()


def page(
    form: inputs.program.Program | None = None, rule: inputs.program.OfferedRule | None = None,
    goal: inputs.program.Goal | None = None, look: inputs.program.Look | None = None, planned: Terms | None = None,
    product: inputs.program.Product | None = None, file_again: str = "",
) -> str:  # fmt: skip
    """The page, with what was typed in one of its forms, and how it will look. `file_again`: in which field a file was
    chosen, which no form keeps."""
    current, typed = terms.in_force(), form or rule or look or product
    offered = rules.of_terms(current.id)
    of: dict[str, object] = {"version": current.version}
    return render_template(
        "admin/program.html",
        **looks(planned or draft({}), offered) | {"wrong": wrong_of(typed) if typed else []},
        form=form or with_goals(inputs.program.Program(formdata=None, data=_as_typed(current) | of)),
        rule=rule or with_goals(inputs.program.OfferedRule(formdata=None, goal=current.goal, **of)),
        goal=goal or inputs.program.Goal(formdata=None),
        file_again=file_again,
        product=product or inputs.program.Product(formdata=None, image_text=current.product_image_text, **of),
        look=look or inputs.program.Look(formdata=None, accent=current.accent, **of),
        goals=goals.listed(),
        version=current.version,
        rules=offered,
        published_by=name_of(current.published_by_id) if current.published_by_id else "",
        only=inputs.fields.Only(),
        currency_is_fixed=story.currency_is_fixed(),
    )


def with_goals(form: Any) -> Any:
    """The form with today's goals to choose from."""
    form.goal.choices = {goal.name: words.ready(goal.label) for goal in goals.listed()}
    return form


def _as_typed(current: terms.Terms) -> dict[str, object]:
    """A version of the terms as somebody would type it."""
    typed: dict[str, object] = {name: getattr(current, name) for name in (*PLAIN, *DAYS, "currency")}
    for name, column in AMOUNTS.items():
        minor = getattr(current, column)
        typed[name] = "" if minor is None else words.typed(money.plain(minor, current.currency))
    return typed | {"allowed_hosts": "\n".join(current.allowed_hosts), "accent": current.accent}


@blueprint.post("/program")
@access.needs("own")
def publish() -> ResponseReturnValue:
    """Publishes a new version; referrals that are there keep the rules they came with."""
    form, current = with_goals(inputs.program.Program()), terms.in_force()
    if not form.validate() or not inputs.fields.read_amounts(form, form.currency.data or current.currency):
        return old_picture(form) if by_script() else (page(form), 422)
    changed = _changed(form)
    try:
        if only_looks():
            look_at_the_newest(form)
            offer = rules.in_currency(rules.of_terms(current.id), current.currency, changed["currency"])
            return trial(draft(changed), offer, action=url_for(".publish"))
        with database.writing():
            story.change_program(form.of, by=access.me().id, at=clock.now(), **changed)
    except Unchanged as unchanged:
        return as_it_was(unchanged)
    except Refusal as refusal:
        refused(form, refusal)
        return page(form), 409
    flash(saved(current), "ok")
    return redirect(url_for(".program"))


def look_at_the_newest(form: inputs.program.Change) -> None:
    """Raises Moved where a form was opened with an older version; a script's picture is of the newest anyway."""
    if not by_script():
        terms.must_be_newest(form.of)


def as_it_was(unchanged: Unchanged) -> ResponseReturnValue:
    """The way on where nothing was changed."""
    flash(words.say(unchanged), "info")
    return redirect(url_for(".program"))


def saved(before: Terms) -> str:
    """That a version was published in the place of another, and who keeps the one that they came with."""
    many, now = referrals.open_now(at=clock.now()), terms.in_force()
    keeps = ngettext(
        "The %(num)s open referral keeps the rules it came with.",
        "The %(num)s open referrals keep the rules they came with.",
        many,
    )
    if not now.open_to_new:
        closed = gettext("The program is paused.") if now.state == State.PAUSED else gettext("The program has ended.")
        means = f"{closed} {nothing_new()}"
    elif before.open_to_new:
        means = gettext("New sign-ups use this from now on.")
    else:
        means = gettext("The program is live again: friends who sign up from now on count.")
    return " ".join((gettext("Saved."), means, keeps))


def refused(form: inputs.program.Change, refusal: Refusal) -> None:
    """Says in a form why nothing was published. If somebody else has published meanwhile, what was not touched in the
    form is as it is in force now, and the next press is meant."""
    form.form_errors = [words.say(refusal)]
    if not isinstance(refusal, Moved):
        return
    opened, current = terms.of_version(form.of), terms.in_force()
    form.version.data = str(current.version)
    if opened is None:
        return
    if not isinstance(form, inputs.program.OfferedRule):
        was, now = _as_typed(opened), _as_typed(current)
        for name in was:
            if name in form and form[name].data == was[name]:
                form[name].data = now[name]
                form[name].raw_data = None  # a number shows what was sent as long as that is there
    form.form_errors.append(
        gettext("What you typed is still here; the rest is as in force now. Send it again if you still mean it.")
    )


def _changed(form: inputs.program.Program) -> dict[str, Any]:
    """The settings that a form asks for."""
    changed: dict[str, Any] = {name: "" if form[name].data is None else form[name].data for name in PLAIN}
    changed |= {name: form[name].data for name in DAYS}
    changed |= {column: form[name].minor for name, column in AMOUNTS.items()}
    changed["currency"] = form.currency.data or terms.in_force().currency
    changed["allowed_hosts"] = sorted(set((form.allowed_hosts.data or "").split()))
    return changed


@blueprint.post("/program/look")
@access.needs("own")
def choose_look() -> ResponseReturnValue:
    """The program's colour and logo, in a new version; a colour too pale for words is used as dark as it has to be."""
    form, current = inputs.program.Look(), terms.in_force()
    logo = _sent(form.logo, images.LOGO) if form.validate() and not by_script() else None
    if form.errors:
        return _look_again(form, 422)
    accent = form.accent.data or ""
    if by_script():
        return picture_of_look(accent)
    if only_looks():
        _tell_that_it_can_be_used(form.logo, logo)
        return _look_again(form, 200, planned=draft({"accent": accent}))
    gone = bool(form.without_logo.data and current.logo)

    def changed(at: datetime) -> dict[str, Any]:
        kept = images.keep(logo, at=at) if logo else "" if gone else current.logo
        return {"accent": accent, "logo": kept}

    done = _said_of(accent, current.accent, new_logo=logo is not None, gone=gone)
    return _published(form, changed, done=done) or _look_again(form, 409)


def _look_again(form: inputs.program.Look, status: int, **more: Any) -> ResponseReturnValue:
    if by_script():
        return old_picture(form)
    return page(look=form, file_again=_chosen(form.logo), **more), status


@blueprint.post("/program/product")
@access.needs("own")
def show_product() -> ResponseReturnValue:
    """A picture of the product for the friend's page, with what is on it, in a new version; or none any more."""
    form, current = inputs.program.Product(), terms.in_force()
    image = _sent(form.image, images.PRODUCT) if form.validate() and not by_script() else None
    gone, text = bool(form.without_image.data and current.product_image), form.image_text.data or ""
    there = bool(current.product_image) and not gone
    if not form.errors and (image or there) and not text:
        form.image_text.errors = [gettext("Write what is on the picture, for who cannot see it.")]
    if not form.errors and not (image or current.product_image or by_script()):
        form.image.errors = [gettext("Choose a picture.")]
    if form.errors:
        return _product_again(form, 422)
    if by_script() or only_looks():
        planned = draft({"product_image": current.product_image if there else "", "product_image_text": text})
        if by_script():
            return picture(planned, rules.of_terms(current.id))
        _tell_that_it_can_be_used(form.image, image)
        return _product_again(form, 200, planned=planned)

    def changed(at: datetime) -> dict[str, Any]:
        kept = images.keep(image, at=at) if image else current.product_image if there else ""
        return {"product_image": kept, "product_image_text": text if kept else ""}

    done = gettext("The picture is taken away.") if gone and not image else gettext("The picture is saved.")
    return _published(form, changed, done=done) or _product_again(form, 409)


def _product_again(form: inputs.program.Product, status: int, **more: Any) -> ResponseReturnValue:
    if by_script():
        return old_picture(form)
    return page(product=form, file_again=_chosen(form.image), **more), status


def _file(field: Any) -> bytes:
    """What was sent in a field; nothing where none was chosen."""
    sent = request.files.get(field.name)
    if not sent:
        return b""
    sent.seek(0)
    return sent.read()


def _chosen(field: Any) -> str:
    """The name of a field in which a file was chosen that can be used; empty if none was."""
    return field.name if _file(field) and not field.errors else ""


def _sent(field: Any, use: Use) -> Drawn | None:
    """What was sent in a field, ready to be kept; None for nothing, and for what is no picture: the field says so."""
    file = _file(field)
    try:
        return images.drawn(file, use) if file else None
    except Refusal as refusal:
        field.errors = [words.say(refusal)]
        return None


def _tell_that_it_can_be_used(field: Any, made: Drawn | None) -> None:
    if made is not None:
        flash(
            gettext("The logo can be used. Choose it again to save it: nothing is kept while you look.")
            if field.name == "logo"
            else gettext("The picture can be used. Choose it again to save it: nothing is kept while you look."),
            "ok",
        )


def _published(
    form: inputs.program.Change, changed: Callable[[datetime], dict[str, Any]], *, done: str
) -> ResponseReturnValue | None:
    """Publishes a version with something changed; None, with the reason in the form, if it is refused."""
    at = clock.now()
    try:
        with database.writing():
            story.change_program(form.of, by=access.me().id, at=at, **changed(at))
    except Unchanged as unchanged:
        return as_it_was(unchanged)
    except Refusal as refusal:
        refused(form, refusal)
        return None
    flash(done, "ok")
    return redirect(url_for(".program"))


def _said_of(accent: str, before: str, *, new_logo: bool, gone: bool) -> str:
    """What was saved of a look: the logo, and how a colour was taken."""
    logo = gettext("The logo is saved.") if new_logo else gettext("The logo is taken away.") if gone else ""
    if accent == before and logo:
        return logo
    return f"{logo} {_said_of_colour(accent)}".strip()


def _said_of_colour(accent: str) -> str:
    shade = tint(accent)
    if shade is None:
        return gettext("Saved: the portal’s own colour.")
    if shade["fine"]:
        return gettext("Saved. White words on it: %(ratio)s:1, fine.", ratio=shade["ratio"])
    return gettext(
        "Saved. White words on it: %(ratio)s:1, hard to read; buttons and links are %(used)s.",
        ratio=shade["ratio"], used=shade["used"],
    )  # fmt: skip


@blueprint.post("/program/goals")
@access.needs("own")
def add_goal() -> ResponseReturnValue:
    """Adds something a friend can do that may be worth a reward."""
    form = inputs.program.Goal()
    if not form.validate():
        return page(goal=form), 422
    try:
        with database.writing():
            story.add_goal(
                form.name.data, label=form.label.data, has_amount=bool(form.has_amount.data), by=access.me().id,
                at=clock.now(),
            )  # fmt: skip
    except Refusal as refusal:
        form.name.errors = [words.say(refusal)]
        return page(goal=form), 422
    flash(gettext("The goal is there. Add a rule for it next."), "ok")
    return redirect(url_for(".program"))


@blueprint.get("/program/history")
@access.needs("read")
def program_history() -> ResponseReturnValue:
    """Each version with its author and what it changed."""
    listed, older = versions.listed(before=page_key("before"))
    return render_template("admin/history.html", versions=listed, older=older)
