"""Imports: orders and customers from CSV files, row by row: errors by line, good rows taken, memory bounded.

Invariants: a row is taken whole or not at all, and the same file a second time changes nothing; a rehearsal says what
would become of each row, by the same verbs, and stores nothing.
"""

import csv
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TextIO

from portal import program, terms
from portal.accounts import audit, users
from portal.core import clock, database, money
from portal.core.text import Refusal, marked
from portal.rewards import goals
from portal.rewards.conversions import Answer, Customer, OrderReport, ReportRefused

MOST_FAULTS = 1000
"""How many faults are kept to be shown; all are counted."""
MOST_SHOWN = 20
"""Of how many rows that are fine is kept what became of them."""

Row = dict[str, str]


class FileRefused(Refusal):
    """A file that cannot be read as what it should be; nothing of it was taken."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one line of a file, counted from 1 with its heading."""

    line: int
    column: str
    refusal: Refusal

    @property
    def message(self) -> str:
        return str(self.refusal)

    def __str__(self) -> str:
        return (
            f"line {self.line}, {self.column}: {self.message}" if self.column else f"line {self.line}: {self.message}"
        )


@dataclass
class Taken:
    """What became of a file's rows."""

    made: int = 0
    known: int = 0
    waiting: int = 0
    faulty: int = 0
    faults: list[Fault] = field(default_factory=list)
    shown: list[tuple[int, str, Answer]] = field(default_factory=list)
    """The first rows that are fine: line, id, what became of it."""

    def add(self, line: int, row: Row, answer: Answer | Fault) -> None:
        """Counts what became of a row."""
        if isinstance(answer, Fault):
            self.add_fault(answer)
            return
        if answer == Answer.MADE:
            self.made += 1
        elif answer == Answer.WAITING:
            self.waiting += 1
        else:
            self.known += 1
        if len(self.shown) < MOST_SHOWN:
            self.shown.append((line, row["external_id"], answer))

    def add_fault(self, fault: Fault) -> None:
        self.faulty += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)


@dataclass(frozen=True)
class Form:
    """A kind of file: its columns, and how one row is taken."""

    needed: frozenset[str]
    allowed: frozenset[str]
    take: Callable[[Row, str, datetime], Answer]
    """Row, the program's currency, moment -> what became of it."""
    names: Callable[[Row], list[str]]
    """What two rows of a file may have in common so that the first decides what becomes of the second."""


def rows(file: TextIO, form: Form) -> Iterator[tuple[int, Row | Fault]]:
    """The rows of a file with their line numbers, bad lines as faults. Open it with `errors="surrogateescape"`.

    Raises FileRefused for columns that are not the form's.
    """
    first = file.readline()
    delimiter = ";" if ";" in first and "," not in first else ","  # as spreadsheets write it where the comma is decimal
    reader = csv.reader(itertools.chain([first] if first else [], file), strict=True, delimiter=delimiter)
    try:
        heading = [name.strip().lower() for name in next(reader, [])]
    except csv.Error as error:
        raise FileRefused(marked("This is not a CSV file: %(why)s."), why=error) from error
    _check_heading(heading, form)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield (
                reader.line_num,
                Fault(reader.line_num, "", Refusal(marked("not readable as CSV (%(why)s)"), why=error)),
            )
            continue
        if not any(cell.strip() for cell in cells):
            continue
        yield reader.line_num, _row(reader.line_num, cells, heading)


def _check_heading(heading: list[str], form: Form) -> None:
    if heading and heading[0].startswith("\ufeff"):
        heading[0] = heading[0].removeprefix("\ufeff")
    missing, strange = form.needed - set(heading), set(heading) - form.allowed
    if missing or strange or len(heading) != len(set(heading)):
        raise FileRefused(
            marked(
                "The first line must name the columns. Missing: %(missing)s. Not known: %(strange)s. Columns: %(all)s."
            ),
            missing=", ".join(sorted(missing)) or "-",
            strange=", ".join(repr(name)[:40] for name in sorted(strange)[:5]) or "-",
            all=", ".join(sorted(form.allowed)),
        )


def _row(line: int, cells: list[str], heading: list[str]) -> Row | Fault:
    if len(cells) != len(heading):
        said = marked("%(cells)s cells where the first line has %(columns)s")
        return Fault(line, "", Refusal(said, cells=len(cells), columns=len(heading)))
    for name, cell in zip(heading, cells, strict=True):
        if any("\udc80" <= letter <= "\udcff" for letter in cell):
            return Fault(line, name, Refusal(marked("not UTF-8 text")))
        if "\x00" in cell:
            return Fault(line, name, Refusal(marked("a character that cannot be kept")))
    return {name: cell.strip() for name, cell in zip(heading, cells, strict=True)}


def take(found: Iterable[tuple[int, Row | Fault]], form: Form, *, at: datetime) -> Taken:
    """Takes the rows, opening its own writes. What is wrong with a row does not keep the others out.

    On SQLite a hundred rows share a commit; on PostgreSQL each has its own, since rows touch people in any order
    and two imports would wait for each other.
    """
    taken, here = Taken(), set(database.session)
    for bundle in _bundles(found, taken):
        answers: list[Answer | Fault] = []
        with database.writing():
            currency = terms.in_force().currency
            for line, row in bundle:
                answers.append(_take_one(line, row, form, currency, at=at))
            database.session.flush()
        _forget(but=here)
        for (line, row), answer in zip(bundle, answers, strict=True):  # counted only now: what was not committed
            taken.add(line, row, answer)  # was not taken
    return taken


