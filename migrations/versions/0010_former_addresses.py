"""Former addresses: the keyed hashes of the addresses that accounts had before, taken over from the audit list.

Frozen, as every version is.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the table, and fills it with what the audit list tells of changes of address."""
    op.create_table(
        "former_addresses",
        sa.Column("id", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("address_hash", sa.String(64), nullable=False),
        sa.Column("left_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_former_addresses")),
        sa.UniqueConstraint("user_id", "address_hash", name=op.f("uq_former_addresses_user_id_address_hash")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_former_addresses_user_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_former_addresses_address_hash"), "former_addresses", ["address_hash"])
    _take_over()


def _take_over() -> None:
    told = op.get_bind().execute(
        sa.text(
            "SELECT u.id, a.details, a.at FROM audit_entries a JOIN users u ON u.public_id = a.subject_id"
            " WHERE a.subject_kind = 'user' AND a.verb IN ('address_changed', 'address_changed_back') ORDER BY a.id"
        )
    )
    found: dict[tuple[int, str], Any] = {}
    for user_id, details, at in told:
        was = (json.loads(details) if isinstance(details, str) else details).get("was_hash")
        if was:
            found.setdefault((user_id, was), at)
    insert = sa.text("INSERT INTO former_addresses (user_id, address_hash, left_at) VALUES (:user, :hash, :at)")
    for (user_id, was), at in found.items():
        op.get_bind().execute(insert, {"user": user_id, "hash": was, "at": at})
