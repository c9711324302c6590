"""docs/security.md has a row for every requirement of ASVS 5.0.0, levels 1 and 2, and each says how it is met."""

import re
from dataclasses import dataclass

import pytest

from portal.config import ROOT
from tests.domain.test_promises import names_in

PAGE = ROOT / "docs" / "security.md"
REASONS = ("does not apply: ", "operator: ", "open: ")

LEVEL_1 = """
1.2.1 1.2.2 1.2.3 1.2.4 1.2.5 1.3.1 1.3.2 1.5.1 2.1.1 2.2.1 2.2.2 2.3.1 3.2.1 3.2.2 3.3.1 3.4.1 3.4.2 3.5.1 3.5.2 3.5.3
4.1.1 4.4.1 5.2.1 5.2.2 5.3.1 5.3.2 6.1.1 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.3.1 6.3.2 6.4.1 6.4.2
7.2.1 7.2.2 7.2.3 7.2.4 7.4.1 7.4.2 8.1.1 8.2.1 8.2.2 8.3.1 9.1.1 9.1.2 9.1.3 9.2.1
10.4.1 10.4.2 10.4.3 10.4.4 10.4.5 11.3.1 11.3.2 11.4.1 12.1.1 12.2.1 12.2.2 13.4.1 14.2.1 14.3.1 15.1.1 15.2.1 15.3.1
""".split()

LEVEL_2 = """
1.1.1 1.1.2 1.2.6 1.2.7 1.2.8 1.2.9 1.3.3 1.3.4 1.3.5 1.3.6 1.3.7 1.3.8 1.3.9 1.3.10 1.3.11 1.4.1 1.4.2 1.4.3 1.5.2
2.1.2 2.1.3 2.2.3 2.3.2 2.3.3 2.3.4 2.4.1 3.3.2 3.3.3 3.3.4 3.4.3 3.4.4 3.4.5 3.4.6 3.5.4 3.5.5 3.7.1 3.7.2
4.1.2 4.1.3 4.2.1 4.3.1 4.3.2 4.4.2 4.4.3 4.4.4 5.1.1 5.2.3 5.4.1 5.4.2 5.4.3
6.1.2 6.1.3 6.2.9 6.2.10 6.2.11 6.2.12 6.3.3 6.3.4 6.4.3 6.4.4 6.5.1 6.5.2 6.5.3 6.5.4 6.5.5 6.6.1 6.6.2 6.6.3
6.8.1 6.8.2 6.8.3 6.8.4 7.1.1 7.1.2 7.1.3 7.3.1 7.3.2 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 7.6.1 7.6.2
8.1.2 8.2.3 8.4.1 9.2.2 9.2.3 9.2.4 10.1.1 10.1.2 10.2.1 10.2.2 10.3.1 10.3.2 10.3.3 10.3.4
10.4.6 10.4.7 10.4.8 10.4.9 10.4.10 10.4.11 10.5.1 10.5.2 10.5.3 10.5.4 10.5.5 10.6.1 10.6.2 10.7.1 10.7.2 10.7.3
11.1.1 11.1.2 11.2.1 11.2.2 11.2.3 11.3.3 11.4.2 11.4.3 11.4.4 11.5.1 11.6.1 12.1.2 12.1.3 12.3.1 12.3.2 12.3.3 12.3.4
13.1.1 13.2.1 13.2.2 13.2.3 13.2.4 13.2.5 13.3.1 13.3.2 13.4.2 13.4.3 13.4.4 13.4.5
14.1.1 14.1.2 14.2.2 14.2.3 14.2.4 14.3.2 14.3.3 15.1.2 15.1.3 15.2.2 15.2.3 15.3.2 15.3.3 15.3.4 15.3.5 15.3.6 15.3.7
16.1.1 16.2.1 16.2.2 16.2.3 16.2.4 16.2.5 16.3.1 16.3.2 16.3.3 16.3.4 16.4.1 16.4.2 16.4.3 16.5.1 16.5.2 16.5.3
17.1.1 17.2.1 17.2.2 17.2.3 17.2.4 17.3.1 17.3.2
""".split()


@dataclass(frozen=True)
class Row:
    """One line of the tables."""

    numbers: tuple[str, ...]
    level: str
    matter: str
    how: str


def rows() -> list[Row]:
    """Every line of the page that says how requirements are met."""
    found = re.findall(
        r"^\| (\d+\.\d+\.\d+(?:, \d+\.\d+\.\d+)*) \|(.*?)\|(.*?)\|(.*)\|$", PAGE.read_text(), re.MULTILINE
    )
    return [Row(tuple(numbers.split(", ")), *(cell.strip() for cell in cells)) for numbers, *cells in found]


def faults(row: Row) -> list[str]:
    """What is wrong with a row."""
    named = re.findall(r"`((?:tests|portal|deploy|docs|static|migrations)/[^`]+|requirements\.lock)`", row.how)
    sections = re.findall(r"\]\(#([a-z-]+)\)", row.how)
    wrong = [f"no section {name}" for name in sections if name not in anchors()]
    for one in named:
        path, _, name = one.partition("::")
        if not (ROOT / path).exists():
            wrong.append(f"{path} is not there")
        elif path.startswith("tests/") and not (name and name in names_in(path)):
            wrong.append(f"{path} has no {name or 'test named'}")
    if not (named or sections or row.how.startswith(REASONS)):
        wrong.append("neither a test, nor a place, nor a reason")
    if row.how.startswith(REASONS) and len(row.how.partition(": ")[2]) < 6:
        wrong.append("the reason is missing")
    return wrong if row.matter else [*wrong, "no matter"]


def anchors() -> set[str]:
    """The sections of the page, as links name them."""
    heads = re.findall(r"^##+ (.+)$", PAGE.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_lists_are_the_standards() -> None:
    """Seventy requirements of level 1 and 183 of level 2, as ASVS 5.0.0 counts them."""
    assert (len(set(LEVEL_1)), len(set(LEVEL_2))) == (70, 183)
    assert (len(LEVEL_1), len(LEVEL_2)) == (70, 183)


def test_every_requirement_has_one_row_of_its_level() -> None:
    stated = [(number, row.level) for row in rows() for number in row.numbers]
    wanted = [(number, "1") for number in LEVEL_1] + [(number, "2") for number in LEVEL_2]
    assert sorted(stated) == sorted(wanted)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.numbers[0])
def test_a_row_names_a_test_a_place_or_a_reason_that_is_there(row: Row) -> None:
    assert faults(row) == []


def test_what_is_open_is_told_at_the_end() -> None:
    """The list at the end is that of the rows, so that nobody has to look for it."""
    end = PAGE.read_text().partition("## What is open")[2]
    told = set(re.findall(r"\d+\.\d+\.\d+", end))
    assert told == {number for row in rows() for number in row.numbers if "open: " in row.how}


@pytest.mark.parametrize(
    "how",
    ["", "by care", "`tests/web/test_sign_in.py`", "`tests/web/test_sign_in.py::test_that_is_not_there`",
     "`portal/nowhere.py`", "open: ", "does not apply: ", "[above](#nowhere)"],
)  # fmt: skip
def test_the_measure_notices(how: str) -> None:
    assert faults(Row(("1.1.1",), "2", "something", how))
