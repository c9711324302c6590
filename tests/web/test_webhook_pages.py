"""Webhooks as an owner sees them: made, shown once, tried, seen to fail and to arrive, sent again, removed."""

import re
from dataclasses import replace

import pytest
from standardwebhooks import Webhook as Verifier

from portal import program, sweeps
from portal.delivery import webhooks
from portal.delivery.calls import Caller
from portal.delivery.endpoints import OVERLAP
from tests.receiver import Receiver, receiving
from tests.web.client import HTTPS
from tests.web.tables import SEEN, Unchanged

DESK = "/admin/developers"


@pytest.fixture
def olivia(scene, tab_of):
    return tab_of(scene.olivia)


@pytest.fixture
def receiver():
    with receiving(Receiver()) as found:
        yield found


def sweep(scene):
    return sweeps.send_webhooks(Caller(local=True, timeout_s=2), keep=scene.keep_secrets)


def shown_secret(page):
    (field,) = [one for one in page.tree.all("input") if one.get("id") == "secret"]
    return field.get("value")


def made(olivia, url, *events):
    page = olivia.press(DESK, "/webhooks$", url=url, events=list(events) or ["reward.created"])
    assert page.status == 200
    return page, shown_secret(page)


def links_in(page, part):
    return [one.get("href") for one in page.tree.all("a") if part in one.get("href")]


@pytest.mark.both_databases
def test_one_address_is_told_by_one_webhook(olivia):
    url = "http://127.0.0.1:9/hooks?shop=1"
    made(olivia, url)
    for again in (url, "HTTP://127.0.0.1:9/hooks?shop=1"):
        with Unchanged(*SEEN):
            page = olivia.press(DESK, "/webhooks$", url=again, events=["payout.paid"])
            assert page.status == 422 and page.kept("url") == [again]
            assert page.error("url") == f"There is a webhook to {url} already: change that one, or remove it first."
    for other in ("http://127.0.0.1:9/hooks?shop=2", "http://127.0.0.1:9/", "http://127.0.0.1:10/hooks?shop=1"):
        made(olivia, other)
    page = olivia.press(links_in(olivia.get(DESK), f"{DESK}/webhooks/")[0], "/removal$")
    made(olivia, url)


@pytest.mark.case(117)
def test_an_owner_makes_one_tries_it_sees_what_came_back_and_sends_it_again(scene, olivia, receiver):
    page, secret = made(olivia, receiver.url, "reward.created", "payout.paid")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret) and "shown this once" in page.main
    address = links_in(olivia.get(DESK), f"{DESK}/webhooks/")[0]
    assert secret not in olivia.get(address).html and "Nothing yet." in olivia.page.main
    receiver.says, receiver.text = 500, b"<script>alert(1)</script> Out of order"
    page = olivia.press(address, "/test$")
    assert "A test is on its way" in page.main and "Waiting" in page.main
    assert sweep(scene) == 0
    page = olivia.get(address)
    assert "Failing since" in page.main and "webhook.test Failed Next try on" in page.main and "500" in page.main
    page = olivia.get(links_in(page, "/deliveries/")[0])
    assert "It answered 500." in page.main and "Out of order" in page.main and "&lt;script&gt;" in page.html
    assert '"type": "webhook.test"' in page.main
    receiver.says = 200
    page = olivia.press(olivia.page.path, "/sending$")
    assert "sent again in a moment" in page.main
    assert sweep(scene) == 1
    page = olivia.get(page.path)
    assert "Arrived" in page.main and "HTTP status 200" in page.main
    first, second = receiver.taken
    assert first.headers["webhook-id"] == second.headers["webhook-id"] and first.body == second.body
    assert "Failing" not in olivia.get(address).main


def test_after_rotation_both_secrets_sign_and_the_page_says_so(scene, olivia, receiver):
    _, old = made(olivia, receiver.url)
    address = links_in(olivia.get(DESK), f"{DESK}/webhooks/")[0]
    page = olivia.press(address, "/secret$")
    new = shown_secret(page)
    assert new != old and "signs along for 24 hours" in page.main
    olivia.press(address, "/test$")
    sweep(scene)
    (one,) = receiver.taken
    moment, signed = one.headers["webhook-timestamp"], one.headers["webhook-signature"]
    assert all(
        Verifier(secret).sign(one.headers["webhook-id"], scene.at, one.body.decode()) in signed for secret in (old, new)
    )
    assert abs(int(moment) - scene.at.timestamp()) < 5
    scene.at += OVERLAP
    olivia.press(address, "/test$")
    sweep(scene)
    assert receiver.taken[-1].headers["webhook-signature"].count("v1,") == 1


