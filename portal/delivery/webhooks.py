"""Webhooks: what programs elsewhere are told, as rows written in the same transaction as what they tell of.

Invariants: as for mails (see `outbox`): a row is claimed by one worker at a time, for the length of a lease; it
arrives, or is tried again with growing waits, or given up visibly. Each try has the same id and the same bytes, signed
as Standard Webhooks has it (https://www.standardwebhooks.com); one endpoint keeps no other waiting.
"""

import hashlib
import hmac
import json
import random
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship

from portal.core import database
from portal.core.database import Json, Model, session
from portal.core.text import Refusal, marked, one_line, public_id
from portal.delivery import endpoints
from portal.delivery.calls import Outcome
from portal.delivery.endpoints import Endpoint
from portal.delivery.outbox import GIVE_UP_AFTER, LEASE, LEAST_TRIES, State

AT_ONCE = 16
"""How many are claimed at once, and of one endpoint half as many; of one that fails, one."""
MOST_AGAIN = 500
"""How many are sent again by one press."""
KEPT = timedelta(days=30)
"""How long it stays told what became of one."""
LONGEST_ANSWER, LONGEST_VALUE = 2000, 300


class WebhookRefused(Refusal):
    """One that cannot be sent again."""


class Webhook(Model):
    """One event for one endpoint. `about`: what it tells of, so that it is told once. `status`, `took_ms`, `answer`:
    what the latest try brought."""

    __tablename__ = "webhooks"
    __table_args__ = (
        database.one_of("state", State),
        database.once("endpoint_id", "event", "about"),
        sa.Index("ix_webhooks_due", "state", "due_at"),
        database.whole("tries", "status", "took_ms"),
    )

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    endpoint_id: Mapped[int] = database.refers_to("webhook_endpoints.id", index=False)
    event: Mapped[str] = mapped_column(sa.String(30))
    about: Mapped[str] = mapped_column(sa.String(64))
    body: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(sa.String(10), default=State.QUEUED)
    made_at: Mapped[datetime]
    due_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    tried_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    made_again_at: Mapped[datetime | None]
    """When an owner had it sent again: from then on it is tried as a new one."""
    status: Mapped[int | None]
    took_ms: Mapped[int | None]
    answer: Mapped[str] = mapped_column(sa.Text, default="")
    trouble: Mapped[str] = mapped_column(sa.String(300), default="")
    trouble_values: Mapped[Any] = mapped_column(Json, default=dict, server_default="{}")
    """What fills the places of the sentence about the trouble."""

    endpoint: Mapped[Endpoint] = relationship(Endpoint)

    @property
    def why(self) -> Refusal | None:
        """What was wrong with the latest try, to be said in the reader's language."""
        return Refusal(self.trouble, **self.trouble_values) if self.trouble else None

    @property
    def next_try_at(self) -> datetime | None:
        """When it is tried again, if it was tried and waits."""
        if not self.tries or self.state != State.QUEUED:
            return None
        return max(self.due_at, self.endpoint.resting_until or self.due_at)

    @property
    def waits_for_a_hand(self) -> bool:
        """Whether sending it again has a meaning: it arrived, was given up, or waits for its next try."""
        return self.state in (State.SENT, State.GIVEN_UP) or self.next_try_at is not None


def put_all(event: str, told: Iterable[tuple[str, Mapping[str, Any]]], *, to: Mapping[int, bool], at: datetime) -> None:
    """Queues an event about several things, each by (what it is about, data), for these endpoints, once each. `to`: for
    one that is switched off it stands there as given up, to be sent by hand."""
    rows = []
    for about, data in told:
        body = json.dumps({"type": event, "timestamp": said(at), "data": data}, default=said, ensure_ascii=False)
        common = {"event": event, "about": about, "body": body, "made_at": at, "due_at": at}
        rows += [
            common | {"endpoint_id": number, "state": State.QUEUED if is_on else State.GIVEN_UP}
            for number, is_on in to.items()
        ]
    database.insert_all(Webhook, rows)


