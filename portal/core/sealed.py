"""Sealed: short secrets that have to be read again, encrypted with a key that does not lie in the database.

AES-256-GCM with a nonce drawn for each (NIST SP 800-38D). What was sealed before version 0.5 is Fernet's, and is read
still.
"""

import hashlib
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

NONCE_BYTES = 12
_MARK = "2."


class NotOurs(Exception):
    """Another key sealed it, or it was changed since."""


class Box:
    """Encrypts and reads with a key for one purpose, derived from a key of the settings. `key_id` says which.

    `before`: the Fernet key of what was sealed earlier, where it is not the usual one.
    """

    key_id = "k2"

    def __init__(self, key: str, purpose: str, *, before: str | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # where nothing is sealed, it need not be loaded

        self._gcm = AESGCM(hashlib.sha256(f"{purpose}\0AES-256-GCM\0{key}".encode()).digest())
        self._before = before or urlsafe_b64encode(hashlib.sha256(f"{purpose}\0{key}".encode()).digest()).decode()

    def seal(self, secret: str) -> str:
        nonce = os.urandom(NONCE_BYTES)
        return _MARK + urlsafe_b64encode(nonce + self._gcm.encrypt(nonce, secret.encode(), None)).decode()

    def open(self, sealed: str) -> str:
        """What was sealed. Raises NotOurs for what another key sealed, and for what was changed."""
        from cryptography.exceptions import InvalidTag
        from cryptography.fernet import Fernet, InvalidToken

        try:
            if not sealed.startswith(_MARK):
                return Fernet(self._before).decrypt(sealed.encode()).decode()
            raw = urlsafe_b64decode(sealed.removeprefix(_MARK))
            return self._gcm.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None).decode()
        except (InvalidTag, InvalidToken, ValueError) as error:
            raise NotOurs from error
