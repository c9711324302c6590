"""Migrations of a database that is in use: every row and trigger stays, and the ledger admits what is new."""

import hashlib
import io
import shutil
import signal
import warnings
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from PIL import Image
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from portal.accounts import two_step
from portal.accounts.two_step import RecoveryCode
from portal.core import migrate
from portal.core.database import session
from tests.domain.test_migrations import differences, go, shape_of, upgrading
from tests.factories import Scene

THEN = datetime(2026, 9, 1, 12, tzinfo=UTC)

ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("users", {"email": "alice@example.com", "shows_name": True}),
    ("users", {"email": "bob@example.com", "shows_name": True}),
    ("notes", {}),
    ("terms", {"version": 1, "state": "live", "touch": "last"}),
    ("rules", {"kind": "fixed", "goal": "purchase", "beneficiary": "referrer", "often": "first", "amount_minor": 2000}),
    ("links", {}),
    ("referrals", {"referrer_id": 1, "referee_id": 2, "how": "claim"}),
    ("conversions", {"amount_minor": 6400, "currency": "EUR", "customer_email": "bob@example.com"}),
    ("rewards", {"beneficiary": "referrer", "amount_minor": 2000, "state": "approved", "released_at": THEN}),
    ("refunds", {"amount_minor": 100}),
    ("clawbacks", {"amount_minor": 30}),
    ("decisions", {"verdict": "reject", "reason": "abuse", "amount_minor": 2000}),
    ("payout_methods", {"kind": "credit"}),
    ("payout_batches", {"state": "draft"}),
    ("payouts", {"state": "preparing", "amount_minor": 1970}),
    ("payout_lines", {"reward_id": 1, "amount_minor": 2000}),
    ("payout_lines", {"clawback_id": 1, "amount_minor": -30}),
    ("accounted_clawbacks", {"line_id": 2}),
    ("transfers", {"from_bucket": "program", "to_bucket": "pending", "cause_kind": "reward", "amount_minor": 2000}),
    ("transfers", {"from_bucket": "pending", "to_bucket": "approved", "cause_kind": "decision", "amount_minor": 2000}),
    ("seals", {}),
    ("one_time_keys", {"purpose": "reset"}),
)
"""A row or two of everything that a version makes anew or changes, as the first version kept them."""


USER = {"public_id": "alice", "email": "a@example.com", "name": "", "shows_name": True, "fs_uniquifier": "u",
        "created_at": THEN, "signed_up_at": THEN, "language": ""}  # fmt: skip


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    made = sa.create_engine(empty_database_url, poolclass=NullPool)
    if made.dialect.name == "sqlite":
        sa.event.listen(made, "connect", lambda connection, _record: connection.execute("PRAGMA foreign_keys = ON"))
    yield made
    made.dispose()


