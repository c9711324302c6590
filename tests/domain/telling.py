"""Telling: carries a story of `lookalikes` through the verbs of the program, and says who was raised in the end."""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

from portal import program
from portal.accounts.users import Surroundings, User
from portal.core import database
from portal.core.database import session
from portal.payouts.methods import Kind
from portal.program import Reported
from portal.rewards import signals
from portal.rewards.rewards import Reward
from portal.rewards.signals import Assessment, Signal
from portal.sharing import origins
from tests.domain.lookalikes import Story
from tests.factories import Scene

SURNAMES = """Ahrens Becker Conrad Dietz Ebert Fuchs Graf Hahn Imhof Jung Keller Lorenz Mohr Nagel Otto Pohl Quandt
Reuter Sommer Thiel Ullrich Vogel Wendt Ziegler Arndt Busch Claus Dorn Ernst Falk Gross Heller Janssen Kruse Ludwig
Marx Noack Opitz Peters Raabe Seidel Tietz Unger Voigt Wolff Zimmer Albers Beyer Croll Dreyer""".split()
PROVIDERS = ("gmail.com", "gmx.de", "web.de", "outlook.com", "t-online.de", "yahoo.com", "icloud.com", "posteo.de")


def span(text: str) -> timedelta:
    """`90s`, `40m`, `3h` or `2d`."""
    found = re.fullmatch(r"(\d+)([smhd])", text)
    assert found, text
    return (
        int(found[1])
        * {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[
            found[2]
        ]
    )


def letters(text: str, many: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:many]


@dataclass(frozen=True)
class Verdict:
    """How the friends of a story are assessed, by their names, and by which signals."""

    story: Story
    friends: dict[str, tuple[Assessment, list[Signal]]]

    @property
    def raised(self) -> list[str]:
        return [name for name, (assessment, _) in self.friends.items() if assessment != Assessment.CLEAR]

    @property
    def by(self) -> str:
        """The signals of all its friends, for whoever reads why."""
        return ", ".join(sorted({f"{one.kind} {one.weight}" for _, found in self.friends.values() for one in found}))


class Teller:
    """One story at a time, in one program; each has its own people, networks and browsers."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.number = scene, 0
        self.rejected: list[int] = []
        """The rewards that a reviewer rejected, because a story says so."""
        self._joined = 0

    def tell(self, story: Story) -> Verdict:
        self.number += 1
        self.people: dict[str, User] = {}
        self.brought: dict[str, User] = {}
        self.latest: dict[str, Reported] = {}
        self.cookies: dict[str, str] = {}
        self.waits("2d")
        for step in story.steps:
            step(self)
        found = {name: self._referral(friend) for name, friend in self.brought.items()}
        words = signals.assessments(set(found.values()))
        return Verdict(story, {name: (words[one], signals.of_referral(one)) for name, one in found.items()})

    def waits(self, text: str) -> None:
        self.scene.at += span(text)

    def regulars(self, many: int, *, at: str, device: str) -> None:
        """They joined 45 days ago, at once; nothing else is told of them, so their rows are enough."""
        for n in range(many):
            seen, _ = self._seen(f"Regular{n}/{device}", at)
            then = self.scene.at
            session.add(
                User(
                    email=f"regular{n}@place{self.number}.example", created_at=then, signed_up_at=then, confirmed_at=then,
                    visitor=seen.visitor, network=seen.network, browser=seen.browser,
                )
            )  # fmt: skip
        session.commit()
        self.waits("45d")

    def joins(self, name: str, *, on: str, at: str, email: str, after: str) -> None:
        self.waits(after)
        self.people[name] = self._signs_up(name, self._seen(on, at)[0], email)

    def brings(
        self, who: str, name: str, *, on: str, at: str, email: str, after: str, takes: str, typed: bool,
        query: str, referer: str,
    ) -> None:  # fmt: skip
        self.waits(after)
        seen, new = self._seen(on, at)
        code = self.scene.code(self.people[who])
        if not typed:
            session.rollback()
            came_from = origins.came_from(query, referer)
            program.follow(code, seen, new=new, on=database.quick(), at=self.scene.at, came_from=came_from)
            self.waits(takes)
        friend = self._signs_up(name, seen, email, typed=code if typed else "")
        key = name if name not in self.people else f"{name} again"
        self.people[key] = self.people[name] = self.brought[key] = friend
        assert self.scene.referral(friend) is not None, f"{name} became nobody's friend"

    def orders(self, name: str, minor: int, *, after: str) -> None:
        self.waits(after)
        self.latest[name] = self.scene.order(self.people[name], minor)

    def refunds(self, name: str, minor: int | None, *, after: str) -> None:
        self.waits(after)
        self.scene.refund(self.latest[name], minor)

    def is_paid(self, name: str, *, iban: str, paypal: str, after: str) -> None:
        self.waits(after)
        kind, given = (Kind.BANK, {"holder": name, "iban": iban}) if iban else (Kind.PAYPAL, {"email": paypal})
        person = self.people[name]
        self.scene.do(lambda: program.choose_method(person, kind, given, keep=self.scene.keep, at=self.scene.at))

    def is_rejected(self, name: str, *, after: str) -> None:
        self.waits(after)
        number = self._referral(self.people[name])
        wanted = session.query(Reward).filter_by(referral_id=number, beneficiary="referrer").one()
        self.rejected.append(self.scene.reject(wanted).id)

    def is_suspended(self, name: str, *, after: str) -> None:
        self.waits(after)
        self.scene.suspend(self.people[name])

    def _referral(self, friend: User) -> int:
        referral = self.scene.referral(friend)
        assert referral is not None
        return referral.id

    def _signs_up(self, name: str, seen: Surroundings, email: str, typed: str = "") -> User:
        self._joined += 1
        first, _, last = name.partition(" ")
        last = last or SURNAMES[self._joined % len(SURNAMES)]
        if not email:
            domain = PROVIDERS[self._joined % len(PROVIDERS)]
            local = (f"{first}.{last}", f"{first}{last}", f"{first[0]}.{last}{1960 + self._joined % 45}")[
                self._joined % 3
            ]
            email = f"{local}.{letters(str(self._joined), 2)}@{domain}".replace(" ", "").lower()
            email = email.encode("ascii", "ignore").decode()
        return self.scene.person(f"{first} {last}", email=email, seen=seen, typed=typed)

    def _seen(self, on: str, at: str) -> tuple[Surroundings, bool]:
        """What the web knows of a browser (see `lookalikes`), and whether its visitor is new."""
        device, private = on.removesuffix("?"), on.endswith("?")
        key = f"{device} {self._joined}" if private else device
        new = key not in self.cookies
        visitor = self.cookies.setdefault(key, letters(f"visitor {self.number} {key}", 20))
        place = at if at.startswith("*") else f"{self.number} {at}"
        network = ".".join(str(part) for part in hashlib.sha256(place.encode()).digest()[:3]) + ".0/24"
        return Surroundings(visitor, network, letters(device.rpartition("/")[2], 16)), new
