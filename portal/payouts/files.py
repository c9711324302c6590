"""Files: what PayPal, Wise or a bank takes, made from an exported batch; the same letters every time.

Invariant: a cell that a spreadsheet would run as a formula is defused; amounts stay numbers.
"""

import csv
import io

from portal.core import money
from portal.payouts import vouchers
from portal.payouts.methods import Details
from portal.payouts.payouts import Batch, State

COLUMNS = ("reference", "name", "email", "method", "destination", "holder", "amount", "currency", "codes")


def defused(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def batch_csv(batch: Batch, *, keep: Details) -> str:
    """The batch as CSV with a heading; failed and cancelled payouts left out."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for payout in batch.payouts:
        if payout.state in (State.FAILED, State.CANCELLED):
            continue
        details = keep.open(payout.method)
        codes = " ".join(voucher.code for voucher in vouchers.of_payout(payout.id))
        rows.writerow(
            [
                payout.reference,
                defused(payout.user.name),
                defused(payout.user.email),
                payout.method.kind,
                defused(details.get("email") or details.get("iban") or ""),
                defused(details.get("holder", "")),
                money.plain(payout.amount_minor, payout.currency),
                payout.currency,
                defused(codes),
            ]
        )
    return file.getvalue()
