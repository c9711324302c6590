"""Language: the catalogues of translations, and how days and moments are written. Needs no request: mails ask here too.

English is what the code says; every other language has a catalogue in `translations/`.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache

from babel import dates, lists, numbers, support

from portal.config import ROOT

NAMES = {"en": "English", "de": "Deutsch"}
"""Each language that is spoken, in its own words."""

LANGUAGES = tuple(NAMES)
"""The first one is spoken where nothing else was asked for."""

FOLDER = ROOT / "translations"

DATES = {"en": "en_GB"}
"""Dates in English stand as most of the world writes them, 3 Dec 2026 and 14:05, whatever the amounts look like."""


def spoken(language: str) -> str:
    """A language that the portal speaks: the one given, else the first."""
    return language if language in LANGUAGES else LANGUAGES[0]


@cache
def catalogue(language: str) -> support.NullTranslations:
    """The translations into a language; for English none, since the code is English."""
    return support.Translations.load(FOLDER, [language])


def day(on: date, language: str) -> str:
    """A calendar day for a table: 3 Dec 2026, 03.12.2026."""
    return dates.format_date(on, "medium", locale=DATES.get(language, language))


@lru_cache(maxsize=1024)
def long_day(on: date, language: str) -> str:
    """A calendar day in a letter: 3 December 2026, 3. Dezember 2026."""
    return dates.format_date(on, "long", locale=DATES.get(language, language))


def share(basis_points: int, language: str) -> str:
    """A share such as 10 % or 2,5 %."""
    number = numbers.format_decimal(Decimal(basis_points) / 100, locale=language)
    return f"{number}\N{NO-BREAK SPACE}%"


@lru_cache(maxsize=1024)
def month(on: date, language: str) -> str:
    """A month: December 2026, Dezember 2026."""
    return dates.format_skeleton("yMMMM", on, locale=DATES.get(language, language))


def moment(at: datetime, language: str) -> str:
    """A moment of a time zone in full: 3 Dec 2026, 10:41 CET; 03.12.2026, 10:41 MEZ."""
    locale = DATES.get(language, language)
    time = f"{dates.format_time(at, 'short', locale=locale)} {dates.get_timezone_name(at, 'short', locale=locale)}"
    pattern = str(dates.get_datetime_format("medium", locale=locale))
    return pattern.replace("{0}", time).replace("{1}", day(at.date(), language))


def listed(things: Sequence[str], language: str) -> str:
    """Several things in a sentence: one, two and three."""
    return lists.format_list(list(things), locale=language)


def decimal_point(language: str) -> str:
    """What stands before the decimals: a point, or a comma."""
    return numbers.get_decimal_symbol(language)
