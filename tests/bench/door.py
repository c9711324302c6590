"""The door: `/r/<code>`, its click committed before the answer, against a bare redirect by the same server.

    python tests/bench/door.py [--database sqlite|postgresql|both] [--seconds 5] [--repeats 3]

10,000 codes in random order, 8 and 32 connections; bare and door take turns, the median counts. Each visit comes
without a cookie, so each is a new click. Then the clicks in the database are compared with the answers that were
sent, and again after kill -9 in the middle. Goals: at least 0.85 of bare on SQLite, 0.5 on PostgreSQL; p99 at most twice.
"""

import os
import threading
import time
from pathlib import Path

from common import DONE, Figures, app_on, arguments, bare, databases, machine, median, needs_wrk, settled, wrk

from portal.accounts.users import User
from portal.core import clock, database
from portal.sharing import links
from portal.sharing.clicks import Click
from portal.sharing.links import Code, Link
from tests.faults.portals import Portal

CODES = 10_000
GOALS = {"sqlite": 0.85, "postgresql": 0.5}
CHUNK = 500


def fill() -> list[str]:
    """People with a link each, and their codes."""
    at, codes = clock.now(), []
    for start in range(0, CODES, CHUNK):
        with database.writing():
            for number in range(start, start + CHUNK):
                owner = User(email=f"person{number}@example.com", created_at=at, signed_up_at=at, confirmed_at=at)
                database.session.add(owner)
                database.session.flush()
                link = Link(owner_id=owner.id, made_at=at)
                database.session.add(link)
                database.session.flush()
                codes.append(links.generated())
                database.session.add(Code(folded=codes[-1], text=codes[-1], link_id=link.id, made_at=at))
    return codes


def script(codes: list[str], path: Path) -> Path:
    """For wrk: one of the codes each time, the requests made beforehand."""
    listed = ",".join(f'"{code}"' for code in codes)
    path.write_text(f"""local codes = {{{listed}}}
local asked = {{}}
init = function(args)
  math.randomseed(os.time())
  for i, code in ipairs(codes) do asked[i] = wrk.format("GET", "/r/" .. code) end
end
request = function() return asked[math.random(#asked)] end
{DONE}""")
    return path


def clicks(url: str, folder: Path) -> int:
    import sqlalchemy as sa

    with app_on(url, folder):
        return database.session.scalar(sa.select(sa.func.count()).select_from(Click)) or 0


def killed(portal: Portal, asked: Path, url: str, folder: Path) -> None:
    """kill -9 of everything while clicks come in: what was answered is there."""
    before, seen = clicks(url, folder), [0]

    def load() -> None:
        seen[0] = wrk(portal.port, asked, connections=32, seconds=4).answers

    client = threading.Thread(target=load)
    client.start()
    time.sleep(2)
    portal.kill()
    client.join()
    back = portal.start()
    more = clicks(url, folder) - before
    fine = "fine" if 0 <= more - seen[0] <= 32 else "WRONG"
    print(f"  kill -9 under load: {seen[0]} answers, {more} more clicks ({fine}); ready again after {back:.1f} s")


def main() -> None:
    given = arguments(__doc__ or "").parse_args()
    needs_wrk()
    print(f"The door. {machine()}")
    with databases(given.database) as wanted:
        for kind, url, folder in wanted:
            with app_on(url, folder):
                asked = script(fill(), folder / "codes.lua")
            workers = 1 if kind == "sqlite" else os.cpu_count() or 1
            print(f"{kind}: {workers} process(es) of 8 threads")
            with bare(folder, workers=workers) as port, Portal(folder, url, workers=workers) as portal:
                answers = 0
                for connections in (8, 32):
                    runs: dict[str, list[Figures]] = {"bare": [], "door": []}
                    wrk(port, asked, connections=connections, seconds=1)
                    answers += wrk(portal.port, asked, connections=connections, seconds=1).answers
                    for _ in range(given.repeats):
                        runs["bare"].append(wrk(port, asked, connections=connections, seconds=given.seconds))
                        runs["door"].append(wrk(portal.port, asked, connections=connections, seconds=given.seconds))
                    plain, door = median(runs["bare"]), median(runs["door"])
                    answers += door.answers
                    ratio = door.per_second / plain.per_second
                    print(
                        f"  {connections:2} connections: bare {plain.per_second:6.0f}/s (p50 {plain.p50:.1f}, p99 {plain.p99:.1f} ms),"
                        f" door {door.per_second:6.0f}/s (p50 {door.p50:.1f}, p99 {door.p99:.1f} ms):"
                        f" {ratio:.2f} of bare (goal {GOALS[kind]}), p99 {door.p99 / plain.p99:.1f}x (goal 2), wrong {door.wrong}"
                    )
                settled()
                stored = clicks(url, folder)
                fine = "fine" if 0 <= stored - answers <= (8 + 32) * (given.repeats + 1) else "WRONG"
                print(
                    f"  {answers} answers, {stored} clicks stored ({fine}: each answered, and those cut off at the end of a run)"
                )
                killed(portal, asked, url, folder)


if __name__ == "__main__":
    main()
