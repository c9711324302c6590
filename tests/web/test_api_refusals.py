"""What the API does not take: 422 names the field and nothing is stored; what is not JSON is 400."""

import pytest

from portal.accounts import users
from tests.web.keys import PROBLEM, Shop, fields
from tests.web.tables import SEEN, Unchanged

NUL, SURROGATE, LONG = "a\x00b", "a\ud800b", "x" * 5000


@pytest.fixture
def shop(app, scene):
    """The shop, which has told of customer c-1, with an order o-0."""
    made = Shop(app)
    made.customer()
    made.order("o-0")
    return made


AMOUNTS = [
    0, -5, "NaN", "1_000", "1,50", 1.5, 10.0, 1e3, float("nan"), float("inf"), True, False, 10**29, 10**12, "1000",
    "١٢٣", "", [1000], {"minor": 1000},
]  # fmt: skip


@pytest.mark.both_databases
@pytest.mark.case(60)
def test_an_amount_that_is_none_is_422_and_earns_nothing(shop, each):
    for tried in each(AMOUNTS):
        with tried as amount:
            assert fields(shop.order(amount_minor=amount)) == {"amount_minor"}
            assert fields(shop.refund(amount_minor=amount, conversion_external_id="o-0")) == {"amount_minor"}


@pytest.mark.both_databases
@pytest.mark.case(60)
def test_the_largest_amount_is_taken_and_a_purchase_without_one_is_422(shop):
    answer = shop.order(amount_minor=10**12 - 1)
    assert (answer.status_code, answer.json["amount_minor"]) == (201, 10**12 - 1)
    assert fields(shop.order("o-2", amount_minor=None)) == {"amount_minor"}


def test_another_currency_is_422(shop, each):
    for tried in each(["USD", "eur", "EURO", "EU", "", "€", 978, ["EUR"], "E\x00R", "E\ud800R"]):
        with tried as currency:
            assert fields(shop.order(currency=currency)) == {"currency"}


MOMENTS = [
    "2026-09-01T13:00:00Z", "2026-09-01T10:00:00", "2026-08-31", "yesterday", 1756728000, "", "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01T00:00:00Z", "2026-" + "0" * 5000,
    "0001-01-01T00:00:00Z", "2026-09-01T10:00:00Z\x00", ["2026-09-01T10:00:00Z"], True,
]  # fmt: skip


def test_a_moment_that_is_none_is_422(shop, each):
    for tried in each(MOMENTS):
        with tried as moment:
            assert fields(shop.order(occurred_at=moment)) == {"occurred_at"}
            assert fields(shop.customer("c-9", "new@example.com", signed_up_at=moment)) == {"signed_up_at"}


FAR = {
    "9999-12-31T23:59:59+14:00": "Write a moment of the years 1900 to 9998.",
    "0001-01-01T00:00:00Z": "Write a moment of the years 1900 to 9998.",
    "9998-12-31T23:59:59+14:00": "This moment lies in the future.",
    "1900-01-01T00:00:00-14:00": "This moment lies more than ten years back.",
    "2026-09-01T10:00:00": "Write a moment with its offset, like 2026-11-03T10:41:00Z.",
    "0000-01-01T00:00:00Z": "Write a moment like 2026-11-03T10:41:00Z.",
    "2026-13-01T00:00:00Z": "Write a moment like 2026-11-03T10:41:00Z.",
}


def test_of_a_moment_that_cannot_be_it_is_said_why(shop, each):
    for tried in each(FAR.items()):
        with tried as (moment, why):
            (error,) = shop.order(occurred_at=moment).get_json(force=True)["errors"]
            assert error == {"field": "occurred_at", "message": why}


@pytest.mark.both_databases
def test_an_outside_id_that_cannot_be_kept_is_422(shop, each):
    whole = {"goal": "purchase", "external_id": "o-1", "customer": {"external_id": "c-1"}, "amount_minor": 100}
    refund = {"external_id": "r-1", "conversion_external_id": "o-0"}
    person = {"external_id": "c-9", "email": "new@example.com"}
    for tried in each([NUL, SURROGATE, LONG, "", "  ", "o\n1", " o-1 ", 17, ["o-1"], {}, None, True]):
        with tried as wrong:
            assert fields(shop.post("conversions", **whole | {"external_id": wrong})) == {"external_id"}
            assert fields(shop.post("refunds", **refund | {"external_id": wrong})) == {"external_id"}
            assert fields(shop.post("customers", **person | {"external_id": wrong})) == {"external_id"}
            named = fields(shop.post("refunds", **refund | {"conversion_external_id": wrong}))
            assert named == {"conversion_external_id"}
            named = fields(shop.post("conversions", **whole | {"customer": {"external_id": wrong}}))
            assert named <= {"customer.external_id", "customer"}


ADDRESSES = [
    "bob.example.com", "a@example.com,b@example.com", "a\x00@example.com", "", "a\ud800@example.com",
    "a" * 5000 + "@example.com", "a@example.com\nBcc: b@x", ["a@example.com"], "a b@example.com",
    "Bob <bob@example.com>", 5, "a@" + "b." * 125 + "com", "a@\u2024com", "@", "a@localhost",
]  # fmt: skip


