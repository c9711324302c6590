"""The admin's desk: the queue with its evidence, decisions, payouts, people, the program, keys, the audit list."""

from collections.abc import Callable

from flask import Blueprint, Response, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program as story
from portal import terms
from portal.accounts import api_keys, users
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.config import Settings
from portal.core import clock, database, money
from portal.core.text import Refusal
from portal.delivery import outbox
from portal.payouts import files, payouts, vouchers
from portal.payouts.methods import Details
from portal.payouts.payouts import Batch, Payout
from portal.referrals import referrals as referrals_
from portal.reports import desk, status
from portal.rewards import ledger, rules
from portal.rewards import rewards as rewards_
from portal.rewards.rewards import Reason, Reward
from portal.web import access, inputs, words
from portal.web.acting import act
from portal.web.dashboard import page_key
from portal.web.public import usual_offer

blueprint = Blueprint("admin", __name__, url_prefix="/admin")

TOLD = {
    Reason.SELF_REFERRAL: "A referral counts for somebody new, not for another account of one's own.",
    Reason.EXISTING_CUSTOMER: "Your friend was a customer already.",
    Reason.DUPLICATE: "This order was counted for another reward.",
    Reason.REFUNDED: "The order was given back.",
    Reason.TEST_ORDER: "The order was only a test.",
    Reason.ABUSE: "This does not keep to the terms of the program.",
    Reason.OTHER: "This does not keep to the terms of the program.",
}


@blueprint.get("")
@access.needs("read")
def overview() -> ResponseReturnValue:
    currency = terms.in_force().currency
    settings: Settings = current_app.extensions["settings"]
    return render_template(
        "admin/overview.html",
        attention=desk.attention(),
        totals=ledger.totals(currency),
        history=desk.history(most=10)[0],
        mail_to_files=True,
        plain_address=not settings.secure,
    )


# --- rewards --------------------------------------------------------------------------------------------------


@blueprint.get("/rewards")
@access.needs("read")
def rewards() -> ResponseReturnValue:
    cases, later = desk.queue(after=page_key("after"))
    return render_template(
        "admin/rewards.html",
        cases=cases,
        later=later,
        pending=desk.pending_count(),
        rejection=inputs.Rejection(formdata=None),
        told=TOLD,
        note=inputs.Note(formdata=None),
    )


def _reward(wanted: str) -> Reward:
    return rewards_.find(wanted) or abort(404)


def _back(reward: Reward) -> str:
    """Back to the queue, or to the page of the referral from which it was asked."""
    if request.form.get("from") == "referral":
        return url_for(".referral", wanted=reward.referral.public_id)
    return url_for(".rewards")


@blueprint.post("/rewards/<wanted>/approval")
@access.needs("decide")
def approval(wanted: str) -> ResponseReturnValue:
    reward = _reward(wanted)
    number, name, back = reward.id, reward.referral.referee.as_friend, _back(reward)
    return act(
        lambda: story.approve(number, by=access.me().id, at=clock.now()),
        done=gettext("Approved the reward for %(name)s.", name=name),
        back=back,
    )


@blueprint.post("/rewards/<wanted>/rejection")
@access.needs("decide")
def rejection(wanted: str) -> ResponseReturnValue:
    reward, form = _reward(wanted), inputs.Rejection()
    number, name, back = reward.id, reward.referral.referee.as_friend, _back(reward)
    if not form.validate():
        for errors in form.errors.values():
            flash(" ".join(str(error) for error in errors), "bad")
        return redirect(back)
    return act(
        lambda: story.reject(
            number, by=access.me().id, reason=Reason(form.reason.data), told=form.told.data, note=form.note.data or "",
            at=clock.now(),
        ),
        done=gettext("Rejected the reward for %(name)s.", name=name),
        back=back,
    )  # fmt: skip


@blueprint.post("/rewards/<wanted>/undo")
@access.needs("decide")
def undo(wanted: str) -> ResponseReturnValue:
    reward, form = _reward(wanted), inputs.Note()
    number, back = reward.id, _back(reward)
    if not form.validate():
        flash(gettext("Write why the decision is taken back."), "bad")
        return redirect(back)
    return act(
        lambda: story.undo(number, by=access.me().id, note=form.note.data, at=clock.now()),
        done=gettext("Taken back: the reward is pending again."),
        back=back,
    )


