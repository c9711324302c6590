"""Exports: one's own friends, rewards and payouts as files, in the words of the pages."""

import contextvars
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import chain

from flask import Blueprint, Response, current_app, get_template_attribute
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.core import clock
from portal.payouts.payouts import Line
from portal.reports import exports, sheets
from portal.reports.exports import PayoutLine
from portal.reports.referrer import Earned, Friend
from portal.reports.sheets import Amount, Cell
from portal.rewards.corrections import Correction
from portal.rewards.rewards import Reward
from portal.rewards.rules import Beneficiary
from portal.web import access, words

blueprint = Blueprint("exports", __name__)

TYPES = {"csv": "text/csv", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


@blueprint.get("/friends.<any(csv, xlsx):kind>")
@access.signed_in
def friends(kind: str) -> ResponseReturnValue:
    """Everybody who joined by one's links."""
    columns = (
        gettext("Friend"), gettext("Status"), gettext("Joined"), gettext("Time until"), gettext("Counted"),
        gettext("By"), gettext("Code"), gettext("Your reward"), gettext("Currency"),
    )  # fmt: skip
    listed = exports.friends(access.me().id, at=clock.now())
    return _file("friends", gettext("Friends"), kind, columns, map(_friend, listed))


def _friend(one: Friend) -> Sequence[Cell]:
    referral, currency = one.referral, one.rewards[0].currency if one.rewards else ""
    return (
        referral.referee.as_friend, _said("status_word", one.status),
        _day(referral.joined_at), _day(referral.expires_at), _day(referral.counted_at),
        _said("how", referral.how), referral.code,
        Amount(one.left_minor, currency) if currency else None, currency,
    )  # fmt: skip


@blueprint.get("/rewards.<any(csv, xlsx):kind>")
@access.signed_in
def rewards(kind: str) -> ResponseReturnValue:
    """Everything one earned, and every correction. *Amount* is what it was made with, *Left* what is left of it."""
    columns = (
        gettext("For"), gettext("Goal"), gettext("Reached"), gettext("Made"), gettext("Computed"), gettext("Status"),
        gettext("Why"), gettext("Hold ends"), gettext("Paid on"), gettext("Amount"), gettext("Left"),
        gettext("Currency"),
    )  # fmt: skip
    mine = access.me().id
    rows = chain(map(_reward, exports.rewards(mine)), map(_correction, exports.corrections(mine)))
    return _file("rewards", gettext("Rewards"), kind, columns, rows)


def _reward(one: Earned) -> Sequence[Cell]:
    reward = one.reward
    return (
        _whose(reward), _said("goal", reward.conversion.goal), _day(reward.conversion.occurred_at),
        _day(reward.made_at), words.computation(reward.computation, reward.currency),
        _said("status_word", one.status), _said("waits", one.status, one.told),
        _day(reward.hold_until), _day(reward.paid_at),
        Amount(reward.amount_minor, reward.currency), Amount(one.left_minor, reward.currency), reward.currency,
    )  # fmt: skip


def _correction(one: Correction) -> Sequence[Cell]:
    amount = Amount(one.amount_minor, one.currency)
    said = gettext("Correction: %(reason)s", reason=one.reason)
    return (said, "", None, _day(one.at), "", "", "", None, None, amount, amount, one.currency)


@blueprint.get("/payouts.<any(csv, xlsx):kind>")
@access.signed_in
def payouts(kind: str) -> ResponseReturnValue:
    """Everything paid to one, a row for each line: the lines of a payout sum to it."""
    columns = (
        gettext("Payout"), gettext("Status"), gettext("Paid by"), gettext("Prepared"), gettext("Ended"),
        gettext("Reference of the bank"), gettext("For"), gettext("Order of"), gettext("Amount"),
        gettext("Currency"),
    )  # fmt: skip
    return _file("payouts", gettext("Payouts"), kind, columns, map(_line, exports.payout_lines(access.me().id)))


def _line(one: PayoutLine) -> Sequence[Cell]:
    payout, line = one.payout, one.line
    about = line.about if line else None
    return (
        payout.reference, _said("payout_word", payout.state, payout.ended_at), _said("method", payout.method),
        _day(payout.batch.made_at), _day(payout.ended_at), payout.batch.bank_reference,
        _for(line), _day(about.conversion.occurred_at) if about else None,
        Amount(line.amount_minor if line else 0, payout.currency), payout.currency,
    )  # fmt: skip


def _for(line: Line | None) -> str:
    """What a line of a payout is for."""
    if line is not None and line.correction is not None:
        return gettext("Correction: %(reason)s", reason=line.correction.reason)
    return _whose(line.about) if line is not None and line.about is not None else ""


def _whose(reward: Reward) -> str:
    """For whom a reward is: the friend, or oneself."""
    own = reward.beneficiary == Beneficiary.REFEREE
    return gettext("Your gift") if own else reward.referral.referee.as_friend


def _said(macro: str, *given: object) -> str:
    """What a macro of macros/words.html says, as plain words: files and pages say the same."""
    said = get_template_attribute("macros/words.html", macro)(*given)
    return str(said.unescape()).strip()


def _day(at: datetime | None) -> date | None:
    return clock.local_date(at, words.zone()) if at else None


def streamed(pieces: Iterator[bytes], *, kind: str, name: str) -> Response:
    """A file whose rows are read while it is sent, in a context (and so a session) of its own.

    Flask's `stream_with_context` would begin inside the request and end after it, where its context is gone.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    own = contextvars.Context()

    def sent() -> Generator[bytes]:
        with app.app_context():
            yield from pieces

    def handed_on() -> Iterator[bytes]:
        rows = sent()
        try:
            while (piece := own.run(next, rows, None)) is not None:
                yield piece
        finally:
            own.run(rows.close)

    response = Response(handed_on(), mimetype=TYPES[kind])
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    return response


def _file(
    name: str, title: str, kind: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]
) -> ResponseReturnValue:
    body = sheets.as_csv(columns, rows) if kind == "csv" else sheets.as_xlsx(title, columns, rows)
    response = Response(body, mimetype=TYPES[kind])
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-{_day(clock.now())}.{kind}"'
    return response
