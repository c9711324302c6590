"""Signals at the desk: each kind with its weight, how often it was raised and right; the owner weighs them."""

from flask import abort, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program as story
from portal.core import clock
from portal.reports import signal_record
from portal.rewards import kinds
from portal.rewards.kinds import Kind
from portal.web import access, inputs
from portal.web.acting import act
from portal.web.admin.room import blueprint


@blueprint.get("/signals")
@access.needs("read")
def signals() -> ResponseReturnValue:
    return _page()


def _page(wrong: dict[Kind, inputs.program.SignalWeight] | None = None) -> str:
    """The page; `wrong`: the form that was sent and could not be read, by its kind."""
    forms = {
        kind: inputs.program.SignalWeight.of(kind, formdata=None, weight=today.weight, is_on=today.is_on)
        for kind, today in kinds.standings().items()
    } | (wrong or {})
    records = signal_record.records(at=clock.now())
    return render_template("admin/signals.html", records=records, weights=forms, sent=set(wrong or {}))


@blueprint.post("/signals/<kind>")
@access.needs("own")
def weigh(kind: str) -> ResponseReturnValue:
    """Gives a kind of signal another weight, or switches it off."""
    if kind not in set(Kind):
        abort(404)
    wanted, form = Kind(kind), inputs.program.SignalWeight.of(kind)
    if not form.validate():
        return _page({wanted: form}), 422
    return act(
        lambda: story.weigh_signal(
            wanted, weight=form.weight.data, is_on=bool(form.is_on.data), by=access.me().id, at=clock.now()
        ),
        done=gettext("Saved. It counts for what is raised from now on."),
        back=url_for(".signals", _anchor=kind),
    )
