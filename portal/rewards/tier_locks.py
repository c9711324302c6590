"""Tier locks: a referrer whom an owner has put at one step of the tiers, where they stay until it is taken off again.

Invariants: one at a time for a person; it says of which number every reward of theirs as a referrer is worked out, and
changes no number: those go on being counted, and count again when it is gone; what was made before stays as it is.
"""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, relationship

from portal.accounts import audit
from portal.accounts.users import User
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked


class TierLockRefused(Refusal):
    """A step that somebody cannot be put at, or not by this person."""


class TierLock(Model):
    """One lock, with its reason for colleagues. `counts_as`: the number of the reward at which the step begins."""

    __tablename__ = "tier_locks"
    __table_args__ = (
        database.once("person_id", where="lifted_at IS NULL", name="uq_tier_locks_live"),
        database.rule("counts_as > 0", "counts_as_positive"),
        database.rule("person_id <> set_by_id", "nobody_locks_themselves"),
        database.whole("counts_as"),
    )

    id: Mapped[int] = database.key()
    person_id: Mapped[int] = database.refers_to("users.id")
    counts_as: Mapped[int]
    note_id: Mapped[int] = database.refers_to("notes.id", index=False)
    set_by_id: Mapped[int] = database.refers_to("users.id", index=False)
    set_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None]

    note: Mapped[audit.Note] = relationship(audit.Note, lazy="joined")
    set_by: Mapped[User] = relationship(User, foreign_keys=set_by_id)


def put(person: User, counts_as: int, *, among: Collection[int], reason: str, by: int, at: datetime) -> TierLock | None:
    """Puts somebody at a step, in the place of another one; None if they are there already. The caller holds the
    person's lock.

    `among`: the numbers at which there is a step. Raises TierLockRefused: oneself, no such step, no reason.
    """
    if person.id == by:
        raise TierLockRefused(marked("This is your own step; a colleague sets it."))
    if counts_as not in among:
        raise TierLockRefused(marked("There is no step that begins at reward number %(number)s."), number=counts_as)
    before = of_person(person.id)
    if before is not None and before.counts_as == counts_as:
        return None
    note_id = audit.note(reason, by=by, about=person.id, at=at)
    if note_id is None:
        raise TierLockRefused(marked("Write why; colleagues read it."))
    if before is not None:
        before.lifted_at = at
        session.flush()
    made = TierLock(person_id=person.id, counts_as=counts_as, note_id=note_id, set_by_id=by, set_at=at)
    session.add(made)
    session.flush()
    audit.write("tier_set", "user", person.public_id, by=by, at=at, note_id=note_id, now=counts_as,
                was=before.counts_as if before else None)  # fmt: skip
    return made


def lift(person: User, *, by: int, at: datetime) -> bool:
    """Takes somebody's lock off, and their own numbers count again; False if there is none. Raises TierLockRefused."""
    if person.id == by:
        raise TierLockRefused(marked("This is your own step; a colleague sets it."))
    lock = of_person(person.id)
    if lock is None:
        return False
    lock.lifted_at = at
    audit.write("tier_freed", "user", person.public_id, by=by, at=at, was=lock.counts_as)
    return True


def of_person(person_id: int) -> TierLock | None:
    """The lock that somebody has now."""
    return session.scalar(sa.select(TierLock).where(TierLock.person_id == person_id, TierLock.lifted_at.is_(None)))


def at_moment(person_id: int, at: datetime) -> TierLock | None:
    """The lock that counted for somebody at a moment."""
    then = (TierLock.set_at <= at, sa.or_(TierLock.lifted_at.is_(None), TierLock.lifted_at > at))
    query = sa.select(TierLock).where(TierLock.person_id == person_id, *then)
    return session.scalar(query.order_by(TierLock.id.desc()).limit(1))


def of_people(person_ids: Collection[int]) -> list[TierLock]:
    """Every lock that these people have or had, the newest first."""
    query = sa.select(TierLock).options(joinedload(TierLock.set_by)).where(TierLock.person_id.in_(person_ids))
    return list(session.scalars(query.order_by(TierLock.id.desc())))
