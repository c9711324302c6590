"""The API's own description, as OpenAPI 3.1 has it: made of the routes, of the bodies that are read and of the answers
that are given, so that it cannot say anything else than they do.

What the models cannot say stands here: one sentence a call, a status and a field, and examples. The page of the API
shows the same document in the reader's language.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from flask import current_app

from portal import VERSION
from portal.core.text import marked
from portal.notices import events
from portal.notices.events import Event
from portal.payouts import payouts
from portal.payouts.methods import Kind
from portal.referrals.attribution import How
from portal.reports.status import Word
from portal.rewards import rewards
from portal.rewards.refunds import RefundReason
from portal.rewards.rules import Beneficiary
from portal.web import answers, api, problems

PROBLEM = "application/problem+json"

TOLD, ASKED = "Told by the shop", "Asked by the shop"


@dataclass(frozen=True)
class Call:
    """One call: what it is for, which model of `bodies` it reads, what it answers, and an example of each."""

    summary: str
    answer: answers.Told
    said: Mapping[int, str]
    body: str = ""
    example: Mapping[str, Any] | None = None


# --- examples -------------------------------------------------------------------------------------------------

_ALICE, _BOB, _DAY = "7kq2mwxc94hbtzrn", "p3vdj8ys5n2gkxaf", datetime(2026, 11, 3, 10, 41, tzinfo=UTC)

_REFERRAL = answers.Referral(
    "m4c8zt2wqh9xkpv3", _ALICE, _BOB, "alice7k2m", How.CODE, _DAY, datetime(2027, 2, 1, 10, 41, tzinfo=UTC), None
)
_REWARD = answers.Reward(
    "t6rbn3x9fmw2hk8q", _ALICE, Beneficiary.REFERRER, _REFERRAL.id, 1000, 0, "EUR", rewards.State.PENDING,
    Word.IN_REVIEW, datetime(2026, 11, 17, 10, 41, tzinfo=UTC), _DAY, [{"step": "fixed", "amount_minor": 1000}],
)  # fmt: skip
_CONVERSION = answers.Conversion(
    "w9hq4kz7c2xtmr5n", "purchase", "order-1001", 6400, "EUR", _DAY, "applied", _REFERRAL.id, [_REWARD]
)
_REFUND = answers.Refund("z8wk3hq5n7xcmt2r", "refund-17", RefundReason.CHARGEBACK, True, _CONVERSION)
_PAYOUT = answers.Payout(
    "x2fk7nq9w4mztc8h", "PO-2026-0042", _ALICE, "customer-7", Kind.CREDIT, 1000, "EUR", payouts.State.PAID, _DAY
)

# --- the calls ------------------------------------------------------------------------------------------------

_NEW, _AGAIN = marked("New."), marked("Told before, with the same facts: the same ids, and how they stand now.")
_OTHER_FACTS = marked(
    "This external_id was told before with other facts, or the program is not set up. Nothing was changed."
)
_NOT_SET_UP = marked("The program is not set up.")
_FOUND = marked("Found.")

CALLS = {
    "api.customers": Call(
        marked("A customer, with the code they came with if any"),
        answers.Customer(_BOB, "customer-8", _REFERRAL, None),
        {201: _NEW, 200: marked("Known before. The referral as it stands now."), 409: _NOT_SET_UP},
        "CustomerIn",
        {"external_id": "customer-8", "email": "bob@example.com", "name": "Bob", "code": "alice7k2m"},
    ),
    "api.convert": Call(
        marked("A goal that was reached, such as an order"),
        _CONVERSION,
        {
            201: _NEW,
            200: _AGAIN,
            202: marked("Kept. It counts as soon as its customer is known."),
            409: _OTHER_FACTS,
        },
        "ConversionIn",
        {
            "goal": "purchase",
            "external_id": "order-1001",
            "customer": {"external_id": "customer-8"},
            "amount_minor": 6400,
            "currency": "EUR",
            "occurred_at": "2026-11-03T10:41:00Z",
        },
    ),
    "api.refund": Call(
        marked("Money given back for an order"),
        _REFUND,
        {
            201: _NEW,
            200: _AGAIN,
            202: marked("Kept. It counts as soon as its order is known."),
            409: marked("This external_id was told before with other facts. Nothing was changed."),
        },
        "RefundIn",
        {
            "external_id": "refund-17",
            "conversion_external_id": "order-1001",
            "amount_minor": 1600,
            "reason": "chargeback",
        },
    ),
    "api.reinstate": Call(
        marked("The money of a refund is with the shop again"),
        answers.Reinstatement("n3hx8kq2wz7tmc5r", "refund-17", replace(_REFUND, stands=False)),
        {
            201: _NEW,
            200: marked("Told before."),
            202: marked("Kept. It counts as soon as the refund and its order are known."),
        },
        "ReinstatementIn",
        {"refund_external_id": "refund-17"},
    ),
    "api.list_referrals": Call(
        marked("Who brought whom, the first one first"), answers.Referrals([_REFERRAL], None), {200: _FOUND}
    ),
    "api.list_rewards": Call(
        marked("What was earned and where it stands, the first one first"),
        answers.Rewards([_REWARD], None),
        {200: _FOUND},
    ),
    "api.list_payouts": Call(
        marked("What was paid, the first one first"), answers.Payouts([_PAYOUT], None), {200: _FOUND}
    ),
    "api.balance": Call(
        marked("What somebody is owed, by where it lies"),
        answers.Balance(_ALICE, "EUR", 1000, 0, 2500, 0, 4000),
        {200: _FOUND, 404: marked("There is no such user."), 409: _NOT_SET_UP},
    ),
}
"""Endpoint -> what it does."""

_REFERRAL_TOLD = events.ReferralTold(
    _REFERRAL.id, _ALICE, "customer-7", _BOB, "customer-8", _REFERRAL.joined_at, _REFERRAL.expires_at
)
_REWARD_TOLD = events.RewardTold(
    _REWARD.id, _ALICE, "customer-7", Beneficiary.REFERRER, _REFERRAL.id, "purchase", _CONVERSION.id, "order-1001",
    1000, 0, "EUR", rewards.State.PENDING, _REWARD.hold_until,
)  # fmt: skip
_PAYOUT_TOLD = events.PayoutTold(
    _PAYOUT.id, "PO-2026-0042", _ALICE, "customer-7", Kind.CREDIT, 1000, "EUR", payouts.State.SENT
)

HOOKS: dict[Event, tuple[str, Any]] = {
    Event.REFERRAL_CREATED: (marked("A friend belongs to whoever brought them."), _REFERRAL_TOLD),
    Event.REFERRAL_EXPIRED: (marked("The goal was not reached in time."), _REFERRAL_TOLD),
    Event.REWARD_CREATED: (marked("Something was earned, and is in review."), _REWARD_TOLD),
    Event.REWARD_APPROVED: (marked("Approved; it may still be on hold."), _REWARD_TOLD),
    Event.REWARD_REJECTED: (marked("Rejected."), _REWARD_TOLD),
    Event.REWARD_REOPENED: (marked("The decision was taken back: it is in review again."), _REWARD_TOLD),
    Event.REWARD_REVERSED: (marked("Refunds have taken back all of it."), _REWARD_TOLD),
    Event.REWARD_REINSTATED: (
        marked("Reversed before, it stands again as it was decided: its payment came again."),
        _REWARD_TOLD,
    ),
    Event.REWARD_PAID: (marked("Paid out."), _REWARD_TOLD),
    Event.CREDIT_GRANTED: (
        marked("Somebody is paid by shop credit: put it down for them, once for each id of a payout."),
        _PAYOUT_TOLD,
    ),
    Event.PAYOUT_PAID: (marked("A payout has arrived."), _PAYOUT_TOLD),
    Event.PAYOUT_FAILED: (marked("A payout came to nothing; its money goes into the next one."), _PAYOUT_TOLD),
}
"""Event -> what it says, and an example of what it tells."""

SENT_WITH = {
    "webhook-id": marked("The same for every try: by it you know what you have taken already."),
    "webhook-timestamp": marked("The moment of this try, in seconds since 1970."),
    "webhook-signature": marked(
        "One or more of v1, and HMAC-SHA256 over id.timestamp.body, by the secret of the webhook (base64)."
    ),
}
"""The headers of Standard Webhooks."""

REFUSALS = {
    401: marked("No live key."),
    422: marked("Some fields cannot be taken; each is named. Nothing was stored."),
    **{status: problems.USUAL[status] for status in (400, 413, 429, 503)},
}
"""What any call may answer; 413 only where there is a body, 422 where there is something to be wrong."""

OBJECTS = {
    "Referral": marked("The fact that a friend belongs to whoever brought them."),
    "Reward": marked("What one rule gave one person for one conversion."),
    "Conversion": marked("A goal that was reached once."),
    "Customer": marked("A customer as the portal knows them."),
    "Refund": marked("Money given back, and what it left of the order’s rewards."),
    "Reinstatement": marked("That what a refund took is given again, once."),
    "Payout": marked("What one person is paid in one batch."),
    "Balance": marked("Sums in the smallest unit of the currency."),
    "Referrals": marked("One page of a list."),
    "Rewards": marked("One page of a list."),
    "Payouts": marked("One page of a list."),
    "ReferralTold": marked("What is told of a referral."),
    "RewardTold": marked("What is told of a reward."),
    "PayoutTold": marked("What is told of a payout."),
    "Problem": marked("A no, as RFC 9457 has it."),
    "Fault": marked("What is wrong with one field."),
    "CustomerIn": marked("A customer of the shop."),
    "CustomerRef": marked("A customer by the shop’s id, by address, or both."),
    "ConversionIn": marked("A goal that a customer reached."),
    "RefundIn": marked("What was given back."),
    "ReinstatementIn": marked("Which refund did not stand: its dispute was won, or its money came back."),
}

FIELDS = {
    "amount_minor": marked("In the smallest unit of the currency: 6400 is 64.00."),
    "approved_minor": marked("Approved, and still on hold."),
    "beneficiary": marked("Whether it is for whoever brought a friend, or for the friend."),
    "code": marked("The code by which the friend came."),
    "computation": marked("How the amount came about, step by step."),
    "conversion": marked("The order, or null while it is not known."),
    "conversion_external_id": marked("The shop’s id of the order."),
    "counted_at": marked("When the friend reached the goal of the program."),
    "currency": marked("The three letters of ISO 4217. It is the program’s."),
    "customer": marked("Who it was."),
    "data": marked("The page’s entries, the first one first."),
    "detail": marked("A sentence about this case."),
    "email": marked("Their address. Nobody is written to by this."),
    "ended_at": marked("When it was paid, or came to nothing."),
    "errors": marked("What is wrong, field by field."),
    "expires_at": marked("Until when the goal can be reached."),
    "external_id": marked("The shop’s own id, once for ever. The same report again is the same thing."),
    "field": marked("The field’s name."),
    "goal": marked("What was reached: purchase, or the name of another goal of the program."),
    "hold_until": marked("Not paid before this moment."),
    "how": marked("By what the friend was attributed."),
    "id": marked("The portal’s id."),
    "in_payout_minor": marked("In a payout that has not arrived."),
    "joined_at": marked("When the friend signed up."),
    "made_at": marked("When it was earned."),
    "message": marked("What is wrong with it."),
    "method": marked("How it is paid. What is paid as credit is the shop’s to grant."),
    "name": marked("Their name. Others read the first one."),
    "next_cursor": marked("The cursor of the next page; null on the last one."),
    "note": marked("Something to know about the code."),
    "occurred_at": marked("When it happened; holds and deadlines count from it. Left out: now."),
    "paid_minor": marked("Paid so far."),
    "payable_minor": marked("Ready for the next payout. Below zero, something is owed."),
    "pending_minor": marked("In review."),
    "reason": marked("Why the money went back: refund by the shop, or chargeback by the customer’s bank."),
    "referee": marked("The friend."),
    "reference": marked("What people call it."),
    "referral": marked("The referral, or null if nobody brought them."),
    "referrer": marked("Whoever brought the friend."),
    "refund": marked("The refund, or null while it is not known."),
    "refund_external_id": marked("The shop’s id of the refund."),
    "rewards": marked("What it gave, on both sides."),
    "signed_up_at": marked("When they became a customer. Left out: now."),
    "stands": marked("Whether it counts: false once it was reinstated."),
    "state": marked("Where it stands."),
    "status": marked("Where it stands, as its person reads it."),
    "taken_back_minor": marked("What refunds took back of it."),
    "title": marked("What the status means."),
    "type": marked("Always about:blank: the status says it."),
    "user": marked("Whose it is."),
    "referrer_external_id": marked("The shop’s id of whoever brought the friend, if it told one."),
    "referee_external_id": marked("The shop’s id of the friend, if it told one."),
    "PayoutTold.external_id": marked("The shop’s id of whoever is paid, if it told one."),
    "RewardTold.external_id": marked("The shop’s id of whoever it is for, if it told one."),
    "RewardTold.conversion": marked("The portal’s id of the order."),
    "RewardTold.conversion_external_id": marked("The shop’s id of the order; null if it was not the shop’s to tell."),
    "Conversion.external_id": marked("The shop’s id of the order."),
    "ConversionIn.amount_minor": marked(
        "What the order was worth, in the smallest unit of the currency: 6400 is 64.00. Left out for goals without one."
    ),
    "CustomerIn.code": marked("The code that they came with. Upper and lower case are the same."),
    "Payout.external_id": marked("The shop’s id of whoever is paid, if it told one."),
    "Problem.status": marked("The status of the answer."),
    "RefundIn.amount_minor": marked("In the smallest unit of the currency. Left out: all of the order."),
    "Refund.external_id": marked("The shop’s id of the refund."),
}
"""What each field is, by its name; where one name means two things, by the object's too."""

