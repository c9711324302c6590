"""THE STORY: invite, follow, sign up, confirm, claim, convert, refund, decide, release, pay. Start reading here.

Each verb does one thing that happens to the program, in the order of a friend's life. Verbs take the moment (`at=`)
and the actor (`by=`), work inside the write that the edge has opened, and never commit. What they promise: nothing
is credited twice, nothing is lost, and every credit can say why it is what it is.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from portal import notices
from portal import terms as terms_
from portal.accounts import audit, one_time, roles, sign_ins, users
from portal.accounts.one_time import Purpose
from portal.accounts.roles import Role
from portal.accounts.users import Surroundings, User
from portal.core.database import Quick, Unavailable, session
from portal.core.text import Refusal, keyed_hash, marked, one_line
from portal.payouts import methods, payouts, results, vouchers
from portal.payouts.payouts import Batch, Payout
from portal.payouts.results import Checked, Result
from portal.referrals import attribution, candidates, claims, referrals
from portal.referrals.attribution import Attribution, How
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral, ReferralRefused
from portal.rewards import (
    appeals,
    conversions,
    corrections,
    earning,
    goals,
    kinds,
    looks,
    rewards,
    rules,
    signals,
)
from portal.rewards.appeals import Appeal
from portal.rewards.conversions import Conversion, Customer, OrderReport, Refund, RefundReport, ReportRefused
from portal.rewards.corrections import Correction
from portal.rewards.rewards import Reason, Reward
from portal.rewards.rules import Rule
from portal.sharing import clicks, invites, links
from portal.sharing.invites import Invite, Told
from portal.sharing.links import Found, Link
from portal.terms import Terms

log = logging.getLogger(__name__)


class RoleRefused(Refusal):
    """A role that cannot be given or taken away."""


class PersonRefused(Refusal):
    """Something that cannot be done about a person."""


# --- set up ---------------------------------------------------------------------------------------------------


def open_program(offer: list[Rule], *, by: int | None, at: datetime, **settings: Any) -> Terms:
    """Publishes the terms with their rules: the first version, or the next one."""
    goals.add_usual()
    published = terms_.publish(by=by, at=at, **settings)
    rules.set_rules(published, offer)
    audit.write("terms_published", "terms", str(published.version), by=by, at=at, state=published.state)
    return published


def change_program(
    *, by: int, at: datetime, add: Rule | None = None, drop: str | None = None, **settings: Any
) -> Terms:
    """Publishes the terms in force with something changed: settings, a rule added, or (by `rule_key`) one dropped."""
    offer = [rules.copied(rule) for rule in rules.of_terms(terms_.in_force().id) if rule.rule_key != drop]
    if add is not None and any(rules.same(add, rule) for rule in offer):
        raise rules.RuleRefused(marked("This rule is in the offer already."))
    return open_program([*offer, add] if add else offer, by=by, at=at, **settings)


def add_goal(name: str, *, label: str, has_amount: bool, by: int, at: datetime) -> None:
    """Adds a goal, such as a trial that a friend starts. Raises GoalRefused."""
    if goals.find(name) is not None:
        raise goals.GoalRefused(marked("There is a goal of this name already."))
    goals.add(name, label=label, has_amount=has_amount)
    audit.write("goal_added", "goal", name, by=by, at=at)


def weigh_signal(kind: kinds.Kind, *, weight: int, is_on: bool, by: int, at: datetime) -> None:
    """Gives a kind of signal a weight or switches it off, for what is raised from now on. Raises WeightRefused."""
    kinds.change(kind, weight=weight, is_on=is_on, by=by, at=at)


def add_owner(email: str, *, name: str, password: str | None, at: datetime) -> User:
    """Makes somebody an owner, new or there before; the operator vouches for the address.

    `password` is hashed; without one it is set by a one-time link, and one that is there stays until then.
    """
    email = users.clean_email(email)
    owner = users.add(email=email, name=name, password=password, at=at)
    if owner is None:
        owner = users.find_by_email(email)
        assert owner is not None
        owner.name = one_line(name, 80) or owner.name
        if password is not None or owner.confirmed_at is None:
            owner.password = password  # not one that somebody chose who never confirmed the address
            sign_ins.end_all(owner.id, at=at)
    else:
        links.make(owner.id, at=at)
    owner.confirmed_at = owner.confirmed_at or at
    roles.grant(owner.id, Role.OWNER, by=None, at=at)
    audit.write("role_granted", "user", owner.public_id, by=None, at=at, role=Role.OWNER)
    return owner


def mark_as_sample(*, at: datetime) -> None:
    """Notes that this database holds the demo's sample data, so that nobody serves it by mistake."""
    audit.write("sample_data", "demo", "sample", by=None, at=at)


def holds_sample_data() -> bool:
    """Whether this database holds the demo's sample data."""
    return bool(audit.about("demo", "sample"))


# --- share ----------------------------------------------------------------------------------------------------


def invite(user: User, typed: Iterable[str], *, note: str = "", at: datetime) -> list[Told]:
    """Makes an invite for each address, with a link and a code of its own; what became of each, in their order.

    Whether an address has an account is never told. Raises InviteRefused where nothing can be invited at all.
    """
    if user.confirmed_at is None:
        raise invites.InviteRefused(marked("Confirm your e-mail address first; then you can invite friends."))
    if not user.in_good_standing:
        raise invites.InviteRefused(marked("Your account is paused, so nobody can be invited."))
    if not terms_.in_force().open_to_new:
        raise invites.InviteRefused(marked("The program takes nobody new at the moment, so nobody can be invited."))
    users.lock(user.id)
    seen: dict[str, Told] = {}
    for one in typed:
        email = invites.clean(one)
        key = (email or one).lower()
        if key not in seen:
            seen[key] = _invite(user, one, email, note=note, at=at)
    return list(seen.values())


