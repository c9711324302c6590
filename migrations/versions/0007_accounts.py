"""Accounts: second steps, passkeys, changes of address, time zones; and what the deletion of an account needs.

Frozen, as every version is. The ledger's corrections are append-only and are not made anew: what they admit is changed
in place.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

PURPOSES = "purpose IN ('confirm', 'reset', 'set_up', 'join')"
MORE_PURPOSES = "purpose IN ('confirm', 'reset', 'set_up', 'join', 'move', 'move_back')"
CHANGES = (
    (
        "one_time_keys",
        f"CONSTRAINT ck_one_time_keys_purpose_known CHECK ({PURPOSES})",
        f"CONSTRAINT ck_one_time_keys_purpose_known CHECK ({MORE_PURPOSES})",
    ),
    ("corrections", "by_id INTEGER NOT NULL", "by_id INTEGER"),
)
"""On SQLite: table, what its text says, what it will say; each admits only more."""


def upgrade() -> None:
    """Adds the columns, makes the tables, and admits what is new."""
    op.add_column("users", sa.Column("time_zone", sa.String(64), nullable=False, server_default=""))
    op.add_column("users", sa.Column("former_hash", sa.String(64), nullable=True))
    op.create_index(op.f("ix_users_former_hash"), "users", ["former_hash"])
    op.add_column("sign_ins", sa.Column("device", sa.String(60), nullable=False, server_default=""))
    _second_steps()
    _passkeys()
    if op.get_bind().dialect.name == "sqlite":
        _admit_on_sqlite()
    else:
        op.execute("ALTER TABLE one_time_keys DROP CONSTRAINT ck_one_time_keys_purpose_known")
        op.execute(f"ALTER TABLE one_time_keys ADD CONSTRAINT ck_one_time_keys_purpose_known CHECK ({MORE_PURPOSES})")
        op.execute("ALTER TABLE corrections ALTER COLUMN by_id DROP NOT NULL")


def _second_steps() -> None:
    op.create_table(
        "second_steps",
        sa.Column("id", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(12), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("on_at", MOMENT, nullable=True),
        sa.Column("last_counter", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_steps")),
        sa.UniqueConstraint("user_id", name=op.f("uq_second_steps_user_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_second_steps_user_id")),
        sa.CheckConstraint(
            "typeof(last_counter) IN ('integer', 'null')", name=op.f("ck_second_steps_whole_numbers")
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "recovery_codes",
        sa.Column("id", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_codes")),
        sa.UniqueConstraint("user_id", "code_hash", name=op.f("uq_recovery_codes_user_id_code_hash")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_recovery_codes_user_id")),
        sqlite_autoincrement=True,
    )


def _passkeys() -> None:
    op.create_table(
        "passkeys",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("credential", sa.String(1400), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkeys")),
        sa.UniqueConstraint("public_id", name=op.f("uq_passkeys_public_id")),
        sa.UniqueConstraint("credential", name=op.f("uq_passkeys_credential")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_passkeys_user_id")),
        sa.CheckConstraint("typeof(uses) IN ('integer', 'null')", name=op.f("ck_passkeys_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_passkeys_user_id"), "passkeys", ["user_id"])


def _admit_on_sqlite() -> None:
    """Changes the tables' text where SQLite keeps it (sqlite.org/lang_altertable.html, section 7): rows, indexes and
    triggers stay as they are. Whatever does not turn out as meant ends the upgrade, which then has changed nothing."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    try:
        for table, was, now in CHANGES:
            here = "type = 'table' AND name = ?"
            sql = connection.exec_driver_sql(f"SELECT sql FROM sqlite_schema WHERE {here}", (table,)).scalar_one()
            if sql.count(was) != 1:
                raise RuntimeError(f"{table} does not say {was!r} once")
            changed = sql.replace(was, now)
            connection.exec_driver_sql(f"UPDATE sqlite_schema SET sql = ? WHERE {here}", (changed, table))
        connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    finally:
        connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    found = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
    if found != "ok":
        raise RuntimeError(f"the database is not whole after the change: {found}")
