"""Wordings: the texts of mails that an owner wrote in the place of those that came with the portal.

A text has named places in braces, `{amount}`; nothing in it is run. What stands in the database was checked: it has no
place that its mail cannot fill.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line

LONGEST = 4000
_PLACE = re.compile(r"\{\s*([A-Za-z_]*)\s*\}")


class WordingRefused(Refusal):
    """A text that cannot be sent."""


class Wording(Model):
    """The text of one kind of mail in one language."""

    __tablename__ = "mail_wordings"
    __table_args__ = (database.once("kind", "language"),)

    id: Mapped[int] = database.key()
    kind: Mapped[str] = mapped_column(sa.String(30))
    language: Mapped[str] = mapped_column(sa.String(8))
    subject: Mapped[str] = mapped_column(sa.String(200))
    body: Mapped[str] = mapped_column(sa.Text)
    made_at: Mapped[datetime]
    made_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)


def find(kind: str, language: str) -> Wording | None:
    return session.scalar(sa.select(Wording).where(Wording.kind == kind, Wording.language == language))


def texts(kind: str, language: str) -> tuple[str, str] | None:
    """The subject and the body of one's own; None where the portal's are used."""
    found = find(kind, language)
    return (found.subject, found.body) if found else None


def written() -> set[tuple[str, str]]:
    """The kinds and languages for which there are texts of one's own."""
    return {(kind, language) for kind, language in session.execute(sa.select(Wording.kind, Wording.language))}


def check(subject: str, body: str, *, places: Collection[str], needs: Sequence[str]) -> tuple[str, str]:
    """A subject and a body as they are kept. Raises WordingRefused: nothing written, too long, a place that cannot be
    filled, or none of those without one of which the mail would be of no use."""
    subject = one_line(subject, 200)
    body = "\n".join(line.rstrip() for line in body.replace("\r\n", "\n").split("\n")).strip("\n")
    if not subject or not body.strip():
        raise WordingRefused(marked("Write a subject and a text."))
    if len(body) > LONGEST or "\0" in body:
        raise WordingRefused(marked("The text is too long: at most %(most)s characters."), most=LONGEST)
    used = set(_PLACE.findall(subject + body))
    if wrong := sorted(used - set(places)):
        raise WordingRefused(marked("There is nothing to put in the place of {%(place)s}."), place=wrong[0])
    if needs and not set(needs) & set(_PLACE.findall(body)):
        raise WordingRefused(marked("The text needs {%(place)s}, or the mail would be of no use."), place=needs[0])
    return subject, body


def write(kind: str, language: str, subject: str, body: str, *, by: int, at: datetime) -> None:
    """Keeps a text; see `check`."""
    database.lock_names(f"wording {kind} {language}")  # two who write the first one at once
    found = find(kind, language) or Wording(kind=kind, language=language)
    found.subject, found.body, found.made_at, found.made_by_id = subject, body, at, by
    session.add(found)
    session.flush()


def drop(kind: str, language: str) -> bool:
    """Goes back to the text that came with the portal; whether there was one of one's own."""
    found = find(kind, language)
    if found is not None:
        session.delete(found)
        session.flush()
    return found is not None


def filled(text: str, facts: Mapping[str, object]) -> str:
    """A text with its places filled; what is not known is left as it stands."""
    return _PLACE.sub(lambda place: str(facts.get(place[1], place[0])), text)
