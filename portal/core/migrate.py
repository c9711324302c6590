"""Migrations: bringing a database's tables to what this code needs, and saying how far it is.

Invariants: an upgrade happens whole or not at all, in one transaction, one upgrade at a time; whatever ends it in the
middle, running it again completes it; a database newer than the code is left alone.

Alembic is imported where it is used: it takes a tenth of a start, and most processes never need it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

from portal.core.text import Refusal, marked

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"

_VERSIONS = "alembic_version"
_PATIENCE_SECONDS = 60
_thread = threading.Lock()  # Alembic keeps the migration under way in a global


class State(StrEnum):
    """How a database stands to this code."""

    MISSING = "missing"
    BEHIND = "behind"
    CURRENT = "current"
    AHEAD = "ahead"


@dataclass(frozen=True)
class Standing:
    """A state, and the sentence that says it with its remedy."""

    state: State
    sentence: str


class SchemaRefused(Refusal):
    """A database that this code cannot work with, or cannot upgrade."""


# --- asked ----------------------------------------------------------------------------------------------------


def head(*, scripts: Path = SCRIPTS) -> str:
    """The version that this code needs."""
    newest = _directory(scripts).get_current_head()
    assert newest is not None
    return newest


def current(engine: Engine) -> str | None:
    """The version of a database; None if it has none of our tables."""
    with engine.connect() as connection:
        return _current(connection)


def state(engine: Engine, *, scripts: Path = SCRIPTS) -> Standing:
    """How a database stands to this code. Cheap enough to be asked by every probe."""
    return _standing(current(engine), scripts)


def must_be_current(engine: Engine, *, scripts: Path = SCRIPTS) -> None:
    """Raises SchemaRefused, with the remedy, unless the database is at the version that this code needs."""
    standing = state(engine, scripts=scripts)
    if standing.state != State.CURRENT:
        raise SchemaRefused(standing.sentence)


def _current(connection: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()


def _standing(at: str | None, scripts: Path) -> Standing:
    needed = head(scripts=scripts)
    if at is None:
        return Standing(State.MISSING, "The database has no tables yet: run portal migrate.")
    if at == needed:
        return Standing(State.CURRENT, f"The database is at {at}, as this code needs it.")
    if at in _known(scripts):
        return Standing(State.BEHIND, f"The database is at {at}, this code needs {needed}: run portal migrate.")
    return Standing(State.AHEAD, f"The database is at {at}, newer than this code ({needed}): update the code.")


@cache
def _directory(scripts: Path) -> "ScriptDirectory":
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config(scripts))


@cache
def _known(scripts: Path) -> frozenset[str]:
    return frozenset(script.revision for script in _directory(scripts).walk_revisions())


def _config(scripts: Path) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return config


# --- done -----------------------------------------------------------------------------------------------------


def upgrade(engine: Engine, *, scripts: Path = SCRIPTS) -> bool:
    """Brings a database to the version that this code needs; whether anything was to do.

    Raises SchemaRefused, and changes nothing, for a database that is ahead, that holds somebody else's tables, or
    in which a row would be left pointing to nothing.
    """

    with transaction(engine) as connection:
        at = _current(connection)
        standing = _standing(at, scripts)
        if standing.state == State.CURRENT:
            return False
        if standing.state == State.AHEAD:
            raise SchemaRefused(standing.sentence)
        if at is None:
            must_be_ours(connection)
        _run(connection, scripts)
        return True


def make_anew(connection: Connection) -> None:
    """Takes our tables away with all that is in them, whatever their version, and makes them as this code needs them.

    Inside a `transaction`, so before its end nothing has happened. Raises SchemaRefused for somebody else's tables.
    """
    must_be_ours(connection)
    sqlite = connection.dialect.name == "sqlite"
    for table in sa.inspect(connection).get_table_names():
        connection.exec_driver_sql(f'DROP TABLE "{table}"' if sqlite else f'DROP TABLE IF EXISTS "{table}" CASCADE')
    _run(connection, SCRIPTS)


def _run(connection: Connection, scripts: Path) -> None:
    from alembic import command

    config = _config(scripts)
    config.attributes["connection"] = connection
    with _thread:
        command.upgrade(config, "head")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A connection of its own for changing tables: alone, in one transaction, keys checked at its end.

    Not the engine's own connections: on SQLite foreign keys must be off before it begins (recreating a table would
    empty those that point to it), on PostgreSQL the portal's time limits would end it.
    """
    sqlite = engine.dialect.name == "sqlite"
    options: dict[str, Any] = {"isolation_level": None, "timeout": _PATIENCE_SECONDS} if sqlite else {}
    own = sa.create_engine(engine.url, poolclass=NullPool, connect_args=options, hide_parameters=True)
    if sqlite:
        _prepare_sqlite(own)
    try:
        with own.connect() as connection, connection.begin():
            if not sqlite:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('migrations', 0))"))
            yield connection
            if sqlite:
                _check_keys(connection)
    finally:
        own.dispose()


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys=OFF").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the second of two waits here, and then finds nothing to do


def _check_keys(connection: Connection) -> None:
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if lost is not None:
        raise SchemaRefused(
            marked("Row %(row)s of %(table)s points to a row of %(parent)s that is not there. Nothing was changed."),
            row=lost[1], table=lost[0], parent=lost[2],
        )  # fmt: skip


def must_be_ours(connection: Connection) -> None:
    """Raises SchemaRefused for a database with tables that no migration of ours has made."""
    strangers = sorted(set(sa.inspect(connection).get_table_names()) - {_VERSIONS})
    if strangers and _current(connection) is None:
        raise SchemaRefused(
            marked("The database holds tables that the portal did not make (%(tables)s): give it one of its own."),
            tables=", ".join(strangers[:5]),
        )
