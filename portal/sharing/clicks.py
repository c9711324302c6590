"""Clicks: one visit through a link by a person, counted once per visitor, link and hour.

Invariants: previews, scanners, crawlers, HEAD and prefetch never count; a click is committed before its answer;
a visitor's touches are its click rows, each with the moment of its latest visit.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from crawlerdetect import CrawlerDetect
from sqlalchemy.orm import Mapped, aliased, mapped_column

from portal.accounts.users import Surroundings
from portal.core import database
from portal.core.database import Model, Quick, Statement, session
from portal.core.text import random_code
from portal.sharing import origins

HOUR = timedelta(hours=1)

ALSO_BOTS = ("ms-office", "microsoft office", "barracudacentral", "mimecast", "proofpoint", "safelinks")
"""Mail scanners and previews that the crawler list does not know, in lower case."""


class Click(Model):
    """One counted visit, and with it a touch. `hour` is the hour since 1970 in which the visit began."""

    __tablename__ = "clicks"
    __table_args__ = (
        database.once("link_id", "visitor", "hour"),
        sa.Index("ix_clicks_visitor", "visitor", "last_at"),
        sa.Index("ix_clicks_link_at", "link_id", "at"),
        database.whole("hour"),
    )

    id: Mapped[int] = database.key()
    link_id: Mapped[int] = database.refers_to("links.id", index=False)
    visitor: Mapped[str] = mapped_column(sa.String(32))
    hour: Mapped[int]
    at: Mapped[datetime] = mapped_column(index=True)
    last_at: Mapped[datetime]
    network: Mapped[str | None] = mapped_column(sa.String(64))
    browser: Mapped[str | None] = mapped_column(sa.String(16))
    came_from: Mapped[str | None] = mapped_column(sa.String(origins.LONGEST))
    """Where the visit came from, see `origins`. A later one within the hour adds only that it was an advertisement."""


_AGAIN = Statement(
    "UPDATE clicks SET last_at = ?, came_from = COALESCE(?, came_from)"
    " WHERE link_id = ? AND visitor = ? AND at > ? RETURNING id"
)
_FIRST = Statement(
    "INSERT INTO clicks (link_id, visitor, hour, at, last_at, network, browser, came_from)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (link_id, visitor, hour) DO UPDATE SET last_at = excluded.last_at"
)

_JUST_COUNTED = Statement("SELECT 1 FROM clicks WHERE link_id = ? AND network = ? AND browser = ? AND at > ? LIMIT 1")

SAME_VISIT = timedelta(seconds=30)

_crawlers = CrawlerDetect()


def record(
    link_id: int, seen: Surroundings, *, new: bool, at: datetime, on: Quick, came_from: str | None = None
) -> None:
    """Records a visit, committed when this returns: a new click, or a later moment of the one within the hour.

    `seen.visitor` is needed; `new` says that this visitor was made just now, so there is no earlier click.
    `came_from` is a word of `origins.came_from`.
    """
    moment = on.moment(at)
    ad = came_from if came_from == origins.AD else None
    if not new and on.rows(_AGAIN, (moment, ad, link_id, seen.visitor, on.moment(at - HOUR))):
        return
    hour = int(at.timestamp()) // 3600
    on.rows(_FIRST, (link_id, seen.visitor, hour, moment, moment, seen.network, seen.browser, came_from))


def just_counted(link_id: int, seen: Surroundings, *, at: datetime, on: Quick) -> bool:
    """Whether a browser that keeps no cookie was counted on this link a moment ago, before it was sent on."""
    return bool(on.rows(_JUST_COUNTED, (link_id, seen.network, seen.browser, on.moment(at - SAME_VISIT))))


def is_person(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request is a person's visit. `headers`: names in lower case, as far as they were sent.

    Not one: anything but GET, prefetch and prerender, an embedded picture or script, an empty or robot's
    description. Sources: Fetch Metadata (W3C), the `Sec-Purpose` header (Fetch), the crawlerdetect list.
    """
    if method != "GET":
        return False
    purpose = headers.get("sec-purpose", "") + headers.get("purpose", "") + headers.get("x-moz", "")
    if any(word in purpose.lower() for word in ("prefetch", "preview", "prerender")):
        return False
    if (
        headers.get("sec-fetch-mode", "navigate") != "navigate"
        or headers.get("sec-fetch-dest", "document") != "document"
    ):
        return False
    description = headers.get("user-agent", "").strip()
    return bool(description) and not is_robot(description)


def is_robot(description: str) -> bool:
    """Whether a browser's description is a robot's."""
    known = _known_robots.get(description)
    if known is None:
        if len(_known_robots) > 4096:
            _known_robots.clear()
        folded = description.lower()
        known = any(word in folded for word in ALSO_BOTS) or bool(_crawlers.isCrawler(description[:1000]))
        _known_robots[description] = known
    return known


_known_robots: dict[str, bool] = {}


def touches(visitor: str | None, *, until: datetime) -> list[Click]:
    """A visitor's touches up to a moment, the latest first."""
    if not visitor:
        return []
    query = sa.select(Click).where(Click.visitor == visitor, Click.last_at <= until)
    return list(session.scalars(query.order_by(Click.last_at.desc(), Click.id.desc()).limit(100)))


def first_visit(click_id: int | None) -> datetime | None:
    """When the visitor of a click was first on its link; None if there is no such click."""
    return session.scalar(_first_visit(), {"click_id": click_id}) if click_id is not None else None


@database.once_for_each_database
def _first_visit() -> sa.Select[Any]:
    this, first = aliased(Click), aliased(Click)
    same = sa.and_(this.visitor == first.visitor, this.link_id == first.link_id)
    return sa.select(sa.func.min(first.at)).join(this, same).where(this.id == sa.bindparam("click_id"))


def forget(visitor: str | None, *, links: set[int] | None = None) -> None:
    """*Not this person*: a visitor's clicks stay counted and are no longer its touches."""
    if visitor:
        where = [Click.visitor == visitor] + ([Click.link_id.in_(links)] if links else [])
        session.execute(sa.update(Click).where(*where).values(visitor=sa.literal("-") + sa.cast(Click.id, sa.String)))


def blank(visitors: Collection[str]) -> None:
    """Takes out of the clicks of browsers what tells whose they were; they stay counted, each browser's as one's."""
    for visitor in visitors:
        mine = sa.update(Click).where(Click.visitor == visitor)
        session.execute(mine.values(visitor=random_code(32), network=None, browser=None))
