"""How a friend joins: sign-up, confirmation, and the claim of who came without a code."""

from datetime import datetime
from typing import Any

from portal import notices
from portal import terms as terms_
from portal.accounts import audit, former_addresses, one_time, users
from portal.accounts.one_time import OneTimeKey, Purpose
from portal.accounts.users import Surroundings, User
from portal.core.database import session
from portal.core.text import marked, one_line
from portal.notices import events, writing
from portal.payouts import methods
from portal.program.accounts import begin_anew, replace_password
from portal.program.orders import apply, apply_waiting, convert
from portal.program.sharing import foresee
from portal.referrals import attribution, candidates, claims, referrals
from portal.referrals.attribution import Attribution, How
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral
from portal.rewards import conversions, goals, looks
from portal.rewards.conversions import Customer, OrderReport, ReportRefused
from portal.sharing import links
from portal.terms import Terms

# --- sign up --------------------------------------------------------------------------------------------------


def sign_up(
    *,
    email: str,
    name: str,
    password: str,
    seen: Surroundings,
    at: datetime,
    carried: str = "",
    typed: str = "",
    shows_name: bool = True,
    language: str = "",
    refused: str = "",
) -> None:
    """A friend signs up: account, referral, link and mail in one write. `password` is hashed.

    Whoever looks on cannot tell whether the address was known: then only its owner learns it, by mail. An account
    never confirmed, or a customer whom only the shop knows, gets a confirmation that carries this sign-up.
    """
    terms = terms_.in_force()
    outcome = None
    if terms.open_to_new:
        outcome = foresee(seen.visitor, carried=carried, typed=typed, email=email, refused=refused, at=at)
    user = users.add(
        email=email, name=name, password=password, at=at, surroundings=seen, shows_name=shows_name, language=language
    )
    if user is None:
        user = users.find_by_email(email)
        assert user is not None
        if user.confirmed_at is not None or not user.active:
            notices.already_registered(user, at=at)
            return
        kept = {"attribution": outcome.as_json() if outcome else None, "name": name, "shows_name": shows_name,
                "visitor": seen.visitor, "browser": seen.browser}  # fmt: skip
        secret = one_time.make(Purpose.CONFIRM, user.id, password=password, carried=kept, network=seen.network, at=at)
        notices.confirm_address(user, secret, at=at)
        return
    user.accepted_terms_version = terms.version
    _note_return(user)
    links.make(user.id, at=at)
    if outcome is not None:
        refer(user, outcome, terms, at=at)
    secret = one_time.make(Purpose.CONFIRM, user.id, password=password, network=seen.network, at=at)
    notices.confirm_address(user, secret, at=at)


def _note_return(user: User) -> None:
    """Notes that somebody had an account before, which was deleted or has another address: nobody is brought twice."""
    before = writing.hashed(user.email)
    if users.was_here(before) or former_addresses.was_anothers(before, user.id):
        user.former_hash = before
        session.flush()


def refer(
    referee: User, outcome: Attribution, terms: Terms, *, at: datetime, told_at: datetime | None = None
) -> Referral | None:
    """Makes the referral and has the signals look at it; None for who cannot be brought, or not again. `told_at`: the
    moment at which this is found out, where the referral goes back to an earlier one."""
    if referee.former_hash is not None:
        return None
    users.lock(outcome.referrer_id, referee.id)
    referral = referrals.make(referee, outcome, terms=terms, at=at)
    if referral is not None:
        referrer = User.by_id(referral.referrer_id)
        looks.at_referral(referral, referee, referrer, at=at)
        looks.at_details(referee.id, methods.sharing_details_with(referee.id), at=at)
        audit.write("referral_made", "referral", referral.public_id, by=None, at=at, how=referral.how)
        if referee.known:  # else anybody could have the portal write to a referrer in another's name
            notices.friend_joined(referral, referee, referrer, at=at)
        events.referral_created(referral, at=told_at or at)
    return referral


def expire_due(*, at: datetime) -> int:
    """Referrals whose goal was not reached in time end. Gives how many."""
    expired = referrals.expire_due(at=at)
    if expired:
        events.referrals_expired(expired, at=at)
    return len(expired)


# --- confirm --------------------------------------------------------------------------------------------------


def mail_again(email: str, *, at: datetime) -> None:
    """Sends the mail with the button again, to somebody who signed up and has not confirmed the address.

    It stands for the sign-up that there was. If there were several with different passwords (somebody else may have
    tried the address), it stands for none of them, and who confirms chooses a password.
    """
    user = users.find_by_email(email)
    if user is None or user.confirmed_at is not None or not user.active:
        return
    made = one_time.made_for(Purpose.CONFIRM, user.id)
    if not made:
        return
    one = made[0] if len({key.password for key in made}) == 1 else None
    password, carried, network = (one.password, one.carried, one.network) if one else (None, None, None)
    secret = one_time.make(Purpose.CONFIRM, user.id, password=password, carried=carried, network=network, at=at)
    notices.confirm_address(user, secret, at=at)


