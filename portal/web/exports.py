"""Exports: one's own friends, rewards and payouts as files, in the words of the pages."""

import contextvars
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain

from flask import Blueprint, Response, abort, current_app, flash, get_template_attribute, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.core import clock
from portal.payouts.payouts import Line
from portal.reports import exports, sheets
from portal.reports.exports import InvitedGoal, PayoutLine
from portal.reports.referrer import Earned, Friend
from portal.reports.sheets import Amount, Cell
from portal.rewards.corrections import Correction
from portal.rewards.rewards import Reward
from portal.rewards.rules import Beneficiary
from portal.web import access, words

blueprint = Blueprint("exports", __name__)

TYPES = {"csv": "text/csv", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


PAGES = {
    "friends": "dashboard.friends",
    "invites": "sharing.invite_list",
    "rewards": "dashboard.rewards",
    "payouts": "dashboard.payout_list",
}
"""Where each is asked for."""


@dataclass(frozen=True)
class Days:
    """The days that a file is asked for, both included; None: from the beginning, to the end."""

    first: date | None
    last: date | None

    def hold(self, at: datetime) -> bool:
        day = clock.local_date(at, words.zone())
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


def _days(name: str) -> Days:
    """The days in the address. Leads back to the page with what is wrong with them, if anything is."""
    given = [request.args.get(end, "").strip() for end in ("from", "to")]
    days = Days(*map(clock.parse_day, given))
    unread = any(text and day is None for text, day in zip(given, (days.first, days.last), strict=True))
    if unread or (days.first and days.last and days.first > days.last):
        flash(gettext("These days could not be read. Choose a first day and a last day that is not before it."), "bad")
        abort(redirect(url_for(PAGES[name], _anchor="download")))
    return days


@blueprint.get("/friends.<any(csv, xlsx):kind>")
@access.signed_in
def friends(kind: str) -> ResponseReturnValue:
    """Everybody who joined by one's links, by the day they joined."""
    days = _days("friends")
    columns = (
        gettext("Friend"), gettext("Status"), gettext("Joined"), gettext("Time until"), gettext("Counted"),
        gettext("By"), gettext("Code"), gettext("Your reward"), gettext("Currency"),
    )  # fmt: skip
    listed = (one for one in exports.friends(access.me().id, at=clock.now()) if days.hold(one.referral.joined_at))
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
    """Everything one earned, and every correction, by the day it was made.

    *Amount* is what it was made with, *Left* what is left of it.
    """
    days, mine = _days("rewards"), access.me().id
    columns = (
        gettext("For"), gettext("Goal"), gettext("Reached"), gettext("Made"), gettext("Computed"), gettext("Status"),
        gettext("Why"), gettext("Hold ends"), gettext("Paid on"), gettext("Amount"), gettext("Left"),
        gettext("Currency"),
    )  # fmt: skip
    earned = (one for one in exports.rewards(mine) if days.hold(one.reward.made_at))
    corrected = (one for one in exports.corrections(mine) if days.hold(one.at))
    return _file("rewards", gettext("Rewards"), kind, columns, chain(map(_reward, earned), map(_correction, corrected)))


def _reward(one: Earned) -> Sequence[Cell]:
    reward = one.reward
    return (
        _whose(reward), _said("goal", reward.conversion.goal), _day(reward.conversion.occurred_at),
        _day(reward.made_at), words.computation(reward.computation, reward.currency),
        _said("status_word", one.status), _said("waits", one.status, one.told),
        _day(reward.hold_until), _day(reward.paid_at),
        Amount(reward.amount_minor, reward.currency), Amount(one.left_minor, reward.currency), reward.currency,
    )  # fmt: skip


@blueprint.get("/invites.<any(csv, xlsx):kind>")
@access.signed_in
def invites(kind: str) -> ResponseReturnValue:
    """Every invite, by the day it was made, a row for each goal that the friend has reached."""
    days = _days("invites")
    columns = (
        gettext("To"), gettext("Code"), gettext("Made"), gettext("Status"), gettext("Friend"), gettext("Goal"),
        gettext("Order"), gettext("Reached"), gettext("Reward"), gettext("Status of the reward"), gettext("Currency"),
    )  # fmt: skip
    listed = exports.invites(access.me().id, at=clock.now())
    return _file("invites", gettext("Invites"), kind, columns,
                 (_invite(one) for one in listed if days.hold(one.row.invite.made_at)))  # fmt: skip


def _invite(one: InvitedGoal) -> Sequence[Cell]:
    row, goal, earned = one.row, one.goal, one.earned
    currency = earned.reward.currency if earned else ""
    return (
        row.invite.to or gettext("address deleted"), row.code, _day(row.invite.made_at),
        _said("status_word", row.status), row.friend.referee.as_friend if row.friend else "",
        _said("goal", goal.goal) if goal else "", goal.external_id if goal and goal.amount_minor is not None else "",
        _day(goal.occurred_at) if goal else None,
        Amount(earned.left_minor, currency) if earned else None,
        _said("status_word", earned.status) if earned else "", currency,
    )  # fmt: skip


def _correction(one: Correction) -> Sequence[Cell]:
    amount = Amount(one.amount_minor, one.currency)
    said = gettext("Correction: %(reason)s", reason=one.reason)
    return (said, "", None, _day(one.at), "", "", "", None, None, amount, amount, one.currency)


@blueprint.get("/payouts.<any(csv, xlsx):kind>")
@access.signed_in
def payouts(kind: str) -> ResponseReturnValue:
    """Everything paid to one, by the day it was prepared, a row for each line: a payout's lines sum to it."""
    days = _days("payouts")
    columns = (
        gettext("Payout"), gettext("Status"), gettext("Paid by"), gettext("Prepared"), gettext("Ended"),
        gettext("Reference of the bank"), gettext("For"), gettext("Order of"), gettext("Amount"),
        gettext("Currency"),
    )  # fmt: skip
    lines = (one for one in exports.payout_lines(access.me().id) if days.hold(one.payout.batch.made_at))
    return _file("payouts", gettext("Payouts"), kind, columns, map(_line, lines))


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
    app = current_app._get_current_object()  # type: ignore[attr-defined] # of werkzeug's proxy
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
