"""Decisions by moment: what somebody decided in one act is found again, to take it back.

Revision: 0005
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("ix_decisions_at", "decisions", ["at"])
