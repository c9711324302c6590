"""Scenes with the cast: Alice refers, Bob is referred, Carol came on her own, Olivia owns the program, Rita reviews,
Finn pays, Mallory cheats.

A scene goes forward only through the verbs of the story, one write a step. It starts on 1 September 2026 at noon;
`later` moves its clock. What it hands out can be read at once, and is read afresh after the next step.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import Flask

from portal import program, terms
from portal.accounts import roles, users
from portal.accounts.roles import Role
from portal.accounts.users import NOWHERE, Surroundings, User
from portal.core import database
from portal.core.database import session
from portal.delivery.outbox import Message
from portal.payouts import methods, payouts
from portal.payouts.methods import Details
from portal.payouts.payouts import Batch, Payout
from portal.program import Refunded, Reported
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.rewards import goals, ledger, rules
from portal.rewards.conversions import Customer, OrderReport, RefundReport
from portal.rewards.ledger import Bucket
from portal.rewards.rewards import Reason, Reward
from portal.rewards.rules import Beneficiary, Often, Rule
from portal.sharing import links

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
PASSWORD = "a password of the tests"
REFERRER, REFEREE = Beneficiary.REFERRER, Beneficiary.REFEREE
IBAN = "DE89370400440532013000"

Thing = TypeVar("Thing")


# --- the offer ------------------------------------------------------------------------------------------------


def fixed(
    amount_minor: int, *, to: Beneficiary = REFERRER, goal: str = goals.PURCHASE, hold_days: int = 30, **more: Any
) -> Rule:
    """A rule that gives an amount for a goal."""
    return Rule(
        goal=goal, beneficiary=to, kind=rules.Kind.FIXED, amount_minor=amount_minor, hold_days=hold_days, **more
    )


def share(
    share_bp: int, *, to: Beneficiary = REFERRER, goal: str = goals.PURCHASE, hold_days: int = 30, **more: Any
) -> Rule:
    """A rule that gives a share of the order; 100 basis points are 1 %."""
    return Rule(goal=goal, beneficiary=to, kind=rules.Kind.SHARE, share_bp=share_bp, hold_days=hold_days, **more)


def milestone(
    threshold: int, amount_minor: int, *, goal: str = goals.PURCHASE, hold_days: int = 30, **more: Any
) -> Rule:
    """A rule that gives a bonus when so many friends have reached a goal."""
    return fixed(amount_minor, goal=goal, hold_days=hold_days, threshold=threshold, **more)


def offer() -> list[Rule]:
    """The usual offer of the tests: 20.00 for a friend's first order, held for 30 days."""
    return [fixed(2000)]


EVERY = {"often": Often.EVERY}
"""For a rule that earns for every order, not for the first only."""


