"""The storyteller: tells what happened at its moment, day by day, through the verbs of the story.

Invariants: nothing is written past the verbs; what happens on one day stands in one write, its clicks before it
(they commit by themselves); the same story at the same moment gives the same figures.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal import program
from portal.accounts import one_time, users
from portal.accounts.one_time import Purpose
from portal.accounts.roles import Role
from portal.accounts.users import Surroundings, User
from portal.core import database
from portal.core.database import session
from portal.demo.people import COLLEAGUES, OLIVIA
from portal.payouts.methods import Details, Kind
from portal.rewards import conversions, goals, rewards
from portal.rewards.conversions import Customer, OrderReport
from portal.rewards.refunds import RefundReason, RefundReport, ReinstatementReport
from portal.rewards.rewards import Reward
from portal.sharing import links

PASSWORD = "open sesame 2026"

IBAN = "DE89370400440532013000"


def email(name: str, mailbox: str = "") -> str:
    """Somebody's address: by the first name, at a usual mailbox; by the whole name at another."""
    if mailbox:
        return f"{name.lower().replace(' ', '.')}@{mailbox}"
    return f"{name.split()[0].lower()}@demo.example.{'com' if name in COLLEAGUES else 'net'}"


@dataclass(frozen=True)
class Step:
    """Something that happens `ago` days before the moment of the demo. A click commits by itself."""

    ago: float
    act: Callable[[datetime], object]
    click: bool = False


class Storyteller:
    """Knows the people of the story by their names, and lets things happen to them."""

    def __init__(self, now: datetime, keep: Details) -> None:
        self.now, self.keep = now, keep
        self.password = users.hashed(PASSWORD)
        self._ids: dict[str, int] = {}
        self._links: dict[tuple[str, str], int] = {}
        self._seen: dict[str, Surroundings] = {}

    def tell(self, steps: Iterable[Step]) -> None:
        """Lets everything happen, the oldest first."""
        ordered = sorted(steps, key=lambda step: -step.ago)
        for _, day in itertools.groupby(ordered, key=lambda step: int(step.ago)):
            happened = list(day)
            for step in happened:
                if step.click:
                    step.act(self.moment(step.ago))
            with database.writing():
                for step in happened:
                    if not step.click:
                        step.act(self.moment(step.ago))

    def moment(self, ago: float) -> datetime:
        return self.now - timedelta(days=ago)

    # --- people -----------------------------------------------------------------------------------------------

    def known(self, user: User) -> User:
        """Somebody from now on called by the name."""
        self._ids[user.name] = user.id
        self._links[user.name, ""] = links.main_link(user.id).id
        return user

    def who(self, name: str) -> User:
        return User.by_id(self._ids[name])

    def number(self, name: str) -> int:
        return self._ids[name]

    def seen(self, name: str, *, near: str = "", visitor: str = "") -> Surroundings:
        """The browser of somebody: one of their own, the kind and network of another's (`near`), or that very one."""
        if name not in self._seen:
            number = len(self._seen)
            own = Surroundings(f"demo-visitor-{number:04d}", f"198.51.{number}.0/24", f"browser{number:04d}")
            other = self.seen(near or visitor) if (near or visitor) not in ("", name) else own
            self._seen[name] = Surroundings(other.visitor if visitor else own.visitor, other.network, other.browser)
        return self._seen[name]

    def sign_up(
        self, name: str, email: str, at: datetime, *, seen: Surroundings, carried: str = "", typed: str = ""
    ) -> User:
        """Somebody signs up, and has not confirmed the address."""
        program.sign_up(email=email, name=name, password=self.password, seen=seen, carried=carried, typed=typed, at=at)
        found = users.find_by_email(email)
        assert found is not None
        return self.known(found)

    def confirm(self, name: str, at: datetime) -> User:
        """The button on the mailed page is pressed."""
        secret = one_time.make(Purpose.CONFIRM, self.number(name), password=self.password, at=at)
        confirmed = program.confirm(secret, at=at)
        assert confirmed is not None
        return confirmed

    def grant_role(self, name: str, role: Role, at: datetime) -> None:
        program.grant_role(self.who(name), role, by=self.number(OLIVIA), at=at)

    def suspend(self, name: str, at: datetime) -> None:
        note = "Several accounts; asked by mail, no answer yet."
        program.suspend(self.who(name), by=self.number(OLIVIA), note=note, at=at)

    def choose_method(self, name: str, kind: Kind, at: datetime) -> None:
        given = {
            Kind.PAYPAL: {"email": self.who(name).email},
            Kind.BANK: {"holder": name, "iban": IBAN},
        }.get(kind, {})
        program.choose_method(self.who(name), kind, given, keep=self.keep, at=at)

    # --- links ------------------------------------------------------------------------------------------------

    def make_link(self, name: str, label: str, at: datetime) -> None:
        made = program.make_link(self.who(name), label=label, destination=None, wanted="", own_host="", at=at)
        self._links[name, label] = made.id

    def code(self, name: str, label: str = "") -> str:
        return links.current_code(self._links[name, label])

    def click_link(self, name: str, label: str, seen: Surroundings, at: datetime) -> None:
        """Somebody opens the link of `name` with this label; the first link has none."""
        self.click(self.code(name, label), seen, at)

    def click(self, code: str, seen: Surroundings, at: datetime) -> None:
        program.follow(code, seen, new=False, on=database.quick(), at=at)

    # --- orders -----------------------------------------------------------------------------------------------

    def order(self, name: str, number: str, amount_minor: int, at: datetime) -> None:
        customer = Customer(email=self.who(name).email)
        program.convert(OrderReport("purchase", number, customer, at, amount_minor, currency="EUR"), at=at)

    def refund(self, order: str, number: str, amount_minor: int | None, at: datetime) -> None:
        program.refund(RefundReport(number, order, amount_minor), at=at)

    def charge_back(self, order: str, number: str, at: datetime) -> None:
        """A friend's bank takes the money of an order back."""
        program.refund(RefundReport(number, order, reason=RefundReason.CHARGEBACK), at=at)

    def win(self, number: str, at: datetime) -> None:
        """The shop wins the dispute about a chargeback."""
        program.reinstate(ReinstatementReport(number), at=at)

    def of_order(self, number: str) -> list[Reward]:
        """The rewards that an order made."""
        found = conversions.find(goals.SHOP, number)
        assert found is not None
        session.flush()
        return rewards.of_conversion(found.id)
