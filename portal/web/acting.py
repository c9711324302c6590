"""Acting: what the views that change something share: one write, one verb, a word about it, and back."""

from collections.abc import Callable

from flask import flash, redirect
from flask.typing import ResponseReturnValue

from portal.core import database
from portal.core.text import Refusal
from portal.web import words


def act(verb: Callable[[], object], *, done: str, back: str) -> ResponseReturnValue:
    """Does one thing in one write and goes back; a refusal is told, and nothing was changed."""
    try:
        with database.writing():
            verb()
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
    else:
        flash(done, "ok")
    return redirect(back)
