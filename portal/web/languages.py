"""Languages: in which one a page is said, and how it is chosen: in the account, at the foot of a page, by the browser.

The API answers in English: its sentences are for programmers and logs.
"""

from flask import Blueprint, Flask, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import Babel, get_locale
from flask_security import current_user
from werkzeug.wrappers import Response

from portal import program
from portal.core import database, language
from portal.core.language import LANGUAGES
from portal.web import access, shell

blueprint = Blueprint("languages", __name__)

COOKIE = "language"


def install(app: Flask) -> None:
    """Lets every page be said in the language of whoever reads it."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(language.FOLDER)
    Babel(app, locale_selector=of_request)
    app.jinja_env.globals.update(language=spoken, language_names=language.NAMES)


def of_request() -> str:
    """The account's choice, else the cookie's, else what the browser asks for, else English."""
    if request.path.startswith("/api/v1/"):
        return LANGUAGES[0]
    for chosen in (_of_account(), request.cookies.get(shell.cookie(COOKIE))):
        if chosen in LANGUAGES:
            return chosen
    return request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0]


def _of_account() -> str:
    if g.get("database_is_there", True) and current_user.is_authenticated:
        return access.me().language
    return ""


def spoken() -> str:
    """The language of this page."""
    return str(get_locale() or LANGUAGES[0])


def to_keep() -> str:
    """The language to keep with a new account, for its mails: that of the page, unless mails are in it anyway."""
    return "" if spoken() == LANGUAGES[0] else spoken()


@blueprint.post("/language")
def choose() -> ResponseReturnValue:
    """The switch at the foot of every page. Whoever is signed in changes the account's choice with it."""
    chosen = request.form.get("language", "")
    response = redirect(shell.inward(request.form.get("next", "")) or url_for("public.home"))
    if chosen not in LANGUAGES:
        return response
    if current_user.is_authenticated:
        with database.writing():
            program.choose_language(access.me(), chosen)
    return keep(response, chosen)


def keep(response: Response, chosen: str) -> Response:
    """Has the browser keep a choice for the pages of whoever is not signed in, or forget the one it kept."""
    secure = current_app.config["SESSION_COOKIE_SECURE"]
    if chosen:
        response.set_cookie(
            shell.cookie(COOKIE), chosen, max_age=365 * 86400, samesite="Lax", secure=secure, httponly=True
        )
    else:
        response.delete_cookie(shell.cookie(COOKIE), samesite="Lax", secure=secure, httponly=True)
    return response
