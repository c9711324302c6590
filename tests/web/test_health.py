"""System health as the owner reads it: the very numbers that probes are told."""

import re

import pytest

from portal import VERSION
from portal.core import clock, migrate
from portal.core.database import session, writing
from portal.delivery import webhooks, worker
from portal.reports import watched
from tests.web.tables import SEEN, Unchanged

PAGE = "/admin/developers/health"


def told(page):
    """The rows of what goes out: waiting, on their way, given up."""
    row = r"(\d+) (?:–|[\d,]+ s) (\d+) (\d+)"
    return {name: tuple(map(int, re.search(f"{name} {row}", page.main).groups())) for name in ("Mails", "Webhooks")}


@pytest.mark.both_databases
def test_the_owner_reads_what_the_probes_are_told(scene, tab_of):
    endpoint, _ = scene.webhook("http://127.0.0.1:9/", "reward.created", "referral.created")
    scene.pending_reward()
    scene.do(lambda: webhooks.give_up(endpoint))
    scene.order(scene.friend("Dora", of=scene.alice))
    with writing():
        worker.note_turn("worker", at=clock.now())
    scene.later(seconds=90)
    olivia = tab_of(scene.olivia)
    assert PAGE in [one.get("href") for one in olivia.get("/admin/developers").tree.all("a")]
    with Unchanged(*SEEN):
        page = olivia.get(PAGE)
    seen = watched.look(at=clock.now())
    expected = {"Mails": seen.outbox, "Webhooks": seen.webhooks}
    assert told(page) == {
        name: (states["queued"], states["sending"], states["given_up"]) for name, states in expected.items()
    }
    assert seen.webhooks["given_up"] == 2 == seen.webhooks["queued"] and seen.told_waits_s >= 90
    assert f"{int(seen.told_waits_s)} s" in page.main and "At work" in page.main
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[session.get_bind().dialect.name]
    assert VERSION in page.main and kind in page.main and migrate.head() in page.main
    assert "Rewards that wait for a decision 2" in page.main


def test_a_worker_that_is_away_is_said_as_readyz_says_it(scene, tab_of, tab):
    tab.may_break = True
    olivia = tab_of(scene.olivia)
    assert "The worker is not at work." in olivia.get(PAGE).main and "never" in olivia.page.main
    for seconds, ready in ((0, 200), (110, 200), (130, 503)):
        with writing():
            worker.note_turn("worker", at=clock.now())
        scene.later(seconds=seconds)
        assert tab.get("/readyz").status == ready
        assert ("The worker is not at work." in olivia.get(PAGE).main) is (ready == 503)
