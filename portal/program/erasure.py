"""Erasure: an account is deleted. Its person is blanked and never deleted; the sums stay.

What was earned is paid first or given up; audit, ledger and the shop's reports keep ids; what people wrote goes from
their notes. An address that had an account is known by its keyed hash alone, so that nobody is brought twice.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from portal import terms as terms_
from portal.accounts import audit, mail_choices, one_time, passkeys, roles, sign_ins, two_step, users
from portal.accounts.users import User
from portal.core.text import Refusal, marked
from portal.delivery import outbox, webhooks
from portal.delivery.outbox import Message
from portal.notices import events, writing
from portal.notices.events import Event
from portal.payouts import methods, moving, payouts
from portal.program.accounts import former_hashes, wanted_hashes
from portal.program.people import owners
from portal.program.sharing import retired_name
from portal.referrals import claims, referrals
from portal.rewards import conversions, corrections, decisions, ledger, rewards, signals
from portal.rewards.corrections import GONE
from portal.rewards.decisions import Reason
from portal.rewards.ledger import Bucket
from portal.rewards.rewards import State
from portal.sharing import clicks, invites, links


class ErasureRefused(Refusal):
    """An account that cannot be deleted now."""


@dataclass(frozen=True)
class GivenUp:
    """What goes back to the program with an account, in minor units: what is ready, and what waits."""

    ready_minor: int
    waiting_minor: int
    currency: str

    @property
    def total_minor(self) -> int:
        return self.ready_minor + self.waiting_minor


def given_up(user: User) -> GivenUp:
    """What somebody would give up. Raises ErasureRefused while money is on its way, and for the last owner."""
    if owners() == [user.id]:
        raise ErasureRefused(marked("This is the last owner. Make somebody else one first."))
    current = terms_.current()
    if current is None:
        return GivenUp(0, 0, "")
    balances = ledger.balances(user.id, current.currency)
    if payouts.on_their_way(user.id):
        raise ErasureRefused(marked("A payout is on its way. The account can be deleted once it has arrived."))
    ready = max(0, balances[Bucket.PAYABLE] + balances[Bucket.IN_PAYOUT])
    return GivenUp(ready, balances[Bucket.PENDING] + balances[Bucket.APPROVED], current.currency)


def erase(user: User, *, gives_up_minor: int | None, by: int | None, at: datetime) -> None:
    """Deletes an account, for good. `gives_up_minor`: the sum that its person was told they give up; None: whatever it
    is. Deleted before, nothing happens.

    Raises ErasureRefused if it cannot be now, or gives up something else than was told; then nothing is changed.
    """
    conversions.lock_customer(conversions.Customer(external_id=user.external_id, email=user.email))
    users.lock(user.id, *roles.holders("own"))
    if user.erased_at is not None:
        return
    gives = given_up(user)
    if gives_up_minor is not None and gives.total_minor != gives_up_minor:
        raise ErasureRefused(marked("The balance has changed since you looked. Look at it again."))
    address, to_hash = user.email, writing.hashed(user.email)
    hashes = {to_hash, *former_hashes(user), *wanted_hashes(user)}
    _forget_mails(user, hashes)
    _forget_sharing(user, hashes, at=at)
    audit.blank_notes(user.id)
    _give_up_money(user, at=at)
    methods.forget(user.id, at=at)
    claims.forget(user.id, at=at)
    signals.forget_values([referral.id for referral in referrals.of_person(user.id)])
    outside = user.external_id if "@" in (user.external_id or "") else None
    conversions.forget_customer(user.id, address, outside)
    webhooks.forget(user.public_id, outside)
    for room in (mail_choices, one_time, sign_ins, two_step, passkeys):
        room.forget(user.id)
    roles.withdraw_all(user.id)
    users.blank(user, former_hash=to_hash, at=at)
    audit.write("user_erased", "user", user.public_id, by=by, at=at)


def _give_up_money(user: User, *, at: datetime) -> None:
    """Takes what is not out back to the program: lines leave their batches, what waits is rejected."""
    moving.freeze(user.id, at=at)
    theirs = rewards.locked(rewards.waiting_of(user.id))
    decisions.undo([one for one in theirs if one.state == State.APPROVED], by=None, note=GONE, at=at)
    decisions.reject(theirs, by=None, reason=Reason.OTHER, told=GONE, note="", at=at)
    events.rewards_moved(Event.REWARD_REJECTED, [one.id for one in theirs], at=at)
    corrections.give_up_ready(user, at=at)


def _forget_mails(user: User, hashes: set[str]) -> None:
    """Empties the mails to somebody, and those to others that name them."""
    brought = [referral.public_id for referral in referrals.of_person(user.id)]
    asked = [invite.public_id for invite in invites.by_owner(user.id)]
    named = user.name if " " in user.name else ""
    outbox.forget_all(
        Message.to_hash.in_(hashes),
        sa.and_(Message.about_kind == "referral", Message.about_id.in_(brought)),
        sa.and_(Message.about_kind == "invite", Message.about_id.in_(asked)),
        sa.and_(Message.about_kind == "claim", Message.about_id.in_(claims.names_of(user.id))),
        *outbox.mentions(user.email, named),
    )


def _forget_sharing(user: User, hashes: set[str], *, at: datetime) -> None:
    """Ends the invites that somebody made, deletes their address from those of others, and closes their links."""
    for invite in [*invites.by_owner(user.id), *(one for each in hashes for one in invites.to_address(each))]:
        if invite.owner_id == user.id and invite.ended_at is None:
            invites.withdraw(invite, at=at)
        invites.purge(invite, at=at)
    browsers = {one.visitor for one in sign_ins.of_person(user.id)} | {user.visitor}
    clicks.blank([visitor for visitor in browsers if visitor])
    referrals.rename_codes(links.forget(user.id, retired_name=retired_name, at=at))
