"""Notices: who is told what when the story moves, in their language.

Each writes a row to the outbox, in the same transaction.

Invariant: one mail of a kind about one thing to one person, however often the verb is called.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Protocol
from urllib.parse import quote

import jinja2

from portal import terms
from portal.accounts import mail_choices
from portal.accounts.mail_choices import Topic
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.config import ROOT
from portal.core import clock, language, money, text
from portal.delivery import outbox, stops, wordings
from portal.payouts import methods
from portal.payouts.methods import Method
from portal.payouts.payouts import Payout
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral
from portal.rewards import decisions, rewards, rules
from portal.rewards.appeals import Appeal
from portal.rewards.corrections import Correction
from portal.rewards.decisions import Approval, Decision, Verdict
from portal.rewards.rewards import Reward
from portal.rewards.rules import Beneficiary, Rule
from portal.sharing import invites, links
from portal.sharing.invites import Invite


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
    "digest": Topic.DIGEST,
}
"""The mails that one can do without, by what they are about; all others are needed."""

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
"""Every mail with what it may tell, as an example: for its preview, for a test of it, and as the list of its places.
Links lead into the portal."""

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
    (letter,) = _written(kind, [(person, f"{kind} {at.isoformat()}", facts, stop)], tried=tried)
    return letter


def send_example(kind: str, to: User, spoken: str, *, at: datetime) -> None:
    """Sends it to them."""
    outbox.put_all(f"test {kind}"[:30], "user", [replace(example(kind, to, spoken, at=at), stop="")], at=at)


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


def key_id() -> str:
    """The name of the key by which addresses are hashed."""
    return text.token_hash(Office.hash_key.hex())[:8]


def _mail(
    kind: str, user: User, about_kind: str, about_id: str, /, *, at: datetime, secret: bool = False, **facts: Any
) -> None:
    _mails(kind, about_kind, [(user, about_id, facts)], at=at, secret=secret)


def _mails(
    kind: str, about_kind: str, letters: Iterable[tuple[User, str, dict[str, Any]]], *, at: datetime,
    secret: bool = False,
) -> None:  # fmt: skip
    """Renders `templates/mail/<kind>.txt` for each (addressee, what it is about, facts), in their language, for those
    who want such mails. Moments among the facts are told as days."""
    outbox.put_all(kind, about_kind, _written(kind, _wanted(kind, list(letters))), secret=secret, at=at)


def _wanted(kind: str, letters: list[tuple[User, str, dict[str, Any]]]) -> list[tuple[User, str, dict[str, Any], str]]:
    """The letters of those who want them, each with the token by which it can be the last."""
    topic = TOPICS.get(kind)
    if topic is None:
        return [(*letter, "") for letter in letters]
    without = mail_choices.without(topic, [user.id for user, _, _ in letters])
    return [
        (user, about, facts, stops.token(Office.hash_key, "user", user.public_id, topic))
        for user, about, facts in letters
        if user.id not in without
    ]


def _written(
    kind: str, letters: Iterable[tuple[Any, str, dict[str, Any], str]], *, tried: tuple[str, str] | None = None
) -> list[outbox.Letter]:
    current = terms.current()
    zone, program = (current.time_zone, current.program_name) if current else ("UTC", "")
    # Of many that are told at once, most are told the same.
    own: dict[str, tuple[str, str] | None] = {}
    rendered: dict[tuple[Any, ...], tuple[str, str]] = {}
    feet: dict[tuple[str, str, bool], str] = {}
    written = []
    for person, about_id, facts, stop in letters:
        spoken = language.spoken(person.language)
        if spoken not in own:
            own[spoken] = tried or wordings.texts(kind, spoken)
        same = (spoken, person.first_name, *facts.values())
        if same not in rendered:
            rendered[same] = _rendered(
                kind, spoken, zone, own[spoken], program=program, name=person.first_name, **facts
            )
        subject, body = rendered[same]
        alike = (spoken, facts.get("sender", ""), bool(stop))
        if alike not in feet:
            feet[alike] = _foot(kind, spoken, program, facts.get("sender", ""), stops=bool(stop))
        to_hash = text.keyed_hash(Office.hash_key, person.email.lower())
        written.append(outbox.Letter(
            to=person.email, to_hash=to_hash, subject=subject,
            text=f"{body.rstrip()}\n\n-- \n{feet[alike].replace(_STOP, stop)}", about_id=about_id,
            language=spoken, stop=stop,
        ))  # fmt: skip
    return written


_STOP = "THE-TOKEN"


def _foot(kind: str, spoken: str, program: str, sender: str, *, stops: bool) -> str:
    """The small print, with a place for the token by which such mails stop."""
    link = f"{Office.base_url}/unsubscribe/{_STOP}" if stops else ""
    foot = _letters(spoken).get_template("_foot.txt").render(mail=kind, program=program, sender=sender, stop=link)
    return f"{foot.strip()}\n"


def _rendered(kind: str, spoken: str, zone: str, own: tuple[str, str] | None, /, **facts: Any) -> tuple[str, str]:
    """The subject and the text of a mail in a language: the owner's wording, or that which came with the portal."""
    told = {name: _day(fact, zone, spoken) if isinstance(fact, datetime) else fact for name, fact in facts.items()}
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


