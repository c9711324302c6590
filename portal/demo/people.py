"""The demo's people as data: who refers, who was referred, and what became of each.

`ago` is always days before the moment of the demo. Who joined longer ago than 45 days and did not order has expired;
an order is held for 14 days; batches go out at the days in `BATCHES`.
"""

from dataclasses import dataclass, field

from portal.accounts.roles import Role
from portal.payouts.methods import Kind
from portal.rewards.decisions import Reason

BEGAN = 92
"""When the program was opened."""
TIERS_SINCE, MANY = 36, 10
"""Since when a referrer gets more, and from which friend who ordered on."""

OLIVIA, RITA, FINN, ALICE = "Olivia Owens", "Rita Reid", "Finn Fisher", "Alice Ray"
GRETA = "Greta Holm"
"""Whom Olivia has put at the higher step."""

COLLEAGUES = {OLIVIA: Role.OWNER, RITA: Role.REVIEWER, FINN: Role.FINANCE, ALICE: None}
"""Whose logins are printed; Alice is the referrer."""


@dataclass(frozen=True)
class Referrer:
    """Somebody who shares: how they are paid (since `paid_since` days ago), where, and how many clicks a day."""

    name: str
    ago: float
    kind: Kind | None = None
    paid_since: float | None = None
    labels: tuple[str, ...] = ()
    clicks: float = 0.4
    of: str = ""
    suspended: float | None = None


VOUCHERS = {1000: 3, 2500: 2}
"""Codes in the pool, by their worth. Those of 10.00 are used up; Petra's 20.00 cannot be made of the others."""

REFERRERS = [
    Referrer(ALICE, 91, Kind.CREDIT, labels=("Instagram", "Newsletter"), clicks=1.6),
    Referrer(GRETA, 90, Kind.PAYPAL, labels=("Blog",), clicks=0.9),
    Referrer("Hugo Martin", 88, Kind.BANK, labels=("Flyer in the shop",), clicks=0.7),
    Referrer("Ines Costa", 85, Kind.VOUCHER),
    Referrer("Jonas Keller", 82, Kind.BANK, labels=("Podcast",), clicks=0.6),
    Referrer("Leo Rossi", 76),
    Referrer("Kim Park", 70, Kind.CREDIT, of=GRETA),
    Referrer("Otto Brand", 64, Kind.PAYPAL, suspended=5.5),
    Referrer("Mona Said", 58, Kind.BANK, paid_since=1.2),
    Referrer("Mallory Fox", 45, Kind.PAYPAL, clicks=0.2),
    Referrer("Petra Novak", 40, Kind.VOUCHER),
    Referrer(FINN, 91, Kind.CREDIT, clicks=0.1),
]


@dataclass(frozen=True)
class Friend:
    """A friend of `of`, joined at `ago`: by a link (`label` names which), typing the `code`, or else as `by` says.

    `orders`: (ago, amount in minor units). Rita approves the first one's rewards after `decided` days; with `rejected`
    she turns them down; None leaves them in the queue. `refunds`: (ago, amount or all) of the first order; `disputed`:
    when all of it was charged back, and when the dispute was won.
    """

    name: str
    of: str
    ago: float
    orders: tuple[tuple[float, int], ...] = ()
    decided: float | None = 1.3
    rejected: Reason | None = None
    refunds: tuple[tuple[float, int | None], ...] = ()
    disputed: tuple[float, float | None] | None = None
    by: str = "link"
    label: str = ""
    kind: Kind | None = None
    near: str = ""
    """Whose network and kind of browser this one shares."""
    visitor: str = ""
    """Whose very browser."""
    mailbox: str = ""
    confirms: bool = True
    suspended: float | None = None
    appeal: str = ""
    undone: bool = False


