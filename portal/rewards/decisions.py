"""Decisions about rewards: approved, rejected, held, taken back, released; a thousand in as few statements as one.

Invariants: each decision is a row that is never changed, the first counts and the second is told; money moves with
the state, in the same write, under its owner's lock. What is written here is written by sets, past the objects of
the session, which are then told what has become of them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, aliased, mapped_column
from sqlalchemy.orm.attributes import set_committed_value

from portal.accounts import audit, users
from portal.accounts.audit import AuditEntry
from portal.accounts.users import User
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line
from portal.referrals.referrals import Referral
from portal.rewards import clawbacks, rewards
from portal.rewards.conversions import Conversion
from portal.rewards.ledger import Bucket, Cause, Transfer
from portal.rewards.rewards import Reward, State
from portal.rewards.rules import Beneficiary


class Verdict(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    UNDO = "undo"


class Reason(StrEnum):
    """Why a reward was rejected."""

    SELF_REFERRAL = "self_referral"
    EXISTING_CUSTOMER = "existing_customer"
    DUPLICATE = "duplicate"
    REFUNDED = "refunded"
    TEST_ORDER = "test_order"
    ABUSE = "abuse"
    OTHER = "other"
    OTHER_REFERRER = "other_referrer"
    """An admin has given the friend to another referrer (see `program.correct_referrer`)."""


TOLD_OF_OTHER_REFERRER = marked("We looked again: this friend was brought by somebody else.")
"""What the wrong referrer reads about a reward that is taken back."""


NOT_GENUINE = (Reason.SELF_REFERRAL, Reason.DUPLICATE, Reason.EXISTING_CUSTOMER, Reason.TEST_ORDER, Reason.ABUSE)
"""The reasons that say that the friend was none, or not a new one: those by which a signal was right."""


class DecisionRefused(Refusal):
    """A decision that cannot be taken, or not any more."""


LONGEST_HOLD = timedelta(days=366)


class Decision(Model):
    """One decision. `by_id` is empty where the terms decided. `amount_minor` is what it moved."""

    __tablename__ = "decisions"
    __table_args__ = (
        database.once("reward_id", "number"),
        database.one_of("verdict", Verdict),
        database.rule(f"reason IS NULL OR reason IN ({', '.join(repr(r.value) for r in Reason)})", "reason_known"),
        database.rule("verdict <> 'reject' OR reason IS NOT NULL", "rejection_has_reason"),
        database.rule("verdict <> 'undo' OR note_id IS NOT NULL", "undo_has_note"),
        database.whole("number", "amount_minor"),
        sa.Index("ix_decisions_at", "at"),
    )

    id: Mapped[int] = database.key()
    reward_id: Mapped[int] = database.refers_to("rewards.id", index=False)
    number: Mapped[int]
    verdict: Mapped[str] = mapped_column(sa.String(8))
    by_id: Mapped[int | None] = database.refers_to("users.id", index=False)
    at: Mapped[datetime]
    reason: Mapped[str | None] = mapped_column(sa.String(20))
    told_id: Mapped[int | None] = database.refers_to("notes.id", index=False)
    """The words to the person who was to get it."""
    note_id: Mapped[int | None] = database.refers_to("notes.id", index=False)
    """Why, for colleagues only."""
    amount_minor: Mapped[int]


database.append_only(Decision)


@dataclass(frozen=True)
class Approval:
    """What one person was given by approvals of one moment: how many rewards and their sums in minor units; `until`:
    when the last of their holds ends."""

    person_id: int
    currency: str
    many: int
    amount_minor: int
    on_hold_minor: int
    until: datetime


# --- looked up ------------------------------------------------------------------------------------------------


def of_reward(reward_id: int) -> list[Decision]:
    """The decisions about a reward, the first one first."""
    return list(session.scalars(sa.select(Decision).where(Decision.reward_id == reward_id).order_by(Decision.number)))


def decided_times(reward_ids: Sequence[int]) -> dict[int, int]:
    """How many decisions there are about each of these rewards, those taken back among them."""
    query = sa.select(Decision.reward_id, sa.func.max(Decision.number)).where(Decision.reward_id.in_(reward_ids))
    return {number: times for number, times in session.execute(query.group_by(Decision.reward_id))}


def waited_since(since: datetime) -> list[timedelta]:
    """How long each reward that a person decided since a moment had waited."""
    query = sa.select(Decision.at, Reward.made_at).join(Reward, Reward.id == Decision.reward_id)
    query = query.where(Decision.at >= since, Decision.by_id.is_not(None), Decision.verdict != Verdict.UNDO)
    return [decided_at - made_at for decided_at, made_at in session.execute(query)]


def told(decision: Decision) -> str:
    """The words to the person who was to get the reward; empty if there are none."""
    note = session.get(audit.Note, decision.told_id) if decision.told_id else None
    return note.text if note else ""


def of_other_referrer(reward: Reward) -> bool:
    """Whether a reward was rejected because its friend was given to another referrer."""
    last = of_reward(reward.id)[-1:]
    return reward.state == State.REJECTED and bool(last) and last[0].reason == Reason.OTHER_REFERRER


def stands_as_not_genuine() -> sa.ColumnElement[bool]:
    """For queries over rewards: whether the decision that stands rejected it for a reason in `NOT_GENUINE`."""
    latest, later = aliased(Decision), aliased(Decision)
    overruled = sa.select(later.id).where(later.reward_id == latest.reward_id, later.number > latest.number).exists()
    stands = sa.select(latest.id).where(latest.reward_id == Reward.id, latest.reason.in_(NOT_GENUINE), ~overruled)
    return sa.and_(Reward.state == State.REJECTED, stands.correlate(Reward).exists())


def found_not_genuine(referral_ids: list[int]) -> int:
    """How many of these referrals have a reward that stands rejected as not genuine."""
    query = sa.select(sa.func.count(sa.distinct(Reward.referral_id)))
    return session.scalar(query.where(Reward.referral_id.in_(referral_ids), stands_as_not_genuine())) or 0


def approvals(moment: datetime, person_ids: Collection[int]) -> list[Approval]:
    """What these people were given by approvals of one moment that still stand, in order of the people."""
    found = session.execute(_approvals(), {"moment": moment, "people": list(person_ids)})
    return [
        Approval(person_id, currency, many, int(amount), int(on_hold), until)
        for person_id, currency, many, amount, on_hold, until in found
    ]


_MOMENT: Any = sa.bindparam("moment", type_=database.Moment())


@database.once_for_each_database
def _approvals() -> Any:
    later = aliased(Decision)
    overruled = sa.select(later.id).where(later.reward_id == Decision.reward_id, later.number > Decision.number)
    held = sa.case((Reward.hold_until > _MOMENT, Decision.amount_minor), else_=0)
    return (
        sa.select(
            Reward.person_id,
            Reward.currency,
            sa.func.count(),
            sa.func.sum(Decision.amount_minor),
            sa.func.sum(held),
            sa.func.max(Reward.hold_until, type_=database.Moment()),
        )
        .join(Decision, Decision.reward_id == Reward.id)
        .where(
            Decision.at == _MOMENT,
            Decision.verdict == Verdict.APPROVE,
            Reward.person_id.in_(sa.bindparam("people", expanding=True)),
        )
        .where(~overruled.exists())
        .group_by(Reward.person_id, Reward.currency)
        .order_by(Reward.person_id, Reward.currency)
    )


def name_of_act(person: User, at: datetime, currency: str) -> str:
    """What all approvals of one moment for one person are called: what one mail is about."""
    return f"{person.public_id} {at.isoformat()} {currency}"


def last_of(reward_ids: Collection[int]) -> dict[int, Decision]:
    """The last decision about each of these rewards."""
    query = sa.select(Decision).where(Decision.reward_id.in_(reward_ids)).order_by(Decision.number)
    return {decision.reward_id: decision for decision in session.scalars(query)}


def decided_by(user_id: int, at: datetime) -> list[int]:
    """Row numbers of the rewards on whose last decision somebody decided at this moment."""
    numbers = sa.select(sa.func.max(Decision.number)).where(Decision.reward_id == Reward.id)
    last = numbers.correlate(Reward).scalar_subquery()
    query = sa.select(Reward.id).join(Decision, Decision.reward_id == Reward.id)
    mine = (Decision.by_id == user_id, Decision.at == at, Decision.number == last, Decision.verdict != Verdict.UNDO)
    return list(session.scalars(query.where(*mine).order_by(Reward.id)))


# --- what may not be ------------------------------------------------------------------------------------------


def check_approval(reward: Reward, by: int | None) -> None:
    """Raises DecisionRefused if this reward cannot be approved, or not by this person."""
    _must_be_pending(reward)
    _must_be_somebody_elses(reward, by)
    if not reward.person.in_good_standing:
        raise DecisionRefused(marked("This person is suspended: what is pending waits."))


def _approvable(*, somebody: bool) -> tuple[sa.ColumnElement[bool], ...]:
    """For queries over rewards, their referrals, conversions and people: what `check_approval` lets pass; `somebody`:
    the parameter `decided_by` names a person."""
    passes = (database.unindexed(Reward.state) == State.PENDING, users.in_good_standing(User))
    if not somebody:
        return passes
    recorded_by = sa.func.coalesce(Conversion.recorded_by_id, 0)
    theirs = (Reward.person_id, Referral.referrer_id, Referral.referee_id, recorded_by)
    return (*passes, *(column != _BY for column in theirs))


def check_rejection(reward: Reward, by: int | None) -> None:
    """Raises DecisionRefused if this reward cannot be rejected, or not by this person."""
    _must_be_pending(reward)
    _must_be_somebody_elses(reward, by)


def check_undo(reward: Reward, by: int | None) -> None:
    """Raises DecisionRefused if there is no decision to take back, or not for this person."""
    _must_be_somebody_elses(reward, by)
    if reward.state not in (State.APPROVED, State.REJECTED):
        raise DecisionRefused(marked("This reward is not decided, so there is nothing to take back."))
    if reward.beneficiary == Beneficiary.REFERRER and reward.person_id != reward.referral.referrer_id:
        raise DecisionRefused(marked("This friend belongs to another referrer now."))
    if (
        reward.threshold is not None
        and reward.state == State.REJECTED
        and rewards.milestone_reached(reward.person_id, reward.rule)
    ):
        raise DecisionRefused(marked("This bonus has been earned again since, and is given once."))


def check_hold(reward: Reward, by: int, *, until: datetime, at: datetime) -> None:
    """Raises DecisionRefused for an earlier day or one beyond a year, and for what is not there to be held."""
    _must_be_somebody_elses(reward, by)
    if not reward.can_be_held:
        raise DecisionRefused(marked("Only what is in review or on hold can be held for longer."))
    if not max(at, reward.hold_until) < until <= at + LONGEST_HOLD:
        raise DecisionRefused(
            marked("Choose a day after %(from)s and within a year."), **{"from": max(at, reward.hold_until)}
        )


def _must_be_pending(reward: Reward) -> None:
    if reward.state == State.PENDING:
        return
    taken = of_reward(reward.id)
    if not taken or reward.state in (State.PAID, State.REVERSED):
        raise DecisionRefused(marked("This reward is %(state)s already."), state=reward.state)
    last = taken[-1]
    who = User.by_id(last.by_id).called if last.by_id else marked("the terms")
    said = (
        marked("Approved by %(who)s at %(when)s.")
        if last.verdict == Verdict.APPROVE
        else marked("Rejected by %(who)s at %(when)s.")
    )
    raise DecisionRefused(said, who=who, when=last.at)


def _must_be_somebody_elses(reward: Reward, by: int | None) -> None:
    if by is None:
        return
    referral = reward.referral
    if by in (reward.person_id, referral.referrer_id, referral.referee_id):
        raise DecisionRefused(marked("This one is yours; a colleague decides it."))
    if reward.conversion.recorded_by_id == by:
        raise DecisionRefused(marked("You recorded this order; a colleague decides it."))


# --- decided --------------------------------------------------------------------------------------------------


def approve(reward_ids: Collection[int], *, by: int | None, at: datetime) -> list[int]:
    """Approves those of these rewards that may be, and gives their row numbers; what became of the others
    `check_approval` says. Their owners are locked."""
    session.flush()
    passing = _decide(_these(reward_ids), Verdict.APPROVE, by=by, at=at)
    _set(passing, state=State.APPROVED)
    return passing


def reject(chosen: Sequence[Reward], *, by: int | None, reason: Reason, told: str, note: str, at: datetime) -> None:
    """Rejects pending rewards for a reason; `told` is what their people read. Raises DecisionRefused if there is
    nothing to read or one of them may not be rejected."""
    for reward in chosen:
        check_rejection(reward, by)
    if not one_line(told, 500):
        raise DecisionRefused(marked("Write what the referrer should read."))
    tells, notes = (_noted(text, chosen, by=by, at=at) for text in (told, note))
    numbers = [reward.id for reward in chosen]
    _decide_all(numbers, Verdict.REJECT, by=by, at=at, reason=reason, tells=tells, notes=notes)
    _set(numbers, state=State.REJECTED)


def undo(chosen: Sequence[Reward], *, by: int | None, note: str, at: datetime) -> None:
    """Takes the last decision about each back: the reward is pending again. Its line must have left any payout.

    Raises DecisionRefused without a reason, or if one of them is not decided or not this person's to take back.
    """
    for reward in chosen:
        check_undo(reward, by)
    notes = _noted(note, chosen, by=by, at=at)
    if chosen and not notes:
        raise DecisionRefused(marked("Write why the decision is taken back."))
    numbers = [reward.id for reward in chosen]
    _decide_all(numbers, Verdict.UNDO, by=by, at=at, notes=notes)
    _set(numbers, state=State.PENDING, released_at=None)


def take_up(reward: Reward, *, at: datetime) -> None:
    """A reversed reward, of which something is given again, stands as it was decided: approved, or waiting still."""
    last = last_of([reward.id]).get(reward.id)
    approved = last is not None and last.verdict == Verdict.APPROVE
    reward.state, reward.reversed_at = State.APPROVED if approved else State.PENDING, None
    audit.write("reward_taken_up", "reward", reward.public_id, by=None, at=at, now=reward.state)


def hold(chosen: Sequence[Reward], *, until: datetime, note: str, by: int, at: datetime) -> None:
    """Lengthens the hold of rewards that are not ready to pay. Raises DecisionRefused without a reason, or if one of
    them cannot be held (see `check_hold`)."""
    for reward in chosen:
        check_hold(reward, by, until=until, at=at)
    notes = _noted(note, chosen, by=by, at=at)
    if chosen and not notes:
        raise DecisionRefused(marked("Write why it is held; colleagues read it."))
    lines = [
        (reward.public_id, {"was": reward.hold_until.isoformat(), "until": until.isoformat()}, notes[reward.id])
        for reward in chosen
    ]
    audit.write_all("hold_lengthened", "reward", lines, by=by, at=at)
    _set([reward.id for reward in chosen], hold_until=until)


def release(reward_ids: Collection[int], *, at: datetime) -> list[int]:
    """Makes those of these rewards ready to pay that are approved, past their hold, and whose two sides take part, and
    gives them. Their owners are locked."""
    session.flush()
    due = list(session.scalars(_due(), _these(reward_ids) | {"moved_at": at}))
    if due:
        session.execute(_releases(), _these(due) | {"moved_at": at})
        _set(due, released_at=at)
    return due


@database.once_for_each_database
def _due() -> sa.Select[Any]:
    query = sa.select(Reward.id).where(Reward.id == _chosen().c.id, *rewards.due(_AT))
    return rewards.of_who_takes_part(query).order_by(Reward.id)


@database.once_for_each_database
def _releases() -> Any:
    approval = sa.select(sa.func.max(Decision.id)).where(Decision.reward_id == Reward.id).correlate(Reward)
    return _into_transfers(
        sa.select(Reward.person_id, _said(Bucket.APPROVED), _said(Bucket.PAYABLE), clawbacks.LEFT, Reward.currency,
                  _said(Cause.RELEASE), approval.scalar_subquery(), Reward.id, _AT)
        .where(Reward.id == _chosen().c.id, clawbacks.LEFT > 0)
    )  # fmt: skip


# --- by sets --------------------------------------------------------------------------------------------------


_AT: Any = sa.bindparam("moved_at", type_=database.Moment())
_BY = sa.bindparam("decided_by", type_=database.Key)
_GOES = {Verdict.APPROVE: Bucket.APPROVED, Verdict.REJECT: Bucket.PROGRAM, Verdict.UNDO: Bucket.PENDING}


def _decide_all(
    reward_ids: Collection[int], verdict: Verdict, *, by: int | None, at: datetime, reason: Reason | None = None,
    tells: Mapping[int, int] = MappingProxyType({}), notes: Mapping[int, int] = MappingProxyType({}),
) -> None:  # fmt: skip
    """The same decision about each of these. `tells` and `notes` are the texts by reward. Raises DecisionRefused."""
    if reward_ids:
        decided = _decide(_these(reward_ids, tells, notes), verdict, by=by, at=at, reason=reason)
        if len(decided) < len(reward_ids):
            raise DecisionRefused(OVERTAKEN)


OVERTAKEN = marked("Somebody else has just decided this. Look at it again.")


def _decide(
    these: Mapping[str, str], verdict: Verdict, *, by: int | None, at: datetime, reason: Reason | None = None
) -> list[int]:
    """A decision about each, of what is left of it, which goes from where it lay; and a line of history. An approval
    is of those alone that may be approved. The state is still the one of before. Gives the rewards' row numbers."""
    common = {"moved_at": at, "decided_by": by}
    rows = session.execute(_decisions(verdict, reason, by is not None), {**these, **common})
    made = {reward_id: number for number, reward_id in rows}
    if made:
        of_them = _these(made.values()) | common
        session.execute(_moves(verdict), of_them)
        session.execute(_history(verdict, reason), of_them)
    return sorted(made)


