"""Notices: who is told what when the story moves, in their language.

Each writes a row to the outbox, in the same transaction.

Invariant: one mail of a kind about one thing to one person, however often the verb is called.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote

import jinja2

from portal import terms
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.config import ROOT
from portal.core import clock, language, money, text
from portal.delivery import outbox
from portal.payouts.methods import Method
from portal.payouts.payouts import Payout
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral
from portal.rewards import decisions, rewards
from portal.rewards.appeals import Appeal
from portal.rewards.corrections import Correction
from portal.rewards.decisions import Approval, Decision, Verdict
from portal.rewards.rewards import Reward


@cache
def _letters(spoken: str) -> jinja2.Environment:
    """The templates of mails, in a language."""
    letters = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "templates" / "mail"),
        autoescape=False,  # plain text
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


def _mail(
    kind: str, user: User, about_kind: str, about_id: str, /, *, at: datetime, secret: bool = False, **facts: Any
) -> None:
    _mails(kind, about_kind, [(user, about_id, facts)], at=at, secret=secret)


def _mails(
    kind: str,
    about_kind: str,
    letters: Iterable[tuple[User, str, dict[str, Any]]],
    *,
    at: datetime,
    secret: bool = False,
) -> None:
    """Renders `templates/mail/<kind>.txt` for each (addressee, what it is about, facts), in their language: the first
    line is the subject. Moments among the facts are told as days."""
    outbox.put_all(kind, about_kind, _written(kind, letters), secret=secret, at=at)


def _written(kind: str, letters: Iterable[tuple[User, str, dict[str, Any]]]) -> list[outbox.Letter]:
    current = terms.current()
    zone, program = (current.time_zone, current.program_name) if current else ("UTC", "")
    rendered: dict[tuple[Any, ...], tuple[str, str]] = {}  # of many that are told at once, most are told the same
    written = []
    for user, about_id, facts in letters:
        spoken = language.spoken(user.language)
        same = (spoken, user.first_name, *facts.values())
        if same not in rendered:
            rendered[same] = _rendered(kind, spoken, zone, program=program, name=user.first_name, **facts)
        subject, body = rendered[same]
        to_hash = text.keyed_hash(Office.hash_key, user.email.lower())
        written.append(outbox.Letter(to=user.email, to_hash=to_hash, subject=subject, text=body, about_id=about_id))
    return written


def _rendered(kind: str, spoken: str, zone: str, /, **facts: Any) -> tuple[str, str]:
    """The subject and the text of a mail in a language."""
    told = {name: _day(fact, zone, spoken) if isinstance(fact, datetime) else fact for name, fact in facts.items()}
    letter = _letters(spoken).get_template(f"{kind}.txt").render(base_url=Office.base_url, **told)
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
        for letter in _written("reward_approved", still):
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


def method_changed(user: User, method: Method, *, at: datetime) -> None:
    """A warning to the owner of the account: somebody who took it over would change this first."""
    _mail("method_changed", user, "method", method.public_id, at=at, kind=method.kind, shown=method.shown,
          until=method.usable_at)  # fmt: skip
