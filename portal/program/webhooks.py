"""Webhooks of the shop's programs: made, tried, renewed, removed by owners; what a call brought, and who is told."""

from collections.abc import Collection
from datetime import datetime

from portal import notices
from portal.accounts import audit
from portal.accounts.users import User
from portal.core.sealed import Box
from portal.core.text import marked
from portal.delivery import endpoints, webhooks
from portal.delivery.calls import Outcome
from portal.delivery.endpoints import Endpoint, EndpointRefused
from portal.delivery.webhooks import Webhook
from portal.notices import events
from portal.notices.events import Event
from portal.program.people import owners


def add_webhook(
    url: str, wanted: Collection[str], *, local: bool, keep: Box, by: int, at: datetime
) -> tuple[Endpoint, str]:
    """An address that is told of these events, and the secret by which it knows that it was us, which is shown this
    once. `local`: this machine's own addresses will do. Raises EndpointRefused."""
    endpoint, secret = endpoints.make(url, _events(wanted), local=local, keep=keep, at=at)
    _note("webhook_made", endpoint, by=by, at=at)
    return endpoint, secret


def change_webhook(endpoint: Endpoint, wanted: Collection[str], *, by: int, at: datetime) -> None:
    """Tells an address of these events from now on. Raises EndpointRefused."""
    endpoints.lock(endpoint)
    endpoint.events = _events(wanted)
    _note("webhook_changed", endpoint, by=by, at=at)


def _events(wanted: Collection[str]) -> list[str]:
    found = [str(event) for event in Event if event in wanted]
    if not found:
        raise EndpointRefused(marked("Choose at least one event."))
    return found


def renew_webhook(endpoint: Endpoint, *, keep: Box, by: int, at: datetime) -> str:
    """A new secret, shown this once; the one of before signs along for a day. Raises EndpointRefused."""
    secret = endpoints.renew(endpoint, keep=keep, at=at)
    _note("webhook_secret_renewed", endpoint, by=by, at=at)
    return secret


def remove_webhook(endpoint: Endpoint, *, by: int, at: datetime) -> None:
    """Nothing more is sent there. Raises EndpointRefused."""
    endpoints.remove(endpoint, at=at)
    webhooks.give_up(endpoint)
    _note("webhook_removed", endpoint, by=by, at=at)


def switch_webhook_on(endpoint: Endpoint, *, by: int, at: datetime) -> None:
    """Sends to one that was switched off; what it was not told meanwhile is sent by hand. Raises EndpointRefused."""
    endpoints.switch_on(endpoint)
    _note("webhook_switched_on", endpoint, by=by, at=at)


def try_webhook(endpoint: Endpoint, *, by: int, at: datetime) -> None:
    """Sends a test event. Raises EndpointRefused."""
    endpoints.lock(endpoint)
    if endpoint.off_at is not None:
        raise EndpointRefused(marked("The webhook is switched off. Switch it on first."))
    endpoint.resting_until = None
    events.try_out(endpoint, at=at)
    _note("webhook_tried", endpoint, by=by, at=at)


def send_webhook_again(webhook: Webhook, *, by: int, at: datetime) -> None:
    """Sends one again under the same id. Raises WebhookRefused, EndpointRefused."""
    webhooks.send_again(webhook, at=at)
    audit.write("webhook_sent_again", "webhook", webhook.endpoint.public_id, by=by, at=at, shown=webhook.event)


def send_given_up_again(endpoint: Endpoint, *, by: int, at: datetime) -> int:
    """Sends again what was given up for an address, up to so many at once; gives how many. Raises WebhookRefused,
    EndpointRefused."""
    many = webhooks.send_given_up_again(endpoint, at=at)
    if many:
        audit.write("webhooks_sent_again", "webhook", endpoint.public_id, by=by, at=at, shown=endpoint.host, many=many)
    return many


def note_webhook(number: int, outcome: Outcome, *, at: datetime) -> None:
    """Notes what a call brought. An endpoint that is gone, or has failed for days, is switched off, what waits for it
    is given up, and the owners are told."""
    off = webhooks.note(number, outcome, at=at)
    if off is not None:
        webhooks.give_up(off)
        audit.write("webhook_switched_off", "webhook", off.public_id, by=None, at=at, shown=off.host, why=off.off_why)
        notices.webhook_off(off, [User.by_id(number) for number in owners()], at=at)


def _note(verb: str, endpoint: Endpoint, *, by: int, at: datetime) -> None:
    audit.write(verb, "webhook", endpoint.public_id, by=by, at=at, shown=endpoint.host)
