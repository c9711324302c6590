"""Addresses: what an address and a name say beside those of the referrer and of the referrer's other friends."""

from collections.abc import Iterator

from portal.accounts import users
from portal.core import clock
from portal.rewards.kinds import Kind
from portal.rewards.looks.arrivals import Arrival, Friend
from portal.rewards.signals import Finding

SHORTEST_NAME, SHORTEST_STEM = 8, 4
"""Letters that two addresses must share to be alike: a whole name (`lukas.weber`) with the referrer's, a word
(`kunde1`, `kunde2`) with several friends'. Shorter ones (`s183422@`, as universities give them) tell nothing."""

OFFICES = frozenset(
    """
    kontakt contact support service kundenservice buchhaltung accounting newsletter bestellung verwaltung sekretariat
    marketing vertrieb rechnung invoices reception praxis
""".split()
)
"""Words of rooms and not of people, which stand before the @ at many companies."""

MANY_ALIKE, MANY_AT_DOMAIN = 3, 4


def same_mailbox(arrival: Arrival) -> Iterator[Finding]:
    if users.folded(arrival.referee.email) == users.folded(arrival.referrer.email):
        yield Finding(arrival.referral.id, Kind.SAME_MAILBOX)


def twin_mailbox(arrival: Arrival) -> Iterator[Finding]:
    """Two friends of one referrer with one mailbox, spelled in two ways: both are looked at."""
    own = users.folded(arrival.referee.email)
    twins = [friend for friend in arrival.circle if users.folded(friend.email) == own]
    yield from _both(arrival, twins, Kind.TWIN_MAILBOX)


def alike_address(arrival: Arrival) -> Iterator[Finding]:
    """The referrer's own name at another provider, or one of a numbered row of addresses."""
    own = users.stem(arrival.referee.email)
    if len(own) >= SHORTEST_NAME and own == users.stem(arrival.referrer.email) and own not in OFFICES:
        yield Finding(arrival.referral.id, Kind.ALIKE_ADDRESS)
    alike = [friend for friend in arrival.circle if _in_one_row(arrival.referee.email, friend.email)]
    if len(alike) + 1 >= MANY_ALIKE:
        yield from _both(arrival, alike, Kind.ALIKE_ADDRESS)


def _in_one_row(one: str, other: str) -> bool:
    locals_ = [email.rpartition("@")[0] for email in (one, other)]
    stem = users.stem(one)
    return (
        len(stem) >= SHORTEST_STEM
        and stem == users.stem(other)
        and all(any(sign.isdigit() for sign in local) for local in locals_)
    )


def disposable(arrival: Arrival) -> Iterator[Finding]:
    if users.is_disposable(arrival.referee.email):
        yield Finding(arrival.referral.id, Kind.DISPOSABLE)


def same_domain(arrival: Arrival) -> Iterator[Finding]:
    """Colleagues and families are honest: this weighs little, and tips the scales only beside something else."""
    domain = users.private_domain(arrival.referee.email)
    if domain is not None and domain == users.private_domain(arrival.referrer.email):
        yield Finding(arrival.referral.id, Kind.SAME_DOMAIN)


def one_domain(arrival: Arrival) -> Iterator[Finding]:
    domain = users.private_domain(arrival.referee.email)
    if domain is None:
        return
    mates = [friend for friend in arrival.since(clock.days(7)) if users.private_domain(friend.email) == domain]
    if len(mates) + 1 >= MANY_AT_DOMAIN:
        yield from _both(arrival, mates, Kind.ONE_DOMAIN)


def same_name(arrival: Arrival) -> Iterator[Finding]:
    own, others = arrival.referee.name.casefold().split(), arrival.referrer.name.casefold().split()
    if len(own) >= 2 and own == others:
        yield Finding(arrival.referral.id, Kind.SAME_NAME)


def _both(arrival: Arrival, others: list[Friend], kind: Kind) -> Iterator[Finding]:
    """What is found about several friends at once is raised for each, with how many they are."""
    if others:
        for number in arrival.with_mates(others):
            yield Finding(number, kind, str(len(others) + 1))
