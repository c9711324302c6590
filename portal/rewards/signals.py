"""Signals: reasons to look twice, each with a weight and a sentence; their sum says Clear, Check or Risky.

Invariants: a signal only ever raises a flag and holds; nothing is rejected by the machine; one of a kind per referral,
with the weight that its kind had when it was raised; none is ever lowered or taken away, but a person may dismiss one,
or it is withdrawn since what it was raised for ended, and then it weighs no more; what was never assessed is Check, not
Clear. Which kinds there are stands in `kinds`, what raises them in `looks`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line
from portal.referrals.referrals import Referral
from portal.rewards import kinds
from portal.rewards.kinds import ABOUT, MAY_END, Kind


class Assessment(StrEnum):
    CLEAR = "clear"
    CHECK = "check"
    RISKY = "risky"


CHECK_FROM, RISKY_FROM = 30, 70


class SignalRefused(Refusal):
    """A signal that cannot be dismissed, or not by this person."""


class Signal(Model):
    """One reason to look twice at a referral, with its weight when it was raised."""

    __tablename__ = "signals"
    __table_args__ = (
        database.once("referral_id", "kind"),
        database.one_of("kind", Kind),
        database.whole("weight"),
        sa.Index("ix_signals_kind", "kind", "referral_id"),
    )

    id: Mapped[int] = database.key()
    referral_id: Mapped[int] = database.refers_to("referrals.id", index=False)
    kind: Mapped[str] = mapped_column(sa.String(20))
    weight: Mapped[int]
    value: Mapped[str] = mapped_column(sa.String(120), default="")
    raised_at: Mapped[datetime]
    dismissed_at: Mapped[datetime | None]
    """When a person has seen to it that there is nothing behind it, or, by nobody, when it was withdrawn; from then on
    it weighs nothing."""
    dismissed_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)

    @property
    def stands(self) -> bool:
        """Whether it weighs."""
        return self.dismissed_at is None

    @property
    def withdrawn(self) -> bool:
        """Whether it weighs nothing because what it was raised for is no more; it weighs again when that does."""
        return self.dismissed_at is not None and self.dismissed_by_id is None

    @property
    def alone_is_enough(self) -> bool:
        """Whether it makes somebody look without any other; such a one is dismissed with a reason."""
        return self.weight >= CHECK_FROM

    @property
    def sentence(self) -> str:
        """The sentence to be translated; `value` fills its place."""
        return ABOUT[Kind(self.kind)].sentence


class Assessed(Model):
    """That a referral was looked at by the signals, and when."""

    __tablename__ = "assessments"

    id: Mapped[int] = database.key()
    referral_id: Mapped[int] = mapped_column(database.Key, sa.ForeignKey("referrals.id"), unique=True)
    at: Mapped[datetime]


@dataclass(frozen=True)
class Finding:
    """What a look has found about a referral; `value` fills the place in the kind's sentence."""

    referral_id: int
    kind: Kind
    value: str = ""


def keep(findings: Iterable[Finding], *, at: datetime) -> None:
    """Raises a signal for each finding, with today's weight; one that is there stays as it was, or comes again if it
    was withdrawn."""
    found = sorted(set(findings), key=lambda one: (one.referral_id, one.kind))
    if not found:
        return
    today = kinds.standings()
    found = [one for one in found if today[one.kind].is_on]
    database.insert_all(Signal, [
        {"referral_id": one.referral_id, "kind": one.kind, "weight": today[one.kind].weight, "value": one.value,
         "raised_at": at}
        for one in found
    ])  # fmt: skip
    for one in found:
        if one.kind in MAY_END:
            session.execute(sa.update(Signal).where(*_the(one), *_WITHDRAWN).values(dismissed_at=None))


_WITHDRAWN = (Signal.dismissed_at.is_not(None), Signal.dismissed_by_id.is_(None))


def withdraw(referral_id: int, kind: Kind, *, at: datetime) -> None:
    """Takes away the weight of a signal whose reason is no more; one that a person dismissed stays theirs."""
    weighs = Signal.dismissed_at.is_(None)
    session.execute(sa.update(Signal).where(*_the(Finding(referral_id, kind)), weighs).values(dismissed_at=at))


def _the(finding: Finding) -> tuple[sa.ColumnElement[bool], ...]:
    return Signal.referral_id == finding.referral_id, Signal.kind == finding.kind


