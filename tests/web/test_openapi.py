"""The API's description is true: every route is in it, real answers are as it says, whatever is asked; and its page."""

import json
import re
import subprocess
import sys

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core import NotSet

from portal import program
from portal.accounts.api_keys import Scope
from portal.core import clock
from portal.notices.events import Event
from portal.payouts.methods import Kind
from tests.factories import fixed
from tests.web.keys import PROBLEM, Shop, new_key
from tests.web.routes import of_map


@pytest.fixture
def document(client):
    """The document, as anybody reads it: without a key."""
    answer = client.get("/api/v1/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    return json.loads(answer.data)


class Described(Shop):
    """A shop that compares each answer with the description."""

    def __init__(self, app, document, **given):
        self.document, self.seen = document, set()
        super().__init__(app, **given)

    def open(self, method, path, **given):
        answer = super().open(method, path, **given)
        self.compare(method, path.split("?")[0], answer)
        return answer

    def compare(self, method, path, answer):
        (called,) = [one for one in self.document["paths"] if re.fullmatch(re.sub(r"{\w+}", "[^/]*", one), path)]
        told = self.document["paths"][called][method.lower()]["responses"]
        assert str(answer.status_code) in told, f"{method} {called} answers {answer.status_code}"
        ((kind, content),) = told[str(answer.status_code)]["content"].items()
        assert answer.content_type == kind
        faults = [fault.message for fault in self.validator(content["schema"]).iter_errors(answer.get_json(force=True))]
        assert not faults, (called, answer.status_code, faults)
        for header in told[str(answer.status_code)].get("headers", ()):
            assert answer.headers[header]
        self.seen.add((self.document["paths"][called][method.lower()]["operationId"], answer.status_code))

    def validator(self, schema):
        """Strict: a field that the description does not know is a fault too."""
        schemas = {
            name: one | {"additionalProperties": False} for name, one in self.document["components"]["schemas"].items()
        }
        return jsonschema_rs.Draft202012Validator(schema | {"components": {"schemas": schemas}}, validate_formats=True)


def test_every_call_is_described_and_nothing_else(app, document):
    """The URL map, its methods and its places on one side, the document on the other."""
    there = {
        (method, re.sub(r"<(\w+)>", r"{\1}", rule.rule), name.removeprefix("api."))
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        for name, rule in of_map(app, method).items()
        if name.startswith("api.")
    }
    described = {
        (method.upper(), path, one["operationId"])
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    }
    assert described == there
    for path, methods in document["paths"].items():
        for one in methods.values():
            inside = {found["name"] for found in one.get("parameters", ()) if found["in"] == "path"}
            assert inside == set(re.findall(r"{(\w+)}", path))


def test_it_is_openapi_3_1_whose_every_schema_is_one_and_every_example_fits(app, document):
    assert document["openapi"].startswith("3.1.")
    assert document["servers"] == [{"url": app.extensions["settings"].base_url}]
    assert (
        document["security"] == [{"key": []}] and document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    )
    shop = Described(app, document, secret="")
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
        assert all(field.get("description") for field in schema["properties"].values())
    examples = 0
    for methods in document["paths"].values():
        for one in methods.values():
            for content in [one["requestBody"]] if "requestBody" in one else []:
                examples += fits(shop, content["content"]["application/json"])
            for answer in one["responses"].values():
                examples += sum(fits(shop, content) for kind, content in answer["content"].items() if kind != PROBLEM)
    assert examples > 10


def fits(shop, content):
    shop.validator(content["schema"]).validate(content["example"])
    return 1


def test_real_answers_are_as_described_from_the_first_customer_to_the_payout(app, scene, document):
    """Every status of every call but those of a database that is away (see the faults) and of a portal not set up."""
    scene.publish(fixed(6000))
    shop = Described(app, document)
    shop.order("o-9", customer={"external_id": "c-9"})
    shop.refund("r-9", conversion_external_id="o-99")
    shop.customer(code=scene.code(scene.alice))
    shop.customer("c-2", "carol@shop.example", code="nobody-has-this")
    shop.customer()
    scene.later(minutes=1)
    for _ in range(2):
        shop.order()
        shop.refund(amount_minor=1600)
    shop.order(amount_minor=6401)
    shop.refund(amount_minor=1601)
    for refund in ("r-1", "r-1", "r-77"):
        shop.reinstate(refund)
    reward = scene.approve(scene.reward(scene.alice))
    scene.method(scene.alice)
    scene.later(days=31)
    shop.order("o-2", occurred_at=clock.now().isoformat())
    scene.pay_batch(scene.exported_batch())
    assert reward.paid_at
    for what in ("referrals", "rewards", "payouts"):
        first = shop.get(what, limit=1).json
        shop.get(what, cursor=first["data"][-1]["id"])
        shop.get(what, limit="none")
        shop.get(what, cursor="\x00")
    for body in (b"{", b"[]", b'{"external_id": 7}', b"x" * 1_100_000):
        for what in ("customers", "conversions", "refunds", "reinstatements"):
            shop.send(what, body)
    shop.get(f"users/{scene.alice.public_id}/balance")
    shop.get("users/nobody/balance")
    shop.get("users/nobody/balance", x="\x00")
    others = [
        Described(app, document, secret=secret) for secret in ("rp_wrong", *(new_key(scopes=[one]) for one in Scope))
    ]
    for stranger in others:
        for path, methods in document["paths"].items():
            for method in methods:
                stranger.open(
                    method.upper(), path.replace("{user}", "nobody"), data=b"{}" if method == "post" else None
                )
    said = {
        (one["operationId"], int(status))
        for methods in document["paths"].values()
        for one in methods.values()
        for status in one["responses"]
    }
    elsewhere = {("customers", 409), ("balance", 409)} | {one for one in said if one[1] in (429, 503)}
    assert shop.seen.union(*(stranger.seen for stranger in others)) == said - elsewhere


def test_every_event_is_described_and_what_is_told_is_as_it_says(app, scene, document):
    scene.webhook()
    scene.publish(fixed(6000), fixed(500, to="referee"), goal_days=1)
    described, shop = Described(app, document, secret=""), Shop(app)
    alice = scene.alice
    scene.paid_reward()
    shop.customer("c-3", "dan@shop.example", code=scene.code(alice))
    scene.later(minutes=1)
    shop.order(customer={"external_id": "c-3"})
    scene.reject(scene.undo(scene.approve(scene.rewards(alice)[-1])))
    scene.charge_back(scene.order(scene.friend("Dora", of=alice)))
    scene.later(minutes=1)
    scene.win()
    scene.friend("Eve", of=alice)
    scene.method(alice, Kind.CREDIT)
    scene.later(days=32)
    scene.do(lambda: program.expire_due(at=scene.at))
    scene.order(scene.friend("Fred", of=alice))
    scene.approve(scene.rewards(alice)[-1])
    scene.later(days=31)
    scene.fail(scene.exported_batch().payouts[0])
    assert set(document["webhooks"]) == {str(event) for event in Event}
    told = {one.event: json.loads(one.body) for one in scene.told()}
    assert set(told) == set(Event)
    for event, hook in document["webhooks"].items():
        content = hook["post"]["requestBody"]["content"]["application/json"]
        described.validator(content["schema"]).validate(told[event])
        described.validator(content["schema"]).validate(content["example"])
        assert {one["name"] for one in hook["post"]["parameters"]} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        }


