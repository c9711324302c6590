"""The lint of every page that a test opens: what makes a page readable for everyone and safe from what is typed.

One title, one h1, a name for every field and button, no id twice, a token in every form that posts, nothing inline
that the Content-Security-Policy would refuse, nothing from elsewhere, no text cut in silence.
"""

import re
from collections import Counter
from collections.abc import Iterator

from tests.web.page import Element, read

NAMELESS = {"hidden", "submit", "button", "image", "reset"}


_fine: set[int] = set()


def check(html: str, what: str, *, part: bool = False) -> None:
    """Fails with what is wrong with a page, or with a part of one that a script asked for. A page that was looked at already is not looked at again."""
    seen = hash(re.sub(r'(value=")[\w.-]{40,}|Reference <code>\w+', r"\1token", html))
    if seen in _fine:
        return
    found = list(faults_of_part(html) if part else faults(html))
    assert not found, f"{what}: " + "; ".join(found)
    _fine.add(seen)


def faults(html: str) -> Iterator[str]:
    """What is wrong with a page; nothing if all is well."""
    yield from _once(read(html))
    yield from faults_of_part(html)


def faults_of_part(html: str) -> Iterator[str]:
    """What is wrong with a part of a page; nothing if all is well."""
    tree = read(html)
    yield from _ids(tree)
    yield from _names(tree)
    yield from _forms(tree)
    yield from _cut(tree)
    yield from _inline(tree)
    yield from _elsewhere(tree)


def _once(tree: Element) -> Iterator[str]:
    titles = [one for head in tree.all("head") for one in head.all("title")]
    if len(titles) != 1 or not titles[0].text.strip(" ·"):
        yield f"{len(titles)} titles, not one with words"
    headings = tree.all("h1")
    if len(headings) != 1 or not headings[0].text:
        yield f"{len(headings)} h1, not one with words"
    if len(tree.all("main")) != 1:
        yield "not one main part"
    if not (tree.all("html") and tree.all("html")[0].get("lang")):
        yield "no language"


def _ids(tree: Element) -> Iterator[str]:
    ids = Counter(element.get("id") for element in tree.walk() if "id" in element.attributes)
    yield from (f"id {name!r} is there {count} times" for name, count in ids.items() if count > 1 or not name)
    for element in tree.walk():
        for attribute in ("for", "aria-describedby", "aria-labelledby", "aria-controls"):
            for name in element.get(attribute).split():
                if name not in ids:
                    yield f"{element.tag} {attribute} names {name!r}, which is not there"


def _names(tree: Element) -> Iterator[str]:
    labelled = {label.get("for") for label in tree.all("label") if label.text}
    for field in tree.all("input", "select", "textarea"):
        if field.tag == "input" and field.get("type") in NAMELESS:
            continue
        around = field.within("label")
        named = field.get("aria-label") or field.get("aria-labelledby") or (around is not None and around.text)
        if not named and field.get("id") not in labelled:
            yield f"field {field.get('name')!r} has no label"
    for one in tree.all("button", "a", "summary"):
        inner = " ".join(image.get("alt") + image.get("aria-label") for image in one.all("img", "svg"))
        if not (one.text or one.get("aria-label") or one.get("title") or inner.strip()):
            yield f"{one.tag} {one.get('href') or one.get('name')!r} has no name"
    yield from (f"img {one.get('src')} has no alt" for one in tree.all("img") if "alt" not in one.attributes)


def _forms(tree: Element) -> Iterator[str]:
    for form in tree.all("form"):
        tokens = [one for one in form.all("input") if one.get("name") == "csrf_token"]
        if form.get("method").lower() == "post" and not (len(tokens) == 1 and tokens[0].get("value")):
            yield f"the form to {form.get('action')!r} has {len(tokens)} CSRF tokens, not one"
        if form.get("method").lower() != "post" and tokens:
            yield f"the form to {form.get('action')!r} shows its CSRF token in the address"
        if not form.get("action"):
            yield "a form that does not say where it goes"
        if form.within("form"):
            yield "a form inside a form"


def _cut(tree: Element) -> Iterator[str]:
    """Where a browser cuts what is pasted: never in silence in a long text, never in a password."""
    counted = {element.get("data-count") for element in tree.walk()}
    for field in tree.all("textarea", "input"):
        long = field.tag == "textarea" or field.get("type") == "password"
        if long and field.get("maxlength") and field.get("id") not in counted:
            yield f"field {field.get('name')!r} cuts what is pasted, and nothing counts"


def _inline(tree: Element) -> Iterator[str]:
    for element in tree.walk():
        if element.tag == "style" or (element.tag == "script" and not element.get("src")):
            yield f"inline {element.tag}"
        for name, value in element.attributes.items():
            if name == "style" or name.startswith("on"):
                yield f"{element.tag} has {name}="
            if name in ("href", "src", "action") and (value or "").strip().lower().startswith(("javascript:", "data:")):
                yield f"{element.tag} has {name}={value!r}"


def _elsewhere(tree: Element) -> Iterator[str]:
    for element in tree.all("script", "link", "img", "iframe", "source", "object", "embed"):
        address = element.get("src") or element.get("href")
        if address.startswith(("http:", "https:", "//")) and element.get("rel") not in ("canonical",):
            yield f"{element.tag} comes from elsewhere: {address}"