def _invite(user: User, typed: str, email: str | None, *, note: str, at: datetime) -> Told:
    if email is None:
        return Told(typed, invites.Answer.MISTYPED)
    if invites.same_mailbox(email, user.email):
        return Told(typed, invites.Answer.OWN)
    to_hash = hashed_address(email)
    known = invites.find(user.id, to_hash)
    if known is not None:
        answer = invites.Answer.ENDED if known.ended_at else invites.Answer.ALREADY
        return Told(typed, answer, known, known.made_at)
    if meant := invites.meant(email):
        return Told(typed, invites.Answer.MISTYPED, meant=meant)
    left, again_at = invites.room_left(user.id, at=at)
    if not left:
        return Told(typed, invites.Answer.LIMIT, since=again_at)
    made = invites.make(user.id, email, to_hash, note=note, at=at)
    audit.write("invite_made", "invite", made.public_id, by=user.id, at=at)
    return Told(typed, invites.Answer.ACCEPTED, made, at)


def hashed_address(email: str) -> str:
    """An address as invites know it for ever: hashed with the portal's own key."""
    return keyed_hash(notices.Office.hash_key, email.lower())


def withdraw_invite(invite: Invite, *, by: int, at: datetime) -> None:
    """Takes an invite back. Raises InviteRefused if it has ended."""
    users.lock(invite.owner_id)
    session.refresh(invite)
    invites.withdraw(invite, at=at)
    audit.write("invite_withdrawn", "invite", invite.public_id, by=by, at=at)


def not_this_person(visitor: str | None, code: str, *, at: datetime) -> None:
    """A friend does not know the sender: its owner's touches are this browser's no more, an invite is declined."""
    link = links.by_code(code)
    if link is None:
        return
    clicks.forget(visitor, links={one.id for one in links.of_owner(link.owner_id)})
    invited = invites.of_link(link.id)
    if invited is not None:
        invites.decline(invited, at=at)


def make_link(user: User, *, label: str, destination: str | None, wanted: str, own_host: str, at: datetime) -> Link:
    """A further link, perhaps with a code of one's own choice. Raises CodeRefused, DestinationRefused, LinkRefused."""
    if user.confirmed_at is None:
        raise links.LinkRefused(marked("Confirm your e-mail address first."))
    if not user.in_good_standing:
        raise links.LinkRefused(marked("Your account is paused, so no links can be made."))
    users.lock(user.id)
    link = links.make(
        user.id,
        label=label,
        destination=destination,
        allowed=destinations(own_host),
        own=own_host,
        most=links.MOST_LINKS,
        at=at,
    )
    if wanted:
        links.take_code(link, wanted, at=at)
    audit.write("link_made", "link", link.public_id, by=user.id, at=at)
    return link


def destinations(own_host: str) -> frozenset[str]:
    """The hosts to which links may lead: the portal's own, the shop's, and those that the terms allow."""
    terms = terms_.in_force()
    return frozenset(host for host in (own_host, urlsplit(terms.shop_url).netloc, *terms.allowed_hosts) if host)


def change_link(user: User, link: Link, *, label: str, archived: bool, at: datetime) -> None:
    """Names a link, archives it (it opens and credits nobody) or takes it back into use. Raises LinkRefused."""
    users.lock(user.id)
    links.change(link, label=label, archived=archived, at=at)
    audit.write("link_changed", "link", link.public_id, by=user.id, at=at, archived=archived)


# --- follow ---------------------------------------------------------------------------------------------------


def follow(
    code: str, seen: Surroundings, *, new: bool, on: Quick, at: datetime, by: int | None = None,
    came_from: str | None = None,
) -> Found | None:  # fmt: skip
    """A person opens a link: the click is recorded, committed when this returns. None for an unknown code.

    `new`: the visitor's id was issued for this visit; `came_from`: a word of `origins.came_from`. Its owner's own
    visit, and a link that credits nobody, open and are not counted. A click that cannot be stored keeps nobody from
    being sent on.
    """
    found = links.find(code, on=on)
    if found is not None and found.credits and found.owner_id != by:
        try:
            clicks.record(found.link_id, seen, new=new, at=at, on=on, came_from=came_from)
        except Unavailable:
            log.exception("a click could not be stored")
    return found


def foresee(
    visitor: str | None, *, carried: str = "", typed: str = "", email: str = "", refused: str = "", at: datetime
) -> Attribution | None:
    """Who would be the referrer of somebody who signs up now: by a typed code, by touches and a carried code, or by
    an invite to the address.

    `carried` is the code that travelled in the form: where there is no cookie it is the only touch. `refused` is a code
    of somebody whom the friend does not know: no invite of theirs counts.
    """
    terms = terms_.in_force()
    touches = candidates.by_touches(visitor, at=at)
    brought = candidates.by_code(carried, at=at) if carried else None
    if brought is not None and all(touch.link_id != brought.link_id for touch in touches):
        touches.append(brought)
    return attribution.decide(
        typed=candidates.by_code(typed, at=at) if typed else None,
        touches=touches,
        touch=terms_.Touch(terms.touch),
        window_days=terms.window_days,
        at=at,
        invited=candidates.by_invite(hashed_address(email), but=links.by_code(refused)) if email else None,
    )


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
        kept = outcome.as_json() if outcome else None
        secret = one_time.make(Purpose.CONFIRM, user.id, password=password, carried=kept, at=at)
        notices.confirm_address(user, secret, at=at)
        return
    user.accepted_terms_version = terms.version
    links.make(user.id, at=at)
    if outcome is not None:
        _refer(user, outcome, terms, at=at)
    secret = one_time.make(Purpose.CONFIRM, user.id, password=password, at=at)
    notices.confirm_address(user, secret, at=at)