def _day(at: datetime, zone: str, spoken: str) -> str:
    return language.long_day(clock.local_date(at, zone), spoken)


def _amount(to: User, minor: int, currency: str) -> str:
    return money.shown(minor, currency, language.spoken(to.language))


def _ready(to: User, told: str) -> str:
    """A text that came with the portal, in the language of whoever gets it; another as it was written."""
    return language.catalogue(language.spoken(to.language)).gettext(told) if told else ""


def confirm_address(user: User, secret: str, *, at: datetime) -> None:
    """The link by which an address is confirmed; each sign-up has its own."""
    about = text.token_hash(secret)
    _mail("confirm", user, "key", about, at=at, secret=True, link=f"{Office.base_url}/confirm/{quote(secret)}")


def already_registered(user: User, *, at: datetime) -> None:
    """To somebody who has an account and for whom a sign-up was tried; at most one an hour."""
    _mail("already_registered", user, "user", f"{user.public_id} {at:%Y-%m-%dT%H}", at=at)


def reset_password(user: User, secret: str, *, at: datetime) -> None:
    """The link by which a new password is set."""
    about = text.token_hash(secret)
    _mail("reset", user, "key", about, at=at, secret=True, link=f"{Office.base_url}/reset/{quote(secret)}")


def password_changed(user: User, *, at: datetime) -> None:
    """A warning to the owner of the account."""
    _mail("password_changed", user, "user", f"{user.public_id} {at.isoformat()}", at=at)


def colleague_invited(user: User, inviter: User, role: Role, secret: str, *, at: datetime) -> None:
    """The link by which a colleague chooses a password and has the role."""
    about = text.token_hash(secret)
    _mail("join", user, "key", about, at=at, secret=True, inviter=inviter.called, role=role,
          link=f"{Office.base_url}/join/{quote(secret)}")  # fmt: skip


def role_given(user: User, inviter: User, role: Role, *, at: datetime) -> None:
    """To a colleague who has an account: what they may do now."""
    _mail("role_given", user, "user", f"{user.public_id} {role} {at.isoformat()}", at=at, inviter=inviter.called,
          role=role)  # fmt: skip


# --- invites --------------------------------------------------------------------------------------------------


def invited(invite: Invite, sender: User, *, at: datetime, kind: str = invites.FIRST, spoken: str = "") -> bool:
    """To a friend, in the name of whoever asked for it; where the address has been deleted, to nobody. Whether a mail
    was written: of each kind there is one."""
    if invite.to is None:
        return False
    stop = stops.token(Office.hash_key, "invite", invite.public_id)
    link = f"{Office.base_url}/r/{links.current_code(invite.link_id)}"
    before = outbox.about(invites.MAILS, "invite", [invite.public_id])
    spoken = language.spoken(before[0].language if before else spoken or sender.language)
    facts = _invitation(sender, invite.note, link, spoken, reminds=invite.remind)
    letter = (Invited(invite.to, spoken), invite.public_id, facts, stop)
    return bool(outbox.put_all(kind, "invite", _written(kind, [letter]), at=at))