def dismiss(signal: Signal, *, reason: str, by: int, at: datetime) -> None:
    """Notes that a person has looked and there is nothing behind it. Raises SignalRefused: withdrawn or dismissed
    before, or without a reason though it would be enough alone."""
    if signal.withdrawn:
        raise SignalRefused(marked("This was withdrawn: what it was raised for is no more."))
    if not signal.stands:
        raise SignalRefused(marked("This was dismissed before."))
    if signal.alone_is_enough and not one_line(reason, 500):
        raise SignalRefused(marked("Write why there is nothing behind it; colleagues read it."))
    signal.dismissed_at, signal.dismissed_by_id = at, by


def raise_again(signal: Signal) -> None:
    """Takes a dismissal back. Raises SignalRefused if there is none."""
    if signal.stands:
        raise SignalRefused(marked("This was not dismissed."))
    signal.dismissed_at = signal.dismissed_by_id = None


def note_assessed(referral_id: int, *, at: datetime) -> None:
    """Notes that a referral was looked at; the first time stands."""
    database.insert_once(Assessed, referral_id=referral_id, at=at)


def find(public_id: str, kind: str) -> Signal | None:
    """The signal of a kind about a referral, by the referral's public id."""
    mine = sa.select(Referral.id).where(Referral.public_id == public_id).scalar_subquery()
    return session.scalar(sa.select(Signal).where(Signal.referral_id == mine, Signal.kind == kind))


def of_referral(referral_id: int) -> list[Signal]:
    """The signals of a referral, the heaviest first: kind, value, weight, sentence, raised_at."""
    query = sa.select(Signal).where(Signal.referral_id == referral_id)
    return list(session.scalars(query.order_by(Signal.weight.desc(), Signal.id)))


def assessments(referral_ids: set[int]) -> dict[int, Assessment]:
    """How each of these referrals is assessed."""
    return {
        number: Assessment.CHECK if weight is None else assessed(weight)
        for number, weight in _weights(referral_ids).items()
    }


def without_any(referral_ids: set[int]) -> set[int]:
    """Those of these referrals that were looked at and at which nothing weighs, not even a light signal."""
    return {number for number, weight in _weights(referral_ids).items() if weight == 0}


def _weights(referral_ids: set[int]) -> dict[int, int | None]:
    """The sum of what stands against each of these referrals; None if it was never looked at."""
    looked_at = set(session.scalars(sa.select(Assessed.referral_id).where(Assessed.referral_id.in_(referral_ids))))
    query = sa.select(Signal.referral_id, sa.func.sum(Signal.weight)).where(
        Signal.referral_id.in_(referral_ids), Signal.dismissed_at.is_(None)
    )
    weights = {number: int(weight) for number, weight in session.execute(query.group_by(Signal.referral_id))}
    return {number: weights.get(number, 0) if number in looked_at else None for number in referral_ids}


def assessed(weight: int) -> Assessment:
    """The word for a sum of weights."""
    if weight >= RISKY_FROM:
        return Assessment.RISKY
    return Assessment.CHECK if weight >= CHECK_FROM else Assessment.CLEAR


def is_assessed(referral_id: InstrumentedAttribute[int], word: Assessment) -> sa.ColumnElement[bool]:
    """The condition that the referral of this column is assessed so, as `assessments` says it."""
    looked_at, sum_ = _looked_at(referral_id), _weight(referral_id)
    if word == Assessment.CLEAR:
        return sa.and_(looked_at, sum_ < CHECK_FROM)
    if word == Assessment.RISKY:
        return sa.and_(looked_at, sum_ >= RISKY_FROM)
    return sa.or_(~looked_at, sum_.between(CHECK_FROM, RISKY_FROM - 1))


def nothing_raised(referral_id: InstrumentedAttribute[int]) -> sa.ColumnElement[bool]:
    """The condition that the referral of this column was looked at and nothing weighs, as `without_any` says it."""
    return sa.and_(_looked_at(referral_id), _weight(referral_id) == 0)


def _looked_at(referral_id: InstrumentedAttribute[int]) -> sa.ColumnElement[bool]:
    return sa.select(Assessed.id).where(Assessed.referral_id == referral_id).exists()


def _weight(referral_id: InstrumentedAttribute[int]) -> sa.ScalarSelect[int]:
    query = sa.select(sa.func.coalesce(sa.func.sum(Signal.weight), 0)).where(
        Signal.referral_id == referral_id, Signal.dismissed_at.is_(None)
    )
    return query.correlate_except(Signal).scalar_subquery()


def forget_values(referral_ids: Collection[int]) -> None:
    """Empties what signals name of people: domains and networks; that they were raised stays."""
    named = sa.or_(Signal.value.contains("."), Signal.value.contains("@"))
    session.execute(sa.update(Signal).where(Signal.referral_id.in_(referral_ids), named).values(value=""))