def _refer(referee: User, outcome: Attribution, terms: Terms, *, at: datetime) -> Referral | None:
    """Makes the referral and has the signals look at it."""
    users.lock(outcome.referrer_id, referee.id)
    referral = referrals.make(referee, outcome, terms=terms, at=at)
    if referral is not None:
        referrer = User.by_id(referral.referrer_id)
        looks.at_referral(referral, referee, referrer, at=at)
        looks.at_details(referee.id, methods.sharing_details_with(referee.id), at=at)
        audit.write("referral_made", "referral", referral.public_id, by=None, at=at, how=referral.how)
        if referee.known:  # else anybody could have the portal write to a referrer in another's name
            notices.friend_joined(referral, referee, referrer, at=at)
    return referral


# --- confirm --------------------------------------------------------------------------------------------------


def mail_again(email: str, *, at: datetime) -> None:
    """Sends the mail with the button again, to somebody who signed up and has not confirmed the address.

    It stands for the sign-up that there was. If there were several with different passwords (somebody else may have
    tried the address), it stands for none of them, and who confirms is asked to choose a password by mail.
    """
    user = users.find_by_email(email)
    if user is None or user.confirmed_at is not None or not user.active:
        return
    made = one_time.made_for(Purpose.CONFIRM, user.id)
    if not made:
        return
    one = made[0] if len({key.password for key in made}) == 1 else None
    password, carried = (one.password, one.carried) if one else (None, None)
    secret = one_time.make(Purpose.CONFIRM, user.id, password=password, carried=carried, at=at)
    notices.confirm_address(user, secret, at=at)


def confirm(secret: str, *, at: datetime) -> User | None:
    """Somebody proves that an address is theirs, by the button on the mailed page. None: the link is no good.

    The password becomes the one chosen at the sign-up that this mail was for; where it was for none (see
    `mail_again`), a link to choose one is mailed. What waited for the address happens now: orders of theirs, and the
    goal `signup`.
    """
    key = one_time.use(Purpose.CONFIRM, secret, at=at)
    if key is None or key.user_id is None:
        return None
    user = User.by_id(key.user_id)
    conversions.lock_customer(Customer(external_id=user.external_id, email=user.email))
    if user.confirmed_at is not None:
        return user
    if key.password != user.password:
        user.password = key.password
        sign_ins.end_all(user.id, at=at)
    if user.password is None:
        notices.reset_password(user, one_time.make(Purpose.RESET, user.id, at=at), at=at)
    _owns_the_address(user, carried=key.carried, at=at)
    return user


def _owns_the_address(user: User, *, carried: Any, at: datetime) -> None:
    """Somebody has proved for the first time that an address is theirs: what waited for it happens now."""
    customer = Customer(external_id=user.external_id, email=user.email)
    user.confirmed_at = at
    one_time.end_all(Purpose.CONFIRM, user.id, at=at)
    audit.write("address_confirmed", "user", user.public_id, by=user.id, at=at)
    referral = referrals.of_referee(user.id)
    if referral is not None:
        notices.friend_joined(referral, user, User.by_id(referral.referrer_id), at=at)
    elif carried:
        outcome = Attribution.from_json(carried)
        if outcome.touched_at <= user.signed_up_at:
            _refer(user, outcome, terms_.in_force(), at=at)
    _apply_waiting(customer, user, at=at)
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


def set_password(secret: str, password: str, *, at: datetime) -> bool:
    """Sets a new (hashed) password by the link mailed for it, and signs every browser out; whether it was any good."""
    key = one_time.use(Purpose.RESET, secret, at=at)
    if key is None or key.user_id is None:
        return False
    user = User.by_id(key.user_id)
    if not user.active:
        return False
    user.password = password
    sign_ins.end_all(user.id, at=at)
    one_time.end_all(Purpose.RESET, user.id, at=at)
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
        if signed_up_at is not None:
            by_email.signed_up_at = min(by_email.signed_up_at, signed_up_at)
        _apply_waiting(customer, by_email, at=at)
        return by_email, False
    user = users.add(email=email, name=name, external_id=customer.external_id, signed_up_at=signed_up_at or at, at=at)
    if user is None:
        raise ReportRefused("email", marked("This customer was told by somebody else just now. Send it again."))
    links.make(user.id, at=at)
    terms = terms_.in_force()
    brought = candidates.by_code(code, at=user.signed_up_at) if code and terms.open_to_new else None
    if brought is not None:
        outcome = attribution.decide(
            typed=brought, touches=[], touch=terms_.Touch(terms.touch), window_days=terms.window_days, at=at, shop=True
        )
        assert outcome is not None
        _refer(user, outcome, terms, at=user.signed_up_at)
    _apply_waiting(customer, user, at=at)
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
        referral = _refer(claim.referee, outcome, terms_.in_force(), at=claim.referee.created_at)
        if referral is not None:
            for conversion in conversions.without_referral(claim.referee_id, since=referral.joined_at):
                _apply(conversion, claim.referee, at=at)
    notices.claim_answered(claim, claim.referee, counted=referral is not None, at=at)
    return referral


# --- correct the referrer -------------------------------------------------------------------------------------