def invitation(sender: User, note: str, spoken: str) -> outbox.Letter:
    """An invite as it would be written now in a language, to nobody."""
    facts = _invitation(sender, note, f"{Office.base_url}/r/…", spoken, reminds=False)
    stop = stops.token(Office.hash_key, "example")
    to = Invited("friend@example.com", spoken)
    (letter,) = _written(invites.FIRST, [(to, "", facts, stop)])
    return letter


def _invitation(sender: User, note: str, link: str, spoken: str, *, reminds: bool) -> dict[str, Any]:
    current = terms.in_force()
    gift = next((rule for rule in rules.of_terms(current.id) if rule.beneficiary == Beneficiary.REFEREE), None)
    minimum = gift.minimum_order_minor if gift else None
    return {
        "sender": sender.first_name,
        "note": text.one_line(note, 280),
        "reminds": reminds,
        "gift": _gift(gift, current.currency, spoken) if gift else "",
        "goal": gift.goal if gift else "",
        "often": gift.often if gift else "",
        "minimum": money.shown(minimum, current.currency, spoken) if minimum else "",
        "link": link,
    }


def _gift(rule: Rule, currency: str, spoken: str) -> str:
    """What a friend gets, for a heading."""
    if rule.amount_minor is not None:
        return money.brief(rule.amount_minor, currency, spoken)
    return language.share(rule.share_bp or 0, spoken)


def invite_withdrawn(invite: Invite) -> None:
    """What has not gone out yet stays here."""
    for kind in invites.MAILS:
        outbox.withdraw(kind, "invite", [invite.public_id])


# --- friends, rewards, payouts --------------------------------------------------------------------------------


def friend_joined(referral: Referral, referee: User, referrer: User, *, at: datetime) -> None:
    """To the referrer, once the address is theirs for sure."""
    if referrer.confirmed_at is not None:
        _mail("friend_joined", referrer, "referral", referral.public_id, at=at, friend=referee.as_friend,
              until=referral.expires_at)  # fmt: skip


def claim_made(claim: Claim, referee: User, referrer: User, *, at: datetime) -> None:
    """To whom somebody named as having invited them."""
    _mail("claim_made", referrer, "claim", claim.public_id, at=at, friend=referee.as_friend)


def claim_answered(claim: Claim, referee: User, *, counted: bool, at: datetime) -> None:
    """To whoever named somebody: what the answer was."""
    _mail("claim_answered", referee, "claim", claim.public_id, at=at, named=claim.named, counted=counted)


def appeal_answered(appeal: Appeal, reward: Reward, *, at: datetime) -> None:
    """To whoever asked to look again."""
    _mail("appeal_answered", reward.person, "appeal", appeal.public_id, at=at, answer=appeal.answer)


def rewards_approved(reward_ids: Collection[int], *, at: datetime) -> None:
    """To everybody who gets some: one mail for all that was approved in one act."""
    people = rewards.people_of(reward_ids)
    _mails("reward_approved", "approval", _of_approvals(decisions.approvals(at, people), people, at), at=at)


def _of_approvals(
    given: Iterable[Approval], people: Mapping[int, User], at: datetime
) -> Iterator[tuple[User, str, dict[str, Any]]]:
    for one in given:
        person = people[one.person_id]
        yield (
            person,
            decisions.name_of_act(person, at, one.currency),
            {"many": one.many, "until": one.until}
            | {
                name: _amount(person, minor, one.currency) if minor else ""
                for name, minor in (
                    ("amount", one.amount_minor),
                    ("on_hold", one.on_hold_minor),
                    ("ready", one.amount_minor - one.on_hold_minor),
                )
            },
        )


