"""Corrections: an admin's plus or minus on somebody's balance, with a reason that its person reads.

Invariants: one form sent makes one correction, however often it is sent; a row is never changed: what was wrong is
put right by another one; nobody corrects their own balance. What somebody gives up with their account is one too, by
nobody.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit
from portal.accounts.audit import Note
from portal.accounts.users import User
from portal.core import database, money
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, public_id, token
from portal.rewards import ledger
from portal.rewards.ledger import Bucket, Cause

LONGEST = 300
"""Of a reason."""


class CorrectionRefused(Refusal):
    """A correction that cannot be made."""


class Correction(Model):
    """One correction in minor units; `form_key` is the one-time key of the form it was made with."""

    __tablename__ = "corrections"
    __table_args__ = (
        database.rule("amount_minor <> 0", "amount_not_zero"),
        database.rule("person_id <> by_id", "nobody_corrects_themselves"),
        database.whole("amount_minor"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    form_key: Mapped[str] = mapped_column(sa.String(43), unique=True)
    person_id: Mapped[int] = database.refers_to("users.id")
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    note_id: Mapped[int] = database.refers_to("notes.id", index=False)
    by_id: Mapped[int | None] = database.refers_to("users.id", index=False)
    """Empty where its person gave it up with the account."""
    at: Mapped[datetime]

    person: Mapped[User] = relationship(User, foreign_keys=person_id)
    note: Mapped[Note] = relationship(Note, lazy="joined")

    @property
    def reason(self) -> str:
        """Why, in the words that its person reads; empty once they are blanked."""
        return self.note.text


database.append_only(Correction)


def make(
    person: User, amount_minor: int, currency: str, *, reason: str, form_key: str, by: int, at: datetime
) -> Correction | None:
    """Corrects a balance; None if this form has done so already. The caller holds the person's lock.

    A plus goes program → payable, a minus payable → program, which may leave payable below zero. Raises
    CorrectionRefused: one's own balance, no amount, no reason, or a form sent again with something else in it.
    """
    if person.id == by:
        raise CorrectionRefused(marked("This is your own balance; a colleague corrects it."))
    if not 0 < abs(amount_minor) <= money.LARGEST_MINOR:
        raise CorrectionRefused(marked("Write an amount above zero."))
    known = session.scalar(sa.select(Correction).where(Correction.form_key == form_key))
    if known is not None:
        if (known.person_id, known.amount_minor) != (person.id, amount_minor):
            raise CorrectionRefused(marked("This form has made a correction already. Open the page again for another."))
        return None
    note_id = audit.note(reason, by=by, about=person.id, at=at, longest=LONGEST)
    if note_id is None:
        raise CorrectionRefused(marked("Write why; the person reads it."))
    made: Correction = database.insert_once(
        Correction, form_key=form_key, person_id=person.id, amount_minor=amount_minor, currency=currency,
        note_id=note_id, by_id=by, at=at,
    )  # fmt: skip
    if made is None:  # sent at the same moment, for somebody else
        raise CorrectionRefused(marked("This form has made a correction already. Open the page again for another."))
    _book(made, at=at)
    audit.write("balance_corrected", "user", person.public_id, by=by, at=at, note_id=note_id,
                amount_minor=amount_minor, currency=currency, correction=made.public_id)  # fmt: skip
    return made


GONE = marked("The account was deleted.")


def give_up_ready(person: User, *, at: datetime) -> None:
    """What is ready to pay goes back to the program with the account. The caller holds the person's lock."""
    for currency in ledger.currencies(person.id):
        ready = ledger.balances(person.id, currency)[Bucket.PAYABLE]
        if ready > 0:
            note_id = audit.note(GONE, by=None, about=person.id, at=at)
            assert note_id is not None
            made = Correction(
                form_key=token(), person_id=person.id, amount_minor=-ready, currency=currency, note_id=note_id, at=at
            )
            session.add(made)
            session.flush()
            _book(made, at=at)


def _book(made: Correction, *, at: datetime) -> None:
    left, entered = (Bucket.PROGRAM, Bucket.PAYABLE) if made.amount_minor > 0 else (Bucket.PAYABLE, Bucket.PROGRAM)
    ledger.move(
        made.person_id, abs(made.amount_minor), made.currency, left, entered,
        cause=Cause.CORRECTION, cause_id=made.id, reward_id=None, at=at,
    )  # fmt: skip


def of_person(person_id: int, *, most: int = 50) -> list[Correction]:
    """Somebody's corrections, the newest first."""
    query = sa.select(Correction).where(Correction.person_id == person_id)
    return list(session.scalars(query.order_by(Correction.id.desc()).limit(most)))