def first_version(folder: Path, *, last: str = "0001") -> Path:
    """Our migrations as they were when the first version was released, or up to a later one."""
    scripts = folder / "migrations"
    shutil.copytree(migrate.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (scripts / "versions").glob("*.py"):
        if path.name[: len(last)] > last:
            path.unlink()
    return scripts


def fill(connection: sa.Connection, given_rows: Iterable[tuple[str, dict[str, Any]]] = ROWS) -> None:
    """Rows that point to each other; what a row does not name gets something that fits its column."""
    for number, (name, given) in enumerate(given_rows):
        table = _table(connection, name)
        values: dict[str, Any] = {}
        for column in table.columns:
            if column.nullable or (column.primary_key and column.autoincrement):
                continue
            kind = column.type.python_type
            values[column.name] = (
                (1 if column.foreign_keys else number + 1) if kind is int
                else THEN if kind is datetime
                else True if kind is bool
                else f"x{number}"[: getattr(column.type, "length", None)]
            )  # fmt: skip
        connection.execute(table.insert().values(**values | given))


def _table(connection: sa.Connection, name: str) -> sa.Table:
    """A table as the database has it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index")
        return sa.Table(name, sa.MetaData(), autoload_with=connection)


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table by its first columns, so that a table with one more compares."""
    with engine.connect() as connection:
        tables = sorted(set(sa.inspect(connection).get_table_names()) - {"alembic_version"})
        return {
            name: sorted(tuple(row) for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"')) for name in tables
        }


@pytest.mark.both_databases
def test_a_database_with_rows_keeps_them_and_its_triggers_and_admits_corrections(
    engine: Engine, tmp_path: Path
) -> None:
    migrate.upgrade(engine, scripts=first_version(tmp_path))
    with engine.begin() as connection:
        fill(connection)
    before, shape = rows(engine), shape_of(engine)
    assert migrate.upgrade(engine)
    after = rows(engine)
    for name, kept in before.items():
        assert [row[: len(kept[0])] for row in after[name]] == kept if kept else not after[name], name
    triggers = {part: text for part, text in shape.items() if part.startswith("trigger")}
    assert {part: shape_of(engine)[part] for part in triggers} == triggers
    correction = (
        "INSERT INTO transfers (user_id, from_bucket, to_bucket, amount_minor, currency, cause_kind, cause_id, at) "
        "VALUES (1, 'program', 'payable', 5, 'EUR', '{}', 77, '2026-09-01 12:00:00')"
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(correction.format("correction"))
    for refused, why in (
        (correction.format("gift"), IntegrityError),
        (correction.format("correction"), IntegrityError),
        ("UPDATE transfers SET amount_minor = 1", DBAPIError),
        ("DELETE FROM decisions", DBAPIError),
        ("DELETE FROM payout_lines WHERE id = 2", IntegrityError),  # accounted_clawbacks points to it
    ):
        with pytest.raises(why), engine.begin() as connection:
            connection.exec_driver_sql(refused)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


@pytest.mark.both_databases
@pytest.mark.parametrize("at", ["INSERT INTO payout_lines_anew", "SET version_num='0002'", "SET version_num='{head}'"])
def test_an_upgrade_of_a_database_in_use_that_is_killed_left_every_row_and_is_completed_by_the_next(
    at: str, engine: Engine, tmp_path: Path
) -> None:
    if engine.dialect.name == "postgresql" and "anew" in at:
        at = "ADD CONSTRAINT"  # there the table need not be made anew
    first = first_version(tmp_path)
    migrate.upgrade(engine, scripts=first)
    with engine.begin() as connection:
        fill(connection)
    before, shape = rows(engine), shape_of(engine)
    process = upgrading(engine, killed_at=at.format(head=migrate.head()))
    assert go(process) == [""] and process.returncode == -signal.SIGKILL
    assert migrate.current(engine) == "0001" and rows(engine) == before and differences(shape_of(engine), shape) == []
    assert migrate.upgrade(engine)
    after = rows(engine)
    assert all([row[: len(kept[0])] for row in after[name]] == kept for name, kept in before.items() if kept)


@pytest.mark.both_databases
def test_addresses_that_accounts_had_before_are_taken_over_from_the_audit_list(engine: Engine, tmp_path: Path) -> None:
    migrate.upgrade(engine, scripts=first_version(tmp_path, last="0009"))
    with engine.begin() as connection:
        connection.execute(_table(connection, "users").insert().values(**USER))
        for verb, details in (
            ("address_changed", '{"was_hash": "one"}'), ("address_changed_back", '{"was_hash": "two"}'),
            ("address_changed", '{"was_hash": "one"}'), ("address_confirmed", "{}"),
        ):  # fmt: skip
            line = (
                "INSERT INTO audit_entries (at, verb, subject_kind, subject_id, details)"
                f" VALUES ('2026-09-01 12:00:00', '{verb}', 'user', 'alice', '{details}')"
            )
            connection.exec_driver_sql(line)
    assert migrate.upgrade(engine)
    taken = sorted(row[2] for row in rows(engine)["former_addresses"])
    assert taken == ["one", "two"]


@pytest.mark.both_databases
def test_recovery_codes_are_as_good_as_before_and_kept_by_a_slow_hash(
    engine: Engine, tmp_path: Path, app: Flask, scene: Scene
) -> None:
    """ASVS 6.5.2. What is kept of a code afterwards is what the portal makes of the same code."""
    migrate.upgrade(engine, scripts=first_version(tmp_path, last="0014"))
    person, codes = scene.alice.id, ["abcdefgh23", "bcdefgh234"]
    with engine.begin() as connection:
        connection.execute(_table(connection, "users").insert().values(id=person, **USER))
        kept = [
            {"user_id": person, "made_at": THEN, "code_hash": hashlib.sha256(f"{person} {code}".encode()).hexdigest()}
            for code in codes
        ]
        connection.execute(_table(connection, "recovery_codes").insert(), kept)
    assert migrate.upgrade(engine)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT code_hash, salt FROM recovery_codes ORDER BY id").all()
    assert len({salt for _, salt in rows}) == 1 and len(rows[0].salt) == 32
    assert not {one["code_hash"] for one in kept} & {row.code_hash for row in rows}
    known = [RecoveryCode(user_id=person, code_hash=row.code_hash, salt=row.salt, made_at=scene.at) for row in rows]
    scene.do(lambda: session.add_all(known))
    for code, row in zip(codes, rows, strict=True):
        assert two_step.read(person, f"{code[:5]}-{code[5:]}".upper()).code_hash == row.code_hash


@pytest.mark.both_databases
def test_logos_are_images_from_now_on_and_known_by_their_size(engine: Engine, tmp_path: Path) -> None:
    migrate.upgrade(engine, scripts=first_version(tmp_path, last="0014"))
    written = io.BytesIO()
    Image.new("RGBA", (480, 97), "#0a7d5a").save(written, "PNG")
    with engine.begin() as connection:
        for digest in ("one", "two"):
            row = {"digest": digest, "png": written.getvalue(), "made_at": THEN}
            connection.execute(_table(connection, "logos").insert().values(**row))
    assert migrate.upgrade(engine)
    with engine.connect() as connection:
        kept = connection.execute(sa.select(_table(connection, "images"))).mappings().all()
    assert [(one["digest"], one["form"], one["width"], one["height"]) for one in kept] == [
        ("one", "png", 480, 97), ("two", "png", 480, 97),
    ]  # fmt: skip
    assert {one["data"] for one in kept} == {written.getvalue()}


@pytest.mark.both_databases
def test_figures_that_were_rolled_up_before_months_had_rows_of_their_own_are_made_anew(
    engine: Engine, tmp_path: Path
) -> None:
    """The worker begins where no row says how far it is; until then the reports count the rows."""
    migrate.upgrade(engine, scripts=first_version(tmp_path, last="0008"))
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO figures VALUES ('clicks', 'day', '2026-09-01', 1, 1, 5, 0)")
        connection.exec_driver_sql(
            "INSERT INTO rollups (name, time_zone, began, until, clicks_seen, transfers_seen)"
            " VALUES ('figures', 'UTC', '2026-09-01', '2026-09-02', 5, 0)"
        )
    assert migrate.upgrade(engine)
    after = rows(engine)
    assert after["rollups"] == after["figures"] == after["month_figures"] == []


@pytest.mark.both_databases
@pytest.mark.case(101)
def test_flags_of_chargebacks_that_were_won_are_withdrawn_and_those_that_stand_stay(
    engine: Engine, tmp_path: Path
) -> None:
    migrate.upgrade(engine, scripts=first_version(tmp_path, last="0014"))
    more = (
        *(row for row in ROWS if row[0] in ("users", "notes", "terms", "links", "referrals")),
        ("signals", {"referral_id": 1, "kind": "chargeback", "dismissed_at": None}),
        ("users", {"email": "carol@example.com", "shows_name": True}),
        ("referrals", {"referrer_id": 1, "referee_id": 3, "how": "claim"}),
        ("signals", {"referral_id": 2, "kind": "chargeback", "dismissed_at": None}),
        *[("conversions", {"referral_id": number, "customer_email": "bob@example.com"}) for number in (1, 2)],
        *[("refunds", {"conversion_id": order, "source": "shop", "external_id": f"CB-{number}", "reason": "chargeback"})
          for number, order in enumerate((1, 1, 2, 2))],
        *[("reinstatements", {"source": "shop", "refund_external_id": f"CB-{number}"}) for number in (0, 1, 2)],
    )  # fmt: skip
    with engine.begin() as connection:
        fill(connection, more)
    assert migrate.upgrade(engine)
    with engine.connect() as connection:
        flags = "SELECT referral_id, dismissed_at IS NOT NULL, dismissed_by_id FROM signals ORDER BY referral_id"
        found = connection.exec_driver_sql(flags).all()
    assert [(number, bool(withdrawn), by) for number, withdrawn, by in found] == [(1, True, None), (2, False, None)]
