"""Access: who is asking, and whether they may. A sign-in counts only while its row lives."""

import hashlib
import unicodedata
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from flask import Flask, Request, abort, current_app, flash, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import user_logged_in, user_logged_out
from flask_security import Security, SQLAlchemyUserDatastore, current_user, verify_password
from flask_security.forms import LoginForm, VerifyForm
from flask_security.utils import set_request_attr
from wtforms import Field
from wtforms.validators import ValidationError

from portal.accounts import passkeys, sign_ins, two_step, users
from portal.accounts.roles import RoleGrant
from portal.accounts.users import Surroundings, User
from portal.config import Settings
from portal.core import clock, database, language
from portal.core.database import db
from portal.core.text import marked, token_hash
from portal.web import attempts, inputs
from portal.web.attempts import By, Why
from portal.web.door import Browsers

TOKEN = "sign_in"

WITHOUT_A_USER = {"assets.show", "public.healthz", "public.readyz", "metrics.metrics", None}


class NoEndlessPassword:
    """A password longer than any that can be set is wrong; to hash it would fail."""

    def validate_password(self, field: Field) -> None:
        if len(field.data or "") > inputs.fields.LONGEST_PASSWORD:
            raise ValidationError(gettext("This password is not right."))


HALF = "half"
HALF_LASTS_SECONDS = 600
"""How long the page of the second step waits after the password."""


class SignInForm(NoEndlessPassword, LoginForm):
    """Flask-Security's, without *remember me*: a sign-in lasts as long as its row. Who has a second step is led to it
    before Flask-Security signs anybody in."""

    remember = None

    def validate(self, **kwargs: Any) -> bool:
        if not super().validate(**kwargs):
            self._note()
            return False
        user: User = self.user  # type: ignore[assignment] # ours
        if two_step.is_on(user.id):
            attempts.half(user)
            sign_in_by_half(user)
            abort(redirect(url_for("signing_in.code")))
        return True

    def _note(self) -> None:
        """Notes who could not be signed in, and why; a form that was not filled in is no try."""
        typed, user = (self.email.data or "").strip().lower(), self.user
        if not typed or not self.password.data:
            return
        if not isinstance(user, User):
            endless = len(self.password.data) > inputs.fields.LONGEST_PASSWORD  # whose it is was not even asked
            attempts.refused(By.PASSWORD, Why.WRONG if endless else Why.UNKNOWN, typed=typed)
        elif user.password is None:
            attempts.refused(By.PASSWORD, Why.NO_PASSWORD, user)
        else:
            attempts.refused(By.PASSWORD, Why.SHUT_OUT if self.user_authenticated else Why.WRONG, user)


def sign_in_by_half(user: User) -> None:
    """Notes in this browser that somebody owes the second step, and for which password."""
    session[HALF] = {"user": user.public_id, "at": int(clock.now().timestamp()), "by": _mark(user)}


def half_signed_in() -> User | None:
    """Who has given the right password in this browser a moment ago, and owes the second step."""
    half = session.get(HALF)
    if not isinstance(half, dict) or not 0 <= clock.now().timestamp() - int(half["at"]) <= HALF_LASTS_SECONDS:
        return None
    user = users.find_by_public_id(str(half["user"]))
    return user if user is not None and user.active and half.get("by") == _mark(user) else None


def _mark(user: User) -> str:
    """Another one for each password: with a new one, who gave the old one begins again."""
    return mark(user.password or "")


def mark(hashed: str) -> str:
    """By what a browser knows a (hashed) password again; of no use to anybody."""
    return token_hash(hashed)[:16]


SIGNED_UP = "sign_up"


def note_sign_up(hashed: str) -> None:
    """Notes that the sign-up with this (hashed) password was made in this browser."""
    session[SIGNED_UP] = mark(hashed)


def signed_up_here(hashed: str) -> bool:
    """Whether the latest sign-up in this browser was the one with this (hashed) password."""
    return session.get(SIGNED_UP) == mark(hashed)


def is_password(user: User, typed: str) -> bool:
    """Whether this is somebody's password. Slow on purpose: ask before a write begins."""
    if user.password is None or len(typed) > inputs.fields.LONGEST_PASSWORD:
        return False
    right: bool = verify_password(unicodedata.normalize(users.PASSWORD_FORM, typed), user.password)
    return right