def give_referrer(referee: User, referrer: User, *, note: str, by: int, at: datetime) -> Referral:
    """By an admin's decision somebody who came without a code has a referrer; what they did since joining counts.

    Raises ReferralRefused.
    """
    _lock_all_of(referee, referrer)
    if referrals.of_referee(referee.id) is not None:
        raise ReferralRefused(marked("%(name)s has a referrer by now. Look at it again."), name=referee.called)
    _must_be_possible(referee, referrer, by=by)
    terms, opened_at = terms_.in_force(), terms_.opened_at()
    if not terms.open_to_new:
        raise ReferralRefused(marked("The program takes nobody new at the moment."))
    if opened_at is not None and referee.signed_up_at < opened_at:
        raise ReferralRefused(marked("%(name)s was a customer before the program began."), name=referee.called)
    why = _why_so(note, referee, by=by, at=at)
    referral = _refer(referee, _by_admin(referrer, referee.signed_up_at), terms, at=referee.signed_up_at)
    assert referral is not None
    audit.write("referrer_corrected", "referral", referral.public_id, by=by, at=at, note_id=why, now=referrer.public_id)
    for conversion in conversions.without_referral(referee.id, since=referral.joined_at):
        _apply(conversion, referee, at=at)
    claim = claims.open_of(referee.id)
    if claim is not None:  # what they asked for is answered by this
        granted = claim.referrer_id == referrer.id
        claims.answer(claim, granted=granted, by=by, at=at)
        audit.write("claim_answered", "claim", claim.public_id, by=by, at=at, granted=granted)
        notices.claim_answered(claim, referee, counted=granted, at=at)
    return referral


def correct_referrer(referral: Referral, referrer: User, *, note: str, by: int, at: datetime) -> None:
    """By an admin's decision a friend belongs to another referrer, until something of it is paid.

    What the wrong one earned is taken back, the right one earns by the terms the referral came under; the friend's
    reward stays. Given back to the first one, what that one had earned counts again. Raises ReferralRefused.
    """
    referee, former = referral.referee, referral.referrer
    _lock_all_of(referee, referrer, former)
    session.refresh(referral)
    if referral.referrer_id != former.id:
        raise ReferralRefused(marked("Somebody else has just corrected this. Look at it again."))
    if referrer.id == former.id:
        raise ReferralRefused(marked("%(name)s is the referrer already."), name=referrer.called)
    if by == former.id:
        raise ReferralRefused(marked("You are part of this; a colleague corrects it."))
    _must_be_possible(referee, referrer, by=by)
    if payouts.sent_of(referral.id):
        raise ReferralRefused(marked("Something of this is paid or on its way, so the referrer stays."))
    why = _why_so(note, referee, by=by, at=at)
    for reward in rewards.of_referral(referral.id):
        if reward.person_id == former.id and reward.state in (rewards.State.PENDING, rewards.State.APPROVED):
            _turn_away(reward, note=note, by=by, at=at)
    referrals.reassign(referral, _by_admin(referrer, referral.joined_at))
    signals.forget(referral.id)
    looks.at_referral(referral, referee, referrer, at=at)
    looks.at_details(referee.id, methods.sharing_details_with(referee.id), at=at)
    audit.write("referrer_corrected", "referral", referral.public_id, by=by, at=at, note_id=why,
                was=former.public_id, now=referrer.public_id)  # fmt: skip
    for reward in rewards.of_referral(referral.id):
        if reward.person_id == referrer.id and rewards.of_other_referrer(reward):
            rewards.undo(reward, by=by, note=note, at=at)
    for conversion in conversions.of_customer(referee.id):
        _earn_for_another(conversion, referral, at=at)
    if referee.known:
        notices.friend_joined(referral, referee, referrer, at=at)


def _earn_for_another(conversion: Conversion, referral: Referral, *, at: datetime) -> None:
    """What a conversion gives now that its referral has another referrer, and what its refunds ask for."""
    if conversion.referral_id != referral.id:
        return
    if conversion.outcome == [SUSPENDED]:
        earning.earn(conversion, referral, at=at)
    elif conversion.counted:
        earning.earn_again(conversion, referral, at=at)
    session.flush()
    for refund in conversions.refunds_for(conversion):
        _take_back(conversion, refund, at=at)


def _turn_away(reward: Reward, *, note: str, by: int, at: datetime) -> None:
    """Takes back what the wrong referrer earned; its line leaves the batch."""
    payouts.withdraw(reward, at=at)
    if reward.state == rewards.State.APPROVED:
        rewards.undo(reward, by=by, note=note, at=at)
    told = rewards.TOLD_OF_OTHER_REFERRER
    rewards.reject(reward, by=by, reason=Reason.OTHER_REFERRER, told=told, note=note, at=at)
    notices.reward_rejected(reward, told, at=at)


def _lock_all_of(referee: User, *referrers: User) -> None:
    if not conversions.lock_everything_of(referee.id, Customer(referee.external_id, referee.email)):
        raise ReferralRefused(marked("An order of theirs arrived just now. Send it again."))
    users.lock(referee.id, *(referrer.id for referrer in referrers))


def _must_be_possible(referee: User, referrer: User, *, by: int) -> None:
    if referrer.id == referee.id:
        raise ReferralRefused(marked("Nobody refers themselves."))
    if by in (referee.id, referrer.id):
        raise ReferralRefused(marked("You are part of this; a colleague corrects it."))
    if not referrer.in_good_standing:
        raise ReferralRefused(marked("%(name)s is suspended and gets no friends."), name=referrer.called)
    if referrals.is_above(referee.id, referrer.id):
        raise ReferralRefused(marked("%(name)s was brought by this friend, or by one of theirs."), name=referrer.called)


