"""The admin's desk, a file a part of it: overview, queue, payouts, people, program, records."""

from portal.web.admin import batch, overview, payouts, people, program, queue, records, referrals
from portal.web.admin.room import blueprint

__all__ = ["batch", "blueprint", "overview", "payouts", "people", "program", "queue", "records", "referrals"]
