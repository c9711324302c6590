"""People: who they are, what they may do, where they are signed in, and what was done by whom."""

import sys

if "webauthn" not in sys.modules:
    # Flask-Security imports the library of passkeys wherever it is installed, used or not: a fifth of a start. Ours
    # stand in `passkeys`, which imports it for the first one.
    sys.modules["webauthn"] = None  # type: ignore[assignment]  # Python's way to say: there is none
    import flask_security  # noqa: F401

    del sys.modules["webauthn"]
