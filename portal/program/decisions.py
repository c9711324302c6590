"""What people decide about rewards: approve, reject, hold, undo, answer; one, many, or by the terms."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal import notices
from portal import terms as terms_
from portal.accounts import audit, users
from portal.core.database import session
from portal.core.text import Refusal, marked
from portal.notices import events
from portal.notices.events import Event
from portal.payouts import moving, payouts
from portal.program.orders import both_in_good_standing
from portal.program.refunds import settle
from portal.referrals.referrals import Referral
from portal.reports import queue
from portal.reports.queue import Filters
from portal.rewards import appeals, clawbacks, conversions, decisions, looks, refunds, rewards, signals
from portal.rewards.appeals import Appeal
from portal.rewards.decisions import DecisionRefused, Reason
from portal.rewards.rewards import Reward
from portal.rewards.signals import Signal


@dataclass(frozen=True)
class Decided:
    """What became of many that were to be decided at once, by row numbers: each that could not be is told, the others
    stand."""

    done: list[int]
    refused: list[Refusal]


def approve(reward_id: int, *, by: int | None, at: datetime) -> Reward:
    """Approves a pending reward; if its hold has passed, it is ready to pay at once. Raises DecisionRefused.

    What is somebody's who is suspended waits; it can only be rejected.
    """
    return _one(approve_many([reward_id], by=by, at=at))


def approve_many(reward_ids: Collection[int], *, by: int | None, at: datetime) -> Decided:
    """Approves pending rewards, as `approve` does one; what cannot be is left as it is."""
    rewards.lock(reward_ids)
    done = decisions.approve(reward_ids, by=by, at=at)
    if done:
        decisions.release(done, at=at)
        notices.rewards_approved(done, at=at)
    others = rewards.read(set(reward_ids).difference(done))
    decided = _sifted(others, lambda reward: decisions.check_approval(reward, by))
    if decided.done:  # what may be approved is, unless the UNIQUE rule said no
        raise DecisionRefused(decisions.OVERTAKEN)
    return Decided(done, decided.refused)


def _one(decided: Decided) -> Reward:
    if decided.refused:
        raise decided.refused[0]
    return session.get_one(Reward, decided.done[0])


def _sifted(chosen: Iterable[Reward], check: Callable[[Reward], object]) -> Decided:
    """Those that pass a check, and why the others do not."""
    decided = Decided([], [])
    for reward in chosen:
        try:
            check(reward)
            decided.done.append(reward.id)
        except DecisionRefused as refusal:
            decided.refused.append(refusal)
    return decided


def approve_shown(wanted: Filters, *, mark: str, by: int, at: datetime) -> Decided:
    """Approves all pending rewards of some kind, if they are still those that somebody was shown, by their `mark`.

    Raises DecisionRefused if one has come, gone or changed since; then nothing is approved.
    """
    rewards.lock(queue.tally(wanted, for_id=by, at=at).reward_ids)
    tally = queue.tally(wanted, for_id=by, at=at)
    if tally.mark != mark:
        raise DecisionRefused(marked("This has changed since you looked: nothing was approved. Look again."))
    return approve_many(tally.reward_ids, by=by, at=at)


def approve_by_terms(*, at: datetime) -> int:
    """Approves what the terms say needs no person: Clear, without even a light signal, below the limit, its hold
    passed, budget left. Gives how many."""
    terms = terms_.current()
    if terms is None or terms.auto_approve_below_minor is None:
        return 0
    if terms.budget_month_minor is not None:
        spent = rewards.spent_since(terms.currency, terms.period_start("month", at=at))
        if spent > terms.budget_month_minor:
            return 0
    nothing_raised = signals.nothing_raised(Reward.referral_id)
    due = rewards.locked(rewards.due_for_approval(terms.auto_approve_below_minor, nothing_raised, at=at))
    unremarkable = signals.without_any({reward.referral_id for reward in due})
    clear = [
        reward.id for reward in due if reward.referral_id in unremarkable and both_in_good_standing(reward.referral)
    ]
    return len(approve_many(clear, by=None, at=at).done)


def reject(reward_id: int, *, by: int, reason: Reason, told: str, note: str = "", at: datetime) -> Reward:
    """Rejects a pending reward. `told` is what its person reads, `note` is for colleagues. Raises DecisionRefused."""
    return _one(reject_many([reward_id], by=by, reason=reason, told=told, note=note, at=at))


def reject_many(
    reward_ids: Collection[int], *, by: int, reason: Reason, told: str, note: str = "", at: datetime
) -> Decided:
    """Rejects pending rewards for one reason and in the same words; what cannot be is left as it is. Raises
    DecisionRefused without words."""
    chosen = rewards.locked(reward_ids)
    decided = _sifted(chosen, lambda reward: decisions.check_rejection(reward, by))
    going = _of(chosen, decided)
    decisions.reject(going, by=by, reason=reason, told=told, note=note, at=at)
    notices.rewards_rejected(going, told, at=at)
    return decided


def hold(reward_id: int, *, until: datetime, note: str, by: int, at: datetime) -> Reward:
    """Holds a reward that is not ready to pay for longer, for a reason that colleagues read. Raises DecisionRefused."""
    return _one(hold_many([reward_id], until=until, note=note, by=by, at=at))


def hold_many(reward_ids: Collection[int], *, until: datetime, note: str, by: int, at: datetime) -> Decided:
    """Holds several; what cannot be is left as it is. Raises DecisionRefused without a reason."""
    chosen = rewards.locked(reward_ids)
    decided = _sifted(chosen, lambda reward: decisions.check_hold(reward, by, until=until, at=at))
    decisions.hold(_of(chosen, decided), until=until, note=note, by=by, at=at)
    return decided


def undo(reward_id: int, *, by: int, note: str, at: datetime) -> Reward:
    """Takes a decision back, until its payout is exported; its line then leaves the batch. Raises DecisionRefused."""
    return _one(_undo_many([reward_id], by=by, note=note, at=at))


AT_ONCE = timedelta(minutes=2)
"""How long whoever decided may take it back with one press, without writing why."""


def undo_at_once(decided_at: datetime, *, by: int, note: str, at: datetime) -> Decided:
    """Takes back what somebody decided in one act a moment ago, one reward or many. Raises DecisionRefused later on."""
    if not decided_at <= at <= decided_at + AT_ONCE:
        raise DecisionRefused(marked("It is too late for this. Take it back on the page of the referral."))
    return _undo_many(decisions.decided_by(by, decided_at), by=by, note=note, at=at)


def _undo_many(reward_ids: Collection[int], *, by: int, note: str, at: datetime) -> Decided:
    chosen = rewards.locked(reward_ids)
    in_payouts = payouts.of_rewards(reward_ids)

    def check(reward: Reward) -> None:
        if reward.id in in_payouts and payouts.is_out(reward):
            raise DecisionRefused(marked("Its payout is out already. From here on only refunds take back."))
        decisions.check_undo(reward, by)

    decided = _sifted(chosen, check)
    going = _of(chosen, decided)
    for reward in going:
        if reward.id in in_payouts:
            moving.withdraw(reward, at=at)
    taken_back = decisions.last_of(decided.done)
    decisions.undo(going, by=by, note=note, at=at)
    notices.decisions_taken_back((reward, taken_back[reward.id]) for reward in going)
    events.rewards_moved(Event.REWARD_REOPENED, decided.done, at=at)
    _catch_up(going, at=at)
    return decided


def _of(chosen: Iterable[Reward], decided: Decided) -> list[Reward]:
    passed = set(decided.done)
    return [reward for reward in chosen if reward.id in passed]


def dismiss(referral: Referral, signal: Signal, *, reason: str = "", by: int, at: datetime) -> None:
    """A person has looked, and there is nothing behind a signal: it weighs no more. Raises SignalRefused."""
    _lock_and_check(referral, signal, by)
    signals.dismiss(signal, reason=reason, by=by, at=at)
    note_id = audit.note(reason, by=by, about=referral.referee_id, at=at)
    audit.write("signal_dismissed", "referral", referral.public_id, by=by, at=at, note_id=note_id, signal=signal.kind)


def raise_again(referral: Referral, signal: Signal, *, by: int, at: datetime) -> None:
    """Takes a dismissal back: the signal weighs what it weighed. Raises SignalRefused."""
    _lock_and_check(referral, signal, by)
    if not looks.stands(signal):
        raise signals.SignalRefused(marked("No chargeback stands any more: the dispute was won."))
    signals.raise_again(signal)
    audit.write("signal_raised_again", "referral", referral.public_id, by=by, at=at, signal=signal.kind)


def _lock_and_check(referral: Referral, signal: Signal, by: int) -> None:
    users.lock(referral.referrer_id, referral.referee_id)
    session.refresh(signal)
    if by in (referral.referrer_id, referral.referee_id):
        raise signals.SignalRefused(marked("You are part of this; a colleague looks at it."))
    if conversions.recorded(referral.id, by):
        raise signals.SignalRefused(marked("You recorded an order of this; a colleague looks at it."))


def note(referral: Referral, text: str, *, by: int, at: datetime) -> None:
    """A colleague notes something about a referral, for colleagues. Raises DecisionRefused for an empty note."""
    note_id = audit.note(text, by=by, about=referral.referee_id, at=at, longest=1000)
    if note_id is None:
        raise DecisionRefused(marked("Write something."))
    audit.write("note_made", "referral", referral.public_id, by=by, at=at, note_id=note_id)


def _catch_up(chosen: Sequence[Reward], *, at: datetime) -> None:
    """What was given back of the orders while their rewards were rejected counts again with the rewards, and so does
    what was reinstated."""
    with_refunds = refunds.with_refunds(reward.conversion_id for reward in chosen)
    for reward in chosen:
        if reward.conversion_id in with_refunds:
            settle(reward, refunds.given_back(reward.conversion), at=at)
            clawbacks.reverse(reward, at=at)
    events.rewards_reversed(chosen, at=at)


def appeal(reward: Reward, text: str, *, by: int, at: datetime) -> Appeal:
    """Its person asks to look again at a reward that was turned down. Raises AppealRefused."""
    return appeals.make(_locked(reward.id), text, by=by, at=at)


def answer_appeal(appeal: Appeal, text: str, *, by: int, at: datetime) -> None:
    """Answers it. Raises AppealRefused, also for whom it is about."""
    reward = _locked(appeal.reward_id)
    session.refresh(appeal)
    if reward.person_id == by:
        raise appeals.AppealRefused(marked("This is your own; a colleague answers it."))
    appeals.answer(appeal, text, by=by, at=at)
    notices.appeal_answered(appeal, reward, at=at)


def _locked(reward_id: int) -> Reward:
    (reward,) = rewards.locked([reward_id])
    return reward
