"""How a mail is written: its template or the owner's wording, in the language of whoever gets it, with its small print.

Invariant: what is written is a row of the outbox in the caller's transaction, or nothing.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Protocol

import jinja2

from portal import terms
from portal.accounts import mail_choices, users
from portal.accounts.mail_choices import Topic
from portal.accounts.users import User
from portal.config import ROOT
from portal.core import clock, language, money, text
from portal.delivery import outbox, stops, wordings
from portal.delivery.letters import Block, blocks


@cache
def _letters(spoken: str) -> jinja2.Environment:
    """The templates of mails, in a language."""
    letters = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "templates" / "mail"),
        autoescape=False,  # plain text
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    catalogue = language.catalogue(spoken)
    letters.install_gettext_translations(catalogue, newstyle=True)  # type: ignore[attr-defined] # by the extension
    return letters


class Office:
    """Where the portal writes from: the address of its pages and the key of the hashed addressees. Set at start."""

    base_url = "http://127.0.0.1:8000"
    hash_key = b""


TOPICS = {
    "friend_joined": Topic.FRIENDS,
    "reward_approved": Topic.REWARDS,
    "reward_ready": Topic.REWARDS,
    "details_wanted": Topic.PAYOUTS,
    "payout_paid": Topic.PAYOUTS,
    "month_summary": Topic.MONTH,
    "digest": Topic.DIGEST,
}
"""The mails that one can do without, by what they are about; all others are needed."""


class Addressee(Protocol):
    """Whoever is written to."""

    email: str

    @property
    def first_name(self) -> str: ...

    @property
    def language(self) -> str: ...


@dataclass(frozen=True)
class Invited:
    """Somebody who has no account, at an address that a referrer typed."""

    email: str
    language: str
    first_name: str = ""


def hashed(email: str) -> str:
    """An address as it is known for ever without being kept: its mailbox, hashed with the portal's own key."""
    return text.keyed_hash(Office.hash_key, users.mailbox(email))


def key_id() -> str:
    """The name of the key by which addresses are hashed."""
    return text.token_hash(Office.hash_key.hex())[:8]


def tell(
    kind: str, user: User, about_kind: str, about_id: str, /, *, at: datetime, secret: bool = False, **facts: Any
) -> None:
    """One mail: see `tell_all`."""
    tell_all(kind, about_kind, [(user, about_id, facts)], at=at, secret=secret)


def tell_all(
    kind: str, about_kind: str, letters: Iterable[tuple[User, str, dict[str, Any]]], *, at: datetime,
    secret: bool = False,
) -> None:  # fmt: skip
    """Renders `templates/mail/<kind>.txt` for each (addressee, what it is about, facts), in their language, for those
    who want such mails. Moments among the facts are told as days."""
    outbox.put_all(kind, about_kind, written(kind, wanted(kind, list(letters))), secret=secret, at=at)


def tell_address(
    kind: str, addressee: Invited, about_kind: str, about_id: str, facts: dict[str, Any], *, at: datetime
) -> None:
    """A mail with a secret to an address that is no account's own (any more, or not yet)."""
    outbox.put_all(kind, about_kind, written(kind, [(addressee, about_id, facts, "")]), secret=True, at=at)


def wanted(kind: str, letters: list[tuple[User, str, dict[str, Any]]]) -> list[tuple[User, str, dict[str, Any], str]]:
    """The letters of those who have an address and want them, each with the token by which it can be the last."""
    letters = [letter for letter in letters if letter[0].has_address]
    topic = TOPICS.get(kind)
    if topic is None:
        return [(*letter, "") for letter in letters]
    without = mail_choices.without(topic, [user.id for user, _, _ in letters])
    return [(user, about, facts, stop_token(user, topic)) for user, about, facts in letters if user.id not in without]


def stop_token(user: User, topic: Topic) -> str:
    """The token by which a mail about a topic can be somebody's last."""
    return stops.token(Office.hash_key, "user", user.public_id, topic)


