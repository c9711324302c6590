"""Slow clients: pages behind the shipped nginx configuration, quiet and while 200 clients send a byte now and then.

    .venv/bin/python tests/bench/slow_clients.py

Prints the median and the 95th percentile of pages asked for one after another. The goal: at most twice the quiet one.
"""

import argparse
import http.client
import statistics
import sys
import tempfile
import time
from pathlib import Path

from common import app_on, machine

from tests import nginx
from tests.faults.portals import AGENT, Portal
from tests.nginx import NAME, Nginx, slow_clients

PATHS = ("/login", "/terms", "/help", "/")


def times(front: Nginx, many: int) -> list[float]:
    """How many milliseconds each of so many pages took, on one connection as a browser keeps it."""
    connection = http.client.HTTPSConnection(NAME, front.tls, timeout=20)
    connection.sock = front.connect()
    took = []
    for number in range(many):
        began = time.perf_counter()
        connection.request("GET", PATHS[number % len(PATHS)], headers={"User-Agent": AGENT})
        answer = connection.getresponse()
        answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, answer.status
    connection.close()
    return took


def p95(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[94]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    if reason := nginx.why_not():
        sys.exit(reason)
    print(f"Slow clients. {machine()}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'portal.db'}"
        with app_on(url, folder):
            pass
        portal = Portal(folder, url)
        with nginx.running(folder / "nginx", portal.port) as front:
            portal.host = f"{NAME}:{front.tls}"
            portal.environ["BASE_URL"] = f"https://{portal.host}"
            with portal:
                times(front, 100)
                for _ in range(given.repeats):
                    quiet = times(front, given.pages)
                    with slow_clients(front, given.clients):
                        busy = times(front, given.pages)
                    print(
                        f"  quiet: p50 {statistics.median(quiet):.1f} ms, p95 {p95(quiet):.1f} ms; with {given.clients}"
                        f" slow clients: p50 {statistics.median(busy):.1f} ms, p95 {p95(busy):.1f} ms:"
                        f" {p95(busy) / p95(quiet):.2f}x (goal 2)"
                    )


if __name__ == "__main__":
    main()
