"""The ledger: append-only, sealed, summed; whatever is changed behind its back is named."""

from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from portal.core import database
from portal.core.database import session
from portal.reports import books, referrer
from portal.rewards import ledger, rewards
from portal.rewards.ledger import Seal, Transfer
from tests import invariants
from tests.domain.many import many_pending
from tests.factories import EVERY, Scene, fixed

pytestmark = pytest.mark.both_databases

INSERT = "INSERT INTO transfers (user_id, from_bucket, to_bucket, amount_minor, currency, cause_kind, cause_id, at)"
APPEND_ONLY = ("transfers", "seals", "decisions", "audit_entries", "terms", "corrections")


def run(statement: str) -> None:
    """A statement of somebody who has the database's password."""
    with database.writing():
        session.execute(sa.text(statement))


def forged(table: str, statement: str) -> None:
    """The same by somebody who takes the triggers away first."""
    with database.writing():
        if database.is_sqlite():
            for verb in ("update", "delete"):
                session.execute(sa.text(f"DROP TRIGGER {table}_refuses_{verb}"))
            session.connection().exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        else:
            session.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        session.execute(sa.text(statement))


def settled(scene: Scene) -> list[Transfer]:
    """Alice was paid once and owes half of it; everything is sealed."""
    scene.paid_reward()
    scene.refund("order-1", 3200)
    scene.correct(scene.alice, 1)
    scene.correct(scene.alice, -1)
    scene.do(ledger.seal)
    assert list(books.faults()) == []
    return list(session.scalars(sa.select(Transfer).order_by(Transfer.id)))


# --- append-only ----------------------------------------------------------------------------------------------


@pytest.mark.case(114)
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_history_can_be_added_to_and_not_changed(scene: Scene, table: str) -> None:
    settled(scene)
    columns = {"seals": "hash = hash", "decisions": "at = at", "audit_entries": "at = at", "terms": "currency = 'USD'"}
    changes = [f"UPDATE {table} SET {columns.get(table, 'amount_minor = 1')}", f"DELETE FROM {table}"]
    if database.is_sqlite():
        names = ", ".join(column.name for column in database.metadata.tables[table].columns)
        changes += [
            f"INSERT OR REPLACE INTO {table} ({names}) SELECT {names} FROM {table} LIMIT 1",
            f"REPLACE INTO {table} ({names}) SELECT {names} FROM {table} LIMIT 1",
            f"UPDATE OR IGNORE {table} SET id = id + 1000",
        ]
    else:
        changes += [f"TRUNCATE {table} CASCADE", f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1 "
                    "ON CONFLICT (id) DO UPDATE SET id = excluded.id"]  # fmt: skip
    for change in changes:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            run(change)


def test_a_transfer_goes_somewhere_has_an_amount_and_a_cause_of_its_own(scene: Scene) -> None:
    first = settled(scene)[0]
    row = {
        "user_id": first.user_id, "from_bucket": "program", "to_bucket": "pending", "amount_minor": 5,
        "currency": "EUR", "cause_kind": "reward", "cause_id": 999, "at": scene.at,
    }  # fmt: skip
    bad = [
        {"amount_minor": 0}, {"amount_minor": -5}, {"to_bucket": "program"}, {"to_bucket": "pocket"},
        {"cause_kind": "gift"}, {"cause_id": first.cause_id}, {"user_id": 99999},
    ]  # fmt: skip
    for change in bad:
        with pytest.raises(sa.exc.IntegrityError):
            scene.do(partial(session.execute, sa.insert(Transfer).values(**row | change)))


def test_an_amount_is_a_whole_number_on_both_databases(scene: Scene) -> None:
    settled(scene)
    for nonsense in ("'abc'", "12.5") if database.is_sqlite() else ("'abc'", "'12.5'"):
        with pytest.raises(sa.exc.DBAPIError):
            run(
                f"{INSERT} SELECT user_id, 'program', 'pending', {nonsense}, 'EUR', 'reward', 999, at"
                " FROM transfers LIMIT 1"
            )


# --- seals ----------------------------------------------------------------------------------------------------


def test_every_transfer_is_sealed_once_in_one_chain(scene: Scene) -> None:
    moved = settled(scene)
    seals = list(session.scalars(sa.select(Seal).order_by(Seal.number)))
    assert [seal.number for seal in seals] == list(range(1, len(moved) + 1))
    assert sorted(seal.transfer_id for seal in seals) == [transfer.id for transfer in moved]
    assert len({seal.hash for seal in seals}) == len(seals)
    assert scene.do(ledger.seal) == 0


def test_a_transfer_that_was_committed_late_is_sealed_next_time(scene: Scene) -> None:
    """On PostgreSQL a lower number may appear after a higher one was sealed."""
    scene.publish(fixed(500, **EVERY))
    for _ in range(3):
        scene.order(scene.bob)
    held_back = sa.select(Transfer).order_by(Transfer.id.desc())
    last = session.scalars(held_back).first()
    assert last is not None
    assert scene.do(lambda: ledger.seal(most=2)) == 2
    assert scene.do(lambda: ledger.seal(most=2)) == 1
    assert list(ledger.broken_seals()) == []


