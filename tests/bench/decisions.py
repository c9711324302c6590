"""The queue: deciding 1,000 rewards of 100 people against set-based SQL, and any page of 50,000 against the first.

    python tests/bench/decisions.py [--database sqlite|postgresql|both] [--repeats 3]

The set-based SQL approves by writing the same rows (decisions, transfers, history, a mail with a fixed text for each
person) in five statements and one commit. Goals: approving at most 2 times of it; a page, however deep and in whichever
order, at most 1.5 times of the first. For rejecting and taking back there is no goal; they are printed beside it.
"""

import statistics
import time
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from common import app_on, arguments, databases, machine

from portal import program
from portal.accounts.users import User
from portal.core import clock, database
from portal.core.database import session
from portal.reports import books, queue
from portal.reports.queue import Filters, Order
from portal.rewards import decisions
from portal.rewards.decisions import Reason
from portal.rewards.rewards import Reward, State
from tests.domain.many import many_pending
from tests.factories import Scene, fixed

SELECTED, PEOPLE, QUEUE = 1000, 100, 50_000
MOMENT = sa.DateTime(timezone=True)

SET_BASED = (
    "INSERT INTO decisions (reward_id, number, verdict, by_id, at, amount_minor)"
    " SELECT id, 1, 'approve', :by, :at, amount_minor FROM rewards WHERE id BETWEEN :first AND :last",
    "INSERT INTO transfers (user_id, from_bucket, to_bucket, amount_minor, currency, cause_kind, cause_id, reward_id, at)"
    " SELECT r.person_id, 'pending', 'approved', r.amount_minor, r.currency, 'decision', d.id, r.id, :at"
    " FROM rewards r JOIN decisions d ON d.reward_id = r.id WHERE r.id BETWEEN :first AND :last",
    "INSERT INTO audit_entries (at, actor_id, verb, subject_kind, subject_id, details)"
    " SELECT :at, :by, 'reward_approve', 'reward', public_id, '{}' FROM rewards WHERE id BETWEEN :first AND :last",
    'INSERT INTO outbox (public_id, kind, about_kind, about_id, "to", to_hash, subject, text, secret, state, made_at,'
    " due_at, tries, trouble)"
    " SELECT min(r.public_id), 'reward_approved', 'approval', min(r.public_id), u.email, 'x', 'On its way',"
    " :text, false, 'queued', :at, :at, 0, '' FROM rewards r JOIN users u ON u.id = r.person_id"
    " WHERE r.id BETWEEN :first AND :last GROUP BY u.id, u.email",
    "UPDATE rewards SET state = 'approved' WHERE id BETWEEN :first AND :last",
)


def main() -> None:
    given = arguments(__doc__ or "").parse_args()
    print(f"The queue. {machine()}")
    with databases(given.database) as wanted:
        for kind, url, folder in wanted:
            with app_on(url, folder) as app:
                scene = Scene(app, fixed(2000), at=clock.now())
                approving(kind, scene, repeats=given.repeats)
                deep(kind, scene, repeats=given.repeats)
                faults = [fault for fault in books.faults() if "unsealed" not in fault]
                print(f"  the books {'are right' if not faults else faults[:3]}")


def approving(kind: str, scene: Scene, *, repeats: int) -> None:
    """Approves one batch of a thousand by the verb and one by SQL, in turns; the first is then taken back and rejected."""
    rita = scene.rita.id
    numbers = thousand(scene)
    timed(lambda at: program.approve_many(numbers, by=rita, at=at))
    analyze()
    by_verb, by_sql, undone, rejected = [], [], [], []
    for _ in range(repeats):
        numbers = thousand(scene)
        by_verb.append(timed(lambda at, numbers=numbers: program.approve_many(numbers, by=rita, at=at)))
        decided_at = decisions.of_reward(numbers[0])[0].at
        undone.append(timed(lambda at, was=decided_at: program.undo_at_once(was, by=rita, note="Too soon.", at=at)))
        rejected.append(timed(lambda at, numbers=numbers: program.reject_many(
            numbers, by=rita, reason=Reason.ABUSE, told="Not by our terms.", at=at)))  # fmt: skip
        numbers = thousand(scene)
        values = {"by": rita, "first": numbers[0], "last": numbers[-1], "text": "x" * 600}
        by_sql.append(timed(lambda at, values=values: set_based(values | {"at": at})))
    verb, sql, undo, no = (statistics.median(times) for times in (by_verb, by_sql, undone, rejected))
    print(f"{kind}: approving {SELECTED:,}: {verb:.0f} ms, set-based SQL {sql:.0f} ms: {verb / sql:.1f} times (goal 2)")
    print(f"{kind}: taking them back {undo:.0f} ms, rejecting them {no:.0f} ms")


def thousand(scene: Scene) -> list[int]:
    """So many pending rewards of new people."""
    for _ in range(PEOPLE):
        many_pending(scene, newcomer(scene), SELECTED // PEOPLE, amount_minor=2000)
    return waiting()


def newcomer(scene: Scene) -> User:
    """A friend of a referrer of their own: rewards are counted by referrer."""
    number = next(scene._numbers)
    return scene.friend(f"Friend{number}", of=scene.person(f"Referrer{number}"))


def analyze() -> None:
    """As the database does by itself in time."""
    with database.writing():
        session.execute(sa.text("ANALYZE"))


def waiting() -> list[int]:
    """The pending rewards, all of them with a hold that has not passed."""
    with database.writing():
        later = clock.now() + clock.days(14)
        session.execute(sa.update(Reward).where(Reward.state == State.PENDING).values(hold_until=later))
    return list(session.scalars(sa.select(Reward.id).where(Reward.state == State.PENDING).order_by(Reward.id)))


def set_based(values: dict[str, object]) -> None:
    for statement in SET_BASED:
        needed = {name: value for name, value in values.items() if f":{name}" in statement}
        if ":at" in statement:
            session.execute(sa.text(statement).bindparams(sa.bindparam("at", type_=MOMENT)), needed)
        else:
            session.execute(sa.text(statement), needed)


def timed(act: Callable[[datetime], object]) -> float:
    """Milliseconds of an act in a write of its own."""
    started = time.perf_counter()
    with database.writing():
        act(clock.now())
    return (time.perf_counter() - started) * 1000


def deep(kind: str, scene: Scene, *, repeats: int) -> None:
    """The first page of a long queue and pages far down, in each order."""
    many_pending(scene, newcomer(scene), QUEUE, amount_minor=2000)
    analyze()
    for order in Order:
        filters = Filters(order=order)
        depths: dict[int, list[float]] = {}
        for _ in range(repeats):
            for depth in (0, QUEUE // 2, QUEUE - 100):
                after = at_depth(filters, depth)
                session.expire_all()
                started = time.perf_counter()
                cases, _ = queue.page(filters, after=after, at=clock.now())
                depths.setdefault(depth, []).append((time.perf_counter() - started) * 1000)
                assert len(cases) == queue.PAGE
        first, *others = (statistics.median(times) for times in depths.values())
        told = ", ".join(f"{one:.0f} ms" for one in others)
        print(f"{kind}: {order}: first page {first:.0f} ms, at half and at the end {told}: "
              f"{max(others) / first:.2f} times (goal 1.5)")  # fmt: skip


def at_depth(filters: Filters, depth: int) -> Reward | None:
    """The reward after which a page that deep begins."""
    if not depth:
        return None
    order = queue._order(filters.order)
    query = sa.select(Reward).where(Reward.state == State.PENDING).order_by(*order).offset(depth).limit(1)
    return session.scalars(query).one()


if __name__ == "__main__":
    main()
