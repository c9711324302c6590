"""What a referrer sees of their sharing: numbers in a period, friends joining over time, every link and invite.

Every question takes the referrer's row number and answers of theirs alone, in a number of queries that does not grow.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from portal.core import clock
from portal.core.database import session
from portal.delivery import outbox
from portal.referrals.referrals import Referral
from portal.reports import referrer, status
from portal.reports.status import Status
from portal.rewards.clawbacks import Clawback
from portal.rewards.rewards import Reward, State
from portal.sharing.clicks import Click
from portal.sharing.invites import FIRST, MAILS, REMIND_BY_HAND_AFTER, REMINDER, Invite
from portal.sharing.links import Code, Link
from portal.terms import Terms


class Period(StrEnum):
    """A span that ends now, by the word it has in addresses."""

    DAYS = "30"
    YEAR = "365"
    ALL = "all"

    @property
    def span(self) -> timedelta | None:
        """How long it is; None for everything."""
        return None if self == Period.ALL else timedelta(days=int(self.value))


@dataclass(frozen=True)
class Numbers:
    """Counts of a period. `counted`: of those who joined in it, how many reached the goal, whenever. Minor units."""

    clicks: int
    joined: int
    counted: int
    earned_minor: int


def numbers(user_id: int, currency: str, *, since: datetime | None) -> Numbers:
    """Clicks through a person's links, friends who joined, friends of these who counted, and what was earned."""
    clicked = sa.select(sa.func.count()).select_from(Click).join(Link, Link.id == Click.link_id)
    clicked = clicked.where(Link.owner_id == user_id)
    joined = sa.select(sa.func.count(), sa.func.count(Referral.counted_at)).where(Referral.referrer_id == user_id)
    if since is not None:
        clicked, joined = clicked.where(Click.at > since), joined.where(Referral.joined_at > since)
    friends, counted = session.execute(joined).one()
    return Numbers(session.scalar(clicked) or 0, friends, counted, _earned(user_id, currency, since=since))


def _earned(user_id: int, currency: str, *, since: datetime | None) -> int:
    stands = [Reward.person_id == user_id, Reward.currency == currency, Reward.state != State.REJECTED]
    if since is not None:
        stands.append(Reward.made_at > since)
    gave = session.scalar(sa.select(sa.func.sum(Reward.amount_minor)).where(*stands)) or 0
    taken = sa.select(sa.func.sum(Clawback.amount_minor)).join(Reward, Reward.id == Clawback.reward_id)
    return int(gave) - int(session.scalar(taken.where(*stands)) or 0)


@dataclass(frozen=True)
class Begun:
    """What is known of a person's first steps: that a friend was sent something, that somebody opened a link."""

    sent: bool
    opened: bool


def begun(user_id: int, terms: Terms) -> Begun:
    """How far somebody has come who may have no friends yet. An invite that the portal does not mail may still lie
    where it was made."""
    mine = Link.owner_id == user_id
    opened = sa.select(sa.exists().where(Click.link_id == Link.id, mine))
    mailed = sa.select(sa.exists().where(Invite.owner_id == user_id))
    was_opened = bool(session.scalar(opened))
    return Begun(was_opened or (terms.mails_invites and bool(session.scalar(mailed))), was_opened)


@dataclass(frozen=True)
class Series:
    """Friends who joined, by day or by week (each named by its first day), and in as many before; oldest first."""

    points: list[tuple[date, int]]
    before: list[int]
    weekly: bool

    @property
    def total(self) -> int:
        return sum(count for _, count in self.points)

    @property
    def total_before(self) -> int:
        return sum(self.before)


