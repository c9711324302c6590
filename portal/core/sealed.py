"""Sealed: short secrets that have to be read again, encrypted with a key that does not lie in the database.

AES-256-GCM with a nonce drawn for each (NIST SP 800-38D). What was sealed before version 0.5 is Fernet's, and is read
still. The newest key of the ring seals, each reads what it sealed; a row names the key it is under, so that rows under
an older one are found and written anew.
"""

import hashlib
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from portal.core.database import session

NONCE_BYTES = 12
_MARK = "2."


class NotOurs(Exception):
    """Another key sealed it, or it was changed since."""


@dataclass(frozen=True)
class Key:
    """One key of the ring. `made_on`: None for one of before version 0.7, which said no day."""

    secret: str
    made_on: date | None

    @property
    def id(self) -> str:
        """What rows under it name. Of before there were several: one name for all, by the form of what was sealed."""
        return hashlib.sha256(b"id\0" + self.secret.encode()).hexdigest()[:8] if self.made_on else "k2"


OLDER_FORM = "k1"
"""What rows of before version 0.5 name; they are under the key that says no day."""


def ring(text: str) -> list[Key]:
    """The keys of a file, one a line, the newest first: `key day`, or the key alone."""
    return [_key(line) for line in text.splitlines() if line.strip()]


def _key(line: str) -> Key:
    found = re.fullmatch(r"(.*) (\d{4}-\d\d-\d\d)", line.strip(), re.ASCII)
    return Key(found[1], date.fromisoformat(found[2])) if found else Key(line.strip(), None)


def ids(keys: list[Key]) -> set[str]:
    """What rows name that one of these keys opens."""
    return {key.id for key in keys} | {OLDER_FORM for key in keys if key.made_on is None}


class Box:
    """Encrypts and reads with keys for one purpose, derived from the ring of the settings. `key_id` says which seals.

    `before`: the Fernet key of what a key sealed earlier, where it is not the usual one.
    """

    def __init__(self, keys: str, purpose: str, *, before: Callable[[str], str] | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # where nothing is sealed, it need not be loaded

        self.keys = ring(keys)
        self.key_id = self.keys[0].id
        self._gcms = [AESGCM(_derived(f"{purpose}\0AES-256-GCM\0{key.secret}")) for key in self.keys]
        usual = before or (lambda secret: urlsafe_b64encode(_derived(f"{purpose}\0{secret}")).decode())
        self._before = [usual(key.secret) for key in self.keys if key.made_on is None]

    def seal(self, secret: str) -> str:
        nonce = os.urandom(NONCE_BYTES)
        return _MARK + urlsafe_b64encode(nonce + self._gcms[0].encrypt(nonce, secret.encode(), None)).decode()

    def open(self, sealed: str) -> str:
        """What was sealed. Raises NotOurs for what another key sealed, and for what was changed."""
        from cryptography.exceptions import InvalidTag
        from cryptography.fernet import Fernet, InvalidToken

        if not sealed.startswith(_MARK):
            for before in self._before:
                try:
                    return Fernet(before).decrypt(sealed.encode()).decode()
                except (InvalidToken, ValueError):
                    continue
            raise NotOurs
        try:
            raw = urlsafe_b64decode(sealed.removeprefix(_MARK))
        except ValueError as error:
            raise NotOurs from error
        for gcm in self._gcms:
            try:
                return gcm.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None).decode()
            except (InvalidTag, ValueError):
                continue
        raise NotOurs

    def anew(self, sealed: str) -> str:
        """The same under the newest key. Raises NotOurs (see `open`)."""
        return self.seal(self.open(sealed)) if sealed else ""


def _derived(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


# --- rows under an older key ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    """What became of some rows: the last one's number, how many were written anew, and how many no key opens."""

    last: int
    anew: int
    lost: int


def under_others(model: type[Any], sealed: Any, key_ids: set[str]) -> sa.ColumnElement[bool]:
    """Of a table with `key_id`: the rows that hold something sealed, and not by one of these."""
    return sa.and_(sealed != "", model.key_id.not_in(key_ids))


def reseal(
    model: type[Any], sealed: Any, box: Box, change: Callable[[Any], None], *, after: int, most: int
) -> Turn | None:
    """Writes some rows of a table anew under the newest key, by number; None if there is none after this one.

    `change` does it to one row and may raise NotOurs: that row stays as it is.
    """
    query = sa.select(model).where(model.id > after, under_others(model, sealed, {box.key_id})).order_by(model.id)
    found = session.scalars(query.limit(most).with_for_update(), execution_options={"populate_existing": True}).all()
    lost = 0
    for row in found:
        try:
            change(row)
            row.key_id = box.key_id
        except NotOurs:
            lost += 1
    session.flush()
    return Turn(found[-1].id, len(found) - lost, lost) if found else None
