"""The outbox: every message is a row, written in the same transaction as what it tells of.

Invariants: a row is claimed by one worker at a time, for the length of a lease; it is sent, or tried again with
growing waits, or given up visibly; the same row always goes out under the same Message-ID. A secret (a one-time
link) is wiped from the row once it has gone out.
"""

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line, public_id

LEASE = timedelta(minutes=5)
GIVE_UP_AFTER = timedelta(days=3)
LEAST_TRIES = 5
"""However old it is: after a weekend without a worker, one bad answer is no reason to give up."""


class OutboxRefused(Refusal):
    """A message that cannot be sent again."""


class State(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    GIVEN_UP = "given_up"
    WITHDRAWN = "withdrawn"


class Message(Model):
    """One mail. `about_*` is the thing it tells of, `to_hash` the addressee: withdrawal and erasure find it so."""

    __tablename__ = "outbox"
    __table_args__ = (
        database.one_of("state", State),
        database.once("kind", "about_kind", "about_id", "to_hash"),
        sa.Index("ix_outbox_due", "state", "due_at"),
        database.whole("secret", "tries"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    kind: Mapped[str] = mapped_column(sa.String(30))
    about_kind: Mapped[str] = mapped_column(sa.String(20))
    about_id: Mapped[str] = mapped_column(sa.String(64))
    to: Mapped[str] = mapped_column(sa.String(320))
    to_hash: Mapped[str] = mapped_column(sa.String(64), index=True)
    subject: Mapped[str] = mapped_column(sa.String(200))
    text: Mapped[str] = mapped_column(sa.Text)
    secret: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(sa.String(10), default=State.QUEUED)
    made_at: Mapped[datetime]
    due_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None]
    trouble: Mapped[str] = mapped_column(sa.String(300), default="")
    language: Mapped[str] = mapped_column(sa.String(8), default="", server_default="")
    made_again_at: Mapped[datetime | None]
    """When an admin had it sent again: from then on it is tried as a new one."""
    stop: Mapped[str] = mapped_column(sa.String(200), default="", server_default="")
    """The token of its *Unsubscribe*; empty for mails that nobody can do without."""

    @property
    def next_try_at(self) -> datetime | None:
        """When it is tried again, if it was tried and waits."""
        return self.due_at if self.tries and self.state == State.QUEUED else None

    @property
    def waits_for_a_hand(self) -> bool:
        """Whether it was tried and is given up, or waits for its next try: sending it again has a meaning."""
        return bool(self.to) and self.tries > 0 and self.state in (State.GIVEN_UP, State.QUEUED)


@dataclass(frozen=True)
class Letter:
    """A mail to be queued: to whom, what it says, and the public id of the thing it tells of."""

    to: str
    to_hash: str
    subject: str
    text: str
    about_id: str
    language: str = ""
    stop: str = ""


def put_all(kind: str, about_kind: str, letters: Iterable[Letter], *, at: datetime, secret: bool = False) -> list[str]:
    """Queues mails; of a kind about one thing to one person there is one, and of the others no second is made. Gives
    the public ids of the new ones."""
    rows = [
        vars(letter)
        | {"kind": kind, "about_kind": about_kind, "subject": one_line(letter.subject, 200), "secret": secret}
        | {"made_at": at, "due_at": at}
        for letter in letters
    ]
    return [name for (name,) in database.insert_all(Message, rows, Message.public_id)]


def withdraw(kind: str, about_kind: str, about_ids: Collection[str]) -> None:
    """Keeps back mails that have not gone out yet, since what they tell of is no longer so."""
    mine = (Message.kind == kind, Message.about_kind == about_kind, Message.about_id.in_(about_ids))
    session.execute(sa.update(Message).where(*mine, Message.state == State.QUEUED).values(state=State.WITHDRAWN))


def rewrite(kind: str, about_kind: str, letter: Letter) -> None:
    """Has a mail that has not gone out yet say something else, since what it tells of is no longer quite so."""
    mine = (Message.kind == kind, Message.about_kind == about_kind, Message.about_id == letter.about_id)
    told = {"subject": one_line(letter.subject, 200), "text": letter.text}
    session.execute(sa.update(Message).where(*mine, Message.state == State.QUEUED).values(told))


def claim(*, at: datetime, most: int = 20) -> list[Message]:
    """Takes messages that are due, or whose lease ran out, for the length of a lease. Commit before sending."""
    free = sa.or_(
        sa.and_(Message.state == State.QUEUED, Message.due_at <= at),
        sa.and_(Message.state == State.SENDING, Message.leased_until < at),
    )
    due = sa.select(Message.id).where(free).order_by(Message.due_at, Message.id).limit(most)
    claimed = (
        sa.update(Message)
        .where(Message.id.in_(due.with_for_update(skip_locked=True).scalar_subquery()))
        .values(state=State.SENDING, leased_until=at + LEASE, tries=Message.tries + 1)
        .returning(Message.id)
    )
    numbers = list(session.scalars(claimed))
    query = sa.select(Message).where(Message.id.in_(numbers)).order_by(Message.id)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def sent(message_id: int, *, at: datetime) -> None:
    """Notes that a message went out."""
    message = session.get_one(Message, message_id)
    message.state, message.sent_at, message.trouble = State.SENT, at, ""
    if message.secret:
        message.text = ""


def give_back(message_ids: Collection[int], *, due_at: datetime, trouble: str = "") -> None:
    """Puts claimed messages back that were not tried, to be tried at a moment."""
    mine = (Message.id.in_(message_ids), Message.state == State.SENDING)
    values: dict[str, Any] = {"state": State.QUEUED, "due_at": due_at, "tries": Message.tries - 1}
    if trouble:
        values["trouble"] = one_line(trouble, 300)
    session.execute(sa.update(Message).where(*mine).values(values))


def withhold(message_id: int, why: str, *, at: datetime) -> None:
    """Does not send a message that was due, since its addressee does not want it any more. It keeps the moment at
    which it would have gone out."""
    message = session.get_one(Message, message_id)
    message.state, message.sent_at, message.trouble = State.WITHDRAWN, at, one_line(why, 300)


def send_again(message: Message, *, at: datetime) -> None:
    """Has a message tried again that was given up, or that waits for its next try. Raises OutboxRefused."""
    session.refresh(message, with_for_update=True)
    if message.state not in (State.GIVEN_UP, State.QUEUED):
        raise OutboxRefused(marked("This mail is not waiting to be sent again."))
    message.state, message.due_at, message.made_again_at = State.QUEUED, at, at


def failed(message_id: int, trouble: str, *, at: datetime, for_good: bool) -> None:
    """Notes that sending failed: again later, with growing waits and jitter, or given up for good."""
    message = session.get_one(Message, message_id)
    message.trouble = one_line(trouble, 300)
    if for_good or (at > (message.made_again_at or message.made_at) + GIVE_UP_AFTER and message.tries >= LEAST_TRIES):
        message.state = State.GIVEN_UP
        return
    wait = min(30 * 4 ** min(message.tries, 6), 6 * 3600)
    message.state = State.QUEUED
    message.due_at = at + timedelta(seconds=wait * random.uniform(0.8, 1.2))


def find(wanted: str) -> Message | None:
    return session.scalar(sa.select(Message).where(Message.public_id == wanted))


def sent_to(to_hash: str, kinds: Collection[str], *, since: datetime) -> int:
    """How many mails of some kinds went to an address since a moment."""
    query = sa.select(sa.func.count()).select_from(Message)
    mine = (Message.to_hash == to_hash, Message.kind.in_(kinds), Message.state == State.SENT, Message.sent_at >= since)
    return session.scalar(query.where(*mine)) or 0


def came_back(to_hash: str) -> int:
    """How many mails to an address were given up."""
    query = sa.select(sa.func.count()).select_from(Message)
    return session.scalar(query.where(Message.to_hash == to_hash, Message.state == State.GIVEN_UP)) or 0


def forget(kind: str, about_kind: str, about_id: str) -> None:
    """Empties what a mail said and to whom; that there was one stays."""
    mine = (Message.kind == kind, Message.about_kind == about_kind, Message.about_id == about_id)
    session.execute(sa.update(Message).where(*mine).values(to="", subject="", text="", trouble=""))


def forget_all(*which: sa.ColumnElement[bool]) -> None:
    """Empties every mail for which one of these is so; what has not gone out does not go."""
    one = sa.or_(*which)
    waits = Message.state.in_((State.QUEUED, State.SENDING))
    session.execute(sa.update(Message).where(one, waits).values(state=State.WITHDRAWN, leased_until=None))
    emptied = {"to": "", "subject": "", "text": "", "trouble": "", "stop": ""}
    session.execute(sa.update(Message).where(one).values(emptied))


def mentions(*words: str) -> list[sa.ColumnElement[bool]]:
    """For `forget_all`: the mails in which one of these words stands."""
    return [
        column.contains(word, autoescape=True) for word in words if word for column in (Message.subject, Message.text)
    ]


def forgotten(names: Collection[str]) -> set[str]:
    """Which of these messages, by public id, were emptied."""
    query = sa.select(Message.public_id).where(Message.public_id.in_(names), Message.to == "")
    return set(session.scalars(query))


def about(kinds: Collection[str], about_kind: str, about_ids: Collection[str]) -> list[Message]:
    """The mails of some kinds about some things, the first one first."""
    mine = (Message.kind.in_(kinds), Message.about_kind == about_kind, Message.about_id.in_(about_ids))
    return list(session.scalars(sa.select(Message).where(*mine).order_by(Message.id)))


def listed(states: Iterable[State], *, before: int | None = None, most: int = 50) -> tuple[list[Message], int | None]:
    """Messages in these states, the newest first, and the key of the next page if there is one."""
    query = sa.select(Message).where(Message.state.in_(list(states)))
    if before is not None:
        query = query.where(Message.id < before)
    found = list(session.scalars(query.order_by(Message.id.desc()).limit(most + 1)))
    return found[:most], found[most - 1].id if len(found) > most else None


def standing_trouble() -> str:
    """What keeps mails from going out that were not even tried: the way out itself. Empty if nothing does."""
    held = (Message.state == State.QUEUED, Message.tries == 0, Message.trouble != "")
    return session.scalar(sa.select(Message.trouble).where(*held).order_by(Message.id.desc()).limit(1)) or ""


def counts() -> dict[str, int]:
    """How many messages there are in each state."""
    query = sa.select(Message.state, sa.func.count()).group_by(Message.state)
    return {state: many for state, many in session.execute(query)}


def oldest_due(*, at: datetime) -> timedelta | None:
    """How long the oldest message that is due has been waiting; None if nothing waits."""
    first = session.scalar(sa.select(sa.func.min(Message.due_at)).where(Message.state == State.QUEUED))
    return at - first if first is not None and first < at else None
