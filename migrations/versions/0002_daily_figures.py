"""Daily figures: the tables of the roll-ups, the triggers that note what changed, and indexes by the moments counted.

Frozen, as every version is: it imports nothing of the portal. The figures themselves are made by the worker, or by
`portal migrate` when it has ended.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

INDEXES = (
    ("clicks", "at"), ("referrals", "joined_at"), ("referrals", "counted_at"), ("conversions", "occurred_at"),
    ("rewards", "made_at"), ("transfers", "at"),
)  # fmt: skip

NEW = "INSERT INTO touched (referral_id) SELECT NEW.referral_id WHERE NEW.referral_id IS NOT NULL"
OLD = "INSERT INTO touched (referral_id) SELECT OLD.referral_id WHERE OLD.referral_id <> NEW.referral_id"
OWN = "INSERT INTO touched (referral_id) VALUES (NEW.id)"

TRIGGERS = (
    ("referrals_touch_new", "referrals", "INSERT", "", OWN),
    ("referrals_touch_change", "referrals", "UPDATE OF referrer_id, link_id, joined_at, counted_at", "", OWN),
    ("conversions_touch_new", "conversions", "INSERT", "", NEW),
    (
        "conversions_touch_change", "conversions", "UPDATE OF referral_id, amount_minor, occurred_at", "",
        f"{NEW}; {OLD}",
    ),
    ("rewards_touch_new", "rewards", "INSERT", "", NEW),
    (
        "rewards_touch_change", "rewards", "UPDATE OF referral_id, state, amount_minor, made_at", "",
        f"{NEW}; {OLD}",
    ),
    ("clawbacks_touch_new", "clawbacks", "INSERT", "", "INSERT INTO touched (reward_id) VALUES (NEW.reward_id)"),
    (
        "invites_touch_new", "invites", "INSERT", "",
        "INSERT INTO touched (link_id, at) VALUES (NEW.link_id, NEW.made_at)",
    ),
    (
        "clicks_touch_visitor", "clicks", "UPDATE OF visitor", "WHEN (NEW.visitor <> OLD.visitor)",
        "INSERT INTO touched (at) VALUES (NEW.at); INSERT INTO touched (at) SELECT min(at) FROM clicks"
        " WHERE visitor = OLD.visitor AND last_at >= OLD.at AND at > OLD.at",
    ),
)  # fmt: skip


def upgrade() -> None:
    """Makes the tables, the indexes, and then the triggers."""
    op.create_table(
        "touched",
        sa.Column("id", KEY, nullable=False),
        sa.Column("at", MOMENT, nullable=True),
        sa.Column("link_id", KEY, nullable=True),
        sa.Column("referral_id", KEY, nullable=True),
        sa.Column("reward_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_touched")),
        _whole("touched", "link_id", "referral_id", "reward_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "figures",
        sa.Column("measure", sa.String(20), nullable=False),
        sa.Column("span", sa.String(5), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("referrer_id", KEY, nullable=False),
        sa.Column("link_id", KEY, nullable=False),
        sa.Column("many", sa.BigInteger(), nullable=False),
        sa.Column("minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("measure", "span", "day", "referrer_id", "link_id", name=op.f("pk_figures")),
        sa.CheckConstraint("span IN ('day', 'month')", name=op.f("ck_figures_span_known")),
        _whole("figures", "many", "minor"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_figures_link"), "figures", ["link_id", "span", "day"])
    op.create_index(op.f("ix_figures_referrer"), "figures", ["referrer_id", "span", "day"])
    op.create_table(
        "referral_figures",
        sa.Column("referral_id", KEY, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("measure", sa.String(20), nullable=False),
        sa.Column("referrer_id", KEY, nullable=False),
        sa.Column("link_id", KEY, nullable=False),
        sa.Column("many", sa.BigInteger(), nullable=False),
        sa.Column("minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "day", "measure", name=op.f("pk_referral_figures")),
        _whole("referral_figures", "many", "minor", "referrer_id", "link_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_referral_figures_day"), "referral_figures", ["day"])
    op.create_table(
        "day_figures",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("measure", sa.String(20), nullable=False),
        sa.Column("many", sa.BigInteger(), nullable=False),
        sa.Column("minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "measure", name=op.f("pk_day_figures")),
        _whole("day_figures", "many", "minor"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "day_visitors",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("previous", sa.Date(), nullable=False),
        sa.Column("many", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "previous", name=op.f("pk_day_visitors")),
        _whole("day_visitors", "many"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollups",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.String(10), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("began", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("clicks_seen", sa.BigInteger(), nullable=False),
        sa.Column("transfers_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollups")),
        sa.UniqueConstraint("name", name=op.f("uq_rollups_name")),
        _whole("rollups", "clicks_seen", "transfers_seen"),
        sqlite_autoincrement=True,
    )
    for table, column in INDEXES:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    for name, table, after, when, body in TRIGGERS:
        _trigger(name, table, after, when, body)


def _whole(table: str, *columns: str) -> sa.CheckConstraint:
    kept = " AND ".join(f"typeof({column}) IN ('integer', 'null')" for column in columns)
    return sa.CheckConstraint(kept, name=op.f(f"ck_{table}_whole_numbers")).ddl_if(dialect="sqlite")


def _trigger(name: str, table: str, after: str, when: str, body: str) -> None:
    head = f"CREATE TRIGGER {name} AFTER {after} ON {table} FOR EACH ROW {when}"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"{head} BEGIN {body}; END")
        return
    function = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    op.execute(f"CREATE OR REPLACE FUNCTION {name}() {function} {body}; RETURN NULL; END $$")
    op.execute(f"{head} EXECUTE FUNCTION {name}()")


def downgrade() -> None:
    """There is no way back: the triggers and tables are read by the code."""
    raise RuntimeError("There is no way back from 0002; to go back, restore a backup.")
