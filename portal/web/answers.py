"""Answers: what the API says, field by field: what the views make is what the document of the API describes.

Moments are aware; in JSON they stand as `2026-11-03T10:41:00Z`.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from flask import Response

from portal.notices.events import PayoutTold
from portal.referrals.attribution import How
from portal.reports.status import Word
from portal.rewards import rewards
from portal.rewards.refunds import RefundReason
from portal.rewards.rules import Beneficiary


@dataclass(frozen=True)
class Referral:
    id: str
    referrer: str
    referee: str
    code: str
    how: How
    joined_at: datetime
    expires_at: datetime
    counted_at: datetime | None


@dataclass(frozen=True)
class Reward:
    id: str
    user: str
    beneficiary: Beneficiary
    referral: str
    amount_minor: int
    taken_back_minor: int
    currency: str
    state: rewards.State
    status: Word
    hold_until: datetime
    made_at: datetime
    computation: list[dict[str, Any]]


@dataclass(frozen=True)
class Conversion:
    id: str
    goal: str
    external_id: str
    amount_minor: int | None
    currency: str | None
    occurred_at: datetime
    state: Literal["applied", "waiting for the customer"]
    referral: str | None
    rewards: list[Reward]


@dataclass(frozen=True)
class Customer:
    id: str
    external_id: str | None
    referral: Referral | None
    note: str | None


@dataclass(frozen=True)
class Refund:
    id: str
    external_id: str
    reason: RefundReason
    stands: bool
    conversion: Conversion | None


@dataclass(frozen=True)
class Reinstatement:
    id: str
    refund_external_id: str
    refund: Refund | None


@dataclass(frozen=True)
class Payout(PayoutTold):
    """What webhooks tell of it, and when it ended."""

    ended_at: datetime | None


@dataclass(frozen=True)
class Balance:
    user: str
    currency: str
    pending_minor: int
    approved_minor: int
    payable_minor: int
    in_payout_minor: int
    paid_minor: int


@dataclass(frozen=True)
class Referrals:
    data: list[Referral]
    next_cursor: str | None


@dataclass(frozen=True)
class Rewards:
    data: list[Reward]
    next_cursor: str | None


@dataclass(frozen=True)
class Payouts:
    data: list[Payout]
    next_cursor: str | None


@dataclass(frozen=True)
class Fault:
    field: str
    message: str


@dataclass(frozen=True)
class Problem:
    """A no, as RFC 9457 has it (see `problems`)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] = field(default_factory=list)


Told = Customer | Conversion | Refund | Reinstatement | Balance | Referrals | Rewards | Payouts


def as_json(told: Any) -> Any:
    """An answer as JSON has it."""
    return json.loads(json.dumps(asdict(told), default=_moment))


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def answer(told: Told, status: int = 200) -> Response:
    """The answer of a call that was taken."""
    said = json.dumps(asdict(told), default=_moment, sort_keys=True)
    return Response(said + "\n", status, mimetype="application/json")
