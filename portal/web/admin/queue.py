"""The queue: pending rewards and referrals with their evidence, and every decision about them."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from portal import program as story
from portal.core import clock, database
from portal.referrals import claims
from portal.referrals import referrals as referrals_
from portal.reports import desk, signal_record, status
from portal.rewards import appeals as appeals_
from portal.rewards import rewards as rewards_
from portal.rewards.kinds import ABOUT, Kind
from portal.rewards.rewards import Reason, Reward
from portal.web import access, inputs, words
from portal.web.acting import act
from portal.web.admin.room import blueprint, name_of
from portal.web.dashboard import page_key


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
        told=words.TOLD,
        note=inputs.Note(formdata=None),
    )


def _reward(wanted: str) -> Reward:
    return rewards_.find(wanted) or abort(404)


def _told(form: inputs.Rejection) -> str:
    """What the referrer reads. A ready text that was left as it stood follows the reason that was chosen."""
    text = " ".join((form.told.data or "").split())
    left = text in words.TOLD.values() or text in map(words.ready, words.TOLD.values())
    return words.TOLD[Reason(form.reason.data)] if left else text


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
    found, form = appeals_.find(wanted) or abort(404), inputs.Answer()
    back = url_for(".referral", wanted=found.reward.referral.public_id)
    if not form.validate():
        flash(
            gettext("Write an answer of at most %(most)s characters; the person reads it.", most=appeals_.LONGEST),
            "bad",
        )
        return redirect(back)
    return act(
        lambda: story.answer_appeal(found, form.answer.data or "", by=access.me().id, at=clock.now()),
        done=gettext("Answered."),
        back=back,
    )


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
        told=words.TOLD,
        rejection=inputs.Rejection(formdata=None),
        note=inputs.Note(formdata=None),
        name_of=name_of,
        words_of=rewards_.told,
        note_of=desk.note_of,
        clawbacks_of=rewards_.clawbacks,
        appeals=appeals_.of_rewards([case.reward.id for case in cases]),
        answering=inputs.Answer(formdata=None),
    )