class Scene:
    """One program with its people, and what happens in it."""

    def __init__(self, app: Flask, *rules_: Rule, at: datetime = NOON, **settings: Any) -> None:
        self.app, self.at = app, at
        self.round = 0
        """Which round of a race is being played."""
        self.keep = Details(app.extensions["settings"].details_key)
        self._numbers = iter(range(1, 1_000_000))
        self.publish(
            *(rules_ or offer()), **{"program_name": "Friends", "currency": "EUR", "time_zone": "UTC"} | settings
        )

    # --- time and writes --------------------------------------------------------------------------------------

    def later(self, **span: float) -> datetime:
        """Moves the clock forward: `later(days=31)`."""
        self.at += timedelta(**span)
        return self.at

    def do(self, step: Callable[[], Thing]) -> Thing:
        """One write."""
        with database.writing():
            return step()

    def publish(self, *offered: Rule, by: int | None = None, **settings: Any) -> terms.Terms:
        """Puts terms in force: the first, or the next version with these rules (the old ones, if none are named)."""

        def step() -> terms.Terms:
            last = terms.current()
            rules_ = (
                list(offered) or [rules.copied(rule) for rule in rules.of_terms(last.id)] if last else list(offered)
            )
            return program.open_program(rules_, by=by, at=self.at, **settings)

        return self.do(step)

    # --- people -----------------------------------------------------------------------------------------------

    @cached_property
    def alice(self) -> User:
        return self.person("Alice")

    @cached_property
    def bob(self) -> User:
        """Alice's friend."""
        return self.friend("Bob", of=self.alice)

    @cached_property
    def carol(self) -> User:
        return self.person("Carol")

    @cached_property
    def mallory(self) -> User:
        return self.person("Mallory")

    @cached_property
    def olivia(self) -> User:
        hashed = self.password_hash()
        return self.do(lambda: program.add_owner("olivia@example.com", name="Olivia", password=hashed, at=self.at))

    @cached_property
    def rita(self) -> User:
        return self.colleague("Rita", Role.REVIEWER)

    @cached_property
    def finn(self) -> User:
        return self.colleague("Finn", Role.FINANCE)

    def password_hash(self) -> str:
        """PASSWORD as an account keeps it; where the app has no sign-in, something that opens nothing."""
        if "security" not in self.app.extensions:
            return "!"
        if PASSWORD not in _hashed:
            from flask_security import hash_password

            _hashed[PASSWORD] = hash_password(PASSWORD)
        return _hashed[PASSWORD]

    def sign_up(
        self, name: str, *, email: str = "", carried: str = "", typed: str = "", seen: Surroundings = NOWHERE,
        visitor: str | None = None, password: str | None = None,
    ) -> User:  # fmt: skip
        """Somebody signs up; gives whoever has the address now. `visitor` alone makes the surroundings."""
        email = email or f"{name.lower().replace(' ', '.')}@example.com"
        hashed = password or self.password_hash()
        seen = Surroundings(visitor=visitor) if visitor else seen
        self.do(
            lambda: program.sign_up(
                email=email, name=name, password=hashed, seen=seen, carried=carried, typed=typed, at=self.at
            )
        )
        user = users.find_by_email(email)
        assert user is not None
        return user

    def confirm(self, user: User) -> User | None:
        """The person presses the button on the page of the latest mail."""
        secret = self.secret_for(user)
        return self.do(lambda: program.confirm(secret, at=self.at))

    def secret_for(self, user: User, kind: str = "confirm") -> str:
        """The secret in the latest mail of a kind to a person."""
        query = (
            sa.select(Message.text).where(Message.kind == kind, Message.to == user.email).order_by(Message.id.desc())
        )
        found = re.search(rf"/{kind}/(\S+)", session.scalar(query.limit(1)) or "")
        assert found, f"no mail with a secret to {user.email}"
        return found[1]

    def person(self, name: str, **given: Any) -> User:
        """Somebody who signed up and confirmed the address."""
        user = self.sign_up(name, **given)
        self.confirm(user)
        return user

    def friend(self, name: str, *, of: User, **given: Any) -> User:
        """Somebody who came with this person's link, and confirmed the address."""
        return self.person(name, carried=self.code(of), **given)

    def colleague(self, name: str, role: Role) -> User:
        """Somebody with a role."""
        user = self.person(name)
        self.do(lambda: roles.grant(user.id, role, by=None, at=self.at))
        session.expire_all()
        return user

    def customer(self, external_id: str, email: str, **given: Any) -> tuple[User, bool]:
        """The shop tells of a customer: the person, and whether they are new."""
        return self.do(lambda: program.report_customer(Customer(external_id, email), at=self.at, **given))

    def suspend(self, user: User) -> None:
        owner = self.olivia.id
        self.do(lambda: program.suspend(user, by=owner, note="Cheats.", at=self.at))

    def readmit(self, user: User) -> None:
        owner = self.olivia.id
        self.do(lambda: program.readmit(user, by=owner, note="Made up.", at=self.at))

    # --- links ------------------------------------------------------------------------------------------------

    def code(self, user: User) -> str:
        """The code of the link that this person has from the start."""
        return links.current_code(links.main_link(user.id).id)

    def click(self, link: User | str, visitor: str | None, *, new: bool = False, **seen: Any) -> Any:
        """A visitor follows somebody's link, or a code."""
        code = self.code(link) if isinstance(link, User) else link
        session.rollback()
        return program.follow(code, Surroundings(visitor=visitor, **seen), new=new, on=database.quick(), at=self.at)

    def referral(self, referee: User) -> Referral | None:
        """To whom a friend belongs."""
        return referrals.of_referee(referee.id)

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

    def refund(self, order: str | Reported, amount_minor: int | None = None, *, external_id: str = "") -> Refunded:
        """Money is given back for an order: all of it, if no amount is named."""
        about = order if isinstance(order, str) else order.conversion.external_id
        report = RefundReport(external_id or f"refund-{next(self._numbers)}", about, amount_minor)
        return self.do(lambda: program.refund(report, at=self.at))

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

    # --- told -------------------------------------------------------------------------------------------------

    def mails(self, kind: str = "", *, to: User | None = None) -> list[Message]:
        """What stands in the outbox, the oldest first."""
        query = sa.select(Message).order_by(Message.id)
        query = query.where(Message.kind == kind) if kind else query
        return list(session.scalars(query.where(Message.to == to.email) if to else query))


_hashed: dict[str, str] = {}
