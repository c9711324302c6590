"""Migrations: a migrated database is the declared one to the last trigger; an upgrade happens whole, once, or not."""

import importlib
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

import portal
from portal.config import ROOT
from portal.core import database, migrate
from portal.core.migrate import SchemaRefused, State

for room in pkgutil.walk_packages(portal.__path__, "portal."):
    if not room.name.startswith(("portal.web", "portal.cli", "portal.__main__")):
        importlib.import_module(room.name)  # a table nobody imported would be missing on both sides

Shape = dict[str, str]
"""What a database is made of: the name of a part -> its definition."""


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    """A way to a database without tables."""
    made = sa.create_engine(empty_database_url, poolclass=NullPool)
    yield made
    made.dispose()


# --- comparing ------------------------------------------------------------------------------------------------


def declared(engine: Engine) -> Shape:
    """The shape that the code declares; the database is empty again afterwards."""
    database.metadata.create_all(engine)
    shape = shape_of(engine)
    empty(engine)
    return shape


def empty(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        assert engine.url.database is not None
        Path(engine.url.database).unlink()
        return
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")


def shape_of(engine: Engine) -> Shape:
    """Every part of a database but Alembic's own table."""
    with engine.connect() as connection:
        parts = dict(_sqlite(connection) if engine.dialect.name == "sqlite" else _postgresql(connection))
    return {name: " ".join(parts[name].split()) for name in sorted(parts)}


def differences(one: Shape, other: Shape) -> list[str]:
    """Every part that is missing on one side or is not the same."""
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


def _sqlite(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    """Rows of sqlite_master; a table's columns in their order, its rules by themselves: theirs does not matter."""
    query = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND tbl_name <> 'alembic_version'"
    for kind, name, sql in connection.exec_driver_sql(query):
        if kind != "table":
            yield f"{kind} {name}", sql
            continue
        items = [part for item in _items(sql) for part in _apart(item)]
        yield f"table {name}", ", ".join(item for item in items if not item.startswith("CONSTRAINT"))
        for item in items:
            if item.startswith("CONSTRAINT"):
                yield f"{name}: {item.split()[1]}", item


def _apart(item: str) -> Iterator[str]:
    """A column, and the rules that came in with it, if any did."""
    column, *rules = item.split(" CONSTRAINT ")
    yield column
    yield from (f"CONSTRAINT {rule}" for rule in rules)


def _items(create_table: str) -> Iterator[str]:
    """What stands between a CREATE TABLE's outer parentheses, by the commas that are in no further ones."""
    depth, item = 0, ""
    for letter in create_table[create_table.index("(") + 1 : create_table.rindex(")")]:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            yield " ".join(item.split())
            item = ""
        else:
            item += letter
    yield " ".join(item.split())


_CATALOGUE = {
    "column": """
        SELECT c.relname || '.' || a.attname,
               concat_ws(' ', a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                         a.attgenerated, a.attcollation, pg_get_expr(d.adbin, d.adrelid))
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm')
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
          AND c.relname <> 'alembic_version'""",
    "rule": """
        SELECT c.relname || '.' || k.conname, concat_ws(' ', pg_get_constraintdef(k.oid), k.convalidated)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version'""",
    "index": """
        SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'""",
    "trigger": """
        SELECT tgrelid::regclass || '.' || tgname, concat_ws(' ', pg_get_triggerdef(oid), tgenabled)
        FROM pg_trigger WHERE NOT tgisinternal""",
    "function": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace""",
    "sequence": "SELECT sequencename, concat_ws(' ', data_type, start_value, increment_by, cycle) FROM pg_sequences",
    "relation": """
        SELECT relname, relkind::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic_version%%'""",
}


def _postgresql(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    for kind, query in _CATALOGUE.items():
        for name, definition in connection.exec_driver_sql(query):
            yield f"{kind} {name}", definition


@pytest.mark.both_databases
def test_a_migrated_database_is_the_declared_one(engine: Engine) -> None:
    wanted = declared(engine)
    assert migrate.upgrade(engine)
    made = shape_of(engine)
    assert differences(made, wanted) == [], "migrations/versions is not what portal/ declares"
    assert made == wanted
    kinds = {name.split()[0].rstrip(":") for name in made}
    assert {"table", "index", "trigger"} <= kinds or {"column", "rule", "index", "trigger", "function"} <= kinds


LOSSES = {
    "trigger": {
        "sqlite": "DROP TRIGGER transfers_refuses_update",
        "postgresql": "DROP TRIGGER transfers_refuses_change ON transfers",
    },
    "check": {
        "sqlite": "UPDATE sqlite_master SET sql = replace(sql, 'CHECK (from_bucket <> to_bucket)', 'CHECK (1)')"
        " WHERE name = 'transfers'",
        "postgresql": "ALTER TABLE transfers DROP CONSTRAINT ck_transfers_goes_somewhere",
    },
    "unique": {
        "sqlite": "UPDATE sqlite_master SET sql = replace(sql, 'UNIQUE (cause_kind, cause_id)', 'UNIQUE (id)')"
        " WHERE name = 'transfers'",
        "postgresql": "ALTER TABLE transfers DROP CONSTRAINT uq_transfers_cause_kind_cause_id",
    },
    "index": {"sqlite": "DROP INDEX uq_payout_lines_reward", "postgresql": "DROP INDEX uq_payout_lines_reward"},
    "not null": {
        "sqlite": "UPDATE sqlite_master SET sql = replace(sql, 'currency VARCHAR(3) NOT NULL', 'currency VARCHAR(3)')"
        " WHERE name = 'transfers'",
        "postgresql": "ALTER TABLE transfers ALTER currency DROP NOT NULL",
    },
    "a table more": {"sqlite": "CREATE TABLE more (id INTEGER)", "postgresql": "CREATE TABLE more (id INTEGER)"},
}
"""What a careless migration does unseen by Alembic's own comparison."""


@pytest.mark.both_databases
@pytest.mark.parametrize("loss", LOSSES)
def test_the_comparison_notices(loss: str, engine: Engine) -> None:
    lose(engine, LOSSES[loss][engine.dialect.name])


@pytest.mark.on_postgresql
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE transfers DISABLE TRIGGER transfers_refuses_change",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    ],
)
def test_the_comparison_notices_a_trigger_that_does_nothing(statement: str, engine: Engine) -> None:
    lose(engine, statement)


def lose(engine: Engine, statement: str) -> None:
    """Migrates, does the damage and finds it."""
    migrate.upgrade(engine)
    before = shape_of(engine)
    with engine.begin() as connection:
        if "sqlite_master" in statement:
            connection.exec_driver_sql("PRAGMA writable_schema = ON")
        assert connection.exec_driver_sql(statement).rowcount in (-1, 0, 1)
    assert differences(before, shape_of(engine))


# --- once, whole ----------------------------------------------------------------------------------------------


UPGRADE = """
import sys, sqlalchemy as sa
from portal.core import migrate
print("ready", flush=True)
sys.stdin.readline()
print(migrate.upgrade(sa.create_engine(sys.argv[1])))
"""
KILLED_AT = """
import os, signal
@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def die(connection, cursor, statement, *_):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def upgrading(engine: Engine, *, killed_at: str | None = None) -> subprocess.Popen[str]:
    """A process of its own that will upgrade when it is told to go."""
    lines = UPGRADE.strip().splitlines()
    code = "\n".join([*lines[:2], KILLED_AT if killed_at else "", *lines[2:]])
    url = engine.url.render_as_string(hide_password=False)
    arguments = [sys.executable, "-c", code, url, killed_at or ""]
    return subprocess.Popen(arguments, cwd=ROOT, text=True, stdin=PIPE, stdout=PIPE)


def go(*processes: subprocess.Popen[str]) -> list[str]:
    """Lets them go together, when all of them are ready; gives what each prints."""
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.communicate()[0] for process in processes]


@pytest.mark.both_databases
def test_four_upgrades_at_once_make_one_schema(engine: Engine) -> None:
    wanted = declared(engine)
    assert sorted(go(*[upgrading(engine) for _ in range(4)])) == ["False\n", "False\n", "False\n", "True\n"]
    assert differences(shape_of(engine), wanted) == []


@pytest.mark.both_databases
@pytest.mark.parametrize("at", ["CREATE TABLE rewards", "CREATE TRIGGER transfers", "INSERT INTO alembic_version"])
def test_an_upgrade_killed_in_the_middle_is_completed_by_the_next(at: str, engine: Engine) -> None:
    wanted = declared(engine)
    process = upgrading(engine, killed_at=at)
    assert go(process) == [""]
    assert process.returncode == -signal.SIGKILL
    assert migrate.state(engine).state == State.MISSING
    assert shape_of(engine) == {}
    assert migrate.upgrade(engine)
    assert differences(shape_of(engine), wanted) == []


@pytest.mark.both_databases
def test_a_second_upgrade_has_nothing_to_do(engine: Engine) -> None:
    assert migrate.upgrade(engine) is True
    assert migrate.upgrade(engine) is False


# --- behind, ahead, somebody else's ---------------------------------------------------------------------------


def scripts_with(folder: Path, body: str) -> Path:
    """Our migrations with one more, 0002, that does `body`."""
    scripts = folder / "migrations 100% newer"
    shutil.copytree(migrate.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    head = migrate.head()
    (scripts / "versions" / "9999_newer.py").write_text(
        f"from alembic import op\n\nrevision, down_revision = '9999', '{head}'\n\n\n"
        f"def upgrade():\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
    )
    return scripts


@pytest.mark.both_databases
def test_where_a_database_stands_is_said_in_one_sentence(engine: Engine, tmp_path: Path) -> None:
    newer = scripts_with(tmp_path, "op.execute('ALTER TABLE goals ADD COLUMN colour VARCHAR(10)')")
    ours = migrate.head()
    told = [(migrate.current(engine), migrate.state(engine))]
    migrate.upgrade(engine)
    told += [
        (migrate.current(engine), migrate.state(engine)),
        (migrate.current(engine), migrate.state(engine, scripts=newer)),
    ]
    migrate.upgrade(engine, scripts=newer)
    told += [(migrate.current(engine), migrate.state(engine))]
    assert [(at, standing.state, standing.sentence) for at, standing in told] == [
        (None, State.MISSING, "The database has no tables yet: run portal migrate."),
        (ours, State.CURRENT, f"The database is at {ours}, as this code needs it."),
        (ours, State.BEHIND, f"The database is at {ours}, this code needs 9999: run portal migrate."),
        ("9999", State.AHEAD, f"The database is at 9999, newer than this code ({ours}): update the code."),
    ]


@pytest.mark.both_databases
def test_a_database_behind_or_ahead_is_refused_and_one_ahead_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    newer = scripts_with(tmp_path, "op.execute('ALTER TABLE goals ADD COLUMN colour VARCHAR(10)')")
    with pytest.raises(SchemaRefused, match="no tables yet: run portal migrate"):
        migrate.must_be_current(engine)
    migrate.upgrade(engine)
    migrate.must_be_current(engine)
    with pytest.raises(SchemaRefused, match="this code needs 9999: run portal migrate"):
        migrate.must_be_current(engine, scripts=newer)
    migrate.upgrade(engine, scripts=newer)
    before = shape_of(engine)
    with pytest.raises(SchemaRefused, match=r"newer than this code .*: update the code"):
        migrate.must_be_current(engine)
    with pytest.raises(SchemaRefused, match=r"newer than this code .*: update the code"):
        migrate.upgrade(engine)
    assert shape_of(engine) == before


@pytest.mark.both_databases
def test_a_failing_version_leaves_the_database_as_it_was(engine: Engine, tmp_path: Path) -> None:
    newer = scripts_with(
        tmp_path,
        """
        op.execute('ALTER TABLE goals ADD COLUMN colour VARCHAR(10)')
        op.execute('DROP INDEX uq_payout_lines_reward')
        raise ValueError('half way')
        """,
    )
    migrate.upgrade(engine)
    before = shape_of(engine)
    with pytest.raises(ValueError, match="half way"):
        migrate.upgrade(engine, scripts=newer)
    assert shape_of(engine) == before
    assert migrate.current(engine) == migrate.head()


@pytest.mark.both_databases
def test_somebody_elses_tables_are_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (id INTEGER)")
    with pytest.raises(SchemaRefused, match=r"did not make \(users\): give it one of its own"):
        migrate.upgrade(engine)
    assert migrate.state(engine).state == State.MISSING


def test_a_version_that_recreates_a_table_keeps_what_points_to_it(engine: Engine, tmp_path: Path) -> None:
    """With foreign keys on, SQLite would empty or refuse here; off, nothing is lost and all is checked at the end."""
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("CREATE TABLE children (parent_id INTEGER REFERENCES parents ON DELETE CASCADE)")
        connection.exec_driver_sql("INSERT INTO parents VALUES (1)")
        connection.exec_driver_sql("INSERT INTO children VALUES (1)")
    recreate = """
        op.execute('CREATE TABLE new_parents (id INTEGER PRIMARY KEY, name TEXT)')
        op.execute('INSERT INTO new_parents (id) SELECT id FROM parents{where}')
        op.execute('DROP TABLE parents')
        op.execute('ALTER TABLE new_parents RENAME TO parents')
        """
    (tmp_path / "careless").mkdir()
    careless = scripts_with(tmp_path / "careless", recreate.format(where=" WHERE id <> 1"))
    with pytest.raises(SchemaRefused, match="Row 1 of children points to a row of parents that is not there"):
        migrate.upgrade(engine, scripts=careless)
    migrate.upgrade(engine, scripts=scripts_with(tmp_path, recreate.format(where="")))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM children").scalar() == 1


# --- whole numbers --------------------------------------------------------------------------------------------


def test_columns_of_whole_numbers_refuse_words_on_sqlite(engine: Engine) -> None:
    """Column by column: 'abc' and 1.5 fail one of the table's CHECKs, or the column is a key to whole numbers."""
    migrate.upgrade(engine)
    taken = []
    with engine.connect() as connection:
        for table in database.metadata.sorted_tables:
            checks = [found["sqltext"] for found in sa.inspect(connection).get_check_constraints(table.name)]
            for column in table.columns:
                if not isinstance(column.type, (sa.Integer, sa.Boolean)) or column.primary_key or column.foreign_keys:
                    continue
                for value in ("'abc'", "1.5", "x'00'"):
                    row = ", ".join(f'{value if c is column else "NULL"} AS "{c.name}"' for c in table.columns)
                    kept = [
                        connection.exec_driver_sql(f"SELECT {check.replace('%', '%%')} FROM (SELECT {row})").scalar()
                        for check in checks
                    ]
                    if 0 not in kept:
                        taken.append(f"{table.name}.{column.name} takes {value}")
    assert taken == []


def test_a_word_for_an_amount_is_refused_on_sqlite(app: Flask) -> None:
    insert = "INSERT INTO vouchers (code, value_minor, currency, added_at) VALUES ('A', {}, 'EUR', '2026-09-01')"
    with database.writing(), pytest.raises(IntegrityError, match="ck_vouchers_whole_numbers"):
        database.session.execute(sa.text(insert.format("'abc'")))
    with database.writing(), pytest.raises(IntegrityError, match="FOREIGN KEY"):
        database.session.execute(
            sa.text("INSERT INTO role_grants (user_id, name, granted_at) VALUES ('abc', 'owner', 1)")
        )


def test_names_of_rules_fit_both_databases() -> None:
    """PostgreSQL cuts names at 63 letters: two would become one."""
    text = "\n".join(path.read_text() for path in (migrate.SCRIPTS / "versions").glob("*.py"))
    names = re.findall(r'op\.f\("([^"]+)"\)', text)
    assert len(names) > 100 and max(map(len, names)) <= 63
