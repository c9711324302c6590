"""Health at the developers' desk: what `/readyz`, `/metrics` and `portal doctor` look at, for the owner to read."""

from flask import render_template
from flask.typing import ResponseReturnValue

from portal import VERSION
from portal.core import clock, database, migrate
from portal.delivery import outbox, worker
from portal.reports import watched
from portal.web import access
from portal.web.admin.room import blueprint

KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@blueprint.get("/developers/health")
@access.needs("own")
def health() -> ResponseReturnValue:
    engine, at = database.db.engine, clock.now()
    standing, turn = migrate.state(engine), worker.last_turn("worker")
    return render_template(
        "admin/health.html",
        version=VERSION,
        database=f"{KINDS[engine.dialect.name]} {'.'.join(map(str, engine.dialect.server_version_info or ()))}",
        schema=migrate.current(engine),
        needed=migrate.head(),
        is_current=standing.state == migrate.State.CURRENT,
        turn=turn,
        is_late=worker.is_late(turn, at=at),
        seen=watched.look(at=at),
        mail_trouble=outbox.standing_trouble(),
    )