def test_an_address_that_is_none_is_422(shop, each):
    for tried in each(ADDRESSES):
        with tried as wrong:
            assert fields(shop.customer("c-9", wrong)) == {"email"}
            assert fields(shop.order(customer={"email": wrong})) <= {"customer.email", "email"}


def test_a_name_or_a_code_that_is_no_text_is_422(shop, each):
    for tried in each([SURROGATE, LONG, 5, ["Bob"], None]):
        with tried as name:
            assert fields(shop.customer("c-9", "new@example.com", name=name)) == {"name"}
            assert fields(shop.customer("c-9", "new@example.com", code=name)) == {"code"}


@pytest.mark.both_databases
def test_a_name_is_kept_without_what_cannot_be_seen(shop):
    assert shop.customer("c-9", "new@example.com", name="B\x00ob\r\nBcc: x\u202e", code=NUL).status_code == 201
    assert users.find_by_email("new@example.com").name == "Bob Bcc: x"


def test_a_goal_that_the_shop_does_not_report_is_422(shop, each):
    body = {"external_id": "o-1", "customer": {"external_id": "c-1"}, "amount_minor": 100}
    for tried in each(["", "signup", "unknown", NUL, SURROGATE, LONG, 5, None, ["purchase"]]):
        with tried as goal:
            assert fields(shop.post("conversions", **body, goal=goal)) == {"goal"}


def test_an_order_of_nobody_is_422(shop, each):
    body = {"external_id": "o-1", "goal": "purchase", "amount_minor": 100}
    for tried in each([{}, [], "c-1", None, {"external_id": None}, {"id": "c-1"}]):
        with tried as customer:
            named = fields(shop.post("conversions", **body, customer=customer))
            assert all(name.startswith("customer") for name in named)


def test_a_field_that_nobody_knows_is_422(shop):
    with Unchanged(*SEEN):
        assert fields(shop.order(amuont_minor=5)) == {"amuont_minor"}
        assert fields(shop.customer("c-9", "new@example.com", role="owner")) == {"role"}


def test_a_customer_under_two_ids_or_two_addresses_is_422(shop):
    shop.customer("c-2", "dora@example.com")
    with Unchanged(*SEEN):
        assert fields(shop.customer("c-1", "dora@example.com")) == {"email"}
        assert fields(shop.customer("c-3", "dora@example.com")) == {"external_id"}


BODIES = [
    b"", b"hello", b'{"external_id": "o-1"', b'{"external_id": "\xff\xfe"}', b"\x00",
    '{"external_id": "ö"}'.encode("latin-1"), '{"a": 1}'.encode("utf-16"), b"external_id=o-1&goal=purchase",
    b"[" * 100_000, b'{"a":' * 100_000, b"[" * 50_000 + b"]" * 50_000, b'{"amount_minor": ' + b"9" * 10_000 + b"}",
    b"[]", b'"o-1"', b"5", b"null", b"NaN",
]  # fmt: skip


def test_a_body_that_is_not_an_object_is_400_or_422(shop, each):
    for tried in each(BODIES):
        with tried as body:
            for what in ("customers", "conversions", "refunds"):
                answer = shop.send(what, body)
                assert (answer.status_code, answer.content_type) in {(400, PROBLEM), (422, PROBLEM)}


def test_what_cannot_be_read_and_what_is_too_large_is_said(shop):
    for status, body in ((400, b"hello"), (400, b"[" * 100_000), (413, b"[" + b"1," * 600_000 + b"1]")):
        answer = shop.send("conversions", body)
        said = {400: "The body is not JSON", 413: "larger than a megabyte"}[status]
        assert answer.status_code == status and said in answer.get_json(force=True)["detail"]
    for path in ("/api/v1/rewards?cursor=%00", "/api/v1/a%00b"):
        answer = shop.open("GET", path)
        assert answer.status_code == 400 and "a sign that cannot be kept" in answer.get_json(force=True)["detail"]


def test_the_last_of_doubled_names_counts_as_json_has_it(shop):
    answer = shop.send("customers", b'{"external_id": "c-8", "external_id": "c-9", "email": "new@example.com"}')
    assert (answer.status_code, answer.json["external_id"]) == (201, "c-9")


def test_the_wrong_way_to_ask_is_405_and_an_unknown_call_404_as_problems(shop):
    assert shop.open("GET", "/api/v1/customers").status_code == 405
    assert shop.open("POST", "/api/v1/rewards", data=b"{}").status_code == 405
    assert shop.open("GET", "/api/v1/nothing").status_code == 404
    assert shop.open("DELETE", "/api/v1/rewards").status_code == 405


def test_before_the_program_is_set_up_the_api_says_so(app):
    shop = Shop(app)
    with Unchanged(*SEEN):
        assert shop.order().status_code == 409
        assert shop.customer().status_code == 409