PARAMETERS = {
    "cursor": marked("The next_cursor of the page before. Left out: the first page."),
    "limit": marked("How many entries, from 1 to 200."),
    "user": marked("The portal’s id of somebody."),
}

HEADERS = {
    "Retry-After": "After how many seconds to try again.",
    "WWW-Authenticate": "By what one is let in.",
}
_WITH_HEADER = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


# --- the document ---------------------------------------------------------------------------------------------


@cache
def document(base_url: str) -> dict[str, Any]:
    """The whole document, for a portal at this address. It is kept: leave it as it is."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Referral portal",
            "version": VERSION,
            "description": "How a shop tells of customers, orders and refunds, and reads what became of them.",
        },
        "servers": [{"url": base_url}],
        "security": [{"key": []}],
        "tags": [{"name": TOLD}, {"name": ASKED}],
        "paths": _paths(),
        "webhooks": {event: _webhook(event, *said) for event, said in HOOKS.items()},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key of the page Developers."}
            },
        },
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    rooms = [rule for rule in current_app.url_map.iter_rules() if rule.endpoint.startswith(f"{api.blueprint.name}.")]
    for rule in sorted(rooms, key=lambda rule: list(CALLS).index(rule.endpoint)):
        path = re.sub(r"<(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            paths.setdefault(path, {})[method.lower()] = _operation(rule.endpoint, rule.arguments)
    return paths


def _operation(endpoint: str, inside: set[str]) -> dict[str, Any]:
    call = CALLS[endpoint]
    asked = {"cursor", "limit"} if endpoint.startswith("api.list_") else set()
    said: dict[str, Any] = {
        "operationId": endpoint.partition(".")[2],
        "tags": [TOLD if call.body else ASKED],
        "summary": call.summary,
        "responses": dict(sorted(_responses(call, wrong=bool(call.body or asked)).items())),
    }
    if inside or asked:
        said["parameters"] = [_parameter(name, inside) for name in sorted(inside | asked)]
    if call.body:
        content = {"schema": _ref(call.body), "example": call.example}
        said["requestBody"] = {"required": True, "content": {"application/json": content}}
    return said


def _parameter(name: str, inside: set[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name == "limit":
        schema = {"type": "integer", "minimum": 1, "maximum": api.MOST, "default": api.USUAL}
    where = {"in": "path", "required": True} if name in inside else {"in": "query"}
    return {"name": name, "description": PARAMETERS[name], "schema": schema} | where


def _responses(call: Call, *, wrong: bool) -> dict[str, Any]:
    refusals = {
        status: words for status, words in REFUSALS.items() if (status != 413 or call.body) and (status != 422 or wrong)
    }
    responses = {}
    for status, words in {**refusals, **call.said}.items():
        if status < 400:
            name = type(call.answer).__name__
            content = {"application/json": {"schema": _ref(name), "example": answers.as_json(call.answer)}}
        else:
            content = {PROBLEM: {"schema": _ref("Problem")}}
        responses[str(status)] = {"description": words, "content": content}
        if header := _WITH_HEADER.get(status):
            kind = "integer" if header == "Retry-After" else "string"
            responses[str(status)]["headers"] = {header: {"description": HEADERS[header], "schema": {"type": kind}}}
    return responses


def _webhook(event: Event, summary: str, told: Any) -> dict[str, Any]:
    data, moment = type(told).__name__, {"type": "string", "format": "date-time"}
    schema = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {"type": {"const": event}, "timestamp": moment, "data": _ref(data)},
    }
    example = {"type": event, "timestamp": "2026-11-03T10:41:00.000Z", "data": answers.as_json(told)}
    headers = [
        {"name": name, "in": "header", "required": True, "description": words, "schema": {"type": "string"}}
        for name, words in SENT_WITH.items()
    ]
    said = {
        "summary": summary,
        "security": [],
        "parameters": headers,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}},
        "responses": {"2XX": {"description": TAKEN}, "410": {"description": GONE}, "default": {"description": LATER}},
    }
    return {"post": said}


TAKEN = marked("Taken. Answer within ten seconds, and work afterwards.")
GONE = marked("Nobody is there any more: the webhook is switched off.")
LATER = marked("Anything else, or nothing: it is sent again, with growing waits, for three days.")

_SCHEMAS = "#/components/schemas/"


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"{_SCHEMAS}{name}"}


def _schemas() -> dict[str, Any]:
    """The models as JSON Schema, each under its name."""
    from pydantic import TypeAdapter

    from portal.web import bodies

    read = {name: getattr(bodies, name) for name in (call.body for call in CALLS.values()) if name}
    said = {model.__name__: model for model in [*_answered(), answers.Problem]}
    found: dict[str, Any] = {}
    for mode, models in (("validation", read), ("serialization", said)):
        for name, model in models.items():
            made = TypeAdapter(model).json_schema(mode=mode, ref_template=f"{_SCHEMAS}{{model}}")  # type: ignore[arg-type] # a Literal
            found |= _plain(made.pop("$defs", {}) | {name: made})
    return {name: _described(name, schema) for name, schema in sorted(found.items())}


def _answered() -> list[type[Any]]:
    return [*(type(call.answer) for call in CALLS.values()), *(type(told) for _, told in HOOKS.values())]


def _plain(schemas: dict[str, Any]) -> dict[str, Any]:
    """The same without names for lists of words: two of them may have the same name."""
    words = {f"{_SCHEMAS}{name}": schema for name, schema in schemas.items() if "enum" in schema}

    def spelled(part: Any) -> Any:
        if isinstance(part, list):
            return [spelled(one) for one in part]
        if not isinstance(part, dict):
            return part
        if part.get("$ref") in words:
            return {"type": "string", "enum": words[part["$ref"]]["enum"]}
        return {key: spelled(value) for key, value in part.items()}

    return {name: spelled(schema) for name, schema in schemas.items() if "enum" not in schema}


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with the words for it and its fields, and without the titles that repeat their names."""
    kept = {key: value for key, value in schema.items() if key not in ("title", "description")}
    for field, said in kept["properties"].items():
        said.pop("title", None)
        said["description"] = FIELDS.get(f"{name}.{field}") or FIELDS[field]
    return kept | {"description": OBJECTS[name]}