class _Rehearsed(Exception):
    """Ends a write of which nothing is to stay."""


def rehearse(found: Iterable[tuple[int, Row | Fault]], form: Form, *, at: datetime) -> Taken:
    """What `take` would make of these rows, by doing it and taking it back; the same writes, none of which stays.

    Before a row that has a name in common with earlier ones of its file, these are done again: they would be there.
    """
    taken, here = Taken(), set(database.session)
    earlier: dict[str, Row] = {}
    for bundle in _bundles(found, taken):
        answers: list[Answer | Fault] = []
        try:
            with database.writing():
                currency = terms.in_force().currency
                for line, row in bundle:
                    for name in form.names(row):
                        if name in earlier:
                            _take_one(line, earlier[name], form, currency, at=at)
                    answer = _take_one(line, row, form, currency, at=at)
                    answers.append(answer)
                    if not isinstance(answer, Fault):
                        for name in form.names(row):
                            earlier.setdefault(name, row)
                raise _Rehearsed
        except _Rehearsed:
            pass
        _forget(but=here)
        for (line, row), answer in zip(bundle, answers, strict=True):
            taken.add(line, row, answer)
    return taken


def _bundles(found: Iterable[tuple[int, Row | Fault]], taken: Taken) -> Iterator[list[tuple[int, Row]]]:
    """The rows by what shares a write; faults are counted at once."""
    bundle: list[tuple[int, Row]] = []
    at_once = 100 if database.is_sqlite() else 1
    for line, row in found:
        if isinstance(row, Fault):
            taken.add_fault(row)
            continue
        bundle.append((line, row))
        if len(bundle) >= at_once:
            yield bundle
            bundle = []
    if bundle:
        yield bundle


def _forget(*, but: set[object]) -> None:
    """Lets go of what the rows have loaded, so that memory stays bounded; who asked for the import stays."""
    for one in set(database.session) - but:
        database.session.expunge(one)


def note(taken: Taken, *, kind: str, name: str, by: int, at: datetime) -> None:
    """Writes down that a colleague had a file imported, and what became of it. Opens its own write."""
    with database.writing():
        audit.write("file_imported", "file", name, by=by, at=at, kind=kind, new=taken.made, known=taken.known,
                    waiting=taken.waiting, faulty=taken.faulty)  # fmt: skip


def _take_one(line: int, row: Row, form: Form, currency: str, *, at: datetime) -> Answer | Fault:
    try:
        with database.session.begin_nested():
            answer = form.take(row, currency, at)
    except ReportRefused as refusal:
        return Fault(line, refusal.field, refusal)
    except users.BadAddress as refusal:
        return Fault(line, "email", refusal)
    except Refusal as refusal:
        return Fault(line, "", refusal)
    if answer == Answer.DISAGREES:
        return Fault(line, "external_id", Refusal(marked("told before with other facts; nothing was changed")))
    return answer


def _moment(row: Row, column: str) -> datetime | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        return clock.parse(text)
    except clock.BadMoment as bad:
        raise ReportRefused(column, bad.message, **bad.values) from bad


def _take_conversion(row: Row, currency: str, at: datetime) -> Answer:
    amount: int | None = None
    if row.get("amount_minor"):
        try:
            amount = money.parse_minor(row["amount_minor"])
        except money.BadAmount as bad:
            raise ReportRefused("amount_minor", bad.message, **bad.values) from bad
    email = row.get("customer_email", "")
    report = OrderReport(
        goal=row.get("goal") or goals.PURCHASE,
        external_id=row["external_id"],
        customer=Customer(row.get("customer_external_id") or None, users.clean_email(email) if email else None),
        occurred_at=_moment(row, "occurred_at") or at,
        amount_minor=amount,
        currency=(row.get("currency") or currency) if amount is not None else None,
    )
    return program.convert(report, at=at).answer


def _take_customer(row: Row, _currency: str, at: datetime) -> Answer:
    _, new = program.report_customer(
        Customer(row["external_id"] or None, row["email"] or None),
        name=row.get("name", ""),
        code=row.get("code", ""),
        signed_up_at=_moment(row, "signed_up_at"),
        at=at,
    )
    return Answer.MADE if new else Answer.KNOWN


CONVERSIONS = Form(
    needed=frozenset({"external_id"}),
    allowed=frozenset(
        {"external_id", "goal", "customer_external_id", "customer_email", "amount_minor", "currency", "occurred_at"}
    ),
    take=_take_conversion,
    names=lambda row: [f"order {row['external_id']}"],
)
CUSTOMERS = Form(
    needed=frozenset({"external_id", "email"}),
    allowed=frozenset({"external_id", "email", "name", "code", "signed_up_at"}),
    take=_take_customer,
    names=lambda row: [f"number {row['external_id']}", f"address {row['email'].lower()}"],
)
