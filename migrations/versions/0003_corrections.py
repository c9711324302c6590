"""Corrections: an admin's plus or minus, as lines of payouts; an admin's word about a referrer; invited colleagues.

Frozen, as every version is. The ledger and the decisions are append-only and are not made anew: what their CHECKs
admit is changed in place.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

WORDS = (
    (
        "transfers",
        "ck_transfers_cause_kind_known",
        "cause_kind IN ('reward', 'decision', 'release', 'clawback', 'line_drawn', 'line_returned', 'line_paid')",
        "cause_kind IN ('reward', 'decision', 'release', 'clawback', 'line_drawn', 'line_returned', 'line_paid', "
        "'correction')",
    ),
    (
        "decisions",
        "ck_decisions_reason_known",
        "reason IS NULL OR reason IN ('self_referral', 'existing_customer', 'duplicate', 'refunded', 'test_order', "
        "'abuse', 'other')",
        "reason IS NULL OR reason IN ('self_referral', 'existing_customer', 'duplicate', 'refunded', 'test_order', "
        "'abuse', 'other', 'other_referrer')",
    ),
    (
        "referrals",
        "ck_referrals_how_known",
        "how IN ('code', 'last_touch', 'first_touch', 'shop', 'invite', 'claim')",
        "how IN ('code', 'last_touch', 'first_touch', 'shop', 'invite', 'claim', 'admin')",
    ),
    (
        "one_time_keys",
        "ck_one_time_keys_purpose_known",
        "purpose IN ('confirm', 'reset', 'set_up')",
        "purpose IN ('confirm', 'reset', 'set_up', 'join')",
    ),
)
"""Table, CHECK, what it admitted, what it admits: each only more."""

ABOUT_ONE_THING = (
    "CASE WHEN reward_id IS NULL THEN 0 ELSE 1 END + CASE WHEN clawback_id IS NULL THEN 0 ELSE 1 END"
    " + CASE WHEN correction_id IS NULL THEN 0 ELSE 1 END = 1"
)
SIGN_FITS = (
    "amount_minor <> 0 AND (reward_id IS NULL OR amount_minor > 0) AND (clawback_id IS NULL OR amount_minor < 0)"
)


def upgrade() -> None:
    """Makes the table of corrections, lets lines be about them, and admits the new words."""
    _corrections()
    if op.get_bind().dialect.name == "sqlite":
        _lines_on_sqlite()
        _words_on_sqlite()
    else:
        _lines_on_postgresql()
        _words_on_postgresql()


def _corrections() -> None:
    op.create_table(
        "corrections",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("form_key", sa.String(43), nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("note_id", KEY, nullable=False),
        sa.Column("by_id", KEY, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corrections")),
        sa.UniqueConstraint("public_id", name=op.f("uq_corrections_public_id")),
        sa.UniqueConstraint("form_key", name=op.f("uq_corrections_form_key")),
        sa.ForeignKeyConstraint(["person_id"], ["users.id"], name=op.f("fk_corrections_person_id")),
        sa.ForeignKeyConstraint(["note_id"], ["notes.id"], name=op.f("fk_corrections_note_id")),
        sa.ForeignKeyConstraint(["by_id"], ["users.id"], name=op.f("fk_corrections_by_id")),
        sa.CheckConstraint("amount_minor <> 0", name=op.f("ck_corrections_amount_not_zero")),
        sa.CheckConstraint("person_id <> by_id", name=op.f("ck_corrections_nobody_corrects_themselves")),
        sa.CheckConstraint(
            "typeof(amount_minor) IN ('integer', 'null')", name=op.f("ck_corrections_whole_numbers")
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_corrections_person_id"), "corrections", ["person_id"])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER corrections_refuses_{verb.lower()} BEFORE {verb} ON corrections "
                "BEGIN SELECT RAISE(ABORT, 'corrections is append-only'); END"
            )
    else:
        op.execute(
            "CREATE TRIGGER corrections_refuses_change BEFORE UPDATE OR DELETE ON corrections "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            "CREATE TRIGGER corrections_refuses_truncate BEFORE TRUNCATE ON corrections "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


# --- lines ----------------------------------------------------------------------------------------------------


def _lines_on_postgresql() -> None:
    op.add_column("payout_lines", sa.Column("correction_id", KEY, nullable=True))
    op.create_foreign_key(
        op.f("fk_payout_lines_correction_id"), "payout_lines", "corrections", ["correction_id"], ["id"]
    )
    op.drop_constraint(op.f("ck_payout_lines_about_one_thing"), "payout_lines")
    op.drop_constraint(op.f("ck_payout_lines_clawbacks_are_negative"), "payout_lines")
    op.create_check_constraint(op.f("ck_payout_lines_about_one_thing"), "payout_lines", ABOUT_ONE_THING)
    op.create_check_constraint(op.f("ck_payout_lines_sign_fits"), "payout_lines", SIGN_FITS)
    _index("correction")


def _lines_on_sqlite() -> None:
    """An ordinary table: made anew with its rows, and its indexes."""
    op.create_table(
        "payout_lines_anew",
        sa.Column("id", KEY, nullable=False),
        sa.Column("payout_id", KEY, nullable=False),
        sa.Column("reward_id", KEY, nullable=True),
        sa.Column("clawback_id", KEY, nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("returned_at", MOMENT, nullable=True),
        sa.Column("correction_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_lines")),
        sa.ForeignKeyConstraint(["clawback_id"], ["clawbacks.id"], name=op.f("fk_payout_lines_clawback_id")),
        sa.ForeignKeyConstraint(["correction_id"], ["corrections.id"], name=op.f("fk_payout_lines_correction_id")),
        sa.ForeignKeyConstraint(["payout_id"], ["payouts.id"], name=op.f("fk_payout_lines_payout_id")),
        sa.ForeignKeyConstraint(["reward_id"], ["rewards.id"], name=op.f("fk_payout_lines_reward_id")),
        sa.CheckConstraint(ABOUT_ONE_THING, name=op.f("ck_payout_lines_about_one_thing")),
        sa.CheckConstraint(SIGN_FITS, name=op.f("ck_payout_lines_sign_fits")),
        sa.CheckConstraint("typeof(amount_minor) IN ('integer', 'null')", name=op.f("ck_payout_lines_whole_numbers")),
        sqlite_autoincrement=True,
    )
    kept = "id, payout_id, reward_id, clawback_id, amount_minor, returned_at"
    op.execute(f"INSERT INTO payout_lines_anew ({kept}) SELECT {kept} FROM payout_lines ORDER BY id")
    op.execute("DROP TABLE payout_lines")
    op.execute("ALTER TABLE payout_lines_anew RENAME TO payout_lines")
    op.create_index(op.f("ix_payout_lines_payout_id"), "payout_lines", ["payout_id"])
    for thing in ("reward", "clawback", "correction"):
        _index(thing)


def _index(thing: str) -> None:
    """A line's thing is found by it, and stands in one live line."""
    op.create_index(op.f(f"ix_payout_lines_{thing}_id"), "payout_lines", [f"{thing}_id"])
    live = sa.text("returned_at IS NULL")
    op.create_index(
        op.f(f"uq_payout_lines_{thing}"), "payout_lines", [f"{thing}_id"],
        unique=True, sqlite_where=live, postgresql_where=live,
    )  # fmt: skip


# --- words ----------------------------------------------------------------------------------------------------


def _words_on_postgresql() -> None:
    for table, name, _, now in WORDS:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({now})")


def _words_on_sqlite() -> None:
    """Changes the CHECKs' text where SQLite keeps it (sqlite.org/lang_altertable.html, section 7).

    Rows and triggers stay as they are: no row could break a CHECK that only admits more. Whatever does not turn out
    as meant ends the upgrade, which then has changed nothing.
    """
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    try:
        for table, name, was, now in WORDS:
            here = "type = 'table' AND name = ?"
            sql = connection.exec_driver_sql(f"SELECT sql FROM sqlite_schema WHERE {here}", (table,)).scalar_one()
            before, after = (f"CONSTRAINT {name} CHECK ({text})" for text in (was, now))
            if sql.count(before) != 1:
                raise RuntimeError(f"{table} has no {name} as version 0001 made it")
            changed = sql.replace(before, after)
            connection.exec_driver_sql(f"UPDATE sqlite_schema SET sql = ? WHERE {here}", (changed, table))
        connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    finally:
        connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    found = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
    if found != "ok":
        raise RuntimeError(f"the database is not whole after the change: {found}")
