"""The queue: pending rewards with their evidence, and the decisions about one, many, or all that are Clear.

With script, a decision replaces its row (htmx asks, and gets the row alone); without, the page comes again.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from portal import program as story
from portal import terms
from portal.accounts import users
from portal.accounts.users import User
from portal.core import clock, database
from portal.core.text import Refusal
from portal.program import Decided
from portal.reports import queue
from portal.reports.queue import Filters, Order
from portal.rewards import decisions, rules
from portal.rewards import rewards as rewards_
from portal.rewards.decisions import Reason
from portal.rewards.rewards import Reward
from portal.rewards.signals import Assessment
from portal.sharing import links
from portal.web import access, inputs, words
from portal.web.admin.room import blueprint, name_of

TOLD_AT_MOST = 5
"""How many refusals of one press are told one by one."""


# --- looking --------------------------------------------------------------------------------------------------


@blueprint.get("/rewards")
@access.needs("read")
def rewards() -> ResponseReturnValue:
    form, filters = _filters()
    cases, last = queue.page(filters, after=_named(request.args.get("after", "")), at=clock.now())
    asked = _asked()
    return render_template(
        "admin/rewards.html",
        cases=cases,
        later=_queue(after=last.public_id) if last else None,
        first=_queue() if request.args.get("after") else None,
        standing=queue.standing(at=clock.now()),
        filters=form,
        asked=asked,
        narrowed=bool(asked.keys() - {"order"}),
        rules=rules.latest(),
        currency=terms.in_force().currency,
        **_forms(),
    ), (422 if form.errors else 200)


def _forms() -> dict[str, Any]:
    return {
        "told": words.TOLD,
        "rejection": inputs.decisions.Rejection(formdata=None),
        "holding": inputs.decisions.Hold(formdata=None),
    }


def _named(wanted: str) -> Reward | None:
    return rewards_.find(wanted) if wanted.isalnum() else None


def _asked() -> dict[str, str]:
    """What the address asks for, without the place in the list."""
    return {
        name: value for name, value in request.args.items() if name in inputs.decisions.QueueFilters.names() and value
    }


def _queue(**more: str) -> str:
    """The address of the queue as it was asked for."""
    return url_for(".rewards", _external=False, **_asked(), **more)


def _filters() -> tuple[inputs.decisions.QueueFilters, Filters]:
    """The filters in the address; what cannot be read is told at its field and filters nothing."""
    form, currency = inputs.decisions.QueueFilters(request.args), terms.in_force().currency
    fine = form.validate()
    fine = inputs.fields.read_amounts(form, currency) and fine
    referrer = _somebody((form.referrer.data or "").strip())
    if form.referrer.data and referrer is None and not form.referrer.errors:
        form.referrer.errors = [gettext("Nobody has this address or code.")]
        fine = False
    if not fine:
        return form, Filters()
    return form, Filters(
        assessment=Assessment(form.assessment.data) if form.assessment.data else None,
        least_minor=form.least.minor,
        most_minor=form.most.minor,
        rule_key=form.rule.data or "",
        older_days=form.older.data,
        overdue_by=terms.in_force() if form.overdue.data else None,
        referrer=referrer,
        order=Order(form.order.data or Order.OLDEST),
    )


def _somebody(named: str) -> User | None:
    """A person by public id, address or code."""
    if not named:
        return None
    link = links.by_code(named)
    return (
        users.find_by_public_id(named)
        or users.find_by_email(named)
        or (users.User.by_id(link.owner_id) if link else None)
    )


@blueprint.get("/rewards/decided")
@access.needs("read")
def decided() -> ResponseReturnValue:
    """Of the rewards that somebody's page shows, those that a colleague has decided since, as rows to put in place."""
    if "HX-Request" not in request.headers:
        return redirect(_queue())
    shown = [found for name in request.args.getlist("shown")[: queue.PAGE] if (found := _named(name))]
    gone = [reward for reward in shown if not reward.waits]
    return render_template("admin/_decided.html", gone=[(reward, _decision_of(reward)) for reward in gone], swap=True)


def _decision_of(reward: Reward) -> tuple[decisions.Decision | None, str]:
    taken = decisions.of_reward(reward.id)
    return (taken[-1], name_of(taken[-1].by_id)) if taken else (None, "")


