"""Notices: who is told what when the story moves, in their language.

Each writes a row to the outbox, in the same transaction. How a mail is written stands in `writing`, what friends are
sent in `invitations`, and what each mail may tell in `examples`.

Invariant: one mail of a kind about one thing to one person, however often the verb is called.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol
from urllib.parse import quote

from portal import terms
from portal.accounts import users
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.core import language, text
from portal.delivery import outbox
from portal.delivery.endpoints import Endpoint, Off
from portal.notices import events
from portal.notices.events import Event
from portal.notices.writing import Invited, Office, amount_for, tell, tell_address, tell_all, wanted, written
from portal.payouts import methods
from portal.payouts.methods import Method
from portal.payouts.payouts import Payout
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral
from portal.rewards import clawbacks, decisions, rewards
from portal.rewards.appeals import Appeal
from portal.rewards.corrections import Correction
from portal.rewards.decisions import Approval, Decision, Verdict
from portal.rewards.rewards import Reward
from portal.rewards.rules import Beneficiary


def confirm_address(user: User, secret: str, *, at: datetime) -> None:
    """The link by which an address is confirmed; each sign-up has its own."""
    about = text.token_hash(secret)
    tell("confirm", user, "key", about, at=at, secret=True, link=f"{Office.base_url}/confirm/{quote(secret)}")


def already_registered(user: User, *, at: datetime) -> None:
    """To somebody who has an account and for whom a sign-up was tried; at most one an hour."""
    tell("already_registered", user, "user", f"{user.public_id} {at:%Y-%m-%dT%H}", at=at)


def reset_password(user: User, secret: str, *, at: datetime) -> None:
    """The link by which a new password is set."""
    about = text.token_hash(secret)
    tell("reset", user, "key", about, at=at, secret=True, link=f"{Office.base_url}/reset/{quote(secret)}")


def password_changed(user: User, *, at: datetime) -> None:
    """A warning to the owner of the account."""
    tell("password_changed", user, "user", f"{user.public_id} {at.isoformat()}", at=at)


def address_asked(user: User, new: str, secret: str, *, at: datetime) -> None:
    """A warning to the address that an account has: it is to have another one."""
    tell("address_asked", user, "key", text.token_hash(secret), at=at, address=users.masked(new))


def address_wanted(user: User, *, at: datetime) -> None:
    """To somebody who has an account with an address that another account is to have; at most one an hour, and not a
    word of whose that is."""
    tell("address_wanted", user, "user", f"{user.public_id} {at:%Y-%m-%dT%H}", at=at)


def confirm_new_address(addressee: Invited, secret: str, *, at: datetime) -> None:
    """The link by which an account has this address."""
    facts = {"link": f"{Office.base_url}/address/{quote(secret)}"}
    tell_address("address_confirm", addressee, "key", text.token_hash(secret), facts, at=at)


def address_changed(addressee: Invited, secret: str, *, at: datetime) -> None:
    """A warning to the address of before, with the way back."""
    facts = {"link": f"{Office.base_url}/address-back/{quote(secret)}"}
    tell_address("address_changed", addressee, "key", text.token_hash(secret), facts, at=at)


def address_taken_back(addressee: Invited, about: str, *, at: datetime) -> None:
    """To the address that an account has no more, because it went back to one of before."""
    tell_address("address_taken_back", addressee, "key", about, {}, at=at)


def account_changed(user: User, what: str, *, at: datetime) -> None:
    """A warning to the owner of the account: `what` happened to how one signs in."""
    tell("account_changed", user, "user", f"{user.public_id} {what} {at.timestamp():.6f}", at=at, what=what)


def wrong_code(user: User, *, at: datetime) -> None:
    """To the owner of an account whose password somebody knows, but not the code; at most one a day."""
    tell("wrong_code", user, "user", f"{user.public_id} {at:%Y-%m-%d}", at=at)


def colleague_invited(user: User, inviter: User, role: Role, secret: str, *, at: datetime) -> None:
    """The link by which a colleague chooses a password and has the role."""
    about = text.token_hash(secret)
    tell("join", user, "key", about, at=at, secret=True, inviter=inviter.called, role=role,
          link=f"{Office.base_url}/join/{quote(secret)}")  # fmt: skip


def role_given(user: User, inviter: User, role: Role, *, at: datetime) -> None:
    """To a colleague who has an account: what they may do now."""
    tell("role_given", user, "user", f"{user.public_id} {role} {at.isoformat()}", at=at, inviter=inviter.called,
          role=role)  # fmt: skip


# --- friends, rewards, payouts --------------------------------------------------------------------------------


def friend_joined(referral: Referral, referee: User, referrer: User, *, at: datetime) -> None:
    """To the referrer, once the address is theirs for sure."""
    if referrer.confirmed_at is not None:
        tell("friend_joined", referrer, "referral", referral.public_id, at=at, friend=referee.as_friend,
              until=referral.expires_at, friend_id=referral.public_id)  # fmt: skip


def claim_made(claim: Claim, referee: User, referrer: User, *, at: datetime) -> None:
    """To whom somebody named as having invited them."""
    tell("claim_made", referrer, "claim", claim.public_id, at=at, friend=referee.as_friend)


def claim_answered(claim: Claim, referee: User, *, counted: bool, at: datetime) -> None:
    """To whoever named somebody: what the answer was."""
    tell("claim_answered", referee, "claim", claim.public_id, at=at, named=claim.named, counted=counted)


def appeal_answered(appeal: Appeal, reward: Reward, *, at: datetime) -> None:
    """To whoever asked to look again."""
    tell("appeal_answered", reward.person, "appeal", appeal.public_id, at=at, answer=appeal.answer)


def rewards_approved(reward_ids: Collection[int], *, at: datetime) -> None:
    """To everybody who gets some: one mail for all that was approved in one act."""
    people = rewards.people_of(reward_ids)
    tell_all("reward_approved", "approval", _of_approvals(decisions.approvals(at, people), people, at), at=at)
    events.rewards_moved(Event.REWARD_APPROVED, reward_ids, at=at)


def _pays_on(at: datetime) -> date | str:
    """The next pay day; empty where there is no fixed day."""
    return terms.in_force().next_pay_day(at=at) or ""


def _of_approvals(
    given: Iterable[Approval], people: Mapping[int, User], at: datetime
) -> Iterator[tuple[User, str, dict[str, Any]]]:
    pays_on = _pays_on(at)
    for one in given:
        person = people[one.person_id]
        yield (
            person,
            decisions.name_of_act(person, at, one.currency),
            {"many": one.many, "until": one.until, "pays_on": pays_on}
            | {
                name: amount_for(person, minor, one.currency) if minor else ""
                for name, minor in (
                    ("amount", one.amount_minor),
                    ("on_hold", one.on_hold_minor),
                    ("ready", one.amount_minor - one.on_hold_minor),
                )
            },
        )


def rewards_ready(reward_ids: Collection[int], *, at: datetime) -> None:
    """To everybody whose rewards have passed their hold: one mail for all that became ready at once."""
    if not reward_ids:
        return
    people, pays_on = rewards.people_of(reward_ids), _pays_on(at)
    letters = [
        (people[person_id], f"{people[person_id].public_id} {at.isoformat()} {currency}",
         {"many": many, "amount": amount_for(people[person_id], minor, currency),
          "has_details": methods.in_force(person_id) is not None, "pays_on": pays_on})
        for person_id, currency, many, minor in clawbacks.sums_of(reward_ids)
    ]  # fmt: skip
    tell_all("reward_ready", "release", letters, at=at)


def _ready(to: User, told: str) -> str:
    """A text that came with the portal, in the language of whoever gets it; another as it was written."""
    return language.catalogue(language.spoken(to.language)).gettext(told) if told else ""


def _friend_id(reward: Reward) -> str:
    """Under which name the page of the friend stands whom a reward is for; none for a friend's own."""
    return reward.referral.public_id if reward.beneficiary == Beneficiary.REFERRER else ""


