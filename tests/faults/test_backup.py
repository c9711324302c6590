"""Backups: taken under load, restored elsewhere with the same books, whole or not at all; and the move to PostgreSQL."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from portal import backup, create_app
from portal.accounts.users import User
from portal.backup import BackupRefused
from portal.config import ROOT, Settings
from portal.core import at_work, clock, database, migrate
from portal.core.at_work import AtWork
from portal.core.copying import CopyRefused
from portal.core.database import session
from portal.core.migrate import SchemaRefused
from portal.delivery import worker
from portal.payouts.methods import Details, in_force
from portal.rewards import ledger
from portal.rewards.conversions import Conversion
from tests import invariants
from tests.conftest import close, make_schema
from tests.domain.test_migrations import differences, shape_of
from tests.factories import IBAN, Scene
from tests.faults.conftest import LONG, live_once
from tests.faults.live import Live, soon
from tests.faults.portals import Gone, Portal
from tests.postgres import Postgres
from tests.web.tables import contents

OTHER = {"sqlite": "postgresql", "postgresql": "sqlite"}

Elsewhere = Callable[[str], Settings]


@pytest.fixture
def elsewhere(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    """Another machine: a folder with keys of its own, and a database of a kind without tables."""
    names = (f"elsewhere_{request.getfixturevalue('worker_id')}_{number}" for number in range(10))
    made: list[tuple[Postgres, str]] = []

    def make(kind: str) -> Settings:
        name = next(names)
        folder = tmp_path / name
        folder.mkdir()
        url = f"sqlite:///{folder / 'portal.db'}"
        if kind == "postgresql":
            server: Postgres = request.getfixturevalue("postgres")
            url = server.create(name)
            made.append((server, name))
        return Settings.from_env({"INSTANCE_DIR": str(folder), "DATABASE_URL": url})

    yield make
    for server, name in made:
        server.drop(name)


def engine_of(settings: Settings) -> sa.Engine:
    return sa.create_engine(settings.database_url, poolclass=sa.NullPool)


def restored(file: Path, settings: Settings, *, replacing: bool = False) -> backup.Restored:
    return backup.restore(file, engine_of(settings), settings, replace=replacing)


def rows_of(settings: Settings) -> dict[str, Any]:
    """Every row of a database that is not the test's own; its books are checked."""
    app = create_app(replace(settings, rate_limits=False))
    with app.app_context():
        try:
            invariants.check()
            return contents()
        finally:
            close(app)


@pytest.fixture
def full(app: Flask, scene: Scene) -> Scene:
    """A database with money in every state, seals, mails, payout details."""
    scene.paid_reward()
    scene.order(scene.bob, 12800)
    scene.do(ledger.seal)
    return scene


def somebody(name: str) -> User:
    """A row that is there as soon as it is written."""
    with database.writing():
        session.add(new := User(email=f"{name}@example.com", created_at=clock.now(), signed_up_at=clock.now()))
    return new


def backed_up(app: Flask, tmp_path: Path) -> Path:
    file = tmp_path / "portal.backup"
    session.rollback()
    backup.make(file, database.db.engine, app.extensions["settings"], at=clock.now(), replace=True)
    return file


# --- there and back -------------------------------------------------------------------------------------------


@pytest.mark.both_databases
@pytest.mark.parametrize("to", ["same", "other"] if LONG else ["other"])
def test_a_backup_restored_elsewhere_is_equal_to_the_last_row(
    to: str, full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere, database_kind: str
) -> None:
    alice, before = full.alice.id, contents()
    (tmp_path / "old").write_text("")
    file = backed_up(app, tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "portal.backup"], "nothing is left beside it"
    there = elsewhere(database_kind if to == "same" else OTHER[database_kind])
    restored(file, there)
    there = Settings.from_env({"INSTANCE_DIR": str(there.instance_dir), "DATABASE_URL": there.database_url})
    assert rows_of(there) == before
    for name in backup.KEYS:
        assert getattr(there, name) == getattr(app.extensions["settings"], name)
        assert (there.instance_dir / name).stat().st_mode & 0o777 == 0o600
    assert not list(there.instance_dir.glob(".*")), "nothing is left of the unpacking"
    made = create_app(there)
    with made.app_context():
        method = in_force(alice)
        assert method is not None and Details(there.details_key).open(method)["iban"] == IBAN
        highest = session.scalar(sa.select(sa.func.max(User.id))) or 0
        assert somebody("new").id > highest
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            session.execute(sa.text("UPDATE transfers SET amount_minor = 1"))
        session.rollback()
        close(made)