def _by_admin(referrer: User, at: datetime) -> Attribution:
    link = links.main_link(referrer.id)
    return Attribution(link.id, referrer.id, links.current_code(link.id), How.ADMIN, at, None)


def _why_so(note: str, referee: User, *, by: int, at: datetime) -> int:
    note_id = audit.note(note, by=by, about=referee.id, at=at)
    if note_id is None:
        raise ReferralRefused(marked("Write why."))
    return note_id


# --- convert --------------------------------------------------------------------------------------------------


SUSPENDED = {"why_not": "suspended"}
"""The outcome of a conversion of which one side is out of the program."""


class Answer(StrEnum):
    """What became of a report."""

    MADE = "made"
    KNOWN = "known"
    WAITING = "waiting"
    DISAGREES = "disagrees"


@dataclass(frozen=True)
class Reported:
    """A conversion as it stands now, and what became of the report."""

    conversion: Conversion
    answer: Answer


def convert(report: OrderReport, *, at: datetime) -> Reported:
    """A goal is reported as reached. The same report again finds the same row. Raises ReportRefused.

    A customer not known yet (or with an address nobody vouches for): the report is kept and applied later.
    """
    conversions.check(report, currency=terms_.in_force().currency, at=at)
    conversions.lock_order(report.source, report.external_id)
    conversions.lock_customer(report.customer)
    customer = _customer(report.customer)
    made = conversions.record(report, at=at)
    if made is None:
        known = conversions.find(report.source, report.external_id)
        assert known is not None
        if not conversions.agrees(known, report, customer_id=customer.id if customer else None):
            conversions.disagree(known, report, at=at)
            return Reported(known, Answer.DISAGREES)
        return Reported(known, Answer.KNOWN if known.applied_at else Answer.WAITING)
    if customer is None or not customer.known:
        return Reported(made, Answer.WAITING)
    _apply(made, customer, at=at)
    return Reported(made, Answer.MADE)


def record_order(report: OrderReport, *, by: int, at: datetime) -> Reported:
    """A colleague reports an order by form in the place of the shop; another one decides it. Raises ReportRefused."""
    reported = convert(replace(report, recorded_by=by), at=at)
    if reported.answer in (Answer.MADE, Answer.WAITING) and reported.conversion.received_at == at:
        audit.write("order_recorded", "conversion", reported.conversion.public_id, by=by, at=at,
                    shown=report.external_id)  # fmt: skip
    return reported


def _customer(named: Customer) -> User | None:
    found = users.find_by_external_id(named.external_id) if named.external_id else None
    if found is None and named.email:
        found = users.find_by_email(named.email)
        if found is not None and named.external_id and found.external_id not in (None, named.external_id):
            return None
    return found


def _apply_waiting(customer: Customer, user: User, *, at: datetime) -> None:
    """What was kept for somebody who is known now."""
    for conversion in conversions.waiting_for(customer):
        if _customer(Customer(conversion.customer_external_id, conversion.customer_email)) is user:
            _apply(conversion, user, at=at)


def _apply(conversion: Conversion, customer: User, *, at: datetime) -> None:
    """Makes the rewards of a conversion, both sides in this write, and then what its refunds ask for."""
    conversion.customer_id, conversion.applied_at = customer.id, at
    referral = referrals.of_referee(customer.id)
    if referral is None:
        session.flush()
        return
    conversion.referral_id = referral.id
    users.lock(referral.referrer_id, referral.referee_id)
    if _in_good_standing(referral):
        earning.earn(conversion, referral, at=at)
    else:
        conversion.outcome = [SUSPENDED]
    session.flush()
    for refund in conversions.refunds_for(conversion):
        _take_back(conversion, refund, at=at)
    looks.at_order(conversion, referral, at=at)


def _in_good_standing(referral: Referral) -> bool:
    return all(User.by_id(number).in_good_standing for number in (referral.referrer_id, referral.referee_id))


# --- refund ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refunded:
    """A refund as it stands now, and what became of the report."""

    refund: Refund
    answer: Answer


def refund(report: RefundReport, *, at: datetime) -> Refunded:
    """Money was given back for an order, which may not be known yet. Raises ReportRefused."""
    conversions.check_refund(report)
    conversions.lock_order(report.source, report.conversion_external_id)
    made = conversions.record_refund(report, at=at)
    if made is None:
        known = conversions.find_refund(report.source, report.external_id)
        assert known is not None
        told = (report.conversion_external_id, report.amount_minor)
        if told != (known.conversion_external_id, known.amount_minor):
            return Refunded(known, Answer.DISAGREES)
        return Refunded(known, Answer.KNOWN if known.conversion_id else Answer.WAITING)
    conversion = conversions.find(report.source, report.conversion_external_id)
    if conversion is None:
        return Refunded(made, Answer.WAITING)
    session.refresh(conversion, with_for_update={"key_share": True})  # as `database.lock`: keys that point to it go in
    _take_back(conversion, made, at=at)
    if conversion.referral is not None:
        session.flush()
        looks.at_refund(conversion, conversion.referral, at=at)
    return Refunded(made, Answer.MADE)


def record_refund(report: RefundReport, *, by: int, at: datetime) -> Refunded:
    """A colleague reports a refund by form, in the place of the shop. Raises ReportRefused."""
    refunded = refund(replace(report, recorded_by=by), at=at)
    if refunded.answer in (Answer.MADE, Answer.WAITING) and refunded.refund.received_at == at:
        audit.write("refund_recorded", "refund", refunded.refund.public_id, by=by, at=at, shown=report.external_id)
    return refunded


