"""Live portals for the tests of this folder: PostgreSQL served by four processes, SQLite by one of eight threads."""

import os
from collections.abc import Iterator
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


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, maybe_postgres: Postgres | str
) -> Iterator[Live]:
    """A portal that is served while the tests of one file run, on one database and then on the other."""
    folder = tmp_path_factory.mktemp(f"live-{request.param}")
    url = new_database(request.param, folder, maybe_postgres)
    with live_on(folder, url, workers=1 if request.param == "sqlite" else PROCESSES) as found:
        yield found