def once_more(typed: str) -> bool:
    """Whether the password of whoever is signed in was typed once more; if so, the sign-in goes on under a new token,
    and the one of before is nobody's (ASVS 5.0, 7.2.4)."""
    if not is_password(me(), typed):
        g.wrong_password = True  # counted, whatever the page answers
        attempts.refused(By.ONCE_MORE, Why.WRONG, me())
        return False
    attempts.worked(me(), By.ONCE_MORE)
    renew_sign_in()
    return True


def proved(form: inputs.account.OnceMore) -> bool:
    """Whether a form can be taken, and the password in it is that of whoever is signed in."""
    if not form.validate():
        return False
    if not once_more(form.current.data):
        form.current.errors = [gettext("This password is not right.")]
        return False
    return True


def renew_sign_in() -> None:
    """Gives this browser's sign-in another token: whoever it is has just shown once more that it is them."""
    at = clock.now()
    with database.writing():
        session[TOKEN] = sign_ins.renew(session[TOKEN], at=at)
    _note_proof(at)


PROVED = "proved"
PROOF_LASTS_SECONDS = 600
"""How long nothing is asked once more before other devices are signed out."""


def _note_proof(at: datetime) -> None:
    session[PROVED] = int(at.timestamp())


def proved_lately() -> bool:
    """Whether whoever is signed in here has given a password or shown a passkey in the last ten minutes."""
    return 0 <= clock.now().timestamp() - int(session.get(PROVED, 0)) <= PROOF_LASTS_SECONDS


def thank() -> None:
    """Says that what was asked for once more is given, and that nothing else has happened by it."""
    flash(gettext("Thank you. Nothing was done yet: now press what you wanted to do."), "ok")