def written(
    kind: str, letters: Iterable[tuple[Any, str, dict[str, Any], str]], *, tried: tuple[str, str] | None = None,
    program: str = "",
) -> list[outbox.Letter]:  # fmt: skip
    """A letter for each (addressee, what it is about, facts, token by which it can be the last), in their language;
    `tried`: by this subject and text; `program`: under this name. StrictUndefined's error if a fact is missing."""
    current = terms.current()
    zone, name = (current.time_zone, current.program_name) if current else ("UTC", "")
    program = program or name
    # Of many that are told at once, most are told the same but for what stands in places.
    own: dict[str, tuple[str, str] | None] = {}
    rendered: dict[tuple[Any, ...], tuple[str, str]] = {}
    feet: dict[tuple[str, str, bool], str] = {}
    made = []
    for person, about_id, facts, stop in letters:
        spoken = language.spoken(person.language)
        if spoken not in own:
            own[spoken] = tried or wordings.texts(kind, spoken)
        told, filling = _in_places({"name": person.first_name, **facts})
        same = (spoken, *told.values())
        if same not in rendered:
            rendered[same] = _rendered(kind, spoken, zone, own[spoken], program=program, **told)
        subject, body = rendered[same]
        for place, fact in filling:
            subject, body = subject.replace(place, fact), body.replace(place, fact)
        alike = (spoken, facts.get("sender", ""), bool(stop))
        if alike not in feet:
            feet[alike] = _foot(kind, spoken, program, facts.get("sender", ""), stops=bool(stop))
        to_hash = hashed(person.email)
        made.append(outbox.Letter(
            to=person.email, to_hash=to_hash, subject=subject,
            text=f"{body.rstrip()}\n\n-- \n{feet[alike].replace(_STOP, stop)}", about_id=about_id,
            language=spoken, stop=stop,
        ))  # fmt: skip
    return made


PRINTED = ("name", "amount", "on_hold", "ready", "earned", "paid", "friend_id")
"""Facts with which a template does no more than print them, or something else if they are empty."""

_PLACES = {name: f"{secrets.token_hex(8)}-{name}" for name in PRINTED}
"""What stands for them in a text that is rendered once for many; nobody else can write it."""


def _in_places(facts: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The facts with places for those that are only printed, and what goes into the places."""
    filling = [(_PLACES[name], facts[name]) for name in PRINTED if facts.get(name)]
    return facts | {name: _PLACES[name] for name in PRINTED if facts.get(name)}, filling


_STOP = "THE-TOKEN"


def _foot(kind: str, spoken: str, program: str, sender: str, *, stops: bool) -> str:
    """The small print, with a place for the token by which such mails stop."""
    link = f"{Office.base_url}/unsubscribe/{_STOP}" if stops else ""
    foot = _letters(spoken).get_template("_foot.txt").render(mail=kind, program=program, sender=sender, stop=link)
    return f"{foot.strip()}\n"


def _rendered(kind: str, spoken: str, zone: str, own: tuple[str, str] | None, /, **facts: Any) -> tuple[str, str]:
    """The subject and the text of a mail in a language: the owner's wording, or that which came with the portal."""
    told = {name: _day(fact, zone, spoken) if isinstance(fact, date) else fact for name, fact in facts.items()}
    subject, body = standard(kind, spoken, told)
    if own is None:
        return subject, body
    places = told | {"subject": subject, "text": body.strip()}
    return wordings.filled(own[0], places), wordings.filled(own[1], places)


def standard(kind: str, spoken: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """The subject and the text that came with the portal."""
    letter = _letters(spoken).get_template(f"{kind}.txt").render(base_url=Office.base_url, **facts)
    subject, _, body = letter.partition("\n")
    return subject.removeprefix("Subject: "), body.lstrip("\n")


def as_seen(text: str) -> list[Block]:
    """The text of a mail as its reader sees it, for a preview."""
    return blocks(text, f"{Office.base_url}/")


def _day(at: date, zone: str, spoken: str) -> str:
    return language.long_day(clock.local_date(at, zone) if isinstance(at, datetime) else at, spoken)


def amount_for(to: User, minor: int, currency: str) -> str:
    """An amount in minor units as its reader writes it."""
    return money.shown(minor, currency, language.spoken(to.language))
