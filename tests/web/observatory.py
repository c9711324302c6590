"""The HTTP Observatory's score of an answer, by its published rules (mdn-http-observatory, `grader/charts.js` and
`analyzer/tests/`): from 100, each test takes points off or adds some; those that add count from 90 on.

Only what this portal's answers can meet is told apart; anything else counts as the worst of its kind. What the Observatory
asks beyond one answer is taken as it is behind the shipped nginx: http leads to https on the same host (0), and the name
is not preloaded (0).
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urlsplit

Answer = tuple[dict[str, list[str]], str]
"""Headers by their name in lower case, and the body if it is HTML."""

BROAD = {"ftp:", "http:", "https:", "*", "http://*", "http://*.*", "https://*", "https://*.*"}
INLINE = {"'unsafe-inline'", "data:"}
PRIVATE = {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}
EXTRA_CREDIT_FROM = 90


def score(headers: dict[str, list[str]], html: str) -> tuple[int, dict[str, int]]:
    """The score, and what each test gave."""
    gave = dict(_each((headers, html)))
    without_extras = 100 + sum(points for points in gave.values() if points < 0)
    return (100 + sum(gave.values()) if without_extras >= EXTRA_CREDIT_FROM else without_extras), gave


def _each(answer: Answer) -> Iterator[tuple[str, int]]:
    headers, html = answer
    policy = _policy(headers)
    yield "content-security-policy", _csp(policy)
    yield "cookies", _cookies(headers.get("set-cookie", []))
    yield "cross-origin-resource-sharing", -50 if "access-control-allow-origin" in headers else 0
    yield "referrer-policy", 5 if headers.get("referrer-policy", ["unsafe"])[0] in PRIVATE else -5
    yield "strict-transport-security", _hsts(headers.get("strict-transport-security", [""])[0])
    yield "subresource-integrity", _scripts(html)
    yield "x-content-type-options", 0 if headers.get("x-content-type-options") == ["nosniff"] else -5
    yield "x-frame-options", 5 if "frame-ancestors" in policy else _frames(headers)
    yield (
        "cross-origin-resource-policy",
        10 if headers.get("cross-origin-resource-policy", [""])[0] in ("same-origin", "same-site") else 0,
    )


def _policy(headers: dict[str, list[str]]) -> dict[str, set[str]]:
    text = headers.get("content-security-policy", [""])
    assert len(text) == 1 and "," not in text[0], "one policy"
    parts = [part.split() for part in text[0].split(";") if part.strip()]
    return {name: set(sources) for name, *sources in parts}


def _csp(policy: dict[str, set[str]]) -> int:
    if not policy:
        return -25
    default = policy.get("default-src", {"*"})
    script, style, plugin = (policy.get(name, default) for name in ("script-src", "style-src", "object-src"))
    if script & (BROAD | INLINE) or plugin & BROAD:
        return -20
    if any(source.startswith(("http:", "ftp:")) for sources in policy.values() for source in sources):
        return -20
    if "'unsafe-eval'" in script | style:
        return -10
    if style & (BROAD | INLINE):
        return 0
    return 10 if default == {"'none'"} else 5


def _cookies(answered: list[str]) -> int:
    if not answered:
        return 0
    for cookie in answered:
        name, *rest = (part.strip().lower() for part in cookie.split(";"))
        if "secure" not in rest or not {"samesite=lax", "samesite=strict"} & set(rest):
            return -40
        if re.search("login|sess", name.split("=")[0]) and "httponly" not in rest:
            return -30
    return 5


def _hsts(text: str) -> int:
    found = re.search(r"max-age=(\d+)", text)
    return -20 if not found else 0 if int(found[1]) >= 15_768_000 else -10


def _frames(headers: dict[str, list[str]]) -> int:
    return 0 if headers.get("x-frame-options", [""])[0].lower() in ("deny", "sameorigin") else -20


class _Scripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.found.append(dict(attrs).get("src") or "")


def _scripts(html: str) -> int:
    reader = _Scripts()
    reader.feed(html)
    return -50 if any(urlsplit(source).netloc for source in reader.found) else 0
