"""Webhooks at the developers' desk: addresses that are told, what they were told, and what came back."""

from collections.abc import Callable, Iterator

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from portal import program
from portal.core import clock, database
from portal.core.sealed import Box
from portal.core.text import Refusal
from portal.delivery import endpoints, webhooks
from portal.delivery.endpoints import Endpoint, EndpointRefused
from portal.delivery.outbox import State
from portal.delivery.webhooks import Webhook
from portal.web import access, inputs, openapi, words
from portal.web.acting import act, told_already
from portal.web.admin import developers
from portal.web.admin.room import blueprint, settings
from portal.web.dashboard import page_key


def _box() -> Box:
    return Box(settings().details_keys, endpoints.PURPOSE)


def _endpoint(wanted: str) -> Endpoint:
    return (endpoints.find(wanted) if wanted.isalnum() else None) or abort(404)


@blueprint.post("/developers/webhooks")
@access.needs("own")
def make_webhook() -> ResponseReturnValue:
    """Has an address told from now on, and shows its secret, this once."""
    form, local = inputs.people.Webhook(), settings().on_loopback
    if form.validate():
        url, events = form.url.data or "", form.events.data or []
        try:
            with database.writing():
                made, secret = program.add_webhook(
                    url, events, local=local, keep=_box(), by=access.me().id, at=clock.now()
                )
                name = made.public_id
            return _page(_endpoint(name), secret=secret)
        except EndpointRefused as refusal:
            form.url.errors = [words.say(refusal)]
    return developers.page(hook=form), 422


@blueprint.get("/developers/webhooks/<wanted>")
@access.needs("own")
def webhook(wanted: str) -> ResponseReturnValue:
    """One address: what it is told of, and what it was told, the newest first."""
    return _page(_endpoint(wanted))


def _page(endpoint: Endpoint, *, form: inputs.people.WebhookEvents | None = None, secret: str | None = None) -> str:
    state = request.args.get("state", "")
    states = [State(state)] if state in list(State) else list(State)
    listed, older = webhooks.listed(endpoint, states, before=page_key("before"))
    form = form or inputs.people.WebhookEvents(formdata=None, data={"events": endpoint.events})
    return render_template(
        "admin/webhook.html", endpoint=endpoint, listed=listed, older=older, form=form, secret=secret,
        only=inputs.fields.Only(), hooks=openapi.HOOK_SENTENCES, overlaps=bool(endpoint.before_until),
        state=state, counts=webhooks.counts().get(endpoint.id, {}),
    )  # fmt: skip


@blueprint.post("/developers/webhooks/<wanted>/events")
@access.needs("own")
def change_webhook(wanted: str) -> ResponseReturnValue:
    endpoint, form = _endpoint(wanted), inputs.people.WebhookEvents()
    if not form.validate():
        return _page(endpoint, form=form), 422
    return _done(
        endpoint,
        lambda: program.change_webhook(endpoint, form.events.data or [], by=access.me().id, at=clock.now()),
        gettext("Saved."),
    )


def _done(endpoint: Endpoint, verb: Callable[[], object], done: str) -> ResponseReturnValue:
    name = endpoint.public_id
    return act(
        verb,
        done=done,
        back=url_for(".webhook", wanted=name),
        already=lambda: told_already("webhook_switched_on", "webhook", name),
    )


@blueprint.post("/developers/webhooks/<wanted>/secret")
@access.needs("own")
def renew_webhook(wanted: str) -> ResponseReturnValue:
    """Makes a new secret and shows it, this once."""
    endpoint = _endpoint(wanted)
    with database.writing():
        secret = program.renew_webhook(endpoint, keep=_box(), by=access.me().id, at=clock.now())
    return _page(endpoint, secret=secret)


def _press(wanted: str, verb: Callable[..., object], done: str) -> ResponseReturnValue:
    """One button at one address."""
    endpoint = _endpoint(wanted)
    return _done(endpoint, lambda: verb(endpoint, by=access.me().id, at=clock.now()), done)


@blueprint.post("/developers/webhooks/<wanted>/test")
@access.needs("own")
def try_webhook(wanted: str) -> ResponseReturnValue:
    return _press(wanted, program.try_webhook, gettext("A test is on its way. What came back stands here in a moment."))


@blueprint.post("/developers/webhooks/<wanted>/return")
@access.needs("own")
def switch_webhook_on(wanted: str) -> ResponseReturnValue:
    return _press(
        wanted,
        program.switch_webhook_on,
        gettext("It is switched on. What it was not told meanwhile can be sent again here."),
    )


@blueprint.post("/developers/webhooks/<wanted>/removal")
@access.needs("own")
def remove_webhook(wanted: str) -> ResponseReturnValue:
    endpoint = _endpoint(wanted)
    return act(
        lambda: program.remove_webhook(endpoint, by=access.me().id, at=clock.now()),
        done=gettext("The webhook is removed. Nothing more is sent there."),
        back=url_for(".developers"),
    )


@blueprint.get("/developers/deliveries/<wanted>")
@access.needs("own")
def sent_webhook(wanted: str) -> ResponseReturnValue:
    """What was sent, as it was sent, and what came back."""
    return render_template("admin/sent_webhook.html", one=_sent(wanted), only=inputs.fields.Only())


def _sent(wanted: str) -> Webhook:
    found = (webhooks.find(wanted) if wanted.isalnum() else None) or abort(404)
    return found if found.endpoint.removed_at is None else abort(404)


@blueprint.post("/developers/deliveries/<wanted>/sending")
@access.needs("own")
def send_webhook_again(wanted: str) -> ResponseReturnValue:
    one = _sent(wanted)
    return act(
        lambda: program.send_webhook_again(one, by=access.me().id, at=clock.now()),
        done=gettext("It is sent again in a moment, under the same id."),
        back=url_for(".sent_webhook", wanted=one.public_id),
    )


@blueprint.post("/developers/webhooks/<wanted>/sending")
@access.needs("own")
def send_given_up_again(wanted: str) -> ResponseReturnValue:
    """Has everything that was given up sent again, as many as one press takes."""
    endpoint = _endpoint(wanted)
    try:
        with database.writing():
            many = program.send_given_up_again(endpoint, by=access.me().id, at=clock.now())
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
    else:
        left = webhooks.counts().get(endpoint.id, {}).get(State.GIVEN_UP, 0) if many else 0
        flash(" ".join(_sent_again(many, left)), "ok")
    return redirect(url_for(".webhook", wanted=endpoint.public_id))


def _sent_again(many: int, left: int) -> Iterator[str]:
    """What came of it, in one sentence or two."""
    if not many:
        yield gettext("Nothing is given up any more. Nothing was changed.")
        return
    yield ngettext(
        "%(num)s is sent again in a moment, under the same id.",
        "%(num)s are sent again in a moment, each under its id.",
        many,
    )
    if left:
        yield ngettext("%(num)s more is given up: press again.", "%(num)s more are given up: press again.", left)
