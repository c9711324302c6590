"""The admin's desk, a file a part of it: overview, queue, payouts, people and what is recorded
and corrected about them, program, records."""

from portal.web.admin import corrections, imports, orders, overview, payouts, people, program, queue, records, referrers
from portal.web.admin.room import blueprint

__all__ = [
    "blueprint", "corrections", "imports", "orders", "overview", "payouts", "people", "program", "queue", "records",
    "referrers",
]  # fmt: skip
