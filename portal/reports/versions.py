"""Versions: how the terms came to be what they are: each version with its author and what it changed."""

import difflib
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from portal import terms
from portal.accounts.users import User
from portal.core.database import session
from portal.referrals.referrals import Referral
from portal.rewards import rules
from portal.rewards.rules import Rule
from portal.terms import Terms

TEXTS = {"legal_text", "privacy_text", "product_text"}
"""Settings that are told by the lines that came and went."""

ASIDE = {"accent", "logo", "privacy_text", "product_image", "product_image_text", "product_text"}
"""Settings that say nothing about who gets what."""


@dataclass(frozen=True)
class Change:
    """One setting: what it was and what it is. For a text, the lines that went and that came."""

    name: str
    was: Any
    now: Any


@dataclass(frozen=True)
class Version:
    """One version, by whom (None: by the set-up or the command), what it changed, and how many came under it."""

    terms: Terms
    by: User | None
    changes: list[Change]
    rules: "Rules"
    referrals: int


@dataclass(frozen=True)
class Rules:
    """What came and went of an offer, and what was put in the place of what (was, is)."""

    added: list[Rule]
    removed: list[Rule]
    changed: list[tuple[Rule, Rule]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def listed(*, before: int | None = None, most: int = 20) -> tuple[list[Version], int | None]:
    """Versions, the newest first, and the number of the one before which the next page begins."""
    query = sa.select(Terms).order_by(Terms.version.desc())
    if before is not None:
        query = query.where(Terms.version < before)
    found = list(session.scalars(query.limit(most + 1)))
    counted = sa.select(Referral.terms_id, sa.func.count()).where(Referral.terms_id.in_([one.id for one in found]))
    came = {terms_id: many for terms_id, many in session.execute(counted.group_by(Referral.terms_id))}
    shown = [
        _version(one, found[place + 1] if place + 1 < len(found) else None, came.get(one.id, 0))
        for place, one in enumerate(found[:most])
    ]
    return shown, found[most - 1].version if len(found) > most else None


def changes(old: Terms, new: Terms) -> list[Change]:
    """What of the settings differs."""
    left_out = {"id", "version", "published_at", "published_by_id"}
    names = [column.key for column in Terms.__table__.columns if column.key not in left_out]
    return [_change(name, getattr(old, name), getattr(new, name)) for name in names
            if getattr(old, name) != getattr(new, name)]  # fmt: skip


def _version(one: Terms, last: Terms | None, referrals: int) -> Version:
    by = session.get(User, one.published_by_id) if one.published_by_id else None
    if last is None:
        return Version(one, by, [], Rules(rules.of_terms(one.id), [], []), referrals)
    return Version(one, by, changes(last, one), differing(rules.of_terms(last.id), rules.of_terms(one.id)), referrals)


def differing(was: list[Rule], now: list[Rule]) -> Rules:
    """What of an offer differs; a rule is known by its `rule_key`."""
    old, new = ({rule.rule_key: rule for rule in offer} for offer in (was, now))
    return Rules(
        [rule for key, rule in new.items() if key not in old],
        [rule for key, rule in old.items() if key not in new],
        [(old[key], rule) for key, rule in new.items() if key in old and not rules.same(old[key], rule)],
    )


def as_read(current: Terms) -> Terms:
    """The version since which people read the terms as they are now: a colour, a logo or a text that stands on another
    page is none to read anew."""
    offer = rules.of_terms(current.id)
    while (older := terms.of_version(current.version - 1)) is not None:
        if {change.name for change in changes(older, current)} - ASIDE or differing(rules.of_terms(older.id), offer):
            break
        current = older
    return current


def _change(name: str, was: Any, now: Any) -> Change:
    if name not in TEXTS:
        return Change(name, was, now)
    lines = list(difflib.ndiff((was or "").splitlines(), (now or "").splitlines()))
    went, came = ("\n".join(line[2:] for line in lines if line.startswith(sign)) for sign in "-+")
    return Change(name, went, came)
