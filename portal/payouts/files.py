"""Files: what PayPal, Wise or a bank takes, made from an exported batch; the same letters every time.

Invariant: a cell that a spreadsheet would run as a formula is defused; amounts stay numbers.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from portal.core import money
from portal.core.database import session
from portal.payouts import vouchers
from portal.payouts.methods import Details, Kind
from portal.payouts.payouts import Batch, Payout, State


class Form(StrEnum):
    """A kind of file, by the word that it has in addresses and names of files."""

    ALL = "all"
    BANK = "bank"
    WISE = "wise"
    PAYPAL = "paypal"


@dataclass(frozen=True)
class Row:
    """One payout with what it takes to pay it."""

    payout: Payout
    details: dict[str, str]
    codes: list[str]

    @property
    def amount(self) -> str:
        return money.plain(self.payout.amount_minor, self.payout.currency)


@dataclass(frozen=True)
class Layout:
    """How a file looks: its heading (PayPal's has none), whom it is for, and the cells of one row."""

    heading: tuple[str, ...]
    kinds: frozenset[Kind]
    cells: Callable[[Row], list[str]]


def _of_all(row: Row) -> list[str]:
    payout, details = row.payout, row.details
    destination = details.get("email") or details.get("iban") or ""
    return [payout.reference, payout.user.name, payout.user.email, payout.method.kind, destination,
            details.get("holder", ""), row.amount, payout.currency, " ".join(row.codes)]  # fmt: skip


def _of_bank(row: Row) -> list[str]:
    return [row.payout.reference, row.details.get("holder", ""), row.details.get("iban", ""), row.amount,
            row.payout.currency]  # fmt: skip


def _of_wise(row: Row) -> list[str]:
    currency = row.payout.currency
    return [row.details.get("holder", ""), row.payout.user.email, row.payout.reference, "PERSON", "target", row.amount,
            currency, currency, row.details.get("iban", "")]  # fmt: skip


def _of_paypal(row: Row) -> list[str]:
    return [row.details.get("email", ""), row.amount, row.payout.currency, row.payout.reference, "", "PAYPAL"]


LAYOUTS = {
    Form.ALL: Layout(
        ("reference", "name", "email", "method", "destination", "holder", "amount", "currency", "codes"),
        frozenset(Kind), _of_all,
    ),
    Form.BANK: Layout(("reference", "holder", "iban", "amount", "currency"), frozenset({Kind.BANK}), _of_bank),
    # Wise's template "send to bank accounts"; the amount is what arrives.
    Form.WISE: Layout(
        ("name", "recipientEmail", "paymentReference", "receiverType", "amountCurrency", "amount", "sourceCurrency",
         "targetCurrency", "IBAN"),
        frozenset({Kind.BANK}), _of_wise,
    ),
    # PayPal's "Payouts Web": who, amount, currency, an id of ours, a note, the wallet; no heading.
    Form.PAYPAL: Layout((), frozenset({Kind.PAYPAL}), _of_paypal),
}  # fmt: skip


def defused(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def batch_csv(batch: Batch, *, keep: Details, form: Form = Form.ALL) -> str:
    """The batch as CSV in a form; failed and cancelled payouts left out, and who is paid in another way."""
    layout, file = LAYOUTS[form], io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    if layout.heading:
        writer.writerow(layout.heading)
    for row in _rows(batch, layout, keep):
        writer.writerow([defused(cell) for cell in layout.cells(row)])
    return file.getvalue()


def _rows(batch: Batch, layout: Layout, keep: Details) -> list[Row]:
    query = (
        sa.select(Payout)
        .where(Payout.batch_id == batch.id, Payout.state.not_in((State.FAILED, State.CANCELLED)))
        .options(joinedload(Payout.user), joinedload(Payout.method))
        .order_by(Payout.id)
    )
    going = [payout for payout in session.scalars(query) if payout.method.kind in layout.kinds]
    codes = vouchers.of_payouts([payout.id for payout in going])
    return [Row(one, keep.open(one.method), [voucher.code for voucher in codes[one.id]]) for one in going]
