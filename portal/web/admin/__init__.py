"""The admin's desk, a file a part of it: overview, queue, payouts, people and what is recorded
and corrected about them, program, signals, mails, developers with keys and webhooks, records,
reports."""

from portal.web.admin import (
    batch,
    corrections,
    developers,
    health,
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
    trying,
    webhooks,
)
from portal.web.admin.room import blueprint

__all__ = [
    "batch", "blueprint", "corrections", "developers", "health", "imports", "keys", "mails", "offer", "orders",
    "overview", "payouts", "people", "program", "queue", "records", "referrals", "referrers", "reports",
    "signals", "tiers", "trying", "webhooks",
]  # fmt: skip
