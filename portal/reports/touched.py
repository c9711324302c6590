"""Touched: what has changed since the roll-ups were made, noted by triggers in the same write as the change.

Invariant: whatever writes, and however late, a row that a past figure counts leaves a note here in its own
transaction; so who sees the row sees the note. A note names a referral, all of whose moments and links may be
concerned, or a moment (for a link, or for its visitors alone). Today needs no notes: it is read from the rows.
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
from portal.rewards.conversions import Conversion
from portal.rewards.rewards import Clawback, Reward
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


_OLD = "INSERT INTO touched (referral_id, link_id, at) SELECT NEW.id, OLD.link_id, "
_NEW_AT = "INSERT INTO touched (referral_id, at) SELECT NEW.referral_id, "
_OLD_AT = "INSERT INTO touched (referral_id, at) SELECT OLD.referral_id, "
_OF_ANOTHER = " WHERE OLD.referral_id <> NEW.referral_id"
_NEXT = (
    "INSERT INTO touched (at) SELECT min(at) FROM clicks"
    " WHERE visitor = OLD.visitor AND last_at >= OLD.at AND at > OLD.at"
)

TRIGGERS: dict[str, tuple[type[Any], str, str, tuple[str, ...]]] = {
    "referrals_touch_new": (Referral, "INSERT", "", ("INSERT INTO touched (referral_id) VALUES (NEW.id)",)),
    "referrals_touch_change": (
        Referral, "UPDATE OF referrer_id, link_id, joined_at, counted_at", "",
        (_OLD + "OLD.joined_at", _OLD + "OLD.counted_at"),
    ),
    "conversions_touch_new": (
        Conversion, "INSERT", "WHEN (NEW.referral_id IS NOT NULL)",
        ("INSERT INTO touched (referral_id) VALUES (NEW.referral_id)",),
    ),
    "conversions_touch_change": (
        Conversion, "UPDATE OF referral_id, amount_minor, occurred_at",
        "WHEN (NEW.referral_id IS NOT NULL OR OLD.referral_id IS NOT NULL)",
        (_NEW_AT + "OLD.occurred_at WHERE NEW.referral_id IS NOT NULL", _OLD_AT + "OLD.occurred_at" + _OF_ANOTHER),
    ),
    "rewards_touch_new": (Reward, "INSERT", "", ("INSERT INTO touched (referral_id) VALUES (NEW.referral_id)",)),
    "rewards_touch_change": (
        Reward, "UPDATE OF referral_id, state, amount_minor, made_at", "",
        (_NEW_AT + "OLD.made_at", _OLD_AT + "OLD.made_at" + _OF_ANOTHER),
    ),
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
    """The figures that are no longer what was rolled up: cells (a day of a link), and days whose visitors are."""

    cells: set[tuple[date, int]] = field(default_factory=set)
    visitor_days: set[date] = field(default_factory=set)

    @property
    def days(self) -> set[date]:
        """The days on which anything is another."""
        return {day for day, _ in self.cells} | self.visitor_days


def notes(*, most: int) -> list[int]:
    """The row numbers of some notes, the oldest first."""
    return list(session.scalars(sa.select(Touched.id).order_by(Touched.id).limit(most)))


def forget(ids: Iterable[int]) -> None:
    """Drops these notes and no other: on PostgreSQL a lower number may be committed later."""
    session.execute(sa.delete(Touched).where(Touched.id.in_(list(ids))))


def changes(zone: str, *, ids: list[int] | None = None) -> Changes:
    """What these notes say (all, if none are named), by the days of a time zone."""
    here = sa.true() if ids is None else Touched.id.in_(ids)
    found = Changes()
    moments: Any = sa.select(Touched.at, Touched.link_id)
    for at, link in session.execute(moments.where(here, Touched.at.is_not(None), Touched.referral_id.is_(None))):
        if link is None:
            found.visitor_days.add(clock.local_date(at, zone))
        else:
            found.cells.add((clock.local_date(at, zone), link))
    for at, link in session.execute(_of_referrals(here)):
        found.cells.add((clock.local_date(at, zone), link))
    return found


def _of_referrals(here: sa.ColumnElement[bool]) -> sa.CompoundSelect[Any]:
    """(moment, link) for every moment of the referrals that notes name, for their links of now and before."""
    named = sa.union(
        sa.select(Touched.referral_id.label("referral_id")).where(here, Touched.referral_id.is_not(None)),
        sa.select(Reward.referral_id).join(Touched, Touched.reward_id == Reward.id).where(here),
    ).subquery("named")
    of_old = sa.select(Touched.referral_id, Touched.link_id).where(
        here, Touched.referral_id.is_not(None), Touched.link_id.is_not(None)
    )
    links = sa.union(
        sa.select(Referral.id.label("referral_id"), Referral.link_id).join(named, named.c.referral_id == Referral.id),
        of_old,
    ).subquery("links")
    moments = sa.union(
        sa.select(Touched.referral_id.label("referral_id"), Touched.at.label("at")).where(
            here, Touched.referral_id.is_not(None), Touched.at.is_not(None)
        ),
        *(
            sa.select(number, at).join(named, named.c.referral_id == number).where(at.is_not(None))
            for number, at in (
                (Referral.id, Referral.joined_at),
                (Referral.id, Referral.counted_at),
                (Conversion.referral_id, Conversion.occurred_at),
                (Reward.referral_id, Reward.made_at),
            )
        ),
    ).subquery("moments")
    query = sa.select(moments.c.at, links.c.link_id).join(links, links.c.referral_id == moments.c.referral_id)
    return query.distinct()  # type: ignore[return-value]
