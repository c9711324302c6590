"""The look of a program: its colour and its logo.

Frozen, as every version is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes the table of logos, and gives the terms their two columns."""
    op.create_table(
        "logos",
        sa.Column("id", KEY, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logos")),
        sa.UniqueConstraint("digest", name=op.f("uq_logos_digest")),
        sqlite_autoincrement=True,
    )
    op.add_column("terms", sa.Column("accent", sa.String(7), nullable=False, server_default=""))
    op.add_column("terms", sa.Column("logo", sa.String(64), nullable=False, server_default=""))
