"""The program's own look: its colour as a style sheet in light and dark, readable whatever was chosen, and its
images."""

from functools import lru_cache

from flask import Blueprint, Response, abort
from flask.typing import ResponseReturnValue

from portal import images
from portal.core import colour
from portal.core.colour import BLACK, READABLE, WHITE, contrast, mixed, until
from portal.images import Image
from portal.web.assets import FOREVER

blueprint = Blueprint("look", __name__)

GROUNDS = {"light": ("#ffffff", "#f1f3f7", "#f6f7fa"), "dark": ("#0b0d13", "#13161e", "#1b1f2a")}
"""What words of the colour stand on; see static/css/tokens.css."""


@blueprint.get("/look/<wanted>.css")
def style(wanted: str) -> ResponseReturnValue:
    """The colours that follow from one, such as `4538cf`."""
    if not colour.is_colour(f"#{wanted}"):
        abort(404)
    return _for_ever(Response(_sheet(f"#{wanted}"), mimetype="text/css"))


@blueprint.get("/look/<digest>.<any(png, webp):form>")
def image(digest: str, form: str) -> ResponseReturnValue:
    found = images.find(digest) if len(digest) == 64 else None
    if found is None or found.form != form:
        abort(404)
    return _for_ever(Response(found.data, mimetype=f"image/{form}"))


@blueprint.app_template_global()
def image_of(digest: str) -> Image | None:
    """An image that a version of the terms names, to be shown on a page."""
    return images.find(digest)


def _for_ever(answer: Response) -> Response:
    answer.headers["Cache-Control"] = FOREVER
    return answer


def fill(chosen: str) -> str:
    """The colour itself, or the nearest darker one on which white words can be read."""
    return until(chosen, BLACK, lambda tried: contrast(tried, WHITE) >= READABLE)


def _ink(chosen: str, towards: str, grounds: tuple[str, ...]) -> str:
    """The nearest colour in which words can be read on all of these, with a little to spare."""
    return until(chosen, towards, lambda tried: min(contrast(tried, one) for one in grounds) >= READABLE + 0.2)


def colours(chosen: str) -> dict[str, tuple[str, str]]:
    """What follows from a colour: the name of a token -> its light and its dark half."""
    ground = fill(chosen)
    soft = mixed(chosen, WHITE, 0.9), mixed(chosen, GROUNDS["dark"][1], 0.82)
    inks = (_ink(chosen, BLACK, (*GROUNDS["light"], soft[0])), _ink(chosen, WHITE, (*GROUNDS["dark"], soft[1])))
    return {
        "accent": (ground, ground),
        "accent-hover": (mixed(ground, BLACK, 0.18), mixed(ground, BLACK, 0.18)),
        "accent-ink": (inks[0], inks[1]),
        "accent-soft": soft,
        "accent-line": (mixed(chosen, WHITE, 0.7), mixed(chosen, GROUNDS["dark"][1], 0.55)),
        "hero-iris": (mixed(chosen, WHITE, 0.8), mixed(chosen, GROUNDS["dark"][1], 0.55)),
        "hero-line": (mixed(chosen, WHITE, 0.82), mixed(chosen, GROUNDS["dark"][1], 0.7)),
        "chart-line": (inks[0], inks[1]),
        "chart-glow": (mixed(chosen, WHITE, 0.3), ground),
    }


@lru_cache(maxsize=16)
def _sheet(chosen: str) -> str:
    found = colours(chosen)
    light = "".join(f"--{name}:{pair[0]};" for name, pair in found.items())
    both = "".join(f"--{name}:light-dark({pair[0]},{pair[1]});" for name, pair in found.items())
    return f":root{{{light}}}\n@supports (color:light-dark(#000,#fff)){{:root{{{both}}}}}\n"