def said(at: datetime) -> str:
    """A moment as it stands in a body."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- sent -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """A webhook that is to be sent now: where to, with which bytes, signed by which secrets."""

    number: int
    name: str
    url: str
    body: bytes
    secrets: Sequence[str]

    def headers(self, *, at: datetime) -> dict[str, str]:
        """What stands over the body: the id of all tries, the moment of this one, and a signature by each secret."""
        moment = str(int(at.timestamp()))
        return {
            "Content-Type": "application/json",
            "User-Agent": "Referral-Portal",
            "webhook-id": self.name,
            "webhook-timestamp": moment,
            "webhook-signature": " ".join(signature(secret, self.name, moment, self.body) for secret in self.secrets),
        }


def signature(secret: str, name: str, moment: str, body: bytes) -> str:
    """One signature: HMAC-SHA256 over id, moment and body."""
    key = b64decode(secret.removeprefix(endpoints.PREFIX))
    digest = hmac.new(key, f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{b64encode(digest).decode()}"


def claim(*, at: datetime) -> list[Webhook]:
    """Takes webhooks that are due, or whose lease ran out, for the length of a lease, with their endpoints. Commit
    before sending."""
    free = sa.or_(
        sa.and_(Webhook.state == State.QUEUED, Webhook.due_at <= at),
        sa.and_(Webhook.state == State.SENDING, Webhook.leased_until < at),
    )
    rested = sa.or_(Endpoint.resting_until.is_(None), Endpoint.resting_until <= at)
    place = sa.func.row_number().over(partition_by=Webhook.endpoint_id, order_by=(Webhook.due_at, Webhook.id))
    ranked = (
        sa.select(Webhook.id, place.label("place"), Endpoint.failures)
        .join(Endpoint, Endpoint.id == Webhook.endpoint_id)
        .where(free, rested, *endpoints.LIVE)
        .subquery()
    )
    share = sa.case((ranked.c.failures > 0, 1), else_=AT_ONCE // 2)
    fair = sa.select(ranked.c.id).where(ranked.c.place <= share)
    due = sa.select(Webhook.id).where(Webhook.id.in_(fair), free).order_by(Webhook.due_at, Webhook.id).limit(AT_ONCE)
    claimed = (
        sa.update(Webhook)
        .where(Webhook.id.in_(due.with_for_update(skip_locked=True).scalar_subquery()))
        .values(state=State.SENDING, leased_until=at + LEASE, tries=Webhook.tries + 1)
        .returning(Webhook.id)
    )
    query = sa.select(Webhook).where(Webhook.id.in_(list(session.scalars(claimed)))).order_by(Webhook.id)
    with_endpoints = query.options(joinedload(Webhook.endpoint)).execution_options(populate_existing=True)
    return list(session.scalars(with_endpoints))


ITS_LOCK = {"of": Webhook}
"""Not of the endpoint that may be read with it."""


def note(number: int, outcome: Outcome, *, at: datetime) -> Endpoint | None:
    """Notes what a try brought: arrived, to be tried again with growing waits and jitter, or given up. Gives the
    endpoint if it is switched off by that."""
    found = session.get_one(Webhook, number)
    endpoint = found.endpoint
    session.refresh(endpoint, with_for_update=endpoints.ITS_LOCK)
    session.refresh(found, with_for_update=ITS_LOCK)
    if found.state != State.SENDING:
        return None  # another worker has noted it meanwhile
    found.tried_at, found.status, found.took_ms = at, outcome.status, outcome.took_ms
    found.answer = outcome.text[:LONGEST_ANSWER]
    found.trouble = outcome.trouble.message if outcome.trouble else ""
    values = outcome.trouble.values if outcome.trouble else {}
    found.trouble_values = {name: one_line(str(value), LONGEST_VALUE) for name, value in values.items()}
    if outcome.arrived:
        found.state, found.sent_at = State.SENT, at
        endpoints.worked(endpoint, took=timedelta(milliseconds=outcome.took_ms), at=at)
        return None
    goes_off = endpoints.failed(endpoint, gone=outcome.gone, at=at)
    since = found.made_again_at or found.made_at
    nobody = endpoint.off_at is not None or endpoint.removed_at is not None
    over = nobody or (at > since + GIVE_UP_AFTER and found.tries >= LEAST_TRIES)
    found.state = State.GIVEN_UP if over else State.QUEUED
    wait = min(10 * 4 ** min(found.tries - 1, 7), 6 * 3600)
    found.due_at = at + timedelta(seconds=wait * random.uniform(0.8, 1.2))
    return endpoint if goes_off else None


def give_up(endpoint: Endpoint) -> None:
    """Gives up what waits for an endpoint that is off or removed; what is on its way is noted when it has come back."""
    waits = (Webhook.endpoint_id == endpoint.id, Webhook.state == State.QUEUED)
    session.execute(sa.update(Webhook).where(*waits).values(state=State.GIVEN_UP, leased_until=None))


def send_again(webhook: Webhook, *, at: datetime) -> None:
    """Has one sent again, under its id. Raises WebhookRefused, EndpointRefused."""
    _must_be_on(webhook.endpoint)
    session.refresh(webhook, with_for_update=ITS_LOCK)
    if not webhook.waits_for_a_hand or not webhook.body:
        raise WebhookRefused(marked("This one is on its way, or cannot be sent again."))
    webhook.state, webhook.due_at, webhook.made_again_at = State.QUEUED, at, at
    webhook.endpoint.resting_until = None


def send_given_up_again(endpoint: Endpoint, *, at: datetime, most: int = MOST_AGAIN) -> int:
    """Has what was given up for an endpoint sent again, each under its id, the first ones first; gives how many.
    What is on its way already is left alone. Raises WebhookRefused, EndpointRefused."""
    _must_be_on(endpoint)
    given_up = (Webhook.endpoint_id == endpoint.id, Webhook.state == State.GIVEN_UP, Webhook.body != "")
    first = sa.select(Webhook.id).where(*given_up).order_by(Webhook.id).limit(most).with_for_update()
    again = {"state": State.QUEUED, "due_at": at, "made_again_at": at}
    taken = sa.update(Webhook).where(Webhook.id.in_(first.scalar_subquery()), *given_up).values(again)
    endpoint.resting_until = None
    return len(session.scalars(taken.returning(Webhook.id)).all())


def _must_be_on(endpoint: Endpoint) -> None:
    endpoints.lock(endpoint)
    if endpoint.off_at is not None:
        raise WebhookRefused(marked("The webhook is switched off. Switch it on first."))


# --- forgotten ------------------------------------------------------------------------------------------------


def forget(user_name: str, outside: str | None) -> None:
    """Takes out of what was told about somebody, by public id, what says who it is: the shop's id if it is an address
    (`outside`), and whatever was answered. Ids and sums stay."""
    theirs = Webhook.body.contains(user_name, autoescape=True)
    for one in session.scalars(sa.select(Webhook).where(theirs).with_for_update()):
        one.answer, one.trouble, one.trouble_values = "", "", {}
        if outside is not None:
            one.body = one.body.replace(json.dumps(outside, ensure_ascii=False), "null")
    session.flush()


def forget_old(*, at: datetime, most: int = 1000) -> int:
    """Deletes what has been over for a month; gives how many."""
    over = sa.or_(
        sa.and_(Webhook.state == State.SENT, Webhook.sent_at < at - KEPT),
        sa.and_(Webhook.state == State.GIVEN_UP, Webhook.due_at < at - KEPT),
    )
    old = sa.select(Webhook.id).where(over).order_by(Webhook.id).limit(most)
    return len(
        session.scalars(sa.delete(Webhook).where(Webhook.id.in_(old.scalar_subquery())).returning(Webhook.id)).all()
    )


# --- looked up ------------------------------------------------------------------------------------------------


def find(wanted: str) -> Webhook | None:
    return session.scalar(sa.select(Webhook).where(Webhook.public_id == wanted))


def listed(
    endpoint: Endpoint, states: Collection[State] = tuple(State), *, before: int | None = None, most: int = 25
) -> tuple[list[Webhook], int | None]:
    """What an endpoint was told and is in one of these states, the newest first, and the key of the next page if there
    is one."""
    query = sa.select(Webhook).where(Webhook.endpoint_id == endpoint.id, Webhook.state.in_(states))
    if before is not None:
        query = query.where(Webhook.id < before)
    found = list(session.scalars(query.order_by(Webhook.id.desc()).limit(most + 1)))
    return found[:most], found[most - 1].id if len(found) > most else None


def counts() -> dict[int, dict[str, int]]:
    """How many there are in each state of each endpoint that was not removed, by its row number."""
    query = sa.select(Webhook.endpoint_id, Webhook.state, sa.func.count()).group_by(Webhook.endpoint_id, Webhook.state)
    query = query.join(Endpoint, Endpoint.id == Webhook.endpoint_id).where(Endpoint.removed_at.is_(None))
    found: dict[int, dict[str, int]] = {}
    for number, state, many in session.execute(query):
        found.setdefault(number, {})[state] = many
    return found