@database.once_for_each_database
def _decisions(verdict: Verdict, reason: Reason | None, somebody: bool) -> Any:
    chosen = _chosen()
    latest = sa.select(sa.func.max(Decision.number)).where(Decision.reward_id == Reward.id).correlate(Reward)
    number = sa.func.coalesce(latest.scalar_subquery(), 0) + 1
    rows = sa.select(Reward.id, number, _said(verdict), _BY, _AT, _said(reason), chosen.c.told_id, chosen.c.note_id,
                     clawbacks.LEFT).where(Reward.id == chosen.c.id)  # fmt: skip
    if verdict == Verdict.APPROVE:
        rows = (
            rows.join(Referral, Referral.id == Reward.referral_id)
            .join(Conversion, Conversion.id == Reward.conversion_id)
            .join(User, User.id == Reward.person_id)
            .where(*_approvable(somebody=somebody))
        )
    columns = "reward_id number verdict by_id at reason told_id note_id amount_minor".split()
    insert = database.insert_from(Decision, columns, rows.order_by(Reward.id))
    return insert.returning(Decision.id, Decision.reward_id)


@database.once_for_each_database
def _moves(verdict: Verdict) -> Any:
    lay: sa.ColumnElement[str] = _said(Bucket.PENDING)
    if verdict == Verdict.UNDO:
        lay = sa.case(
            (Reward.state == State.REJECTED, _said(Bucket.PROGRAM)),
            (Reward.released_at.is_(None), _said(Bucket.APPROVED)),
            else_=_said(Bucket.PAYABLE),
        )
    return _into_transfers(
        sa.select(Reward.person_id, lay, _said(_GOES[verdict]), Decision.amount_minor, Reward.currency,
                  _said(Cause.DECISION), Decision.id, Reward.id, _AT)
        .where(_decided(), Decision.amount_minor > 0)
    )  # fmt: skip


