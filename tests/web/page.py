"""A page as a browser without script reads it: its forms and what stands in their fields, its words, its links.

Only what tests ask about; the parsing is Python's own `html.parser`, so that nothing between the page and the test
mends what is broken.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser

VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
UNSEEN = frozenset({"script", "style", "noscript", "template", "head"})


@dataclass
class Element:
    """One element with its attributes, its children and its text in between."""

    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list["Element | str"] = field(default_factory=list)
    parent: "Element | None" = None

    def get(self, name: str) -> str:
        """An attribute; empty if it is not there or has no value."""
        return self.attributes.get(name) or ""

    def walk(self) -> Iterator["Element"]:
        """This element and all below it, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, *tags: str) -> list["Element"]:
        return [one for one in self.walk() if one.tag in tags]

    def within(self, *tags: str) -> "Element | None":
        """The nearest element around this one that is one of these."""
        around = self.parent
        while around is not None and around.tag not in tags:
            around = around.parent
        return around

    @property
    def text(self) -> str:
        """The words in it, with single spaces."""
        return " ".join(self._said().split())

    def _said(self) -> str:
        return " ".join(
            child if isinstance(child, str) else child._said() if child.tag not in UNSEEN else ""
            for child in self.children
        )


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.here = Element("")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), parent=self.here)
        self.here.children.append(element)
        if tag not in VOID:
            self.here = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.here.children.append(Element(tag, dict(attrs), parent=self.here))

    def handle_endtag(self, tag: str) -> None:
        around: Element | None = self.here
        while around is not None and around.tag != tag:
            around = around.parent
        if around is not None and around.parent is not None:
            self.here = around.parent

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)


def read(html: str) -> Element:
    """The elements of a document, under a root without a tag."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.root


class Form:
    """A form and what a browser would send with it as it stands."""

    def __init__(self, element: Element) -> None:
        self.element = element
        self.action, self.method = element.get("action"), (element.get("method") or "get").lower()
        self.fields: dict[str, list[str]] = {}
        for control in element.all("input", "select", "textarea"):
            name = control.get("name")
            if name and "disabled" not in control.attributes:
                self.fields.setdefault(name, []).extend(_sent(control))

    def filled(self, given: dict[str, object]) -> dict[str, object]:
        """What is sent when these fields are filled in: True ticks a box, None leaves a field out."""
        sent: dict[str, object] = {name: values for name, values in self.fields.items() if values}
        for name, value in given.items():
            sent.pop(name, None)
            if value not in (None, False):
                sent[name] = "y" if value is True else value
        return sent

    @property
    def labels(self) -> str:
        """The words of its buttons."""
        return " ".join(button.text for button in self.element.all("button"))


def _sent(control: Element) -> list[str]:
    kind = control.get("type").lower() if control.tag == "input" else control.tag
    if kind in ("submit", "button", "image", "reset", "file"):
        return []
    if kind in ("checkbox", "radio"):
        return [control.get("value") or "on"] if "checked" in control.attributes else []
    if kind == "textarea":
        text = "".join(child for child in control.children if isinstance(child, str))
        return [text.replace("\r\n", "\n").removeprefix("\n")]
    if kind == "select":
        options = control.all("option")
        chosen = [one for one in options if "selected" in one.attributes] or options[:1]
        return [one.get("value") if "value" in one.attributes else one.text for one in chosen]
    return [control.get("value")]


class Page:
    """What came back to the browser."""

    def __init__(self, response: object, path: str) -> None:
        self.response, self.path = response, path
        self.status: int = response.status_code  # type: ignore[attr-defined]
        self.headers = response.headers  # type: ignore[attr-defined]
        self.body: bytes = response.data  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"<{self.status} at {self.path}: {self.text[:300] if self.is_html else self.body[:300]}>"

    @property
    def is_html(self) -> bool:
        return bool(self.body) and self.headers.get("Content-Type", "").startswith("text/html")

    @property
    def html(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        """Where it sends the browser; empty if nowhere."""
        return str(self.headers.get("Location", ""))

    @cached_property
    def tree(self) -> Element:
        return read(self.html)

    @property
    def text(self) -> str:
        """The words a person reads."""
        bodies = self.tree.all("body")
        return bodies[0].text if bodies else self.tree.text

    @property
    def main(self) -> str:
        """The words in the page's main part: without navigation and footer."""
        (main,) = self.tree.all("main")
        return main.text

    @property
    def heading(self) -> str:
        (heading,) = self.tree.all("h1")
        return heading.text

    @cached_property
    def forms(self) -> list[Form]:
        return [Form(element) for element in self.tree.all("form")]

    def form(self, action: str = "") -> Form:
        """The only POST form of the main part, or the one that goes to this address (a pattern for re.search)."""
        found = [
            form
            for form in self.forms
            if form.method == "post"
            and (re.search(action, form.action) if action else form.element.within("main") is not None)
        ]
        assert len(found) == 1, f"{len(found)} forms for {action!r} in {self!r}: {[form.action for form in self.forms]}"
        return found[0]

    def has_form(self, action: str) -> bool:
        return any(re.search(action, form.action) for form in self.forms)

    @property
    def token(self) -> str:
        """A CSRF token of this page."""
        for form in self.forms:
            if form.fields.get("csrf_token"):
                return form.fields["csrf_token"][0]
        raise AssertionError(f"no CSRF token in {self!r}")

    def error(self, name: str) -> str:
        """What the page says is wrong with a field: the element that the field names as describing it."""
        by_id = {element.get("id"): element for element in self.tree.walk() if element.get("id")}
        fields = [element for element in self.tree.walk() if name in (element.get("name"), element.get("id"))]
        about = [by_id[one] for element in fields for one in element.get("aria-describedby").split() if one in by_id]
        return " ".join(dict.fromkeys(one.text for one in about if one.get("id").endswith("-error")))

    def kept(self, name: str) -> list[str]:
        """What stands in a field."""
        return [value for form in self.forms for value in form.fields.get(name, [])]
