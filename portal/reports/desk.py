"""What the admin's desk shows: the queue with its evidence, referrals, people, and what needs attention."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased, joinedload

from portal.accounts.audit import AuditEntry, Note
from portal.accounts.users import User
from portal.core.database import session
from portal.delivery.outbox import Message
from portal.delivery.outbox import State as MailState
from portal.payouts.payouts import Batch, Payout
from portal.payouts.payouts import State as PayoutState
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral
from portal.rewards import appeals, signals
from portal.rewards.appeals import Appeal
from portal.rewards.conversions import Conversion, Disagreement, Refund
from portal.rewards.rewards import Decision, Reward, State
from portal.rewards.signals import Assessment, Signal

PAGE = 50


@dataclass(frozen=True)
class Case:
    """One pending reward with what speaks for and against it."""

    reward: Reward
    assessment: Assessment
    signals: list[Signal]


def queue(*, after: int | None = None, most: int = PAGE) -> tuple[list[Case], int | None]:
    """Pending rewards, the oldest first, and the key of the next page if there is one."""
    query = (
        sa.select(Reward)
        .options(
            joinedload(Reward.person),
            joinedload(Reward.rule),
            joinedload(Reward.conversion),
            joinedload(Reward.referral).options(joinedload(Referral.referee), joinedload(Referral.referrer)),
        )
        .where(Reward.state == State.PENDING)
    )
    if after is not None:
        query = query.where(Reward.id > after)
    found = list(session.scalars(query.order_by(Reward.id).limit(most + 1)).unique())
    shown = found[:most]
    return _with_evidence(shown), shown[-1].id if len(found) > most else None


def _with_evidence(shown: list[Reward]) -> list[Case]:
    numbers = {reward.referral_id for reward in shown}
    assessed = signals.assessments(numbers)
    raised: dict[int, list[Signal]] = {}
    for signal in session.scalars(
        sa.select(Signal).where(Signal.referral_id.in_(numbers)).order_by(Signal.weight.desc())
    ):
        raised.setdefault(signal.referral_id, []).append(signal)
    return [Case(reward, assessed[reward.referral_id], raised.get(reward.referral_id, [])) for reward in shown]


def of_referral(referral: Referral) -> list[Case]:
    """The rewards of a referral, decided or not, with their evidence."""
    query = sa.select(Reward).where(Reward.referral_id == referral.id).order_by(Reward.id)
    return _with_evidence(list(session.scalars(query)))


def signals_of(referral: Referral) -> list[Signal]:
    """The signals of a referral, the heaviest first."""
    return signals.of_referral(referral.id)


def assessment_of(referral: Referral) -> Assessment:
    """How a referral is assessed."""
    return signals.assessments({referral.id})[referral.id]


def note_of(decision: Decision) -> str:
    """What a decision's maker wrote for colleagues; empty if nothing."""
    note = session.get(Note, decision.note_id) if decision.note_id else None
    return note.text if note else ""


def pending_count() -> int:
    return session.scalar(sa.select(sa.func.count()).where(Reward.state == State.PENDING)) or 0


def referrals_listed(*, before: int | None = None, most: int = PAGE) -> tuple[list[Referral], int | None]:
    """Referrals, the newest first, and the key of the next page if there is one."""
    query = sa.select(Referral).options(joinedload(Referral.referee), joinedload(Referral.referrer))
    if before is not None:
        query = query.where(Referral.id < before)
    found = list(session.scalars(query.order_by(Referral.id.desc()).limit(most + 1)).unique())
    return found[:most], found[most - 1].id if len(found) > most else None


def conversions_of(referral: Referral) -> list[Conversion]:
    query = sa.select(Conversion).where(Conversion.referral_id == referral.id)
    return list(session.scalars(query.order_by(Conversion.id)))


def people(*, search: str = "", before: int | None = None, most: int = PAGE) -> tuple[list[User], int | None]:
    """People, the newest first, by name or address; and the key of the next page if there is one."""
    query = sa.select(User)
    if search:
        wanted = search.lower()
        query = query.where(
            sa.or_(
                sa.func.lower(User.name).contains(wanted, autoescape=True),
                sa.func.lower(User.email).contains(wanted, autoescape=True),
                User.external_id == search,
            )
        )
    if before is not None:
        query = query.where(User.id < before)
    found = list(session.scalars(query.order_by(User.id.desc()).limit(most + 1)))
    return found[:most], found[most - 1].id if len(found) > most else None


