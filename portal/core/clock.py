"""The clock: the only place that reads the time.

The edges (web, command, worker) read it once and pass the moment on as `at=`; domain functions never ask.
Every moment is an aware datetime in UTC.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from portal.core.text import Refusal, marked

EARLIEST_YEAR, LATEST_YEAR = 1900, 9998
"""Of moments that are told: of the others, the day in some time zone would not exist."""


class BadMoment(Refusal, ValueError):
    """A moment that is none: the message says what is expected."""


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def days(count: int) -> timedelta:
    """A span of N days is N x 24 hours, whatever the time zone does meanwhile."""
    return timedelta(hours=24 * count)


def in_zone(at: datetime, time_zone: str) -> datetime:
    """A moment by the clocks of a time zone (an IANA name)."""
    return at.astimezone(ZoneInfo(time_zone))


def zone_named(typed: str) -> str | None:
    """The IANA time zone that a text means, in whatever letters and with spaces for underscores; None if this machine
    knows none."""
    meant = "_".join(typed.split()).casefold()
    return next((zone for zone in available_timezones() if zone.casefold() == meant), None)


def local_date(at: datetime, time_zone: str) -> date:
    """The calendar day of a moment in a time zone (an IANA name), for months, years and rule dates."""
    return in_zone(at, time_zone).date()


def start_of_day(day: date, time_zone: str) -> datetime:
    """The first moment of a calendar day in a time zone (an IANA name), as aware UTC."""
    return datetime.combine(day, time(), ZoneInfo(time_zone)).astimezone(UTC)


def end_of_day(day: date, time_zone: str) -> datetime:
    """The last second of a calendar day in a time zone (an IANA name), as aware UTC."""
    return datetime.combine(day, time(23, 59, 59), ZoneInfo(time_zone)).astimezone(UTC)


def noon(day: date, time_zone: str) -> datetime:
    """The middle of a calendar day in a time zone (an IANA name), in UTC: for what is known to the day."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)


def parse_day(text: str) -> date | None:
    """A day as an address writes it (`2026-11-03`), of the years 2000 to 2199; None for anything else."""
    try:
        found = date.fromisoformat(text) if len(text) == 10 and "W" not in text else None
    except ValueError:
        return None
    return found if found and 2000 <= found.year < 2200 else None


def parse(text: str) -> datetime:
    """An ISO 8601 moment with its offset (`2026-11-03T10:41:00Z`), as aware UTC.

    Raises BadMoment for anything else, a moment without an offset included: guessing a zone would move windows and
    holds by hours.
    """
    try:
        at = datetime.fromisoformat(text) if text.isprintable() else None  # Python 3.11 reads over a NUL at the end
    except ValueError:
        at = None
    if at is None:
        raise BadMoment(marked("Write a moment like 2026-11-03T10:41:00Z."))
    if at.tzinfo is None:
        raise BadMoment(marked("Write a moment with its offset, like 2026-11-03T10:41:00Z."))
    if not EARLIEST_YEAR <= at.year <= LATEST_YEAR:
        raise BadMoment(
            marked("Write a moment of the years %(first)s to %(last)s."), first=EARLIEST_YEAR, last=LATEST_YEAR
        )
    return at.astimezone(UTC)
