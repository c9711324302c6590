"""Results: the answer of a bank, PayPal or Wise to a batch's file, read back: which payouts arrived, which came back.

Invariants: a file is taken whole or not at all; what is wrong with it is told by its line; the same file again
changes nothing. What has ended stays as it ended.
"""

import csv
import io
from dataclasses import dataclass, field
from enum import StrEnum

from portal.core.text import Refusal, marked, one_line
from portal.payouts.payouts import Batch, Payout, State

NEEDED, OPTIONAL = ("reference", "status"), "reason"

MOST_FAULTS = 100


class Outcome(StrEnum):
    PAID = "paid"
    FAILED = "failed"


WORDS = {
    Outcome.PAID: {"paid", "success", "succeeded", "successful", "completed", "complete", "settled", "executed"},
    Outcome.FAILED: {"failed", "failure", "returned", "rejected", "denied", "refunded", "refused", "bounced"},
}
"""What is read for each, whatever its case."""


@dataclass(frozen=True)
class Result:
    """What one line of the file says of one payout. `line` is counted from 1, with the heading."""

    line: int
    reference: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one line: a sentence with named places, and what fills them."""

    line: int
    message: str
    values: dict[str, str] = field(default_factory=dict)


class ResultsRefused(Refusal):
    """A file of which nothing was taken; `faults` say which lines are wrong."""

    def __init__(self, faults: list[Fault], message: str = "") -> None:
        super().__init__(message or marked("This file does not fit the batch as it stands now. Nothing was changed."))
        self.faults = faults


@dataclass(frozen=True)
class Checked:
    """What a file would do: payments to note, failures to note, lines that say what is noted already, and faults."""

    paid: list[Result] = field(default_factory=list)
    failed: list[Result] = field(default_factory=list)
    known: list[Result] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    payouts: dict[str, Payout] = field(default_factory=dict)
    """Those of the batch, by reference."""

    @property
    def new(self) -> list[Result]:
        """What is not noted yet, in the order of the file."""
        return sorted([*self.paid, *self.failed], key=lambda result: result.line)


def read(text: str) -> tuple[list[Result], list[Fault]]:
    """The lines of a file and what is wrong with others. Further columns are left unread; commas or semicolons.

    Raises ResultsRefused for what has no such columns.
    """
    heading, _, _ = text.lstrip("\ufeff").partition("\n")
    rows = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=";" if ";" in heading else ",")
    results: list[Result] = []
    faults: list[Fault] = []
    try:
        columns = [name.strip().lower() for name in next(rows, [])]
        if not set(NEEDED) <= set(columns):
            raise ResultsRefused([], marked("The first line must name the columns reference and status."))
        for cells in rows:
            if any(cell.strip() for cell in cells):
                found = _read_row(rows.line_num, dict(zip(columns, cells, strict=False)))
                if isinstance(found, Result):
                    results.append(found)
                else:
                    faults.append(found)
    except csv.Error:
        faults.append(Fault(rows.line_num, marked("This line is not readable as CSV.")))
    return results, faults


def _read_row(line: int, row: dict[str, str]) -> Result | Fault:
    reference = one_line(row.get("reference", "").removeprefix("'"), 24).upper()
    said = one_line(row.get("status", ""), 40)
    reason = one_line(row.get(OPTIONAL, "").removeprefix("'"), 200)
    if not reference:
        return Fault(line, marked("The reference of the payout is missing."))
    outcome = next((outcome for outcome, words in WORDS.items() if said.lower() in words), None)
    if outcome is None:
        return Fault(line, marked("“%(said)s” is no status: write paid or failed."), {"said": said})
    if outcome == Outcome.FAILED and not reason:
        return Fault(line, marked("Write why %(reference)s failed; the person reads it."), {"reference": reference})
    return Result(line, reference, outcome, reason if outcome == Outcome.FAILED else "")


def check(batch: Batch, results: list[Result]) -> Checked:
    """What these results would do to a batch as it stands. Changes nothing."""
    checked = Checked(payouts={payout.reference: payout for payout in batch.payouts})
    first: dict[str, int] = {}
    for result in results:
        payout = checked.payouts.get(result.reference)
        fault = _fault(result, payout, first)
        first.setdefault(result.reference, result.line)
        if fault is not None:
            checked.faults.append(fault)
        elif payout is not None and payout.state == result.outcome:
            checked.known.append(result)
        else:
            (checked.paid if result.outcome == Outcome.PAID else checked.failed).append(result)
    return checked


def _fault(result: Result, payout: Payout | None, first: dict[str, int]) -> Fault | None:
    told = {"reference": result.reference}
    if payout is None:
        return Fault(result.line, marked("%(reference)s is not in this batch."), told)
    if result.reference in first:
        earlier = {**told, "line": str(first[result.reference])}
        return Fault(result.line, marked("%(reference)s stands in line %(line)s already."), earlier)
    if payout.state == State.PREPARING:
        return Fault(result.line, marked("Export the batch first: its file is what gets paid."))
    if payout.state not in (State.SENT, result.outcome):
        told["state"] = payout.state
        return Fault(result.line, marked("%(reference)s is %(state)s already, and stays so."), told)
    return None
