"""Lists for machines: rows in the order in which they were made, by key, however many there are."""

from typing import Any

import sqlalchemy as sa

from portal.core.database import session


def position(model: type[Any], wanted: str) -> int | None:
    """The row number of a public id, from which a list goes on."""
    found: int | None = session.scalar(sa.select(model.id).where(model.public_id == wanted))
    return found


def after(model: type[Any], number: int, *, most: int) -> tuple[list[Any], bool]:
    """The next rows after a row number, and whether there are more."""
    found = list(session.scalars(sa.select(model).where(model.id > number).order_by(model.id).limit(most + 1)))
    return found[:most], len(found) > most
