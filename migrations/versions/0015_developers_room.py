"""The developers' room: what fills the sentences about webhooks' troubles; flags of chargebacks that were won before
they were withdrawn by themselves.

Frozen, as every version is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CHARGEBACKS = (
    "FROM refunds JOIN conversions ON conversions.id = refunds.conversion_id {} JOIN reinstatements"
    " ON reinstatements.source = refunds.source AND reinstatements.refund_external_id = refunds.external_id"
    " WHERE conversions.referral_id = signals.referral_id AND refunds.reason = 'chargeback'"
)


def upgrade() -> None:
    """Adds the column. Withdraws the signals of chargebacks of which none stands any more, as of the day when the last
    one was won."""
    op.add_column("webhooks", sa.Column("trouble_values", sa.Text(), nullable=False, server_default="{}"))
    won = f"SELECT max(reinstatements.received_at) {CHARGEBACKS.format('')}"
    stands = f"SELECT 1 {CHARGEBACKS.format('LEFT')} AND reinstatements.id IS NULL"
    op.execute(
        f"UPDATE signals SET dismissed_at = ({won})"
        f" WHERE kind = 'chargeback' AND dismissed_at IS NULL AND NOT EXISTS ({stands})"
    )