def joined_series(user_id: int, *, at: datetime, zone: str, period: Period) -> Series:
    """Friends who joined, by day for thirty days, else by week for a year."""
    weekly = period != Period.DAYS
    steps, width = (52, 7) if weekly else (30, 1)
    today = clock.local_date(at, zone)
    since = at - timedelta(days=2 * steps * width + 2)
    query = sa.select(Referral.joined_at).where(Referral.referrer_id == user_id, Referral.joined_at > since)
    ago = Counter((today - clock.local_date(moment, zone)).days // width for moment in session.scalars(query))
    days = [today - timedelta(days=width * (step + 1) - 1) for step in range(steps)]
    points = [(days[step], ago[step]) for step in reversed(range(steps))]
    return Series(points, [ago[step + steps] for step in reversed(range(steps))], weekly)


@dataclass(frozen=True)
class LinkRow:
    """One link with its codes (the current one first) and what came by it."""

    link: Link
    codes: list[str]
    clicks: int
    joined: int
    counted: int


def links_of(user_id: int) -> list[LinkRow]:
    """A person's links that belong to no invite: those in use first, the first one at the top."""
    query = sa.select(Link).where(Link.owner_id == user_id, sa.not_(Link.addressed)).order_by(Link.id).limit(500)
    found = sorted(session.scalars(query), key=lambda link: link.archived_at is not None)
    numbers = [link.id for link in found]
    codes = _codes(numbers)
    clicks, joined = _by_link(numbers)
    return [LinkRow(one, codes[one.id], clicks[one.id], *joined.get(one.id, (0, 0))) for one in found]


def _codes(link_ids: list[int]) -> dict[int, list[str]]:
    codes: dict[int, list[str]] = {number: [] for number in link_ids}
    query = sa.select(Code.link_id, Code.text).where(Code.link_id.in_(link_ids)).order_by(Code.id.desc())
    for number, text in session.execute(query):
        codes[number].append(text)
    return codes


def _by_link(link_ids: list[int]) -> tuple[Counter[int], dict[int, tuple[int, int]]]:
    """Clicks by link, and (joined, counted) by link."""
    clicks = sa.select(Click.link_id, sa.func.count()).where(Click.link_id.in_(link_ids)).group_by(Click.link_id)
    joined = (
        sa.select(Referral.link_id, sa.func.count(), sa.func.count(Referral.counted_at))
        .where(Referral.link_id.in_(link_ids))
        .group_by(Referral.link_id)
    )
    counts: Counter[int] = Counter()
    for number, many in session.execute(clicks):
        counts[number] = many
    return counts, {number: (many, counted) for number, many, counted in session.execute(joined)}


@dataclass(frozen=True)
class InviteRow:
    """One invite, its code, where it stands, and the friend if somebody came by it."""

    invite: Invite
    code: str
    clicks: int
    status: Status
    friend: Referral | None
    reminded_at: datetime | None
    can_remind: bool
    """Whether the one reminder can be sent by hand now."""


def invites_of(
    user_id: int, *, at: datetime, before: int | None = None, most: int = referrer.PAGE
) -> tuple[list[InviteRow], int | None]:
    """A person's invites, the newest first, and the key of the next page if there is one."""
    query = sa.select(Invite).where(Invite.owner_id == user_id)
    if before is not None:
        query = query.where(Invite.id < before)
    found = list(session.scalars(query.order_by(Invite.id.desc()).limit(most + 1)))
    return invite_rows(found[:most], at=at), found[most - 1].id if len(found) > most else None


def invite_rows(invites: list[Invite], *, at: datetime) -> list[InviteRow]:
    """These invites with what came of each."""
    numbers = [invite.link_id for invite in invites]
    codes, (clicks, _) = _codes(numbers), _by_link(numbers)
    mails = {
        (mail.about_id, mail.kind): mail for mail in outbox.about(MAILS, "invite", [one.public_id for one in invites])
    }
    came = sa.select(Referral).options(joinedload(Referral.referee)).where(Referral.link_id.in_(numbers))
    friends = {referral.link_id: referral for referral in session.scalars(came.order_by(Referral.id.desc()))}
    owner = invites[0].owner_id if invites else 0
    stand = {one.referral.id: one.status for one in referrer.as_friends(owner, list(friends.values()), at=at)}
    return [
        InviteRow(
            invite, codes[invite.link_id][0], clicks[invite.link_id],
            stand[friends[invite.link_id].id] if invite.link_id in friends
            else status.of_invite(
                invite, mails.get((invite.public_id, FIRST)), opened=bool(clicks[invite.link_id])
            ),
            friends.get(invite.link_id),
            reminded.made_at if (reminded := mails.get((invite.public_id, REMINDER))) else None,
            can_remind=reminded is None and invite.ended_at is None and invite.to is not None
            and (invite.public_id, FIRST) in mails and invite.link_id not in friends
            and at >= invite.made_at + REMIND_BY_HAND_AFTER,
        )
        for invite in invites
    ]  # fmt: skip


@dataclass(frozen=True)
class Ratios:
    """What became of a person's invites in all."""

    invites: int
    opened: int
    joined: int
    counted: int


def invite_ratios(user_id: int) -> Ratios:
    """How many invites somebody made, how many were opened, how many of the invited joined and reached the goal."""
    return _ratios(Invite.owner_id == user_id)


def all_invite_ratios(since: datetime, until: datetime) -> Ratios:
    """The same of everybody's invites that were made in a span; `until` is left out."""
    return _ratios(Invite.made_at >= since, Invite.made_at < until)


def _ratios(*where: sa.ColumnElement[bool]) -> Ratios:
    opened = sa.select(Click.id).where(Click.link_id == Invite.link_id).exists()
    asked = sa.select(sa.func.count(), sa.func.count(sa.case((opened, 1)))).where(*where)
    came = sa.select(sa.func.count(), sa.func.count(Referral.counted_at))
    came = came.join(Invite, Invite.link_id == Referral.link_id).where(*where)
    return Ratios(*session.execute(asked).one(), *session.execute(came).one())