def batches(*, most: int = 100) -> list[Batch]:
    """Batches, the newest first."""
    query = sa.select(Batch).options(joinedload(Batch.payouts)).order_by(Batch.id.desc()).limit(most)
    return list(session.scalars(query).unique())


@dataclass(frozen=True)
class History:
    """One line of the audit list, with who acted, what they wrote, and what it is about where that has a page."""

    entry: AuditEntry
    actor: User | None
    note: str
    about: User | Referral | Reward | Payout | None


def history(
    *, before: int | None = None, subjects: list[tuple[str, str]] | None = None, most: int = PAGE
) -> tuple[list[History], int | None]:
    """The audit list, or what is about these (kind, public id); the newest first, and the key of the next page."""
    query = (
        sa.select(AuditEntry, User, Note.text)
        .outerjoin(User, User.id == AuditEntry.actor_id)
        .outerjoin(Note, Note.id == AuditEntry.note_id)
    )
    if subjects is not None:
        query = query.where(sa.tuple_(AuditEntry.subject_kind, AuditEntry.subject_id).in_(subjects))
    if before is not None:
        query = query.where(AuditEntry.id < before)
    found = list(session.execute(query.order_by(AuditEntry.id.desc()).limit(most + 1)))
    about = _subjects([entry for entry, _, _ in found[:most]])
    lines = [
        History(entry, actor, note or "", about.get((entry.subject_kind, entry.subject_id)))
        for entry, actor, note in found[:most]
    ]
    return lines, lines[-1].entry.id if len(found) > most else None


def _subjects(entries: list[AuditEntry]) -> dict[tuple[str, str], User | Referral | Reward | Payout]:
    """What these lines are about, by kind and public id; one query a kind."""
    found: dict[tuple[str, str], User | Referral | Reward | Payout] = {}
    kinds: dict[str, Any] = {"user": User, "referral": Referral, "reward": Reward, "payout": Payout}
    for kind, model in kinds.items():
        wanted = {entry.subject_id for entry in entries if entry.subject_kind == kind}
        if wanted:
            for one in session.scalars(sa.select(model).where(model.public_id.in_(wanted))):
                found[kind, one.public_id] = one
    return found


@dataclass(frozen=True)
class Attention:
    """What waits for somebody: counts, and since when the oldest waits."""

    pending: int
    oldest_pending_at: datetime | None
    open_batches: int
    failed_payouts: int
    """Payouts that came back and whose person stands in no later one that was not cancelled."""
    mail_given_up: int
    waiting_orders: int
    waiting_refunds: int
    disagreements: int
    claims: int
    appeals: list[Appeal]


def attention() -> Attention:
    """What the overview lists first."""
    pending = sa.select(sa.func.count(), sa.func.min(Reward.made_at)).where(Reward.state == State.PENDING)
    count, oldest = session.execute(pending).one()

    def many(model: type, *where: sa.ColumnElement[bool]) -> int:
        return session.scalar(sa.select(sa.func.count()).select_from(model).where(*where)) or 0

    later = aliased(Payout)
    tried_again = (
        sa.select(later.id)
        .where(later.user_id == Payout.user_id, later.id > Payout.id, later.state != PayoutState.CANCELLED)
        .exists()
    )
    return Attention(
        pending=count,
        oldest_pending_at=oldest,
        open_batches=many(Batch, Batch.settled_at.is_(None)),
        failed_payouts=many(Payout, Payout.state == PayoutState.FAILED, ~tried_again),
        mail_given_up=many(Message, Message.state == MailState.GIVEN_UP),
        waiting_orders=many(Conversion, Conversion.applied_at.is_(None)),
        waiting_refunds=many(Refund, Refund.conversion_id.is_(None)),
        disagreements=many(Disagreement),
        claims=many(Claim, Claim.answered_at.is_(None)),
        appeals=appeals.waiting(),
    )
