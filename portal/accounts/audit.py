"""The audit list: who did what to what, when, from what to what. Append-only.

Rows hold ids and words of ours; what people wrote stands in notes, which can be blanked when a person is erased.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Json, Model, session
from portal.core.text import one_line


class Note(Model):
    """Free text by a person about something: a reason, a word to the referrer."""

    __tablename__ = "notes"

    id: Mapped[int] = database.key()
    author_id: Mapped[int | None] = database.refers_to("users.id")
    about_user_id: Mapped[int | None] = database.refers_to("users.id")
    text: Mapped[str] = mapped_column(sa.Text)
    written_at: Mapped[datetime]


class AuditEntry(Model):
    """One thing done. `actor_id` is empty where the portal itself acted; `subject` is a kind and a public id."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = database.key()
    at: Mapped[datetime] = mapped_column(index=True)
    actor_id: Mapped[int | None] = database.refers_to("users.id")
    verb: Mapped[str] = mapped_column(sa.String(40))
    subject_kind: Mapped[str] = mapped_column(sa.String(20))
    subject_id: Mapped[str] = mapped_column(sa.String(64))
    details: Mapped[Any] = mapped_column(Json, default=dict)
    note_id: Mapped[int | None] = database.refers_to("notes.id", index=False)

    __table_args__ = (sa.Index("ix_audit_entries_subject", "subject_kind", "subject_id"),)


database.append_only(AuditEntry)


def note(text: str, *, by: int | None, about: int | None, at: datetime, longest: int = 500) -> int | None:
    """Keeps a free text and gives its row number; None for an empty one."""
    return note_about([about], text, by=by, at=at, longest=longest).get(about)


def note_about(
    people: Collection[int | None], text: str, *, by: int | None, at: datetime, longest: int = 500
) -> dict[int | None, int]:
    """Keeps a free text about each of these people, in one statement: person -> row number; none for an empty one."""
    cleaned = one_line(text, longest)
    if not cleaned:
        return {}
    rows = [{"author_id": by, "about_user_id": person, "text": cleaned, "written_at": at} for person in people]
    return dict(database.insert_all(Note, rows, Note.about_user_id, Note.id))


def write(
    verb: str,
    subject_kind: str,
    subject_id: str,
    *,
    by: int | None,
    at: datetime,
    note_id: int | None = None,
    **details: Any,
) -> None:
    """Adds one line to the audit list; `details` say what it was and what it is now."""
    session.add(
        AuditEntry(
            at=at,
            actor_id=by,
            verb=verb,
            subject_kind=subject_kind,
            subject_id=subject_id,
            details=details,
            note_id=note_id,
        )
    )


def write_all(
    verb: str, subject_kind: str, lines: Iterable[tuple[str, dict[str, Any], int | None]], *, by: int | None,
    at: datetime,
) -> None:  # fmt: skip
    """Adds a line for each thing, of its public id, details and note, in one statement."""
    common: dict[str, Any] = {"at": at, "actor_id": by, "verb": verb, "subject_kind": subject_kind}
    rows = [common | {"subject_id": name, "details": details, "note_id": note} for name, details, note in lines]
    database.insert_all(AuditEntry, rows)


def latest(verb: str, subject_kind: str, subject_ids: Collection[str]) -> dict[str, datetime]:
    """When something was last done with each of these things; without those with which it never was."""
    query = sa.select(AuditEntry.subject_id, sa.func.max(AuditEntry.at)).where(
        AuditEntry.subject_kind == subject_kind, AuditEntry.subject_id.in_(subject_ids), AuditEntry.verb == verb
    )
    return {subject_id: at for subject_id, at in session.execute(query.group_by(AuditEntry.subject_id))}


def last(verb: str, subject_kind: str, subject_id: str) -> AuditEntry | None:
    """When and by whom something was last done with one thing; None if it never was."""
    query = sa.select(AuditEntry).where(AuditEntry.subject_kind == subject_kind, AuditEntry.subject_id == subject_id)
    return session.scalar(query.where(AuditEntry.verb == verb).order_by(AuditEntry.id.desc()).limit(1))


def about(subject_kind: str, subject_id: str) -> list[AuditEntry]:
    """The history of one thing, oldest first."""
    query = sa.select(AuditEntry).where(AuditEntry.subject_kind == subject_kind, AuditEntry.subject_id == subject_id)
    return list(session.scalars(query.order_by(AuditEntry.id)))


def blank_notes(user_id: int) -> None:
    """Empties what was written about somebody, and what they wrote about themselves; that there was a note stays."""
    theirs = sa.or_(Note.about_user_id == user_id, sa.and_(Note.author_id == user_id, Note.about_user_id.is_(None)))
    session.execute(sa.update(Note).where(theirs).values(text=""))
