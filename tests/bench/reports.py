"""Reports: how long each question takes at a size, and that its answer is the rows' to the last one.

    python tests/bench/reports.py [--database sqlite|postgresql|both] [--repeats 5] [--clicks 50000 | --full]

`--full`: a million clicks, 100,000 users, 200,000 conversions, 300,000 rewards over a year; the default is a twentieth.
The rows are made by bulk SQL in a temporary folder, triggers and all, and rolled up by the worker's own sweep. Each time
is the median of some repeats in one process, from the question to its numbers; pages are timed with their rendering.
On PostgreSQL the server's own work is not in the processor's time.
Goal: each report within 50 ms.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from common import app_on, arguments, databases, machine

from portal import sweeps
from portal.accounts import sign_ins, users
from portal.accounts.users import NOWHERE
from portal.core import clock, database
from portal.core.database import session
from portal.reports import cohorts, facts, figures, rankings, rollups
from portal.reports.facts import By, Measure
from portal.reports.figures import Range
from portal.rewards import ledger, rules
from portal.terms import in_force
from portal.web import access
from tests.factories import Scene

FULL = 1_000_000
GOAL_MS = 50
YEAR_S = 365 * 86_400


class Size:
    """How many of each, by the number of clicks."""

    def __init__(self, many: int) -> None:
        self.clicks, self.users = many, many // 10
        self.referrers = self.users // 5
        self.referrals = self.users - self.referrers
        self.conversions, self.rewards = many // 5, many * 3 // 10
        self.invites, self.refunds = many // 30, many // 200


def fill(size: Size, scene: Scene) -> None:
    """Everything, in bulk. A few referrers have most of it, as it is: shares fall with the third power."""
    lite = database.is_sqlite()
    start = clock.now() - timedelta(seconds=YEAR_S)
    text = start.strftime("%Y-%m-%d %H:%M:%S")

    def at(seconds: str) -> str:
        if lite:
            return f"strftime('%Y-%m-%d %H:%M:%S.000000', '{text}', '+' || CAST({seconds} AS INTEGER) || ' seconds')"
        return f"(TIMESTAMPTZ '{text}+00' + CAST({seconds} AS bigint) * INTERVAL '1 second')"

    def dice(seed: int, n: str = "n") -> str:
        return f"((({n} * {n} % 2147483647) * 48271 + {n} * 16807 + {seed} * 69621) % 2147483647 / 2147483647.0)"

    def whole(number: str) -> str:
        return f"CAST(floor({number}) AS bigint)" if not lite else f"CAST({number} AS INTEGER)"

    def put(table: str, many: int, **columns: str) -> None:
        series = f"WITH RECURSIVE s(n) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT n + 1 FROM s WHERE n < {many})"
        names, values = ", ".join(columns), ", ".join(columns.values())
        ahead, inside = ("", f"{series} ") if not lite else (f"{series} ", "")
        session.execute(sa.text(f"{ahead}INSERT INTO {table} ({names}) {inside}SELECT {values} FROM s"))

    terms = in_force()
    rule = rules.of_terms(terms.id)[0]
    first = session.scalar(sa.text("SELECT max(id) FROM users")) or 0
    link0 = session.scalar(sa.text("SELECT max(id) FROM links")) or 0
    skewed = whole(f"{size.referrers} * {dice(3)} * {dice(3)} * {dice(3)}")
    owner = f"{first} + 1 + {skewed}"
    joined = at(f"{YEAR_S} * {dice(5)}")
    with database.writing():
        put("users", size.users, id=f"{first} + n", public_id="'u' || n", email="'p' || n || '@example.net'",
            name="'Person ' || n", shows_name="true", fs_uniquifier="'f' || n", created_at=at("1"),
            signed_up_at=at("1"), confirmed_at=at("1"), language="''")  # fmt: skip
        put("links", size.users, id=f"{link0} + n", public_id="'l' || n", owner_id=f"{first} + n", label="''",
            addressed="false", made_at=at("1"))  # fmt: skip
        put("codes", size.users, folded="'code' || n", text="'CODE' || n", link_id=f"{link0} + n", made_at=at("1"))
        put("clicks", size.clicks, link_id=f"{link0} + 1 + {skewed}",
            visitor=f"'v' || {whole(f'{size.clicks * 0.6} * {dice(7)}')}", hour="n",
            at=at(f"{YEAR_S} * (n / {size.clicks}.0)"), last_at=at(f"{YEAR_S} * (n / {size.clicks}.0)"))  # fmt: skip
        put("invites", size.invites, public_id="'i' || n", owner_id=f"{first} + 1 + n % {size.referrers}",
            link_id=f"{link0} + n", to_hash="'h' || n", note="''", made_at=at(f"{YEAR_S} * {dice(9)}"))  # fmt: skip
        put("referrals", size.referrals, id="n", public_id="'r' || n", referrer_id=owner,
            referee_id=f"{first} + {size.referrers} + n", link_id=f"{link0} + 1 + {skewed}", code="'x'",
            how="'last_touch'", weighed="'[]'", terms_id=str(terms.id), touched_at=joined, joined_at=joined,
            expires_at=at(f"{YEAR_S} * 2"),
            counted_at=f"CASE WHEN n % 3 > 0 THEN {at(f'{YEAR_S} * ({dice(5)} + (1 - {dice(5)}) * {dice(6)})')} END")  # fmt: skip
        put("conversions", size.conversions, id="n", public_id="'c' || n", source="'shop'", external_id="'e' || n",
            goal="CASE WHEN n % 5 < 2 THEN 'signup' ELSE 'purchase' END", customer_external_id="'x' || n",
            amount_minor="CASE WHEN n % 5 < 2 THEN NULL ELSE 1000 + n % 9000 END",
            currency="CASE WHEN n % 5 < 2 THEN NULL ELSE 'EUR' END", occurred_at=at(f"{YEAR_S} * {dice(12)}"),
            received_at=at(f"{YEAR_S} * {dice(12)}"), customer_id=f"{first} + {size.referrers} + 1 + n % {size.referrals}",
            referral_id=f"1 + n % {size.referrals}", applied_at=at("1"), counted="true", outcome="'[]'")  # fmt: skip
        made = at(f"{YEAR_S} * {dice(15)}")
        state = "CASE n % 10 WHEN 0 THEN 'pending' WHEN 1 THEN 'rejected' WHEN 2 THEN 'reversed' WHEN 3 THEN 'approved' ELSE 'paid' END"
        put("rewards", size.rewards, id="n", public_id="'w' || n", person_id=f"{first} + 1 + n % {size.referrers}",
            beneficiary="'referrer'", referral_id=f"1 + n % {size.conversions} % {size.referrals}",
            conversion_id=f"1 + n % {size.conversions}", rule_id=str(rule.id),
            rule_key=f"CASE WHEN n <= {size.conversions} THEN 'one' ELSE 'two' END", ordinal="n",
            amount_minor="500 + n % 2000", currency="'EUR'", computation="'[]'", made_at=made, hold_until=made,
            state=state, released_at=f"CASE WHEN n % 10 > 3 THEN {made} END", paid_at=f"CASE WHEN n % 10 > 3 THEN {made} END")  # fmt: skip
        put("refunds", size.refunds, id="n", public_id="'b' || n", source="'shop'", external_id="'rf' || n",
            conversion_external_id="'e' || n", received_at=at("1"))  # fmt: skip
        put("clawbacks", size.refunds, public_id="'k' || n", reward_id="n * 7", refund_id="n", amount_minor="100",
            at=at(f"{YEAR_S} * 0.99"))  # fmt: skip
        moves = (("reward", "program", "pending", ""), ("decision", "pending", "approved", "WHERE id % 10 > 2"),
                 ("release", "approved", "payable", "WHERE id % 10 > 3"), ("line_drawn", "payable", "in_payout", "WHERE id % 10 > 3"),
                 ("line_paid", "in_payout", "paid", "WHERE id % 10 > 3"))  # fmt: skip
        for cause, left, entered, where in moves:
            moved = f"SELECT person_id, '{left}', '{entered}', amount_minor, currency, '{cause}', id, id, made_at FROM rewards"
            columns = "user_id, from_bucket, to_bucket, amount_minor, currency, cause_kind, cause_id, reward_id, at"
            session.execute(sa.text(f"INSERT INTO transfers ({columns}) {moved} {where}"))
    tidy()


def tidy() -> None:
    """On PostgreSQL, what it does by itself within a minute or two of many new rows: until then it guesses, and takes
    three times as long."""
    if not database.is_sqlite():
        session.rollback()
        with database.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))


# --- timed ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """Milliseconds by the clock, and of this process's processor: on a busy machine they are far apart."""

    clock_ms: float
    own_ms: float

    def __str__(self) -> str:
        return f"{self.clock_ms:7.1f} ms ({self.own_ms:6.1f} of the processor)"


