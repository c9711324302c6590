"""Origins: where a visit came from, in one short word: an advertisement, a campaign's source, or a site's name.

Invariant: never more than a host or the source that the address itself names; no path, no search terms.
"""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

AD = "ad"
"""The word for a visit through a paid advertisement."""

LONGEST = 40

AD_MARKS = frozenset({"gclid", "gbraid", "wbraid", "gad_source", "dclid", "msclkid", "yclid", "twclid", "ttclid"})
"""Parameters that only advertisements add (Google Ads, Microsoft Advertising, Yandex, X, TikTok). `fbclid` is none:
Facebook adds it to every link."""

PAID_MEDIA = frozenset({"cpc", "ppc", "cpm", "cpv", "cpa", "sem", "paid", "paidsearch", "paid-search", "paid_search",
                        "paidsocial", "paid-social", "paid_social", "display", "retargeting"})  # fmt: skip
"""What `utm_medium` says of visits that were paid for (Google Analytics, default channel groups)."""


def came_from(query: str, referer: str, *, own: Iterable[str] = ()) -> str | None:
    """Where a visit came from, by the query of its address and its Referer; None if neither says. `own`: our hosts."""
    if not query and not referer:
        return None
    named = _named(query)
    site, carried = _site(referer)
    if _is_paid(named) or _is_paid(_named(carried)):
        return AD
    return _word(named.get("utm_source", "")) or (None if site in own else _word(site.removeprefix("www.")))


def _site(referer: str) -> tuple[str, str]:
    """The host of a Referer and its query; empty where there is none."""
    try:
        parts = urlsplit(referer)
        return parts.hostname or "", parts.query
    except ValueError:
        return "", ""


def _named(query: str) -> dict[str, str]:
    try:
        return {name.lower(): value for name, value in parse_qsl(query[:2000], max_num_fields=50)}
    except ValueError:
        return {}


def _is_paid(named: dict[str, str]) -> bool:
    return not AD_MARKS.isdisjoint(named) or named.get("utm_medium", "").lower() in PAID_MEDIA


def _word(text: str) -> str | None:
    """A source or host as it is kept: plain letters, cut; `ad` is our own word and nobody else's."""
    kept = re.sub(r"[^a-z0-9._-]+", "-", text[:200].lower()).strip("-")[:LONGEST]
    return kept if kept not in ("", AD) else None