@pytest.mark.wrecks_the_books
def test_a_transfer_changed_behind_its_back_is_named(scene: Scene) -> None:
    victim = settled(scene)[1]
    forged("transfers", f"UPDATE transfers SET amount_minor = 1 WHERE id = {victim.id}")
    found = list(books.faults())
    assert any(fault.startswith(f"transfer {victim.id} is not what seal") for fault in found), found
    assert any(f"transfer {victim.id} moved 1" in fault for fault in found), found


@pytest.mark.wrecks_the_books
@pytest.mark.parametrize(
    "change",
    [
        "user_id = user_id + 1",
        "currency = 'USD'",
        "to_bucket = 'paid', from_bucket = 'payable'",
        "cause_id = cause_id + 500",
    ],
)
def test_any_column_of_a_transfer_changed_breaks_its_seal(scene: Scene, change: str) -> None:
    scene.bob, scene.carol  # noqa: B018 - somebody for the money to go to
    victim = settled(scene)[0]
    forged("transfers", f"UPDATE transfers SET {change} WHERE id = {victim.id}")
    assert any(f"transfer {victim.id} is not what seal" in fault for fault in books.faults())


@pytest.mark.wrecks_the_books
def test_a_moment_moved_breaks_the_seal_too(scene: Scene) -> None:
    victim = settled(scene)[0]
    later = (scene.at + timedelta(days=400)).strftime("%Y-%m-%d %H:%M:%S.%f")
    forged("transfers", f"UPDATE transfers SET at = '{later}' WHERE id = {victim.id}")
    assert any(f"transfer {victim.id} is not what seal" in fault for fault in books.faults())


@pytest.mark.wrecks_the_books
def test_a_transfer_deleted_is_missed(scene: Scene) -> None:
    victim = settled(scene)[2]
    seal = session.scalar(sa.select(Seal.number).where(Seal.transfer_id == victim.id))
    number = victim.id
    with database.writing():
        if database.is_sqlite():
            session.execute(sa.text("DROP TRIGGER transfers_refuses_delete"))
        else:
            session.execute(sa.text("ALTER TABLE seals DROP CONSTRAINT fk_seals_transfer_id"))
            session.execute(sa.text("ALTER TABLE transfers DISABLE TRIGGER USER"))
    if database.is_sqlite():
        session.rollback()
        raw = database.db.engine.raw_connection()
        raw.execute("PRAGMA foreign_keys=OFF")  # type: ignore[attr-defined]
        raw.execute(f"DELETE FROM transfers WHERE id = {number}")  # type: ignore[attr-defined]
        raw.invalidate()
    else:
        run(f"DELETE FROM transfers WHERE id = {number}")
    session.rollback()
    found = list(books.faults())
    assert f"transfer {number} is gone, seal {seal} remains" in found, found


@pytest.mark.wrecks_the_books
def test_a_transfer_invented_has_no_cause(scene: Scene) -> None:
    first = settled(scene)[0]
    run(
        f"{INSERT} SELECT user_id, 'program', 'payable', 100000, 'EUR', 'clawback', 777, at"
        f" FROM transfers WHERE id = {first.id}"
    )
    found = list(books.faults())
    assert any("has no cause: its clawback is gone" in fault for fault in found), found


@pytest.mark.wrecks_the_books
def test_a_state_or_an_amount_changed_behind_its_back_is_named(scene: Scene) -> None:
    reward = scene.paid_reward()
    name = reward.public_id
    run(f"UPDATE rewards SET state = 'approved' WHERE id = {reward.id}")
    run(f"UPDATE rewards SET amount_minor = 1999 WHERE id = {reward.id}")
    run("UPDATE payouts SET amount_minor = 99")
    found = list(books.faults())
    assert any(f"reward {name}" in fault for fault in found), found
    assert any(fault.startswith("payout PO-2026-0001 is paid of 99") for fault in found), found
    assert list(invariants.faults()) != []


@pytest.mark.wrecks_the_books
def test_a_seal_removed_is_missed(scene: Scene) -> None:
    settled(scene)
    forged("seals", "DELETE FROM seals WHERE number = 2")
    assert "seal 2 is missing" in list(books.faults())


# --- sums -----------------------------------------------------------------------------------------------------


@pytest.mark.case(72, 73)
def test_a_thousand_small_rewards_sum_exactly(scene: Scene) -> None:
    """0.10 a thousand times: 100.00 in the ledger, on the page and in every list."""
    many_pending(scene, scene.bob, 1000, amount_minor=10)
    assert scene.balance(scene.alice) == {"pending": 10_000}
    shown = referrer.credits(scene.alice.id, "EUR", at=scene.at)
    assert (shown.ready_minor, shown.on_its_way_minor, shown.paid_minor) == (0, 10_000, 0)
    assert sum(reward.amount_minor for reward in scene.rewards(scene.alice)) == 10_000
    assert ledger.totals("EUR")[ledger.Bucket.PROGRAM] == -10_000


@pytest.mark.case(74)
def test_currencies_are_never_added(scene: Scene) -> None:
    reward = scene.payable_reward()
    assert ledger.balances(scene.alice.id, "JPY") == dict.fromkeys(ledger.Bucket, 0)
    assert ledger.of_reward(reward.id)[ledger.Bucket.PAYABLE] == 2000
    assert rewards.given_since(scene.alice.id, "JPY", scene.at - timedelta(days=99)) == 0
