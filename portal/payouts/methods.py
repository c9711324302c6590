"""Methods: how somebody wants to be paid: shop credit, vouchers, PayPal or a bank account.

Invariants: one method in force per person; the details are kept encrypted, with the key's id; new details and every
change hold the next payout for three days (the first details too: a stolen session must not be quicker than its
owner's mail).
"""

import hashlib
import json
import re
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts import audit, users
from portal.core import clock, database, sealed
from portal.core.database import Model, session
from portal.core.sealed import Box, NotOurs, Turn
from portal.core.text import Refusal, keyed_hash, marked, one_line, public_id

HOLD_DAYS = 3


class Kind(StrEnum):
    CREDIT = "credit"
    VOUCHER = "voucher"
    PAYPAL = "paypal"
    BANK = "bank"


WITHOUT_DETAILS = frozenset({Kind.CREDIT, Kind.VOUCHER})


class MethodRefused(Refusal):
    """Payout details that cannot be used; `field` names which."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Method(Model):
    """How one person is paid, until replaced. `details` are encrypted; `shown` is the masked form."""

    __tablename__ = "payout_methods"
    __table_args__ = (
        database.one_of("kind", Kind),
        database.once("user_id", where="replaced_at IS NULL", name="uq_payout_methods_in_force"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    user_id: Mapped[int] = database.refers_to("users.id")
    kind: Mapped[str] = mapped_column(sa.String(8))
    details: Mapped[str] = mapped_column(sa.Text, default="")
    key_id: Mapped[str] = mapped_column(sa.String(12), default="")
    shown: Mapped[str] = mapped_column(sa.String(80), default="")
    set_at: Mapped[datetime]
    usable_at: Mapped[datetime]
    replaced_at: Mapped[datetime | None]
    mark: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    """A keyed hash by which the same account is known again; empty: no details; None: not marked yet."""


class Details:
    """Encrypts and reads payout details with the keys of the settings."""

    def __init__(self, keys: str) -> None:
        self.box = Box(keys, "payout details", before=str)
        self._mark_key = hashlib.sha256(b"mark\0" + self.box.keys[0].secret.encode()).digest()
        self.key_id = self.box.key_id

    def seal(self, details: dict[str, str]) -> str:
        return self.box.seal(json.dumps(details))

    def open(self, method: Method) -> dict[str, str]:
        """The details of a method; empty for those that need none. Raises NotOurs (see `Box.open`)."""
        if not method.details:
            return {}
        opened: dict[str, str] = json.loads(self.box.open(method.details))
        return opened

    def mark(self, kind: str, details: dict[str, str]) -> str:
        """What tells whether two accounts are the same without keeping either: a mailbox is one however it is spelled,
        an IBAN is one whoever is written as its holder. A new key makes other marks: see `reseal`.
        """
        if not details:
            return ""
        return keyed_hash(self._mark_key, f"{kind} {details.get('iban') or users.folded(details['email'])}")


def in_force(user_id: int) -> Method | None:
    """How a person is paid now."""
    return session.scalar(sa.select(Method).where(Method.user_id == user_id, Method.replaced_at.is_(None)))


def of_person(user_id: int) -> list[Method]:
    """How a person is paid and was paid before, the first one first."""
    return list(session.scalars(sa.select(Method).where(Method.user_id == user_id).order_by(Method.id)))


def choose(user_id: int, kind: Kind, given: dict[str, str], *, keep: Details, at: datetime) -> Method:
    """Sets how a person is paid. `given`: `email` for PayPal, `holder` and `iban` for a bank.

    Raises MethodRefused with the field's name.
    """
    details, shown = _checked(kind, given)
    mark = keep.mark(kind, details)
    database.lock_names(f"payout details {mark}")  # of two who give the same at once, the second sees the first
    _mark_older(keep)
    before = in_force(user_id)
    if before is not None:
        before.replaced_at = at
        session.flush()
    method = Method(
        user_id=user_id,
        kind=kind,
        details=keep.seal(details) if details else "",
        key_id=keep.key_id if details else "",
        mark=mark,
        shown=shown,
        set_at=at,
        usable_at=at if before is None and kind in WITHOUT_DETAILS else at + clock.days(HOLD_DAYS),
    )
    session.add(method)
    session.flush()
    audit.write("payout_method_set", "method", method.public_id, by=user_id, at=at, kind=kind)
    return method


def reseal(keep: Details, *, after: int, most: int) -> Turn | None:
    """Writes some details, and their marks, anew under the newest key (see `sealed.reseal`)."""

    def change(method: Method) -> None:
        details = keep.open(method)
        method.details, method.mark = keep.seal(details), keep.mark(method.kind, details)

    return sealed.reseal(Method, Method.details, keep.box, change, after=after, most=most)


def _mark_older(keep: Details, *, most: int = 200) -> None:
    """Marks some of the details that have no mark yet, or one by an older key, until none is left.

    What no key opens is like nobody's.
    """
    older: sa.ColumnElement[bool] = Method.mark.is_(None)
    if len(keep.box.keys) > 1:
        older = sa.or_(older, sa.and_(Method.key_id != keep.key_id, Method.mark != ""))
    query = sa.select(Method).where(older).order_by(Method.id).limit(most)
    for method in session.scalars(query.with_for_update(skip_locked=True)):
        try:
            details = keep.open(method)
            method.mark = keep.mark(method.kind, details)
            if details:
                method.details, method.key_id = keep.seal(details), keep.key_id
        except NotOurs:
            method.mark = ""


def sharing_details_with(user_id: int, *, most: int = 100) -> list[int]:
    """The other people who have or had the bank account or PayPal address that somebody has or had."""
    own = sa.select(Method.mark).where(Method.user_id == user_id, Method.mark != "")
    query = sa.select(Method.user_id).where(Method.mark.in_(own), Method.user_id != user_id).distinct()
    return list(session.scalars(query.order_by(Method.user_id).limit(most)))


def _checked(kind: Kind, given: dict[str, str]) -> tuple[dict[str, str], str]:
    if kind == Kind.PAYPAL:
        try:
            email = users.clean_email(given.get("email", ""))
        except users.BadAddress as error:
            raise MethodRefused("email", error.message) from error
        return {"email": email}, users.masked(email)
    if kind == Kind.BANK:
        holder = one_line(given.get("holder", ""), 70)
        iban = re.sub(r"[ -]", "", given.get("iban", "")).upper()
        if len(holder) < 2:
            raise MethodRefused("holder", marked("Write the name of the account's holder."))
        if not is_iban(iban):
            raise MethodRefused("iban", marked("This is not a valid IBAN. Check its letters and digits."))
        return {"holder": holder, "iban": iban}, f"•••• {iban[-4:]}"
    return {}, ""


def is_iban(text: str) -> bool:
    """Whether a text has the form and the check digits of an IBAN (ISO 13616, mod 97-10 of ISO 7064)."""
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", text, re.ASCII):
        return False
    turned = text[4:] + text[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def end(user_id: int, *, at: datetime) -> None:
    """Nobody is paid by the details in force from now on; new ones have to be named."""
    session.execute(
        sa.update(Method).where(Method.user_id == user_id, Method.replaced_at.is_(None)).values(replaced_at=at)
    )


def forget(user_id: int, *, at: datetime) -> None:
    """Empties every detail that somebody gave; the kinds stay, for the books."""
    end(user_id, at=at)
    session.execute(sa.update(Method).where(Method.user_id == user_id).values(details="", shown="", mark="", key_id=""))
