"""Two-step: after the password a code from an app on the phone (TOTP, RFC 6238), or a recovery code.

Invariants: a code is good once, of many at once for one; the secret is kept encrypted, recovery codes as passwords are
(argon2id); it is on only after a first code has shown that the app knows the secret. Hashing is slow on purpose: what
needs it stands before a write, in `make_codes` and `read`.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts import users
from portal.core import database, sealed
from portal.core.database import Model, session
from portal.core.sealed import Box, NotOurs, Turn
from portal.core.text import Refusal, marked, random_code, token_hash

PURPOSE = "two-step"
"""What the key of the box is for, in which the secrets are kept."""
EARLY_SECONDS, LATE_SECONDS = 10, 20
"""A code is shown for 30 seconds. It is taken a little before, for a phone whose clock is ahead, and a little after,
for who began to type at the end (RFC 6238, 5.2): a minute in all."""
CODES = 10
"""How many recovery codes one gets."""
FEW = 3
"""With so many left it is time for new ones."""
CODE_LENGTH = 10
"""Of a recovery code, without its hyphen: 49 bits."""
SALT_BYTES = 16


class TwoStepRefused(Refusal):
    """A second step that cannot be set up."""


class SecondStep(Model):
    """One person's app. `last_counter`: the step of time of the latest code that was taken; none at or before it is."""

    __tablename__ = "second_steps"
    __table_args__ = (database.whole("last_counter"),)

    id: Mapped[int] = database.key()
    user_id: Mapped[int] = mapped_column(database.Key, sa.ForeignKey("users.id"), unique=True)
    secret: Mapped[str] = mapped_column(sa.Text)
    key_id: Mapped[str] = mapped_column(sa.String(12))
    made_at: Mapped[datetime]
    on_at: Mapped[datetime | None]
    last_counter: Mapped[int] = mapped_column(default=0)


class RecoveryCode(Model):
    """For who has lost the app: one of ten, good once. The ten have one salt: to look for one costs one hash."""

    __tablename__ = "recovery_codes"
    __table_args__ = (database.once("user_id", "code_hash"),)

    id: Mapped[int] = database.key()
    user_id: Mapped[int] = database.refers_to("users.id", index=False)
    code_hash: Mapped[str] = mapped_column(sa.String(64))
    made_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    salt: Mapped[str] = mapped_column(sa.String(32), default="", server_default="")


@dataclass(frozen=True)
class NewCodes:
    """Recovery codes that are shown once, and how they are going to be kept."""

    shown: list[str]
    salt: str
    hashes: list[str]


@dataclass(frozen=True)
class Typed:
    """What somebody typed at the second step: `digits` of an app, or by its hash a recovery code."""

    digits: str
    code_hash: str = ""


@dataclass(frozen=True)
class Offered:
    """What an app is told: `uri` for its camera, `secret` for whoever types, in groups of four."""

    uri: str
    secret: str


def begin(user_id: int, *, called: str, issuer: str, keep: Box, at: datetime) -> Offered:
    """A new secret for an app; it counts once a code is given. Raises TwoStepRefused where two-step is on."""
    from passlib.totp import TOTP

    known = _of(user_id)
    if known is not None and known.on_at is not None:
        raise TwoStepRefused(marked("Two-step sign-in is on already. Turn it off before you set up another app."))
    made = TOTP.new()
    values = {"secret": keep.seal(made.base32_key), "key_id": keep.key_id, "made_at": at, "last_counter": 0}
    if known is None:
        database.insert_once(SecondStep, user_id=user_id, **values)
    else:
        for name, value in values.items():
            setattr(known, name, value)
    session.flush()
    return _offered(made.base32_key, called, issuer)


def offered(user_id: int, *, called: str, issuer: str, keep: Box) -> Offered | None:
    """The secret that waits for its first code; None if none does, or no key opens it: then one begins again."""
    known = _of(user_id)
    if known is None or known.on_at is not None:
        return None
    try:
        return _offered(keep.open(known.secret), called, issuer)
    except NotOurs:
        return None


