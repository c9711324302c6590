"""Every mail with invented facts: for its preview, for a test of it, and as the list of its places."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from portal import terms
from portal.accounts.mail_choices import Topic
from portal.accounts.users import User
from portal.core import language, money
from portal.delivery import outbox, stops
from portal.notices.writing import TOPICS, Invited, Office, standard, stop_token, written
from portal.sharing import invites


@dataclass(frozen=True)
class Coins:
    """An amount in whole units of the program's currency, and how it is said."""

    whole: int
    said: Callable[[int, str, str], str] = money.shown

    def told(self, spoken: str) -> str:
        """The amount in a language."""
        current = terms.current()
        currency = current.currency if current else "EUR"
        return self.said(self.whole * 10 ** money.digits(currency), currency, spoken)


_DAY = datetime(2026, 12, 3, tzinfo=UTC)
_INVITE = {
    "sender": "Alice", "note": "They roast on Tuesdays.", "reminds": True, "gift": Coins(10, money.brief),
    "goal": "purchase", "often": "first", "minimum": Coins(30), "link": "/r/EXAMPLE2", "since": _DAY, "ends": "",
}  # fmt: skip
_LINK = {"link": "/an-example"}

EXAMPLES: dict[str, dict[str, Any]] = {
    invites.FIRST: _INVITE,
    invites.REMINDER: _INVITE,
    "confirm": _LINK,
    "already_registered": {},
    "reset": _LINK,
    "friend_joined": {"friend": "Bob T.", "until": _DAY, "friend_id": ""},
    "reward_approved": {
        "many": 1,
        "amount": Coins(10),
        "on_hold": Coins(10),
        "ready": "",
        "until": _DAY,
        "pays_on": "",
    },
    "reward_ready": {"many": 2, "amount": Coins(20), "has_details": True, "pays_on": ""},
    "reward_rejected": {"told": "This order was counted before.", "friend_id": ""},
    "details_wanted": {"amount": Coins(50)},
    "payout_paid": {"amount": Coins(50), "reference": "PO-2026-0042", "payout_id": ""},
    "payout_failed": {"amount": Coins(50), "failure": "account closed"},
    "method_changed": {"kind": "bank", "shown": "an account ending 4411", "until": _DAY},
    "password_changed": {},
    "address_asked": {"address": "n•••@example.com"},
    "address_wanted": {},
    "address_confirm": _LINK,
    "address_changed": _LINK,
    "address_taken_back": {},
    "account_changed": {"what": "two_step_on"},
    "wrong_code": {},
    "claim_made": {"friend": "Bob T."},
    "claim_answered": {"named": "Alice", "counted": True},
    "appeal_answered": {"answer": "You were right: it counts."},
    "balance_corrected": {"amount": Coins(5), "more": True, "reason": "A goodwill gift."},
    "join": _LINK | {"inviter": "Olivia", "role": "reviewer"},
    "role_given": {"inviter": "Olivia", "role": "reviewer"},
    "month_summary": {
        "month": date(2026, 11, 1),
        "joined": 3,
        "counted": 2,
        "earned": Coins(20),
        "paid": Coins(50),
    },
    "digest": {"pending": 12, "days": 2},
    "webhook_off": {"host": "shop.example.com", "gone": False, "webhook_id": "example"},
}
"""Every mail with what it may tell: see `facts`. Links lead into the portal, days that are no moments are months."""

_NOT_TOLD = (
    "goal",
    "often",
    "on_hold",
    "ready",
    "has_details",
    "pays_on",
    "counted",
    "more",
    "kind",
    "what",
    "role",
    "reminds",
    "payout_id",
    "ends",
    "friend_id",
    "gone",
    "webhook_id",
)


def facts(kind: str, spoken: str) -> dict[str, Any]:
    """What an example of a mail tells, as it is told in a language."""
    return {name: _told(name, fact, spoken) for name, fact in EXAMPLES[kind].items()}


def _told(name: str, fact: Any, spoken: str) -> Any:
    if isinstance(fact, Coins):
        return fact.told(spoken)
    if isinstance(fact, date) and not isinstance(fact, datetime):
        return language.month(fact, spoken)
    return f"{Office.base_url}{fact}" if name == "link" else fact


def places(kind: str) -> list[str]:
    """The names that may stand in braces in a text of one's own. `text` is what the portal says by itself."""
    return ["name", "program", *(name for name in EXAMPLES[kind] if name not in _NOT_TOLD), "subject", "text"]


def needs(kind: str) -> list[str]:
    """Of these, one has to be there, or the mail would be of no use."""
    return ["link", "text"] if "link" in EXAMPLES[kind] else []


def in_places(kind: str, spoken: str) -> tuple[str, str]:
    """The subject and the text that came with the portal, with places for what differs: to begin one's own with."""
    told: dict[str, Any] = {"program": "{program}", "name": "" if kind in invites.MAILS else "{name}"}
    numbers: dict[str, str] = {}
    for place, (name, fact) in enumerate(facts(kind, spoken).items()):
        if name in _NOT_TOLD or isinstance(fact, bool):
            told[name] = fact
        elif isinstance(fact, int):  # a sentence may depend on how many: a number that stands nowhere else
            told[name] = 900_001 + place
            numbers[str(told[name])] = f"{{{name}}}"
        else:
            told[name] = f"{{{name}}}"
    subject, body = standard(kind, spoken, told)
    for number, place_ in numbers.items():
        subject, body = subject.replace(number, place_), body.replace(number, place_)
    return subject, body.strip()


def example(kind: str, to: User, spoken: str, *, at: datetime, tried: tuple[str, str] | None = None) -> outbox.Letter:
    """A mail as it would be written in a language, of invented facts; `tried`: by this subject and text."""
    stop = _stop(kind, to)
    person = Invited(to.email, spoken, "" if kind in invites.MAILS else to.first_name)
    told = facts(kind, spoken)
    if "pays_on" in told:
        told["pays_on"] = terms.in_force().next_pay_day(at=at) or ""
    (letter,) = written(kind, [(person, f"{kind} {at.isoformat()}", told, stop)], tried=tried)
    return letter


def _stop(kind: str, to: User) -> str:
    """The token of its *Unsubscribe*: of an invite, one that stops nothing."""
    if kind in TOPICS:
        return stop_token(to, TOPICS[kind])
    return stops.token(Office.hash_key, "example") if kind in invites.MAILS else ""


def about(topic: Topic, to: User, *, at: datetime) -> list[outbox.Letter]:
    """The mails about a topic as they would be written to somebody, of invented facts."""
    kinds = [kind for kind, of in TOPICS.items() if of == topic]
    return [example(kind, to, language.spoken(to.language), at=at) for kind in kinds]


def send_example(kind: str, to: User, spoken: str, *, at: datetime) -> None:
    """Sends it to them."""
    outbox.put_all(f"test {kind}"[:30], "user", [replace(example(kind, to, spoken, at=at), stop="")], at=at)
