"""What the admin's desk shows: the queue with its evidence, referrals, people, and what needs attention."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from portal.accounts.audit import AuditEntry, Note
from portal.accounts.users import User
from portal.core.database import session
from portal.delivery.outbox import Message
from portal.delivery.outbox import State as MailState
from portal.payouts.payouts import Payout
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral
from portal.reports import batches
from portal.rewards import appeals
from portal.rewards.appeals import Appeal
from portal.rewards.conversions import Conversion, Disagreement, Refund
from portal.rewards.rewards import Reward, State

PAGE = 50


def referrals_listed(*, before: int | None = None, most: int = PAGE) -> tuple[list[Referral], int | None]:
    """Referrals, the newest first, and the key of the next page if there is one."""
    query = sa.select(Referral).options(joinedload(Referral.referee), joinedload(Referral.referrer))
    if before is not None:
        query = query.where(Referral.id < before)
    found = list(session.scalars(query.order_by(Referral.id.desc()).limit(most + 1)).unique())
    return found[:most], found[most - 1].id if len(found) > most else None


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

    return Attention(
        pending=count,
        oldest_pending_at=oldest,
        open_batches=batches.under_way(),
        failed_payouts=batches.problems(),
        mail_given_up=many(Message, Message.state == MailState.GIVEN_UP),
        waiting_orders=many(Conversion, Conversion.applied_at.is_(None)),
        waiting_refunds=many(Refund, Refund.conversion_id.is_(None)),
        disagreements=many(Disagreement),
        claims=many(Claim, Claim.answered_at.is_(None)),
        appeals=appeals.waiting(),
    )
