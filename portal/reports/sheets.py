"""Sheets: rows of cells as CSV and as XLSX, with the same cells in both.

Invariant: no cell runs. Words are defused in CSV and written as words in XLSX; amounts and dates are numbers and dates
in XLSX, and plain (`12.50`, `2026-12-03`) in CSV.
"""

import csv
import io
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import IO, Any

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


Cell = str | date | Amount | int | None
"""What stands in a cell; None leaves it empty."""

LONGEST_CELL, MOST_ROWS = 32_767, 1_048_576
"""Characters that a cell of XLSX holds, and rows that a sheet does (ECMA-376 as Excel keeps it)."""


AT_ONCE = 64 * 1024
"""Bytes, about, that a file is handed on by."""


def as_csv(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The rows under their headings, in UTF-8, by RFC 4180."""
    return b"".join(csv_pieces(headings, rows))


def csv_pieces(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """The same piece by piece, so that any number of rows needs the memory of a few."""
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\r\n")
    lines.writerow(headings)
    for row in rows:
        lines.writerow([_text(cell) for cell in row])
        if file.tell() > AT_ONCE:
            yield file.getvalue().encode()
            file.seek(0)
            file.truncate()
    yield file.getvalue().encode()


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Amount):
        return cell.plain
    if isinstance(cell, int):
        return str(cell)
    return cell.isoformat() if isinstance(cell, date) else defused(cell)


def as_xlsx(name: str, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The same as a workbook with one sheet of this name; the headings stay in sight while one scrolls."""
    file = io.BytesIO()
    with _workbook(file, in_memory=True) as book:
        _write_sheet(book, name, headings, rows).autofit()
    return file.getvalue()


def xlsx_pieces(name: str, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """The same by way of a temporary file, row after row, so that memory holds one of them. Columns are not fitted."""
    with tempfile.TemporaryFile() as file:
        with _workbook(file, constant_memory=True) as book:
            _write_sheet(book, name, headings, itertools.islice(rows, MOST_ROWS - 1))
        file.seek(0)
        yield from iter(lambda: file.read(AT_ONCE), b"")


def _workbook(file: IO[bytes], **options: bool) -> Any:
    import xlsxwriter  # at the first sheet: the start is quicker by a thirtieth

    return xlsxwriter.Workbook(file, options)


def _write_sheet(book: Any, name: str, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Any:
    sheet = book.add_worksheet(name[:31])
    days = book.add_format({"num_format": "yyyy-mm-dd"})
    numbers = {places: book.add_format({"num_format": "0." + "0" * places if places else "0"}) for places in range(5)}
    sheet.write_row(0, 0, headings, book.add_format({"bold": True}))
    sheet.freeze_panes(1, 0)
    for line, row in enumerate(rows, start=1):
        for column, cell in enumerate(row):
            if isinstance(cell, Amount):
                places = money.digits(cell.currency)
                sheet.write_number(line, column, Decimal(cell.plain), numbers[places])
            elif isinstance(cell, int):
                sheet.write_number(line, column, cell)
            elif isinstance(cell, date):
                sheet.write_datetime(line, column, cell, days)
            elif cell is not None:
                sheet.write_string(line, column, cell[:LONGEST_CELL])
    return sheet
