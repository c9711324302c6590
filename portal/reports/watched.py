"""Watched: the few numbers by which an operator sees that the portal is well."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from portal.accounts import sign_ins
from portal.accounts.sign_ins import SignIn
from portal.core.database import session
from portal.delivery import outbox, webhooks, worker
from portal.rewards.rewards import Reward, State


@dataclass(frozen=True)
class Watched:
    """How things stand at a moment; spans in seconds."""

    outbox: dict[str, int]
    webhooks: dict[str, int]
    """Those for endpoints that were not removed."""
    waits_s: float
    """How long the oldest mail that is due waits."""
    told_waits_s: float
    """How long the oldest webhook that is due waits."""
    worker_s: float | None
    sign_ins: int
    pending: int


def look(*, at: datetime) -> Watched:
    """The numbers as they are now."""
    counts, turn = outbox.counts(), worker.last_turn("worker")
    waits, told_waits, told = outbox.oldest_due(at=at), webhooks.oldest_due(at=at), webhooks.counts()
    live = (
        SignIn.ended_at.is_(None),
        SignIn.started_at >= at - sign_ins.LONGEST,
        SignIn.last_seen_at >= at - sign_ins.IDLE,
    )
    return Watched(
        outbox={str(state): counts.get(state, 0) for state in outbox.State},
        webhooks={str(state): sum(one.get(state, 0) for one in told.values()) for state in outbox.State},
        waits_s=waits.total_seconds() if waits else 0,
        told_waits_s=told_waits.total_seconds() if told_waits else 0,
        worker_s=(at - turn).total_seconds() if turn else None,
        sign_ins=session.scalar(sa.select(sa.func.count()).select_from(SignIn).where(*live)) or 0,
        pending=session.scalar(sa.select(sa.func.count()).select_from(Reward).where(Reward.state == State.PENDING))
        or 0,
    )
