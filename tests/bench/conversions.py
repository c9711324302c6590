"""Orders over the API: new ones and repeated ones against a bare answer that checks the key, by the same server.

    python tests/bench/conversions.py [--database sqlite|postgresql|both] [--seconds 5] [--repeats 3]

8 connections; bare, new and repeated take turns, the median counts. Each new order earns its referrer a reward and is
committed before the answer. Goals: new at least 0.25 of bare, repeated at least 1.5 of new, p99 at most 10 times.
"""

import os
import time
from pathlib import Path

import sqlalchemy as sa
from common import DONE, Figures, app_on, arguments, bare, databases, machine, median, needs_wrk, settled, wrk

from portal import program
from portal.accounts import api_keys
from portal.core import clock, database
from portal.reports import books
from portal.rewards.conversions import Conversion, Customer
from portal.sharing import links
from tests.bench.bare import KEY
from tests.factories import EVERY, Scene, fixed
from tests.faults.portals import Portal

FRIENDS = 200
KNOWN = 500


def fill(app: object) -> str:
    """A program that pays for each order of two hundred friends; gives the API key."""
    scene = Scene(app, fixed(2000, **EVERY), at=clock.now())
    code = links.current_code(links.main_link(scene.alice.id).id)
    for number in range(FRIENDS):
        name = Customer(f"customer-{number}", f"friend{number}@example.com")
        scene.do(lambda name=name: program.report_customer(name, code=code, at=scene.at))
    return scene.do(lambda: api_keys.make("bench", by=None, at=scene.at))


def script(path: Path, key: str, name: str) -> Path:
    """For wrk: orders under names made by `name`, a Lua expression with `n` (a number) and `thread`."""
    path.write_text(f"""local counted = 0
setup = function(thread) counted = counted + 1; thread:set("thread", counted) end
local n, run = 0, os.time()
request = function()
  n = n + 1
  local body = string.format('{{"goal": "purchase", "external_id": "%s", "customer": {{"external_id": "customer-%d"}},'
    .. ' "amount_minor": 6400, "currency": "EUR"}}', {name}, n % {FRIENDS})
  return wrk.format("POST", "/api/v1/conversions",
    {{["Content-Type"] = "application/json", ["Authorization"] = "Bearer {key}"}}, body)
end
{DONE}""")
    return path


def main() -> None:
    given = arguments(__doc__ or "").parse_args()
    needs_wrk()
    print(f"Orders over the API. {machine()}")
    with databases(given.database) as wanted:
        for kind, url, folder in wanted:
            with app_on(url, folder) as app:
                key = fill(app)
            workers = 1 if kind == "sqlite" else os.cpu_count() or 1
            print(f"{kind}: {workers} process(es) of 8 threads")
            scripts = {
                "bare": script(folder / "bare.lua", KEY, '"b-" .. n'),
                "new": script(folder / "new.lua", key, 'run .. "-" .. os.clock() .. "-" .. thread .. "-" .. n'),
                # n and the friend go up together, so a known order always names the same friend
                "repeated": script(folder / "repeated.lua", key, f'"k-" .. n % {KNOWN * FRIENDS}'),
            }
            with bare(folder, workers=workers) as port, Portal(folder, url, workers=workers) as portal:
                compare(port, portal, scripts, seconds=given.seconds, repeats=given.repeats)
            settled()
            with app_on(url, folder):
                orders = database.session.scalar(sa.select(sa.func.count()).select_from(Conversion))
                faults = list(books.faults())
                print(f"  {orders} orders; the books {'are right' if not faults else faults[:3]}")


def compare(port: int, portal: Portal, scripts: dict[str, Path], *, seconds: int, repeats: int) -> None:
    runs: dict[str, list[Figures]] = {name: [] for name in scripts}
    ports = {name: port if name == "bare" else portal.port for name in scripts}
    for name, asked in scripts.items():
        wrk(ports[name], asked, connections=8, seconds=2)
    for _ in range(repeats):
        for name, asked in scripts.items():
            runs[name].append(wrk(ports[name], asked, connections=8, seconds=seconds))
            time.sleep(0.5)
    plain, new, again = (median(runs[name]) for name in ("bare", "new", "repeated"))
    for name, seen in (("bare", plain), ("new", new), ("repeated", again)):
        print(f"  {name:8} {seen.per_second:6.0f}/s (p50 {seen.p50:.1f}, p99 {seen.p99:.1f} ms), wrong {seen.wrong}")
    print(
        f"  new {new.per_second / plain.per_second:.2f} of bare (goal 0.25),"
        f" repeated {again.per_second / new.per_second:.2f} of new (goal 1.5), p99 {new.p99 / plain.p99:.1f}x (goal 10)"
    )


if __name__ == "__main__":
    main()
