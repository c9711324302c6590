"""What a referrer sees: their numbers, their friends and what became of each, their rewards and payouts.

Every question takes the referrer's row number and answers of theirs alone.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from portal.accounts.audit import Note
from portal.accounts.users import User
from portal.core.database import session
from portal.payouts import payouts
from portal.payouts.payouts import Payout
from portal.referrals.attribution import How
from portal.referrals.referrals import Referral
from portal.reports import status
from portal.reports.status import Status
from portal.rewards import clawbacks, decisions, ledger, rewards
from portal.rewards.clawbacks import Clawback
from portal.rewards.decisions import Decision, Verdict
from portal.rewards.ledger import Bucket
from portal.rewards.rewards import Reward, State
from portal.rewards.rules import Beneficiary
from portal.sharing.links import Link
from portal.terms import Terms

PAGE = 50


@dataclass(frozen=True)
class Credits:
    """Money in minor units: what can be paid now, what is on its way (and until when), what was paid."""

    ready_minor: int
    on_its_way_minor: int
    paid_minor: int
    clears_at: datetime | None

    @property
    def earned_minor(self) -> int:
        """All of it together."""
        return self.ready_minor + self.on_its_way_minor + self.paid_minor


def credits(user_id: int, currency: str, *, at: datetime) -> Credits:
    """A person's money, as sums of the ledger; `clears_at`: when the last hold that is still ahead ends."""
    sums = ledger.balances(user_id, currency)
    clears = session.scalar(
        sa.select(sa.func.max(Reward.hold_until)).where(
            Reward.person_id == user_id,
            Reward.hold_until > at,
            Reward.released_at.is_(None),
            Reward.state.in_((State.PENDING, State.APPROVED)),
        )
    )
    return Credits(
        ready_minor=sums[Bucket.PAYABLE],
        on_its_way_minor=sums[Bucket.PENDING] + sums[Bucket.APPROVED] + sums[Bucket.IN_PAYOUT],
        paid_minor=sums[Bucket.PAID],
        clears_at=clears,
    )


@dataclass(frozen=True)
class Capped:
    """A limit of the terms that this person has reached: of a month or a year, in minor units, until when."""

    period: str
    cap_minor: int
    ends_at: datetime


def capped(user_id: int, current: Terms, *, at: datetime) -> Capped | None:
    """The limit that leaves nothing more to earn for now, if one does; the year's before the month's."""
    caps: list[tuple[Literal["month", "year"], int | None]] = [
        ("year", current.referrer_year_cap_minor),
        ("month", current.referrer_month_cap_minor),
    ]
    for period, cap in caps:
        if cap is None:
            continue
        start = current.period_start(period, at=at)
        if rewards.given_since(user_id, current.currency, start) >= cap:
            next_one = start + timedelta(days=370 if period == "year" else 32)
            return Capped(period, cap, current.period_start(period, at=next_one))
    return None


def clearing(user_id: int, current: Terms, *, at: datetime) -> list[tuple[date, int]]:
    """What becomes ready in each month ahead: the month's first day and the amount in minor units."""
    query = sa.select(Reward).where(
        Reward.person_id == user_id,
        Reward.currency == current.currency,
        Reward.released_at.is_(None),
        Reward.state.in_((State.PENDING, State.APPROVED)),
    )
    waiting = list(session.scalars(query.order_by(Reward.hold_until).limit(5000)))
    left = _left(waiting)
    months: dict[date, int] = {}
    for reward in waiting:
        month = current.day(max(reward.hold_until, at)).replace(day=1)
        months[month] = months.get(month, 0) + left[reward.id]
    return sorted((month, amount) for month, amount in months.items() if amount)


@dataclass(frozen=True)
class Friend:
    """One row of the list of friends, with what is left of the referrer's rewards for this friend."""

    referral: Referral
    status: Status
    rewards: list[Reward]
    left_minor: int


class Group(StrEnum):
    """Which friends a list shows, by the word it has in addresses."""

    ALL = "all"
    WAITING = "waiting"
    COUNTED = "counted"
    NOT_ELIGIBLE = "not-eligible"
    EXPIRED = "expired"