def _take_back(conversion: Conversion, given_back: Refund, *, at: datetime) -> None:
    """Takes back from every reward of an order what its refunds so far ask for in all."""
    given_back.conversion_id = conversion.id
    part, whole = conversions.refunded(conversion)
    made = rewards.of_conversion(conversion.id)
    users.lock(*(reward.person_id for reward in made))
    for reward in made:
        clawback = rewards.take_back(reward, given_back, part, whole, at=at)
        if clawback is not None:
            payouts.join(clawback, at=at)
            if not payouts.lines_about(reward):
                rewards.reverse(reward, at=at)


# --- decide ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decided:
    """What became of many that were to be decided at once: each that could not be is told, the others stand."""

    done: list[Reward]
    refused: list[Refusal]


def approve(reward_id: int, *, by: int | None, at: datetime) -> Reward:
    """Approves a pending reward; if its hold has passed, it is ready to pay at once. Raises DecisionRefused.

    What is somebody's who is suspended waits; it can only be rejected.
    """
    return _one(approve_many([reward_id], by=by, at=at))


def _one(decided: Decided) -> Reward:
    if decided.refused:
        raise decided.refused[0]
    return decided.done[0]


def approve_many(reward_ids: Sequence[int], *, by: int | None, at: datetime) -> Decided:
    """Approves pending rewards, as `approve` does one; what cannot be is left as it is."""
    decided = Decided([], [])
    for reward in rewards.locked(reward_ids):
        try:
            rewards.check_approval(reward, by)
            decided.done.append(reward)
        except rewards.DecisionRefused as refusal:
            decided.refused.append(refusal)
    rewards.approve(decided.done, by=by, at=at)
    notices.rewards_approved(decided.done, at=at)
    rewards.release(decided.done, at=at)
    return decided


def reject(reward_id: int, *, by: int, reason: Reason, told: str, note: str = "", at: datetime) -> Reward:
    """Rejects a pending reward. `told` is what its person reads, `note` is for colleagues. Raises DecisionRefused."""
    reward = _locked(reward_id)
    rewards.reject(reward, by=by, reason=reason, told=told, note=note, at=at)
    notices.reward_rejected(reward, told, at=at)
    return reward


def reject_many(
    reward_ids: Sequence[int], *, by: int, reason: Reason, told: str, note: str = "", at: datetime
) -> Decided:
    """Rejects pending rewards for one reason and in the same words; what cannot be is left as it is."""
    return _each(reward_ids, lambda number: reject(number, by=by, reason=reason, told=told, note=note, at=at))


def hold(reward_id: int, *, until: datetime, note: str, by: int, at: datetime) -> Reward:
    """Holds a reward that is not ready to pay for longer, for a reason that colleagues read. Raises DecisionRefused."""
    reward = _locked(reward_id)
    rewards.hold(reward, until=until, note=note, by=by, at=at)
    return reward


def hold_many(reward_ids: Sequence[int], *, until: datetime, note: str, by: int, at: datetime) -> Decided:
    """Holds several; what cannot be is left as it is."""
    return _each(reward_ids, lambda number: hold(number, until=until, note=note, by=by, at=at))


def _each(reward_ids: Sequence[int], verb: Callable[[int], Reward]) -> Decided:
    """A verb that refuses before it has changed anything, for each; in one order, so that nobody waits in a ring."""
    decided = Decided([], [])
    rewards.locked(reward_ids)
    for number in sorted(set(reward_ids)):
        try:
            decided.done.append(verb(number))
        except rewards.DecisionRefused as refusal:
            decided.refused.append(refusal)
    return decided


def undo(reward_id: int, *, by: int, note: str, at: datetime) -> Reward:
    """Takes a decision back, until its payout is exported; its line then leaves the batch. Raises DecisionRefused."""
    reward = _locked(reward_id)
    if payouts.is_out(reward):
        raise rewards.DecisionRefused(marked("Its payout is out already. From here on only refunds take back."))
    rewards.check_undo(reward, by)
    payouts.withdraw(reward, at=at)
    taken_back = rewards.undo(reward, by=by, note=note, at=at)
    notices.decision_taken_back(reward, taken_back.number - 1)
    _catch_up(reward, at=at)
    return reward


AT_ONCE = timedelta(minutes=2)
"""How long whoever decided may take it back with one press, without writing why."""


def undo_at_once(decided_at: datetime, *, by: int, note: str, at: datetime) -> Decided:
    """Takes back what somebody decided in one act a moment ago, one reward or many. Raises DecisionRefused later on."""
    if not decided_at <= at <= decided_at + AT_ONCE:
        raise rewards.DecisionRefused(marked("It is too late for this. Take it back on the page of the referral."))
    return _each(rewards.decided_by(by, decided_at), lambda number: undo(number, by=by, note=note, at=at))


def note(referral: Referral, text: str, *, by: int, at: datetime) -> None:
    """A colleague notes something about a referral, for colleagues. Raises DecisionRefused for an empty note."""
    note_id = audit.note(text, by=by, about=referral.referee_id, at=at, longest=1000)
    if note_id is None:
        raise rewards.DecisionRefused(marked("Write something."))
    audit.write("note_made", "referral", referral.public_id, by=by, at=at, note_id=note_id)


def _catch_up(reward: Reward, *, at: datetime) -> None:
    """What was given back of the order while the reward was rejected counts again with the reward."""
    given_back = conversions.refunds_for(reward.conversion)
    if given_back:
        rewards.take_back(reward, given_back[-1], *conversions.refunded(reward.conversion), at=at)
        rewards.reverse(reward, at=at)


def appeal(reward: Reward, text: str, *, by: int, at: datetime) -> Appeal:
    """Its person asks to look again at a reward that was turned down. Raises AppealRefused."""
    return appeals.make(_locked(reward.id), text, by=by, at=at)


