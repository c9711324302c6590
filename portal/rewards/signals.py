"""Signals: reasons to look twice, each with a weight and a sentence; their sum says Clear, Check or Risky.

Invariants: a signal only ever raises a flag and holds; nothing is rejected by the machine; what was never assessed
is Check, not Clear.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from portal.accounts import sign_ins, users
from portal.accounts.users import Surroundings, User
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import marked
from portal.referrals.referrals import Referral


class Assessment(StrEnum):
    CLEAR = "clear"
    CHECK = "check"
    RISKY = "risky"


class Kind(StrEnum):
    SAME_MAILBOX = "same_mailbox"
    SAME_VISITOR = "same_visitor"
    SAME_BROWSER = "same_browser"
    SAME_NETWORK = "same_network"
    DISPOSABLE = "disposable"
    MANY_SIGN_UPS = "many_sign_ups"


WEIGHTS = {
    Kind.SAME_MAILBOX: 80,
    Kind.SAME_VISITOR: 60,
    Kind.SAME_BROWSER: 40,
    Kind.DISPOSABLE: 40,
    Kind.MANY_SIGN_UPS: 40,
    Kind.SAME_NETWORK: 0,
}
"""A shared network alone weighs nothing: households and offices are no fraud. It is a note beside the others."""

SENTENCES = {
    Kind.SAME_MAILBOX: marked("Both addresses reach the same mailbox."),
    Kind.SAME_VISITOR: marked("The same browser as the referrer's."),
    Kind.SAME_BROWSER: marked("The same network and the same kind of browser as the referrer's."),
    Kind.DISPOSABLE: marked("The address is from a throw-away provider."),
    Kind.MANY_SIGN_UPS: marked("%(value)s sign-ups from this network within an hour."),
    Kind.SAME_NETWORK: marked("The same network as the referrer's."),
}

CHECK_FROM, RISKY_FROM = 30, 70
MANY = 4


class Signal(Model):
    """One reason to look twice at a referral, with its weight when it was raised."""

    __tablename__ = "signals"
    __table_args__ = (database.once("referral_id", "kind"), database.one_of("kind", Kind), database.whole("weight"))

    id: Mapped[int] = database.key()
    referral_id: Mapped[int] = database.refers_to("referrals.id", index=False)
    kind: Mapped[str] = mapped_column(sa.String(20))
    weight: Mapped[int]
    value: Mapped[str] = mapped_column(sa.String(120), default="")
    raised_at: Mapped[datetime]

    @property
    def sentence(self) -> str:
        """The sentence to be translated; `value` fills its place."""
        return SENTENCES[Kind(self.kind)]


class Assessed(Model):
    """That a referral was looked at by the signals, and when."""

    __tablename__ = "assessments"

    id: Mapped[int] = database.key()
    referral_id: Mapped[int] = mapped_column(database.Key, sa.ForeignKey("referrals.id"), unique=True)
    at: Mapped[datetime]


def assess(referral: Referral, referee: User, referrer: User, *, at: datetime) -> None:
    """Looks at a new referral and raises what there is to see."""
    seen = Surroundings(visitor=referee.visitor, network=referee.network, browser=referee.browser)
    shared = sign_ins.shared_with(referrer.id, seen) | _same_at_sign_up(referrer, seen)
    if users.folded(referee.email) == users.folded(referrer.email):
        _raise(referral, Kind.SAME_MAILBOX, at=at)
    if "visitor" in shared:
        _raise(referral, Kind.SAME_VISITOR, at=at)
    if "browser" in shared:
        _raise(referral, Kind.SAME_BROWSER, at=at)
    elif "network" in shared:
        _raise(referral, Kind.SAME_NETWORK, at=at)
    if users.is_disposable(referee.email):
        _raise(referral, Kind.DISPOSABLE, at=at)
    near = _sign_ups_near(referee, at=at)
    if near >= MANY:
        _raise(referral, Kind.MANY_SIGN_UPS, value=str(near), at=at)
    database.insert_once(Assessed, referral_id=referral.id, at=at)


def assess_again(referral: Referral, referee: User, referrer: User, *, at: datetime) -> None:
    """Looks at a referral anew that has another referrer now: what was raised about the former one goes."""
    session.execute(sa.delete(Signal).where(Signal.referral_id == referral.id))
    assess(referral, referee, referrer, at=at)


def _same_at_sign_up(referrer: User, seen: Surroundings) -> set[str]:
    shared = set()
    if seen.visitor and referrer.visitor == seen.visitor:
        shared.add("visitor")
    if seen.network and referrer.network == seen.network:
        shared.add("network")
        if seen.browser and referrer.browser == seen.browser:
            shared.add("browser")
    return shared


def _sign_ups_near(referee: User, *, at: datetime) -> int:
    if referee.network is None:
        return 0
    query = sa.select(sa.func.count()).where(
        User.network == referee.network, User.created_at > at - timedelta(hours=1), User.created_at <= at
    )
    return session.scalar(query) or 0


def _raise(referral: Referral, kind: Kind, *, at: datetime, value: str = "") -> None:
    database.insert_once(Signal, referral_id=referral.id, kind=kind, weight=WEIGHTS[kind], value=value, raised_at=at)


def of_referral(referral_id: int) -> list[Signal]:
    """The signals of a referral, the heaviest first."""
    query = sa.select(Signal).where(Signal.referral_id == referral_id)
    return list(session.scalars(query.order_by(Signal.weight.desc(), Signal.id)))


def assessments(referral_ids: set[int]) -> dict[int, Assessment]:
    """How each of these referrals is assessed."""
    looked_at = set(session.scalars(sa.select(Assessed.referral_id).where(Assessed.referral_id.in_(referral_ids))))
    query = sa.select(Signal.referral_id, sa.func.sum(Signal.weight)).where(Signal.referral_id.in_(referral_ids))
    weights = {number: int(weight) for number, weight in session.execute(query.group_by(Signal.referral_id))}
    return {
        number: assessed(weights.get(number, 0)) if number in looked_at else Assessment.CHECK for number in referral_ids
    }


def assessed(weight: int) -> Assessment:
    """The word for a sum of weights."""
    if weight >= RISKY_FROM:
        return Assessment.RISKY
    return Assessment.CHECK if weight >= CHECK_FROM else Assessment.CLEAR


def is_assessed(referral_id: InstrumentedAttribute[int], word: Assessment) -> sa.ColumnElement[bool]:
    """The condition that the referral of this column is assessed so, as `assessments` says it."""
    weight = sa.select(sa.func.coalesce(sa.func.sum(Signal.weight), 0)).where(Signal.referral_id == referral_id)
    looked_at = sa.select(Assessed.id).where(Assessed.referral_id == referral_id).exists()
    sum_ = weight.correlate_except(Signal).scalar_subquery()
    if word == Assessment.CLEAR:
        return sa.and_(looked_at, sum_ < CHECK_FROM)
    if word == Assessment.RISKY:
        return sa.and_(looked_at, sum_ >= RISKY_FROM)
    return sa.or_(~looked_at, sum_.between(CHECK_FROM, RISKY_FROM - 1))
