"""Touched: what has changed since the roll-ups were made, noted by triggers in the same write as the change.

Invariant: whatever writes, and however late, a row that a past figure counts leaves a note here in its own
transaction; so who sees the row sees the note. A note names a referral, or a reward of one; or a link and the moment
of its invite; or a moment alone, of whose day the visitors are others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import DDL

from portal.core import clock, database
from portal.core.database import Model, session
from portal.referrals.referrals import Referral
from portal.rewards.clawbacks import Clawback
from portal.rewards.conversions import Conversion
from portal.rewards.rewards import Reward
from portal.sharing.clicks import Click
from portal.sharing.invites import Invite


class Touched(Model):
    """One note. Keys without foreign keys: a note must not hold up what it is about."""

    __tablename__ = "touched"
    __table_args__ = (database.whole("link_id", "referral_id", "reward_id"),)

    id: Mapped[int] = database.key()
    at: Mapped[datetime | None]
    link_id: Mapped[int | None] = mapped_column(database.Key)
    referral_id: Mapped[int | None] = mapped_column(database.Key)
    reward_id: Mapped[int | None] = mapped_column(database.Key)


_NEW = "INSERT INTO touched (referral_id) SELECT NEW.referral_id WHERE NEW.referral_id IS NOT NULL"
_OLD = "INSERT INTO touched (referral_id) SELECT OLD.referral_id WHERE OLD.referral_id <> NEW.referral_id"
_NEXT = (
    "INSERT INTO touched (at) SELECT min(at) FROM clicks"
    " WHERE visitor = OLD.visitor AND last_at >= OLD.at AND at > OLD.at"
)

TRIGGERS: dict[str, tuple[type[Any], str, str, tuple[str, ...]]] = {
    "referrals_touch_new": (Referral, "INSERT", "", ("INSERT INTO touched (referral_id) VALUES (NEW.id)",)),
    "referrals_touch_change": (
        Referral, "UPDATE OF referrer_id, link_id, joined_at, counted_at", "",
        ("INSERT INTO touched (referral_id) VALUES (NEW.id)",),
    ),
    "conversions_touch_new": (Conversion, "INSERT", "", (_NEW,)),
    "conversions_touch_change": (Conversion, "UPDATE OF referral_id, amount_minor, occurred_at", "", (_NEW, _OLD)),
    "rewards_touch_new": (Reward, "INSERT", "", (_NEW,)),
    "rewards_touch_change": (Reward, "UPDATE OF referral_id, state, amount_minor, made_at", "", (_NEW, _OLD)),
    "clawbacks_touch_new": (Clawback, "INSERT", "", ("INSERT INTO touched (reward_id) VALUES (NEW.reward_id)",)),
    "invites_touch_new": (
        Invite, "INSERT", "", ("INSERT INTO touched (link_id, at) VALUES (NEW.link_id, NEW.made_at)",),
    ),
    "clicks_touch_visitor": (
        Click, "UPDATE OF visitor", "WHEN (NEW.visitor <> OLD.visitor)",
        ("INSERT INTO touched (at) VALUES (NEW.at)", _NEXT),
    ),
}  # fmt: skip
"""Name -> of which table, after what, when, and what it notes. The same words on both databases.

A new click needs none: it is of now, and late ones are found by their numbers (see `rollups`). None but that of the
clicks reads a table: SQLite refuses to rename one that a trigger of another table reads.
"""


def _declare() -> None:
    for name, (model, after, when, notes) in TRIGGERS.items():
        body = "; ".join(notes)
        head = f"CREATE TRIGGER {name} AFTER {after} ON {model.__tablename__} FOR EACH ROW {when}"
        function = f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$"
        for dialect, statement in (
            ("sqlite", f"{head} BEGIN {body}; END"),
            ("postgresql", f"{function} BEGIN {body}; RETURN NULL; END $$"),
            ("postgresql", f"{head} EXECUTE FUNCTION {name}()"),
        ):
            event.listen(model.__table__, "after_create", DDL(statement).execute_if(dialect=dialect))


_declare()


# --- read -----------------------------------------------------------------------------------------------------


@dataclass
class Changes:
    """What is no longer what was rolled up: referrals, cells (a day of a link), and days whose visitors are others."""

    referrals: set[int] = field(default_factory=set)
    cells: set[tuple[date, int]] = field(default_factory=set)
    visitor_days: set[date] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.referrals or self.cells or self.visitor_days)


def notes(*, most: int) -> list[int]:
    """The row numbers of some notes, the oldest first."""
    return list(session.scalars(sa.select(Touched.id).order_by(Touched.id).limit(most)))


def forget(ids: Iterable[int]) -> None:
    """Drops these notes and no other: on PostgreSQL a lower number may be committed later."""
    session.execute(sa.delete(Touched).where(Touched.id.in_(list(ids))))


def changes(zone: str, *, ids: list[int] | None = None) -> Changes:
    """What these notes say (all, if none are named), by the days of a time zone."""
    here = sa.true() if ids is None else Touched.id.in_(ids)
    of_reward = sa.select(Reward.referral_id).where(Reward.id == Touched.reward_id).scalar_subquery()
    referral = sa.func.coalesce(Touched.referral_id, of_reward)
    found = Changes()
    query: Any = sa.select(Touched.at, Touched.link_id, referral).where(here).distinct()
    for at, link, number in session.execute(query):
        if number is not None:
            found.referrals.add(number)
        elif at is not None and link is not None:
            found.cells.add((clock.local_date(at, zone), link))
        elif at is not None:
            found.visitor_days.add(clock.local_date(at, zone))
    return found