@blueprint.get("/rewards/clear")
@access.needs("decide")
def clear() -> ResponseReturnValue:
    """What *Approve all Clear* would do: how many, and how much."""
    tally = queue.tally(_clear(), for_id=access.me().id, at=clock.now())
    return render_template(
        "admin/clear.html", tally=tally, asked=_asked(), currency=terms.in_force().currency, only=inputs.fields.Only()
    )


def _clear() -> Filters:
    _, filters = _filters()
    return replace(filters, assessment=Assessment.CLEAR)


# --- deciding one ---------------------------------------------------------------------------------------------


def _reward(wanted: str) -> Reward:
    return rewards_.find(wanted) or abort(404)


def _told(form: inputs.decisions.Rejection) -> str:
    """What the referrer reads. A ready text that was left as it stood follows the reason that was chosen."""
    text = " ".join((form.told.data or "").split())
    left = text in words.TOLD.values() or text in map(words.ready, words.TOLD.values())
    return words.TOLD[Reason(form.reason.data)] if left else text


def _decide(reward: Reward, verb: Callable[[int, datetime], object], done: str, *, undo: bool = True) -> Any:
    """One verb about one reward; then the row alone, or back to where it was asked."""
    number, at = reward.id, clock.now()
    try:
        with database.writing():
            verb(number, at)
        said, kind = done, f"undo {at.isoformat()}" if undo else "ok"
    except Refusal as refusal:
        said, kind = words.say(refusal), "bad"
    return _answer(number, said, kind)


def _answer(number: int, said: str, kind: str) -> ResponseReturnValue:
    reward = database.session.get_one(Reward, number)
    if "HX-Request" not in request.headers:
        flash(said, kind)
        return redirect(_back(reward))
    return render_template(
        "admin/_answer.html", reward=reward, case=queue.cases([reward])[0], said=said, kind=kind,
        decision=_decision_of(reward), left=queue.standing(at=clock.now()).pending, **_forms(),
    )  # fmt: skip


def _back(reward: Reward) -> str:
    """Back to the queue as it was asked for, or to the page of the referral."""
    if request.form.get("from") == "referral":
        return url_for(".referral", wanted=reward.referral.public_id)
    return _queue()


def _friend(reward: Reward) -> str:
    return reward.referral.referee.called


@blueprint.post("/rewards/<wanted>/approval")
@access.needs("decide")
def approval(wanted: str) -> ResponseReturnValue:
    reward, me = _reward(wanted), access.me().id
    done = gettext("Approved the reward for %(name)s.", name=_friend(reward))
    return _decide(reward, lambda number, at: story.approve(number, by=me, at=at), done)


@blueprint.post("/rewards/<wanted>/rejection")
@access.needs("decide")
def rejection(wanted: str) -> ResponseReturnValue:
    reward, form, me = _reward(wanted), inputs.decisions.Rejection(), access.me().id
    if not form.validate():
        return _answer(reward.id, inputs.fields.first_error(form), "bad")
    given: dict[str, Any] = {"reason": Reason(form.reason.data), "told": _told(form), "note": form.note.data or ""}
    done = gettext("Rejected the reward for %(name)s.", name=_friend(reward))
    return _decide(reward, lambda number, at: story.reject(number, by=me, at=at, **given), done)


@blueprint.post("/rewards/<wanted>/hold")
@access.needs("decide")
def hold(wanted: str) -> ResponseReturnValue:
    """Holds a reward until the end of a day."""
    reward, form, me = _reward(wanted), inputs.decisions.Hold(), access.me().id
    if not form.validate():
        return _answer(reward.id, inputs.fields.first_error(form), "bad")
    until = _end_of(form)
    done = gettext("The reward for %(name)s is held until %(day)s.", name=_friend(reward), day=words.day(until))
    return _decide(
        reward,
        lambda number, at: story.hold(number, until=until, note=form.note.data or "", by=me, at=at),
        done,
        undo=False,
    )


def _end_of(form: inputs.decisions.Hold) -> datetime:
    return clock.end_of_day(form.until.data, words.zone())


