"""Kinds: what the portal can see that is a reason to look twice, each with its sentence, its weight, and when it looks.

Invariants: every kind stands in one table, `ABOUT`; the owner may give a kind another weight or switch it off; that
counts for what is raised from then on, since a signal keeps the weight with which it was raised.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts import audit
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked

MOST = 100


class Kind(StrEnum):
    SAME_MAILBOX = "same_mailbox"
    TWIN_MAILBOX = "twin_mailbox"
    ALIKE_ADDRESS = "alike_address"
    DISPOSABLE = "disposable"
    SAME_DOMAIN = "same_domain"
    ONE_DOMAIN = "one_domain"
    SAME_NAME = "same_name"
    SAME_VISITOR = "same_visitor"
    SAME_BROWSER = "same_browser"
    SAME_NETWORK = "same_network"
    ONE_BROWSER = "one_browser"
    ALIKE_FRIENDS = "alike_friends"
    KNOWN_BROWSER = "known_browser"
    SUSPENDED = "suspended"
    MANY_SIGN_UPS = "many_sign_ups"
    MANY_FRIENDS = "many_friends"
    QUICK_SIGN_UP = "quick_sign_up"
    CHAIN = "chain"
    PAID_SEARCH = "paid_search"
    REJECTED_BEFORE = "rejected_before"
    QUICK_ORDER = "quick_order"
    BARELY_ENOUGH = "barely_enough"
    REFUND_RATE = "refund_rate"
    CHARGEBACK = "chargeback"
    SAME_PAYOUT = "same_payout"
    SHARED_PAYOUT = "shared_payout"


class Look(StrEnum):
    """When the portal looks."""

    JOINED = "joined"
    ORDERED = "ordered"
    REFUNDED = "refunded"
    DETAILS = "details"


@dataclass(frozen=True)
class About:
    """What a kind is: a few words for lists, the sentence that a reviewer reads, the weight that it has at first."""

    name: str
    sentence: str
    weight: int
    look: Look = Look.JOINED


ABOUT: dict[Kind, About] = {
    Kind.SAME_MAILBOX: About(marked("Own mailbox"), marked("Both addresses reach the same mailbox."), 80),
    Kind.TWIN_MAILBOX: About(
        marked("Mailbox of another friend"), marked("Another friend of this referrer has the same mailbox."), 60
    ),
    Kind.ALIKE_ADDRESS: About(
        marked("Address like another"),
        marked("But for digits and signs, the address is like the referrer's or like those of other friends."),
        40,
    ),
    Kind.DISPOSABLE: About(marked("Throw-away address"), marked("The address is from a throw-away provider."), 40),
    Kind.SAME_DOMAIN: About(
        marked("Same domain"), marked("Both addresses are at one domain that is no public mail provider's."), 10
    ),
    Kind.ONE_DOMAIN: About(
        marked("Many from one domain"),
        marked("%(value)s friends of this referrer joined within a week with addresses at one domain."),
        20,
    ),
    Kind.SAME_NAME: About(marked("Same name"), marked("The same first and last name as the referrer's."), 20),
    Kind.SAME_VISITOR: About(marked("Referrer's browser"), marked("The same browser as the referrer's."), 60),
    Kind.SAME_BROWSER: About(
        marked("Same network and kind of browser"),
        marked("The same network and the same kind of browser as the referrer's."),
        40,
    ),
    Kind.SAME_NETWORK: About(marked("Same network"), marked("The same network as the referrer's."), 0),
    Kind.ONE_BROWSER: About(
        marked("Many friends in one browser"),
        marked("%(value)s friends of this referrer joined in one browser within a week."),
        40,
    ),
    Kind.ALIKE_FRIENDS: About(
        marked("Many friends from one place"),
        marked("%(value)s friends of this referrer joined within a day from one network with one kind of browser."),
        40,
    ),
    Kind.KNOWN_BROWSER: About(
        marked("Browser of another account"), marked("Somebody else's account was used in this browser."), 20
    ),
    Kind.SUSPENDED: About(
        marked("Somebody suspended"), marked("The browser or the mailbox of somebody who is suspended."), 60
    ),
    Kind.MANY_SIGN_UPS: About(
        marked("Many sign-ups from a network"), marked("%(value)s sign-ups from this network within an hour."), 40
    ),
    Kind.MANY_FRIENDS: About(
        marked("Many friends at once"), marked("%(value)s friends of this referrer joined within an hour."), 20
    ),
    Kind.QUICK_SIGN_UP: About(
        marked("Signed up at once"), marked("Signed up %(value)s seconds after the click: faster than people type."), 40
    ),
    Kind.CHAIN: About(
        marked("Chain"),
        marked("A chain of %(value)s people on one network, each brought by the one before within a day."),
        40,
    ),
    Kind.PAID_SEARCH: About(marked("Paid advertisement"), marked("The click came through a paid advertisement."), 40),
    Kind.REJECTED_BEFORE: About(
        marked("Rejected before"),
        marked("%(value)s rewards for this referrer's friends were rejected as not genuine."),
        40,
    ),
    Kind.QUICK_ORDER: About(
        marked("Ordered at once"), marked("Ordered %(value)s seconds after the first click."), 40, Look.ORDERED
    ),
    Kind.BARELY_ENOUGH: About(
        marked("Smallest order"), marked("The order is just above the smallest one that counts."), 10, Look.ORDERED
    ),
    Kind.REFUND_RATE: About(
        marked("Orders given back"),
        marked("%(value)s friends of this referrer who ordered have given back more than half of it."),
        40,
        Look.REFUNDED,
    ),
    Kind.CHARGEBACK: About(
        marked("Charged back"), marked("The payment of this order was charged back."), 60, Look.REFUNDED
    ),
    Kind.SAME_PAYOUT: About(
        marked("Referrer's account"),
        marked("Referrer and friend have named the same bank account or PayPal address."),
        60,
        Look.DETAILS,
    ),
    Kind.SHARED_PAYOUT: About(
        marked("Account of many"),
        marked("%(value)s people have named this friend's bank account or PayPal address."),
        40,
        Look.DETAILS,
    ),
}
"""A shared network alone weighs nothing: households and offices are no fraud. It is a note beside the others, as are
the light ones, which take two or three to make somebody look."""

MAY_END = frozenset({Kind.CHARGEBACK})
"""Kinds whose reason may be no more one day, and then the signal is withdrawn."""


class WeightRefused(Refusal):
    """A weight that no signal can have."""


class Setting(Model):
    """What the owner made of a kind; a kind without a row is as it came."""

    __tablename__ = "signal_settings"
    __table_args__ = (
        database.rule(f"weight BETWEEN 0 AND {MOST}", "weight_span"),
        database.whole("weight", "is_on"),
    )

    id: Mapped[int] = database.key()
    kind: Mapped[str] = mapped_column(sa.String(20), unique=True)
    weight: Mapped[int]
    is_on: Mapped[bool]
    changed_at: Mapped[datetime]
    changed_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)


@dataclass(frozen=True)
class Standing:
    """How a kind stands today: its weight, and whether it is looked for."""

    weight: int
    is_on: bool = True


def standings() -> dict[Kind, Standing]:
    """Every kind as it stands today."""
    changed = {one.kind: Standing(one.weight, one.is_on) for one in session.scalars(sa.select(Setting))}
    return {kind: changed.get(kind) or Standing(about.weight) for kind, about in ABOUT.items()}


def change(kind: Kind, *, weight: int, is_on: bool, by: int, at: datetime) -> None:
    """Gives a kind a weight from 0 to 100 or switches it off, for what is raised from now on. Raises WeightRefused."""
    if not 0 <= weight <= MOST:
        raise WeightRefused(marked("Write a whole number from 0 to %(most)s."), most=MOST)
    before = standings()[kind]
    if before == Standing(weight, is_on):
        return
    setting = session.scalar(sa.select(Setting).where(Setting.kind == kind).with_for_update())
    values = {"weight": weight, "is_on": is_on, "changed_at": at, "changed_by_id": by}
    if setting is None:
        setting = database.insert_once(Setting, kind=kind, **values)
    if setting is None:  # somebody else's was there first: the later one stands
        setting = session.scalars(sa.select(Setting).where(Setting.kind == kind)).one()
    for name, value in values.items():
        setattr(setting, name, value)
    session.flush()
    audit.write(
        "signal_changed", "signal", kind, by=by, at=at, before=before.weight if before.is_on else None,
        now=weight if is_on else None,
    )  # fmt: skip
