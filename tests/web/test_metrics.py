"""`/metrics`: nothing without the setting, nothing without the token; what an operator watches; and the probes."""

import dataclasses
import re

import pytest
import sqlalchemy as sa

from portal import VERSION
from portal.core import clock, migrate
from portal.core.database import session, writing
from portal.delivery import worker
from tests.web.client import Tab

TOKEN = "a token of the operator"[:16].replace(" ", "-")
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def settings(settings):
    """A portal whose operator watches it."""
    return dataclasses.replace(settings, metrics_token=TOKEN)


def numbers(page):
    """Every number by its name and labels; the text is as Prometheus reads it."""
    assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found, told = {}, set()
    for line in page.html.splitlines():
        if line.startswith("# TYPE "):
            told.add(line.split()[2])
        elif not line.startswith("# HELP "):
            name, value = re.fullmatch(r"(\w+(?:\{(?:\w+=\"[^\"]*\",?)+\})?) (\S+)", line).groups()
            assert re.sub(r"_(bucket|sum|count)$", "", name.split("{")[0]) in told or name.split("{")[0] in told
            assert name not in found
            found[name] = float(value)
    return found


def test_without_the_token_or_with_another_nothing_is_told(app, tab, each):
    wrong = [{}, {"Authorization": "Bearer "}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"},
             {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer \xff"}]  # fmt: skip
    for tried in each(wrong):
        with tried as headers:
            page = tab.get("/metrics", headers=headers)
            assert page.status == 401 and "portal_" not in page.html
    assert tab.get(f"/metrics?token={TOKEN}").status == 401


@pytest.mark.both_databases
def test_what_an_operator_watches(app, scene, tab, tab_of):
    scene.webhook()
    scene.pending_reward()
    tab_of(scene.alice).get("/dashboard")
    with writing():
        worker.note_turn("worker", at=clock.now())
    before = numbers(tab.get("/metrics", headers=BEARER))
    scene.later(minutes=5)
    for path in ("/", "/nothing", f"/r/{scene.code(scene.alice)}"):
        tab.get(path)
    seen = numbers(tab.get("/metrics", headers=BEARER))
    process = next(re.findall(r'process="(\d+)"', name)[0] for name in seen if "process" in name)
    more = {
        kind: seen[name] - before[name]
        for kind in ("2xx", "3xx", "4xx", "5xx")
        for name in [f'portal_request_seconds_count{{process="{process}",status="{kind}"}}']
    }
    assert more == {"2xx": 2, "3xx": 1, "4xx": 1, "5xx": 0}, "the page, the probe before; the link; nothing there"
    for kind in ("2xx", "4xx"):
        last = seen[f'portal_request_seconds_bucket{{process="{process}",status="{kind}",le="+Inf"}}']
        assert last == seen[f'portal_request_seconds_count{{process="{process}",status="{kind}"}}']
    assert seen[f'portal_build_info{{version="{VERSION}"}}'] == 1
    assert seen["portal_database_up"] == 1
    assert seen[f'portal_schema{{needed="{migrate.head()}",state="current"}}'] == 1
    assert seen["portal_rewards_pending"] == 1 and seen["portal_sign_ins_live"] == 1
    assert 300 <= seen["portal_worker_turn_age_seconds"] < 310
    assert seen['portal_outbox_messages{state="queued"}'] >= 1
    assert seen["portal_outbox_oldest_due_seconds"] >= 300
    assert seen["portal_webhooks_oldest_due_seconds"] >= 300
    assert (seen['portal_webhooks{state="queued"}'], seen['portal_webhooks{state="given_up"}']) == (2, 0)


@pytest.mark.wrecks_the_books
def test_a_database_that_does_not_answer_or_is_of_another_version_is_told(app, tab):
    tab.may_break = True
    with writing():
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    seen = numbers(tab.get("/metrics", headers=BEARER))
    assert seen[f'portal_schema{{needed="{migrate.head()}",state="ahead"}}'] == 1
    assert "portal_rewards_pending" not in seen
    ready = tab.get("/readyz")
    assert ready.status == 503 and '"schema":"ahead"' in ready.html.replace(" ", "")
    with writing():
        session.execute(sa.text("ALTER TABLE alembic_version RENAME TO gone"))
        session.execute(sa.text("CREATE VIEW alembic_version AS SELECT version_num FROM nowhere"))
    seen = numbers(tab.get("/metrics", headers=BEARER))
    assert seen["portal_database_up"] == 0 and seen[f'portal_build_info{{version="{VERSION}"}}'] == 1
    ready = tab.get("/readyz")
    assert ready.status == 503 and '"notready"' in ready.html.replace(" ", "")
    assert tab.get("/healthz").status == 200


def test_who_watches_may_ask_by_the_address_of_a_process(app, tab):
    for path in ("/healthz", "/metrics"):
        assert tab.get(path, headers=BEARER | {"Host": "10.0.0.7:8001"}).status == 200
    assert tab.get("/", headers={"Host": "10.0.0.7:8001"}).status == 400
    assert tab.post("/healthz", headers={"Host": "10.0.0.7:8001"}).status == 400


def test_ready_is_a_portal_with_its_schema_and_a_worker_of_the_last_two_minutes(app, scene, tab):
    tab = Tab(app)
    tab.may_break = True
    assert tab.get("/readyz").status == 503
    with writing():
        worker.note_turn("worker", at=clock.now())
    assert tab.get("/readyz").status == 200
    scene.later(minutes=3)
    assert tab.get("/readyz").status == 503