def median(ask: Callable[[], Any], repeats: int) -> Taken:
    """The median time of a question; the first one, which compiles its statement, is left out."""
    taken = []
    for _ in range(repeats + 1):
        session.rollback()
        begun, own = time.perf_counter(), time.process_time()
        ask()
        taken.append(((time.perf_counter() - begun) * 1000, (time.process_time() - own) * 1000))
    return Taken(*(statistics.median(times) for times in zip(*taken[1:], strict=True)))


def questions() -> dict[str, Callable[[], Any]]:
    """Each report as its page asks it, for several ranges."""

    def seen() -> figures.View:
        return figures.view(in_force(), at=clock.now())

    def days(count: int) -> Range:
        return figures.local_days(clock.now(), in_force().time_zone, count)

    def performance(count: int) -> Callable[[], Any]:
        within = days(count)
        return lambda: figures.series(seen(), (within, within.usual_step), (within.before, within.usual_step))

    def listed(by: By, measure: Measure, count: int) -> Callable[[], Any]:
        return lambda: rankings.ranked(seen(), days(count), by, measure, most=50)

    asked: dict[str, Callable[[], Any]] = {}
    for count in (7, 30, 90, 365):
        asked[f"performance, {count} days and the {count} before"] = performance(count)
    for count in (30, 90, 365):
        for by in By:
            for measure in facts.RANKED:
                asked[f"{by}s by {measure}, {count} days"] = listed(by, measure, count)
        asked[f"active referrers, {count} days"] = lambda count=count: rankings.active_referrers(seen(), days(count))  # type: ignore[misc]
    for count, step in ((90, figures.Step.WEEK), (365, figures.Step.MONTH)):
        asked[f"cohorts by {step}, {count} days"] = lambda count=count, step=step: cohorts.cohorts(
            seen(), days(count), step
        )  # type: ignore[misc]
    asked["what is owed"] = lambda: figures.owed(seen(), "EUR")
    return asked


