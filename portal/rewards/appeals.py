"""Appeals: whoever was told *not eligible* asks once to look again, and reads the answer.

Invariants: one per reward, by its own person, while it is rejected; the answer does not change the reward: a
decision that was wrong is taken back as any other.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit
from portal.accounts.audit import Note
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, public_id
from portal.rewards.rewards import Reward, State

LONGEST = 500


class AppealRefused(Refusal):
    """An appeal that cannot be made or answered."""


class Appeal(Model):
    """One request to look again, in its person's words, and the answer in a colleague's."""

    __tablename__ = "appeals"

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    reward_id: Mapped[int] = mapped_column(database.Key, sa.ForeignKey("rewards.id"), unique=True)
    text_id: Mapped[int | None] = database.refers_to("notes.id", index=False)
    made_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    answered_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)
    answer_id: Mapped[int | None] = database.refers_to("notes.id", index=False)

    reward: Mapped[Reward] = relationship(Reward)

    @property
    def text(self) -> str:
        """What was asked; empty once it was blanked."""
        return _text(self.text_id)

    @property
    def answer(self) -> str:
        """What was answered; empty while it waits."""
        return _text(self.answer_id)


def _text(note_id: int | None) -> str:
    note = session.get(Note, note_id) if note_id else None
    return note.text if note else ""


def make(reward: Reward, text: str, *, by: int, at: datetime) -> Appeal:
    """Asks to look again at a rejected reward. Raises AppealRefused."""
    if reward.state != State.REJECTED:
        raise AppealRefused(marked("This reward was not turned down, so there is nothing to look at again."))
    text_id = audit.note(text, by=by, about=reward.person_id, at=at, longest=LONGEST)
    if text_id is None:
        raise AppealRefused(marked("Write what we should look at."))
    made: Appeal | None = database.insert_once(Appeal, reward_id=reward.id, text_id=text_id, made_at=at)
    if made is None:
        raise AppealRefused(marked("You have asked us once already."))
    audit.write("appeal_made", "appeal", made.public_id, by=by, at=at, note_id=text_id)
    return made


def answer(appeal: Appeal, text: str, *, by: int, at: datetime) -> None:
    """Answers it, once. Raises AppealRefused."""
    if appeal.answered_at is not None:
        raise AppealRefused(marked("This was answered already."))
    appeal.answer_id = audit.note(text, by=by, about=appeal.reward.person_id, at=at, longest=LONGEST)
    if appeal.answer_id is None:
        raise AppealRefused(marked("Write an answer; the person reads it."))
    appeal.answered_at, appeal.answered_by_id = at, by
    audit.write("appeal_answered", "appeal", appeal.public_id, by=by, at=at, note_id=appeal.answer_id)
    session.flush()


def find(wanted: str) -> Appeal | None:
    return session.scalar(sa.select(Appeal).where(Appeal.public_id == wanted))


def of_rewards(reward_ids: list[int]) -> dict[int, Appeal]:
    """The appeals about these rewards, by the reward's row number."""
    query = sa.select(Appeal).where(Appeal.reward_id.in_(reward_ids))
    return {appeal.reward_id: appeal for appeal in session.scalars(query)}


def waiting() -> list[Appeal]:
    """Every appeal without an answer, the oldest first."""
    return list(session.scalars(sa.select(Appeal).where(Appeal.answered_at.is_(None)).order_by(Appeal.id).limit(100)))
