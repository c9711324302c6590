"""Money: integers in the currency's minor unit, and the one way to round.

No float comes near an amount. Shares round half-up, once.
"""

import re
from decimal import Decimal
from functools import lru_cache

from babel import numbers
from babel.core import get_global

from portal.core.text import Refusal, marked

LARGEST_MINOR = 10**12 - 1
"""The largest amount taken from outside, in minor units."""

_WHOLE = re.compile(r"[0-9]{1,13}", re.ASCII)


class BadAmount(Refusal, ValueError):
    """An amount that is not one: the message says what is expected."""


def half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded half away from zero, in integers."""
    if denominator <= 0:
        raise ValueError("the denominator of a share must be positive")
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def share(amount_minor: int, basis_points: int) -> int:
    """A share of an amount: 10 % is 1,000 basis points. Half-up, once (500 x 2.9 % = 14.5 -> 15)."""
    return half_up(amount_minor * basis_points, 10_000)


def digits(currency: str) -> int:
    """How many digits the minor unit has: 2 for USD, 0 for JPY, 3 for KWD (CLDR, by Babel)."""
    return numbers.get_currency_precision(currency)


def is_currency(code: str) -> bool:
    """Whether a text is an ISO 4217 code with which people pay somewhere today (CLDR, by Babel): no metal, no code for
    tests, no currency that has ended."""
    return code in _in_use()


@lru_cache(maxsize=1)
def _in_use() -> frozenset[str]:
    places = get_global("territory_currencies")
    return frozenset(code for place in places for code in numbers.get_territory_currencies(place))


def parse_minor(text: str) -> int:
    """A positive whole number of minor units from outside text.

    Takes ASCII digits only: `int()` would also take `1_000` and other alphabets' digits. Raises BadAmount.
    """
    text = text.strip(" ")
    if not _WHOLE.fullmatch(text) or not 0 < int(text) <= LARGEST_MINOR:
        raise BadAmount(
            marked("Write a whole number of minor units from 1 to %(most)s, digits only."), most=LARGEST_MINOR
        )
    return int(text)


def parse_major(text: str, currency: str) -> int:
    """An amount as people type it (`12`, `12.50`), as minor units of the currency. Zero is allowed.

    One decimal point, no grouping: `1,50` is refused rather than read as 150. Raises BadAmount.
    """
    places = digits(currency)
    example = "12." + "5".ljust(places, "0") if places else "12"
    found = re.fullmatch(r"([0-9]{1,10})(?:\.([0-9]+))?", text.strip(" "), re.ASCII)
    if not found or len(found[2] or "") > places:
        raise BadAmount(marked("Write an amount like %(example)s."), example=example)
    minor = int(found[1]) * 10**places + int((found[2] or "").ljust(places, "0") or "0")
    if minor > LARGEST_MINOR:
        raise BadAmount(marked("This amount is too large."))
    return minor


def plain(amount_minor: int, currency: str) -> str:
    """An amount for files and machines: `12.50`, `-3.00`, no grouping, a decimal point, ASCII."""
    places = digits(currency)
    sign, whole = ("-" if amount_minor < 0 else ""), abs(amount_minor)
    if not places:
        return f"{sign}{whole}"
    return f"{sign}{whole // 10**places}.{whole % 10**places:0{places}d}"


@lru_cache(maxsize=4096)
def shown(amount_minor: int, currency: str, locale: str = "en") -> str:
    """An amount for people, in the form of a locale; a minus is U+2212. Exact: the integer is only pointed."""
    value = Decimal(abs(amount_minor)).scaleb(-digits(currency))
    text = numbers.format_currency(value, currency, locale=locale)
    return f"\N{MINUS SIGN}{text}" if amount_minor < 0 else text


def brief(amount_minor: int, currency: str, locale: str = "en") -> str:
    """The same without its decimals where the amount is whole, for a heading: `£10`."""
    text, places = shown(amount_minor, currency, locale), digits(currency)
    if not places or amount_minor % 10**places:
        return text
    return text.replace(numbers.get_decimal_symbol(locale) + "0" * places, "", 1)
