"""Cohorts: the roll-ups count within how many days friends reach the goal, so they are made anew from the rows.

Frozen, as every version is.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forgets how far the roll-ups are; the worker begins again, and until then reports read the rows."""
    op.execute("DELETE FROM rollups")