@pytest.mark.own_app
def test_before_the_program_is_set_up_the_answers_are_as_described(app, document, tab):
    assert tab.get("/api/docs").status == 200
    shop = Described(app, document)
    assert [shop.customer().status_code, shop.order().status_code] == [409, 409]
    for what in ("referrals", "rewards", "payouts"):
        assert shop.get(what).json["data"] == []


FEW = settings(
    max_examples=20, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
"""The same requests each time, and a second or two for each call."""


def asked(operation):
    """What anybody might send to a call: as described, and not."""
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    return st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])


@pytest.mark.timeout(60)
def test_whatever_is_asked_no_answer_breaks_and_each_is_as_described(app, scene, document, subtests):
    """Schemathesis makes the requests, each call some dozens; the shop compares."""
    shop = Described(app, document)
    shop.customer(code=scene.code(scene.alice))
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        with subtests.test(f"{operation.method} {operation.path}"):
            FEW(given(asked(operation))(lambda case: sent(shop, case)))()
    assert {status for _, status in shop.seen} >= {200, 201, 202, 404, 422}


def sent(shop, case):
    """Sends what was made up, if it leads to this call at all."""
    query = {name: value for name, value in (case.query or {}).items() if isinstance(value, str | int)}
    data = (
        case.body
        if isinstance(case.body, bytes)
        else json.dumps(case.body)
        if not isinstance(case.body, NotSet)
        else ""
    )
    path = case.formatted_path
    if (
        re.fullmatch(r"[\x21-\x7e]+", path)
        and path.count("/") == case.operation.path.count("/")
        and "?" not in path
        and "#" not in path
    ):
        shop.open(case.method, path, query_string=query, data=data, content_type="application/json")


# --- the page -------------------------------------------------------------------------------------------------


def test_the_page_says_what_the_document_says_and_owners_find_it(scene, document, tab, tab_of):
    page = tab.get("/api/docs")
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            section = next(
                each for each in page.tree.all("section") if each.get("aria-labelledby") == one["operationId"]
            )
            told = section.text
            assert f"{method.upper()} {path}" in told and one["summary"] in told
            for parameter in one.get("parameters", ()):
                assert f"{parameter['name']}" in told and parameter["description"] in told
            for status, answer in one["responses"].items():
                assert f"{status} {answer['description']}" in told
    for name, schema in document["components"]["schemas"].items():
        section = next(each for each in page.tree.all("section") if each.get("aria-labelledby") == name)
        for field, said in schema["properties"].items():
            assert field in section.text and said["description"] in section.text
            assert all(word in section.text for word in said.get("enum", ()))
    for event, hook in document["webhooks"].items():
        assert f"{event} {hook['post']['summary']}" in page.main
    ids = {one.get("id") for one in page.tree.walk()}
    assert {one.get("href")[1:] for one in page.tree.all("a") if one.get("href").startswith("#")} <= ids
    olivia = tab_of(scene.olivia)
    assert any(one.get("href") == "/api/docs" for one in olivia.get("/admin/developers").tree.all("a"))


def test_starting_does_not_load_what_only_the_api_needs():
    """Pydantic takes a fifteenth of a start."""
    told = "import sys, portal.web; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0
