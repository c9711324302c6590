"""The rules of the offer at the desk: added, changed under the same key so that what was counted goes on, removed."""

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program as story
from portal import terms
from portal.core import clock, database, money
from portal.core.text import Refusal
from portal.rewards import rules
from portal.rewards.rules import Kind, Rule, RuleRefused
from portal.web import access, inputs, words
from portal.web.admin import program
from portal.web.admin.room import blueprint
from portal.web.admin.trial import by_script, draft, looks, old_picture, only_looks, trial, wrong_of


@blueprint.post("/program/rules")
@access.needs("own")
def add_rule() -> ResponseReturnValue:
    """Adds a rule to the offer, in a new version."""
    return _put(None)


@blueprint.get("/program/rules/<rule_key>")
@access.needs("own")
def rule(rule_key: str) -> ResponseReturnValue:
    """One rule, to be changed."""
    current = terms.in_force()
    return _page(_offered(rule_key), program.with_goals(_as_typed(_offered(rule_key), current)))


@blueprint.post("/program/rules/<rule_key>")
@access.needs("own")
def change_rule(rule_key: str) -> ResponseReturnValue:
    """Publishes the rule as the form has it, under its key: ordinals and first ones go on. One that a colleague has
    removed meanwhile is refused like every change of an older version, and could be added anew."""
    known = _find(rule_key)
    if known is None and inputs.program.OfferedRule().of == terms.in_force().version:
        abort(404)
    return _put(known)


def _find(rule_key: str) -> Rule | None:
    return next((one for one in rules.of_terms(terms.in_force().id) if one.rule_key == rule_key), None)


def _offered(rule_key: str) -> Rule:
    """A rule of the offer in force; 404 without it."""
    return _find(rule_key) or abort(404)


def _page(known: Rule, form: inputs.program.OfferedRule) -> str:
    shown = looks(draft({}), rules.of_terms(terms.in_force().id)) | {"wrong": wrong_of(form)}
    return render_template("admin/rule.html", known=known, rule=form, **shown)


def _put(known: Rule | None) -> ResponseReturnValue:
    """Puts a rule into the offer as the form has it: in the place of one that is known, or at the end."""
    form = program.with_goals(inputs.program.OfferedRule())
    current = terms.in_force()
    action = url_for(".change_rule", rule_key=known.rule_key) if known else url_for(".add_rule")

    def again(status: int) -> ResponseReturnValue:
        if by_script():
            return old_picture(form)
        return (_page(known, form) if known else program.page(rule=form)), status

    if not form.validate() or not inputs.fields.read_amounts(form, current.currency):
        return again(422)
    try:
        if only_looks():
            program.look_at_the_newest(form)
            planned = rules.with_it(rules.of_terms(current.id), _typed(form, current.currency, known))
            return trial(draft({}), planned, action=action)
        with database.writing():
            put = _typed(form, current.currency, known)
            story.change_program(form.of, put=put, by=access.me().id, at=clock.now())
    except inputs.program.NotAMeasure as wrong:
        form[wrong.field].errors = [str(wrong)]
        return again(422)
    except terms.Unchanged as unchanged:
        return program.as_it_was(unchanged)
    except RuleRefused as wrong_rule:
        field = wrong_rule.column.removesuffix("_minor").removesuffix("_bp")
        if field not in form:
            program.refused(form, wrong_rule)
        else:
            form[field].errors = [words.say(wrong_rule)]
        return again(422)
    except Refusal as refusal:
        program.refused(form, refusal)
        return again(409 if isinstance(refusal, terms.Moved) else 422)
    flash(program.saved(current), "ok")
    return redirect(url_for(".program"))


def _typed(form: inputs.program.OfferedRule, currency: str, known: Rule | None) -> Rule:
    """The rule that a form describes. Raises NotAMeasure for a share or tier that cannot be read."""
    fixed = form.kind.data == Kind.FIXED
    return Rule(
        rule_key=known.rule_key if known else rules.new_key(),
        goal=form.goal.data,
        beneficiary=form.beneficiary.data,
        kind=form.kind.data,
        amount_minor=form.amount.minor if fixed else None,
        share_bp=None if fixed else inputs.program.basis_points(form.share.data or "", "share"),
        most_minor=None if fixed else form.most.minor,
        minimum_order_minor=form.minimum_order.minor or None,
        often=form.often.data,
        months=form.months.data,
        hold_days=form.hold_days.data,
        threshold=form.threshold.data,
        tiers=inputs.program.tiers(form.tiers.data or "", currency if fixed else None),
        starts_on=form.starts_on.data,
        ends_on=form.ends_on.data,
    )


def _as_typed(known: Rule, current: terms.Terms) -> inputs.program.OfferedRule:
    """A rule as somebody would type it."""

    def amount(minor: int | None) -> str:
        return "" if minor is None else words.typed(money.plain(minor, current.currency))

    def share(points: int | None) -> str:
        return "" if points is None else words.typed(f"{points // 100}.{points % 100:02}".rstrip("0").rstrip("."))

    tiers = [
        f"{tier['from']}: {amount(tier['amount_minor']) if 'amount_minor' in tier else share(tier['share_bp'])}"
        for tier in known.tiers or []
    ]
    plain = ("goal", "beneficiary", "kind", "often", "months", "hold_days", "threshold", "starts_on", "ends_on")
    typed = {name: getattr(known, name) for name in plain} | {
        "amount": amount(known.amount_minor),
        "share": share(known.share_bp),
        "most": amount(known.most_minor),
        "minimum_order": amount(known.minimum_order_minor),
        "tiers": "\n".join(tiers),
        "version": current.version,
    }
    return inputs.program.OfferedRule(formdata=None, data=typed)


@blueprint.get("/program/rules/<rule_key>/removal")
@access.needs("own")
def rule_removal(rule_key: str) -> ResponseReturnValue:
    """What the program would be without a rule, and the button that takes it out."""
    return _without(_offered(rule_key))


@blueprint.post("/program/rules/<rule_key>/removal")
@access.needs("own")
def remove_rule(rule_key: str) -> ResponseReturnValue:
    """Takes a rule out of the offer, in a new version."""
    known, form = _offered(rule_key), inputs.program.Change()
    try:
        with database.writing():
            story.change_program(form.of, drop=known.rule_key, by=access.me().id, at=clock.now())
    except Refusal as refusal:
        return _without(known, refused=words.say(refusal)), 409
    flash(gettext("The rule is gone for new sign-ups; friends who came under it keep it."), "ok")
    return redirect(url_for(".program"))


def _without(known: Rule, refused: str = "") -> str:
    current = terms.in_force()
    left = [one for one in rules.of_terms(current.id) if one.rule_key != known.rule_key]
    action = url_for(".remove_rule", rule_key=known.rule_key)
    return trial(
        draft({}), left, action=action, removes=True, refused=refused, sent=[("version", str(current.version))]
    )
