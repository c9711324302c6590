"""Common passwords: those that are tried first, and so are refused as new ones.

Known by the beginnings of their SHA-256, one a line, sorted: the 5,000 most frequent of twelve letters and more, in
lower case, from Mark Burnett's ten million passwords in the order of SecLists (its list of the first million of them).
ASVS 5.0, 6.2.4, asks for 3,000 that fit the rules of the house.
"""

import hashlib
from bisect import bisect_left
from functools import cache
from pathlib import Path

LIST = Path(__file__).with_suffix(".txt")
LETTERS = 12
"""How much of each hash is kept: enough that no other password is met by chance."""


@cache
def _marks() -> list[str]:
    return LIST.read_text(encoding="ascii").split()


def knows(password: str) -> bool:
    """Whether a password is among them, in capitals or not."""
    mark = hashlib.sha256(password.lower().encode("utf-8", errors="surrogatepass")).hexdigest()[:LETTERS]
    marks = _marks()
    place = bisect_left(marks, mark)
    return place < len(marks) and marks[place] == mark
