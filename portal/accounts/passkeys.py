"""Passkeys: a key on a phone, a computer or a stick, in the place of a password (WebAuthn level 2).

Invariants: a credential is there once and is one person's; it counts only with its owner's finger, face or PIN, so that
it is both steps in one; an answer counts for the question that was asked last, once.
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts.users import User
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked, one_line, public_id

MOST = 20
LASTS_SECONDS = 300
"""How long a question waits for its answer."""


_NO_ANSWER = (ValueError, KeyError, TypeError, RecursionError)
"""What comes of an answer that is none, besides what the library says of it; the last of one that is nested deeply."""


class PasskeyRefused(Refusal):
    """A passkey that cannot be taken."""


class Passkey(Model):
    """One key. `credential` and `public_key` are base64url; `uses` is the key's own counter, 0 for those without."""

    __tablename__ = "passkeys"
    __table_args__ = (database.whole("uses"),)

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    user_id: Mapped[int] = database.refers_to("users.id")
    credential: Mapped[str] = mapped_column(sa.String(1400), unique=True)
    public_key: Mapped[str] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.String(60))
    uses: Mapped[int] = mapped_column(default=0)
    made_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


@dataclass(frozen=True)
class Place:
    """Where keys are for: the portal's own address, and its name."""

    origin: str
    called: str

    @property
    def host(self) -> str:
        return urlsplit(self.origin).hostname or ""

    @property
    def works(self) -> bool:
        """Whether browsers give keys for this address: it has a name and not only a number, and is safe or local."""
        named = any(letter.isalpha() for letter in self.host.rpartition(".")[2]) and ":" not in self.host
        return named and (self.origin.startswith("https://") or self.host == "localhost")


@dataclass(frozen=True)
class Question:
    """What a browser is asked: `options` is JSON for its own function, `challenge` what the answer must hold."""

    options: str
    challenge: str


def ask_for_new(user: User, place: Place) -> Question:
    """Asks a browser for a new key. Raises PasskeyRefused for too many, and before the address is confirmed."""
    import webauthn
    from webauthn.helpers import structs

    _owns_the_address(user)
    known = of_person(user.id)
    if len(known) >= MOST:
        raise PasskeyRefused(marked("You have %(most)s passkeys; remove one first."), most=MOST)
    options = webauthn.generate_registration_options(
        rp_id=place.host,
        rp_name=place.called,
        user_id=user.public_id.encode(),
        user_name=user.email,
        user_display_name=user.name or user.email,
        timeout=LASTS_SECONDS * 1000,
        exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=_bytes(key.credential)) for key in known],
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
    )
    return Question(webauthn.options_to_json(options), webauthn.helpers.bytes_to_base64url(options.challenge))


def add(user: User, answer: str, challenge: str, place: Place, *, name: str, at: datetime) -> Passkey:
    """Keeps a new key. Raises PasskeyRefused for an answer that does not fit, and before the address is confirmed."""
    import webauthn
    from webauthn.helpers import bytes_to_base64url
    from webauthn.helpers.exceptions import WebAuthnException

    _owns_the_address(user)
    try:
        proved = webauthn.verify_registration_response(
            credential=answer, expected_challenge=_bytes(challenge), expected_rp_id=place.host,
            expected_origin=place.origin, require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, *_NO_ANSWER) as error:
        raise PasskeyRefused(marked("This passkey could not be taken. Try again.")) from error
    made: Passkey | None = database.insert_once(
        Passkey,
        user_id=user.id,
        credential=bytes_to_base64url(proved.credential_id),
        public_key=bytes_to_base64url(proved.credential_public_key),
        name=one_line(name, 60),
        uses=proved.sign_count,
        made_at=at,
    )
    if made is None:
        raise PasskeyRefused(marked("This passkey is there already."))
    return made


def _owns_the_address(user: User) -> None:
    if user.confirmed_at is None:  # it would open the account of whoever does
        raise PasskeyRefused(marked("Confirm your e-mail address first."))


def ask_who(place: Place) -> Question:
    """Asks a browser for a key that it has for this place, whoever's."""
    import webauthn
    from webauthn.helpers import structs

    options = webauthn.generate_authentication_options(
        rp_id=place.host,
        timeout=LASTS_SECONDS * 1000,
        user_verification=structs.UserVerificationRequirement.REQUIRED,
    )
    return Question(webauthn.options_to_json(options), webauthn.helpers.bytes_to_base64url(options.challenge))


def whose(answer: str, challenge: str, place: Place, *, asked_at: datetime, at: datetime) -> User | None:
    """Who gave an answer to a question asked at a moment; None for one that does not fit or was given before."""
    import webauthn
    from webauthn.helpers import bytes_to_base64url, parse_authentication_credential_json
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        given = parse_authentication_credential_json(answer)
        key = session.scalar(sa.select(Passkey).where(Passkey.credential == bytes_to_base64url(given.raw_id)))
        if key is None:
            return None
        proved = webauthn.verify_authentication_response(
            credential=given, expected_challenge=_bytes(challenge), expected_rp_id=place.host,
            expected_origin=place.origin, credential_public_key=_bytes(key.public_key),
            credential_current_sign_count=key.uses, require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, *_NO_ANSWER):
        return None
    fresh = sa.or_(Passkey.used_at.is_(None), Passkey.used_at < asked_at)
    used = sa.update(Passkey).where(Passkey.id == key.id, fresh).values(used_at=at, uses=proved.new_sign_count)
    if session.scalar(used.returning(Passkey.id)) is None:
        return None
    return session.get(User, key.user_id)


def of_person(user_id: int) -> list[Passkey]:
    """Somebody's keys, the first one first."""
    return list(session.scalars(sa.select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)))


def remove(user_id: int, wanted: str) -> Passkey | None:
    """Removes one of somebody's keys by its public id and gives what it was; None if it is not theirs."""
    key = session.scalar(sa.select(Passkey).where(Passkey.user_id == user_id, Passkey.public_id == wanted))
    if key is not None:
        session.delete(key)
        session.flush()
    return key


def forget(user_id: int) -> None:
    """Removes every key of a person."""
    session.execute(sa.delete(Passkey).where(Passkey.user_id == user_id))


def _bytes(text: str) -> bytes:
    from webauthn.helpers import base64url_to_bytes

    return base64url_to_bytes(text)