def answer_appeal(appeal: Appeal, text: str, *, by: int, at: datetime) -> None:
    """Answers it. Raises AppealRefused, also for whom it is about."""
    reward = _locked(appeal.reward_id)
    session.refresh(appeal)
    if reward.person_id == by:
        raise appeals.AppealRefused(marked("This is your own; a colleague answers it."))
    appeals.answer(appeal, text, by=by, at=at)
    notices.appeal_answered(appeal, reward, at=at)


def _locked(reward_id: int) -> Reward:
    return rewards.locked([reward_id])[0]


def suspend(user: User, *, by: int, note: str, at: datetime) -> None:
    """Freezes somebody: links open and credit nobody, what is pending waits, lines leave batches not exported."""
    users.lock(user.id)
    if user.suspended_at is not None:
        return
    user.suspended_at = at
    payouts.freeze(user.id, at=at)
    note_id = audit.note(note, by=by, about=user.id, at=at)
    audit.write("user_suspended", "user", user.public_id, by=by, at=at, note_id=note_id)


def readmit(user: User, *, by: int, note: str, at: datetime) -> None:
    """Ends a suspension."""
    users.lock(user.id)
    if user.suspended_at is None:
        return
    user.suspended_at = None
    note_id = audit.note(note, by=by, about=user.id, at=at)
    audit.write("user_readmitted", "user", user.public_id, by=by, at=at, note_id=note_id)


def shut_out(user: User, *, by: int, note: str, at: datetime) -> None:
    """No signing in, at once and everywhere; while it lasts, they are out of the program as well.

    Raises PersonRefused for oneself and for the last owner who could let anybody in again.
    """
    users.lock(user.id, *roles.holders("own"))
    if user.shut_out_at is not None:
        return
    if user.id == by:
        raise PersonRefused(marked("This is you. A colleague can shut you out."))
    if _owners() == [user.id]:
        raise PersonRefused(marked("This is the last owner. Make somebody else one first."))
    user.shut_out_at = at
    sign_ins.end_all(user.id, at=at)
    payouts.freeze(user.id, at=at)
    note_id = audit.note(note, by=by, about=user.id, at=at)
    audit.write("user_shut_out", "user", user.public_id, by=by, at=at, note_id=note_id)


def let_in(user: User, *, by: int, note: str, at: datetime) -> None:
    """Lets somebody sign in again."""
    users.lock(user.id)
    if user.shut_out_at is None:
        return
    user.shut_out_at = None
    note_id = audit.note(note, by=by, about=user.id, at=at)
    audit.write("user_let_in", "user", user.public_id, by=by, at=at, note_id=note_id)


def _owners() -> list[int]:
    """The owners who can sign in."""
    return [number for number in roles.holders("own") if User.by_id(number).active]


# --- people ---------------------------------------------------------------------------------------------------


def rename(user: User, name: str, *, at: datetime) -> None:
    """Somebody calls themselves otherwise."""
    user.name = one_line(name, 80)
    audit.write("user_renamed", "user", user.public_id, by=user.id, at=at)


def choose_language(user: User, language: str) -> None:
    """The language of somebody's pages and mails; empty: what their browser asks for, and mails in English."""
    user.language = language


def choose_code(user: User, link: Link, wanted: str, *, at: datetime) -> None:
    """Gives one of somebody's links a code of their own choice. Raises CodeRefused."""
    if user.confirmed_at is None:
        raise links.CodeRefused(marked("Confirm your e-mail address first."))
    users.lock(user.id)
    links.take_code(link, wanted, at=at)
    audit.write("code_chosen", "link", link.public_id, by=user.id, at=at)


def grant_role(user: User, role: Role, *, by: int, at: datetime) -> None:
    """Gives a colleague a role; only to a confirmed address."""
    if user.confirmed_at is None:
        raise RoleRefused(marked("This address is not confirmed yet."))
    roles.grant(user.id, role, by=by, at=at)
    audit.write("role_granted", "user", user.public_id, by=by, at=at, role=role)


def withdraw_role(user: User, role: Role, *, by: int, at: datetime) -> None:
    """Takes a role away, from the next request on; the last owner stays one."""
    users.lock(*roles.holders("own"))
    if role == Role.OWNER and _owners() == [user.id]:
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
    if not user.active or not inviter.may("own"):
        return False
    user.password = password
    sign_ins.end_all(user.id, at=at)
    if user.confirmed_at is None:
        _owns_the_address(user, carried=None, at=at)
    audit.write("password_set", "user", user.public_id, by=user.id, at=at)
    grant_role(user, Role(key.carried["role"]), by=inviter.id, at=at)
    return True


# --- release --------------------------------------------------------------------------------------------------


def release_due(*, at: datetime) -> int:
    """Makes approved rewards whose hold has passed ready to pay. Gives how many."""
    return rewards.release(rewards.locked(rewards.due_for_release(at=at)), at=at)


def approve_clear(*, at: datetime) -> int:
    """Approves what the terms say needs no person: Clear, below the limit, hold passed, budget left. Gives how many."""
    terms = terms_.current()
    if terms is None or terms.auto_approve_below_minor is None:
        return 0
    if terms.budget_month_minor is not None:
        spent = rewards.spent_since(terms.currency, terms.period_start("month", at=at))
        if spent > terms.budget_month_minor:
            return 0
    due = rewards.locked(rewards.due_for_approval(terms.auto_approve_below_minor, at=at))
    assessed = signals.assessments({reward.referral_id for reward in due})
    clear = [
        reward.id
        for reward in due
        if assessed[reward.referral_id] == signals.Assessment.CLEAR and _in_good_standing(reward.referral)
    ]
    return len(approve_many(clear, by=None, at=at).done)