def _in_group(group: Group, user_id: int, *, at: datetime) -> list[sa.ColumnElement[bool]]:
    here: list[sa.ColumnElement[bool]] = [Referral.referrer_id == user_id]
    if group == Group.WAITING:
        here += [Referral.counted_at.is_(None), Referral.expires_at >= at]
    elif group == Group.COUNTED:
        here += [Referral.counted_at.is_not(None)]
    elif group == Group.EXPIRED:
        here += [Referral.counted_at.is_(None), Referral.expires_at < at]
    elif group == Group.NOT_ELIGIBLE:
        turned_down = (Reward.referral_id == Referral.id, Reward.person_id == user_id, Reward.state == State.REJECTED)
        here += [sa.select(Reward.id).where(*turned_down).exists()]
    return here


def counts(user_id: int, *, at: datetime) -> dict[Group, int]:
    """How many friends there are in each group; a friend may be in several."""
    query = sa.select(sa.func.count()).select_from(Referral)
    return {group: session.scalar(query.where(*_in_group(group, user_id, at=at))) or 0 for group in Group}


def friends(
    user_id: int,
    *,
    at: datetime,
    group: Group = Group.ALL,
    search: str = "",
    before: int | None = None,
    most: int = PAGE,
) -> tuple[list[Friend], int | None]:
    """A person's friends of a group, the newest first, and the key of the next page if there is one.

    `search` is looked for in the names that friends show, and in the codes and labels of links; never in addresses.
    """
    query = sa.select(Referral).options(joinedload(Referral.referee), joinedload(Referral.link))
    query = query.where(*_in_group(group, user_id, at=at))
    if search:
        wanted = search.lower()
        shown_name = sa.and_(User.shows_name, sa.func.lower(User.name).startswith(wanted, autoescape=True))
        label = sa.func.lower(Link.label).contains(wanted, autoescape=True)
        query = query.join(User, User.id == Referral.referee_id).join(Link, Link.id == Referral.link_id)
        query = query.where(sa.or_(shown_name, label, sa.func.lower(Referral.code) == wanted))
    if before is not None:
        query = query.where(Referral.id < before)
    found = list(session.scalars(query.order_by(Referral.id.desc()).limit(most + 1)).unique())
    return as_friends(user_id, found[:most], at=at), found[most - 1].id if len(found) > most else None


def as_friends(user_id: int, shown: list[Referral], *, at: datetime) -> list[Friend]:
    """These referrals as their referrer reads them."""
    by_referral = _rewards_by_referral(user_id, [referral.id for referral in shown])
    everything = [reward for mine in by_referral.values() for reward in mine]
    left, stand = _left(everything), status.of_rewards(everything)
    listed = []
    for referral in shown:
        mine = by_referral.get(referral.id, [])
        stands = status.of_friend(referral, stand[mine[-1].id] if mine else None, at=at)
        listed.append(Friend(referral, stands, mine, sum(left[reward.id] for reward in mine)))
    return listed


def next_to_expire(user_id: int, *, at: datetime, within: timedelta) -> Referral | None:
    """The friend whose time to reach the goal is over first, if that is before long."""
    query = sa.select(Referral).options(joinedload(Referral.referee))
    query = query.where(*_in_group(Group.WAITING, user_id, at=at), Referral.expires_at <= at + within)
    return session.scalar(query.order_by(Referral.expires_at, Referral.id).limit(1))


def _rewards_by_referral(user_id: int, referral_ids: list[int]) -> dict[int, list[Reward]]:
    by_referral: dict[int, list[Reward]] = {}
    query = sa.select(Reward).where(Reward.person_id == user_id, Reward.referral_id.in_(referral_ids))
    for reward in session.scalars(query.order_by(Reward.id)):
        by_referral.setdefault(reward.referral_id, []).append(reward)
    return by_referral


@dataclass(frozen=True)
class Event:
    """One step of a friend's story. `kind` names the sentence, `reward` and `minor` fill it."""

    at: datetime
    kind: str
    minor: int | None = None
    currency: str | None = None
    reward: Reward | None = None
    text: str = ""


def story(referral: Referral, *, of: int) -> list[Event]:
    """What happened with a friend, oldest first, as far as the person with row number `of` may know it."""
    ways = {How.CODE: "code_typed", How.SHOP: "code_told", How.INVITE: "invited", How.CLAIM: "named"}
    came = ways.get(How(referral.how), "clicked")
    events = [Event(referral.touched_at, came), Event(referral.joined_at, "joined")]
    if referral.referee.confirmed_at:
        events.append(Event(referral.referee.confirmed_at, "confirmed"))
    if referral.expired_at:
        events.append(Event(referral.expires_at, "expired"))
    mine = _rewards_by_referral(of, [referral.id]).get(referral.id, [])
    for reward in mine:
        events.append(Event(reward.conversion.occurred_at, f"reached {reward.conversion.goal}", reward=reward))
        events.append(Event(reward.made_at, "reward_made", reward.amount_minor, reward.currency, reward))
        events.extend(_decided(reward))
        events.extend(
            Event(clawback.at, _why_moved(clawback), -clawback.amount_minor, reward.currency, reward)
            for clawback in clawbacks.of_reward(reward.id)
        )
        if reward.released_at:
            events.append(Event(reward.released_at, "ready", reward=reward))
        if reward.paid_at:
            events.append(Event(reward.paid_at, "paid", _paid(reward), reward.currency, reward))
    return sorted(events, key=lambda event: event.at)


