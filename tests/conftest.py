"""What every test stands on: databases, settings, the app, a browser without pictures, and the check of the books.

Tests run on SQLite; `@pytest.mark.both_databases` runs them on PostgreSQL too, `@pytest.mark.on_postgresql` there
only. After every test that used `app` the invariants are checked, unless it says `@pytest.mark.wrecks_the_books`.
"""

import contextvars
import gc
import os
import shutil
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import event

from portal import create_app
from portal.config import Settings
from portal.core import database, migrate
from portal.notices.writing import Office
from portal.web import limits
from tests import cases, figures, invariants, pages
from tests.factories import Scene
from tests.postgres import Postgres, open_server

MARKERS = (
    "case(*numbers): the cases of the field (see tests/cases.py) that this test keeps",
    "both_databases: runs on SQLite and on PostgreSQL",
    "on_postgresql: runs on PostgreSQL only",
    "own_app: changes the app itself, and so gets one of its own",
    "wrecks_the_books: leaves books behind that are wrong on purpose",
)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(cases.Cases(), "cases")
        config.pluginmanager.register(pages.Pages(), "pages")  # the later one speaks first
        config.pluginmanager.register(figures.Figures(), "figures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    cases.label(items)


def pytest_collection_finish() -> None:
    """What is imported stays: the collector of garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" not in metafunc.fixturenames:
        return
    if metafunc.definition.get_closest_marker("both_databases"):
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True)
    elif metafunc.definition.get_closest_marker("on_postgresql"):
        metafunc.parametrize("database_kind", ["postgresql"], indirect=True)


def missing(reason: str) -> None:
    """A part that this machine lacks: skips the test on a laptop, fails it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


# --- databases ------------------------------------------------------------------------------------------------


def make_schema(settings: Settings) -> None:
    """Gives an empty database its tables. The one place where the tests decide how."""
    app = create_app(settings)
    with app.app_context():
        migrate.upgrade(database.db.engine)
        close(app)


def hurry(app: Flask) -> None:
    """Lets SQLite leave the disk to the system: nothing here outlives the machine, and a run is many thousand commits."""
    with app.app_context():
        for engine in database.db.engines.values():
            if engine.dialect.name == "sqlite":
                event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))


def close(app: Flask) -> None:
    """Lets go of every connection of an app; call it inside its context."""
    database.session.remove()
    for engine in database.db.engines.values():
        engine.dispose()


def make_settings(folder: Path, database_url: str, **more: Any) -> Settings:
    """Settings with keys that stay the same, and no rate limits unless asked for."""
    given: dict[str, Any] = {
        "secret_key": "a secret key for the tests, long enough",
        "details_key": urlsafe_b64encode(b"0123456789abcdef0123456789abcdef").decode(),
        "suppression_key": "a suppression key for the tests, long",
        "rate_limits": False,
    }
    return Settings(instance_dir=folder, database_url=database_url, **given | more)


@pytest.fixture(scope="session")
def maybe_postgres(testrun_uid: str) -> Iterator[Postgres | str]:
    """The server that all of xdist's workers share, or why there is none.

    Not in pytest's own folder: root's server runs as another user, and each pytest that starts closes that folder
    to others, also under the servers of those that run.
    """
    found = open_server(Path(tempfile.gettempdir()) / f"portal-tests-{testrun_uid}")
    yield found
    if isinstance(found, Postgres):
        found.close()


@pytest.fixture
def postgres(maybe_postgres: Postgres | str) -> Postgres:
    """The server, for tests that make databases of their own."""
    if isinstance(maybe_postgres, str):
        missing(maybe_postgres)
    assert isinstance(maybe_postgres, Postgres)
    return maybe_postgres


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the databases of this worker's tests are copied from, made when first needed: kind -> file or name."""
    return {}


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgresql`."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def empty_database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"empty_{request.getfixturevalue('worker_id')}_{next(_counter)}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture(scope="session")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one place at which this worker's tests find their database and the portal's files, one after the other.

    One place, so that an app can serve many tests: what it has learned (statements, routes, templates) is kept.
    """
    return tmp_path_factory.mktemp("premises") / "instance"


@pytest.fixture
def database_url(
    database_kind: str, request: pytest.FixtureRequest, premises: Path,
    tmp_path_factory: pytest.TempPathFactory, templates: dict[str, str], worker_id: str,
) -> Iterator[str]:  # fmt: skip
    """A database of this test's own, with its tables, of the kind that the test asked for; the place is cleared."""
    shutil.rmtree(premises, ignore_errors=True)
    premises.mkdir()
    if database_kind == "sqlite":
        if "sqlite" not in templates:
            folder = tmp_path_factory.mktemp("template")
            make_schema(make_settings(folder, f"sqlite:///{folder / 'portal.db'}"))
            templates["sqlite"] = str(folder / "portal.db")
        shutil.copy(templates["sqlite"], premises / "portal.db")
        yield f"sqlite:///{premises / 'portal.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    if "postgresql" not in templates:
        name = f"template_{worker_id}"
        make_schema(make_settings(premises, server.create(name)))
        templates["postgresql"] = name
    yield server.clean(f"test_{worker_id}", template=templates["postgresql"])


_counter = iter(range(1, 1_000_000))


# --- the app --------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(premises: Path, database_url: str) -> Settings:
    """The settings of this test; replace what you need with `dataclasses.replace`."""
    return make_settings(premises, database_url)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """The templates as compiled once for all apps of this run: to compile them anew takes longer than most tests."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture(scope="session")
def apps() -> dict[Settings, Flask]:
    """The apps of this worker that may serve again: to make one takes longer than many a test."""
    return {}


@pytest.fixture
def app(
    settings: Settings, request: pytest.FixtureRequest, compiled: FileSystemBytecodeCache, apps: dict[Settings, Flask]
) -> Iterator[Flask]:
    """The application, in whose context the test runs; the books are checked after the test.

    With `@pytest.mark.own_app`, one that no other test has used or will use.
    """
    # Limits are counted in the app; at a port of its own, an app is met by this test alone.
    own = settings.rate_limits or settings.port != Settings.port or request.node.get_closest_marker("own_app")
    application = None if own else apps.get(settings)
    if application is None:
        application = create_app(settings)
        application.test_client_class = Browser
        application.jinja_env.bytecode_cache = compiled
        hurry(application)
        if not own:
            apps[settings] = application
    # What parts keep beside the app, for the latest that was made.
    Office.base_url, Office.hash_key = settings.base_url, settings.suppression_key.encode()
    limits.limiter.enabled = settings.rate_limits
    with application.app_context():
        try:
            yield application
            database.session.rollback()
            if request.node.get_closest_marker("wrecks_the_books") is None:
                invariants.check()
        finally:
            close(application)


class Browser(FlaskClient):
    """A browser without pictures: keeps cookies, and shares nothing else with the test.

    Each request runs outside the test's own context, as it would in a server; afterwards the test's session reads
    afresh. (In the test's context Flask would reuse `g`, and with it whoever is signed in.)
    """

    def open(self, *args: Any, **kwargs: Any) -> Any:
        if database.session.info.get("writing"):
            raise RuntimeError("a request inside a write of the test would wait for it for ever")
        database.session.rollback()
        return contextvars.Context().run(super().open, *args, **kwargs)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A new browser."""
    return app.test_client()


@pytest.fixture
def scene(app: Flask) -> Scene:
    """A program that pays 20.00 for a friend's first order, on 1 September 2026 at noon."""
    return Scene(app)
