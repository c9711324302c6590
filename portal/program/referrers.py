"""How an admin corrects who brought a friend, and what that changes."""

from datetime import datetime

from portal import notices
from portal import terms as terms_
from portal.accounts import audit, users
from portal.accounts.users import User
from portal.core.database import session
from portal.core.text import marked
from portal.notices import events
from portal.notices.events import Event
from portal.payouts import methods, moving, payouts
from portal.program.joining import refer
from portal.program.orders import SUSPENDED, apply
from portal.program.refunds import level
from portal.referrals import claims, referrals
from portal.referrals.attribution import Attribution, How
from portal.referrals.referrals import Referral, ReferralRefused
from portal.rewards import conversions, decisions, earning, looks, rewards
from portal.rewards.conversions import Conversion, Customer
from portal.rewards.decisions import Reason
from portal.rewards.rewards import Reward
from portal.sharing import links


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
    referral = refer(referee, _by_admin(referrer, referee.signed_up_at), terms, at=referee.signed_up_at, told_at=at)
    assert referral is not None
    audit.write("referrer_corrected", "referral", referral.public_id, by=by, at=at, note_id=why, now=referrer.public_id)
    for conversion in conversions.without_referral(referee.id, since=referral.joined_at):
        apply(conversion, referee, at=at)
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
    looks.at_referral(referral, referee, referrer, at=at)
    looks.at_details(referee.id, methods.sharing_details_with(referee.id), at=at)
    audit.write("referrer_corrected", "referral", referral.public_id, by=by, at=at, note_id=why,
                was=former.public_id, now=referrer.public_id)  # fmt: skip
    for reward in rewards.of_referral(referral.id):
        if reward.person_id == referrer.id and decisions.of_other_referrer(reward):
            decisions.undo([reward], by=by, note=note, at=at)
            events.rewards_moved(Event.REWARD_REOPENED, [reward.id], at=at)
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
    events.rewards_created(conversion.id, at=at)
    level(conversion, at=at)


def _turn_away(reward: Reward, *, note: str, by: int, at: datetime) -> None:
    """Takes back what the wrong referrer earned; its line leaves the batch."""
    moving.withdraw(reward, at=at)
    if reward.state == rewards.State.APPROVED:
        decisions.undo([reward], by=by, note=note, at=at)
    told = decisions.TOLD_OF_OTHER_REFERRER
    decisions.reject([reward], by=by, reason=Reason.OTHER_REFERRER, told=told, note=note, at=at)
    notices.rewards_rejected([reward], told, at=at)


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