WRONG = ["", "nowhere", "ftp://shop.example.com/", "http://shop.example.com/hooks", "https://10.0.0.1/x", "https://user@shop.example.com/",
         "https://shop.example.com/\x00", "https://shop.example.com/#x", "https://[::ffff:10.0.0.1]/", "https://" + "a" * 600 + ".example/",
         "javascript:alert(1)", "https://[/", "https://shop.example.com:port/"]  # fmt: skip


@pytest.mark.parametrize("url", WRONG)
def test_an_address_that_is_none_is_said_at_its_field_and_kept(olivia, url):
    olivia.get(DESK)
    with Unchanged(*SEEN):
        page = olivia.submit(olivia.page.form("/webhooks$"), url=url, events=["reward.paid", "payout.paid"])
    assert page.status == 422 and page.error("url")
    assert page.kept("url") == [url.strip()] or "\x00" in url
    ticked = [
        one.get("value")
        for one in page.tree.all("input")
        if one.get("name") == "events" and "checked" in one.attributes
    ]
    assert ticked == ["reward.paid", "payout.paid"]


def test_without_an_event_or_with_an_unknown_one_nothing_is_made(olivia):
    for events in ([], ["reward.stolen"], ["webhook.test"]):
        olivia.get(DESK)
        with Unchanged(*SEEN):
            page = olivia.submit(olivia.page.form("/webhooks$"), url="http://127.0.0.1:9/", events=events)
        assert page.status == 422 and ("at least one event" in page.main or "not" in page.main.lower())


def test_a_portal_that_is_public_takes_no_address_of_its_own_machine(app, scene, olivia, monkeypatch):
    """The same pages, as a portal at an https address has them."""
    app.extensions["settings"], before = replace(app.extensions["settings"], base_url=HTTPS), app.extensions["settings"]
    try:
        for url in ("http://127.0.0.1:8000/", "https://localhost/", "https://127.0.0.1/", "https://[::1]/"):
            page = olivia.post(f"{DESK}/webhooks", {"url": url, "events": "reward.created"})
            assert page.status == 422 and page.error("url")
    finally:
        app.extensions["settings"] = before


def test_events_are_changed_and_a_removed_one_is_gone(scene, olivia, receiver):
    made(olivia, receiver.url)
    address = links_in(olivia.get(DESK), f"{DESK}/webhooks/")[0]
    page = olivia.press(address, "/events$", events=["referral.created"])
    assert "Saved." in page.main
    assert olivia.press(address, "/events$", events=None).status == 422
    scene.pending_reward()
    assert [one.event for one in scene.told()] == ["referral.created"]
    delivery = links_in(olivia.get(address), "/deliveries/")[0]
    page = olivia.press(address, "/removal$")
    assert "is removed" in page.main and not links_in(page, f"{DESK}/webhooks/")
    assert sweep(scene) == 0 and receiver.taken == []
    for path in (address, delivery):
        assert olivia.get(path).status == 404
    for path in (f"{address}/test", f"{address}/secret", f"{delivery}/sending"):
        assert olivia.post(path, {}).status == 404


def test_who_is_switched_off_is_switched_on_again_by_hand(scene, olivia, receiver):
    made(olivia, receiver.url)
    scene.pending_reward()
    receiver.says = 410
    sweep(scene)
    address = links_in(olivia.get(DESK), f"{DESK}/webhooks/")[0]
    assert "Switched off" in olivia.page.main
    page = olivia.get(address)
    assert "nobody is there any more (410)" in page.main and not [
        one for one in page.forms if one.action.endswith("/test")
    ]
    receiver.says = 200
    button = olivia.get(address).form("/return$")
    page = olivia.submit(button)
    assert "It is switched on." in page.main and "Given up" in page.main
    page = olivia.submit(button)
    assert "Olivia did that already, on " in page.main and "It is switched on." not in page.main
    olivia.press(links_in(page, "/deliveries/")[0], "/sending$")
    assert sweep(scene) == 1


