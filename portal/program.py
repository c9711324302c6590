"""THE STORY: invite, follow, sign up, confirm, claim, convert, refund, decide, release, pay. Start reading here.

Each verb does one thing that happens to the program, in the order of a friend's life. Verbs take the moment (`at=`)
and the actor (`by=`), work inside the write that the edge has opened, and never commit. What they promise: nothing
is credited twice, nothing is lost, and every credit can say why it is what it is.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
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
from portal.payouts import methods, payouts, vouchers
from portal.payouts.payouts import Batch, Payout
from portal.referrals import attribution, candidates, claims, referrals
from portal.referrals.attribution import Attribution, How
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral
from portal.rewards import appeals, conversions, earning, goals, kinds, looks, rewards, rules, signals
from portal.rewards.appeals import Appeal
from portal.rewards.conversions import Conversion, Customer, OrderReport, Refund, RefundReport, ReportRefused
from portal.rewards.rewards import Reason, Reward
from portal.rewards.rules import Rule
from portal.sharing import clicks, invites, links
from portal.sharing.invites import Invite, Told
from portal.sharing.links import Found, Link
from portal.terms import Terms

log = logging.getLogger(__name__)


class RoleRefused(Refusal):
    """A role that cannot be given or taken away."""


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
    customer = Customer(external_id=user.external_id, email=user.email)
    conversions.lock_customer(customer)
    first = user.confirmed_at is None
    if not first:
        return user
    user.confirmed_at = at
    if key.password != user.password:
        user.password = key.password
        sign_ins.end_all(user.id, at=at)
    if user.password is None:
        notices.reset_password(user, one_time.make(Purpose.RESET, user.id, at=at), at=at)
    one_time.end_all(Purpose.CONFIRM, user.id, at=at)
    audit.write("address_confirmed", "user", user.public_id, by=user.id, at=at)
    referral = referrals.of_referee(user.id)
    if referral is not None:
        notices.friend_joined(referral, user, User.by_id(referral.referrer_id), at=at)
    elif key.carried:
        outcome = Attribution.from_json(key.carried)
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
    return user


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


# --- convert --------------------------------------------------------------------------------------------------


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
        conversion.outcome = [{"why_not": "suspended"}]
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


def approve(reward_id: int, *, by: int | None, at: datetime) -> Reward:
    """Approves a pending reward; if its hold has passed, it is ready to pay at once. Raises DecisionRefused.

    What is somebody's who is suspended waits; it can only be rejected.
    """
    reward = _locked(reward_id)
    if reward.person.suspended_at is not None:
        raise rewards.DecisionRefused(marked("This person is suspended: what is pending waits."))
    rewards.approve(reward, by=by, at=at)
    notices.reward_approved(reward, at=at)
    rewards.release(reward, at=at)
    return reward


def approve_many(
    wanted: list[str], *, by: int, at: datetime, write: Callable[[], AbstractContextManager[None]]
) -> tuple[int, list[Refusal]]:
    """Approves rewards by their public ids, each in a `write` of its own, so that one no does not undo the others."""
    done = 0
    refused: list[Refusal] = []
    for name in dict.fromkeys(wanted):
        try:
            with write():
                reward = rewards.find(name)
                if reward is not None:
                    approve(reward.id, by=by, at=at)
                    done += 1
        except rewards.DecisionRefused as refusal:
            refused.append(refusal)
    return done, refused


def reject(reward_id: int, *, by: int, reason: Reason, told: str, note: str = "", at: datetime) -> Reward:
    """Rejects a pending reward. `told` is what its person reads, `note` is for colleagues. Raises DecisionRefused."""
    reward = _locked(reward_id)
    rewards.reject(reward, by=by, reason=reason, told=told, note=note, at=at)
    notices.reward_rejected(reward, told, at=at)
    return reward


def undo(reward_id: int, *, by: int, note: str, at: datetime) -> Reward:
    """Takes a decision back, until its payout is exported; its line then leaves the batch. Raises DecisionRefused."""
    reward = _locked(reward_id)
    if not payouts.withdraw(reward, at=at):
        raise rewards.DecisionRefused(marked("Its payout is out already. From here on only refunds take back."))
    rewards.undo(reward, by=by, note=note, at=at)
    _catch_up(reward, at=at)
    return reward


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
    for reward in payouts.drawn_of(user.id):
        payouts.withdraw(reward, at=at)
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
    if role == Role.OWNER and roles.holders("own") == [user.id]:
        raise RoleRefused(marked("This is the last owner. Make somebody else one first."))
    roles.withdraw(user.id, role)
    audit.write("role_withdrawn", "user", user.public_id, by=by, at=at, role=role)


# --- release --------------------------------------------------------------------------------------------------


def release_due(*, at: datetime) -> int:
    """Makes approved rewards whose hold has passed ready to pay. Gives how many."""
    return sum(rewards.release(reward, at=at) for reward in rewards.locked(rewards.due_for_release(at=at)))


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
    done = 0
    for reward in due:
        clear = assessed[reward.referral_id] == signals.Assessment.CLEAR
        if clear and reward.state == rewards.State.PENDING and _in_good_standing(reward.referral):
            approve(reward.id, by=None, at=at)
            done += 1
    return done


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


def draw_batch(*, by: int, at: datetime) -> Batch:
    """Puts what is ready of everybody who is ready into a draft batch. Raises PayoutRefused if nobody is."""
    release_due(at=at)
    return payouts.draw(terms_.in_force(), by=by, at=at)


def approve_batch(batch: Batch, *, by: int, at: datetime) -> None:
    """Approves a draft batch. Raises PayoutRefused."""
    payouts.approve(payouts.lock_batch(batch.id), terms_.in_force(), by=by, at=at)


def export_batch(batch: Batch, *, by: int, at: datetime) -> None:
    """The batch's file is taken out. Raises PayoutRefused."""
    payouts.export(payouts.lock_batch(batch.id), by=by, at=at)


