"""Methods: how somebody wants to be paid: shop credit, vouchers, PayPal or a bank account.

Invariants: one method in force per person; the details are kept encrypted, with the key's id; new details and every
change hold the next payout for three days (the first details too: a stolen session must not be quicker than its
owner's mail).
"""

import json
import re
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts import audit, users
from portal.core import clock, database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line, public_id

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


class Details:
    """Encrypts and reads payout details with the key of the settings."""

    def __init__(self, key: str) -> None:
        self._fernet = Fernet(key.encode())
        self.key_id = "k1"

    def seal(self, details: dict[str, str]) -> str:
        return self._fernet.encrypt(json.dumps(details).encode()).decode()

    def open(self, method: Method) -> dict[str, str]:
        """The details of a method; empty for those that need none."""
        if not method.details:
            return {}
        opened: dict[str, str] = json.loads(self._fernet.decrypt(method.details.encode()))
        return opened


def in_force(user_id: int) -> Method | None:
    """How a person is paid now."""
    return session.scalar(sa.select(Method).where(Method.user_id == user_id, Method.replaced_at.is_(None)))


def choose(user_id: int, kind: Kind, given: dict[str, str], *, keep: Details, at: datetime) -> Method:
    """Sets how a person is paid. `given`: `email` for PayPal, `holder` and `iban` for a bank.

    Raises MethodRefused with the field's name.
    """
    details, shown = _checked(kind, given)
    before = in_force(user_id)
    if before is not None:
        before.replaced_at = at
        session.flush()
    method = Method(
        user_id=user_id,
        kind=kind,
        details=keep.seal(details) if details else "",
        key_id=keep.key_id if details else "",
        shown=shown,
        set_at=at,
        usable_at=at if before is None and kind in WITHOUT_DETAILS else at + clock.days(HOLD_DAYS),
    )
    session.add(method)
    session.flush()
    audit.write("payout_method_set", "method", method.public_id, by=user_id, at=at, kind=kind, shown=shown)
    return method


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
