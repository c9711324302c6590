"""What the admin's desk shows: the queue with its evidence, referrals, and what needs attention."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from portal.accounts import api_keys
from portal.accounts.api_keys import ApiKey
from portal.accounts.audit import AuditEntry, Note
from portal.accounts.users import User
from portal.core.database import session
from portal.delivery import outbox
from portal.delivery.outbox import Message
from portal.delivery.outbox import State as MailState
from portal.payouts.payouts import Payout
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral
from portal.reports import batches
from portal.rewards import appeals, rewards, rules, signals
from portal.rewards.appeals import Appeal
from portal.rewards.conversions import Conversion, Disagreement
from portal.rewards.refunds import Refund, Reinstatement
from portal.rewards.rewards import Reward, State
from portal.rewards.signals import Assessment
from portal.sharing.links import Link
from portal.terms import Terms

PAGE = 50


def referrals_listed(*, before: int | None = None, most: int = PAGE) -> tuple[list[Referral], int | None]:
    """Referrals, the newest first, and the key of the next page if there is one."""
    query = sa.select(Referral).options(joinedload(Referral.referee), joinedload(Referral.referrer))
    if before is not None:
        query = query.where(Referral.id < before)
    found = list(session.scalars(query.order_by(Referral.id.desc()).limit(most + 1)).unique())
    return found[:most], found[most - 1].id if len(found) > most else None


@dataclass(frozen=True)
class History:
    """One line of the audit list, with who acted, what they wrote, and what it is about where that has a page."""

    entry: AuditEntry
    actor: User | None
    note: str
    about: User | Referral | Reward | Payout | None


def history(
    *,
    before: int | None = None,
    subjects: list[tuple[str, str]] | None = None,
    kind: str = "",
    actors: list[int | None] | None = None,
    most: int = PAGE,
) -> tuple[list[History], int | None]:
    """The audit list, the newest first, and the key of the next page: all of it, or what is about these (kind, public
    id), about a kind of thing, or done by these people (None: by the portal itself)."""
    query = (
        sa.select(AuditEntry, User, Note.text)
        .outerjoin(User, User.id == AuditEntry.actor_id)
        .outerjoin(Note, Note.id == AuditEntry.note_id)
    )
    if subjects is not None:
        query = query.where(sa.tuple_(AuditEntry.subject_kind, AuditEntry.subject_id).in_(subjects))
    if kind:
        query = query.where(AuditEntry.subject_kind == kind)
    if actors is not None:
        people = [number for number in actors if number is not None]
        by_portal = AuditEntry.actor_id.is_(None) if None in actors else sa.false()
        query = query.where(sa.or_(AuditEntry.actor_id.in_(people), by_portal))
    if before is not None:
        query = query.where(AuditEntry.id < before)
    found = list(session.execute(query.order_by(AuditEntry.id.desc()).limit(most + 1)))
    about = _subjects([entry for entry, _, _ in found[:most]])
    lines = [
        History(entry, actor, note or "", about.get((entry.subject_kind, entry.subject_id)))
        for entry, actor, note in found[:most]
    ]
    return lines, lines[-1].entry.id if len(found) > most else None


def subjects_of(user: User) -> list[tuple[str, str]]:
    """What the audit list may be about when it is about a person: themselves, who brought them, their links."""
    referral = session.scalar(sa.select(Referral.public_id).where(Referral.referee_id == user.id))
    own = session.scalars(sa.select(Link.public_id).where(Link.owner_id == user.id).limit(PAGE))
    return [
        ("user", user.public_id), *([("referral", referral)] if referral else []), *(("link", name) for name in own),
    ]  # fmt: skip


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

    without_offer: bool
    """Whether the program has no rule at all, so that nobody gets anything."""
    pending: int
    oldest_pending_at: datetime | None
    risky: int
    """How many of those that are pending are assessed as risky."""
    overdue: int
    """How many of those that are pending are past the deadline for reviews."""
    open_batches: int
    failed_payouts: int
    """Payouts that came back and whose person stands in no later one that was not cancelled."""
    mail_given_up: int
    mail_trouble: str
    """Why no mail goes out at the moment; empty if they do."""
    waiting_orders: int
    waiting_refunds: int
    waiting_reinstatements: int
    """Of refunds that were not told yet."""
    disagreements: int
    claims: int
    appeals: list[Appeal]
    keys_ending: list[ApiKey]
    """Keys of the API whose chosen end is near."""


def attention(current: Terms, *, at: datetime) -> Attention:
    """What the overview lists first."""
    pending = sa.select(sa.func.count(), sa.func.min(Reward.made_at)).where(Reward.state == State.PENDING)
    count, oldest = session.execute(pending).one()

    risky = signals.is_assessed(Reward.referral_id, Assessment.RISKY)
    same = (Refund.source == Reinstatement.source, Refund.external_id == Reinstatement.refund_external_id)
    known = sa.select(Refund.id).where(*same).correlate(Reinstatement).exists()

    def many(model: type, *where: sa.ColumnElement[bool]) -> int:
        return session.scalar(sa.select(sa.func.count()).select_from(model).where(*where)) or 0

    return Attention(
        without_offer=not rules.of_terms(current.id),
        pending=count,
        oldest_pending_at=oldest,
        risky=many(Reward, Reward.state == State.PENDING, risky),
        overdue=many(Reward, Reward.state == State.PENDING, rewards.overdue(current, at=at)),
        open_batches=batches.under_way(),
        failed_payouts=batches.problems(),
        mail_given_up=many(Message, Message.state == MailState.GIVEN_UP),
        mail_trouble=outbox.standing_trouble(),
        waiting_orders=many(Conversion, Conversion.applied_at.is_(None)),
        waiting_refunds=many(Refund, Refund.conversion_id.is_(None)),
        waiting_reinstatements=many(Reinstatement, ~known),
        disagreements=many(Disagreement),
        claims=many(Claim, Claim.answered_at.is_(None)),
        appeals=appeals.waiting(),
        keys_ending=api_keys.about_to_end(at=at),
    )
