"""Money: one strict reading of amounts from outside, one way to show them, exact on both ways."""

import pytest

from portal.core import money
from portal.core.money import BadAmount


@pytest.mark.parametrize(("text", "minor"), [("1", 1), ("6400", 6400), (" 6400 ", 6400), ("999999999999", 10**12 - 1)])
def test_minor_units_are_digits(text: str, minor: int) -> None:
    assert money.parse_minor(text) == minor


NO_AMOUNTS = [
    "", " ", "1_000", "NaN", "inf", "Infinity", "1e3", "0x10", "-5", "+5", "1,50", "1.5.0", "1 000", "١٢٣", "１２", "²",
    "5€", "$5", "9" * 30, "1" + "0" * 12, "--1", "1\n", "\t1", "1\x00", "null", "1/2", "None", "1'000", "\u22125",
]  # fmt: skip


@pytest.mark.case(60)
@pytest.mark.parametrize("text", [*NO_AMOUNTS, "0", "1.5", "000"])
def test_what_is_no_number_of_minor_units_is_refused(text: str) -> None:
    with pytest.raises(BadAmount):
        money.parse_minor(text)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12", "EUR", 1200),
        ("12.5", "EUR", 1250),
        ("12.50", "EUR", 1250),
        ("0", "EUR", 0),
        ("0.01", "EUR", 1),
        ("12", "JPY", 12),
        ("1.234", "KWD", 1234),
        ("9999999999.99", "EUR", 10**12 - 1),
    ],
)
def test_an_amount_as_people_write_it_is_read_exactly(text: str, currency: str, minor: int) -> None:
    assert money.parse_major(text, currency) == minor


@pytest.mark.case(60)
@pytest.mark.parametrize("text", [*NO_AMOUNTS, "12.", ".5", "12.345", "1,234.50"])
def test_what_is_no_amount_is_refused_and_never_read_as_another(text: str) -> None:
    with pytest.raises(BadAmount, match=r"12\.5"):
        money.parse_major(text, "EUR")


def test_a_currency_without_minor_units_takes_no_decimal_point() -> None:
    with pytest.raises(BadAmount, match="like 12\\."):
        money.parse_major("12.5", "JPY")


@pytest.mark.case(74)
def test_each_currency_is_shown_with_its_own_digits() -> None:
    assert [money.plain(1234, code) for code in ("EUR", "JPY", "KWD")] == ["12.34", "1234", "1.234"]
    assert [money.shown(1234, code) for code in ("EUR", "JPY", "USD")] == ["€12.34", "¥1,234", "$12.34"]
    assert money.plain(-5, "EUR") == "-0.05" and money.shown(-5, "EUR") == "\N{MINUS SIGN}€0.05"


@pytest.mark.case(72)
def test_the_same_amount_reads_the_same_everywhere() -> None:
    """99.99 x 7.5 % is 7.49925: 7.50, rounded once and then only written."""
    minor = money.share(9999, 750)
    assert (minor, money.plain(minor, "EUR"), money.shown(minor, "EUR")) == (750, "7.50", "€7.50")
    assert money.parse_major(money.plain(minor, "EUR"), "EUR") == minor


def test_large_amounts_keep_every_digit() -> None:
    assert money.shown(10**12 - 1, "EUR") == "€9,999,999,999.99"
    assert money.plain(10**12 - 1, "EUR") == "9999999999.99"
    assert money.share(10**12 - 1, 3333) == 333_300_000_000


def test_a_currency_is_one_that_people_pay_with_somewhere_today() -> None:
    assert all(money.is_currency(code) for code in ("EUR", "USD", "GBP", "JPY", "KWD", "CHF", "XOF"))
    nothing = ("XXX", "XTS", "XAU", "XAG", "DEM", "HRK", "eur", "", "EURO")
    assert not any(money.is_currency(code) for code in nothing)
