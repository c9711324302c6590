"""How credits become money: release, methods, vouchers, batches and what the bank answers."""

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta

from portal import notices
from portal import terms as terms_
from portal.accounts import audit, users
from portal.accounts.users import User
from portal.core.text import marked
from portal.notices import events
from portal.payouts import drawing, methods, moving, payouts, results, vouchers
from portal.payouts.payouts import Batch, Payout
from portal.payouts.results import Checked, Result
from portal.rewards import corrections, decisions, looks, rewards
from portal.rewards.corrections import Correction

# --- release --------------------------------------------------------------------------------------------------


def release_due(*, at: datetime) -> int:
    """Makes approved rewards whose hold has passed ready to pay. Gives how many."""
    due = rewards.due_for_release(at=at)
    rewards.lock(due)
    ready = decisions.release(due, at=at)
    notices.rewards_ready(ready, at=at)
    return len(ready)


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


REMINDED_EVERY = timedelta(days=7)


def reminded(users_: Collection[User], *, at: datetime) -> dict[str, datetime]:
    """Who of these people was reminded lately of how to be paid, by public id, and when: not before a week is over
    are they again."""
    told = audit.latest("payout_reminder", "user", [user.public_id for user in users_])
    return {name: last for name, last in told.items() if at - last < REMINDED_EVERY}


def remind(user: User, *, by: int, at: datetime) -> None:
    """Asks somebody who has money and has not said how to be paid, by mail, once a week. Raises PayoutRefused."""
    users.lock(user.id)
    found = drawing.standings(terms_.in_force(), at=at, only=[user.public_id])
    if not found or not found[0].lacks_details:
        raise payouts.PayoutRefused(marked("%(name)s lacks no payout details."), name=user.called)
    if reminded([user], at=at):
        raise payouts.PayoutRefused(marked("%(name)s was reminded within the last 7 days."), name=user.called)
    notices.details_wanted(user, found[0].balance_minor, terms_.in_force().currency, at=at)
    audit.write("payout_reminder", "user", user.public_id, by=by, at=at)


def draw_batch(*, by: int, at: datetime, only: Collection[str] | None = None) -> Batch:
    """Puts what is ready of everybody who is ready into a draft batch; with `only`, of these people (public ids).

    Raises PayoutRefused if nobody is.
    """
    release_due(at=at)
    return drawing.draw(terms_.in_force(), by=by, at=at, only=only)


def approve_batch(batch: Batch, *, by: int, at: datetime) -> None:
    """Approves a draft batch. Raises PayoutRefused."""
    moving.approve(payouts.lock_batch(batch.id), terms_.in_force(), by=by, at=at)


def export_batch(batch: Batch, *, by: int, at: datetime) -> None:
    """The batch's file is taken out. Raises PayoutRefused."""
    locked = payouts.lock_batch(batch.id)
    before = locked.exported_at
    moving.export(locked, by=by, at=at)
    if before is None:
        out = [payout for payout in locked.payouts if payout.state == payouts.State.SENT]
        events.credits_granted(out, at=at)


def cancel_batch(batch: Batch, *, by: int, at: datetime) -> None:
    """Dissolves a batch that is not exported. Raises PayoutRefused."""
    moving.cancel(payouts.lock_batch(batch.id), by=by, at=at)


def pay_batch(batch: Batch, *, by: int, bank_reference: str = "", on: date | None = None, at: datetime) -> int:
    """Notes that every payout of a batch that is on its way arrived, on a day. Gives how many. Raises PayoutRefused."""
    locked = payouts.lock_batch(batch.id)
    sent = [payout for payout in locked.payouts if payout.state == payouts.State.SENT]
    if not sent and locked.state not in (payouts.BatchState.PAID, payouts.BatchState.PARTLY_PAID):
        raise payouts.PayoutRefused(marked("Export the batch first: its file is what gets paid."))
    if sent:
        moving.refer_to_bank(locked, bank_reference)
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
    new = moving.pay(batch, arrived, terms_.in_force(), by=by, on=on, bank_reference=bank_reference, at=at)
    for payout in new:
        notices.payout_paid(payout, at=at)
    events.payouts_paid(new, at=at)
    return new


def fail(payout: Payout, *, failure: str, by: int, at: datetime) -> bool:
    """Notes that one payout came back; whether this changed anything. Raises PayoutRefused."""
    return _fail(*_locked_payout(payout), failure=failure, by=by, at=at)


def _fail(batch: Batch, payout: Payout, *, failure: str, by: int, at: datetime) -> bool:
    changed = moving.fail(batch, payout, failure=failure, by=by, at=at)
    if changed:
        notices.payout_failed(payout, at=at)
        events.payout_failed(payout, at=at)
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
