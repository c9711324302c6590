"""Sheets: rows of cells as CSV and as XLSX, with the same cells in both.

Invariant: no cell runs. Words are defused in CSV and written as words in XLSX; amounts and dates are numbers and dates
in XLSX, and plain (`12.50`, `2026-12-03`) in CSV.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import xlsxwriter

from portal.core import money
from portal.payouts.files import defused


@dataclass(frozen=True)
class Amount:
    """An amount in minor units; written as a plain decimal in major units, the currency in a column of its own."""

    minor: int
    currency: str

    @property
    def plain(self) -> str:
        return money.plain(self.minor, self.currency)


Cell = str | date | Amount | None
"""What stands in a cell; None leaves it empty."""

LONGEST_CELL = 32_767
"""Characters that a cell of XLSX holds (ECMA-376 as Excel keeps it)."""


def as_csv(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The rows under their headings, in UTF-8, by RFC 4180."""
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\r\n")
    lines.writerow(headings)
    lines.writerows([_text(cell) for cell in row] for row in rows)
    return file.getvalue().encode()


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Amount):
        return cell.plain
    return cell.isoformat() if isinstance(cell, date) else defused(cell)


def as_xlsx(name: str, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The same as a workbook with one sheet of this name; the headings stay in sight while one scrolls."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        sheet = book.add_worksheet(name[:31])
        days = book.add_format({"num_format": "yyyy-mm-dd"})
        numbers = {
            places: book.add_format({"num_format": "0." + "0" * places if places else "0"}) for places in range(5)
        }
        sheet.write_row(0, 0, headings, book.add_format({"bold": True}))
        sheet.freeze_panes(1, 0)
        for line, row in enumerate(rows, start=1):
            for column, cell in enumerate(row):
                if isinstance(cell, Amount):
                    places = money.digits(cell.currency)
                    sheet.write_number(line, column, Decimal(cell.plain), numbers[places])
                elif isinstance(cell, date):
                    sheet.write_datetime(line, column, cell, days)
                elif cell is not None:
                    sheet.write_string(line, column, cell[:LONGEST_CELL])
        sheet.autofit()
    return file.getvalue()