def test_a_list_longer_than_a_page_goes_on_with_older(scene, olivia):
    endpoint, _ = scene.webhook("http://127.0.0.1:9/", "reward.created")
    by = scene.olivia.id
    for _ in range(60):
        scene.do(lambda: program.try_webhook(endpoint, by=by, at=scene.later(seconds=1)))
    page = olivia.get(f"{DESK}/webhooks/{endpoint.public_id}")
    assert len(links_in(page, "/deliveries/")) == 25
    older = olivia.get(links_in(page, "before=")[0])
    assert len(links_in(older, "/deliveries/")) == 25 and len(links_in(older, "before=")) == 1
    assert len(links_in(olivia.get(links_in(older, "before=")[0]), "/deliveries/")) == 10


def test_everything_given_up_is_listed_apart_and_sent_again_by_one_press(scene, olivia, receiver):
    endpoint, _ = scene.webhook(receiver.url, "reward.created")
    by, path = scene.olivia.id, f"{DESK}/webhooks/{endpoint.public_id}"
    for _ in range(30):
        scene.do(lambda: program.try_webhook(endpoint, by=by, at=scene.later(seconds=1)))
    scene.do(lambda: webhooks.give_up(endpoint))
    scene.do(lambda: program.try_webhook(endpoint, by=by, at=scene.at))
    assert len(links_in(olivia.get(f"{path}?state=queued"), "/deliveries/")) == 1
    page = olivia.get(f"{path}?state=given_up")
    assert len(links_in(page, "/deliveries/")) == 25
    older = olivia.get(links_in(page, "before=")[0])
    assert len(links_in(older, "/deliveries/")) == 5 and "state=given_up" in older.path
    assert "Nothing here." in olivia.get(f"{path}?state=sent").main
    button = olivia.get(path).form("/sending$")
    assert "30 are sent again in a moment, each under its id." in olivia.submit(button).text
    twice = olivia.submit(button).text
    assert "Nothing is given up any more. Nothing was changed." in twice and "Send all given-up again" not in twice
    while sweep(scene):
        scene.later(seconds=1)
    assert len(receiver.taken) == 31 == len(receiver.copies)
    assert "All given-up sent again" in olivia.get("/admin/audit?what=webhook").main


def test_of_very_many_one_press_takes_a_part_and_says_how_many_are_left(scene, olivia):
    endpoint, _ = scene.webhook("http://127.0.0.1:9/", "reward.created")
    things = [(str(number), {}) for number in range(webhooks.MOST_AGAIN + 2)]
    scene.do(lambda: webhooks.put_all("reward.created", things, to={endpoint.id: False}, at=scene.at))
    path = f"{DESK}/webhooks/{endpoint.public_id}"
    page = olivia.press(path, "/sending$")
    assert f"{webhooks.MOST_AGAIN} are sent again" in page.text and "2 more are given up: press again." in page.text
    assert "2 are sent again" in olivia.press(path, "/sending$").text


def test_what_is_switched_off_is_not_sent_again_and_says_so(scene, olivia):
    endpoint, _ = scene.webhook("http://127.0.0.1:9/", "reward.created")
    scene.pending_reward()
    path = f"{DESK}/webhooks/{endpoint.public_id}"
    scene.do(lambda: webhooks.give_up(endpoint))
    button = olivia.get(path).form("/sending$")
    scene.do(lambda: [setattr(endpoint, name, value) for name, value in (("off_at", scene.at), ("off_why", "failing"))])
    assert "The webhook is switched off. Switch it on first." in olivia.submit(button).text
    assert {one.state for one in scene.told()} == {"given_up"}


def test_the_audit_list_says_who_did_what(scene, olivia, receiver):
    made(olivia, receiver.url)
    address = links_in(olivia.get(DESK), f"{DESK}/webhooks/")[0]
    olivia.press(address, "/secret$")
    olivia.press(address, "/test$")
    told = olivia.get("/admin/audit?what=webhook").main
    for words in ("Webhook made", "New secret of a webhook", "Test event sent"):
        assert words in told


def test_nothing_is_called_by_the_request_itself(scene, olivia, receiver):
    """No web request calls out: what is sent waits for the worker."""
    made(olivia, receiver.url, "reward.created")
    address = links_in(olivia.get(DESK), f"{DESK}/webhooks/")[0]
    olivia.press(address, "/test$")
    scene.pending_reward()
    assert receiver.taken == [] and len(scene.told()) == 2
