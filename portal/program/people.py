"""What happens to people: their own choices, their standing, and the roles of colleagues."""

from datetime import datetime

from portal import notices
from portal import terms as terms_
from portal.accounts import audit, one_time, roles, sign_ins, two_step, users
from portal.accounts.one_time import Purpose
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.core.text import Refusal, marked, one_line
from portal.payouts import moving
from portal.program.accounts import begin_anew, replace_password, stay
from portal.program.joining import owns_the_address
from portal.program.sharing import retired_name
from portal.rewards import conversions, rules, tier_locks
from portal.rewards.conversions import Customer
from portal.sharing import links
from portal.sharing.links import Link


class RoleRefused(Refusal):
    """A role that cannot be given or taken away."""


class PersonRefused(Refusal):
    """Something that cannot be done about a person."""


# --- of one's own ---------------------------------------------------------------------------------------------


def rename(user: User, name: str, *, shows_name: bool | None = None, at: datetime) -> None:
    """Somebody calls themselves otherwise; `shows_name`: whether who invited them may read it (None: as it was)."""
    user.name = one_line(name, 80)
    if shows_name is not None:
        user.shows_name = shows_name
    audit.write("user_renamed", "user", user.public_id, by=user.id, at=at)


def choose_language(user: User, language: str) -> None:
    """The language of somebody's pages and mails; empty: what their browser asks for, and mails in English."""
    user.language = language


def choose_zone(user: User, time_zone: str) -> None:
    """By whose clocks somebody's pages tell the time; empty: the program's."""
    user.time_zone = time_zone


def choose_code(user: User, link: Link, wanted: str, *, at: datetime) -> None:
    """Gives one of somebody's links a code of their own choice. Raises CodeRefused."""
    if user.confirmed_at is None:
        raise links.CodeRefused(marked("Confirm your e-mail address first."))
    users.lock(user.id)
    links.take_code(link, wanted, retired_name=retired_name, at=at)
    audit.write("code_chosen", "link", link.public_id, by=user.id, at=at)


# --- standing -------------------------------------------------------------------------------------------------


def set_tier(user: User, counts_as: int, *, note: str, by: int, at: datetime) -> bool:
    """Puts a referrer at a step of the tiers, whatever the numbers of their rewards, until it is taken off.

    Gives whether this changed anything. Raises TierLockRefused.
    """
    users.lock(user.id)
    starts = rules.tier_starts(rules.of_terms(terms_.in_force().id))
    return tier_locks.put(user, counts_as, among=starts, reason=note, by=by, at=at) is not None


def free_tier(user: User, *, by: int, at: datetime) -> bool:
    """Takes that off again: their own numbers count; False if none was set. Raises TierLockRefused."""
    users.lock(user.id)
    return tier_locks.lift(user, by=by, at=at)


def suspend(user: User, *, by: int, note: str, at: datetime) -> None:
    """Freezes somebody: links open and credit nobody, what is pending waits, lines leave batches not exported."""
    users.lock(user.id)
    if user.suspended_at is not None:
        return
    user.suspended_at = at
    moving.freeze(user.id, at=at)
    _why("user_suspended", user, note, by=by, at=at)


def readmit(user: User, *, by: int, note: str, at: datetime) -> None:
    """Ends a suspension."""
    users.lock(user.id)
    if user.suspended_at is None:
        return
    user.suspended_at = None
    _why("user_readmitted", user, note, by=by, at=at)


def shut_out(user: User, *, by: int, note: str, at: datetime) -> None:
    """No signing in, at once and everywhere; while it lasts, they are out of the program as well.

    Raises PersonRefused for oneself and for the last owner who could let anybody in again.
    """
    users.lock(user.id, *roles.holders("own"))
    if user.shut_out_at is not None:
        return
    if user.id == by:
        raise PersonRefused(marked("This is you. A colleague can shut you out."))
    if owners() == [user.id]:
        raise PersonRefused(marked("This is the last owner. Make somebody else one first."))
    user.shut_out_at = at
    sign_ins.end_all(user.id, at=at)
    stay(user, at=at)
    moving.freeze(user.id, at=at)
    _why("user_shut_out", user, note, by=by, at=at)


def let_in(user: User, *, by: int, note: str, at: datetime) -> None:
    """Lets somebody sign in again."""
    users.lock(user.id)
    if user.shut_out_at is None:
        return
    user.shut_out_at = None
    _why("user_let_in", user, note, by=by, at=at)