def cancel_batch(batch: Batch, *, by: int, at: datetime) -> None:
    """Dissolves a batch that is not exported. Raises PayoutRefused."""
    payouts.cancel(payouts.lock_batch(batch.id), by=by, at=at)


def pay_batch(batch: Batch, *, by: int, bank_reference: str = "", at: datetime) -> int:
    """Notes that every payout of a batch that is on its way arrived. Gives how many. Raises PayoutRefused."""
    locked = payouts.lock_batch(batch.id)
    payouts.refer_to_bank(locked, bank_reference)
    sent = [payout for payout in locked.payouts if payout.state == payouts.State.SENT]
    if not sent and locked.state not in (payouts.BatchState.PAID, payouts.BatchState.PARTLY_PAID):
        raise payouts.PayoutRefused(marked("Export the batch first: its file is what gets paid."))
    return sum(_pay(payout, by=by, at=at) for payout in sent)


def pay(payout: Payout, *, by: int, at: datetime) -> bool:
    """Notes that one payout arrived; whether this changed anything. Raises PayoutRefused."""
    payouts.lock_batch(payout.batch_id)
    session.refresh(payout)
    return _pay(payout, by=by, at=at)


def _pay(payout: Payout, *, by: int, at: datetime) -> bool:
    changed = payouts.pay(payout, by=by, at=at)
    if changed:
        notices.payout_paid(payout, at=at)
    return changed


def fail(payout: Payout, *, failure: str, by: int, at: datetime) -> bool:
    """Notes that one payout came back; whether this changed anything. Raises PayoutRefused."""
    payouts.lock_batch(payout.batch_id)
    session.refresh(payout)
    changed = payouts.fail(payout, failure=failure, by=by, at=at)
    if changed:
        notices.payout_failed(payout, at=at)
    return changed
