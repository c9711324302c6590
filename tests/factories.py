"""Scenes: what happens to the cast, from an order to a payout.

A scene goes forward only through the verbs of the story, one write a step. It starts on 1 September 2026 at noon;
`later` moves its clock. What it hands out can be read at once, and is read afresh after the next step.
"""

from datetime import datetime

import sqlalchemy as sa

from portal import program, terms
from portal.accounts.users import User
from portal.core.database import session
from portal.payouts import drawing, methods, payouts
from portal.payouts.drawing import Why
from portal.payouts.payouts import Batch, Payout
from portal.program import Refunded, Reinstated, Reported
from portal.rewards import goals, ledger
from portal.rewards.conversions import Customer, OrderReport
from portal.rewards.corrections import Correction
from portal.rewards.decisions import Reason
from portal.rewards.ledger import Bucket
from portal.rewards.refunds import RefundReason, RefundReport, ReinstatementReport
from portal.rewards.rewards import Reward
from tests.cast import NOON, PASSWORD, Cast
from tests.offers import EVERY, REFEREE, REFERRER, fixed, milestone, offer, share

__all__ = ["EVERY", "IBAN", "NOON", "PASSWORD", "REFEREE", "REFERRER", "Scene", "fixed", "milestone", "offer", "share"]

IBAN = "DE89370400440532013000"


