"""Signals: more kinds of them, the owner's weights, where clicks came from, and marks of payout details.

Frozen: in its own words, as 0001. The marks of details set before are made later, by the key that opens them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

BEFORE = ("same_mailbox", "same_visitor", "same_browser", "same_network", "disposable", "many_sign_ups")
SINCE = (
    "same_mailbox", "twin_mailbox", "alike_address", "disposable", "same_domain", "one_domain", "same_name",
    "same_visitor", "same_browser", "same_network", "one_browser", "alike_friends", "known_browser", "suspended",
    "many_sign_ups", "many_friends", "quick_sign_up", "chain", "paid_search", "rejected_before", "quick_order",
    "barely_enough", "refund_rate", "same_payout", "shared_payout",
)  # fmt: skip


def upgrade() -> None:
    """Adds the columns, lets the new kinds in, and makes the table of the owner's weights."""
    op.add_column("clicks", sa.Column("came_from", sa.String(40), nullable=True))
    op.add_column("payout_methods", sa.Column("mark", sa.String(64), nullable=True))
    op.create_index(op.f("ix_payout_methods_mark"), "payout_methods", ["mark"])
    op.create_index(op.f("ix_users_visitor"), "users", ["visitor"])
    with op.batch_alter_table("signals", copy_from=_signals(), table_kwargs={"sqlite_autoincrement": True}) as signals:
        signals.drop_constraint(op.f("ck_signals_kind_known"), type_="check")
        signals.create_check_constraint(op.f("ck_signals_kind_known"), f"kind IN ({_listed(SINCE)})")
        signals.add_column(sa.Column("dismissed_at", MOMENT, nullable=True))
        signals.add_column(sa.Column("dismissed_by_id", KEY, nullable=True))
        signals.create_foreign_key(op.f("fk_signals_dismissed_by_id"), "users", ["dismissed_by_id"], ["id"])
    op.create_index(op.f("ix_signals_kind"), "signals", ["kind", "referral_id"])
    op.create_table(
        "signal_settings",
        sa.Column("id", KEY, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("weight", sa.BigInteger(), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("changed_by_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signal_settings")),
        sa.UniqueConstraint("kind", name=op.f("uq_signal_settings_kind")),
        sa.ForeignKeyConstraint(["changed_by_id"], ["users.id"], name=op.f("fk_signal_settings_changed_by_id")),
        sa.CheckConstraint("weight BETWEEN 0 AND 100", name=op.f("ck_signal_settings_weight_span")),
        sa.CheckConstraint(
            "typeof(weight) IN ('integer', 'null') AND typeof(is_on) IN ('integer', 'null')",
            name=op.f("ck_signal_settings_whole_numbers"),
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )


def _signals() -> sa.Table:
    """The table as 0001 made it: SQLite has to make it anew, and cannot say by itself what it holds."""
    return sa.Table(
        "signals",
        sa.MetaData(),
        sa.Column("id", KEY, nullable=False),
        sa.Column("referral_id", KEY, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("weight", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.String(120), nullable=False),
        sa.Column("raised_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
        sa.UniqueConstraint("referral_id", "kind", name=op.f("uq_signals_referral_id_kind")),
        sa.ForeignKeyConstraint(["referral_id"], ["referrals.id"], name=op.f("fk_signals_referral_id")),
        sa.CheckConstraint(f"kind IN ({_listed(BEFORE)})", name=op.f("ck_signals_kind_known")),
        sa.CheckConstraint("typeof(weight) IN ('integer', 'null')", name=op.f("ck_signals_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def downgrade() -> None:
    """What the new kinds have raised would be lost."""
    raise RuntimeError("There is no way back from 0004; to go back, restore a backup.")
