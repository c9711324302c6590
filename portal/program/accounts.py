"""What people do about their own account: another address, another password, a second step, passkeys.

Each is told to its owner by mail and stands in the history. That they are who they say (by their password) is checked
by the edge, which alone should do slow work.
"""

from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from portal import notices
from portal.accounts import audit, former_addresses, one_time, passkeys, sign_ins, two_step, users
from portal.accounts.one_time import OneTimeKey, Purpose
from portal.accounts.passkeys import Passkey, Place
from portal.accounts.two_step import NewCodes
from portal.accounts.users import User
from portal.core.database import session
from portal.core.sealed import Box
from portal.core.text import Refusal, marked
from portal.notices import writing
from portal.notices.writing import Invited
from portal.payouts import methods
from portal.program.orders import apply_waiting
from portal.rewards import conversions
from portal.rewards.conversions import Customer


class AddressRefused(Refusal):
    """An address that an account cannot move to."""


# --- address --------------------------------------------------------------------------------------------------


def ask_to_move(user: User, email: str, *, at: datetime) -> None:
    """Mails a link to a new address, by which it becomes the account's, and tells the old one. Until then nothing
    changes.

    Whether the address has an account is not told: its owner learns by mail that somebody tried. Raises
    AddressRefused for somebody who has not confirmed the first one, and for the one they have.
    """
    if user.confirmed_at is None:
        raise AddressRefused(
            marked("Confirm your e-mail address first. If it is mistyped, sign up with the right one.")
        )
    if email.lower() == user.email.lower():
        raise AddressRefused(marked("This is your address already."))
    secret = one_time.make(Purpose.MOVE, user.id, carried={"to": email}, at=at)
    notices.address_asked(user, email, secret, at=at)
    known = users.find_by_email(email)
    if known is not None and known.known:  # else anybody could keep somebody from their own address
        notices.address_wanted(known, at=at)
        return
    notices.confirm_new_address(Invited(email, user.language, user.first_name), secret, at=at)


def stay(user: User, *, at: datetime) -> None:
    """The address stays: a link that waits at another one is good no more."""
    one_time.end_all(Purpose.MOVE, user.id, at=at)


def move(secret: str, *, at: datetime) -> User | None:
    """The owner of the new address presses the button: the account has it from now on, and the old address is told,
    with a way back. Who signed up with the new one and never confirmed it gives way. None: the link is no good (any
    more), or somebody else has the address by now."""
    key = one_time.use(Purpose.MOVE, secret, at=at)
    if key is None or key.user_id is None:
        return None
    user, new = User.by_id(key.user_id), str(key.carried["to"])
    conversions.lock_customer(Customer(external_id=user.external_id, email=new))
    users.lock(user.id)
    if not user.active:
        return None
    old = user.email
    stranger = users.find_by_email(new)
    if stranger is not None and not stranger.known:
        _gives_way(stranger, at=at)
    if not _take_address(user, new):
        return None
    one_time.end_all(Purpose.RESET, user.id, at=at)
    back = one_time.make(Purpose.MOVE_BACK, user.id, carried={"to": old}, at=at)
    _left("address_changed", user, old, at=at)
    notices.address_changed(Invited(old, user.language, user.first_name), back, at=at)
    apply_waiting(Customer(external_id=user.external_id, email=new), user, at=at)
    return user


def move_back(secret: str, *, at: datetime) -> User | None:
    """Whoever has the old address takes the account back: with that address, signed out everywhere, without the
    password, passkeys and payout details that somebody else may have set; a link for a new password is mailed, and the
    address that loses the account is told. A second step that was on before the move stays: a mailbox alone is none.

    Ways back to later addresses end, those to earlier ones stay. Who never confirmed the old address gives way. None:
    the link is no good, or somebody else has the address for sure.
    """
    key = one_time.use(Purpose.MOVE_BACK, secret, at=at)
    if key is None or key.user_id is None:
        return None
    user, old = User.by_id(key.user_id), address_of(key)
    conversions.lock_customer(Customer(external_id=user.external_id, email=old))
    users.lock(user.id)
    was, stranger = user.email, users.find_by_email(old)
    if not user.active:
        return None
    if stranger is not None and stranger.confirmed_at is None:
        _gives_way(stranger, at=at)
    if not _take_address(user, old):
        return None
    begin_anew(user, None, second_step_since=key.made_at, at=at)
    one_time.end_later(key, at=at)
    if was.lower() != old.lower():
        notices.address_taken_back(Invited(was, user.language, user.first_name), key.token_hash, at=at)
    _left("address_changed_back", user, was, at=at)
    notices.reset_password(user, one_time.make(Purpose.RESET, user.id, at=at), at=at)
    return user


def _left(verb: str, user: User, email: str, *, at: datetime) -> None:
    """Notes which address an account has left."""
    was_hash = writing.hashed(email)
    former_addresses.remember(user.id, was_hash, at=at)
    audit.write(verb, "user", user.public_id, by=user.id, at=at, was_hash=was_hash)


def begin_anew(user: User, password: str | None, *, at: datetime, second_step_since: datetime | None = None) -> None:
    """An account that somebody else may have set up becomes its owner's, with this (hashed) password alone: sign-ins,
    second step (with a moment: if it was set up since), passkeys and payout details of before are worth nothing. None:
    a password is chosen by a mailed link."""
    replace_password(user, password, at=at)
    if second_step_since is None:
        two_step.turn_off(user.id)
    else:
        two_step.turn_off_since(user.id, second_step_since)
    passkeys.forget(user.id)
    methods.end(user.id, at=at)


