"""Mail choices: which of the mails that one can do without somebody does not want."""

from collections.abc import Collection
from datetime import datetime
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
    DIGEST = "digest"


class MailChoice(Model):
    """One topic that somebody does not want. Without a row they do."""

    __tablename__ = "mail_choices"
    __table_args__ = (database.once("user_id", "topic"), database.one_of("topic", Topic))

    id: Mapped[int] = database.key()
    user_id: Mapped[int] = database.refers_to("users.id", index=False)
    topic: Mapped[str] = mapped_column(sa.String(10))
    off_at: Mapped[datetime]


def off(user_id: int) -> set[Topic]:
    """What somebody does not want."""
    return {Topic(topic) for topic in session.scalars(sa.select(MailChoice.topic).where(MailChoice.user_id == user_id))}


def without(topic: Topic, user_ids: Collection[int]) -> set[int]:
    """Who of these people does not want a topic."""
    query = sa.select(MailChoice.user_id).where(MailChoice.topic == topic, MailChoice.user_id.in_(user_ids))
    return set(session.scalars(query))


def turn_off(user_id: int, topic: Topic, *, at: datetime) -> None:
    database.insert_once(MailChoice, user_id=user_id, topic=topic, off_at=at)


def turn_on(user_id: int, topic: Topic) -> None:
    session.execute(sa.delete(MailChoice).where(MailChoice.user_id == user_id, MailChoice.topic == topic))


def forget(user_id: int) -> None:
    """Deletes what somebody chose."""
    session.execute(sa.delete(MailChoice).where(MailChoice.user_id == user_id))
