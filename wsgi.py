"""The WSGI application, for granian: `wsgi:app`."""

import gc

gc.disable()  # importing makes much and drops nothing: looking for garbage would take a fifth of the start

from portal import create_app  # noqa: E402
from portal.config import Settings  # noqa: E402
from portal.core import at_work, database  # noqa: E402
from portal.web import logs, serving  # noqa: E402

serving.end_with_parent()
settings = Settings.from_env()
logs.begin(settings.log_format)
app = create_app(settings)
with app.app_context():
    at_work.for_life(database.db.engine)

gc.freeze()  # what is there now stays; not looked through again while people wait
gc.enable()
