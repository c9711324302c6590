"""The admin's desk, a file a part of it: overview, queue, payouts, people, program, signals, records."""

from portal.web.admin import overview, payouts, people, program, queue, records, signals
from portal.web.admin.room import blueprint

__all__ = ["blueprint", "overview", "payouts", "people", "program", "queue", "records", "signals"]