@blueprint.post("/rewards/approvals")
@access.needs("decide")
def approvals() -> ResponseReturnValue:
    """Approves many; each that cannot be is told, the others stand."""
    wanted = [one for one in request.form.getlist("reward") if len(one) <= 16][:1000]
    done, refused = story.approve_many(wanted, by=access.me().id, at=clock.now(), write=database.writing)
    for refusal in refused[:5]:
        flash(words.say(refusal), "bad")
    if done:
        flash(gettext("Approved %(count)s rewards.", count=done), "ok")
    elif not refused:
        flash(gettext("Select at least one reward."), "bad")
    return redirect(url_for(".rewards"))


# --- referrals ------------------------------------------------------------------------------------------------


@blueprint.get("/referrals")
@access.needs("read")
def referrals() -> ResponseReturnValue:
    listed, older = desk.referrals_listed(before=page_key("before"))
    return render_template("admin/referrals.html", referrals=listed, older=older, now=clock.now())


@blueprint.get("/referrals/<wanted>")
@access.needs("read")
def referral(wanted: str) -> ResponseReturnValue:
    found = referrals_.find(wanted) or abort(404)
    cases = desk.of_referral(found)
    return render_template(
        "admin/referral.html",
        referral=found,
        cases=[(case, status.of_reward(case.reward), rewards_.decisions(case.reward.id)) for case in cases],
        conversions=desk.conversions_of(found),
        weighed=[(other, clock.parse(other["at"])) for other in found.weighed],
        signals=desk.signals_of(found),
        assessment=desk.assessment_of(found),
        told=TOLD,
        rejection=inputs.Rejection(formdata=None),
        note=inputs.Note(formdata=None),
        name_of=_name_of,
        words_of=rewards_.told,
        note_of=desk.note_of,
        clawbacks_of=rewards_.clawbacks,
    )


def _name_of(user_id: int | None) -> str:
    return User.by_id(user_id).called if user_id else gettext("the terms")


# --- payouts --------------------------------------------------------------------------------------------------


@blueprint.get("/payouts")
@access.needs("read")
def payout_list() -> ResponseReturnValue:
    current = terms.in_force()
    standings = payouts.standings(current, at=clock.now(), by=access.me().id)
    return render_template(
        "admin/payouts.html",
        ready=[standing for standing in standings if standing.why is None],
        left_out=[standing for standing in standings if standing.why is not None],
        batches=desk.batches(),
        total=payouts.total,
        pool=vouchers.pool(current.currency),
        form=inputs.Vouchers(formdata=None),
        only=inputs.Only(),
    )


@blueprint.post("/payouts")
@access.needs("pay")
def draw() -> ResponseReturnValue:
    """Draws a batch of everybody who is ready."""
    try:
        with database.writing():
            wanted = story.draw_batch(by=access.me().id, at=clock.now()).public_id
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
        return redirect(url_for(".payout_list"))
    return redirect(url_for(".batch", wanted=wanted))


@blueprint.post("/vouchers")
@access.needs("pay")
def add_vouchers() -> ResponseReturnValue:
    form, currency = inputs.Vouchers(), terms.in_force().currency
    if not form.validate() or not inputs.read_amounts(form, currency) or not form.value.minor:
        flash(gettext("Write what each voucher is worth, and paste at least one code."), "bad")
        return redirect(url_for(".payout_list"))
    at = clock.now()
    with database.writing():
        new = story.add_vouchers(
            form.codes.data.splitlines(), value_minor=form.value.minor, currency=currency, by=access.me().id, at=at
        )
    flash(gettext("%(count)s new codes are in the pool.", count=new), "ok")
    return redirect(url_for(".payout_list"))


def _batch(wanted: str) -> Batch:
    return payouts.find_batch(wanted) or abort(404)


def _payout(wanted: str) -> Payout:
    return payouts.find(wanted) or abort(404)


@blueprint.get("/payouts/<wanted>")
@access.needs("read")
def batch(wanted: str) -> ResponseReturnValue:
    found = _batch(wanted)
    return render_template(
        "admin/batch.html",
        batch=found,
        total=payouts.total(found),
        second=payouts.needs_second_person(found, terms.in_force()),
        lines_of=payouts.shown_lines,
        history=desk.history(subject=("batch", found.public_id))[0],
        name_of=_name_of,
        payment=inputs.Payment(formdata=None),
        failure=inputs.Failure(formdata=None),
        only=inputs.Only(),
    )


