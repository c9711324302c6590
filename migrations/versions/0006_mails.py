"""Mails: what invites and unsubscribing need, which mails somebody wants, and the wording of each.

Frozen: in its own words, as 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds the columns and makes the tables."""
    op.add_column("outbox", sa.Column("language", sa.String(8), nullable=False, server_default=""))
    op.add_column("outbox", sa.Column("made_again_at", MOMENT, nullable=True))
    op.add_column("outbox", sa.Column("stop", sa.String(200), nullable=False, server_default=""))
    _add_whole("invites", "remind", sa.Boolean(), sa.false(), "BOOLEAN DEFAULT 0")
    op.add_column("invites", sa.Column("purged_at", MOMENT, nullable=True))
    _add_whole("terms", "mails_invites", sa.Boolean(), sa.true(), "BOOLEAN DEFAULT 1")
    _add_whole("terms", "invites_a_day", sa.BigInteger(), "20", "BIGINT DEFAULT '20'")
    _add_whole("terms", "invites_an_address", sa.BigInteger(), "3", "BIGINT DEFAULT '3'")
    op.create_table(
        "suppressions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("to_hash", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(8), nullable=False),
        sa.Column("reason", sa.String(10), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppressions")),
        sa.UniqueConstraint("to_hash", name=op.f("uq_suppressions_to_hash")),
        sa.CheckConstraint("reason IN ('asked', 'bounced')", name=op.f("ck_suppressions_reason_known")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "mail_choices",
        sa.Column("id", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("topic", sa.String(10), nullable=False),
        sa.Column("off_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_choices")),
        sa.UniqueConstraint("user_id", "topic", name=op.f("uq_mail_choices_user_id_topic")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_mail_choices_user_id")),
        sa.CheckConstraint(
            "topic IN ('friends', 'rewards', 'payouts', 'digest')", name=op.f("ck_mail_choices_topic_known")
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "mail_wordings",
        sa.Column("id", KEY, nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("made_by_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_wordings")),
        sa.UniqueConstraint("kind", "language", name=op.f("uq_mail_wordings_kind_language")),
        sa.ForeignKeyConstraint(["made_by_id"], ["users.id"], name=op.f("fk_mail_wordings_made_by_id")),
        sqlite_autoincrement=True,
    )


def _add_whole(table: str, name: str, kind: sa.types.TypeEngine, default: object, on_sqlite: str) -> None:
    """Adds a column of whole numbers; on SQLite with the CHECK that it holds them, which only goes in with it."""
    if op.get_bind().dialect.name == "sqlite":
        check = f"CONSTRAINT ck_{table}_{name}_whole CHECK (typeof({name}) IN ('integer', 'null'))"
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {on_sqlite} NOT NULL {check}")
    else:
        op.add_column(table, sa.Column(name, kind, nullable=False, server_default=default))
