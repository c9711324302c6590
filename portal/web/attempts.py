"""Attempts: a line for each try to sign in, or to show once more who one is: how it went, by what, and whose account.

Invariant: no line holds what was typed. An account is named by its public id; an address that has none, and the network
that asks, by keyed hashes that tell the same again and nothing else.
"""

import logging
from enum import StrEnum

from flask import request

from portal.accounts.users import User
from portal.web import limits

log = logging.getLogger("portal.sign_ins")


class By(StrEnum):
    """What was shown."""

    PASSWORD = "password"
    CODE = "code"
    PASSKEY = "passkey"
    MAIL = "mailed link"
    ONCE_MORE = "password once more"


class Why(StrEnum):
    """Why it came to nothing."""

    UNKNOWN = "unknown"
    """Nobody has this address, or this passkey."""
    WRONG = "wrong"
    NO_PASSWORD = "no password"
    """The account has none yet, or none any more."""
    SHUT_OUT = "shut out"
    UNCONFIRMED = "not confirmed"


SIGNED_IN_BY = {"security.login": By.PASSWORD, "signing_in.code_given": By.CODE, "signing_in.passkey": By.PASSKEY}
"""By which of the views somebody comes in; by the others with a mailed link."""


def refused(by: By, why: Why, user: User | None = None, *, typed: str = "") -> None:
    """Notes a try that failed. `typed`: the address, where no account is known by it."""
    _write(logging.WARNING, "refused", by, user, why=str(why), typed=limits.hidden("typed", typed) if typed else "")


def half(user: User) -> None:
    """Notes that the password was right, and that a code is asked for."""
    _write(logging.INFO, "half", By.PASSWORD, user)


def worked(user: User, by: By | None = None) -> None:
    """Notes that somebody is signed in, or has shown once more who they are."""
    _write(logging.INFO, "worked", by or SIGNED_IN_BY.get(request.endpoint or "", By.MAIL), user)


def _write(level: int, outcome: str, by: By, user: User | None, *, why: str = "", typed: str = "") -> None:
    facts = {"event": "sign-in", "outcome": outcome, "by": str(by), "why": why,
             "whose": user.public_id if user else "", "typed": typed, "network": limits.network()}  # fmt: skip
    facts = {name: value for name, value in facts.items() if value}
    log.log(level, "%s", ", ".join(f"{name}: {value}" for name, value in facts.items()), extra={"facts": facts})
