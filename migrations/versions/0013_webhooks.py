"""Webhooks: the addresses that are told what happens, and what each was told; and until when a rotated API key works.

Frozen, as every version is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def _whole(*columns: str) -> str:
    """On SQLite, where an INTEGER column takes 'abc'."""
    return " AND ".join(f"typeof({column}) IN ('integer', 'null')" for column in columns)


def upgrade() -> None:
    """Makes both tables, and the column."""
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("secret_before", sa.Text(), nullable=False),
        sa.Column("before_until", MOMENT),
        sa.Column("key_id", sa.String(12), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", MOMENT),
        sa.Column("resting_until", MOMENT),
        sa.Column("off_at", MOMENT),
        sa.Column("off_why", sa.String(8), nullable=False),
        sa.Column("removed_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
        sa.UniqueConstraint("public_id", name=op.f("uq_webhook_endpoints_public_id")),
        sa.CheckConstraint("off_why IN ('', 'gone', 'failing')", name=op.f("ck_webhook_endpoints_off_why_known")),
        sa.CheckConstraint("(off_at IS NULL) = (off_why = '')", name=op.f("ck_webhook_endpoints_off_has_a_reason")),
        *(
            [sa.CheckConstraint(_whole("failures"), name=op.f("ck_webhook_endpoints_whole_numbers"))]
            if on_sqlite
            else []
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "webhooks",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("endpoint_id", KEY, nullable=False),
        sa.Column("event", sa.String(30), nullable=False),
        sa.Column("about", sa.String(64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("leased_until", MOMENT),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("tried_at", MOMENT),
        sa.Column("sent_at", MOMENT),
        sa.Column("made_again_at", MOMENT),
        sa.Column("status", sa.BigInteger()),
        sa.Column("took_ms", sa.BigInteger()),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("trouble", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sa.ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoints.id"], name=op.f("fk_webhooks_endpoint_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_webhooks_public_id")),
        sa.UniqueConstraint("endpoint_id", "event", "about", name=op.f("uq_webhooks_endpoint_id_event_about")),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'given_up', 'withdrawn')", name=op.f("ck_webhooks_state_known")
        ),
        *(
            [sa.CheckConstraint(_whole("tries", "status", "took_ms"), name=op.f("ck_webhooks_whole_numbers"))]
            if on_sqlite
            else []
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhooks_due", "webhooks", ["state", "due_at"])
    op.add_column("api_keys", sa.Column("ends_at", MOMENT))
