"""Evidence: everything that is known about one referral, so that a decision about it can be defended.

Invariant: nothing is left out that the portal did by itself; the number of queries does not grow with what happened.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from portal.accounts.audit import AuditEntry, Note
from portal.accounts.users import User
from portal.core import clock
from portal.core.database import session
from portal.delivery.outbox import Message
from portal.payouts.payouts import Batch, Line, Payout
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral
from portal.reports import queue
from portal.rewards import appeals, decisions, kinds, signals
from portal.rewards.appeals import Appeal
from portal.rewards.clawbacks import Clawback
from portal.rewards.conversions import Conversion
from portal.rewards.decisions import Decision, Verdict
from portal.rewards.refunds import Refund, Reinstatement
from portal.rewards.rewards import Reward
from portal.rewards.signals import Assessment, Signal
from portal.sharing.clicks import Click
from portal.sharing.links import Code, Link

MOST_CLICKS = 50
"""How many touches of one browser are shown: the latest before the sign-up."""


class Kind(StrEnum):
    """What can have happened, each said in words by the page."""

    CLICK = "click"
    JOINED = "joined"
    CONFIRMED = "confirmed"
    CLAIM = "claim"
    CONVERSION = "conversion"
    REFUND = "refund"
    REINSTATED = "reinstated"
    REWARD = "reward"
    CLAWBACK = "clawback"
    DECISION = "decision"
    HELD = "held"
    RELEASED = "released"
    APPEAL = "appeal"
    NOTE = "note"
    MAIL = "mail"
    PAYOUT = "payout"
    EXPIRED = "expired"
    SIGNAL = "signal"
    DISMISSED = "dismissed"
    RAISED_AGAIN = "raised_again"
    CORRECTED = "corrected"


SIGNAL_VERBS = {"signal_dismissed": Kind.DISMISSED, "signal_raised_again": Kind.RAISED_AGAIN}
"""What the audit list calls it when a colleague does something about a signal, and what it is here."""


@dataclass(frozen=True)
class Happening:
    """One thing that happened, the thing itself, and what goes with it. `by`: a colleague who did it."""

    at: datetime
    kind: Kind
    thing: Any
    by: User | None = None
    note: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Touch:
    """A visit of the friend's browser to somebody's link. `won`: it is the one by which the friend was attributed."""

    click: Click
    owner: User
    code: str
    won: bool


@dataclass(frozen=True)
class Rival:
    """What was weighed at the sign-up and passed over: whose code, when, and the word for why."""

    code: str
    owner: User | None
    at: datetime
    why: str


@dataclass(frozen=True)
class Judged:
    """One reward of the referral: its case, its decisions, its clawbacks, and whether somebody asked to look again."""

    case: queue.Case
    decisions: list[Decision]
    clawbacks: list[Clawback]
    appeal: Appeal | None


@dataclass(frozen=True)
class Evidence:
    """All about one referral."""

    referral: Referral
    touches: list[Touch]
    rivals: list[Rival]
    conversions: list[Conversion]
    judged: list[Judged]
    signals: list[Signal]
    assessment: Assessment
    mails: list[Message]
    lines: list[Line]
    story: list[Happening]
    """All of it in the order in which it happened."""


def of(referral: Referral) -> Evidence:
    """Gathers what is known about a referral."""
    made = list(session.scalars(sa.select(Reward).where(Reward.referral_id == referral.id).order_by(Reward.id)))
    conversions = _conversions(referral)
    judged = _judged(made)
    touches, lines, mails = _touches(referral), _lines(made), _mails(referral, judged)
    raised = signals.of_referral(referral.id)
    told: list[Happening] = [
        *(Happening(touch.click.at, Kind.CLICK, touch) for touch in touches),
        Happening(referral.joined_at, Kind.JOINED, referral),
        *_own(referral),
        *(Happening(signal.raised_at, Kind.SIGNAL, signal) for signal in raised),
        *_reported(conversions),
        *(Happening(reward.made_at, Kind.REWARD, reward) for reward in made),
        *_decided(judged),
        *_audited(referral, made),
        *(Happening(mail.made_at, Kind.MAIL, mail) for mail in mails),
        *_paid(lines),
    ]
    order = list(Kind)
    return Evidence(
        referral=referral,
        touches=touches,
        rivals=_rivals(referral),
        conversions=conversions,
        judged=judged,
        signals=raised,
        assessment=signals.assessments({referral.id})[referral.id],
        mails=mails,
        lines=lines,
        story=sorted(told, key=lambda one: (one.at, order.index(one.kind))),
    )


def _touches(referral: Referral) -> list[Touch]:
    """The visits of the friend's browser before the sign-up, to whosever link; the latest ones if they are many."""
    if referral.referee.visitor is None:
        return []
    code = sa.select(Code.text).where(Code.link_id == Link.id, Code.retired_at.is_(None)).limit(1).scalar_subquery()
    query = (
        sa.select(Click, User, code)
        .join(Link, Link.id == Click.link_id)
        .join(User, User.id == Link.owner_id)
        .where(Click.visitor == referral.referee.visitor, Click.at <= referral.joined_at)
        .order_by(Click.last_at.desc())
        .limit(MOST_CLICKS)
    )
    found = [
        Touch(click, owner, name or "", click.id == referral.click_id) for click, owner, name in session.execute(query)
    ]
    return found[::-1]


