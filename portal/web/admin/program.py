"""The program at the desk: the terms in force, the rules of the offer, the goals; each change is a new version, looked
at before it is made if one likes, and kept in the history."""

from typing import Any

from flask import abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import logos, terms
from portal import program as story
from portal.config import Settings
from portal.core import clock, colour, database, money
from portal.core.text import Refusal
from portal.delivery import letters
from portal.notices import invitations
from portal.referrals import referrals
from portal.reports import rehearsal, versions
from portal.rewards import goals, rules
from portal.rewards.rules import Kind, Rule
from portal.terms import Terms
from portal.web import access, inputs, look, words
from portal.web.acting import act
from portal.web.admin.room import blueprint, name_of
from portal.web.dashboard import page_key

PLAIN = (
    "program_name", "state", "touch", "goal", "window_days", "claim_days", "goal_days", "time_zone", "shop_url",
    "help_contact", "legal_text", "mails_invites", "invites_a_day", "invites_an_address",
)  # fmt: skip
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
    return _page()


def _page(
    form: inputs.Program | None = None, rule: inputs.OfferedRule | None = None, goal: inputs.Goal | None = None,
    look: inputs.Look | None = None,
) -> str:  # fmt: skip
    current = terms.in_force()
    offered = rules.of_terms(current.id)
    return render_template(
        "admin/program.html",
        **_looks(_draft({}), offered),
        form=form or _filled(inputs.Program(formdata=None, data=_as_typed(current))),
        rule=_filled(rule or inputs.OfferedRule(formdata=None)),
        goal=goal or inputs.Goal(formdata=None),
        look=look or inputs.Look(formdata=None, accent=current.accent),
        goals=goals.listed(),
        version=current.version,
        rules=offered,
        published_by=name_of(current.published_by_id) if current.published_by_id else "",
        only=inputs.Only(),
    )


def _filled(form: Any) -> Any:
    """The form with today's goals to choose from."""
    form.goal.choices = {goal.name: words.ready(goal.label) for goal in goals.listed()}
    return form


def _as_typed(current: terms.Terms) -> dict[str, object]:
    """The terms in force as somebody would type them."""
    typed: dict[str, object] = {name: getattr(current, name) for name in PLAIN}
    for name, column in AMOUNTS.items():
        minor = getattr(current, column)
        typed[name] = "" if minor is None else words.typed(money.plain(minor, current.currency))
    return typed | {"allowed_hosts": "\n".join(current.allowed_hosts)}


@blueprint.post("/program")
@access.needs("own")
def publish() -> ResponseReturnValue:
    """Publishes a new version; referrals that are there keep the rules they came with."""
    form = _filled(inputs.Program())
    if not form.validate() or not inputs.read_amounts(form, terms.in_force().currency):
        return _page(form), 422
    changed = _changed(form)
    if _only_looks():
        return _trial(_draft(changed), rules.of_terms(terms.in_force().id), action=url_for(".publish"))
    return act(
        lambda: story.change_program(by=access.me().id, at=clock.now(), **changed),
        done=gettext("Saved. New sign-ups use this from now; referrals that are there keep the rules they came with."),
        back=url_for(".program"),
    )


def _changed(form: inputs.Program) -> dict[str, Any]:
    """The settings that a form asks for."""
    changed: dict[str, Any] = {name: "" if form[name].data is None else form[name].data for name in PLAIN}
    changed |= {column: form[name].minor for name, column in AMOUNTS.items()}
    changed["allowed_hosts"] = sorted(set((form.allowed_hosts.data or "").split()))
    return changed


@blueprint.post("/program/look")
@access.needs("own")
def choose_look() -> ResponseReturnValue:
    """The program's colour and logo, in a new version; a colour too pale for words is used as dark as it has to be."""
    form = inputs.Look()
    if not form.validate():
        return _page(look=form), 422
    accent, sent = form.accent.data or "", request.files.get("logo")
    file = sent.read() if sent else b""
    try:
        png = logos.drawn(file) if file else None
    except Refusal as refusal:
        form.logo.errors = [words.say(refusal)]
        return _page(look=form), 422

    def change() -> None:
        at, current = clock.now(), terms.in_force()
        logo = logos.keep(png, at=at) if png else "" if form.without_logo.data else current.logo
        story.change_program(accent=accent, logo=logo, by=access.me().id, at=at)

    return act(change, done=_said_of(accent), back=url_for(".program"))


def _said_of(accent: str) -> str:
    """How a colour was taken."""
    if not accent:
        return gettext("Saved: the portal’s own colour.")
    ratio = f"{colour.contrast(accent, colour.WHITE):.1f}"
    used = look.fill(accent)
    if used == accent:
        return gettext("Saved. White words on it: %(ratio)s:1, fine.", ratio=ratio)
    return gettext(
        "Saved. White words on it: %(ratio)s:1, hard to read; buttons and links are %(used)s.", ratio=ratio, used=used
    )


