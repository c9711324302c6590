"""The WSGI application, for granian: `wsgi:app`."""

import gc

gc.disable()  # importing makes much and drops nothing: looking for garbage would take a fifth of the start

from portal import create_app  # noqa: E402
from portal.config import Settings  # noqa: E402
from portal.web import logs, serving  # noqa: E402

serving.end_with_parent()
settings = Settings.from_env()
logs.begin(settings.log_format)
app = create_app(settings)

gc.freeze()  # what is there now stays; not looked through again while people wait
gc.enable()
