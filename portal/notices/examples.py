"""Every mail with invented facts: for its preview, for a test of it, and as the list of its places."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from portal.accounts.users import User
from portal.delivery import outbox, stops
from portal.notices.writing import TOPICS, Invited, Office, written
from portal.sharing import invites

_INVITE = {
    "sender": "Alice", "note": "They roast on Tuesdays.", "reminds": True, "gift": "€10", "goal": "purchase",
    "often": "first", "minimum": "€30.00", "link": "/r/EXAMPLE2",
}  # fmt: skip
_LINK = {"link": "/an-example"}
_DAY = datetime(2026, 12, 3, tzinfo=UTC)

EXAMPLES: dict[str, dict[str, Any]] = {
    invites.FIRST: _INVITE,
    invites.REMINDER: _INVITE,
    "confirm": _LINK,
    "already_registered": {},
    "reset": _LINK,
    "friend_joined": {"friend": "Bob T.", "until": _DAY},
    "reward_approved": {"many": 1, "amount": "€10.00", "on_hold": "€10.00", "ready": "", "until": _DAY},
    "reward_ready": {"many": 2, "amount": "€20.00", "has_details": True},
    "reward_rejected": {"told": "This order was counted before."},
    "details_wanted": {"amount": "€50.00"},
    "payout_paid": {"amount": "€50.00", "reference": "PO-2026-0042", "payout_id": "example"},
    "payout_failed": {"amount": "€50.00", "failure": "account closed"},
    "method_changed": {"kind": "bank", "shown": "an account ending 4411", "until": _DAY},
    "password_changed": {},
    "claim_made": {"friend": "Bob T."},
    "claim_answered": {"named": "Alice", "counted": True},
    "appeal_answered": {"answer": "You were right: it counts."},
    "balance_corrected": {"amount": "€5.00", "more": True, "reason": "A goodwill gift."},
    "join": _LINK | {"inviter": "Olivia", "role": "reviewer"},
    "role_given": {"inviter": "Olivia", "role": "reviewer"},
    "digest": {"pending": 12, "days": 2},
}
"""Every mail with what it may tell. Links lead into the portal."""

_NOT_TOLD = (
    "goal",
    "often",
    "on_hold",
    "ready",
    "has_details",
    "counted",
    "more",
    "kind",
    "role",
    "reminds",
    "payout_id",
)


def places(kind: str) -> list[str]:
    """The names that may stand in braces in a text of one's own. `text` is what the portal says by itself."""
    return ["name", "program", *(name for name in EXAMPLES[kind] if name not in _NOT_TOLD), "subject", "text"]


def needs(kind: str) -> list[str]:
    """Of these, one has to be there, or the mail would be of no use."""
    return ["link", "text"] if "link" in EXAMPLES[kind] else []


def example(kind: str, to: User, spoken: str, *, at: datetime, tried: tuple[str, str] | None = None) -> outbox.Letter:
    """A mail as it would be written in a language, of invented facts; `tried`: by this subject and text."""
    stop = stops.token(Office.hash_key, "example") if kind in invites.MAILS or kind in TOPICS else ""
    person = Invited(to.email, spoken, "" if kind in invites.MAILS else to.first_name)
    facts = {name: f"{Office.base_url}{fact}" if name == "link" else fact for name, fact in EXAMPLES[kind].items()}
    (letter,) = written(kind, [(person, f"{kind} {at.isoformat()}", facts, stop)], tried=tried)
    return letter


def send_example(kind: str, to: User, spoken: str, *, at: datetime) -> None:
    """Sends it to them."""
    outbox.put_all(f"test {kind}"[:30], "user", [replace(example(kind, to, spoken, at=at), stop="")], at=at)