FRIENDS = [
    # Alice's: one for every word.
    Friend("Bob Tanner", ALICE, 84, ((78, 6400), (31, 2900)), disputed=(21, 6.5), kind=Kind.CREDIT),
    Friend("Carla Stone", ALICE, 80, ((75, 4250),), label="Instagram", kind=Kind.PAYPAL),
    Friend("Dev Patel", ALICE, 76, ((70, 9800),), refunds=((40, 2450),), kind=Kind.CREDIT),
    Friend("Lena Vogt", ALICE, 70, label="Newsletter"),
    Friend("Jana Weiss", ALICE, 60, ((55, 5200), (12, 4800)), by="code", kind=Kind.BANK),
    Friend("Kofi Mensah", ALICE, 44, ((36, 7300),), refunds=((28, None),)),
    Friend("Milo Hart", ALICE, 38, ((30, 3900),), rejected=Reason.DUPLICATE,
           appeal="My brother has the same name and lives at the same address. This was my first order."),
    Friend("Pia Lang", ALICE, 34, ((26, 4400),), label="Instagram", kind=Kind.CREDIT),
    Friend("Eva Lind", ALICE, 26, ((15.6, 5100),), kind=Kind.CREDIT),
    Friend("Tara Quinn", ALICE, 25, ((9.5, 6100),), decided=None, suspended=8),
    Friend("Gus Moor", ALICE, 20, ((12, 3300),), rejected=Reason.EXISTING_CUSTOMER),
    Friend("Femi Ade", ALICE, 16, ((6, 3600),), label="Newsletter"),
    Friend("Ruth Klein", ALICE, 12, by="claim"),
    Friend("Sven Dahl", ALICE, 9, by="invite"),
    Friend("Hana Ito", ALICE, 8, ((2.4, 7200),), decided=None),
    Friend("Olaf Berg", ALICE, 7, ((1.6, 3150),), decided=None, near=ALICE),
    Friend("Ivo Brandt", ALICE, 5, by="code"),
    # Other referrers'.
    Friend("Nils Aberg", GRETA, 83, ((77, 5600),), kind=Kind.PAYPAL),
    Friend("Rosa Vidal", GRETA, 68, ((61, 8300),), label="Blog", kind=Kind.CREDIT),
    Friend("Timo Salo", GRETA, 50, ((46.5, 4700),), kind=Kind.BANK),
    Friend("Yara Haddad", GRETA, 24, ((17.5, 3800),), label="Blog", kind=Kind.PAYPAL),
    Friend("Vito Serra", GRETA, 1.1, confirms=False),
    Friend("Anke Roth", "Hugo Martin", 81, ((76, 6900),), kind=Kind.CREDIT),
    Friend("Bela Kocsis", "Hugo Martin", 66, ((62, 4100),), label="Flyer in the shop", kind=Kind.VOUCHER),
    Friend("Cleo Marsh", "Hugo Martin", 47, ((42, 15900),), refunds=((37, 3975),), kind=Kind.PAYPAL),
    Friend("Dario Fonti", "Hugo Martin", 21, ((16.2, 5450),), kind=Kind.CREDIT),
    Friend("Elin Sund", "Hugo Martin", 6, ((1.2, 4990),), decided=None, label="Flyer in the shop"),
    Friend("Finja Kramer", "Ines Costa", 79, ((74.5, 3700),)),
    Friend("Gino Ferri", "Ines Costa", 56, ((51, 6250),), kind=Kind.CREDIT),
    Friend("Hedi Baum", "Ines Costa", 33, ((27, 4400),), rejected=Reason.TEST_ORDER),
    Friend("Ilya Petrov", "Jonas Keller", 74, ((69, 5300),)),
    Friend("Juna Falk", "Jonas Keller", 72, ((67, 7700),), label="Podcast", kind=Kind.CREDIT),
    Friend("Kaya Demir", "Jonas Keller", 35, ((29, 3550),), undone=True),
    Friend("Lars Moen", "Leo Rossi", 63, ((57, 4600),)),
    Friend("Mira Koch", "Leo Rossi", 43, ((39, 6150),), kind=Kind.CREDIT),
    Friend("Noel Hahn", "Leo Rossi", 22, ((18, 2250),)),
    Friend("Oskar Zeman", "Kim Park", 53, ((48, 8800),), kind=Kind.PAYPAL),
    Friend("Pola Reyes", "Kim Park", 29, ((22.5, 5050),), disputed=(4.3, None), kind=Kind.CREDIT),
    Friend("Quinn Adler", "Otto Brand", 41, ((34, 4300),)),
    Friend("Rhea Singh", "Otto Brand", 27, ((20.5, 6600),)),
    Friend("Sami Kallio", "Mona Said", 39, ((33, 5750),), kind=Kind.CREDIT),
    Friend("Thea Winkel", "Mona Said", 28, ((21.5, 3950),)),
    Friend("Ugo Lenz", "Petra Novak", 23, ((17.2, 4150),), kind=Kind.CREDIT),
    Friend("Vera Simic", "Petra Novak", 19, ((15.8, 5650),), kind=Kind.PAYPAL),
    Friend("Wim Jansen", FINN, 31, ((24, 7050),), kind=Kind.CREDIT),
    Friend("Xena Kraus", "Mallory Fox", 15, ((10.5, 3050),), rejected=Reason.ABUSE, visitor="Mallory Fox"),
    # Four sign-ups within an hour from one network, with addresses that are thrown away.
    Friend("Ned Ash", "Mallory Fox", 3.04, ((2.9, 3010),), decided=None, near="Ned Ash", mailbox="mailinator.com"),
    Friend("Ned Bay", "Mallory Fox", 3.03, ((2.8, 3020),), decided=None, near="Ned Ash", mailbox="mailinator.com"),
    Friend("Ned Cole", "Mallory Fox", 3.02, ((2.7, 3000),), decided=None, near="Ned Ash", mailbox="mailinator.com"),
    Friend("Ned Dorn", "Mallory Fox", 3.01, ((2.6, 3030),), decided=None, near="Ned Ash", mailbox="mailinator.com"),
]  # fmt: skip

ALONE = [("Carol Winter", 4.0, 5300), ("Wanda Moss", 48.0, 6800)]
"""Who came on their own, and ordered; Carol says that Alice told her."""

INVITED = ["Lou Meyer", "Max Stern", "Zoe Frank", "Nell Ward", "Sven Dahl"]
"""Whom Alice invited by mail: waits, opened it, was withdrawn, declined, joined."""


@dataclass(frozen=True)
class Run:
    """A batch drawn by Finn: of everybody who is ready, or of `only`; how far it came, and who was not reached."""

    ago: float
    ends: str = "paid"
    failures: dict[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()


BATCHES = [
    Run(60),
    Run(46, failures={"Jonas Keller": "Account closed."}),
    Run(33, "cancelled"),
    Run(32),
    Run(18),
    Run(5, "exported"),
    Run(1.5, "approved", only=("Hugo Martin", "Dario Fonti")),
    Run(0.6, "draft", only=(GRETA, "Eva Lind")),
]