@pytest.mark.both_databases
def test_a_restored_database_is_a_migrated_one(
    full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere, database_kind: str
) -> None:
    wanted = shape_of(database.db.engine)
    there = elsewhere(database_kind)
    restored(backed_up(app, tmp_path), there)
    assert differences(shape_of(engine_of(there)), wanted) == []


@pytest.mark.both_databases
def test_a_number_that_was_given_is_never_given_again(
    full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere, database_kind: str
) -> None:
    number = somebody("gone").id
    with database.writing():
        session.execute(sa.delete(User).where(User.id == number))
    there = elsewhere(OTHER[database_kind])
    restored(backed_up(app, tmp_path), there)
    made = create_app(there)
    with made.app_context():
        assert somebody("new").id > number
        close(made)


def test_mails_in_files_come_along(full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere) -> None:
    settings = app.extensions["settings"]
    settings.mail_dir.mkdir()
    (settings.mail_dir / "20260901T120000-abc.eml").write_text("From: us\n\nHello")
    there = elsewhere("sqlite")
    assert restored(backed_up(app, tmp_path), there).backup.mails == 1
    assert (there.mail_dir / "20260901T120000-abc.eml").read_text().endswith("Hello")


# --- refused --------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_what_holds_anything_is_not_written_over_unless_one_says_so(
    full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere, database_kind: str
) -> None:
    file = backed_up(app, tmp_path)
    there = elsewhere(database_kind)
    restored(file, there)
    before, keys = rows_of(there), (there.instance_dir / "details_key").read_text()
    full.order(full.friend("Dora", of=full.alice), 3200)
    newer = backed_up(app, tmp_path)
    there = Settings.from_env({"INSTANCE_DIR": str(there.instance_dir), "DATABASE_URL": there.database_url})
    with pytest.raises(BackupRefused, match="not empty"):
        restored(newer, there)
    assert rows_of(there) == before and (there.instance_dir / "details_key").read_text() == keys
    restored(newer, there, replacing=True)
    session.rollback()
    assert rows_of(there) == contents()


