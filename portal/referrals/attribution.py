"""Attribution: deciding which touch earns the friend. The order is published on the page of terms.

1. an admin's decision, 2. a code typed by the friend, 3. the last touch (or the first, by the terms) inside the
window, 4. the earliest open invite to the friend's address. Whoever came by none of these may name the referrer, who
confirms it (`claims`). A code that travelled in the form because there was no cookie ranks as a touch. Pure: it
reads what it is given and decides; `referrals` keeps the outcome.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from portal.core import clock
from portal.terms import Touch


class How(StrEnum):
    """By what a friend was attributed."""

    CODE = "code"
    LAST_TOUCH = "last_touch"
    FIRST_TOUCH = "first_touch"
    SHOP = "shop"
    """A code that the shop reported with its customer."""
    INVITE = "invite"
    """An open invite to the address with which the friend signed up."""
    CLAIM = "claim"
    """Named by the friend afterwards and confirmed."""
    ADMIN = "admin"
    """By an admin's decision, with a reason in the audit list."""


@dataclass(frozen=True)
class Candidate:
    """A link that might have earned the friend; `first_at` and `last_at` are its earliest and latest moment."""

    link_id: int
    referrer_id: int
    code: str
    first_at: datetime
    last_at: datetime
    click_id: int | None = None


@dataclass(frozen=True)
class Attribution:
    """The outcome, with what it was weighed against, so that a person can read why."""

    link_id: int
    referrer_id: int
    code: str
    how: How
    touched_at: datetime
    click_id: int | None
    weighed: tuple[dict[str, Any], ...] = ()
    """The other candidates: code, moment, and `later`, `earlier`, `typed` (a code was typed) or `too_old`."""

    def as_json(self) -> dict[str, Any]:
        """For keeping with a confirmation until the address is confirmed."""
        return asdict(self) | {"touched_at": self.touched_at.isoformat(), "weighed": list(self.weighed)}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Attribution":
        return cls(
            **kept
            | {
                "how": How(kept["how"]),
                "touched_at": datetime.fromisoformat(kept["touched_at"]),
                "weighed": tuple(kept["weighed"]),
            }
        )


def decide(
    *,
    typed: Candidate | None,
    touches: list[Candidate],
    touch: Touch,
    window_days: int,
    at: datetime,
    shop: bool = False,
    invited: Candidate | None = None,
) -> Attribution | None:
    """Decides. `typed` is a code the friend (or the `shop`) named; `touches` are the visitor's, in any order;
    `invited` is the earliest open invite to the friend's address.

    A touch counts up to and including exactly `window_days` x 24 hours, by its latest visit. None if nothing counts.
    """
    oldest = at - clock.days(window_days)
    last = touch == Touch.LAST
    inside = [c for c in touches if c.last_at >= oldest]
    ranked = sorted(
        inside, key=lambda c: (c.last_at, c.click_id or 0) if last else (c.first_at, c.click_id or 0), reverse=last
    )
    best = typed or (ranked[0] if ranked else invited)
    if best is None:
        return None
    how = (How.SHOP if shop else How.CODE) if typed else (How.LAST_TOUCH if last else How.FIRST_TOUCH)
    if best is invited:
        how = How.INVITE
    others: dict[int, Candidate] = {}
    for other in [*ranked, *(c for c in touches if c not in inside)]:
        if other.link_id != best.link_id:
            others.setdefault(other.link_id, other)
    weighed = [
        {
            "code": c.code,
            "at": (c.last_at if last else c.first_at).isoformat(),
            "why": "too_old" if c not in inside else "typed" if typed else "later" if not last else "earlier",
        }
        for c in others.values()
    ]
    return Attribution(
        link_id=best.link_id,
        referrer_id=best.referrer_id,
        code=best.code,
        how=how,
        touched_at=best.last_at if last or typed else best.first_at,
        click_id=best.click_id,
        weighed=tuple(weighed[:20]),
    )