# --- pay ------------------------------------------------------------------------------------------------------


def choose_method(
    user: User, kind: methods.Kind, given: dict[str, str], *, keep: methods.Details, at: datetime
) -> None:
    """Sets how somebody is paid, and warns them by mail. Raises MethodRefused with the field's name."""
    users.lock(user.id)
    notices.method_changed(user, methods.choose(user.id, kind, given, keep=keep, at=at), at=at)
    looks.at_details(user.id, methods.sharing_details_with(user.id), at=at)


def add_vouchers(codes: Iterable[str], *, value_minor: int, currency: str, by: int, at: datetime) -> int:
    """Puts voucher codes into the pool. Gives how many are new."""
    new = vouchers.add(codes, value_minor=value_minor, currency=currency, at=at)
    audit.write("vouchers_added", "vouchers", currency, by=by, at=at, new=new, value_minor=value_minor)
    return new


def correct_balance(
    person: User, amount_minor: int, *, reason: str, form_key: str, by: int, at: datetime
) -> Correction | None:
    """An admin's plus or minus on somebody's balance; None if this form has done so. Raises CorrectionRefused.

    It counts from the next batch on; what stands in one stays as it is. The person is told by mail.
    """
    users.lock(person.id)
    currency = terms_.in_force().currency
    made = corrections.make(person, amount_minor, currency, reason=reason, form_key=form_key, by=by, at=at)
    if made is not None and person.confirmed_at is not None:
        notices.balance_corrected(made, at=at)
    return made


def draw_batch(*, by: int, at: datetime, only: Collection[str] | None = None) -> Batch:
    """Puts what is ready of everybody who is ready into a draft batch; with `only`, of these people (public ids).

    Raises PayoutRefused if nobody is.
    """
    release_due(at=at)
    return payouts.draw(terms_.in_force(), by=by, at=at, only=only)


def approve_batch(batch: Batch, *, by: int, at: datetime) -> None:
    """Approves a draft batch. Raises PayoutRefused."""
    payouts.approve(payouts.lock_batch(batch.id), terms_.in_force(), by=by, at=at)


def export_batch(batch: Batch, *, by: int, at: datetime) -> None:
    """The batch's file is taken out. Raises PayoutRefused."""
    payouts.export(payouts.lock_batch(batch.id), by=by, at=at)


def cancel_batch(batch: Batch, *, by: int, at: datetime) -> None:
    """Dissolves a batch that is not exported. Raises PayoutRefused."""
    payouts.cancel(payouts.lock_batch(batch.id), by=by, at=at)


def pay_batch(batch: Batch, *, by: int, bank_reference: str = "", on: date | None = None, at: datetime) -> int:
    """Notes that every payout of a batch that is on its way arrived, on a day. Gives how many. Raises PayoutRefused."""
    locked = payouts.lock_batch(batch.id)
    sent = [payout for payout in locked.payouts if payout.state == payouts.State.SENT]
    if not sent and locked.state not in (payouts.BatchState.PAID, payouts.BatchState.PARTLY_PAID):
        raise payouts.PayoutRefused(marked("Export the batch first: its file is what gets paid."))
    if sent:
        payouts.refer_to_bank(locked, bank_reference)
    return len(_pay(locked, sent, by=by, on=on, at=at))


def pay(payout: Payout, *, by: int, bank_reference: str = "", on: date | None = None, at: datetime) -> bool:
    """Notes that one payout arrived; whether this changed anything. Raises PayoutRefused."""
    locked, found = _locked_payout(payout)
    return bool(_pay(locked, [found], by=by, on=on, bank_reference=bank_reference, at=at))


def _locked_payout(payout: Payout) -> tuple[Batch, Payout]:
    """A payout with its batch, both as they are under the lock."""
    batch = payouts.lock_batch(payout.batch_id)
    return batch, next(found for found in batch.payouts if found.id == payout.id)


def _pay(
    batch: Batch, arrived: list[Payout], *, by: int, on: date | None, bank_reference: str = "", at: datetime
) -> list[Payout]:
    new = payouts.pay(batch, arrived, terms_.in_force(), by=by, on=on, bank_reference=bank_reference, at=at)
    for payout in new:
        notices.payout_paid(payout, at=at)
    return new


def fail(payout: Payout, *, failure: str, by: int, at: datetime) -> bool:
    """Notes that one payout came back; whether this changed anything. Raises PayoutRefused."""
    return _fail(*_locked_payout(payout), failure=failure, by=by, at=at)


def _fail(batch: Batch, payout: Payout, *, failure: str, by: int, at: datetime) -> bool:
    changed = payouts.fail(batch, payout, failure=failure, by=by, at=at)
    if changed:
        notices.payout_failed(payout, at=at)
    return changed


def take_results(batch: Batch, told: list[Result], *, by: int, at: datetime) -> Checked:
    """Notes what the bank's answer says of a batch's payouts, all of it or nothing; what was new in it.

    Raises ResultsRefused where a line cannot be, as payouts stand now. The same file again changes nothing.
    """
    locked = payouts.lock_batch(batch.id)
    checked = results.check(locked, told)
    if checked.faults:
        raise results.ResultsRefused(checked.faults)
    for result in checked.failed:
        _fail(locked, checked.payouts[result.reference], failure=result.reason, by=by, at=at)
    arrived = [checked.payouts[result.reference] for result in checked.paid]
    _pay(locked, arrived, by=by, on=None, at=at)
    return checked
