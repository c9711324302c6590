"""The queue: pending rewards and referrals with their evidence, and every decision about them."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from portal import program as story
from portal.core import clock, database
from portal.referrals import referrals as referrals_
from portal.reports import desk, status
from portal.rewards import rewards as rewards_
from portal.rewards.rewards import Reason, Reward
from portal.web import access, inputs, words
from portal.web.acting import act
from portal.web.admin.room import blueprint, name_of
from portal.web.dashboard import page_key

TOLD = {
    Reason.SELF_REFERRAL: "A referral counts for somebody new, not for another account of one's own.",
    Reason.EXISTING_CUSTOMER: "A referral counts for somebody who was not a customer before.",
    Reason.DUPLICATE: "This order was counted for another reward.",
    Reason.REFUNDED: "The order was given back.",
    Reason.TEST_ORDER: "The order was only a test.",
    Reason.ABUSE: "This does not keep to the terms of the program.",
    Reason.OTHER: "This does not keep to the terms of the program.",
}


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


def _told(form: inputs.Rejection) -> str:
    """What the referrer reads. A ready text that was left as it stood follows the reason that was chosen."""
    text = " ".join((form.told.data or "").split())
    return TOLD[Reason(form.reason.data)] if text in TOLD.values() else text


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
            number, by=access.me().id, reason=Reason(form.reason.data), told=_told(form), note=form.note.data or "",
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
    wanted = [one for one in request.form.getlist("reward") if len(one) <= 16 and one.isalnum()][:1000]
    done, refused = story.approve_many(wanted, by=access.me().id, at=clock.now(), write=database.writing)
    for refusal in refused[:5]:
        flash(words.say(refusal), "bad")
    if done:
        flash(ngettext("Approved %(num)s reward.", "Approved %(num)s rewards.", done), "ok")
    elif not refused:
        flash(gettext("Select at least one reward."), "bad")
    return redirect(url_for(".rewards"))


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
        name_of=name_of,
        words_of=rewards_.told,
        note_of=desk.note_of,
        clawbacks_of=rewards_.clawbacks,
    )
