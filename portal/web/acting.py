"""Acting: what the views that change something share: one write, one verb, a word about it, and back."""

from collections.abc import Callable

from flask import flash, redirect
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.accounts import audit
from portal.accounts.users import User
from portal.core import database
from portal.core.text import Refusal
from portal.web import words


def act(
    verb: Callable[[], object], *, done: str, back: str, already: Callable[[], str] | None = None
) -> ResponseReturnValue:
    """Does one thing in one write and goes back; a refusal is told, and nothing was changed. `already`: what is said if
    the verb answers False, since it was so before."""
    try:
        with database.writing():
            did = verb()
    except Refusal as refusal:
        flash(words.say(refusal), "bad")
    else:
        flash(already() if already is not None and did is False else done, "ok")
    return redirect(back)


def told_already(verb: str, kind: str, name: str) -> str:
    """That somebody did a thing before, who and when, by the audit list."""
    before = audit.last(verb, kind, name)
    if before is None:
        return gettext("There was nothing to do.")
    who = User.by_id(before.actor_id).called if before.actor_id else gettext("the portal")
    return gettext("%(who)s did that already, on %(when)s. Nothing was changed.", who=who, when=words.exact(before.at))
