"""Chargebacks: why a refund was, refunds that were reinstated, and what was given again as a clawback with a minus.

And tier locks: referrers who are put at a step of the tiers.

Frozen, as every version is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

REASON_KNOWN = "reason IN ('refund', 'chargeback')"
KINDS = (
    "'same_mailbox', 'twin_mailbox', 'alike_address', 'disposable', 'same_domain', 'one_domain', 'same_name', "
    "'same_visitor', 'same_browser', 'same_network', 'one_browser', 'alike_friends', 'known_browser', 'suspended', "
    "'many_sign_ups', 'many_friends', 'quick_sign_up', 'chain', 'paid_search', 'rejected_before', 'quick_order', "
    "'barely_enough', 'refund_rate', "
)
WIDER = (
    (
        "payout_lines",
        "ck_payout_lines_sign_fits",
        "amount_minor <> 0 AND (reward_id IS NULL OR amount_minor > 0) AND (clawback_id IS NULL OR amount_minor < 0)",
        "amount_minor <> 0 AND (reward_id IS NULL OR amount_minor > 0)",
    ),
    (
        "signals",
        "ck_signals_kind_known",
        f"kind IN ({KINDS}'same_payout', 'shared_payout')",
        f"kind IN ({KINDS}'chargeback', 'same_payout', 'shared_payout')",
    ),
)
"""Table, CHECK, what it admitted, what it admits: each only more."""


def upgrade() -> None:
    """Adds the reason and the tables, makes the clawbacks' rules anew, and lets the new lines and signals in."""
    _reinstatements()
    _tier_locks()
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "ALTER TABLE refunds ADD COLUMN reason VARCHAR(10) DEFAULT 'refund' NOT NULL"
            f" CONSTRAINT ck_refunds_reason_known CHECK ({REASON_KNOWN})"
        )
        _clawbacks_on_sqlite()
        _wider_on_sqlite()
    else:
        op.add_column("refunds", sa.Column("reason", sa.String(10), nullable=False, server_default="refund"))
        op.create_check_constraint(op.f("ck_refunds_reason_known"), "refunds", REASON_KNOWN)
        op.drop_constraint(op.f("uq_clawbacks_reward_id_refund_id"), "clawbacks")
        op.drop_constraint(op.f("ck_clawbacks_amount_positive"), "clawbacks")
        op.create_check_constraint(op.f("ck_clawbacks_amount_not_zero"), "clawbacks", "amount_minor <> 0")
        _once_each_way()
        for table, name, _, now in WIDER:
            op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({now})")


def _reinstatements() -> None:
    op.create_table(
        "reinstatements",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("refund_external_id", sa.String(128), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("recorded_by_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reinstatements")),
        sa.UniqueConstraint("public_id", name=op.f("uq_reinstatements_public_id")),
        sa.UniqueConstraint("source", "refund_external_id", name=op.f("uq_reinstatements_source_refund_external_id")),
        sa.ForeignKeyConstraint(["recorded_by_id"], ["users.id"], name=op.f("fk_reinstatements_recorded_by_id")),
        sqlite_autoincrement=True,
    )


def _tier_locks() -> None:
    op.create_table(
        "tier_locks",
        sa.Column("id", KEY, nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("counts_as", sa.BigInteger(), nullable=False),
        sa.Column("note_id", KEY, nullable=False),
        sa.Column("set_by_id", KEY, nullable=False),
        sa.Column("set_at", MOMENT, nullable=False),
        sa.Column("lifted_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tier_locks")),
        sa.ForeignKeyConstraint(["person_id"], ["users.id"], name=op.f("fk_tier_locks_person_id")),
        sa.ForeignKeyConstraint(["note_id"], ["notes.id"], name=op.f("fk_tier_locks_note_id")),
        sa.ForeignKeyConstraint(["set_by_id"], ["users.id"], name=op.f("fk_tier_locks_set_by_id")),
        sa.CheckConstraint("counts_as > 0", name=op.f("ck_tier_locks_counts_as_positive")),
        sa.CheckConstraint("person_id <> set_by_id", name=op.f("ck_tier_locks_nobody_locks_themselves")),
        sa.CheckConstraint("typeof(counts_as) IN ('integer', 'null')", name=op.f("ck_tier_locks_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_tier_locks_person_id"), "tier_locks", ["person_id"])
    live = sa.text("lifted_at IS NULL")
    op.create_index(
        op.f("uq_tier_locks_live"), "tier_locks", ["person_id"],
        unique=True, sqlite_where=live, postgresql_where=live,
    )  # fmt: skip


def _clawbacks_on_sqlite() -> None:
    """An ordinary table: made anew with its rows, its index and its trigger."""
    op.create_table(
        "clawbacks_anew",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("reward_id", KEY, nullable=False),
        sa.Column("refund_id", KEY, nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clawbacks")),
        sa.UniqueConstraint("public_id", name=op.f("uq_clawbacks_public_id")),
        sa.ForeignKeyConstraint(["refund_id"], ["refunds.id"], name=op.f("fk_clawbacks_refund_id")),
        sa.ForeignKeyConstraint(["reward_id"], ["rewards.id"], name=op.f("fk_clawbacks_reward_id")),
        sa.CheckConstraint("amount_minor <> 0", name=op.f("ck_clawbacks_amount_not_zero")),
        sa.CheckConstraint("typeof(amount_minor) IN ('integer', 'null')", name=op.f("ck_clawbacks_whole_numbers")),
        sqlite_autoincrement=True,
    )
    kept = "id, public_id, reward_id, refund_id, amount_minor, at"
    op.execute(f"INSERT INTO clawbacks_anew ({kept}) SELECT {kept} FROM clawbacks ORDER BY id")
    op.execute("DROP TABLE clawbacks")
    op.execute("ALTER TABLE clawbacks_anew RENAME TO clawbacks")
    op.create_index(op.f("ix_clawbacks_refund_id"), "clawbacks", ["refund_id"])
    _once_each_way()
    op.execute(
        "CREATE TRIGGER clawbacks_touch_new AFTER INSERT ON clawbacks FOR EACH ROW  "
        "BEGIN INSERT INTO touched (reward_id) VALUES (NEW.reward_id); END"
    )


def _once_each_way() -> None:
    """A refund takes from a reward once, and gives again once."""
    for name, sign in (("taken", ">"), ("given_again", "<")):
        where = sa.text(f"amount_minor {sign} 0")
        op.create_index(
            op.f(f"uq_clawbacks_{name}"), "clawbacks", ["reward_id", "refund_id"],
            unique=True, sqlite_where=where, postgresql_where=where,
        )  # fmt: skip


def _wider_on_sqlite() -> None:
    """Changes the CHECKs' text where SQLite keeps it (sqlite.org/lang_altertable.html, section 7).

    Rows stay as they are: no row could break a CHECK that only admits more. Whatever does not turn out as meant ends
    the upgrade, which then has changed nothing.
    """
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    try:
        for table, name, was, now in WIDER:
            here = "type = 'table' AND name = ?"
            sql = connection.exec_driver_sql(f"SELECT sql FROM sqlite_schema WHERE {here}", (table,)).scalar_one()
            before, after = (f"CONSTRAINT {name} CHECK ({text})" for text in (was, now))
            if sql.count(before) != 1:
                raise RuntimeError(f"{table} has no {name} as an earlier version made it")
            changed = sql.replace(before, after)
            connection.exec_driver_sql(f"UPDATE sqlite_schema SET sql = ? WHERE {here}", (changed, table))
        connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    finally:
        connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    found = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
    if found != "ok":
        raise RuntimeError(f"the database is not whole after the change: {found}")