def _rivals(referral: Referral) -> list[Rival]:
    names = [one["code"] for one in referral.weighed]
    query = sa.select(Code.text, User).join(Link, Link.id == Code.link_id).join(User, User.id == Link.owner_id)
    owners = {name: owner for name, owner in session.execute(query.where(Code.text.in_(names)))}
    return [Rival(one["code"], owners.get(one["code"]), clock.parse(one["at"]), one["why"]) for one in referral.weighed]


def _own(referral: Referral) -> list[Happening]:
    """What the friend did, and what time did."""
    found = []
    confirmed = referral.referee.confirmed_at
    if confirmed is not None and confirmed >= referral.joined_at:
        found.append(Happening(confirmed, Kind.CONFIRMED, referral.referee))
    if referral.expired_at is not None:
        found.append(Happening(referral.expired_at, Kind.EXPIRED, referral))
    query = sa.select(Claim, User).outerjoin(User, User.id == Claim.answered_by_id)
    for claim, who in session.execute(query.where(Claim.referee_id == referral.referee_id)):
        found.append(Happening(claim.made_at, Kind.CLAIM, claim, by=who))
    return found


def _conversions(referral: Referral) -> list[Conversion]:
    query = sa.select(Conversion).where(Conversion.referral_id == referral.id)
    return list(session.scalars(query.order_by(Conversion.id)))


def _reported(conversions: list[Conversion]) -> list[Happening]:
    people = _people({one.recorded_by_id for one in conversions})
    found = [
        Happening(one.received_at, Kind.CONVERSION, one, by=people.get(one.recorded_by_id or 0)) for one in conversions
    ]
    found += _given_back({one.id: one for one in conversions})
    return found


def _given_back(orders: dict[int, Conversion]) -> list[Happening]:
    """Refunds of these orders, and that some of them were reinstated. `facts.stands`: the refund was not."""
    same = sa.and_(Reinstatement.source == Refund.source, Reinstatement.refund_external_id == Refund.external_id)
    query = sa.select(Refund, Reinstatement).outerjoin(Reinstatement, same).where(Refund.conversion_id.in_(orders))
    told = session.execute(query.order_by(Refund.id)).all()
    people = _people({one.recorded_by_id for row in told for one in row if one is not None})
    found = []
    for refund, reinstated in told:
        facts = {"order": orders[refund.conversion_id or 0], "stands": reinstated is None}
        by = people.get(refund.recorded_by_id or 0)
        found.append(Happening(refund.received_at, Kind.REFUND, refund, by=by, facts=facts))
        if reinstated is not None:
            by = people.get(reinstated.recorded_by_id or 0)
            found.append(Happening(reinstated.received_at, Kind.REINSTATED, refund, by=by, facts=facts))
    return found


def _judged(made: list[Reward]) -> list[Judged]:
    numbers = [reward.id for reward in made]
    decisions: dict[int, list[Decision]] = {}
    query = sa.select(Decision).where(Decision.reward_id.in_(numbers)).order_by(Decision.number)
    for decision in session.scalars(query):
        decisions.setdefault(decision.reward_id, []).append(decision)
    taken: dict[int, list[Clawback]] = {}
    for clawback in session.scalars(sa.select(Clawback).where(Clawback.reward_id.in_(numbers)).order_by(Clawback.id)):
        taken.setdefault(clawback.reward_id, []).append(clawback)
    asked = appeals.of_rewards(numbers)
    return [
        Judged(case, decisions.get(case.reward.id, []), taken.get(case.reward.id, []), asked.get(case.reward.id))
        for case in queue.cases(made)
    ]


