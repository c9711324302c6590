"""Referrals: the fact that this referee belongs to this referrer.

Invariants: one per referee, for ever; nobody refers themselves or anyone above them; it keeps the terms it came
under, and with them rules, tiers, hold and expiry.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit
from portal.accounts.users import User
from portal.core import clock, database
from portal.core.database import Json, Model, session
from portal.core.text import Refusal, public_id
from portal.referrals.attribution import Attribution, How
from portal.sharing.links import Link
from portal.terms import Terms

LONGEST_CHAIN = 1000
MOST_WEIGHED = 20


class ReferralRefused(Refusal):
    """A referrer who cannot be the one of a friend."""


class Referral(Model):
    """Who brought whom, by which link, decided how, under which terms."""

    __tablename__ = "referrals"
    __table_args__ = (
        database.rule("referrer_id <> referee_id", "nobody_refers_themselves"),
        database.one_of("how", How),
        sa.Index("ix_referrals_referrer_joined", "referrer_id", "joined_at"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    referrer_id: Mapped[int] = database.refers_to("users.id", index=False)
    referee_id: Mapped[int] = mapped_column(database.Key, sa.ForeignKey("users.id"), unique=True)
    link_id: Mapped[int] = database.refers_to("links.id")
    click_id: Mapped[int | None] = database.refers_to("clicks.id", index=False)
    code: Mapped[str] = mapped_column(sa.String(32))
    how: Mapped[str] = mapped_column(sa.String(12))
    weighed: Mapped[Any] = mapped_column(Json, default=list)
    """The candidates that did not win, see `Attribution.weighed`."""
    terms_id: Mapped[int] = database.refers_to("terms.id")
    touched_at: Mapped[datetime]
    joined_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """Up to and including this moment the goal can be reached."""
    counted_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the terms' goal was reached."""
    expired_at: Mapped[datetime | None]

    referrer: Mapped[User] = relationship(User, foreign_keys=referrer_id)
    referee: Mapped[User] = relationship(User, foreign_keys=referee_id)
    terms: Mapped[Terms] = relationship(Terms)
    link: Mapped[Link] = relationship(Link)


def of_referee(user_id: int) -> Referral | None:
    return session.scalar(sa.select(Referral).where(Referral.referee_id == user_id))


def find_of_referrer(wanted: str, *, referrer_id: int) -> Referral | None:
    """A referral by its public id, if it is this referrer's."""
    return session.scalar(sa.select(Referral).where(Referral.public_id == wanted, Referral.referrer_id == referrer_id))


def find(wanted: str) -> Referral | None:
    return session.scalar(sa.select(Referral).where(Referral.public_id == wanted))


def make(referee: User, outcome: Attribution, *, terms: Terms, at: datetime) -> Referral | None:
    """Makes the referral; None if the referee has one, or stands above the referrer."""
    if outcome.referrer_id == referee.id or is_above(referee.id, outcome.referrer_id):
        return None
    made: Referral | None = database.insert_once(
        Referral,
        referrer_id=outcome.referrer_id,
        referee_id=referee.id,
        link_id=outcome.link_id,
        click_id=outcome.click_id,
        code=outcome.code,
        how=outcome.how,
        weighed=list(outcome.weighed),
        terms_id=terms.id,
        touched_at=outcome.touched_at,
        joined_at=at,
        expires_at=at + clock.days(terms.goal_days),
    )
    return made


def reassign(referral: Referral, outcome: Attribution) -> None:
    """Gives a friend to another referrer; what counted before stands first among what was weighed."""
    former = {"code": referral.code, "at": referral.touched_at.isoformat(), "why": "corrected"}
    referral.weighed = [former, *referral.weighed][:MOST_WEIGHED]
    referral.referrer_id, referral.link_id, referral.click_id = outcome.referrer_id, outcome.link_id, outcome.click_id
    referral.code, referral.how, referral.touched_at = outcome.code, outcome.how, outcome.touched_at
    session.flush()
    session.refresh(referral)


def is_above(user_id: int, below_id: int) -> bool:
    """Whether a user brought another one, or brought whoever did, and so on up."""
    climbing: int | None = below_id
    for _ in range(LONGEST_CHAIN):
        query = sa.select(Referral.referrer_id).where(Referral.referee_id == climbing)
        climbing = session.scalar(query)
        if climbing is None:
            return False
        if climbing == user_id:
            return True
    return True


def count(referral: Referral, *, at: datetime) -> None:
    """Notes that the terms' goal was reached; the first time stands."""
    if referral.counted_at is None:
        referral.counted_at = at
        referral.expired_at = None


def expire_due(*, at: datetime) -> list[Referral]:
    """Marks referrals whose goal was not reached in time, and gives them."""
    where = (Referral.expires_at < at, Referral.counted_at.is_(None), Referral.expired_at.is_(None))
    done = list(session.scalars(sa.update(Referral).where(*where).values(expired_at=at).returning(Referral)))
    for one in done:
        audit.write("referral_expired", "referral", one.public_id, by=None, at=at)
    return done


def of_person(user_id: int) -> list[Referral]:
    """Everything in which somebody is one of the two."""
    query = sa.select(Referral).where(sa.or_(Referral.referrer_id == user_id, Referral.referee_id == user_id))
    return list(session.scalars(query.order_by(Referral.id)))


def rename_codes(changed: dict[str, str]) -> None:
    """Has referrals say the codes by which they came as they are called now: was -> is."""
    for was, now in changed.items():
        session.execute(sa.update(Referral).where(Referral.code == was).values(code=now))


def open_now(*, at: datetime) -> int:
    """How many referrals have not reached their goal and still can."""
    query = sa.select(sa.func.count()).select_from(Referral)
    return session.scalar(query.where(Referral.counted_at.is_(None), Referral.expires_at >= at)) or 0
