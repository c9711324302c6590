"""Near words: what somebody who knows the person and the program tries first, and of which no new password is made.

The list (ASVS 5.0, 6.1.2): the words of the program's name, of its shop's host and of the portal's; of the person's
address and name; and what a portal like this is called. A password may hold them, if enough is left without them.
"""

import re
import unicodedata

OF_THE_FIELD = "referral referrals referrer refer friend friends invite portal reward rewards"
SHORTEST_WORD = 4
LEAST_LEFT = 8
"""Letters and digits left of a good password without its near words: what NIST SP 800-63B asks of a whole one."""


def are_all_of(password: str, *known: str) -> bool:
    """Whether too little is left of a password without the words of these texts, in capitals or not."""
    text = _folded(password)
    words = {word for said in (OF_THE_FIELD, *known) for word in re.findall(r"[^\W_]+", _folded(said))}
    left = text
    for word in sorted((word for word in words if len(word) >= SHORTEST_WORD), key=len, reverse=True):
        left = left.replace(word, " ")
    return left != text and sum(letter.isalnum() for letter in left) < LEAST_LEFT


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