@database.once_for_each_database
def _history(verdict: Verdict, reason: Reason | None) -> Any:
    why = f'"{reason}"' if reason else "null"
    details = database.joined('{"amount_minor": ', Decision.amount_minor, ', "currency": "', Reward.currency,
                              f'", "reason": {why}, "was": "', Reward.state, '"}')  # fmt: skip
    told = sa.select(_AT, _BY, _said(f"reward_{verdict}"), _said("reward"), Reward.public_id, details,
                     Decision.note_id).where(_decided())  # fmt: skip
    columns = "at actor_id verb subject_kind subject_id details note_id".split()
    return database.insert_from(AuditEntry, columns, told)


def _decided() -> sa.ColumnElement[bool]:
    """For queries: the decisions that are given, and their rewards."""
    return sa.and_(Decision.id == _chosen().c.id, Decision.reward_id == Reward.id)


def _into_transfers(rows: sa.Select[Any]) -> Any:
    columns = "user_id from_bucket to_bucket amount_minor currency cause_kind cause_id reward_id at".split()
    return database.insert_from(Transfer, columns, rows)


def _set(reward_ids: Collection[int], **values: Any) -> None:
    """Gives all of these the same values, in one statement, and to what the session holds of them too."""
    if not reward_ids:
        return
    told = {f"new_{name}": value for name, value in values.items()}
    session.execute(_settings(tuple(values)), _these(reward_ids) | told)
    changed = {(number,) for number in reward_ids}
    for held in list(session.identity_map.values()):
        if isinstance(held, Reward) and sa.inspect(held).identity in changed:
            for name, value in values.items():
                set_committed_value(held, name, value)


