"""Payouts at the desk: who is ready, who is left out and why, the batches, what came back, the pool of vouchers."""

from enum import StrEnum
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from portal import program as story
from portal import terms
from portal.core import clock, database
from portal.core.text import Refusal
from portal.payouts import drawing, vouchers
from portal.payouts.drawing import Standing
from portal.reports import batches
from portal.reports.batches import Stage
from portal.web import access, inputs, words
from portal.web.acting import act
from portal.web.admin.people import user_of
from portal.web.admin.room import blueprint
from portal.web.dashboard import page_key


class Tab(StrEnum):
    """The steps of a payout, as the address names them."""

    READY = "ready"
    PROGRESS = "progress"
    PAID = "paid"
    PROBLEMS = "problems"


@blueprint.get("/payouts")
@access.needs("read")
def payout_list() -> ResponseReturnValue:
    wanted = request.args.get("tab", "")
    return _page(Tab(wanted) if wanted in list(Tab) else Tab.READY, inputs.money.Vouchers(formdata=None))


def _page(tab: Tab, form: inputs.money.Vouchers) -> str:
    standings = drawing.standings(terms.in_force(), at=clock.now(), by=access.me().id)
    ready = [standing for standing in standings if standing.why is None]
    return render_template(
        "admin/payouts.html",
        tab=tab,
        ready=ready,
        ready_minor=sum(standing.balance_minor for standing in ready),
        counts={Tab.PROGRESS: batches.under_way(), Tab.PROBLEMS: batches.problems()},
        **_shown(tab, standings, ready),
        form=form,
    )


def _shown(tab: Tab, standings: list[Standing], ready: list[Standing]) -> dict[str, Any]:
    """What one tab shows."""
    before = page_key("before")
    if tab == Tab.PROBLEMS:
        failed, older = batches.failed(before=before)
        return {"failed": failed, "older": older}
    if tab != Tab.READY:
        rows, older = batches.listed(Stage(tab), before=before)
        return {"rows": rows, "older": older}
    left_out = [standing for standing in standings if standing.why is not None]
    people, later = _from(ready, page_key("after"))
    left, more_left = _from(left_out, page_key("left"))
    currency = terms.in_force().currency
    shown = [standing.user.id for standing in [*people, *left]]
    return {
        "people": people, "later": later, "left": left, "more_left": more_left, "reasons": batches.by_reason(left_out),
        "rewards": drawing.ready_rewards(shown, currency), "sums": batches.sums_of_ready(ready),
        "clearing": batches.clearing(currency), "pool": vouchers.pool(currency),
        "reminded": story.reminded([standing.user for standing in left], at=clock.now()),
    }  # fmt: skip


def _from(standings: list[Standing], after: int | None) -> tuple[list[Standing], int | None]:
    """A page of people: those after the one of this row number, and the number for the next page if there is one."""
    place = next((number for number, one in enumerate(standings, start=1) if one.user.id == after), 0)
    shown = standings[place : place + batches.AT_ONCE]
    return shown, shown[-1].user.id if place + len(shown) < len(standings) else None


@blueprint.post("/payouts")
@access.needs("pay")
def draw() -> ResponseReturnValue:
    """Draws a batch of those who were chosen, or of everybody who is ready."""
    chosen = frozenset(one for one in request.form.getlist("person") if len(one) <= 16 and one.isalnum())
    everybody = "everybody" in request.form
    if not (chosen or everybody):
        flash(gettext("Choose at least one person."), "bad")
        return redirect(url_for(".payout_list"))
    try:
        with database.writing():
            batch = story.draw_batch(by=access.me().id, at=clock.now(), only=None if everybody else chosen)
            wanted, drawn = batch.public_id, len(batch.payouts)
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
        return redirect(url_for(".payout_list"))
    if not everybody and drawn < len(chosen):
        missing = len(chosen) - drawn
        flash(ngettext("%(num)s person is not ready any more, and was left out.",
                       "%(num)s people are not ready any more, and were left out.", missing), "info")  # fmt: skip
    return redirect(url_for(".batch", wanted=wanted))


@blueprint.post("/payouts/reminders/<wanted>")
@access.needs("pay")
def reminder(wanted: str) -> ResponseReturnValue:
    """Asks somebody who is left out to say how they want to be paid."""
    found = user_of(wanted)
    return act(
        lambda: story.remind(found, by=access.me().id, at=clock.now()),
        done=gettext("Reminded %(name)s by mail.", name=found.called),
        back=url_for(".payout_list"),
    )


@blueprint.post("/vouchers")
@access.needs("pay")
def add_vouchers() -> ResponseReturnValue:
    form, currency = inputs.money.Vouchers(), terms.in_force().currency
    if not form.validate() or not inputs.fields.read_amounts(form, currency):
        return _page(Tab.READY, form), 422
    if not form.value.minor:
        form.value.errors = [gettext("Write an amount above zero.")]
        return _page(Tab.READY, form), 422
    at = clock.now()
    with database.writing():
        new = story.add_vouchers(
            form.codes.data.splitlines(), value_minor=form.value.minor, currency=currency, by=access.me().id, at=at
        )
    flash(ngettext("%(num)s new code is in the pool.", "%(num)s new codes are in the pool.", new), "ok")
    return redirect(url_for(".payout_list"))