def former_hashes(user: User) -> list[str]:
    """The keyed hashes of the addresses that an account had before."""
    entries = audit.about("user", user.public_id)
    return [str(entry.details["was_hash"]) for entry in entries if "was_hash" in entry.details]


def wanted_hashes(user: User) -> list[str]:
    """The keyed hashes of the addresses that an account wanted to move to, whether it did or not."""
    return [writing.hashed(address_of(key)) for key in one_time.made_for(Purpose.MOVE, user.id)]


def address_of(key: OneTimeKey) -> str:
    """The address that a key leads to."""
    return str((key.carried or {}).get("to", ""))


def _gives_way(stranger: User, *, at: datetime) -> None:
    """Who never confirmed an address leaves it to its owner, and is nobody from now on; a customer of the shop stays
    one, by its number alone."""
    begin_anew(stranger, None, at=at)
    if stranger.external_id is None:
        sign_ins.forget(stranger.id)
        users.blank(stranger, former_hash=None, at=at)
    else:
        users.take_address_away(stranger)
    audit.write("address_given_up", "user", stranger.public_id, by=None, at=at)


def _take_address(user: User, email: str) -> bool:
    try:
        with session.begin_nested():
            user.email = email
            session.flush()
    except IntegrityError:  # somebody else has signed up with it meanwhile
        session.refresh(user)
        return False
    return True


# --- password, second step, passkeys --------------------------------------------------------------------------


def replace_password(user: User, password: str | None, *, at: datetime, here: str | None = None) -> None:
    """Sets a (hashed) password, or none, and ends what was begun under the one of before: sign-ins (but the one
    `here`), links for a new password, and moves to another address that wait."""
    user.password = password
    sign_ins.end_all(user.id, at=at, but=here)
    one_time.end_all(Purpose.RESET, user.id, at=at)
    stay(user, at=at)


def sign_out_others(user: User, *, here: str, at: datetime) -> None:
    """Signs every other browser than the one with the sign-in `here` out, and ends a move that one of them may have
    asked for."""
    sign_ins.end_all(user.id, at=at, but=here)
    stay(user, at=at)


def sign_out_one(user: User, wanted: str, *, at: datetime) -> None:
    """Signs the browser of one sign-in out, by its public id; a move that it may have asked for ends as well."""
    sign_ins.end_one(user.id, wanted, at=at)
    stay(user, at=at)


def change_password(user: User, password: str, *, here: str, at: datetime) -> None:
    """Sets a new (hashed) password; every other browser than the one with the sign-in `here` is signed out."""
    replace_password(user, password, at=at, here=here)
    audit.write("password_set", "user", user.public_id, by=user.id, at=at)
    notices.password_changed(user, at=at)


def begin_two_step(user: User, *, issuer: str, keep: Box, at: datetime) -> None:
    """A new secret for an app. Raises TwoStepRefused where two-step is on, and before the address is confirmed."""
    _owns_the_address(user)
    two_step.begin(user.id, called=user.email, issuer=issuer, keep=keep, at=at)


def turn_two_step_on(user: User, code: str, *, codes: NewCodes, keep: Box, at: datetime) -> None:
    """The first code of the app, and the recovery codes from now on. Raises TwoStepRefused."""
    _owns_the_address(user)
    two_step.turn_on(user.id, code, codes=codes, keep=keep, at=at)
    _told(user, "two_step_on", at=at)


def _owns_the_address(user: User) -> None:
    if user.confirmed_at is None:  # it would shut out whoever does
        raise two_step.TwoStepRefused(marked("Confirm your e-mail address first."))


def turn_two_step_off(user: User, *, at: datetime) -> None:
    """No second step any more."""
    if two_step.is_on(user.id):
        two_step.turn_off(user.id)
        _told(user, "two_step_off", at=at)


def renew_recovery_codes(user: User, codes: NewCodes, *, at: datetime) -> None:
    """These from now on. Raises TwoStepRefused where there is no second step."""
    if not two_step.is_on(user.id):
        raise two_step.TwoStepRefused(marked("Turn two-step sign-in on first."))
    two_step.renew_codes(user.id, codes, at=at)
    _told(user, "recovery_codes_renewed", at=at)


def add_passkey(user: User, answer: str, challenge: str, place: Place, *, name: str, at: datetime) -> Passkey:
    """Keeps a new passkey. Raises PasskeyRefused."""
    made = passkeys.add(user, answer, challenge, place, name=name, at=at)
    _told(user, "passkey_added", at=at, passkey=made.public_id)
    return made


def remove_passkey(user: User, wanted: str, *, at: datetime) -> None:
    """Removes one of their passkeys; one that is not theirs is not there."""
    removed = passkeys.remove(user.id, wanted)
    if removed is not None:
        _told(user, "passkey_removed", at=at, passkey=removed.public_id)


def _told(user: User, verb: str, *, at: datetime, passkey: str = "") -> None:
    details: dict[str, Any] = {"passkey": passkey} if passkey else {}
    audit.write(verb, "user", user.public_id, by=user.id, at=at, **details)
    notices.account_changed(user, verb, at=at)
