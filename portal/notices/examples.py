"""Every mail with invented facts: for its preview, for a test of it, and as the list of its places."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from portal.accounts.users import User
from portal.delivery import outbox, stops
from portal.notices.writing import TOPICS, Invited, Office, standard, written
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
    "address_asked": {"address": "n•••@example.com"},
    "address_confirm": _LINK,
    "address_changed": _LINK,
    "address_taken_back": {},
    "account_changed": {"what": "two_step_on"},
    "wrong_code": {},
    "claim_made": {"friend": "Bob T."},
    "claim_answered": {"named": "Alice", "counted": True},
    "appeal_answered": {"answer": "You were right: it counts."},
    "balance_corrected": {"amount": "€5.00", "more": True, "reason": "A goodwill gift."},
    "join": _LINK | {"inviter": "Olivia", "role": "reviewer"},
    "role_given": {"inviter": "Olivia", "role": "reviewer"},
    "digest": {"pending": 12, "days": 2},
    "webhook_off": {"host": "shop.example.com", "gone": False, "webhook_id": "example"},
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
    "what",
    "role",
    "reminds",
    "payout_id",
    "gone",
    "webhook_id",
)


def places(kind: str) -> list[str]:
    """The names that may stand in braces in a text of one's own. `text` is what the portal says by itself."""
    return ["name", "program", *(name for name in EXAMPLES[kind] if name not in _NOT_TOLD), "subject", "text"]


def needs(kind: str) -> list[str]:
    """Of these, one has to be there, or the mail would be of no use."""
    return ["link", "text"] if "link" in EXAMPLES[kind] else []


def in_places(kind: str, spoken: str) -> tuple[str, str]:
    """The subject and the text that came with the portal, with places for what differs: to begin one's own with."""
    facts: dict[str, Any] = {"program": "{program}", "name": "" if kind in invites.MAILS else "{name}"}
    numbers: dict[str, str] = {}
    for place, (name, fact) in enumerate(EXAMPLES[kind].items()):
        if name in _NOT_TOLD or isinstance(fact, bool):
            facts[name] = fact
        elif isinstance(fact, int):  # a sentence may depend on how many: a number that stands nowhere else
            facts[name] = 900_001 + place
            numbers[str(facts[name])] = f"{{{name}}}"
        else:
            facts[name] = f"{{{name}}}"
    subject, body = standard(kind, spoken, facts)
    for number, place_ in numbers.items():
        subject, body = subject.replace(number, place_), body.replace(number, place_)
    return subject, body.strip()


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