def confirm(secret: str, *, password: str | None = None, name: str | None = None, at: datetime) -> User | None:
    """Somebody proves that an address is theirs, by the button on the mailed page. None: the link is no good.

    The (hashed) password becomes the one chosen there, and the name the one told there; else they are those of the
    sign-up that this mail was for. Where it was for none (see `mail_again`), one is chosen later by the link for a new
    one. Nothing that was set up before stays, whoever did it. What waited for the address happens now: orders of
    theirs, and the goal `signup`.
    """
    key = one_time.find(Purpose.CONFIRM, secret)
    if key is None or key.user_id is None:
        return None
    user = User.by_id(key.user_id)
    # Before the key is used: who confirms ends the keys of the other sign-ups, and would wait for who has used one.
    conversions.lock_customer(Customer(external_id=user.external_id, email=user.email))
    if one_time.use(Purpose.CONFIRM, secret, at=at) is None:
        return None
    session.refresh(user)
    if not user.active or not user.has_address:
        return None
    if user.confirmed_at is not None:
        return user
    begin_anew(user, password or key.password, at=at)
    if name is not None:
        user.name = one_line(name, 80)
    if password is None and key.carried and not user.known and key.network != user.network:
        _is_the_sign_up(user, key, at=at)
    owns_the_address(user, carried=key.carried, at=at)
    return user


def _is_the_sign_up(user: User, key: OneTimeKey, *, at: datetime) -> None:
    """Somebody else signed up with the address before, from elsewhere. What its owner typed counts, and who brought
    them by what they were shown; where that was nobody, the first referrer stays."""
    told = key.carried
    if told.get("visitor") in (None, user.visitor):  # the same browser in two networks
        return
    user.name, user.shows_name = told["name"], told["shows_name"]
    user.visitor, user.network, user.browser = told["visitor"], key.network, told["browser"]
    referral, kept = referrals.of_referee(user.id), told["attribution"]
    if referral is None or kept is None or kept["referrer_id"] == referral.referrer_id:
        return
    outcome, former = Attribution.from_json(kept), referral.referrer
    users.lock(outcome.referrer_id, former.id, user.id)
    if outcome.referrer_id == user.id or referrals.is_above(user.id, outcome.referrer_id):
        return
    referrals.reassign(referral, outcome)
    looks.at_referral(referral, user, referral.referrer, at=at)
    audit.write("referrer_corrected", "referral", referral.public_id, by=None, at=at,
                was=former.public_id, now=referral.referrer.public_id)  # fmt: skip


def owns_the_address(user: User, *, carried: Any, at: datetime) -> None:
    """Somebody has proved for the first time that an address is theirs: what waited for it happens now."""
    customer = Customer(external_id=user.external_id, email=user.email)
    user.confirmed_at = at
    one_time.end_all(Purpose.CONFIRM, user.id, at=at)
    audit.write("address_confirmed", "user", user.public_id, by=user.id, at=at)
    referral = referrals.of_referee(user.id)
    if referral is not None:
        notices.friend_joined(referral, user, User.by_id(referral.referrer_id), at=at)
    elif kept := carried and carried.get("attribution"):
        outcome = Attribution.from_json(kept)
        if outcome.touched_at <= user.signed_up_at:
            refer(user, outcome, terms_.in_force(), at=at)
    apply_waiting(customer, user, at=at)
    convert(
        OrderReport(
            goal=goals.SIGNUP,
            external_id=f"signup {user.public_id}",
            customer=Customer(email=user.email),
            occurred_at=at,
            source=goals.PORTAL,
        ),
        at=at,
    )


def forgot_password(email: str, *, at: datetime) -> None:
    """Mails the link for a new password to whoever has proved that the address is theirs; to nobody else."""
    user = users.find_by_email(email)
    if user is not None and user.active and user.confirmed_at is not None:
        notices.reset_password(user, one_time.make(Purpose.RESET, user.id, at=at), at=at)


def set_password(secret: str, password: str, *, at: datetime) -> bool:
    """Sets a new (hashed) password by the link mailed for it, and signs every browser out; whether it was any good."""
    key = one_time.use(Purpose.RESET, secret, at=at)
    if key is None or key.user_id is None:
        return False
    user = User.by_id(key.user_id)
    if not user.active:
        return False
    replace_password(user, password, at=at)
    audit.write("password_set", "user", user.public_id, by=user.id, at=at)
    notices.password_changed(user, at=at)
    return True


