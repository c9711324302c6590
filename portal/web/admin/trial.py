"""A change of the program before it is made: how it will look, what it touches, what it would have given."""

import math
from typing import Any

from flask import render_template, request
from flask_babel import gettext

from portal import terms
from portal.core import clock, colour
from portal.notices import invitations, writing
from portal.referrals import referrals
from portal.reports import rehearsal, versions
from portal.rewards import rules
from portal.rewards.rules import Rule
from portal.terms import Terms
from portal.web import access, look, words


def only_looks() -> bool:
    """Whether a form was sent only to see what it would do."""
    return request.form.get("only") == "preview"


def by_script() -> bool:
    """Whether a script asks, which wants the picture alone."""
    return "HX-Request" in request.headers


def draft(changed: dict[str, Any]) -> Terms:
    """The next version as it would be with something changed, kept nowhere."""
    current = terms.in_force()
    kept = {column.key: getattr(current, column.key) for column in Terms.__table__.columns if column.key != "id"}
    return Terms(**kept | {"version": current.version + 1, "published_at": clock.now()} | changed)


def looks(planned: Terms, offer: list[Rule]) -> dict[str, Any]:
    """What the picture shows."""
    at = clock.now()
    letter = invitations.draft(access.me(), planned, offer, words.spoken(), at=at)
    return {
        "draft": planned,
        "offered": rules.best(offer, planned, at=at) if planned.open_to_new else {},
        "letter": letter,
        "blocks": writing.as_seen(letter.text),
        "tint": tint(planned.accent),
        "wrong": [],
        "swapped": False,
    }


def tint(accent: str) -> dict[str, Any] | None:
    """How a colour can be read on: its ratio with white words, and the nearest that is fine; None for the portal's."""
    if not colour.is_colour(accent):
        return None
    used = look.fill(accent)
    tenths = math.floor(colour.contrast(accent, colour.WHITE) * 10)  # what misses a limit is not said to reach it
    return {"ratio": f"{tenths / 10:.1f}", "used": used, "fine": used == accent}


def for_newcomers(planned: Terms) -> str:
    """What a version means for friends who sign up once it is in force."""
    if planned.open_to_new:
        return gettext("New sign-ups use this from then on.")
    return gettext("The program is closed to new friends then.") + " " + nothing_new()


def nothing_new() -> str:
    """What it means that a program is paused or has ended."""
    return gettext(
        "Links open and people can join, but neither they nor whoever sent them is given anything. Friends who signed "
        "up before still count."
    )


def picture(planned: Terms, offer: list[Rule]) -> str:
    """How it will look, as a part of a page."""
    return render_template("admin/_trial.html", **looks(planned, offer))


def picture_of_look(accent: str) -> str:
    """The same with another colour, and how words can be read on that."""
    shown = looks(draft({"accent": accent}), rules.of_terms(terms.in_force().id))
    return render_template("admin/_trial.html", **shown | {"swapped": True})


def old_picture(form: Any) -> str:
    """The program as it is, and why it is not as the form has it."""
    shown = looks(draft({}), rules.of_terms(terms.in_force().id))
    return render_template("admin/_trial.html", **shown | {"wrong": wrong_of(form)})


def wrong_of(form: Any) -> list[str]:
    """What of a form keeps its change out of the picture."""
    return [f"{one.label.text}: {one.errors[0]}" for one in form if one.errors] + list(form.form_errors)


def trial(planned: Terms, offer: list[Rule], *, action: str, **more: Any) -> str:
    """The page before a change is made; for a script only how it will look."""
    if by_script():
        return picture(planned, offer)
    current, at = terms.in_force(), clock.now()
    old = rules.of_terms(current.id)
    results = rehearsal.rehearse({"now": (current, old), "new": (planned, offer)}, at=at)
    sent = [(name, given) for name, given in request.form.items(multi=True) if name not in ("csrf_token", "only")]
    return render_template(
        "admin/trial.html",
        **{"sent": sent, "removes": False, "refused": ""} | more,
        **looks(planned, offer),
        **results,
        days=rehearsal.DAYS,
        changes=versions.changes(current, planned),
        rules=versions.differing(old, offer),
        nothing_left=bool(old) and not offer,
        for_newcomers=for_newcomers(planned),
        as_if_open=not (planned.open_to_new or current.open_to_new),
        open_referrals=referrals.open_now(at=at),
        action=action,
        next_version=current.version + 1,
    )
