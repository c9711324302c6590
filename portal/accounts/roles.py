"""Roles: who may do what. Everybody is a referrer; the four roles below are granted.

Invariant: a role is granted once; what it allows stands in one table, `MAY`.
"""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session


class Role(StrEnum):
    VIEWER = "viewer"
    REVIEWER = "reviewer"
    FINANCE = "finance"
    OWNER = "owner"


MAY: dict[str, frozenset[Role]] = {
    "read": frozenset(Role),
    "decide": frozenset({Role.REVIEWER, Role.OWNER}),
    "pay": frozenset({Role.FINANCE, Role.OWNER}),
    "own": frozenset({Role.OWNER}),
}
"""Permission -> the roles that carry it: read the admin pages; decide rewards, appeals and claims; corrections
and batches; program, rules, roles, keys, suspension and orders by form."""


class RoleGrant(Model):
    """One role of one person."""

    __tablename__ = "role_grants"
    __table_args__ = (database.once("user_id", "name"), database.one_of("name", Role))

    id: Mapped[int] = database.key()
    user_id: Mapped[int] = database.refers_to("users.id")
    name: Mapped[str] = mapped_column(sa.String(10))
    granted_at: Mapped[datetime]
    granted_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)

    def allows(self, permission: str) -> bool:
        return self.name in MAY[permission]

    def get_permissions(self) -> set[str]:
        """For Flask-Security, whose own permissions we do not use: ours stand in `MAY`."""
        return set()


def grant(user_id: int, role: Role, *, by: int | None, at: datetime) -> None:
    """Gives a role; nothing happens if it is there."""
    database.insert_once(RoleGrant, user_id=user_id, name=role, granted_at=at, granted_by_id=by)


def withdraw(user_id: int, role: Role) -> None:
    """Takes a role away, from the next request on."""
    session.execute(sa.delete(RoleGrant).where(RoleGrant.user_id == user_id, RoleGrant.name == role))


def holders(permission: str) -> list[int]:
    """The row numbers of the people who carry a permission."""
    query = sa.select(RoleGrant.user_id).where(RoleGrant.name.in_(MAY[permission])).distinct()
    return list(session.scalars(query.order_by(RoleGrant.user_id)))


def withdraw_all(user_id: int) -> None:
    """Takes every role away."""
    session.execute(sa.delete(RoleGrant).where(RoleGrant.user_id == user_id))