def report_customer(
    customer: Customer, *, name: str = "", code: str = "", signed_up_at: datetime | None = None, at: datetime
) -> tuple[User, bool]:
    """The shop tells of a customer, with the code they came with if any; the person, and whether they are new.

    Somebody who was there before never becomes a referee. Raises ReportRefused.
    """
    if not customer.external_id or not customer.email:
        raise ReportRefused("external_id", marked("Name the customer by external_id and email."))
    conversions.check_id("external_id", customer.external_id)
    email, external_id = users.clean_email(customer.email), customer.external_id
    customer = Customer(external_id, email)
    if signed_up_at is not None and signed_up_at > at:
        raise ReportRefused("signed_up_at", marked("This moment lies in the future."))
    conversions.lock_customer(customer)
    by_id, by_email = users.find_by_external_id(external_id), users.find_by_email(email)
    if by_id is not None:
        if by_email is not None and by_email.id != by_id.id:
            raise ReportRefused("email", marked("This address belongs to another customer."))
        return by_id, False
    if by_email is not None:
        if by_email.external_id is not None:
            raise ReportRefused("external_id", marked("This address is another customer's already."))
        by_email.external_id = customer.external_id
        audit.write("number_given", "user", by_email.public_id, by=None, at=at)
        if signed_up_at is not None:
            by_email.signed_up_at = min(by_email.signed_up_at, signed_up_at)
        apply_waiting(customer, by_email, at=at)
        return by_email, False
    user = users.add(email=email, name=name, external_id=customer.external_id, signed_up_at=signed_up_at or at, at=at)
    if user is None:
        raise ReportRefused("email", marked("This customer was told by somebody else just now. Send it again."))
    _note_return(user)
    links.make(user.id, at=at)
    terms = terms_.in_force()
    brought = candidates.by_code(code, at=user.signed_up_at) if code and terms.open_to_new else None
    if brought is not None:
        outcome = attribution.decide(
            typed=brought, touches=[], touch=terms_.Touch(terms.touch), window_days=terms.window_days, at=at, shop=True
        )
        assert outcome is not None
        refer(user, outcome, terms, at=user.signed_up_at, told_at=at)
    apply_waiting(customer, user, at=at)
    return user, True


# --- claim ----------------------------------------------------------------------------------------------------


def claim(user: User, named: str, *, at: datetime) -> Claim:
    """Somebody who came without a code names who invited them, by code or address. Raises ClaimRefused.

    Whoever it is is asked; whether the name leads to anybody is not told.
    """
    if user.confirmed_at is None:
        raise claims.ClaimRefused(marked("Confirm your e-mail address first."))
    users.lock(user.id)
    if not named.strip():
        raise claims.ClaimRefused(marked("Write a code or an address."))
    if claims.open_of(user.id) is not None:
        raise claims.ClaimRefused(marked("You have asked already. The answer shows here."))
    if not claims.may_claim(user, terms_.in_force(), at=at):
        raise claims.ClaimRefused(marked("This can be said only once, in the first days after joining."))
    link = links.by_code(named)
    referrer = User.by_id(link.owner_id) if link else users.find_by_email(named.strip())
    if referrer is user:
        raise claims.ClaimRefused(marked("That is you. Name the friend who told you about us."))
    if referrer is not None and (not referrer.in_good_standing or referrals.is_above(user.id, referrer.id)):
        referrer = None
    made = claims.make(user, named, referrer, at=at)
    audit.write("claim_made", "claim", made.public_id, by=user.id, at=at)
    if referrer is not None:
        notices.claim_made(made, user, referrer, at=at)
    return made


def answer_claim(claim: Claim, *, granted: bool, by: int, at: datetime) -> Referral | None:
    """The one who was named, or a colleague, says whether it is so; then what the friend did since joining counts.

    Raises ClaimRefused: answered before, one's own, or granted although nobody can have it or no new ones are taken.
    """
    users.lock(claim.referee_id, claim.referrer_id)
    session.refresh(claim)
    if by == claim.referee_id:
        raise claims.ClaimRefused(marked("This is your own; a colleague answers it."))
    if granted and (claim.referrer is None or not claim.referrer.in_good_standing):
        raise claims.ClaimRefused(marked("This name leads to nobody who could have invited them."))
    if granted and not terms_.in_force().open_to_new:
        raise claims.ClaimRefused(marked("The program takes nobody new at the moment. Answer when it is open again."))
    claims.answer(claim, granted=granted, by=by, at=at)
    audit.write("claim_answered", "claim", claim.public_id, by=by, at=at, granted=granted)
    referral = None
    if granted:
        assert claim.referrer is not None
        link = links.main_link(claim.referrer.id)
        outcome = Attribution(
            link.id, claim.referrer.id, links.current_code(link.id), How.CLAIM, claim.referee.created_at, None
        )
        referral = refer(claim.referee, outcome, terms_.in_force(), at=claim.referee.created_at, told_at=at)
        if referral is not None:
            for conversion in conversions.without_referral(claim.referee_id, since=referral.joined_at):
                apply(conversion, claim.referee, at=at)
    notices.claim_answered(claim, claim.referee, counted=referral is not None, at=at)
    return referral
