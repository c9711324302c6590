"""What a shop's program does: it brings an API key and speaks JSON."""

import json
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from portal.accounts import api_keys
from portal.core import clock, database

PROBLEM = "application/problem+json"


class Shop:
    """A shop with a live key. Never an answer of 5xx."""

    def __init__(self, app: Flask, *, secret: str | None = None) -> None:
        self.app, self.client = app, app.test_client(use_cookies=False)
        self.base_url: str = app.extensions["settings"].base_url
        self.secret = new_key() if secret is None else secret

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"} if self.secret else {}

    def open(self, method: str, path: str, **given: Any) -> TestResponse:
        headers = self.headers() | given.pop("headers", {})
        answer = self.client.open(path, method=method, base_url=self.base_url, headers=headers, **given)
        assert answer.status_code < 500, f"{method} {path} answered {answer.status_code}: {answer.text}"
        if answer.status_code >= 400:
            assert answer.content_type == PROBLEM
            said = answer.get_json(force=True)
            assert (said["status"], bool(said["title"]), bool(said["detail"])) == (answer.status_code, True, True), said
        return answer

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.open("GET", f"/api/v1/{path}", query_string=query)

    def post(self, what: str, **body: Any) -> TestResponse:
        """Posts an object as JSON, with what Python would call NaN or a lone surrogate in it."""
        return self.send(what, json.dumps(body).encode())

    def send(self, what: str, body: bytes) -> TestResponse:
        return self.open("POST", f"/api/v1/{what}", data=body, content_type="application/json")

    def customer(self, external_id: str = "c-1", email: str = "bob@example.com", **more: Any) -> TestResponse:
        return self.post("customers", external_id=external_id, email=email, **more)

    def order(self, external_id: str = "o-1", **more: Any) -> TestResponse:
        """An order of 64.00 of customer c-1, unless said otherwise; None leaves a field out."""
        usual = {
            "goal": "purchase", "external_id": external_id, "customer": {"external_id": "c-1"},
            "amount_minor": 6400, "currency": "EUR",
        }  # fmt: skip
        return self.post("conversions", **{name: value for name, value in (usual | more).items() if value is not None})

    def refund(self, external_id: str = "r-1", **more: Any) -> TestResponse:
        usual = {"external_id": external_id, "conversion_external_id": "o-1"}
        return self.post("refunds", **{name: value for name, value in (usual | more).items() if value is not None})

    def reinstate(self, refund_external_id: str = "r-1") -> TestResponse:
        return self.post("reinstatements", refund_external_id=refund_external_id)


def new_key(name: str = "the shop") -> str:
    """A live API key."""
    with database.writing():
        return api_keys.make(name, by=None, at=clock.now())


def fields(answer: TestResponse) -> set[str]:
    """The fields that a 422 names."""
    assert answer.status_code == 422, (answer.status_code, answer.text)
    errors = answer.get_json(force=True)["errors"]
    assert all(one["message"] for one in errors)
    return {one["field"] for one in errors}
