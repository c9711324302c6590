"""Claims: somebody who came without a code names who invited them; that person or a colleague answers.

Invariants: one open claim per referee, three in all, within the terms' days after joining; what it answers never tells
whether an address has an account; granted, it makes the one referral.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts.users import User
from portal.core import clock, database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line, public_id
from portal.referrals import referrals
from portal.terms import Terms

MOST = 3


class ClaimRefused(Refusal):
    """A claim that cannot be made or answered."""


class Claim(Model):
    """Who was named by whom. `referrer_id` is empty where the name led to nobody who could have been it."""

    __tablename__ = "claims"
    __table_args__ = (
        database.once("referee_id", where="answered_at IS NULL", name="uq_claims_open"),
        database.whole("granted"),
        database.rule("(answered_at IS NULL) = (granted IS NULL)", "answered_with_an_answer"),
        database.rule("referrer_id IS NULL OR referrer_id <> referee_id", "nobody_claims_themselves"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    referee_id: Mapped[int] = database.refers_to("users.id")
    referrer_id: Mapped[int | None] = database.refers_to("users.id")
    named: Mapped[str] = mapped_column(sa.String(320))
    """As it was typed: a code or an address."""
    made_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    answered_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)
    granted: Mapped[bool | None]

    referee: Mapped[User] = relationship(User, foreign_keys=referee_id)
    referrer: Mapped[User | None] = relationship(User, foreign_keys=referrer_id)


def ends_at(user: User, terms: Terms) -> datetime:
    """Until when somebody may say who invited them, the moment itself included."""
    return user.created_at + clock.days(terms.claim_days)


def may_claim(user: User, terms: Terms, *, at: datetime) -> bool:
    """Whether somebody may still name who invited them: new, without a referrer, and not asked too often."""
    if not (terms.open_to_new and terms.claim_days and at <= ends_at(user, terms)):
        return False
    if user.signed_up_at < user.created_at or user.former_hash is not None or not user.in_good_standing:
        return False  # a customer from before is nobody's friend
    return referrals.of_referee(user.id) is None and len(of_referee(user.id)) < MOST and open_of(user.id) is None


def make(user: User, named: str, referrer: User | None, *, at: datetime) -> Claim:
    """A new claim. Raises ClaimRefused if one is open."""
    made: Claim | None = database.insert_once(
        Claim,
        referee_id=user.id,
        referrer_id=referrer.id if referrer else None,
        named=one_line(named, 320),
        made_at=at,
    )
    if made is None:
        raise ClaimRefused(marked("You have asked already. The answer shows here."))
    return made


def answer(claim: Claim, *, granted: bool, by: int, at: datetime) -> None:
    """Notes the answer. Raises ClaimRefused if there is one."""
    if claim.answered_at is not None:
        raise ClaimRefused(marked("This was answered already."))
    claim.answered_at, claim.answered_by_id, claim.granted = at, by, granted
    session.flush()


def find(wanted: str) -> Claim | None:
    return session.scalar(sa.select(Claim).where(Claim.public_id == wanted))


def of_referee(user_id: int) -> list[Claim]:
    """Somebody's claims, the newest first."""
    return list(session.scalars(sa.select(Claim).where(Claim.referee_id == user_id).order_by(Claim.id.desc())))


def open_of(user_id: int) -> Claim | None:
    """Somebody's claim that waits for an answer."""
    return session.scalar(sa.select(Claim).where(Claim.referee_id == user_id, Claim.answered_at.is_(None)))


def asked_of(user_id: int) -> list[Claim]:
    """What waits for this person's answer, the oldest first."""
    query = sa.select(Claim).where(Claim.referrer_id == user_id, Claim.answered_at.is_(None))
    return list(session.scalars(query.order_by(Claim.id).limit(50)))


def waiting() -> list[Claim]:
    """Every claim without an answer, the oldest first."""
    return list(session.scalars(sa.select(Claim).where(Claim.answered_at.is_(None)).order_by(Claim.id).limit(100)))


def forget(user_id: int, *, at: datetime) -> None:
    """Ends what somebody asked or was asked, and empties what was typed."""
    theirs = sa.or_(Claim.referee_id == user_id, Claim.referrer_id == user_id)
    open_ = sa.and_(theirs, Claim.answered_at.is_(None))
    session.execute(sa.update(Claim).where(open_).values(answered_at=at, granted=False))
    session.execute(sa.update(Claim).where(theirs).values(named=""))


def names_of(user_id: int) -> list[str]:
    """The public ids of the claims that somebody made or was asked about."""
    theirs = sa.or_(Claim.referee_id == user_id, Claim.referrer_id == user_id)
    return list(session.scalars(sa.select(Claim.public_id).where(theirs)))