def take_second_step_away(user: User, *, by: int | None, note: str, at: datetime) -> None:
    """For somebody who has lost the app and the recovery codes: the password alone is enough again, and they are told.

    Raises PersonRefused where there is no second step.
    """
    if not two_step.is_on(user.id):
        raise PersonRefused(marked("Two-step sign-in is not on for this account."))
    two_step.turn_off(user.id)
    _why("second_step_taken_away", user, note, by=by, at=at)
    notices.account_changed(user, "second_step_taken_away", at=at)


def note_download(user: User, *, by: int, at: datetime) -> None:
    """Notes that a colleague took out everything that is kept about somebody."""
    audit.write("data_downloaded", "user", user.public_id, by=by, at=at)


def _why(verb: str, user: User, note: str, *, by: int | None, at: datetime) -> None:
    """Notes what was done about somebody, and why if a colleague has written so."""
    audit.write(verb, "user", user.public_id, by=by, at=at, note_id=audit.note(note, by=by, about=user.id, at=at))


def owners() -> list[int]:
    """The owners who can sign in, by row number."""
    return [number for number in roles.holders("own") if User.by_id(number).active]


# --- roles ----------------------------------------------------------------------------------------------------


def grant_role(user: User, role: Role, *, by: int, at: datetime) -> None:
    """Gives a colleague a role; only to a confirmed address."""
    if user.confirmed_at is None:
        raise RoleRefused(marked("This address is not confirmed yet."))
    roles.grant(user.id, role, by=by, at=at)
    audit.write("role_granted", "user", user.public_id, by=by, at=at, role=role)


def withdraw_role(user: User, role: Role, *, by: int, at: datetime) -> None:
    """Takes a role away, from the next request on; the last owner stays one."""
    users.lock(*roles.holders("own"))
    if role == Role.OWNER and owners() == [user.id]:
        raise RoleRefused(marked("This is the last owner. Make somebody else one first."))
    roles.withdraw(user.id, role)
    audit.write("role_withdrawn", "user", user.public_id, by=by, at=at, role=role)


def mail_reset(user: User, *, by: int, at: datetime) -> None:
    """A colleague has the link for a new password mailed to somebody. Raises PersonRefused."""
    if not user.active:
        raise PersonRefused(marked("This person is shut out, so no new password can be set."))
    if user.confirmed_at is None:
        raise PersonRefused(marked("This address is not confirmed yet."))
    notices.reset_password(user, one_time.make(Purpose.RESET, user.id, at=at), at=at)
    audit.write("reset_mailed", "user", user.public_id, by=by, at=at)


def invite_colleague(email: str, role: Role, *, name: str = "", by: int, at: datetime) -> User:
    """Gives a role to whoever has an address. Raises BadAddress, RoleRefused.

    Whose address is confirmed has it at once and is told. Others get a link by which they prove the address, choose
    a password and have the role: before that nobody could say whose account it would be.
    """
    email = users.clean_email(email)
    user = users.find_by_email(email)
    if user is None:
        user = users.add(email=email, name=name, at=at)
        if user is None:
            raise RoleRefused(marked("Somebody has just signed up with this address. Send it again."))
        links.make(user.id, at=at)
    if not user.active:
        raise RoleRefused(marked("This person is shut out. Let them in first."))
    inviter = User.by_id(by)
    if user.confirmed_at is not None:
        if role in user.role_names:
            raise RoleRefused(marked("%(name)s has this role already."), name=user.called)
        grant_role(user, role, by=by, at=at)
        notices.role_given(user, inviter, role, at=at)
    else:
        secret = one_time.make(Purpose.JOIN, user.id, carried={"role": role, "by": by}, at=at)
        notices.colleague_invited(user, inviter, role, secret, at=at)
        audit.write("colleague_invited", "user", user.public_id, by=by, at=at, role=role)
    return user


def join(secret: str, password: str, *, at: datetime) -> bool:
    """A colleague who was invited chooses a (hashed) password; whether the link was any good.

    It is not any more once whoever sent it may no longer give roles.
    """
    key = one_time.use(Purpose.JOIN, secret, at=at)
    if key is None or key.user_id is None:
        return False
    user = User.by_id(key.user_id)
    conversions.lock_customer(Customer(external_id=user.external_id, email=user.email))
    inviter = User.by_id(key.carried["by"])
    if not user.active or not user.has_address or not inviter.may("own"):
        return False
    if user.confirmed_at is None:
        begin_anew(user, password, at=at)
        owns_the_address(user, carried=None, at=at)
    else:
        replace_password(user, password, at=at)
    audit.write("password_set", "user", user.public_id, by=user.id, at=at)
    grant_role(user, Role(key.carried["role"]), by=inviter.id, at=at)
    return True