@blueprint.post("/rewards/<wanted>/undo")
@access.needs("decide")
def undo(wanted: str) -> ResponseReturnValue:
    reward, form, me = _reward(wanted), inputs.decisions.Note(), access.me().id
    if not form.validate():
        return _answer(reward.id, gettext("Write why the decision is taken back."), "bad")
    done = gettext("Taken back: the reward is pending again.")
    note = form.note.data
    return _decide(reward, lambda number, at: story.undo(number, by=me, note=note, at=at), done, undo=False)


# --- deciding many --------------------------------------------------------------------------------------------


def _chosen() -> list[int]:
    """The rewards that were ticked, by row number."""
    names = [one for one in request.form.getlist("reward") if len(one) <= 16 and one.isalnum()][: queue.MOST_AT_ONCE]
    return rewards_.numbers_of(names)


def _decide_many(verb: Callable[[datetime], Decided], done: Callable[[int], str], *, undo: bool = True) -> Any:
    """One verb about many rewards; each that cannot be is told, the others stand."""
    at = clock.now()
    with database.writing():
        decided = verb(at)
    for refusal in decided.refused[:TOLD_AT_MOST]:
        flash(words.say(refusal), "bad")
    more = len(decided.refused) - TOLD_AT_MOST
    if more > 0:
        flash(ngettext("And %(num)s more could not be.", "And %(num)s more could not be.", more), "bad")
    if decided.done:
        flash(done(len(decided.done)), f"undo {at.isoformat()}" if undo else "ok")
    elif not decided.refused:
        flash(gettext("Select at least one reward."), "bad")
    return redirect(_queue())


@blueprint.post("/rewards/approvals")
@access.needs("decide")
def approvals() -> ResponseReturnValue:
    chosen, me = _chosen(), access.me().id
    return _decide_many(
        lambda at: story.approve_many(chosen, by=me, at=at),
        lambda many: ngettext("Approved %(num)s reward.", "Approved %(num)s rewards.", many),
    )


@blueprint.post("/rewards/rejections")
@access.needs("decide")
def rejections() -> ResponseReturnValue:
    chosen, form, me = _chosen(), inputs.decisions.Rejection(), access.me().id
    if not form.validate():
        flash(inputs.fields.first_error(form), "bad")
        return redirect(_queue())
    given: dict[str, Any] = {"reason": Reason(form.reason.data), "told": _told(form), "note": form.note.data or ""}
    return _decide_many(
        lambda at: story.reject_many(chosen, by=me, at=at, **given),
        lambda many: ngettext("Rejected %(num)s reward.", "Rejected %(num)s rewards.", many),
    )


@blueprint.post("/rewards/holds")
@access.needs("decide")
def holds() -> ResponseReturnValue:
    chosen, form, me = _chosen(), inputs.decisions.Hold(), access.me().id
    if not form.validate():
        flash(inputs.fields.first_error(form), "bad")
        return redirect(_queue())
    until, note = _end_of(form), form.note.data or ""
    return _decide_many(
        lambda at: story.hold_many(chosen, until=until, note=note, by=me, at=at),
        lambda many: ngettext("Held %(num)s reward.", "Held %(num)s rewards.", many),
        undo=False,
    )


@blueprint.post("/rewards/clear")
@access.needs("decide")
def approve_clear() -> ResponseReturnValue:
    """Approves all that are Clear, if they still are those that were shown."""
    wanted, mark, me = _clear(), request.form.get("mark", ""), access.me().id
    try:
        return _decide_many(
            lambda at: story.approve_shown(wanted, mark=mark, by=me, at=at),
            lambda many: ngettext("Approved %(num)s reward.", "Approved %(num)s rewards.", many),
        )
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
        return redirect(url_for(".clear", _external=False, **_asked()))


@blueprint.post("/rewards/undo")
@access.needs("decide")
def undo_at_once() -> ResponseReturnValue:
    """Takes back what was decided a moment ago, by the moment that the answer carried."""
    try:
        decided_at = clock.parse(request.form.get("decided_at", ""))
    except ValueError:
        abort(400)
    me, note = access.me().id, gettext("Taken back at once.")
    try:
        return _decide_many(
            lambda at: story.undo_at_once(decided_at, by=me, note=note, at=at),
            lambda many: ngettext(
                "Taken back: %(num)s reward is pending again.", "Taken back: %(num)s rewards are pending again.", many
            ),
            undo=False,
        )
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
        return redirect(url_for(".rewards"))