def compare() -> list[str]:
    """What differs between the roll-ups and the rows: every day, every referrer, every link."""
    faults = []
    seen = figures.view(in_force(), at=clock.now())
    plain = replace(seen, standing=replace(seen.standing, until=rollups.NEVER, differences=rollups.Differences()))
    for count in (30, 365):
        within = figures.local_days(clock.now(), seen.zone, count)
        (one,), (other,) = (figures.series(each, (within, figures.Step.DAY)) for each in (seen, plain))
        if one != other:
            faults.append(f"the days of {count}")
        for by in By:
            for measure in (Measure.CUSTOMERS, Measure.CLICKS, Measure.COST):
                a, b = (rankings.ranked(each, within, by, measure, most=1_000_000) for each in (seen, plain))
                wanted = [(line.number, line.rank) for line in b[0]]
                first, _ = rankings.ranked(seen, within, by, measure, most=50)
                if [(line.number, line.rank) for line in a[0]] != wanted:
                    faults.append(f"{by} by {measure} in {count} days")
                if [(line.number, line.rank) for line in first] != wanted[:50]:
                    faults.append(f"the first page of {by} by {measure} in {count} days")
        at = clock.start_of_day(within.first, seen.zone)
        sql = "SELECT count(*), count(DISTINCT visitor) FROM clicks WHERE at >= :at"
        bound = sa.text(sql).bindparams(sa.bindparam("at", at, database.Moment()))
        if tuple(session.execute(bound).one()) != (one.total.clicks, one.visitors):
            faults.append(f"clicks and visitors of {count} days")
    if figures.owed(seen, "EUR") != ledger.totals("EUR"):
        faults.append("what is owed")
    return faults


