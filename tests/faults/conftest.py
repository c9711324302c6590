"""Live portals for the tests of this folder: PostgreSQL served by four processes, SQLite by one of eight threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import make_schema, make_settings, missing
from tests.faults.live import Live, live_on
from tests.postgres import Postgres

PROCESSES = 4


def new_database(kind: str, folder: Path, maybe_postgres: Postgres | str) -> str:
    """The address of a database with tables that nobody else uses."""
    if kind == "sqlite":
        url = f"sqlite:///{folder / 'portal.db'}"
    else:
        if isinstance(maybe_postgres, str):
            missing(maybe_postgres)
        assert isinstance(maybe_postgres, Postgres)
        url = maybe_postgres.create(f"live_{os.getpid()}_{folder.name}".replace("-", "_").lower())
    make_schema(make_settings(folder, url))
    return url


@contextmanager
def live_once(
    kind: str, folders: pytest.TempPathFactory, maybe_postgres: Postgres | str, *, workers: int
) -> Iterator[Live]:
    """A portal that is served on a database of its own."""
    folder = folders.mktemp(f"live-{kind}")
    url = new_database(kind, folder, maybe_postgres)
    with live_on(folder, url, workers=1 if kind == "sqlite" else workers) as found:
        yield found


LONG = os.environ.get("PORTAL_TEST_LONG") == "1"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"] if LONG else ["postgresql"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, maybe_postgres: Postgres | str
) -> Iterator[Live]:
    """A portal that is served while the tests of one file run: on PostgreSQL, in the long run on SQLite too (where the
    same races are run by threads in `tests/domain/test_races.py`)."""
    with live_once(request.param, tmp_path_factory, maybe_postgres, workers=PROCESSES) as found:
        yield found
