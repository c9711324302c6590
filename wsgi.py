"""The WSGI application, for granian: `wsgi:app`."""

from portal import create_app
from portal.config import Settings
from portal.web import serving

serving.end_with_parent()
app = create_app(Settings.from_env())