def rewards_rejected(chosen: Sequence[Reward], told: str, *, at: datetime) -> None:
    """To whoever was to get one, in the words the reviewer chose."""
    numbers = decisions.decided_times([reward.id for reward in chosen])
    letters = (
        (
            reward.person,
            f"{reward.public_id} {numbers[reward.id]}",
            {"told": _ready(reward.person, told), "friend_id": _friend_id(reward)},
        )
        for reward in chosen
    )
    tell_all("reward_rejected", "reward", letters, at=at)
    events.rewards_moved(Event.REWARD_REJECTED, [reward.id for reward in chosen], at=at)


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
        for letter in written("reward_approved", wanted("reward_approved", still)):
            outbox.rewrite("reward_approved", "approval", letter)
        all_ = {decisions.name_of_act(reward.person, at, reward.currency) for reward in chosen}
        outbox.withdraw("reward_approved", "approval", all_.difference(about for _, about, _ in still))


def balance_corrected(correction: Correction, *, at: datetime) -> None:
    """To whoever's balance it is: how much, and why."""
    person = correction.person
    tell("balance_corrected", person, "correction", correction.public_id, at=at, reason=correction.reason,
          more=correction.amount_minor > 0,
          amount=amount_for(person, abs(correction.amount_minor), correction.currency))  # fmt: skip


