"""Stops: the token in a mail by which it can be the last one of its kind. It says whose mails and which, is signed with
the portal's own key, asks for no sign-in and never ends."""

import hashlib
from functools import lru_cache

from itsdangerous import BadData, URLSafeSerializer

SALT = "stop"


@lru_cache(maxsize=4)
def _signed(key: bytes) -> URLSafeSerializer:
    return URLSafeSerializer(
        key, salt=SALT,
        signer_kwargs={"digest_method": hashlib.sha256},
        fallback_signers=[{"digest_method": hashlib.sha1}],  # mails of before 0.5
    )  # fmt: skip


def token(key: bytes, *about: str) -> str:
    """A token about something, at most 200 characters."""
    made = _signed(key).dumps(list(about))
    return made if isinstance(made, str) else made.decode()


def read(key: bytes, told: str) -> list[str]:
    """What a token is about; empty for one that is none of ours."""
    try:
        about = _signed(key).loads(told)
    except BadData:
        return []
    return [str(part) for part in about] if isinstance(about, list) else []
