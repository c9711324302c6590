"""At work: which processes serve a database. Each holds it together with the others, a restore or a move alone.

Invariant: whoever ends lets go, however it ends. On SQLite the lock is the system's (flock(2)), on a file beside the
database; on PostgreSQL it is the server's, on a connection that is used for nothing else.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows, where the portal is tried out and not served: nothing is locked there
    fcntl = None  # type: ignore[assignment]

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from portal.core import database
from portal.core.text import Refusal

LOOKS_EVERY_S = 5
"""So often PostgreSQL is asked whether it still knows us: a connection that was cut has to be made anew."""

ALONE, TOGETHER = "LOCK_EX", "LOCK_SH"
"""What flock(2) calls them."""

PATIENCE_S = 1
"""So long PostgreSQL may take to notice that a process has ended."""

_NAME = "hashtext('portal'), hashtext('at work')"
"""Of two numbers: the names that `database.lock_names` locks are of one, and so never this."""


class AtWork(Refusal):
    """Others are at work on this database, or somebody has it alone."""


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """Nobody serves the database meanwhile. Raises AtWork if somebody does, at once."""
    refused = AtWork("A portal is at work on this database: stop all of its processes, and try again.")
    with _file(engine, ALONE, refused) if _is_sqlite(engine) else _of_the_server(engine, refused):
        yield


@contextmanager
def with_others(engine: Engine) -> Iterator[None]:
    """The database is served meanwhile. Raises AtWork while a restore or a move has it alone."""
    refused = AtWork("A restore or a move is under way in this database: wait until it is over, and start again.")
    if _is_sqlite(engine):
        with _file(engine, TOGETHER, refused):
            yield
        return
    watch = _Watch(engine)
    if not watch.take():
        raise refused
    watch.start()
    try:
        yield
    finally:
        watch.end()


def for_life(engine: Engine) -> None:
    """The database is served until this process ends, by one that was started by another `with_others`. One that is
    away is waited for."""
    if _is_sqlite(engine):
        _locked(engine, TOGETHER)
    else:
        _Watch(engine).start()


def _is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


# --- SQLite ---------------------------------------------------------------------------------------------------


def beside(engine: Engine) -> Path:
    """The file that is locked. Not the database itself: closing that would end SQLite's own locks on it
    (sqlite.org/howtocorrupt.html, 2.2)."""
    name = (engine.url.database or "").removeprefix("file:").partition("?")[0]
    return Path(f"{name}.at-work")


@contextmanager
def _file(engine: Engine, how: str, refused: AtWork) -> Iterator[None]:
    number = _locked(engine, how)
    if number is None:
        raise refused
    try:
        yield
    finally:
        os.close(number)


def _locked(engine: Engine, how: str) -> int | None:
    """The lock's file, open, or None if others hold it. Raises AtWork where no file can be."""
    path = beside(engine)
    while True:
        try:
            number = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise AtWork(f"{path} cannot be made: {error.strerror}. SQLite needs a folder to write in.") from error
        try:
            if fcntl is not None:
                fcntl.flock(number, getattr(fcntl, how) | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(path), os.fstat(number)):
                return number
        except BlockingIOError:
            os.close(number)
            return None
        except FileNotFoundError:
            pass
        except OSError as error:  # a file system of another machine that has no locks
            os.close(number)
            raise AtWork(f"{path} cannot be locked: {error.strerror}. SQLite needs a disk of this machine.") from error
        os.close(number)  # whoever had it took the file away meanwhile


# --- PostgreSQL -----------------------------------------------------------------------------------------------


def _connected(engine: Engine) -> Connection:
    """A connection of its own, which waits for nothing and is given up when the server is gone."""
    own = sa.create_engine(
        engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True,
        connect_args={"connect_timeout": 5, **database.NOT_FOR_EVER},
    )  # fmt: skip
    return own.connect()


def _taken(connection: Connection, function: str) -> bool:
    return bool(connection.scalar(sa.text(f"SELECT {function}({_NAME})")))


@contextmanager
def _of_the_server(engine: Engine, refused: AtWork) -> Iterator[None]:
    with _connected(engine) as connection:
        until = time.monotonic() + PATIENCE_S
        while not _taken(connection, "pg_try_advisory_lock"):
            if time.monotonic() > until:
                raise refused
            time.sleep(0.05)
        yield


class _Watch:
    """Holds the lock with others, and takes it again when the server was away."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.held: Connection | None = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True, name="at work")

    def start(self) -> None:
        self.thread.start()

    def end(self) -> None:
        self.over.set()
        self.thread.join()
        self._let_go()

    def take(self) -> bool:
        """Takes the lock; whether it could be had."""
        self.held = _connected(self.engine)
        if not _taken(self.held, "pg_try_advisory_lock_shared"):
            self._let_go()
        return self.held is not None

    def _look(self) -> None:
        while True:
            try:
                if self.held is None:
                    self.take()
                else:
                    self.held.scalar(sa.text("SELECT 1"))
            except Exception:  # the server is away: whoever needs it says so
                self._let_go()
            if self.over.wait(LOOKS_EVERY_S):
                return

    def _let_go(self) -> None:
        held, self.held = self.held, None
        if held is not None:
            with suppress(DBAPIError):
                held.close()