@blueprint.post("/payouts/<wanted>/approval")
@access.needs("pay")
def batch_approval(wanted: str) -> ResponseReturnValue:
    found = _batch(wanted)
    return act(
        lambda: story.approve_batch(found, by=access.me().id, at=clock.now()),
        done=gettext("The batch is approved. Take out its file next."),
        back=url_for(".batch", wanted=wanted),
    )


@blueprint.post("/payouts/<wanted>/export")
@access.needs("pay")
def batch_export(wanted: str) -> ResponseReturnValue:
    """The batch's file for a bank, PayPal or Wise. Taking it out again gives the same."""
    found, settings = _batch(wanted), current_app.extensions["settings"]
    try:
        with database.writing():
            story.export_batch(found, by=access.me().id, at=clock.now())
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
        return redirect(url_for(".batch", wanted=wanted))
    found = _batch(wanted)
    response = Response(files.batch_csv(found, keep=Details(settings.details_key)), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{found.reference}.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("/payouts/<wanted>/cancellation")
@access.needs("pay")
def batch_cancellation(wanted: str) -> ResponseReturnValue:
    found = _batch(wanted)
    return act(
        lambda: story.cancel_batch(found, by=access.me().id, at=clock.now()),
        done=gettext("The batch is cancelled; everything in it can be paid again."),
        back=url_for(".batch", wanted=wanted),
    )


@blueprint.post("/payouts/<wanted>/payment")
@access.needs("pay")
def batch_payment(wanted: str) -> ResponseReturnValue:
    """Everything in the batch that is on its way has arrived."""
    found, form = _batch(wanted), inputs.Payment()
    if not form.validate():
        flash(gettext("Use at most 80 characters for the reference."), "bad")
        return redirect(url_for(".batch", wanted=wanted))
    return act(
        lambda: story.pay_batch(
            found, by=access.me().id, bank_reference=form.bank_reference.data or "", at=clock.now()
        ),
        done=gettext("Marked as paid."),
        back=url_for(".batch", wanted=wanted),
    )


@blueprint.post("/payouts/lines/<wanted>/payment")
@access.needs("pay")
def payout_payment(wanted: str) -> ResponseReturnValue:
    found = _payout(wanted)
    back = url_for(".batch", wanted=found.batch.public_id)
    return act(lambda: story.pay(found, by=access.me().id, at=clock.now()), done=gettext("Marked as paid."), back=back)


@blueprint.post("/payouts/lines/<wanted>/failure")
@access.needs("pay")
def payout_failure(wanted: str) -> ResponseReturnValue:
    found, form = _payout(wanted), inputs.Failure()
    back = url_for(".batch", wanted=found.batch.public_id)
    if not form.validate():
        flash(gettext("Write why the payment failed; the person reads it."), "bad")
        return redirect(back)
    return act(
        lambda: story.fail(found, failure=form.failure.data, by=access.me().id, at=clock.now()),
        done=gettext("Marked as failed; the money is payable again."),
        back=back,
    )


# --- people ---------------------------------------------------------------------------------------------------


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
        history=desk.history(subject=("user", found.public_id))[0],
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


# --- program --------------------------------------------------------------------------------------------------


@blueprint.get("/program")
@access.needs("read")
def program() -> ResponseReturnValue:
    return _program_page(inputs.Program(formdata=None, data=_program_data()))


def _program_page(form: inputs.Program) -> str:
    current = terms.in_force()
    return render_template(
        "admin/program.html", form=form, version=current.version, rules=rules.of_terms(current.id),
        published_by=_name_of(current.published_by_id) if current.published_by_id else "",
    )  # fmt: skip


def _program_data() -> dict[str, object]:
    """The terms in force as the form shows them."""
    current = terms.in_force()
    simple = {rule.beneficiary: rule for rule in rules.of_terms(current.id) if _is_simple(rule)}
    one = next(iter(simple.values()), None)

    def shown(minor: int | None) -> str:
        return "" if minor is None else money.plain(minor, current.currency)

    return {
        "program_name": current.program_name,
        "state": current.state,
        "referee_amount": shown(simple["referee"].amount_minor) if "referee" in simple else "",
        "referrer_amount": shown(simple["referrer"].amount_minor) if "referrer" in simple else "",
        "minimum_order": shown(one.minimum_order_minor) if one else "",
        "hold_days": one.hold_days if one else 30,
        "touch": current.touch,
        "window_days": current.window_days,
        "goal_days": current.goal_days,
        "minimum_payout": shown(current.minimum_payout_minor),
        "auto_approve_below": shown(current.auto_approve_below_minor),
        "second_person_above": shown(current.second_person_above_minor),
        "time_zone": current.time_zone,
        "shop_url": current.shop_url,
        "help_contact": current.help_contact,
        "legal_text": current.legal_text,
    }


def _is_simple(rule: rules.Rule) -> bool:
    """Whether a rule is one that the simple form edits: a fixed amount for the first purchase."""
    return rule.goal == "purchase" and rule.kind == "fixed" and not rule.threshold and not rule.tiers


@blueprint.post("/program")
@access.needs("own")
def publish() -> ResponseReturnValue:
    """Publishes a new version; referrals that are there keep the rules they came with."""
    form, current = inputs.Program(), terms.in_force()
    if not form.validate() or not inputs.read_amounts(form, current.currency):
        return _program_page(form), 422
    kept = [rules.copied(rule) for rule in rules.of_terms(current.id) if not _is_simple(rule)]
    keys = {rule.beneficiary: rule.rule_key for rule in rules.of_terms(current.id) if _is_simple(rule)}
    offered = usual_offer(
        form.referee_amount.minor, form.referrer_amount.minor, form.minimum_order.minor, form.hold_days.data
    )
    for rule in offered:
        if rule.beneficiary in keys:
            rule.rule_key = keys[rule.beneficiary]
    plain = (
        "program_name",
        "state",
        "touch",
        "window_days",
        "goal_days",
        "time_zone",
        "shop_url",
        "help_contact",
        "legal_text",
    )
    return act(
        lambda: story.open_program(
            kept + offered, by=access.me().id, at=clock.now(),
            minimum_payout_minor=form.minimum_payout.minor or 0,
            auto_approve_below_minor=form.auto_approve_below.minor,
            second_person_above_minor=form.second_person_above.minor,
            **{name: form[name].data or "" for name in plain},
        ),
        done=gettext("Saved. New sign-ups use this from now; referrals that are there keep the rules they came with."),
        back=url_for(".program"),
    )  # fmt: skip


# --- for developers, and what was done ------------------------------------------------------------------------


@blueprint.get("/developers")
@access.needs("own")
def developers() -> ResponseReturnValue:
    settings: Settings = current_app.extensions["settings"]
    return render_template(
        "admin/developers.html", keys=api_keys.listed(), form=inputs.ApiKey(formdata=None), base_url=settings.base_url,
        secret=None, only=inputs.Only(),
    )  # fmt: skip


@blueprint.post("/developers/keys")
@access.needs("own")
def make_key() -> ResponseReturnValue:
    """Makes an API key and shows it, this once."""
    form = inputs.ApiKey()
    secret = None
    if form.validate():
        with database.writing():
            secret = api_keys.make(form.name.data, by=access.me().id, at=clock.now())
    settings: Settings = current_app.extensions["settings"]
    page = render_template(
        "admin/developers.html", keys=api_keys.listed(), form=form, base_url=settings.base_url, secret=secret,
        only=inputs.Only(),
    )  # fmt: skip
    return page, 200 if secret else 422


@blueprint.post("/developers/keys/<wanted>/revocation")
@access.needs("own")
def revoke_key(wanted: str) -> ResponseReturnValue:
    return act(
        lambda: api_keys.revoke(wanted, by=access.me().id, at=clock.now()),
        done=gettext("The key is revoked."),
        back=url_for(".developers"),
    )


@blueprint.get("/outbox")
@access.needs("read")
def outbox_list() -> ResponseReturnValue:
    return render_template("admin/outbox.html", messages=outbox.listed(outbox.State))


@blueprint.get("/audit")
@access.needs("read")
def audit_list() -> ResponseReturnValue:
    listed, older = desk.history(before=page_key("before"))
    return render_template("admin/audit.html", history=listed, older=older)