def pages(app: Any, repeats: int, owner_id: int) -> None:
    """The pages, as the owner opens them."""
    client = app.test_client()
    owner = users.User.by_id(owner_id)
    uniquifier = owner.fs_uniquifier
    with database.writing():
        secret = sign_ins.start(owner_id, surroundings=NOWHERE, at=clock.now())
    with client.session_transaction() as kept:
        kept.update({"_user_id": uniquifier, "_fresh": True, access.TOKEN: secret})
    for path in PAGES:
        assert client.get(path).status_code == 200, path
        print(f"  {median(lambda path=path: client.get(path), repeats)}  page {path}")


PAGES = (
    "/admin/reports", "/admin/reports?range=90", "/admin/reports?from=2000-01-01&to=2099-01-01", "/admin/reports/referrers",
    "/admin/reports/links", "/admin/reports/cohorts?range=365", "/admin/reports/money", "/admin/reports/lists/clicks", "/admin/reports/lists/rewards",
    "/admin",
)  # fmt: skip


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--clicks", type=int, default=FULL // 20)
    parser.add_argument("--full", action="store_true", help="a million clicks")
    given = parser.parse_args()
    size = Size(FULL if given.full else given.clicks)
    print(f"Reports at {size.clicks} clicks, {size.users} users, {size.rewards} rewards. {machine()}")
    with databases(given.database) as wanted:
        for kind, url, folder in wanted:
            measure_on(kind, url, folder, size, given.repeats)


def measure_on(kind: str, url: str, folder: Path, size: Size, repeats: int) -> None:
    with app_on(url, folder) as app:
        scene = Scene(app, at=clock.now(), time_zone="Europe/Berlin")
        owner = scene.olivia.id
        begun = time.perf_counter()
        fill(size, scene)
        made = time.perf_counter() - begun
        begun = time.perf_counter()
        steps = sweeps.roll_up()
        rolled = time.perf_counter() - begun
        tidy()
        print(f"{kind}: rows made in {made:.0f} s, rolled up from nothing in {rolled:.0f} s ({steps} steps)")
        for name, ask in questions().items():
            taken = median(ask, repeats)
            print(f"  {taken}  {name}{'' if taken.clock_ms <= GOAL_MS else '  MISSED'}", flush=True)
        with database.writing():
            session.execute(sa.text("UPDATE rewards SET state = 'approved' WHERE id % 1000 = 0 AND state = 'pending'"))
        taken = median(list(questions().values())[1], repeats)
        print(f"  {taken}  performance, 30 days, with {size.rewards // 1000} decisions not rolled up yet")
        begun = time.perf_counter()
        steps = sweeps.roll_up()
        print(f"  {(time.perf_counter() - begun) * 1000:7.1f} ms  the sweep that rolls them up ({steps} steps)")
        begun = time.perf_counter()
        faults = compare()
        told = "equal to the rows" if not faults else f"NOT equal: {faults}"
        print(f"  {told} (compared in {time.perf_counter() - begun:.0f} s)")
        pages(app, repeats, owner)


if __name__ == "__main__":
    main()
