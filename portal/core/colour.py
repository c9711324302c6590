"""Colour: whether words can be read on it, and the nearest on which they can (WCAG 2.2, contrast ratio)."""

import re
from collections.abc import Callable

WHITE, BLACK = "#ffffff", "#000000"
READABLE = 4.5
"""The least ratio for words (WCAG 2.2, 1.4.3)."""


def is_colour(text: str) -> bool:
    """Whether a text is a colour such as `#4538cf`."""
    return re.fullmatch(r"#[0-9a-f]{6}", text) is not None


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mixed(one: str, other: str, share: float) -> str:
    """A colour with so much (0 to 1) of another in it."""
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def until(colour: str, towards: str, fine: Callable[[str], bool]) -> str:
    """The nearest colour on the way to another that is fine; the other one, if none is."""
    for step in range(101):
        tried = mixed(colour, towards, step / 100)
        if fine(tried):
            return tried
    return towards


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2, definitions)."""
    linear = [
        part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4
        for part in _parts(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
