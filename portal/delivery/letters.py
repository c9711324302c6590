"""Letters: how a mail's text becomes its two parts. The text is what is kept; the HTML is made of it when it is sent.

A text is paragraphs between empty lines. One that is words and an address alone (`See your rewards: https://…`) is the
button; lines that begin with `> ` are what somebody wrote; what follows the line `-- ` (RFC 3676) is the small print.
Nothing in a text is markup: all of it is escaped. No picture, no font and no script from anywhere; every style inline,
but for the dark colours, which only a sheet can tell.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from html import escape

_LABELLED = re.compile(r"(?P<words>[^\n]+?):?\s+(?P<address>https?://\S+)")
_ADDRESS = re.compile(r"https?://[^\s<>]+[^\s<>.,;:!?)]")

_FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
_DARK = """
@media (prefers-color-scheme: dark) {
  .page { background: #0f1218 !important; }
  .sheet { background: #171b24 !important; border-color: #252a36 !important; }
  .ink { color: #eceef4 !important; }
  .soft { color: #a9b1c2 !important; }
  .link { color: #b2b6ff !important; }
  .line { border-color: #252a36 !important; }
  .said { border-color: #6459ea !important; color: #eceef4 !important; }
}
"""


class Look(StrEnum):
    """How a block of a letter looks."""

    TEXT = "text"
    BUTTON = "button"
    SAID = "said"
    """What somebody wrote."""
    SMALL = "small"


@dataclass(frozen=True)
class Block:
    """A paragraph, or the button that leads to an address."""

    look: Look
    text: str
    address: str = ""


def blocks(text: str, own: str) -> list[Block]:
    """The blocks of a text. `own`, which ends with a slash: where the portal's pages are; only what leads there becomes
    a button."""
    body, _, small = text.replace("\r\n", "\n").partition("\n-- \n")
    return [*map(partial(_block, own), _paragraphs(body)), *(Block(Look.SMALL, one) for one in _paragraphs(small))]


def _block(own: str, paragraph: str) -> Block:
    labelled = _LABELLED.fullmatch(paragraph)
    if labelled and labelled["address"].startswith(own):
        return Block(Look.BUTTON, labelled["words"].rstrip(":"), labelled["address"])
    if paragraph.startswith(own) and not re.search(r"\s", paragraph):
        return Block(Look.BUTTON, paragraph, paragraph)
    if all(line.startswith("> ") for line in paragraph.splitlines()):
        return Block(Look.SAID, "\n".join(line[2:] for line in paragraph.splitlines()))
    return Block(Look.TEXT, paragraph)


def as_html(text: str, *, title: str, sender: str, language: str, own: str) -> str:
    """The HTML part of a mail; `own` as in `blocks`."""
    inner, small = [], False
    for block in blocks(text, own):
        inner.append(_styled(block, own, first_small=block.look == Look.SMALL and not small))
        small = block.look == Look.SMALL
    return (
        f'<!doctype html>\n<html lang="{escape(language)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        f"<title>{escape(title)}</title><style>{_DARK}</style></head>\n"
        f'<body class="page" style="margin:0;background:#f3f4f8;{_FONT}">\n'
        '<div class="page" style="background:#f3f4f8;padding:24px 12px">\n'
        '<div class="sheet" style="max-width:560px;margin:0 auto;padding:28px 28px 20px;background:#ffffff;'
        'border:1px solid #e4e7ee;border-radius:16px">\n'
        f'<p class="ink" style="margin:0 0 20px;color:#10131c;font-size:17px;font-weight:700">{escape(sender)}</p>\n'
        f"{''.join(inner)}</div>\n</div>\n</body></html>\n"
    )


def _styled(block: Block, own: str, *, first_small: bool) -> str:
    if block.look == Look.BUTTON:
        return _button(block.text if block.text != block.address else "", block.address)
    if block.look == Look.SAID:
        said = escape(block.text).replace("\n", "<br>")
        return (
            f'<blockquote class="said" style="margin:0 0 18px;padding:2px 0 2px 14px;border-left:3px solid #4538cf;'
            f'color:#10131c;font-size:16px;line-height:1.55">{said}</blockquote>\n'
        )
    if block.look == Look.SMALL:
        rule = "border-top:1px solid #e4e7ee;padding-top:16px;" if first_small else ""
        return (
            f'<p class="soft line" style="{rule}margin:0 0 8px;color:#4a5163;font-size:13px;line-height:1.5">'
            f"{_linked(block.text, own)}</p>\n"
        )
    return (
        f'<p class="ink" style="margin:0 0 18px;color:#10131c;font-size:16px;line-height:1.55">'
        f"{_linked(block.text, own)}</p>\n"
    )


def _button(words: str, address: str) -> str:
    target = escape(address)
    shown = escape(words) if words else target
    below = (
        f'<p class="soft" style="margin:0 0 20px;color:#4a5163;font-size:13px;line-height:1.5;word-break:break-all">'
        f"{target}</p>\n"
        if words
        else ""
    )
    return (
        f'<p style="margin:6px 0 10px"><a href="{target}" style="display:inline-block;padding:13px 22px;'
        f"border-radius:10px;background:#4538cf;color:#ffffff;font-size:16px;font-weight:600;text-decoration:none;"
        f'word-break:break-word">{shown}</a></p>\n{below}'
    )


def _paragraphs(text: str) -> Iterator[str]:
    for part in re.split(r"\n\s*\n", text):
        if part.strip():
            yield part.strip("\n")


def _linked(text: str, own: str) -> str:
    """A text escaped, its lines kept, and what leads into the portal a link."""
    pieces, at = [], 0
    for found in _ADDRESS.finditer(text):
        if found[0].startswith(own):
            address = escape(found[0])
            pieces += [
                escape(text[at : found.start()]),
                f'<a class="link" href="{address}" style="color:#4538cf;word-break:break-all">{address}</a>',
            ]
            at = found.end()
    return "".join([*pieces, escape(text[at:])]).replace("\n", "<br>")
