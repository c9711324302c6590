"""Goals: what a referee can do that is worth a reward, and from which source the portal hears of it.

Invariant: a goal listens to one source, so that the same order told by two shops is not two.
"""

import re

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line

SIGNUP = "signup"
PURCHASE = "purchase"

PORTAL = "portal"
"""The source of `signup`: the portal itself."""
SHOP = "shop"
"""One source: the API, CSV files, the command and the admin's form."""

USUAL = {SIGNUP: marked("confirmed sign-up"), PURCHASE: marked("purchase")}
"""The two goals that every program has, with their labels."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)


class GoalRefused(Refusal):
    """A goal that cannot be had."""


class Goal(Model):
    """Something worth a reward. `has_amount`: whether its conversions carry an order's amount."""

    __tablename__ = "goals"
    __table_args__ = (database.whole("has_amount"),)

    id: Mapped[int] = database.key()
    name: Mapped[str] = mapped_column(sa.String(32), unique=True)
    label: Mapped[str] = mapped_column(sa.String(80))
    source: Mapped[str] = mapped_column(sa.String(40))
    has_amount: Mapped[bool]


def find(name: str) -> Goal | None:
    if not _NAME.fullmatch(name):
        return None
    return session.scalar(sa.select(Goal).where(Goal.name == name))


def listed() -> list[Goal]:
    return list(session.scalars(sa.select(Goal).order_by(Goal.id)))


def add(name: str, *, label: str, has_amount: bool, source: str = SHOP) -> None:
    """Adds a goal; one of that name stays as it is. Raises GoalRefused for a name that is not a plain word."""
    if not _NAME.fullmatch(name):
        raise GoalRefused(marked("Name a goal with small letters, digits and underscores."))
    label = one_line(label, 80) or name
    database.insert_once(Goal, name=name, label=label, source=source, has_amount=has_amount)


def add_usual() -> None:
    """The two goals that every program has."""
    add(SIGNUP, label=USUAL[SIGNUP], has_amount=False, source=PORTAL)
    add(PURCHASE, label=USUAL[PURCHASE], has_amount=True)