def test_a_portal_that_was_only_started_holds_nothing(
    full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    there = elsewhere("sqlite")
    make_schema(there)
    made = create_app(there)
    with made.app_context(), database.writing():
        worker.note_turn("worker", at=clock.now())
    with made.app_context():
        close(made)
    restored(backed_up(app, tmp_path), there)


SERVES = """
import sys, time
import sqlalchemy as sa
from portal.core import at_work
with at_work.with_others(sa.create_engine(sys.argv[1])):
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.mark.both_databases
def test_what_is_being_served_is_neither_restored_nor_copied_and_who_is_killed_lets_go_at_once(
    app: Flask, tmp_path: Path, elsewhere: Elsewhere, database_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, there = backed_up(app, tmp_path), elsewhere(database_kind)
    arguments = [sys.executable, "-c", SERVES, there.database_url]
    serving = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE)
    assert serving.stdout is not None and serving.stdout.readline() == b"at work\n"
    serving.stdout.close()
    monkeypatch.setattr(at_work, "PATIENCE_S", 0.1)
    try:
        with pytest.raises(AtWork, match="stop all of its processes"):
            restored(file, there, replacing=True)
        with pytest.raises(AtWork, match="stop all of its processes"):
            backup.move(database.db.engine, engine_of(there))
    finally:
        serving.kill()
        monkeypatch.undo()
        serving.wait(timeout=10)
    with at_work.alone(engine_of(there)):
        pass


def test_nothing_begins_to_serve_a_database_that_is_being_restored(app: Flask, elsewhere: Elsewhere) -> None:
    for kind in ("sqlite", "postgresql"):
        there = elsewhere(kind)
        with (
            at_work.alone(engine_of(there)),
            pytest.raises(AtWork, match="under way"),
            at_work.with_others(engine_of(there)),
        ):
            pass
        with at_work.with_others(engine_of(there)), at_work.with_others(engine_of(there)):
            pass


def test_a_lock_that_was_lost_with_its_connection_is_taken_again(
    app: Flask, elsewhere: Elsewhere, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "LOOKS_EVERY_S", 0.05)
    engine = engine_of(elsewhere("postgresql"))
    with at_work.with_others(engine):
        ours = sa.text("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database = "
                       "(SELECT oid FROM pg_database WHERE datname = current_database())")  # fmt: skip
        with engine.connect() as connection:
            (first,) = connection.scalars(ours)
            connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": first})
            assert soon(lambda: [pid for pid in connection.scalars(ours) if pid != first] != [])


def test_a_move_that_is_refused_leaves_no_file(full: Scene, app: Flask, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    other = sa.create_engine(f"sqlite:///{target}", poolclass=sa.NullPool)
    session.rollback()
    with at_work.with_others(database.db.engine), pytest.raises(AtWork):
        backup.move(database.db.engine, other)
    asked = "UPDATE conversions SET amount_minor = ? WHERE amount_minor = ?"
    with database.db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
        connection.exec_driver_sql(asked, ("a lot", 12800))
        connection.commit()
        with pytest.raises(CopyRefused, match="A row of conversions is not taken there"):
            backup.move(database.db.engine, other)
        connection.exec_driver_sql(asked, (12800, "a lot"))
        connection.exec_driver_sql("PRAGMA ignore_check_constraints=OFF")
        connection.commit()
    assert [path.name for path in tmp_path.glob("target*")] == []


def test_somebody_elses_tables_are_left_alone(full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere) -> None:
    there = elsewhere("sqlite")
    with engine_of(there).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (id INTEGER)")
    with pytest.raises(SchemaRefused, match="theirs"):
        restored(backed_up(app, tmp_path), there, replacing=True)


def another(file: Path, **changed: Any) -> Path:
    """The same backup saying other things of itself, or with other bytes in a part."""
    new = file.with_name("other.backup")
    with tarfile.open(file) as old, tarfile.open(new, "w:gz") as tar:
        for member in old:
            part = old.extractfile(member)
            assert part is not None
            content = part.read()
            if member.name == backup.ABOUT:
                content = changed.get("about") or json.dumps(json.loads(content) | changed).encode()
            elif member.name == changed.get("spoilt"):
                content = content[:-1] + b"?"
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return new


def no_backups(file: Path) -> Iterator[tuple[str, bytes]]:
    whole = file.read_bytes()
    yield "empty", b""
    yield "a text", b"hello"
    yield "cut off", whole[: len(whole) // 2]
    yield "the end cut off", whole[:-9]
    yield "a byte changed", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    yield "a compressed text", gzip.compress(b"hello")
    yield "a database", b"SQLite format 3\0" + bytes(5000)
    yield "another's key", another(file, spoilt="details_key").read_bytes()
    yield "another's database", another(file, spoilt="portal.db").read_bytes()
    yield "no list of rows", another(file, rows=None).read_bytes()
    yield "a deep nest", another(file, about=b"[" * 100_000).read_bytes()
    yield "no sums", another(file, sha256={}).read_bytes()


def test_what_is_no_whole_backup_is_refused_and_changes_nothing(
    full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere, subtests: pytest.Subtests
) -> None:
    file, there, tried = backed_up(app, tmp_path), elsewhere("sqlite"), tmp_path / "tried"
    keys = [getattr(there, name) for name in backup.KEYS]
    for what, content in no_backups(file):
        with subtests.test(what):
            tried.write_bytes(content)
            with pytest.raises(BackupRefused, match="is no backup of a portal, or is damaged"):
                restored(tried, there)
            assert shape_of(engine_of(there)) == {}
    assert keys == [(there.instance_dir / name).read_text() for name in backup.KEYS]


def test_a_backup_of_a_newer_portal_is_refused(
    full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = elsewhere("sqlite")
    file = backed_up(app, tmp_path)
    with pytest.raises(BackupRefused, match="newer portal: update the code"):
        restored(another(file, form=2), there)
    with database.db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    monkeypatch.setattr(migrate, "head", lambda **_: "9999")
    newer = backed_up(app, tmp_path)
    monkeypatch.undo()
    with database.db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (migrate.head(),))
    with pytest.raises(SchemaRefused, match=r"newer than this code .*: update the code"):
        restored(newer, there)
    assert shape_of(engine_of(there)) == {}


def test_a_backup_is_not_put_where_something_else_is(full: Scene, app: Flask, tmp_path: Path) -> None:
    settings, engine = app.extensions["settings"], database.db.engine
    theirs = tmp_path / "theirs"
    theirs.write_text("a letter")
    for path in (theirs, tmp_path, settings.instance_dir / "portal.db"):
        with pytest.raises(BackupRefused, match="is there and is no backup"):
            backup.make(path, engine, settings, at=clock.now())
    assert theirs.read_text() == "a letter"
    with pytest.raises(BackupRefused, match="cannot be put at"):
        backup.make(tmp_path / "nowhere" / "b", engine, settings, at=clock.now())


def test_a_backup_goes_over_an_older_one_only_where_one_says_so(full: Scene, app: Flask, tmp_path: Path) -> None:
    settings, engine, file = app.extensions["settings"], database.db.engine, tmp_path / "b"
    backup.make(file, engine, settings, at=clock.now())
    first = file.read_bytes()
    with pytest.raises(BackupRefused, match="is there already: name another file, or say --replace"):
        backup.make(file, engine, settings, at=clock.now())
    assert file.read_bytes() == first
    full.later(days=1)
    backup.make(file, engine, settings, at=clock.now(), replace=True)
    assert file.read_bytes() != first
    theirs = tmp_path / "theirs"
    theirs.write_text("a letter")
    with pytest.raises(BackupRefused, match="is there and is no backup"):
        backup.make(theirs, engine, settings, at=clock.now(), replace=True)
    assert theirs.read_text() == "a letter"


def test_an_older_backup_is_brought_to_this_codes_schema(tmp_path: Path, elsewhere: Elsewhere, app: Flask) -> None:
    from alembic import command

    old = tmp_path / "old.db"
    engine = sa.create_engine(f"sqlite:///{old}", poolclass=sa.NullPool)
    with migrate.transaction(engine) as connection:
        config = migrate._config(migrate.SCRIPTS)
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.exec_driver_sql("INSERT INTO goals (name, label, source, has_amount) VALUES ('x', 'X', 'shop', 1)")
    file = backed_up(app, tmp_path)
    older = tmp_path / "older.backup"
    with tarfile.open(file) as tar, tarfile.open(older, "w:gz") as made:
        for member in tar:
            part = tar.extractfile(member)
            assert part is not None
            content = old.read_bytes() if member.name == backup.DATABASE else part.read()
            if member.name == backup.ABOUT:
                about = json.loads(content)
                about["sha256"][backup.DATABASE] = backup._hash(old)
                content = json.dumps(about | {"schema": "0003"}).encode()
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    there = elsewhere("sqlite")
    restored(older, there)
    assert migrate.current(engine_of(there)) == migrate.head()
    assert rows_of(there)["goals"]


# --- killed ---------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import sqlalchemy as sa
from portal import cli
at = sys.argv[1]
@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def die(connection, cursor, statement, *_):
    if at in statement:
        os.kill(os.getpid(), signal.SIGKILL)
sys.argv = ["portal", *sys.argv[2:]]
cli.main()
"""


@pytest.mark.both_databases
@pytest.mark.parametrize("at", ["CREATE TABLE rewards", "INSERT INTO seals"] if LONG else ["INSERT INTO seals"])
def test_a_restore_that_is_killed_leaves_what_was_there_and_is_done_by_the_next(
    at: str, full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere, database_kind: str
) -> None:
    file = backed_up(app, tmp_path)
    there = elsewhere(database_kind)
    restored(file, there)
    there = Settings.from_env({"INSTANCE_DIR": str(there.instance_dir), "DATABASE_URL": there.database_url})
    before = rows_of(there)
    full.order(full.friend("Dora", of=full.alice), 3200)
    newer = backed_up(app, tmp_path)
    environ = os.environ | {"INSTANCE_DIR": str(there.instance_dir), "DATABASE_URL": there.database_url}
    arguments = [sys.executable, "-c", KILLED, at, "restore", str(newer), "--replace"]
    done = subprocess.run(arguments, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert rows_of(there) == before
    restored(newer, there, replacing=True)
    session.rollback()
    assert rows_of(there) == contents()


# --- the move -------------------------------------------------------------------------------------------------


def test_copy_to_postgresql_is_equal_to_the_last_row_and_refuses_a_second_time(
    full: Scene, app: Flask, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    there, before = elsewhere("postgresql"), contents()
    session.rollback()
    assert backup.move(database.db.engine, engine_of(there)) == sum(map(len, before.values()))
    assert rows_of(replace(app.extensions["settings"], database_url=there.database_url)) == before
    with pytest.raises(BackupRefused, match="not empty"):
        backup.move(database.db.engine, engine_of(there))
    with pytest.raises(BackupRefused, match="in use"):
        backup.move(database.db.engine, database.db.engine)


def test_a_row_that_the_other_database_does_not_take_is_named_and_nothing_is_left(
    full: Scene, app: Flask, elsewhere: Elsewhere
) -> None:
    """SQLite takes a text of any length."""
    there = elsewhere("postgresql")
    number = full.alice.id
    with database.writing():
        session.execute(sa.text("UPDATE users SET name = :long WHERE id = :id"), {"long": "x" * 5000, "id": number})
    with pytest.raises(CopyRefused, match=r"A row of users is not taken there: value too long") as refused:
        backup.move(database.db.engine, engine_of(there))
    assert "alice@example.com" not in str(refused.value)
    assert shape_of(engine_of(there)) == {}
    with database.writing():
        session.execute(sa.text("UPDATE users SET name = 'Alice' WHERE id = :id"), {"id": number})


# --- under load -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, maybe_postgres: Postgres | str
) -> Iterator[Live]:
    """A portal of this test's own."""
    with live_once(request.param, tmp_path_factory, maybe_postgres, workers=2) as found:
        yield found


def conversions_of(settings: Settings) -> set[str]:
    with engine_of(settings).connect() as connection:
        return set(connection.scalars(sa.select(Conversion.external_id)))


def test_backed_up_under_load_and_restored_elsewhere_the_books_are_right(
    live: Live, tmp_path: Path, elsewhere: Elsewhere, record_property: Callable[[str, object], None]
) -> None:
    friends = [live.scene.friend(f"Friend {number}", of=live.scene.alice).email for number in range(4)]
    told: list[str] = []
    over = threading.Event()

    def report(number: int) -> None:
        shop, count = live.visitor(), 0
        with suppress(Gone):
            while not over.is_set():
                count += 1
                name = f"load-{number}-{count}"
                order = {"goal": "purchase", "external_id": name, "amount_minor": 6400, "currency": "EUR",
                         "customer": {"email": friends[number]}}  # fmt: skip
                if shop.tell("/api/v1/conversions", order, key=live.key).status == 201:
                    told.append(name)

    threads = [threading.Thread(target=report, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        while len(told) < 20:
            threading.Event().wait(0.05)
        before = list(told)
        made = live.portal.command("backup", str(tmp_path / "b"))
        meanwhile = len(told) - len(before)
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=60)
    assert made.returncode == 0, made.stderr
    assert re.search(r"\d+ rows and \d+ mails, schema \d+", made.stdout)
    refused = live.portal.command("restore", str(tmp_path / "b"), "--replace")
    assert refused.returncode == 1 and "A portal is at work on this database" in refused.stderr
    there = elsewhere("sqlite" if "sqlite" in live.portal.database_url else "postgresql")
    other = Portal(there.instance_dir, there.database_url)
    put = other.command("restore", str(tmp_path / "b"))
    assert put.returncode == 0 and "The books are right" in put.stdout, put.stderr
    assert set(before) <= conversions_of(there), "what was answered before the backup began is in it"
    assert meanwhile > 0, "orders came in while it was made"
    record_property("meanwhile", meanwhile)
    third = elsewhere("sqlite")
    moved = other.command("copy-to", third.database_url)
    assert moved.returncode == 0 and "each read back and equal" in moved.stdout, moved.stderr
    assert "The books are right" in moved.stdout and set(before) <= conversions_of(third)
    again = other.command("restore", str(tmp_path / "b"))
    assert again.returncode == 1 and "not empty" in again.stderr and len(again.stderr.splitlines()) == 1
