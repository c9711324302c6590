"""Summaries: a mail about the month that is over, to each who asked for it and to whom something happened.

Invariant: nobody is told twice of a month, and of none that was over before they asked.
"""

from datetime import datetime, timedelta

from portal import notices, terms
from portal.accounts import mail_choices, users
from portal.program.mails import DIGEST_FROM
from portal.reports import months

AT_ONCE = 200
"""So many people are looked at in one turn of the worker: the write stays short, and a mail for which somebody waits
never stands behind thousands of these."""


def write_summaries(*, at: datetime) -> int:
    """Writes to the next people who asked for summaries, if the month before is over; gives to how many."""
    current = terms.in_force()
    until = current.period_start("month", at=at)
    if at < until + timedelta(hours=DIGEST_FROM):
        return 0
    since = current.period_start("month", at=until - timedelta(days=1))
    month = current.day(since)
    choices = mail_choices.to_tell(month, before=until, most=AT_ONCE)
    if not choices:
        return 0
    people = {user.id: user for user in users.taking_part([choice.user_id for choice in choices])}
    brought = months.brought(list(people), since=since, until=until)
    notices.month_over([(people[number], brought[number]) for number in brought], month, at=at)
    for choice in choices:
        choice.told_on = month
    return len(brought)