def rewards_ready(reward_ids: Collection[int], *, at: datetime) -> None:
    """To everybody whose rewards have passed their hold: one mail for all that became ready at once."""
    people = rewards.people_of(reward_ids)
    letters = [
        (people[person_id], f"{people[person_id].public_id} {at.isoformat()} {currency}",
         {"many": many, "amount": _amount(people[person_id], minor, currency),
          "has_details": methods.in_force(person_id) is not None})
        for person_id, currency, many, minor in rewards.sums_of(reward_ids)
    ]  # fmt: skip
    _mails("reward_ready", "release", letters, at=at)


def rewards_rejected(chosen: Sequence[Reward], told: str, *, at: datetime) -> None:
    """To whoever was to get one, in the words the reviewer chose."""
    numbers = decisions.decided_times([reward.id for reward in chosen])
    letters = (
        (reward.person, f"{reward.public_id} {numbers[reward.id]}", {"told": _ready(reward.person, told)})
        for reward in chosen
    )
    _mails("reward_rejected", "reward", letters, at=at)


def decisions_taken_back(taken_back: Iterable[tuple[Reward, Decision]]) -> None:
    """What was decided a moment ago is told to nobody, if the mail about it has not gone out yet; one about several
    approvals tells of those that still stand."""
    rejected, approved = [], defaultdict[datetime, list[Reward]](list)
    for reward, decision in taken_back:
        if decision.verdict == Verdict.REJECT:
            rejected.append(f"{reward.public_id} {decision.number}")
        else:
            approved[decision.at].append(reward)
    outbox.withdraw("reward_rejected", "reward", rejected)
    for at, chosen in approved.items():
        people = {reward.person_id: reward.person for reward in chosen}
        still = list(_of_approvals(decisions.approvals(at, people), people, at))
        for letter in _written("reward_approved", _wanted("reward_approved", still)):
            outbox.rewrite("reward_approved", "approval", letter)
        all_ = {decisions.name_of_act(reward.person, at, reward.currency) for reward in chosen}
        outbox.withdraw("reward_approved", "approval", all_.difference(about for _, about, _ in still))


def balance_corrected(correction: Correction, *, at: datetime) -> None:
    """To whoever's balance it is: how much, and why."""
    person = correction.person
    _mail("balance_corrected", person, "correction", correction.public_id, at=at, reason=correction.reason,
          more=correction.amount_minor > 0,
          amount=_amount(person, abs(correction.amount_minor), correction.currency))  # fmt: skip


def payout_paid(payout: Payout, *, at: datetime) -> None:
    """To whoever was paid. Voucher codes are read on the page, not in the mail."""
    _mail("payout_paid", payout.user, "payout", payout.public_id, at=at, reference=payout.reference,
          amount=_amount(payout.user, payout.amount_minor, payout.currency), payout_id=payout.public_id)  # fmt: skip


def payout_failed(payout: Payout, *, at: datetime) -> None:
    """To whoever could not be paid, with the reason."""
    _mail("payout_failed", payout.user, "payout", payout.public_id, at=at, failure=payout.failure,
          amount=_amount(payout.user, payout.amount_minor, payout.currency))  # fmt: skip


def details_wanted(user: User, minor: int, currency: str, *, at: datetime) -> None:
    """To whoever has money and has not said how to be paid."""
    _mail("details_wanted", user, "user", f"{user.public_id} {at:%Y-%m-%d}", at=at,
          amount=_amount(user, minor, currency))  # fmt: skip


def digest(user: User, pending: int, oldest_at: datetime, today: date, *, at: datetime) -> None:
    """To a colleague who decides, once a day while anything waits."""
    days = (at - oldest_at).days
    _mail("digest", user, "digest", f"{user.public_id} {today.isoformat()}", at=at, pending=pending, days=days)


def method_changed(user: User, method: Method, *, at: datetime) -> None:
    """A warning to the owner of the account: somebody who took it over would change this first."""
    _mail("method_changed", user, "method", method.public_id, at=at, kind=method.kind, shown=method.shown,
          until=method.usable_at)  # fmt: skip
