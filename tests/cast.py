"""The cast: Alice refers, Bob is referred, Carol came on her own, Olivia owns the program, Rita reviews, Finn pays,
Mallory cheats. They appear when they are first named.
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
from portal.core.sealed import Box
from portal.delivery.endpoints import PURPOSE, Endpoint
from portal.delivery.outbox import Message
from portal.delivery.webhooks import Webhook
from portal.notices.events import Event
from portal.payouts.methods import Details
from portal.referrals import referrals
from portal.referrals.referrals import Referral
from portal.rewards import rules
from portal.rewards.conversions import Customer
from portal.rewards.rules import Rule
from portal.sharing import links
from tests.offers import offer

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
PASSWORD = "a password of the tests"

Thing = TypeVar("Thing")


class Cast:
    """One program with its people and their links, at a moment."""

    def __init__(self, app: Flask, *rules_: Rule, at: datetime = NOON, **settings: Any) -> None:
        self.app, self.at = app, at
        self.round = 0
        """Which round of a race is being played."""
        self.keep = Details(app.extensions["settings"].details_key)
        self._numbers = iter(range(1, 1_000_000))
        self._signed_up: dict[str, str] = {}
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

        def step() -> None:
            program.sign_up(
                email=email, name=name, password=hashed, seen=seen, carried=carried, typed=typed, at=self.at
            )
            self._signed_up[email] = self._mailed(email, "confirm")

        self.do(step)
        user = users.find_by_email(email)
        assert user is not None
        return user

    def confirm(self, user: User) -> User | None:
        """The person presses the button on the page of the latest mail."""
        secret = self.secret_for(user)
        return self.do(lambda: program.confirm(secret, at=self.at))

    def secret_for(self, user: User, kind: str = "confirm") -> str:
        """The secret in the latest mail of a kind to a person."""
        found = self._mailed(user.email, kind)
        if not found and kind == "confirm":  # a worker beside has sent it, and wiped it
            found = self._signed_up.get(user.email, "")
        assert found, f"no mail with a secret to {user.email}"
        return found

    def _mailed(self, email: str, kind: str) -> str:
        query = sa.select(Message.text).where(Message.kind == kind, Message.to == email).order_by(Message.id.desc())
        found = re.search(rf"/{kind}/(\S+)", session.scalar(query.limit(1)) or "")
        return found[1] if found else ""

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

    def click(
        self, link: User | str, visitor: str | None, *, new: bool = False, came_from: str | None = None, **seen: Any
    ) -> Any:
        """A visitor follows somebody's link, or a code."""
        code = self.code(link) if isinstance(link, User) else link
        session.rollback()
        around, on = Surroundings(visitor=visitor, **seen), database.quick()
        return program.follow(code, around, new=new, on=on, at=self.at, came_from=came_from)

    def came_by(self, visitor: str, name: str = "Bob") -> tuple[str, str] | None:
        """A visitor signs up: the referrer's name and how that was decided; None if it is nobody."""
        found = self.referral(self.sign_up(name, visitor=visitor))
        return (found.referrer.name, found.how) if found else None

    def referral(self, referee: User) -> Referral | None:
        """To whom a friend belongs."""
        return referrals.of_referee(referee.id)

    # --- webhooks ---------------------------------------------------------------------------------------------

    @property
    def keep_secrets(self) -> Box:
        """The box in which the secrets of webhooks are kept."""
        return Box(self.app.extensions["settings"].details_key, PURPOSE)

    def webhook(self, url: str = "http://127.0.0.1:9/hooks", *events: str) -> tuple[Endpoint, str]:
        """Olivia has an address told of these events, or all of them; the endpoint and its secret."""
        by, keep = self.olivia.id, self.keep_secrets
        return self.do(
            lambda: program.add_webhook(url, events or list(Event), local=True, keep=keep, by=by, at=self.at)
        )

    def told(self, event: str = "") -> list[Webhook]:
        """What programs are told, or were, the first one first."""
        query = sa.select(Webhook).order_by(Webhook.id)
        return list(session.scalars(query.where(Webhook.event == event) if event else query))

    # --- told -------------------------------------------------------------------------------------------------

    def mails(self, kind: str = "", *, to: User | None = None) -> list[Message]:
        """What stands in the outbox, the oldest first."""
        query = sa.select(Message).order_by(Message.id)
        query = query.where(Message.kind == kind) if kind else query
        return list(session.scalars(query.where(Message.to == to.email) if to else query))


_hashed: dict[str, str] = {}
