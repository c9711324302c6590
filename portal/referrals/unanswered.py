"""Invites by which nobody has joined: which of them are to be reminded of, and whose addresses are to be deleted."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from portal.core.database import session
from portal.delivery.outbox import Message, State
from portal.referrals.referrals import Referral
from portal.sharing import invites
from portal.sharing.invites import Invite


def to_remind(*, at: datetime, most: int = 200) -> list[Invite]:
    """Those whose referrers want a reminder that is due now; it is written once (see `invites.reminded`)."""
    # Three days after the invite itself went out, however long it had to wait; or to note that it never will.
    gone = sa.or_(Message.sent_at <= at - invites.REMIND_AFTER, Message.state == State.GIVEN_UP)
    mine = (Message.kind == invites.FIRST, Message.about_kind == "invite", Message.about_id == Invite.public_id)
    first = sa.select(Message.id).where(*mine, gone).exists()
    open_ = (first, Invite.withdrawn_at.is_(None), Invite.declined_at.is_(None), Invite.to.is_not(None))
    return _listed(Invite.remind, Invite.made_at <= at - invites.REMIND_AFTER, *open_, most=most)


def overdue(*, at: datetime, most: int = 200) -> list[Invite]:
    """Those whose address is older than it may be kept."""
    return _listed(Invite.to.is_not(None), Invite.made_at < at - invites.KEPT, most=most)


def is_unanswered(invite: Invite) -> bool:
    """Whether nobody has joined by it."""
    return bool(_listed(Invite.id == invite.id, most=1))


def _listed(*where: Any, most: int) -> list[Invite]:
    joined = sa.select(Referral.id).where(Referral.link_id == Invite.link_id).exists()
    return list(session.scalars(sa.select(Invite).where(*where, ~joined).order_by(Invite.id).limit(most)))
