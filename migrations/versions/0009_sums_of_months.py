"""Sums of months, by referrer and by link, a row each, found by their size; the figures of days stand by themselves.

Frozen, as every version is: it imports nothing of the portal. The figures are made anew, by the worker or by
`portal migrate` when it has ended; until then the reports count the rows.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Drops the figures of days and months in one table, makes a table for each, and has them begun anew.

    And an index for the transfers of which what is ready to be paid is the sum.
    """
    op.drop_table("figures")
    op.create_table(
        "figures",
        sa.Column("measure", sa.String(20), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("referrer_id", KEY, nullable=False),
        sa.Column("link_id", KEY, nullable=False),
        sa.Column("many", sa.BigInteger(), nullable=False),
        sa.Column("minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("measure", "day", "referrer_id", "link_id", name=op.f("pk_figures")),
        _whole("figures"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_figures_link"), "figures", ["link_id", "day"])
    op.create_index(op.f("ix_figures_referrer"), "figures", ["referrer_id", "day"])
    op.create_table(
        "month_figures",
        sa.Column("whose", sa.String(8), nullable=False),
        sa.Column("measure", sa.String(20), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("number", KEY, nullable=False),
        sa.Column("many", sa.BigInteger(), nullable=False),
        sa.Column("minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("whose", "measure", "month", "number", name=op.f("pk_month_figures")),
        sa.CheckConstraint("whose IN ('referrer', 'link')", name=op.f("ck_month_figures_whose_known")),
        _whole("month_figures"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_month_figures_many"), "month_figures", ["whose", "measure", "month", "many"])
    cost = sa.text("measure = 'cost'")
    op.create_index(
        op.f("ix_month_figures_cost"), "month_figures", ["whose", "measure", "month", "minor"],
        sqlite_where=cost, postgresql_where=cost,
    )  # fmt: skip
    op.execute("DELETE FROM rollups")
    payable = sa.text("(to_bucket = 'payable' OR from_bucket = 'payable')")
    op.create_index(
        op.f("ix_transfers_payable"), "transfers", ["user_id", "currency", "to_bucket", "amount_minor"],
        sqlite_where=payable, postgresql_where=payable,
    )  # fmt: skip


def _whole(table: str) -> sa.CheckConstraint:
    kept = " AND ".join(f"typeof({column}) IN ('integer', 'null')" for column in ("many", "minor"))
    return sa.CheckConstraint(kept, name=op.f(f"ck_{table}_whole_numbers")).ddl_if(dialect="sqlite")
