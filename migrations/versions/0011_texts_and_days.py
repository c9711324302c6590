"""What the product is, the program's own words about privacy, a pay day and a deadline for reviews.

Frozen, as every version is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns. The terms are append-only: nothing of them is made anew."""
    op.add_column("terms", sa.Column("product_text", sa.String(400), nullable=False, server_default=""))
    op.add_column("terms", sa.Column("privacy_text", sa.Text(), nullable=False, server_default=""))
    _add_days("pay_day", "pay_day BETWEEN 1 AND 28", "pay_day_span")
    _add_days("review_days", "review_days BETWEEN 1 AND 60", "review_span")


def _add_days(name: str, condition: str, rule: str) -> None:
    """Adds a column of days or nothing with its CHECK; on SQLite also with the one that it holds whole numbers."""
    checks = [f"CONSTRAINT ck_terms_{rule} CHECK ({condition})"]
    if op.get_bind().dialect.name == "sqlite":
        checks.append(f"CONSTRAINT ck_terms_{name}_whole CHECK (typeof({name}) IN ('integer', 'null'))")
    op.execute(f"ALTER TABLE terms ADD COLUMN {name} BIGINT {' '.join(checks)}")
