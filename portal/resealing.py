"""Resealing: everything that is kept encrypted, written anew under the newest key while the portal works.

Invariants: each turn is one short write, so one that is killed leaves every row under a key that opens it, and the next
goes on where it ended; a row that no key opens stays as it is and is counted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from portal.accounts import two_step
from portal.accounts.two_step import SecondStep
from portal.core import database, sealed
from portal.core.database import session
from portal.core.sealed import Box, Turn
from portal.delivery import endpoints
from portal.delivery.endpoints import Endpoint
from portal.payouts import methods
from portal.payouts.methods import Details, Method

MOST = 100
"""So many rows are written in one turn: others wait for it a few milliseconds."""

KEPT = ((Method, Method.details), (SecondStep, SecondStep.secret), (Endpoint, Endpoint.secret))
"""Each table that holds something sealed, and where it lies."""


@dataclass(frozen=True)
class State:
    """How many rows are sealed, of them under an older key than the newest, and under one that is not in the ring."""

    rows: int
    older: int
    strangers: int


def state(keys: str) -> State:
    """How the rows stand with the keys of the settings."""
    known = sealed.ring(keys)
    newest, ours = {known[0].id}, sealed.ids(known)
    return State(
        sum(_count(model, where != "") for model, where in KEPT),
        sum(_count(model, sealed.under_others(model, where, newest)) for model, where in KEPT),
        sum(_count(model, sealed.under_others(model, where, ours)) for model, where in KEPT),
    )


def _count(model: type[Any], which: Any) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(model).where(which)) or 0


def all_rows(keys: str) -> Iterator[Turn]:
    """Writes every row under the newest key, and tells of each turn."""
    details, apps, webhooks = Details(keys), Box(keys, two_step.PURPOSE), Box(keys, endpoints.PURPOSE)
    yield from _turns(lambda after: methods.reseal(details, after=after, most=MOST))
    yield from _turns(lambda after: two_step.reseal(apps, after=after, most=MOST))
    yield from _turns(lambda after: endpoints.reseal(webhooks, after=after, most=MOST))


def _turns(some: Callable[[int], Turn | None]) -> Iterator[Turn]:
    last = 0
    while True:
        with database.writing():
            turn = some(last)
        if turn is None:
            return
        yield turn
        last = turn.last
