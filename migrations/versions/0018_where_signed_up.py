"""Where somebody signed up: the masked network, by which who confirms elsewhere is asked for a password.

Frozen, as every version is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; of sign-ups before it nothing is known."""
    op.add_column("one_time_keys", sa.Column("network", sa.String(64), nullable=True))