def lately(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """For what a browser left open is not enough for (ASVS 5.0, 7.5.2): whose sign-in is older is asked once more."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        return view(*args, **kwargs) if proved_lately() else redirect(url_for("security.verify"))

    return guarded


SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"),
           ("CrOS", "ChromeOS"), ("Mac OS X", "macOS"), ("Linux", "Linux"))  # fmt: skip
BROWSERS = (("Edg/", "Edge"), ("EdgA/", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"),
            ("Firefox/", "Firefox"), ("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("Chrome/", "Chrome"),
            ("Safari/", "Safari"))  # fmt: skip
"""What stands in a browser's description of itself, and what people call it; the first that fits."""


def device() -> str:
    """What people know this browser by, such as `Firefox on Linux`; empty if it does not say."""
    agent = request.headers.get("User-Agent", "")[:500]
    names = [next((name for part, name in known if part in agent), "") for known in (BROWSERS, SYSTEMS)]
    return " on ".join(name for name in names if name)


class OnceMoreForm(NoEndlessPassword, VerifyForm):
    """Flask-Security's form for the password of somebody who is signed in."""

    def validate(self, **kwargs: Any) -> bool:
        if not super().validate(**kwargs):
            g.wrong_password = True
            attempts.refused(By.ONCE_MORE, Why.WRONG, me())
            return False
        attempts.worked(me(), By.ONCE_MORE)
        renew_sign_in()
        thank()
        return True


class Sessions(SecureCookieSessionInterface):
    """Flask's cookies, signed with SHA-256 (Flask's own SHA-1 is not to be used any more: ASVS 5.0, 11.4.1)."""

    digest_method = staticmethod(hashlib.sha256)


def install(app: Flask, settings: Settings) -> None:
    """Lets Flask-Security sign people in, and makes every sign-in a row."""
    app.config.update(
        SECURITY_STATIC_FOLDER=None,
        SECURITY_REGISTERABLE=False,
        SECURITY_CONFIRMABLE=False,  # our own pages: its GET would confirm for any mail scanner
        SECURITY_RECOVERABLE=False,  # our own: single use, a newer link ends the older ones
        SECURITY_JOIN_USER_ROLES=False,  # `roles` follows from the grants, which are loaded with their person
        SECURITY_TRACKABLE=False,
        SECURITY_LOGOUT_METHODS=["POST"],
        SECURITY_PASSWORD_HASH="argon2",
        SECURITY_PASSWORD_SCHEMES=["argon2"],  # no other was ever used; each is read in at the start
        SECURITY_PASSWORD_SINGLE_HASH=["argon2"],
        SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS={
            "argon2__memory_cost": users.ARGON2_KIB,
            "argon2__time_cost": users.ARGON2_TIME,
            "argon2__parallelism": users.ARGON2_LANES,
        },
        SECURITY_PASSWORD_SALT="unused: argon2 salts each password itself",
        SECURITY_HASHING_SCHEMES=["hex_sha256"],
        SECURITY_DEPRECATED_HASHING_SCHEMES=[],
        SECURITY_PASSWORD_NORMALIZE_FORM=users.PASSWORD_FORM,
        SECURITY_PASSWORD_LENGTH_MIN=12,
        SECURITY_RETURN_GENERIC_RESPONSES=True,
        SECURITY_DATETIME_FACTORY=clock.now,
        SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False},
        SECURITY_POST_LOGIN_VIEW="/home",
        SECURITY_POST_LOGOUT_VIEW="/",
        SECURITY_POST_VERIFY_VIEW="/account/security#sign-ins",
        SECURITY_UNAUTHORIZED_VIEW=None,
        SECURITY_I18N_DOMAIN="messages",  # ours: its own German is another one, and not found as `de`
        SECURITY_I18N_DIRNAME=[str(language.FOLDER)],
        SECURITY_MSG_GENERIC_AUTHN_FAILED=(marked("That e-mail and password do not match."), "error"),
        SECURITY_MSG_EMAIL_NOT_PROVIDED=(marked("Enter an e-mail like name@example.com."), "error"),
        SECURITY_MSG_INVALID_EMAIL_ADDRESS=(marked("Enter an e-mail like name@example.com."), "error"),
        SECURITY_MSG_PASSWORD_NOT_PROVIDED=(marked("Enter your password."), "error"),
        SECURITY_MSG_INVALID_PASSWORD=(marked("This password is not right."), "error"),
        SECURITY_CACHE_CONTROL={"private": None, "no-store": None},  # its own True would be told as `no-store=True`
        SECURITY_FLASH_MESSAGES=False,
    )
    app.session_interface = Sessions()
    store = SQLAlchemyUserDatastore(db, User, RoleGrant)  # type: ignore[arg-type] # roles are rows of grants
    security = Security(app, store, login_form=SignInForm, verify_form=OnceMoreForm)
    security.verify_context_processor(lambda: {"has_passkeys": bool(passkeys.of_person(me().id))})
    app.login_manager.user_loader(_load)  # type: ignore[attr-defined] # put there by Flask-Login
    app.login_manager.request_loader(_nobody)  # type: ignore[attr-defined] # the same
    app.extensions["browsers"] = Browsers(settings)
    user_logged_in.connect(_signed_in, app)
    user_logged_out.connect(_signed_out, app)
    app.after_request(_keep_visitor)
    app.after_request(_clear)


def seen() -> Surroundings:
    """The surroundings of this request's browser; its visitor cookie goes out with the answer if it is new."""
    if "seen" not in g:
        browsers: Browsers = current_app.extensions["browsers"]
        g.seen, g.visitor_is_new = browsers.seen(request.environ)
    found: Surroundings = g.seen
    return found


def visitor_is_new() -> bool:
    """Whether this browser came without a visitor cookie."""
    seen()
    return bool(g.visitor_is_new)


def me() -> User:
    """Who is signed in, as themselves and not as Flask-Login's proxy."""
    user: User = current_user._get_current_object()
    return user


