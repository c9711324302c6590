"""Mail choices: which of the mails that one can do without somebody wants.

Invariant: who is told of months is told of each of them once (`told_on`).
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session


class Topic(StrEnum):
    """What such mails are about."""

    FRIENDS = "friends"
    REWARDS = "rewards"
    PAYOUTS = "payouts"
    MONTH = "month"
    DIGEST = "digest"


ASKED_FOR = frozenset({Topic.MONTH})
"""Topics that come to those alone who asked for them; the others come until somebody wants them no more."""


class MailChoice(Model):
    """One topic that somebody wants otherwise than it comes by itself: not, or one that is asked for."""

    __tablename__ = "mail_choices"
    __table_args__ = (
        database.once("user_id", "topic"),
        database.one_of("topic", Topic),
        sa.Index("ix_mail_choices_told", "topic", "told_on"),
    )

    id: Mapped[int] = database.key()
    user_id: Mapped[int] = database.refers_to("users.id", index=False)
    topic: Mapped[str] = mapped_column(sa.String(10))
    chosen_at: Mapped[datetime]
    told_on: Mapped[date | None]
    """For `month`: the first day of the last month of which they were told, or there was nothing to tell."""


def off(user_id: int) -> set[Topic]:
    """What somebody does not get."""
    chosen = session.scalars(sa.select(MailChoice.topic).where(MailChoice.user_id == user_id))
    return set(ASKED_FOR ^ {Topic(topic) for topic in chosen})


def without(topic: Topic, user_ids: Collection[int]) -> set[int]:
    """Who of these people does not get a topic."""
    query = sa.select(MailChoice.user_id).where(MailChoice.topic == topic, MailChoice.user_id.in_(user_ids))
    chosen = set(session.scalars(query))
    return set(user_ids) - chosen if topic in ASKED_FOR else chosen


def turn_off(user_id: int, topic: Topic, *, at: datetime) -> None:
    _choose(user_id, topic, as_usual=topic in ASKED_FOR, at=at)


def turn_on(user_id: int, topic: Topic, *, at: datetime) -> None:
    _choose(user_id, topic, as_usual=topic not in ASKED_FOR, at=at)


def _choose(user_id: int, topic: Topic, *, as_usual: bool, at: datetime) -> None:
    if as_usual:
        session.execute(sa.delete(MailChoice).where(MailChoice.user_id == user_id, MailChoice.topic == topic))
    else:
        database.insert_once(MailChoice, user_id=user_id, topic=topic, chosen_at=at)


def to_tell(month: date, *, before: datetime, most: int) -> Sequence[MailChoice]:
    """The next who asked for summaries before a moment and were not told of a month yet, locked: of two who write at
    once, each takes others."""
    mine = (MailChoice.topic == Topic.MONTH, MailChoice.chosen_at < before)
    open_ = sa.or_(MailChoice.told_on.is_(None), MailChoice.told_on < month)
    query = sa.select(MailChoice).where(*mine, open_).order_by(MailChoice.id).limit(most)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def forget(user_id: int) -> None:
    """Deletes what somebody chose."""
    session.execute(sa.delete(MailChoice).where(MailChoice.user_id == user_id))
