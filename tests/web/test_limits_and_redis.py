"""Limits counted in Redis: the same while it is away, told once and not at each request, and nobody's address in them."""

import dataclasses
import hashlib
import logging

import pytest

from portal import create_app
from portal.web import limits
from tests.mailserver import free_port
from tests.redisserver import Redis, listening
from tests.web.client import Tab

EMAIL, ADDRESS = "alice@example.com", "198.51.100.7"


@pytest.fixture
def settings(settings, monkeypatch):
    """A portal that counts in Redis; whether Redis was away is not handed on to the next test."""
    monkeypatch.setattr(limits.limiter, "_storage_dead", False)
    monkeypatch.setattr(limits.limiter, "_Limiter__check_backend_count", 0)
    return dataclasses.replace(settings, rate_limits=True, redis_url=f"redis://127.0.0.1:{free_port()}/0")


def asks(app, count):
    """A new password is asked for Alice so often, which is let through five times; what came back."""
    tab = Tab(app, address=ADDRESS)
    form = tab.get("/reset").form("/reset")
    return [tab.submit(form, follow=False, email=EMAIL).status for _ in range(count)]


def said_by(caplog):
    return [record for record in caplog.records if record.name == "flask-limiter"]


@pytest.mark.case(113)
def test_while_redis_is_away_the_same_limits_hold_and_it_is_said_once(app, scene, caplog):
    assert scene.alice
    with caplog.at_level(logging.INFO):
        assert [status == 429 for status in asks(app, 7)] == [False] * 5 + [True] * 2
    assert Tab(app, address="203.0.113.9").press("/reset", email=EMAIL).status == 200
    warned = [record for record in said_by(caplog) if record.levelno >= logging.WARNING]
    assert len(warned) == 1 and "unreachable" in warned[0].getMessage()
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.case(113)
def test_redis_counts_again_as_soon_as_it_is_back(app, scene, settings, caplog, monkeypatch):
    port = int(settings.redis_url.split(":")[2].split("/")[0])
    assert scene.alice
    with caplog.at_level(logging.INFO):
        with listening(Redis(), port) as first:
            assert 429 not in asks(app, 3)
            assert set(first.counts.values()) == {3}
        assert 429 not in asks(app, 1), "it is away"
        monkeypatch.setattr(limits.limiter, "_Limiter__last_check_backend", 0.0)  # as if some seconds had passed
        with listening(Redis(), port) as second:
            assert asks(app, 6)[5] == 429
            assert set(second.counts.values()) == {5}
    assert [record.levelname for record in said_by(caplog) if "storage" in record.getMessage()] == ["WARNING", "INFO"]
    assert not any(record.exc_info for record in caplog.records)


def test_who_it_is_cannot_be_found_in_redis_by_trying(app, scene, settings):
    port = int(settings.redis_url.split(":")[2].split("/")[0])
    with listening(Redis(), port) as redis:
        asks(app, 1)
        tab = Tab(app, address=ADDRESS)
        tab.sign_in(scene.alice.email)
        tab.submit(tab.get("/account/security").form("/account/address"), follow=False)
        limits_of = redis.heard
    assert b"LIMITS" in limits_of
    for known in (EMAIL, ADDRESS, f"user {scene.alice.id}"):
        assert known.encode() not in limits_of
        for name in ("sha256", "sha1", "md5", "blake2b"):
            assert hashlib.new(name, known.encode()).hexdigest()[:16].encode() not in limits_of


def test_redis_may_be_reached_by_a_socket(settings):
    settings = dataclasses.replace(settings, redis_url="unix:///nowhere/redis.sock")
    assert "/nowhere/redis.sock" in limits.trouble(settings)
    create_app(settings)  # which refuses an address of Redis that it does not know
