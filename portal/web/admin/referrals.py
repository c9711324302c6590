"""Referrals at the desk: the list, one with its whole evidence, notes, claims and appeals."""

from flask import abort, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program as story
from portal.core import clock
from portal.referrals import claims
from portal.referrals import referrals as referrals_
from portal.referrals.referrals import Referral
from portal.reports import desk, evidence, signal_record, status
from portal.rewards import appeals as appeals_
from portal.rewards import signals
from portal.rewards.kinds import ABOUT, Kind
from portal.web import access, inputs, words
from portal.web.acting import act
from portal.web.admin.room import blueprint, name_of
from portal.web.dashboard import page_key


@blueprint.get("/referrals")
@access.needs("read")
def referrals() -> ResponseReturnValue:
    chosen = _chosen_signal()
    before, now = page_key("before"), clock.now()
    listed, older = (
        signal_record.behind(*chosen, before=before, at=now) if chosen else desk.referrals_listed(before=before)
    )
    return render_template(
        "admin/referrals.html", referrals=listed, older=older, now=now,
        claims=[] if chosen else claims.waiting(),
        signal=ABOUT[chosen[0]] if chosen else None, outcome=chosen[1] if chosen else None,
        filters={"signal": chosen[0], "outcome": chosen[1]} if chosen else {},
    )  # fmt: skip


def _chosen_signal() -> tuple[Kind, signal_record.Outcome] | None:
    """The filter by a kind of signal and what became of it, as it stands in the address; anything else is none."""
    kind, outcome = request.args.get("signal", ""), request.args.get("outcome", "raised")
    if kind not in set(Kind) or outcome not in set(signal_record.Outcome):
        return None
    return Kind(kind), signal_record.Outcome(outcome)


def _referral(wanted: str) -> Referral:
    return referrals_.find(wanted) or abort(404)


@blueprint.get("/referrals/<wanted>")
@access.needs("read")
def referral(wanted: str) -> ResponseReturnValue:
    return _page(_referral(wanted))


def _page(
    referral: Referral, *, noting: inputs.decisions.ForColleagues | None = None,
    answering: tuple[str, inputs.decisions.Answer] | None = None,
    dismissing: tuple[str, inputs.decisions.Dismissal] | None = None,
) -> str:  # fmt: skip
    """The page, with what could not be taken as it was typed: a note, the answer to an appeal, the reason of a kind."""
    found = evidence.of(referral)
    appeals = [one.appeal.public_id for one in found.judged if one.appeal]
    return render_template(
        "admin/referral.html",
        referral=found.referral,
        evidence=found,
        statuses={one.case.reward.id: status.of_reward(one.case.reward) for one in found.judged},
        noting=noting or inputs.decisions.ForColleagues(formdata=None),
        answering=dict(
            [(name, inputs.decisions.Answer.of(name, formdata=None)) for name in appeals]
            + ([answering] if answering else [])
        ),
        dismissing=dict(
            [(one.kind, inputs.decisions.Dismissal.of(one.kind, formdata=None)) for one in found.signals]
            + ([dismissing] if dismissing else [])
        ),
        name_of=name_of,
        told=words.TOLD,
        rejection=inputs.decisions.Rejection(formdata=None),
        holding=inputs.decisions.Hold(formdata=None),
        note=inputs.decisions.Note(formdata=None),
    )


@blueprint.post("/referrals/<wanted>/notes")
@access.needs("decide")
def make_note(wanted: str) -> ResponseReturnValue:
    """Notes something for colleagues."""
    found, form = _referral(wanted), inputs.decisions.ForColleagues()
    back = url_for(".referral", wanted=wanted, _anchor="notes")
    if not form.validate():
        return _page(found, noting=form), 422
    return act(
        lambda: story.note(found, form.text.data or "", by=access.me().id, at=clock.now()),
        done=gettext("Noted."),
        back=back,
    )


@blueprint.post("/referrals/<wanted>/signals/<kind>/dismissal")
@access.needs("decide")
def dismissal(wanted: str, kind: str) -> ResponseReturnValue:
    """A reviewer has looked: there is nothing behind this signal."""
    found, form = _referral(wanted), inputs.decisions.Dismissal.of(kind)
    signal = signals.find(wanted, kind) or abort(404)
    back = url_for(".referral", wanted=wanted, _anchor="signals")
    if not form.validate():
        return _page(found, dismissing=(kind, form)), 422
    return act(
        lambda: story.dismiss(found, signal, reason=form.reason.data or "", by=access.me().id, at=clock.now()),
        done=gettext("Dismissed: it weighs nothing from now on."),
        back=back,
    )


@blueprint.post("/referrals/<wanted>/signals/<kind>/return")
@access.needs("decide")
def signal_return(wanted: str, kind: str) -> ResponseReturnValue:
    """Takes a dismissal back."""
    found = _referral(wanted)
    signal = signals.find(wanted, kind) or abort(404)
    return act(
        lambda: story.raise_again(found, signal, by=access.me().id, at=clock.now()),
        done=gettext("Taken back: it weighs again."),
        back=url_for(".referral", wanted=wanted, _anchor="signals"),
    )


@blueprint.post("/claims/<wanted>/answer")
@access.needs("decide")
def claim_answer(wanted: str) -> ResponseReturnValue:
    """Answers a claim in the place of whoever was named."""
    found = claims.find(wanted) or abort(404)
    granted = request.form.get("answer") == "yes"
    return act(
        lambda: story.answer_claim(found, granted=granted, by=access.me().id, at=clock.now()),
        done=gettext("Confirmed: the friend counts from the day they joined.") if granted else gettext("Refused."),
        back=url_for(".referrals"),
    )


@blueprint.post("/appeals/<wanted>/answer")
@access.needs("decide")
def appeal_answer(wanted: str) -> ResponseReturnValue:
    """Answers an appeal. A decision that was wrong is taken back as any other, with *Undo*."""
    found, form = appeals_.find(wanted) or abort(404), inputs.decisions.Answer.of(wanted)
    back = url_for(".referral", wanted=found.reward.referral.public_id)
    if not form.validate():
        return _page(found.reward.referral, answering=(wanted, form)), 422
    return act(
        lambda: story.answer_appeal(found, form.answer.data or "", by=access.me().id, at=clock.now()),
        done=gettext("Answered."),
        back=back,
    )
