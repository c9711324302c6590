"""How Alembic runs our migrations.

`portal migrate` comes here with a connection that is locked and in its transaction (see portal/core/migrate.py).
`flask db …`, for whoever writes the next version, comes with none and gets the same.
"""

import importlib
import pkgutil
from typing import Literal

from alembic import context
from sqlalchemy import MetaData
from sqlalchemy.engine import Connection

import portal
from portal.core import database, migrate

EDGES = ("portal.web", "portal.cli", "portal.__main__")


def declared() -> MetaData:
    """The tables that the code declares, every room's, for comparing with a database."""
    for room in pkgutil.walk_packages(portal.__path__, "portal."):
        if not room.name.startswith(EDGES):
            importlib.import_module(room.name)
    return database.metadata


def frozen(kind: str, thing: object, _context: object) -> str | Literal[False]:
    """How a generated version names our own types: plainly, since what they mean may change."""
    if kind == "type" and isinstance(thing, database.Moment):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(thing, database.Json):
        return "sa.Text()"
    return False


def run(connection: Connection, metadata: MetaData | None) -> None:
    """Runs what was asked for. No batch mode: on SQLite it drops triggers and says nothing."""
    context.configure(
        connection=connection, target_metadata=metadata, compare_type=True, render_item=frozen, render_as_batch=False
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given, None)
else:
    with migrate.transaction(database.db.engine) as own:
        run(own, declared())
