"""`python -m portal`: the portal command."""

import gc

gc.disable()  # as in wsgi.py: importing drops nothing, and looking for garbage would take a fifth of the start

from portal.cli import main  # noqa: E402

gc.freeze()
gc.enable()

main()
