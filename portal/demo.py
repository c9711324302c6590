"""The demo's sample data: a small program a few weeks old, made through the verbs of the story at past moments.

Invariant: nothing is written past the verbs, so the books of the demo are as right as any.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from portal import program
from portal.accounts import one_time, users
from portal.accounts.one_time import Purpose
from portal.accounts.roles import Role
from portal.accounts.users import Surroundings, User
from portal.core import database
from portal.core.database import session
from portal.payouts import methods
from portal.payouts.methods import Kind
from portal.payouts.payouts import Batch
from portal.rewards import rewards
from portal.rewards.conversions import Customer, OrderReport, RefundReport
from portal.rewards.rewards import Reason, Reward
from portal.rewards.rules import Rule
from portal.sharing import links

PASSWORD = "open sesame 2026"

PEOPLE = {
    "Olivia Owens": ("olivia@demo.example.com", Role.OWNER),
    "Rita Reid": ("rita@demo.example.com", Role.REVIEWER),
    "Finn Fisher": ("finn@demo.example.com", Role.FINANCE),
    "Alice Ray": ("alice@demo.example.com", None),
}

FRIENDS = ["Bob Tanner", "Carla Stone", "Dev Patel", "Eva Lind", "Femi Ade", "Gus Moor", "Hana Ito", "Ivo Brandt"]
"""Alice's friends, in the order in which they joined; what became of each is told in `_friends`."""


class Storyteller:
    """Tells the demo's story: each thing at its day before `now`, each in its own write."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.password = users.hashed(PASSWORD)

    def day(self, ago: float) -> datetime:
        return self.now - timedelta(days=ago)

    def person(self, name: str, email: str, *, ago: float, code: str = "", seen: Surroundings = users.NOWHERE) -> User:
        """Somebody signs up, with a code or without, and confirms the address an hour later."""
        with database.writing():
            program.sign_up(email=email, name=name, password=self.password, seen=seen, typed=code, at=self.day(ago))
            found = users.find_by_email(email)
            assert found is not None
            secret = one_time.make(Purpose.CONFIRM, found.id, password=self.password, at=self.day(ago))
        with database.writing():
            confirmed = program.confirm(secret, at=self.day(ago) + timedelta(hours=1))
            assert confirmed is not None
        return confirmed

    def clicks(self, many: int, *, at: Surroundings, ago: float) -> None:
        """A visitor opens Alice's link so many times, the last one so many days ago."""
        for number in range(many):
            when = self.day(ago + 0.3 * (many - 1 - number))
            program.follow("ALICE-7K", at, new=not number, on=database.quick(), at=when)

    def order(self, number: str, user: User, amount_minor: int, *, ago: float) -> list[Reward]:
        with database.writing():
            report = OrderReport(
                "purchase", number, Customer(email=user.email), self.day(ago), amount_minor, currency="EUR"
            )
            made = rewards.of_conversion(program.convert(report, at=self.day(ago)).conversion.id)
        return made

    def refund(self, number: str, order: str, amount_minor: int | None, *, ago: float) -> None:
        with database.writing():
            program.refund(RefundReport(number, order, amount_minor), at=self.day(ago))

    @contextmanager
    def at(self, ago: float) -> Iterator[datetime]:
        with database.writing():
            yield self.day(ago)


