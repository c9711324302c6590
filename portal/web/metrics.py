"""Metrics: what an operator watches, as text that Prometheus reads, for who brings the token.

Requests are counted by each process for itself, under its number; the rest is asked of the database. Prometheus's text
format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
"""

import hmac
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue

from portal import VERSION
from portal.core import clock, database, migrate
from portal.reports import watched
from portal.web import limits

blueprint = Blueprint("metrics", __name__)

UP_TO_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""The longest seconds of each step of the histogram; whatever takes longer is in the last one."""

WATCHED = frozenset({"/healthz", "/readyz", "/metrics"})

CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


class Counts:
    """How many requests this process has answered, and how long it took, by the class of their status."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps = {kind: [0] * (len(UP_TO_S) + 1) for kind in CLASSES}
        self._seconds = dict.fromkeys(CLASSES, 0.0)

    def add(self, status: int, seconds: float) -> None:
        """Counts one request, from its coming in until its answer was ready."""
        kind, step = CLASSES[status // 100 - 1], bisect_left(UP_TO_S, seconds)
        with self._lock:
            self._steps[kind][step] += 1
            self._seconds[kind] += seconds

    def lines(self) -> Iterator[str]:
        """The histogram, its steps added up as Prometheus wants them."""
        with self._lock:
            steps, spent = {kind: list(many) for kind, many in self._steps.items()}, dict(self._seconds)
        for kind in CLASSES:
            labels, total = f'process="{os.getpid()}",status="{kind}"', 0
            for most, many in zip((*UP_TO_S, "+Inf"), steps[kind], strict=True):
                total += many
                yield f'portal_request_seconds_bucket{{{labels},le="{most}"}} {total}'
            yield f"portal_request_seconds_sum{{{labels}}} {spent[kind]:.6f}"
            yield f"portal_request_seconds_count{{{labels}}} {total}"


class Probes:
    """WSGI middleware: who watches may ask by any Host name, such as the address of one process. No answer names it."""

    def __init__(self, inner: Callable[..., Iterable[bytes]], host: str) -> None:
        self.inner, self.host = inner, host

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] in WATCHED and environ["REQUEST_METHOD"] == "GET":
            environ["HTTP_HOST"] = self.host
        return self.inner(environ, start_response)


@blueprint.get("/metrics")
@limits.api
def metrics() -> ResponseReturnValue:
    """404 unless METRICS_TOKEN is set; then for `Authorization: Bearer <token>`."""
    token: str = current_app.extensions["settings"].metrics_token
    if not token:
        abort(404)
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
        return Response("The token is missing or another.\n", 401, {"WWW-Authenticate": "Bearer"}, "text/plain")
    lines = [*_of_the_code(), *_of_requests(), *_of_the_database()]
    return Response("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")


def _of_the_code() -> Iterator[str]:
    yield from _told("build_info", "gauge", "The version of this code.", [(f'{{version="{VERSION}"}}', 1)])


def _of_requests() -> Iterator[str]:
    counts: Counts = current_app.extensions["counts"]
    yield from _told("request_seconds", "histogram", "Requests answered by this process, by class of status.", ())
    yield from counts.lines()


def _of_the_database() -> Iterator[str]:
    try:
        standing, seen = migrate.state(database.db.engine), None
        if standing.state == migrate.State.CURRENT:
            seen = watched.look(at=clock.now())
    except database.Unavailable:
        yield from _told("database_up", "gauge", "Whether the database answers.", [("", 0)])
        return
    yield from _told("database_up", "gauge", "Whether the database answers.", [("", 1)])
    labels = f'{{needed="{migrate.head()}",state="{standing.state}"}}'
    yield from _told("schema", "gauge", "The schema this code needs, and how the database's stands.", [(labels, 1)])
    if seen is None:
        return
    states = [(f'{{state="{state}"}}', many) for state, many in seen.outbox.items()]
    yield from _told("outbox_messages", "gauge", "Mails, by state.", states)
    yield from _told("outbox_oldest_due_seconds", "gauge", "How long the oldest due mail waits.", [("", seen.waits_s)])
    told = [(f'{{state="{state}"}}', many) for state, many in seen.webhooks.items()]
    yield from _told("webhooks", "gauge", "Webhooks of the last month, by state.", told)
    waits = [("", seen.told_waits_s)]
    yield from _told("webhooks_oldest_due_seconds", "gauge", "How long the oldest due webhook waits.", waits)
    if seen.worker_s is not None:
        yield from _told("worker_turn_age_seconds", "gauge", "Since the worker's last turn.", [("", seen.worker_s)])
    yield from _told("sign_ins_live", "gauge", "People signed in, by browser.", [("", seen.sign_ins)])
    yield from _told("rewards_pending", "gauge", "Rewards that wait for a decision.", [("", seen.pending)])


def _told(name: str, kind: str, text: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP portal_{name} {text}"
    yield f"# TYPE portal_{name} {kind}"
    for labels, value in values:
        yield f"portal_{name}{labels} {value:g}"