class Scene(Cast):
    """One program with its people, and what happens in it."""

    # --- orders and rewards -----------------------------------------------------------------------------------

    def order(
        self, customer: User | Customer, amount_minor: int | None = 6400, *, external_id: str = "",
        goal: str = goals.PURCHASE, occurred_at: datetime | None = None, currency: str | None = "EUR",
        recorded_by: int | None = None, source: str = goals.SHOP,
    ) -> Reported:  # fmt: skip
        """An order is reported; each one is another unless `external_id` says otherwise."""
        who = customer if isinstance(customer, Customer) else Customer(email=customer.email)
        report = OrderReport(
            goal, external_id or f"order-{next(self._numbers)}", who, occurred_at or self.at,
            amount_minor, currency if amount_minor is not None else None, source, recorded_by,
        )  # fmt: skip
        return self.do(lambda: program.convert(report, at=self.at))

    def refund(
        self, order: str | Reported, amount_minor: int | None = None, *, external_id: str = "",
        reason: RefundReason = RefundReason.REFUND,
    ) -> Refunded:  # fmt: skip
        """Money is given back for an order: all of it, if no amount is named."""
        about = order if isinstance(order, str) else order.conversion.external_id
        report = RefundReport(external_id or f"refund-{next(self._numbers)}", about, amount_minor, reason=reason)
        return self.do(lambda: program.refund(report, at=self.at))

    def charge_back(
        self, order: str | Reported, amount_minor: int | None = None, *, external_id: str = "CB-1"
    ) -> Refunded:
        """The customer's bank takes a payment back."""
        return self.refund(order, amount_minor, external_id=external_id, reason=RefundReason.CHARGEBACK)

    def win(self, external_id: str = "CB-1") -> Reinstated:
        """The dispute of a chargeback is won."""
        return self.do(lambda: program.reinstate(ReinstatementReport(external_id), at=self.at))

    def rewards(self, person: User) -> list[Reward]:
        """A person's rewards, the first one first."""
        return list(session.scalars(sa.select(Reward).where(Reward.person_id == person.id).order_by(Reward.id)))

    def reward(self, person: User) -> Reward:
        """A person's only reward."""
        (only,) = self.rewards(person)
        return only

    def balance(self, person: User, currency: str = "EUR") -> dict[str, int]:
        """Where a person's money lies, empty buckets and the program's own side left out."""
        sums = ledger.balances(person.id, currency)
        return {str(bucket): amount for bucket, amount in sums.items() if amount and bucket != Bucket.PROGRAM}

    def approve(self, reward: Reward, *, by: User | None = None) -> Reward:
        number, who = reward.id, (by or self.rita).id
        return self.do(lambda: program.approve(number, by=who, at=self.at))

    def reject(
        self, reward: Reward, *, by: User | None = None, told: str = "Not this time.", note: str = "Seen before."
    ) -> Reward:
        number, who = reward.id, (by or self.rita).id
        return self.do(
            lambda: program.reject(number, by=who, reason=Reason.DUPLICATE, told=told, note=note, at=self.at)
        )

    def undo(self, reward: Reward, *, by: User | None = None, note: str = "A mistake.") -> Reward:
        number, who = reward.id, (by or self.rita).id
        return self.do(lambda: program.undo(number, by=who, note=note, at=self.at))

    def release(self) -> int:
        return self.do(lambda: program.release_due(at=self.at))

    def pending_reward(self) -> Reward:
        """Alice's reward for Bob's first order."""
        self.order(self.bob)
        return self.reward(self.alice)

    def approved_reward(self) -> Reward:
        """The same, approved by Rita and on hold."""
        return self.approve(self.pending_reward())

    def payable_reward(self) -> Reward:
        """The same, with its hold passed and Alice's bank account known."""
        reward = self.approved_reward()
        self.method(self.alice)
        self.later(days=31)
        self.release()
        return reward

    def earns(self, person: User, amount_minor: int, friend: str) -> None:
        """A person gets an amount by the order of a friend of this name, ready to pay. Changes the offer."""
        self.publish(fixed(amount_minor, hold_days=0))
        self.order(self.friend(friend, of=person))
        self.approve(self.rewards(person)[-1])

    # --- paying -----------------------------------------------------------------------------------------------

    def method(self, user: User, kind: methods.Kind = methods.Kind.BANK, **given: str) -> methods.Method:
        """A person says how they want to be paid."""
        usual = {"holder": user.name, "iban": IBAN} if kind == methods.Kind.BANK else {}
        return self.do(lambda: methods.choose(user.id, kind, usual | given, keep=self.keep, at=self.at))

    def correct(
        self, person: User, amount_minor: int, *, reason: str = "A mistake of ours.", form: str = "",
        by: User | None = None,
    ) -> Correction | None:  # fmt: skip
        """Finn corrects a balance; each time by another form, unless one is named."""
        who, key = (by or self.finn).id, form or f"form-{next(self._numbers)}"
        return self.do(
            lambda: program.correct_balance(person, amount_minor, reason=reason, form_key=key, by=who, at=self.at)
        )

    def left_out(self, *, by: User | None = None) -> dict[str, Why | None]:
        """Everybody with money ready, by name, with the reason why a batch would leave them out."""
        standings = drawing.standings(terms.in_force(), at=self.at, by=by.id if by else None)
        return {standing.user.name: standing.why for standing in standings}

    def batch(self, *, by: User | None = None) -> Batch:
        """A draft of whoever is ready."""
        who = (by or self.finn).id
        return self.do(lambda: program.draw_batch(by=who, at=self.at))

    def approve_batch(self, batch: Batch, *, by: User | None = None) -> Batch:
        who = (by or self.finn).id
        self.do(lambda: program.approve_batch(batch, by=who, at=self.at))
        return batch

    def export(self, batch: Batch, *, by: User | None = None) -> Batch:
        who = (by or self.finn).id
        self.do(lambda: program.export_batch(batch, by=who, at=self.at))
        return batch

    def exported_batch(self) -> Batch:
        """A batch of whoever is ready, approved and with its file taken out."""
        return self.export(self.approve_batch(self.batch()))

    def cancel(self, batch: Batch, *, by: User | None = None) -> None:
        who = (by or self.finn).id
        self.do(lambda: program.cancel_batch(batch, by=who, at=self.at))

    def pay(self, payout: Payout, *, by: User | None = None) -> bool:
        who = (by or self.finn).id
        return self.do(lambda: program.pay(payout, by=who, at=self.at))

    def fail(self, payout: Payout, *, failure: str = "Account closed.", by: User | None = None) -> bool:
        who = (by or self.finn).id
        return self.do(lambda: program.fail(payout, failure=failure, by=who, at=self.at))

    def pay_batch(self, batch: Batch, *, by: User | None = None) -> int:
        who = (by or self.finn).id
        return self.do(lambda: program.pay_batch(batch, by=who, at=self.at))

    def payout_of(self, reward: Reward) -> Payout:
        """The payout in which a reward stands."""
        line = payouts.live_line(reward.id)
        assert line is not None
        return line.payout

    def paid_reward(self) -> Reward:
        """Alice's reward for Bob's first order, paid."""
        reward = self.payable_reward()
        self.pay_batch(self.exported_batch())
        return reward