def signed_in(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """For pages of one's own: others are led to the sign-in."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        return view(*args, **kwargs) if current_user.is_authenticated else _to_sign_in()

    return guarded


def needs(permission: str) -> Callable[[Callable[..., ResponseReturnValue]], Callable[..., ResponseReturnValue]]:
    """For admin pages and actions: 403 for those whose roles do not carry the permission."""

    def decorate(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
            if not current_user.is_authenticated:
                return _to_sign_in()
            if not current_user.may(permission):
                abort(403)
            return view(*args, **kwargs)

        return guarded

    return decorate


BY_PASSKEY = "by_passkey"


def note_passkey() -> None:
    """Notes that whoever is signed in here has just shown a passkey, which is both steps in one."""
    session[BY_PASSKEY] = True


def by_passkey() -> bool:
    """Whether this sign-in was by passkey; that there is one says nothing of who came by the password."""
    return session.get(BY_PASSKEY) is True


def second_step(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """For acts by which money leaves: who does them has two-step on, or came by passkey, or is led to where that is."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        settings: Settings = current_app.extensions["settings"]
        if settings.require_two_step and not (by_passkey() or two_step.is_on(me().id)):
            flash(
                gettext("Nothing was paid. Before money leaves, sign in with your passkey; a password is not enough.")
                if passkeys.of_person(me().id)
                else gettext(
                    "Nothing was paid. Before money leaves, protect your sign-in: turn on two-step or add a passkey."
                ),
                "bad",
            )
            session["wanted"] = url_for("admin.payout_list")
            return redirect(url_for("safety.page"))
        return view(*args, **kwargs)

    return guarded


def _to_sign_in() -> ResponseReturnValue:
    if request.method == "GET":
        session["wanted"] = request.full_path.rstrip("?")[:500]
    return redirect(url_for("security.login"))


def _load(uniquifier: str) -> User | None:
    """Flask-Login's loader: only while the sign-in's row lives, whatever cookie is replayed. While the database is
    away, nobody: the page that says so needs nobody, and the cookie is as good afterwards."""
    secret = session.get(TOKEN)
    if not isinstance(secret, str) or not g.get("database_is_there", True):
        return None
    at = clock.now()
    found = sign_ins.find(secret, at=at)
    if found is None:
        return None
    user = database.session.get(User, found.user_id)
    if user is None or user.fs_uniquifier != uniquifier or not user.active:
        return None
    if at > found.last_seen_at + sign_ins.SEEN_EVERY:
        g.seen_sign_in = found.id
    # For Flask-Security's own pages, which ask how and how lately somebody signed in.
    set_request_attr("fs_authn_via", "session")
    set_request_attr("fs_paa", session.get("fs_paa", 0))
    return user


def _nobody(_request: Request) -> None:
    """Flask-Login's other loader: no token stands for a sign-in, since Flask-Security's outlive every signing out."""


def note_sign_in_in_use() -> None:
    """Writes down that the sign-in is in use, in a write of its own; run before a page is read."""
    if request.endpoint in WITHOUT_A_USER:
        return
    current_user.is_authenticated  # noqa: B018 - loads the user, and so says whether there is something to note
    number = g.pop("seen_sign_in", None)
    if number is not None:
        with database.writing():
            sign_ins.see(number, at=clock.now())


def _signed_in(_app: Flask, user: User, **_: Any) -> None:
    number = user.id
    attempts.worked(user)
    kept = {name: session[name] for name in ("_user_id", "_fresh", "_id", "wanted", SIGNED_UP) if name in session}
    session.clear()  # nothing else from before goes along: no fixation
    session.update(kept)
    session.permanent = True
    keep_visitor()
    at = clock.now()
    with database.writing():
        session[TOKEN] = sign_ins.start(number, surroundings=seen(), device=device(), at=at)
    _note_proof(at)


def _signed_out(_app: Flask, **_: Any) -> None:
    secret = session.pop(TOKEN, None)
    if isinstance(secret, str):
        g.clear = True
        with database.writing():
            sign_ins.end(secret, at=clock.now())


def _clear(response: Any) -> Any:
    """After signing out the browser throws away what it keeps of the pages that were read."""
    if g.get("clear"):
        response.headers["Clear-Site-Data"] = '"cache"'
    return response


def _keep_visitor(response: Any) -> Any:
    """Sends the visitor cookie to a browser that was asked about and came without one."""
    if g.get("visitor_is_new") and g.get("keep_visitor"):
        browsers: Browsers = current_app.extensions["browsers"]
        response.headers.add("Set-Cookie", browsers.cookie(g.seen))
    return response


def keep_visitor() -> None:
    """Says that this browser is to be known again: it followed a link, signed up or signed in."""
    seen()
    g.keep_visitor = True
