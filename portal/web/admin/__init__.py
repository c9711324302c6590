"""The admin's desk, a file a part of it: overview, queue, payouts, people, program, records, reports."""

from portal.web.admin import overview, payouts, people, program, queue, records, reports
from portal.web.admin.room import blueprint

__all__ = ["blueprint", "overview", "payouts", "people", "program", "queue", "records", "reports"]
