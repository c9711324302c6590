"""The WSGI application, for granian: `wsgi:app`."""

import gc

gc.disable()  # importing makes much and drops nothing: looking for garbage would take a fifth of the start

from portal import create_app  # noqa: E402
from portal.config import Settings  # noqa: E402
from portal.web import serving  # noqa: E402

serving.end_with_parent()
app = create_app(Settings.from_env())

gc.freeze()  # what is there now stays; not looked through again while people wait
gc.enable()