def fill(*, at: datetime) -> None:
    """Makes the sample data, up to the moment `at`. Needs an empty database."""
    tell = Storyteller(at)
    with tell.at(70) as then:
        program.mark_as_sample(at=then)
        olivia = program.add_owner(PEOPLE["Olivia Owens"][0], name="Olivia Owens", password=tell.password, at=then)
        program.open_program(
            [
                Rule(
                    goal="purchase",
                    beneficiary="referee",
                    kind="fixed",
                    amount_minor=1000,
                    minimum_order_minor=3000,
                    hold_days=14,
                ),
                Rule(
                    goal="purchase",
                    beneficiary="referrer",
                    kind="fixed",
                    amount_minor=1000,
                    minimum_order_minor=3000,
                    hold_days=14,
                ),
            ],
            by=olivia.id,
            at=then,
            program_name="Fernhill Coffee",
            currency="EUR",
            time_zone="Europe/Berlin",
            legal_text="New customers only. One gift per household. Orders that are given back earn nothing.",
            help_contact="help@demo.example.com",
        )
        owner_id = olivia.id
    staff = {}
    for name, (email, role) in PEOPLE.items():
        if role == Role.OWNER:
            continue
        person = tell.person(name, email, ago=65)
        staff[name.split()[0]] = person.id
        if role is not None:
            with tell.at(64) as then:
                program.grant_role(User.by_id(person.id), role, by=owner_id, at=then)
    _friends(tell, alice=staff["Alice"], rita=staff["Rita"], finn=staff["Finn"], olivia=owner_id)


def _friends(tell: Storyteller, *, alice: int, rita: int, finn: int, olivia: int) -> None:
    with tell.at(62) as then:
        link = links.main_link(alice)
        links.take_code(link, "ALICE-7K", at=then)
        program.choose_method(User.by_id(alice), Kind.CREDIT, {}, keep=methods.Details(_unused_key()), at=then)
    friends = []
    for number, name in enumerate(FRIENDS):
        first = name.split()[0].lower()
        seen = Surroundings(f"demo-visitor-{number:04d}xxx"[:20], f"198.51.{number}.0/24", f"browser{number}")
        tell.clicks(2 + number % 3, at=seen, ago=56.2 - 6 * number)
        typed = "ALICE-7K" if number % 4 == 3 else ""
        friends.append(tell.person(name, f"{first}@demo.example.net", ago=56 - 6 * number, code=typed, seen=seen))
    bob, carla, dev, eva, femi, gus, hana, _ivo = friends

    def approve(made: list[Reward], *, ago: float) -> None:
        for reward in made:
            with tell.at(ago) as then:
                program.approve(reward.id, by=rita, at=then)

    # Bob, Carla and Dev ordered, waited and were paid for; a part of Dev's order came back later.
    for user, order, amount in ((bob, "F-1001", 6400), (carla, "F-1002", 4250), (dev, "F-1003", 9800)):
        ago = 50 - 5 * friends.index(user)
        approve(tell.order(order, user, amount, ago=ago), ago=ago - 2)
    with tell.at(20) as then:
        program.release_due(at=then)
    with tell.at(19) as then:
        batch_id = program.draw_batch(by=finn, at=then).id
    with tell.at(18) as then:
        batch = session.get_one(Batch, batch_id)
        program.approve_batch(batch, by=olivia, at=then)
        program.export_batch(batch, by=olivia, at=then)
    with tell.at(17) as then:
        program.pay_batch(session.get_one(Batch, batch_id), by=finn, at=then)
    tell.refund("F-1003-R1", "F-1003", 2450, ago=12)
    # Eva is ready to pay, Femi on hold, Gus was rejected, Hana waits for a look, Ivo has not ordered.
    approve(tell.order("F-1004", eva, 5100, ago=24), ago=22)
    with tell.at(9) as then:
        program.release_due(at=then)
    approve(tell.order("F-1005", femi, 3600, ago=6), ago=5)
    for reward in tell.order("F-1006", gus, 3300, ago=4):
        with tell.at(3) as then:
            told = "A referral counts for somebody who was not a customer before."
            program.reject(reward.id, by=rita, reason=Reason.EXISTING_CUSTOMER, told=told, at=then)
    tell.order("F-1007", hana, 7200, ago=2)


def _unused_key() -> str:
    """Shop credit has no details to encrypt."""
    return "A" * 43 + "="


def logins(base_url: str) -> str:
    """The demo's logins, for the terminal."""
    listed = "\n".join(f"  {role or 'referrer':9} {email}" for email, role in PEOPLE.values())
    return (
        f"\nThe demo is at {base_url}\n{listed}\n  password  {PASSWORD}\n"
        f"Its mails lie at {base_url}/dev/mail. Two-step sign-in is not asked for here.\n"
    )
