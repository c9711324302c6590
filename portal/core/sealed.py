"""Sealed: short secrets that have to be read again, encrypted with a key that does not lie in the database."""

import hashlib
from base64 import urlsafe_b64encode


class Box:
    """Encrypts and reads with a key for one purpose, derived from a key of the settings. `key_id` says which."""

    key_id = "k1"

    def __init__(self, key: str, purpose: str) -> None:
        from cryptography.fernet import Fernet  # where nothing is sealed, it need not be loaded

        derived = hashlib.sha256(f"{purpose}\0{key}".encode()).digest()
        self._fernet = Fernet(urlsafe_b64encode(derived))

    def seal(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """What was sealed. Raises cryptography's InvalidToken for what another key sealed."""
        return self._fernet.decrypt(sealed.encode()).decode()