@database.once_for_each_database
def _settings(names: tuple[str, ...]) -> Any:
    update = sa.update(Reward).where(Reward.id.in_(sa.select(_chosen().c.id)))
    columns: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
    return update.values(columns).execution_options(synchronize_session=False)


def _noted(text: str, chosen: Sequence[Reward], *, by: int | None, at: datetime) -> dict[int, int]:
    """Keeps a text, once for each person, so that it can go with them: reward -> its note; none for an empty text."""
    notes = audit.note_about({reward.person_id for reward in chosen}, text, by=by, at=at)
    return {reward.id: notes[reward.person_id] for reward in chosen} if notes else {}


def _chosen() -> sa.CTE:
    return database.given("chosen", id=database.Key, told_id=database.Key, note_id=database.Key)


def _these(
    numbers: Collection[int], tells: Mapping[int, int] = MappingProxyType({}),
    notes: Mapping[int, int] = MappingProxyType({}),
) -> dict[str, Any]:  # fmt: skip
    """Row numbers, and the notes that belong to them, as `_chosen` takes them."""
    ordered = sorted(set(numbers))
    if not tells and not notes:
        return {"chosen_rows": f"[[{'],['.join(map(str, ordered))}]]" if ordered else "[]"}
    return {"chosen_rows": database.told([(number, tells.get(number), notes.get(number)) for number in ordered])}


def _said(word: str | None) -> sa.ColumnElement[Any]:
    return sa.literal(None if word is None else str(word), sa.String)