@blueprint.post("/program/rules")
@access.needs("own")
def add_rule() -> ResponseReturnValue:
    """Adds a rule to the offer, in a new version."""
    form = _filled(inputs.OfferedRule())
    if not form.validate() or not inputs.read_amounts(form, terms.in_force().currency):
        return _page(rule=form), 422
    try:
        if _only_looks():
            current = terms.in_force()
            added = _rule(form, current.currency)
            rules.check(added)
            added.rule_key = "draft"
            return _trial(_draft({}), [*rules.of_terms(current.id), added], action=url_for(".add_rule"))
        with database.writing():
            story.change_program(add=_rule(form, terms.in_force().currency), by=access.me().id, at=clock.now())
    except inputs.NotAMeasure as wrong:
        form[wrong.field].errors = [str(wrong)]
        return _page(rule=form), 422
    except Refusal as refusal:
        form.form_errors = [words.say(refusal)]
        return _page(rule=form), 422
    flash(gettext("The rule is in force for new sign-ups from now on."), "ok")
    return redirect(url_for(".program"))


def _rule(form: inputs.OfferedRule, currency: str) -> Rule:
    """The rule that a form describes. Raises NotAMeasure for a share or tier that cannot be read."""
    fixed = form.kind.data == Kind.FIXED
    return Rule(
        goal=form.goal.data,
        beneficiary=form.beneficiary.data,
        kind=form.kind.data,
        amount_minor=form.amount.minor if fixed else None,
        share_bp=None if fixed else inputs.basis_points(form.share.data or "", "share"),
        most_minor=None if fixed else form.most.minor,
        minimum_order_minor=form.minimum_order.minor or None,
        often=form.often.data,
        months=form.months.data,
        hold_days=form.hold_days.data,
        threshold=form.threshold.data,
        tiers=inputs.tiers(form.tiers.data or "", currency if fixed else None),
        starts_on=form.starts_on.data,
        ends_on=form.ends_on.data,
    )


@blueprint.post("/program/rules/<rule_key>/removal")
@access.needs("own")
def remove_rule(rule_key: str) -> ResponseReturnValue:
    """Takes a rule out of the offer, in a new version."""
    return act(
        lambda: story.change_program(drop=rule_key, by=access.me().id, at=clock.now()),
        done=gettext("The rule is gone for new sign-ups; friends who came under it keep it."),
        back=url_for(".program"),
    )


@blueprint.post("/program/goals")
@access.needs("own")
def add_goal() -> ResponseReturnValue:
    """Adds something a friend can do that may be worth a reward."""
    form = inputs.Goal()
    if not form.validate():
        return _page(goal=form), 422
    try:
        with database.writing():
            story.add_goal(
                form.name.data, label=form.label.data, has_amount=bool(form.has_amount.data), by=access.me().id,
                at=clock.now(),
            )  # fmt: skip
    except Refusal as refusal:
        form.name.errors = [words.say(refusal)]
        return _page(goal=form), 422
    flash(gettext("The goal is there. Add a rule for it next."), "ok")
    return redirect(url_for(".program"))


# --- before it is made, and after it was ------------------------------------------------------------------------


def _only_looks() -> bool:
    """Whether a form was sent only to see what it would do."""
    return request.form.get("only") == "preview"


def _draft(changed: dict[str, Any]) -> Terms:
    """The terms in force with something changed, kept nowhere."""
    current = terms.in_force()
    kept = {column.key: getattr(current, column.key) for column in Terms.__table__.columns if column.key != "id"}
    return Terms(**kept | changed)


def _looks(draft: Terms, offer: list[Rule]) -> dict[str, Any]:
    """What the preview shows."""
    at = clock.now()
    letter = invitations.draft(access.me(), draft, offer, words.spoken(), at=at)
    settings: Settings = current_app.extensions["settings"]
    blocks = letters.blocks(letter.text, f"{settings.base_url}/")
    return {"draft": draft, "offered": rules.best(offer, draft, at=at), "letter": letter, "blocks": blocks}


def _trial(draft: Terms, offer: list[Rule], *, action: str) -> ResponseReturnValue:
    """How a change will look, what it touches, what it would have given; for a script only how it will look."""
    current, at = terms.in_force(), clock.now()
    if "HX-Request" in request.headers:
        return render_template("admin/_trial.html", **_looks(draft, offer))
    old = rules.of_terms(current.id)
    keys = {rule.rule_key for rule in old}, {rule.rule_key for rule in offer}
    results = rehearsal.rehearse({"now": (current, old), "new": (draft, offer)}, at=at)
    return render_template(
        "admin/trial.html",
        **_looks(draft, offer),
        **results,
        days=rehearsal.DAYS,
        changes=versions.changes(current, draft),
        added=[rule for rule in offer if rule.rule_key not in keys[0]],
        removed=[rule for rule in old if rule.rule_key not in keys[1]],
        open_referrals=referrals.open_now(at=at),
        action=action,
        sent=[(name, given) for name, given in request.form.items(multi=True) if name not in ("csrf_token", "only")],
        version=current.version,
    )


@blueprint.get("/program/rules/<rule_key>/trial")
@access.needs("own")
def rule_trial(rule_key: str) -> ResponseReturnValue:
    """What the program would be without a rule."""
    old = rules.of_terms(terms.in_force().id)
    if rule_key not in {rule.rule_key for rule in old}:
        abort(404)
    left = [rule for rule in old if rule.rule_key != rule_key]
    return _trial(_draft({}), left, action=url_for(".remove_rule", rule_key=rule_key))


@blueprint.get("/program/history")
@access.needs("read")
def program_history() -> ResponseReturnValue:
    """Each version with its author and what it changed."""
    listed, older = versions.listed(before=page_key("before"))
    return render_template("admin/history.html", versions=listed, older=older)
