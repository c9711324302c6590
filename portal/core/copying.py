"""Copying: every row of one database into another, SQLite or PostgreSQL, in either direction.

Invariants: what is read is one moment of the source, while others write on; the target gets all of it in one
transaction or nothing; every row is read back and compared before that ends; numbers go on where the source's ended.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from portal.core import database, migrate
from portal.core.text import Refusal

AT_ONCE = 2000
"""So many rows are held in memory."""


class CopyRefused(Refusal):
    """A copy that cannot be made; nothing was changed."""


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees the database as it is at its first look, however long it looks and whoever writes.

    Of its own: the portal's time limits would end a long one.
    """
    own = sa.create_engine(engine.url, poolclass=NullPool, hide_parameters=True)
    if engine.dialect.name != "sqlite":
        own = own.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    try:
        with own.connect() as connection, connection.begin():
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")  # the stock driver begins only for what writes
            yield connection
    finally:
        own.dispose()


def first_row(connection: Connection, *, but: Iterable[str] = ()) -> str | None:
    """The name of a table with something in it, whichever tables there are; `but` these."""
    for table in sorted(set(sa.inspect(connection).get_table_names()) - set(but)):
        if connection.exec_driver_sql(f'SELECT 1 FROM "{table}" LIMIT 1').first() is not None:
            return table
    return None


def fill(source: Connection, target: Connection) -> dict[str, int]:
    """Makes the target's tables anew and copies every row; gives how many, by table. Both at the version of this code.

    The target's is a `migrate.transaction`, so before its end nothing has happened. Raises CopyRefused for a row that
    the target does not take.
    """
    if target.dialect.name != "sqlite":
        target.exec_driver_sql("SET LOCAL lock_timeout = '10s'")  # somebody who holds a table for ever
    migrate.make_anew(target)
    taken = _take_triggers(target)
    counts = {}
    for table in database.metadata.sorted_tables:
        read = _Digest()
        try:
            for rows in _rows(source, table):
                target.execute(table.insert(), [dict(row._mapping) for row in rows])
                read.add(rows)
        except DBAPIError as no:
            raise CopyRefused(
                f"A row of {table.name} is not taken there: {_in_short(no)}. Nothing was changed."
            ) from None  # fmt: skip
        _number_on(target, table, _highest(source, table))
        written = _Digest()
        for rows in _rows(target, table):
            written.add(rows)
        if written != read:
            raise CopyRefused(f"The rows of {table.name} were not copied alike. Nothing was changed.")
        counts[table.name] = read.many
    _give_triggers(target, taken)
    return counts


def _rows(connection: Connection, table: sa.Table) -> Iterator[list[Row[Any]]]:
    query = sa.select(table).order_by(*table.primary_key).execution_options(yield_per=AT_ONCE)
    with connection.execute(query) as found:
        for rows in found.partitions():
            yield list(rows)


class _Digest:
    """What tells whether two tables hold the same rows. Added up, since databases sort texts differently."""

    def __init__(self) -> None:
        self.many, self.sum = 0, 0

    def add(self, rows: list[Row[Any]]) -> None:
        self.many += len(rows)
        for row in rows:
            self.sum += int.from_bytes(blake2b(repr(tuple(row)).encode(), digest_size=16).digest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Digest) and (self.many, self.sum) == (other.many, other.sum)

    __hash__ = None  # type: ignore[assignment] # it grows


def _in_short(no: DBAPIError) -> str:
    """The database's own words without the values: their first line."""
    return str(no.orig).strip().splitlines()[0]


# --- triggers and numbers -------------------------------------------------------------------------------------


def _take_triggers(target: Connection) -> list[str]:
    """Keeps what happens on its own from happening: the rows that it made come along."""
    if target.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid"
        triggers = [(name, sql) for name, sql in target.exec_driver_sql(query)]
        for name, _ in triggers:
            target.exec_driver_sql(f'DROP TRIGGER "{name}"')
        return [sql for _, sql in triggers]
    for table in database.metadata.sorted_tables:
        target.exec_driver_sql(f'ALTER TABLE "{table.name}" DISABLE TRIGGER USER')
    return [f'ALTER TABLE "{table.name}" ENABLE TRIGGER USER' for table in database.metadata.sorted_tables]


def _give_triggers(target: Connection, taken: list[str]) -> None:
    for statement in taken:
        target.exec_driver_sql(statement)


def _sequence(connection: Connection, table: sa.Table) -> str | None:
    """The name of PostgreSQL's sequence for a table's row numbers."""
    if "id" not in table.columns:
        return None
    return connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, "id")))


def _highest(source: Connection, table: sa.Table) -> int:
    """The highest row number that was ever given, also to a row that is gone: none is given twice."""
    if source.dialect.name == "sqlite":
        query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return source.scalar(query, {"name": table.name}) or 0
    sequence = _sequence(source, table)
    if sequence is None:
        return 0
    return source.exec_driver_sql(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}").scalar_one()


def _number_on(target: Connection, table: sa.Table, highest: int) -> None:
    if not highest:
        return
    if target.dialect.name == "sqlite":
        target.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        values = {"name": table.name, "seq": highest}
        target.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), values)
        return
    target.execute(sa.select(sa.func.setval(_sequence(target, table), highest)))


# --- SQLite's own way -----------------------------------------------------------------------------------------


def copy_file(engine: Engine, path: str) -> None:
    """SQLite: one moment of a database as a file by itself, while others write on (sqlite.org/backup.html)."""
    with engine.connect() as connection:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        target = sqlite3.connect(path, isolation_level=None)
        try:
            source.backup(target)  # all pages in one step: begun again by no write
            target.execute("PRAGMA journal_mode=DELETE").close()
        except sqlite3.Error as error:
            raise CopyRefused(f"The database cannot be copied: {error}.") from error
        finally:
            target.close()


def must_be_sound(connection: Connection) -> None:
    """SQLite: raises CopyRefused for a file that is damaged."""
    for query in ("PRAGMA integrity_check(1)", "PRAGMA foreign_key_check"):
        found = connection.exec_driver_sql(query).first()
        if found is not None and found[0] != "ok":
            raise CopyRefused(f"The copy is damaged: {' '.join(map(str, found))}.")
