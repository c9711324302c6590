"""What a key of the API may do, and until when: its scopes, on every route there is, and the end that was chosen."""

import json
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from portal import terms
from portal.accounts import api_keys
from portal.accounts.api_keys import ApiKey, Scope
from portal.core import clock, database
from portal.core.database import session
from portal.web import api
from tests.web.keys import PROBLEM, Shop, new_key
from tests.web.routes import ACT, READ, of_map
from tests.web.tables import SEEN, Unchanged

DESK = "/admin/developers"
ROUTES = {name: given for name, given in [*READ.items(), *ACT.items()] if name.startswith("api.")}


@pytest.fixture
def olivia(scene, tab_of):
    return tab_of(scene.olivia)


def shown_secret(page):
    (field,) = [one for one in page.tree.all("input") if one.get("id") == "secret"]
    return field.get("value")


# --- made once ---------------------------------------------------------------------------------------------------


def keys():
    session.rollback()
    return session.scalar(sa.select(sa.func.count()).select_from(ApiKey))


@pytest.mark.both_databases
def test_a_form_makes_one_key_however_often_it_is_sent(olivia):
    form = olivia.get(DESK).form("/keys$")
    assert shown_secret(olivia.submit(form, name="The shop"))
    for _ in range(3):
        page = olivia.submit(form, name="The shop")
        assert page.status == 409 and "This form has made its key already, which was shown then alone." in page.text
        assert not [one for one in page.tree.all("input") if one.get("id") == "secret"]
        assert page.kept("name") == ["The shop"] and keys() == 1
    assert shown_secret(olivia.submit(page.form("/keys$"))) and keys() == 2, "the page that says it has a new form"


@pytest.mark.parametrize("form_key", ["", "x", "0" * 16, "a" * 17, "ä" * 16, "A" * 16])
def test_a_form_without_its_key_is_shown_again(olivia, form_key):
    with Unchanged(*SEEN):
        page = olivia.submit(olivia.get(DESK).form("/keys$"), name="The shop", form_key=form_key)
        assert page.status == 422 and "open too long" in page.text and page.kept("name") == ["The shop"]
    assert shown_secret(olivia.submit(page.form("/keys$")))


# --- scopes ---------------------------------------------------------------------------------------------------


def test_every_route_of_the_api_says_its_scope_and_what_is_told_reports_while_what_is_asked_reads(app):
    there = {method: [name for name in of_map(app, method) if name.startswith("api.")] for method in ("GET", "POST")}
    assert set(api.SCOPE_OF) == {*there["GET"], *there["POST"]} == set(ROUTES)
    assert {api.SCOPE_OF[name] for name in there["GET"]} == {Scope.READ}
    assert {api.SCOPE_OF[name] for name in there["POST"]} == {Scope.REPORT}


@pytest.mark.parametrize("endpoint", ROUTES)
@pytest.mark.parametrize("scope", Scope)
def test_a_call_outside_its_scope_is_403_and_says_which_it_needs(endpoint, scope, app, scene):
    method, path = ("POST" if endpoint in ACT else "GET"), re.sub(r"{\w+}", scene.alice.public_id, ROUTES[endpoint][1])
    given = {"data": b"{}"} if method == "POST" else {}
    needed = api.SCOPE_OF[endpoint]
    shop, whole = Shop(app, secret=new_key(scopes=[scope])), Shop(app)
    with Unchanged(*SEEN):
        answer = shop.open(method, path, **given)
        if needed == scope:
            assert answer.status_code == whole.open(method, path, **given).status_code != 403
            return
        assert (answer.status_code, answer.content_type) == (403, PROBLEM)
        assert f"it needs the scope {needed}." in answer.get_json(force=True)["detail"]
        assert f'error="insufficient_scope", scope="{needed}"' in answer.headers["WWW-Authenticate"]


def test_the_document_names_the_scope_of_each_call_and_so_does_the_page(app, client, tab):
    document, page = json.loads(client.get("/api/v1/openapi.json").data), tab.get("/api/docs")
    for methods in document["paths"].values():
        for one in methods.values():
            scope = api.SCOPE_OF[f"api.{one['operationId']}"]
            assert one["security"] == [{"key": [scope]}] and "403" in one["responses"]
            (section,) = [
                each for each in page.tree.all("section") if each.get("aria-labelledby") == one["operationId"]
            ]
            assert f"Scope of the key: {scope}" in section.text


@pytest.mark.both_databases
def test_a_key_made_before_there_were_scopes_may_do_everything(app, scene):
    old = new_key()
    columns = "public_id, name, hint, token_hash, made_at"
    with database.writing():
        session.execute(
            sa.text(f"INSERT INTO api_keys ({columns}) SELECT 'old', name, hint, 'x', made_at FROM api_keys")
        )
    assert [key.scopes for key in api_keys.listed()] == [["read", "report"]] * 2
    shop = Shop(app, secret=old)
    assert shop.get("rewards").status_code == 200 and shop.customer().status_code == 201


