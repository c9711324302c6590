"""What signing in is besides the password: the second step, and passkeys. The password's page is Flask-Security's."""

from datetime import datetime, timedelta

from flask import Blueprint, current_app, flash, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_security import current_user, login_user

from portal import notices
from portal.accounts import passkeys, two_step, users
from portal.accounts.passkeys import Place, Question
from portal.accounts.users import User
from portal.config import Settings
from portal.core import clock, database
from portal.core.sealed import Box
from portal.web import access, attempts, inputs, limits, words
from portal.web.attempts import By, Why

blueprint = Blueprint("signing_in", __name__)

QUESTION = "passkey"


def keep() -> Box:
    """With what the secrets of people's apps are kept."""
    settings: Settings = current_app.extensions["settings"]
    return Box(settings.details_keys, two_step.PURPOSE)


def place() -> Place:
    """Where passkeys are for."""
    settings: Settings = current_app.extensions["settings"]
    terms = words.current_terms()
    return Place(settings.base_url, terms.program_name if terms else gettext("Referral portal"))


@blueprint.app_template_global()
def passkeys_work() -> bool:
    """Whether browsers give passkeys for the address at which the portal is reached."""
    return place().works


# --- second step ----------------------------------------------------------------------------------------------


@blueprint.get("/login/code")
def code() -> ResponseReturnValue:
    """The page after the password, for who has two-step on."""
    if access.half_signed_in() is None:
        return redirect(url_for("security.login"))
    return render_template("security/code.html", form=inputs.account.SecondStep())


@blueprint.post("/login/code")
@limits.codes
@limits.wrong_codes
@limits.guesses
def code_given() -> ResponseReturnValue:
    user = access.half_signed_in()
    if user is None:
        return redirect(url_for("security.login"))
    form, box, at = inputs.account.SecondStep(), keep(), clock.now()
    if form.validate():
        typed = two_step.read(user.id, form.code.data)
        with database.writing():
            left = two_step.codes_left(user.id)
            good = two_step.check(user.id, typed, keep=box, at=at)
            if good and two_step.codes_left(user.id) < left:
                notices.account_changed(user, "recovery_code_used", at=at)
            if not good:
                notices.wrong_code(user, at=at)
        if good:
            login_user(user, authn_via=["password", "code"])
            return redirect(url_for("public.start"))
        attempts.refused(By.CODE, Why.WRONG, user)
        form.code.errors = [gettext("This code is not right, or was used before. Take the next one.")]
    return render_template("security/code.html", form=form), 422


# --- passkeys -------------------------------------------------------------------------------------------------


def ask(question: Question) -> ResponseReturnValue:
    """Hands a question to the page's script, and remembers it for the answer."""
    session[QUESTION] = {"challenge": question.challenge, "at": clock.now().isoformat()}
    return current_app.response_class(question.options, mimetype="application/json")


def asked() -> tuple[str, datetime] | None:
    """The question that waits for its answer, once, and when it was asked; None if none does."""
    waiting = session.pop(QUESTION, None)
    if not isinstance(waiting, dict):
        return None
    at = clock.parse(str(waiting.get("at")))
    if not timedelta(0) <= clock.now() - at <= timedelta(seconds=passkeys.LASTS_SECONDS):
        return None
    return str(waiting.get("challenge")), at


@blueprint.post("/passkey/question")
@limits.guesses
def passkey_question() -> ResponseReturnValue:
    return ask(passkeys.ask_who(place()))


@blueprint.post("/passkey")
@limits.guesses
def passkey() -> ResponseReturnValue:
    """Signs in whoever a passkey is of; who is signed in already has shown it from now on."""
    waiting, form, at = asked(), inputs.account.Passkey(), clock.now()
    user: User | None = None
    if waiting and form.validate():
        challenge, since = waiting
        with database.writing():
            user = passkeys.whose(form.answer.data, challenge, place(), asked_at=since, at=at)
            number = user.id if user and user.active and user.confirmed_at else None
    else:
        number = None
    if number is None:
        attempts.refused(By.PASSKEY, _why_not(user), user)
        flash(gettext("This passkey is not known here, or its time was over. Try again, or use your password."), "bad")
        return redirect(url_for("security.login"))
    if not current_user.is_authenticated:
        login_user(users.User.by_id(number), authn_via=["passkey"])
        access.note_passkey()
    elif access.me().id == number:
        attempts.worked(access.me(), By.PASSKEY)
        access.renew_sign_in()
        access.note_passkey()
        access.thank()
        session.setdefault("wanted", url_for("safety.page", _anchor="sign-ins"))
    return redirect(url_for("public.start"))


def _why_not(user: User | None) -> Why:
    if user is None:
        return Why.UNKNOWN
    return Why.UNCONFIRMED if user.active else Why.SHUT_OUT