def _why_moved(clawback: Clawback) -> str:
    if clawback.gives_again:
        return "given_again"
    return "charged_back" if clawback.refund.is_chargeback else "taken_back"


def _paid(reward: Reward) -> int:
    """What a payout brought of a reward: a refund may have taken from it before, and may do so after."""
    line = payouts.live_line(reward.id)
    assert line is not None
    return sum(other.amount_minor for other in payouts.live_lines(line.payout) if other.about is reward)


def _decided(reward: Reward) -> list[Event]:
    return [
        Event(decision.at, decision.verdict, reward=reward, text=decisions.told(decision))
        for decision in decisions.of_reward(reward.id)
    ]


def rewards_of(user_id: int, *, before: int | None = None, most: int = PAGE) -> tuple[list[Reward], int | None]:
    """A person's rewards, the newest first, and the key of the next page if there is one."""
    query = (
        sa.select(Reward)
        .options(joinedload(Reward.referral).joinedload(Referral.referee), joinedload(Reward.rule))
        .where(Reward.person_id == user_id)
    )
    if before is not None:
        query = query.where(Reward.id < before)
    found = list(session.scalars(query.order_by(Reward.id.desc()).limit(most + 1)).unique())
    return found[:most], found[most - 1].id if len(found) > most else None


@dataclass(frozen=True)
class Earned:
    """A reward as its person reads it: where it stands, what is left of it, and the words of a rejection."""

    reward: Reward
    status: Status
    left_minor: int
    told: str

    @property
    def turned_down(self) -> bool:
        """Whether its person may ask to look again."""
        return self.status.word == status.Word.NOT_ELIGIBLE


def earned(listed: list[Reward]) -> list[Earned]:
    """Rewards with what there is to say about each."""
    left, stand, told = _left(listed), status.of_rewards(listed), _told(listed)
    return [Earned(reward, stand[reward.id], left[reward.id], told.get(reward.id, "")) for reward in listed]


FIRST_FOR = timedelta(days=7)
"""So long the first reward is told as such."""


def first_reward(user_id: int, *, at: datetime) -> Earned | None:
    """The first reward for a friend that was approved and stands, in the week after; None once another one was."""
    mine = (Reward.person_id == user_id, Reward.beneficiary == Beneficiary.REFERRER)
    approved = sa.select(Decision.id).where(Decision.reward_id == Reward.id, Decision.verdict == Verdict.APPROVE)
    found = list(session.scalars(sa.select(Reward).where(*mine, approved.exists()).order_by(Reward.id).limit(2)))
    if len(found) != 1 or found[0].state not in (State.APPROVED, State.PAID):
        return None
    lately = decisions.last_of([found[0].id])[found[0].id].at > at - FIRST_FOR
    return earned(found)[0] if lately else None


def _left(listed: list[Reward]) -> dict[int, int]:
    """What is left of rewards after refunds, in minor units: nothing of a rejected one."""
    back = clawbacks.taken_back_of([reward.id for reward in listed])
    return {
        reward.id: 0 if reward.state == State.REJECTED else reward.amount_minor - back.get(reward.id, 0)
        for reward in listed
    }


def _told(listed: list[Reward]) -> dict[int, str]:
    """The words of rejections to whom they concern, by the reward's row number."""
    rejected = [reward.id for reward in listed if reward.state == State.REJECTED]
    if not rejected:
        return {}
    query = sa.select(Decision.reward_id, Note.text).outerjoin(Note, Note.id == Decision.told_id)
    latest = query.where(Decision.reward_id.in_(rejected)).order_by(Decision.number)
    return {number: text or "" for number, text in session.execute(latest)}


def payouts_of(user_id: int) -> list[Payout]:
    """A person's payouts, the newest first."""
    query = sa.select(Payout).options(joinedload(Payout.method)).where(Payout.user_id == user_id)
    return list(session.scalars(query.order_by(Payout.id.desc()).limit(200)))