def test_an_owner_chooses_what_a_key_may_do_reads_it_in_the_list_and_its_successor_may_the_same(app, scene, olivia):
    olivia.get(DESK)
    assert olivia.page.kept("scopes") == ["report", "read"]
    page = olivia.press(DESK, "/keys$", name="Reports", scopes=["read"])
    reader = Shop(app, secret=shown_secret(page))
    assert (reader.get("rewards").status_code, reader.customer().status_code) == (200, 403)
    row = next(one for one in page.tree.all("tr") if "Reports" in one.text)
    assert "read" in row.text and "report " not in row.text
    successor = Shop(app, secret=shown_secret(olivia.press(DESK, "/rotation$")))
    assert (successor.get("rewards").status_code, successor.customer().status_code) == (200, 403)
    for wrong in ([], ["everything"]):
        olivia.get(DESK)
        with Unchanged(*SEEN):
            page = olivia.submit(olivia.page.form("/keys$"), name="None", scopes=wrong)
        assert page.status == 422 and page.kept("name") == ["None"]


# --- an end ---------------------------------------------------------------------------------------------------


@pytest.mark.case(109)
@pytest.mark.both_databases
def test_a_key_works_to_the_end_of_its_day_and_then_says_that_it_has_ended(app, scene):
    end = clock.now() + timedelta(days=10)
    shop = Shop(app, secret=new_key(expires_at=end))
    scene.later(days=10, minutes=-1)
    assert shop.get("rewards").status_code == 200
    scene.later(minutes=2)
    with Unchanged(*SEEN):
        answer = shop.customer()
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert f"This key ended at {end:%Y-%m-%dT%H:%M:%SZ}." in answer.get_json(force=True)["detail"]


def test_an_owner_chooses_a_day_sees_it_near_its_end_and_what_has_ended(app, scene, tab_of):
    def desk(path=DESK):
        return tab_of(scene.olivia).get(path)

    def row():
        return next(one.text for one in desk().tree.all("tr") if "For a while" in one.text)

    on = (clock.now() + timedelta(days=30)).date()
    page = tab_of(scene.olivia).press(DESK, "/keys$", name="For a while", ends_on=on.isoformat())
    shop, (key,) = Shop(app, secret=shown_secret(page)), api_keys.listed()
    name, ends = key.public_id, key.expires_at
    assert "Live Works until" in row() and clock.local_date(ends, terms.in_force().time_zone) == on
    scene.later(days=(ends - clock.now()).days - 8)
    assert "For a while" not in desk("/admin").main
    scene.later(days=2)
    assert "The API key “For a while” ends" in desk("/admin").main and "Ending Works until" in row()
    assert shop.get("rewards").status_code == 200
    scene.later(days=8)
    assert "For a while" not in desk("/admin").main and "Ended" in row()
    assert shop.get("rewards").status_code == 401
    assert not [one for one in desk().forms if name in one.action], "nothing is left to be done with it"
    assert "has ended" in tab_of(scene.olivia).post(f"{DESK}/keys/{name}/rotation", {}, follow=True).main


def test_who_is_no_owner_is_not_told_of_keys(scene, tab_of):
    new_key("Secret matters", expires_at=clock.now() + timedelta(days=2))
    assert "Secret matters" in tab_of(scene.olivia).get("/admin").main
    assert "Secret matters" not in tab_of(scene.rita).get("/admin").main


def test_a_successor_lasts_as_long_as_the_key_before_and_that_is_no_longer_named(app, scene, tab_of):
    shop = Shop(app, secret=new_key(expires_at=clock.now() + timedelta(days=10)))
    minute = timedelta(minutes=1)
    scene.later(days=5)
    olivia = tab_of(scene.olivia)
    assert "The API key" in olivia.get("/admin").main
    olivia.press(DESK, "/rotation$")
    after, before = api_keys.listed()
    assert abs(after.expires_at - after.made_at - timedelta(days=10)) < minute, "by the clock, which goes on"
    assert before.end == after.made_at + api_keys.OVERLAP
    assert "The API key" not in olivia.get("/admin").main and shop.get("rewards").status_code == 200


def test_a_day_that_is_over_or_none_is_said_at_its_field_and_what_was_typed_stays(scene, olivia):
    for day in (
        "2020-01-01",
        (clock.now() - timedelta(days=1)).date().isoformat(),
        "someday",
        "2026-02-30",
        "0001-01-01",
        "9999-12-31",
    ):
        olivia.get(DESK)
        with Unchanged(*SEEN):
            page = olivia.submit(olivia.page.form("/keys$"), name="Late", ends_on=day)
        assert page.status == 422 and page.error("ends_on") and page.kept("name") == ["Late"], day
