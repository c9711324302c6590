"""The admin's desk, a file a part of it: overview, queue, payouts, people and what is recorded
and corrected about them, program, signals, mails, developers with keys and webhooks, records,
reports."""

from portal.web.admin import (
    batch,
    corrections,
    developers,
    imports,
    keys,
    mails,
    offer,
    orders,
    overview,
    payouts,
    people,
    program,
    queue,
    records,
    referrals,
    referrers,
    reports,
    signals,
    tiers,
    webhooks,
)
from portal.web.admin.room import blueprint

__all__ = [
    "batch", "blueprint", "corrections", "developers", "imports", "keys", "mails", "offer", "orders",
    "overview", "payouts", "people", "program", "queue", "records", "referrals", "referrers", "reports",
    "signals", "tiers", "webhooks",
]  # fmt: skip
