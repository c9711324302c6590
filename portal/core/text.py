"""Text: random public ids, cleaned input, keyed hashes, and refusals that a person may read."""

import hashlib
import hmac
import secrets
import unicodedata
from typing import Any

CODE_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""31 letters and digits without look-alikes (no 0, o, 1, l, i): 9 of them carry 44 bits."""


PUBLIC_ID_LENGTH = 16


def marked(message: str) -> str:
    """Marks a sentence for the catalogue of translations and gives it back as it is.

    The domain knows no request and so no language: it names the sentence, the web says it.
    """
    return message


class Refusal(Exception):
    """A no that a person may read: a sentence with named places, filled in the reader's language by the web."""

    def __init__(self, message: str, **values: Any) -> None:
        super().__init__(message)
        self.message, self.values = message, values

    def __str__(self) -> str:
        return self.message % self.values if self.values else self.message


_CHANCE = secrets.SystemRandom()


def public_id() -> str:
    """A random id for URLs, the API and webhooks: 16 letters, about 79 bits. Never a row number."""
    return random_code(PUBLIC_ID_LENGTH)


def is_public_id(value: str) -> bool:
    """Whether this could be one that `public_id` made."""
    return len(value) == PUBLIC_ID_LENGTH and set(value) <= set(CODE_ALPHABET)


def random_code(length: int) -> str:
    """A random code of `length` characters from CODE_ALPHABET."""
    return "".join(_CHANCE.choices(CODE_ALPHABET, k=length))


def one_line(value: str, longest: int) -> str:
    """Input as one clean line: NFC, no control or invisible direction characters, single spaces, cut."""
    if value.isascii() and value.isprintable():  # nothing to be cleaned but spaces
        return " ".join(value.split())[:longest].strip()
    kept = "".join(" " if c.isspace() else c for c in unicodedata.normalize("NFC", value))
    kept = "".join(c for c in kept if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"})
    return " ".join(kept.split())[:longest].strip()


def keyed_hash(key: bytes, value: str) -> str:
    """HMAC-SHA256 of a value in hex: tells whether two are the same without keeping either."""
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()


def token() -> str:
    """A secret for a link or a key: 256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def token_hash(value: str) -> str:
    """How a secret token is kept: its SHA-256 in hex. Enough, since a token is random and long."""
    return hashlib.sha256(value.encode()).hexdigest()
