"""People at the desk: everybody in a list that can be searched, and everything about one of them.

Invariant: a page asks the same number of questions however many people there are and however much each has done.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import aliased, joinedload, selectinload

from portal.accounts.audit import Note
from portal.accounts.roles import Role, RoleGrant
from portal.accounts.sign_ins import SignIn
from portal.accounts.users import User
from portal.core.database import session
from portal.payouts.payouts import Payout
from portal.referrals.referrals import Referral
from portal.reports import referrer
from portal.reports.referrer import Earned
from portal.rewards import corrections
from portal.rewards.corrections import Correction
from portal.rewards.ledger import Bucket, Transfer
from portal.rewards.signals import Signal
from portal.sharing import links
from portal.sharing.links import Code, Link

PAGE = 50
GLANCE = 10
"""How many of each kind the page of a person shows, the newest ones."""


class Show(StrEnum):
    """Which people a list shows, by the word it has in addresses."""

    ALL = "all"
    SUSPENDED = "suspended"
    SHUT_OUT = "shut-out"
    UNCONFIRMED = "unconfirmed"


_WHERE: dict[Show, list[sa.ColumnElement[bool]]] = {
    Show.ALL: [],
    Show.SUSPENDED: [User.suspended_at.is_not(None)],
    Show.SHUT_OUT: [User.shut_out_at.is_not(None)],
    Show.UNCONFIRMED: [User.confirmed_at.is_(None)],
}


@dataclass(frozen=True)
class Row:
    """One person with what they brought and earned, in minor units; `raised`: friends with a reason to look twice."""

    user: User
    joined: int
    counted: int
    raised: int
    earned_minor: int
    ready_minor: int
    last_seen_at: datetime | None


def listed(
    currency: str, *, search: str = "", role: Role | None = None, show: Show = Show.ALL, before: int | None = None,
    most: int = PAGE,
) -> tuple[list[Row], int | None]:  # fmt: skip
    """People, the newest first, and the key of the next page if there is one.

    `search` is looked for in names and addresses, and is a customer's number or any code that a person has or had,
    an invite's among them.
    """
    query = sa.select(User).options(selectinload(User.grants)).where(*_WHERE[show])
    if role is not None:
        query = query.where(
            sa.select(RoleGrant.id).where(RoleGrant.user_id == User.id, RoleGrant.name == role).exists()
        )
    if search:
        query = query.where(_matches(search))
    if before is not None:
        query = query.where(User.id < before)
    found = list(session.scalars(query.order_by(User.id.desc()).limit(most + 1)))
    return _rows(found[:most], currency), found[most - 1].id if len(found) > most else None


def _matches(search: str) -> sa.ColumnElement[bool]:
    wanted = search.lower()
    ways = [
        sa.func.lower(User.name).contains(wanted, autoescape=True),
        sa.func.lower(User.email).contains(wanted, autoescape=True),
        User.external_id == search,
    ]
    if code := links.folded(search.rsplit("/", 1)[-1]):
        owner = sa.select(Link.owner_id).join(Code, Code.link_id == Link.id).where(Code.folded == code)
        ways.append(User.id == owner.scalar_subquery())
    return sa.or_(*ways)


def _rows(found: list[User], currency: str) -> list[Row]:
    numbers = [user.id for user in found]
    friends = {
        number: (joined, counted)
        for number, joined, counted in session.execute(
            sa.select(Referral.referrer_id, sa.func.count(), sa.func.count(Referral.counted_at))
            .where(Referral.referrer_id.in_(numbers))
            .group_by(Referral.referrer_id)
        )
    }
    raised: dict[int, int] = {}
    flags = (
        sa.select(Referral.referrer_id, sa.func.count(sa.distinct(Signal.referral_id)))
        .join(Signal, Signal.referral_id == Referral.id)
        .where(Referral.referrer_id.in_(numbers), Signal.weight > 0, Signal.dismissed_at.is_(None))
    )
    for number, many in session.execute(flags.group_by(Referral.referrer_id)):
        raised[number] = many
    seen = sa.select(SignIn.user_id, sa.func.max(SignIn.last_seen_at)).where(SignIn.user_id.in_(numbers))
    last_seen: dict[int, datetime] = {number: at for number, at in session.execute(seen.group_by(SignIn.user_id))}
    money = _money(numbers, currency)
    return [
        Row(
            user, *friends.get(user.id, (0, 0)), raised.get(user.id, 0), *money.get(user.id, (0, 0)),
            last_seen.get(user.id),
        )
        for user in found
    ]  # fmt: skip


def _money(numbers: list[int], currency: str) -> dict[int, tuple[int, int]]:
    """By person: what they earned in all, and what of it is ready to pay."""
    outside = sa.case((Transfer.from_bucket == Bucket.PROGRAM, Transfer.amount_minor), else_=0)
    back = sa.case((Transfer.to_bucket == Bucket.PROGRAM, Transfer.amount_minor), else_=0)
    entered = sa.case((Transfer.to_bucket == Bucket.PAYABLE, Transfer.amount_minor), else_=0)
    left = sa.case((Transfer.from_bucket == Bucket.PAYABLE, Transfer.amount_minor), else_=0)
    query = sa.select(Transfer.user_id, sa.func.sum(outside - back), sa.func.sum(entered - left))
    sums = query.where(Transfer.user_id.in_(numbers), Transfer.currency == currency).group_by(Transfer.user_id)
    return {number: (int(earned), int(ready)) for number, earned, ready in session.execute(sums)}


# --- one person -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shared:
    """A link with every code that leads to it, the one in use first."""

    link: Link
    codes: list[str]


@dataclass(frozen=True)
class Dossier:
    """Everything about one person, the newest of each kind first."""

    row: Row
    friends: list[Referral]
    rewards: list[Earned]
    payouts: list[Payout]
    corrections: list[Correction]
    sign_ins: list[SignIn]
    links: list[Shared]
    more_links: int
    notes: list[tuple[Note, User | None]]


def about(user: User, currency: str) -> Dossier:
    """What the page of a person shows."""
    (row,) = _rows([user], currency)
    referrals = sa.select(Referral).options(joinedload(Referral.referee)).where(Referral.referrer_id == user.id)
    payouts = sa.select(Payout).options(joinedload(Payout.batch), joinedload(Payout.method))
    sign_ins = sa.select(SignIn).where(SignIn.user_id == user.id)
    author = aliased(User)
    notes = sa.select(Note, author).outerjoin(author, author.id == Note.author_id).where(Note.about_user_id == user.id)
    return Dossier(
        row=row,
        friends=list(session.scalars(referrals.order_by(Referral.id.desc()).limit(GLANCE))),
        rewards=referrer.earned(referrer.rewards_of(user.id, most=GLANCE)[0]),
        payouts=list(
            session.scalars(payouts.where(Payout.user_id == user.id).order_by(Payout.id.desc()).limit(GLANCE))
        ),
        corrections=corrections.of_person(user.id, most=GLANCE),
        sign_ins=list(session.scalars(sign_ins.order_by(SignIn.last_seen_at.desc()).limit(GLANCE))),
        links=_shared(user.id),
        more_links=max(0, _links_count(user.id) - GLANCE),
        notes=[(note, who) for note, who in session.execute(notes.order_by(Note.id.desc()).limit(GLANCE))],
    )


def _shared(user_id: int) -> list[Shared]:
    """Their links of their own making first, invites after them."""
    query = sa.select(Link).where(Link.owner_id == user_id).order_by(Link.addressed, Link.id).limit(GLANCE)
    found = list(session.scalars(query))
    codes: dict[int, list[str]] = {}
    named = sa.select(Code).where(Code.link_id.in_([link.id for link in found]))
    for code in session.scalars(named.order_by(Code.retired_at.is_not(None), Code.id.desc())):
        codes.setdefault(code.link_id, []).append(code.text)
    return [Shared(link, codes.get(link.id, [])) for link in found]


def _links_count(user_id: int) -> int:
    return session.scalar(sa.select(sa.func.count()).where(Link.owner_id == user_id)) or 0


def colleagues() -> list[User]:
    """Everybody with a role, by name."""
    having = sa.select(RoleGrant.id).where(RoleGrant.user_id == User.id).exists()
    query = sa.select(User).options(selectinload(User.grants)).where(having)
    return list(session.scalars(query.order_by(sa.func.lower(User.name), User.id).limit(500)))