def _decided(judged: list[Judged]) -> list[Happening]:
    people = _people({decision.by_id for one in judged for decision in one.decisions})
    notes = _notes(
        {number for one in judged for decision in one.decisions for number in (decision.note_id, decision.told_id)}
    )
    found = []
    for one in judged:
        reward = one.case.reward
        for decision in one.decisions:
            told = {"reward": reward, "told": notes.get(decision.told_id or 0, "")}
            found.append(
                Happening(
                    decision.at, Kind.DECISION, decision, by=people.get(decision.by_id or 0),
                    note=notes.get(decision.note_id or 0, ""), facts=told,
                )
            )  # fmt: skip
        if reward.released_at is not None:
            found.append(Happening(reward.released_at, Kind.RELEASED, reward))
        for clawback in one.clawbacks:
            found.append(Happening(clawback.at, Kind.CLAWBACK, clawback))
        if one.appeal is not None:
            found.append(Happening(one.appeal.made_at, Kind.APPEAL, one.appeal))
    return found


def _audited(referral: Referral, made: list[Reward]) -> list[Happening]:
    """What colleagues noted, what they held, which signal they dismissed."""
    subjects = [("referral", referral.public_id), *(("reward", reward.public_id) for reward in made)]
    query = (
        sa.select(AuditEntry, User, Note.text)
        .outerjoin(User, User.id == AuditEntry.actor_id)
        .outerjoin(Note, Note.id == AuditEntry.note_id)
        .where(
            sa.tuple_(AuditEntry.subject_kind, AuditEntry.subject_id).in_(subjects),
            AuditEntry.verb.in_(("note_made", "hold_lengthened", "referrer_corrected", *SIGNAL_VERBS)),
        )
    )
    rewards_by_name = {reward.public_id: reward for reward in made}
    found = []
    for entry, actor, text in session.execute(query.order_by(AuditEntry.id)):
        if entry.verb == "referrer_corrected":
            found.append(Happening(entry.at, Kind.CORRECTED, entry, by=actor, note=text or ""))
        elif entry.verb in SIGNAL_VERBS:
            facts = {"signal": entry.details["signal"], "about": kinds.ABOUT[kinds.Kind(entry.details["signal"])]}
            found.append(Happening(entry.at, SIGNAL_VERBS[entry.verb], entry, by=actor, note=text or "", facts=facts))
        elif entry.verb == "note_made":
            found.append(Happening(entry.at, Kind.NOTE, entry, by=actor, note=text or ""))
        else:
            facts = {"reward": rewards_by_name[entry.subject_id], "until": clock.parse(entry.details["until"])}
            found.append(Happening(entry.at, Kind.HELD, entry, by=actor, note=text or "", facts=facts))
    return found


def _mails(referral: Referral, judged: list[Judged]) -> list[Message]:
    """What the portal wrote about this referral, to whomever."""
    about_rejections, about_approvals = [], []
    for one in judged:
        reward = one.case.reward
        for decision in one.decisions:
            if decision.verdict == Verdict.REJECT:
                about_rejections.append(f"{reward.public_id} {decision.number}")
            elif decision.verdict == Verdict.APPROVE:
                about_approvals.append(decisions.name_of_act(reward.person, decision.at, reward.currency))
    asked = session.scalars(
        sa.select(Appeal.public_id).where(Appeal.reward_id.in_([one.case.reward.id for one in judged]))
    ).all()
    about = {
        "friend_joined": ("referral", [referral.public_id]),
        "reward_approved": ("approval", about_approvals),
        "reward_rejected": ("reward", about_rejections),
        "appeal_answered": ("appeal", list(asked)),
    }
    wanted = sa.or_(
        *(
            sa.and_(Message.kind == kind, Message.about_kind == about_kind, Message.about_id.in_(names))
            for kind, (about_kind, names) in about.items()
        )
    )
    return list(session.scalars(sa.select(Message).where(wanted).order_by(Message.id)))


def _lines(made: list[Reward]) -> list[Line]:
    """Where these rewards, or what was taken back of them, stand or stood in payouts."""
    numbers = [reward.id for reward in made]
    taken = sa.select(Clawback.id).where(Clawback.reward_id.in_(numbers))
    query = sa.select(Line).where(sa.or_(Line.reward_id.in_(numbers), Line.clawback_id.in_(taken)))
    return list(session.scalars(query.order_by(Line.id)))


def _paid(lines: list[Line]) -> list[Happening]:
    numbers = {line.payout_id for line in lines}
    query = sa.select(Payout, Batch).join(Batch, Batch.id == Payout.batch_id).where(Payout.id.in_(numbers))
    found = []
    for payout, batch in session.execute(query.order_by(Payout.id)):
        found.append(Happening(payout.ended_at or batch.exported_at or batch.made_at, Kind.PAYOUT, payout))
    return found


def _people(numbers: set[int | None]) -> dict[int, User]:
    found = session.scalars(sa.select(User).where(User.id.in_([number for number in numbers if number])))
    return {user.id: user for user in found}


def _notes(numbers: set[int | None]) -> dict[int, str]:
    found = session.scalars(sa.select(Note).where(Note.id.in_([number for number in numbers if number])))
    return {note.id: note.text for note in found}