def _offered(secret: str, called: str, issuer: str) -> Offered:
    from passlib.totp import TOTP

    uri = TOTP(key=secret).to_uri(label=called.replace(":", ""), issuer=issuer.replace(":", ""))
    return Offered(uri, " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)))


def turn_on(user_id: int, code: str, *, codes: NewCodes, keep: Box, at: datetime) -> None:
    """The first code of the app: from now on it is asked for, or a recovery code.

    Raises TwoStepRefused for a wrong code, or where nothing waits for one.
    """
    known = _of(user_id)
    if known is None or known.on_at is not None:
        raise TwoStepRefused(marked("There is nothing to turn on. Begin again."))
    if not _takes(known, _digits(code), keep=keep, at=at):
        raise TwoStepRefused(marked("This code is not right. Look at the app and at your phone’s clock."))
    known.on_at = at
    renew_codes(user_id, codes, at=at)


def turn_off(user_id: int) -> None:
    """No second step any more; the app's secret and the recovery codes are deleted."""
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    session.execute(sa.delete(SecondStep).where(SecondStep.user_id == user_id))


forget = turn_off


def is_on(user_id: int) -> bool:
    """Whether somebody is asked for a code after the password."""
    query = sa.select(SecondStep.id).where(SecondStep.user_id == user_id, SecondStep.on_at.is_not(None))
    return session.scalar(query) is not None


def among(user_ids: list[int]) -> set[int]:
    """Which of these people have it on."""
    query = sa.select(SecondStep.user_id).where(SecondStep.user_id.in_(user_ids), SecondStep.on_at.is_not(None))
    return set(session.scalars(query))


def make_codes(user_id: int) -> NewCodes:
    """Ten recovery codes for somebody. Slow on purpose: call it before a write begins."""
    made, salt = [random_code(CODE_LENGTH) for _ in range(CODES)], secrets.token_hex(SALT_BYTES)
    shown = [f"{code[:5]}-{code[5:]}" for code in made]
    return NewCodes(shown, salt, [_hash(user_id, code, salt) for code in made])


def renew_codes(user_id: int, codes: NewCodes, *, at: datetime) -> None:
    """Keeps new recovery codes; the older ones are good no more."""
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    kept = [RecoveryCode(user_id=user_id, code_hash=one, salt=codes.salt, made_at=at) for one in codes.hashes]
    session.add_all(kept)
    session.flush()


def turn_off_since(user_id: int, since: datetime) -> None:
    """Ends what was set up at a moment or after it: the second step, or recovery codes alone."""
    known = _of(user_id)
    if known is None or known.on_at is None or known.on_at >= since:
        turn_off(user_id)
        return
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.made_at >= since))


def codes_left(user_id: int) -> int:
    """How many recovery codes are still good."""
    query = sa.select(sa.func.count()).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    return session.scalar(query) or 0


def read(user_id: int, typed: str) -> Typed:
    """What was typed, ready to be checked. Slow on purpose where it may be a recovery code: call it before a write
    begins."""
    letters = _letters(typed)
    if len(letters) != CODE_LENGTH:
        return Typed(_digits(typed))
    query = sa.select(RecoveryCode.salt).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    salt = session.scalar(query.limit(1)) or "00" * SALT_BYTES  # as long for who has none
    return Typed(_digits(typed), _hash(user_id, letters, salt))


def check(user_id: int, typed: Typed, *, keep: Box, at: datetime) -> bool:
    """Whether a code of the app, or a recovery code, is good; it is used up."""
    known = _of(user_id)
    if known is None or known.on_at is None:
        return False
    return _takes(known, typed.digits, keep=keep, at=at) or _recovers(user_id, typed.code_hash, at=at)


def reseal(keep: Box, *, after: int, most: int) -> Turn | None:
    """Writes some secrets anew under the newest key (see `sealed.reseal`)."""

    def change(known: SecondStep) -> None:
        known.secret = keep.anew(known.secret)

    return sealed.reseal(SecondStep, SecondStep.secret, keep, change, after=after, most=most)


def _takes(known: SecondStep, digits: str, *, keep: Box, at: datetime) -> bool:
    """Whether a code of the app is good. Where no key opens the app's secret none is; recovery codes still are."""
    from passlib.exc import TokenError
    from passlib.totp import TOTP

    skew, window = (EARLY_SECONDS - LATE_SECONDS) // 2, (EARLY_SECONDS + LATE_SECONDS) // 2
    try:
        found = TOTP(key=keep.open(known.secret)).match(digits, time=at, window=window, skew=skew)
    except (TokenError, NotOurs):
        return False
    where = (SecondStep.id == known.id, SecondStep.last_counter < found.counter)
    taken = sa.update(SecondStep).where(*where).values(last_counter=found.counter).returning(SecondStep.id)
    return session.scalar(taken) is not None


def _recovers(user_id: int, code_hash: str, *, at: datetime) -> bool:
    mine = (RecoveryCode.user_id == user_id, RecoveryCode.code_hash == code_hash)
    used = sa.update(RecoveryCode).where(*mine, RecoveryCode.used_at.is_(None)).values(used_at=at)
    return session.scalar(used.returning(RecoveryCode.id)) is not None


def _digits(code: str) -> str:
    return "".join(letter for letter in code if letter in "0123456789")


def _letters(code: str) -> str:
    return "".join(letter for letter in code.lower() if letter.isascii() and letter.isalnum())


def _hash(user_id: int, code: str, salt: str) -> str:
    """argon2id over the SHA-256 by which alone codes were kept before version 0.7: so those could be taken along."""
    from argon2.low_level import Type, hash_secret_raw  # where nobody has a second step, it need not be loaded

    raw = hash_secret_raw(
        token_hash(f"{user_id} {code}").encode(), bytes.fromhex(salt), time_cost=users.ARGON2_TIME,
        memory_cost=users.ARGON2_KIB, parallelism=users.ARGON2_LANES, hash_len=32, type=Type.ID,
    )  # fmt: skip
    return raw.hex()


def _of(user_id: int) -> SecondStep | None:
    return session.scalar(sa.select(SecondStep).where(SecondStep.user_id == user_id))