def payout_paid(payout: Payout, *, at: datetime) -> None:
    """To whoever was paid. Voucher codes are read on the page, not in the mail."""
    tell("payout_paid", payout.user, "payout", payout.public_id, at=at, reference=payout.reference,
          amount=amount_for(payout.user, payout.amount_minor, payout.currency), payout_id=payout.public_id)  # fmt: skip


def payout_failed(payout: Payout, *, at: datetime) -> None:
    """To whoever could not be paid, with the reason."""
    tell("payout_failed", payout.user, "payout", payout.public_id, at=at, failure=payout.failure,
          amount=amount_for(payout.user, payout.amount_minor, payout.currency))  # fmt: skip


def details_wanted(user: User, minor: int, currency: str, *, at: datetime) -> None:
    """To whoever has money and has not said how to be paid."""
    tell("details_wanted", user, "user", f"{user.public_id} {at:%Y-%m-%d}", at=at,
          amount=amount_for(user, minor, currency))  # fmt: skip


def digest(user: User, pending: int, oldest_at: datetime, today: date, *, at: datetime) -> None:
    """To a colleague who decides, once a day while anything waits."""
    days = (at - oldest_at).days
    tell("digest", user, "digest", f"{user.public_id} {today.isoformat()}", at=at, pending=pending, days=days)


class Brought(Protocol):
    """What a month brought somebody; amounts in minor units by currency."""

    joined: int
    counted: int
    earned: dict[str, int]
    paid: dict[str, int]


def month_over(people: Iterable[tuple[User, Brought]], month: date, *, at: datetime) -> None:
    """To each what the month that begins with a day brought them."""
    letters = []
    for person, brought in people:
        spoken = language.spoken(person.language)
        facts: dict[str, Any] = {
            "month": language.month(month, spoken), "joined": brought.joined, "counted": brought.counted,
            "earned": _amounts(person, brought.earned), "paid": _amounts(person, brought.paid),
        }  # fmt: skip
        letters.append((person, f"{person.public_id} {month:%Y-%m}", facts))
    tell_all("month_summary", "month", letters, at=at)


def _amounts(person: User, by_currency: Mapping[str, int]) -> str:
    amounts = [amount_for(person, minor, currency) for currency, minor in by_currency.items()]
    return language.listed(amounts, language.spoken(person.language)) if amounts else ""


def webhook_off(endpoint: Endpoint, owners: Iterable[User], *, at: datetime) -> None:
    """To the owners: a program of theirs is told nothing any more."""
    facts = {"host": endpoint.host, "gone": endpoint.off_why == Off.GONE, "webhook_id": endpoint.public_id}
    about = f"{endpoint.public_id} {at.isoformat()}"
    tell_all("webhook_off", "webhook", [(user, about, facts) for user in owners], at=at)


def method_changed(user: User, method: Method, *, at: datetime) -> None:
    """A warning to the owner of the account: somebody who took it over would change this first."""
    tell("method_changed", user, "method", method.public_id, at=at, kind=method.kind, shown=method.shown,
          until=method.usable_at)  # fmt: skip
