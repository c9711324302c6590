"""The friend's pages, and everybody's: following a link, signing up, confirming, a new password, the terms."""

import hashlib
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_security import current_user, login_user
from itsdangerous import BadSignature, URLSafeTimedSerializer

from portal import program
from portal.accounts import one_time, two_step, users
from portal.accounts.one_time import Purpose
from portal.accounts.users import User
from portal.config import Settings
from portal.core import clock, database, migrate
from portal.core.text import Refusal
from portal.delivery import worker
from portal.referrals import candidates
from portal.referrals.attribution import Attribution
from portal.reports import versions
from portal.rewards import rules, tier_locks
from portal.rewards.rules import Beneficiary, Kind, Rule
from portal.sharing import clicks, invites, links
from portal.sharing.invites import Invite
from portal.terms import Terms
from portal.web import access, assets, inputs, languages, limits, shell, words
from portal.web.door import came_from, destination

blueprint = Blueprint("public", __name__)

FORM_LASTS = 24 * 3600


@blueprint.get("/")
def home() -> ResponseReturnValue:
    terms = words.current_terms()
    if terms is None:
        return render_template("public/not_set_up.html", ended=False)
    return render_template("public/home.html", offer=offer())


@blueprint.get("/home")
def start() -> ResponseReturnValue:
    """Where somebody goes who has just signed in: the page they wanted, else their own."""
    wanted = shell.inward(session.pop("wanted", ""))
    return redirect(wanted or url_for("dashboard.home"))


def url_of(code: str) -> str:
    """The full address that a referrer shares."""
    settings: Settings = current_app.extensions["settings"]
    return f"{settings.base_url}/r/{code}"


def offer(terms: Terms | None = None) -> dict[str, Rule]:
    """What each side gets by a version of the terms (or the one in force), at best."""
    terms = terms or words.current_terms()
    return rules.best(rules.of_terms(terms.id), terms, at=clock.now()) if terms else {}


# --- follow ---------------------------------------------------------------------------------------------------


@blueprint.get("/r/<path:code>")
@limits.guesses
def follow(code: str) -> ResponseReturnValue:
    """What the door passes on: bots, signed-in people, unknown codes, and (through GET) HEAD."""
    person = clicks.is_person(request.method, {name.lower(): value for name, value in request.headers})
    by = access.me().id if current_user.is_authenticated else None
    if person:
        found = program.follow(
            code, access.seen(), new=access.visitor_is_new(), on=database.quick(), at=clock.now(), by=by,
            came_from=_came_from(),
        )  # fmt: skip
    else:
        found = links.find(code, on=database.quick())
    if found is None:
        return render_template(
            "errors/404.html", code_wrong=True, typed_code=code[:64], signup_url=url_for(".sign_up")
        ), 404
    if person and found.owner_id != by:
        access.keep_visitor()
    if not person:
        return _preview(found.code, found.owner_id)
    response = redirect(destination(found))
    response.headers["Cache-Control"] = "no-store"
    return response


def _came_from() -> str | None:
    settings: Settings = current_app.extensions["settings"]
    return came_from(request.environ, settings.hosts)


def _preview(code: str, owner_id: int) -> ResponseReturnValue:
    """The answer to previews and crawlers: what a shared link looks like, and nothing counted."""
    return render_template("public/preview.html", sender=_sender(owner_id), offer=offer(), code=code, url=url_of(code))


def _sender(owner_id: int) -> str:
    owner = User.by_id(owner_id)
    return owner.first_name or gettext("A friend")


# --- sign up --------------------------------------------------------------------------------------------------


@blueprint.route("/signup", methods=["GET", "POST"])
@limits.sign_up
def sign_up() -> ResponseReturnValue:
    """B1 and B2: who gives what under which condition, and the form."""
    terms = words.current_terms()
    if terms is None:
        return render_template("public/not_set_up.html", ended=False), 503
    form = inputs.account.SignUp()
    if request.method != "POST":  # HEAD too, which is answered as GET and counts nothing
        form.ref.data, form.refused.data = request.args.get("ref", "")[:100], request.args.get("refused", "")[:100]
        _count_direct_visit(form.ref.data)
    elif _form_is_ours() and _sign_up_is_fine(form):
        hashed = users.hashed(form.password.data)
        with database.writing():
            program.sign_up(
                email=form.email.data,
                name=form.name.data or "",
                password=hashed,
                seen=access.seen(),
                carried=form.ref.data or "",
                refused=form.refused.data or "",
                typed=form.code.data or "",
                shows_name=bool(form.shows_name.data),
                language=languages.to_keep(),
                at=clock.now(),
            )
        access.keep_visitor()
        access.note_sign_up(hashed)
        session["signed_up"] = users.masked(form.email.data)
        return redirect(url_for(".check_your_email"))
    return _sign_up_page(form)


def _sign_up_page(form: inputs.account.SignUp) -> ResponseReturnValue:
    outcome = program.foresee(access.seen().visitor, carried=form.ref.data or "", at=clock.now())
    owner = User.by_id(outcome.referrer_id) if outcome else None
    facts = {
        "form": form,
        "offer": offer(),
        "outcome": outcome,
        "sender": _sender(owner.id) if owner else None,
        "unknown_code": bool(form.ref.data) and links.find(form.ref.data, on=database.quick()) is None,
        "url": url_of(outcome.code) if outcome else None,
        "credits_nobody": _credits_nobody(form.ref.data or ""),
        "ended_invite": _ended_invite(form.ref.data or ""),
        "other_sender": _other_sender(form.ref.data or "", outcome),
        "own_link": current_user.is_authenticated and owner is not None and owner.id == access.me().id,
        "form_token": _form_tokens().dumps("signup"),
    }
    response = make_response(render_template("public/sign_up.html", **facts), 422 if form.errors else 200)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _ended_invite(code: str) -> Invite | None:
    """The invite by whose code somebody came, if it was withdrawn or declined meanwhile."""
    link = links.by_code(code) if code else None
    found = invites.of_link(link.id) if link is not None and link.addressed else None
    return found if found is not None and found.ended_at is not None else None


def _credits_nobody(code: str) -> bool:
    """Whether a code is known and counts for nobody: its link is out of use, or its owner is suspended or gone."""
    return bool(code) and links.by_code(code) is not None and candidates.by_code(code, at=clock.now()) is None


def _other_sender(code: str, outcome: Attribution | None) -> bool:
    """Whether somebody opened one person's link and belongs to another one's, who counts by the terms."""
    link = links.by_code(code) if code and outcome else None
    return link is not None and outcome is not None and link.owner_id != outcome.referrer_id


@blueprint.post("/signup/not-this-person")
@limits.guesses
def not_this_person() -> ResponseReturnValue:
    """A friend does not know who sent the link: the attribution is taken away before signing up."""
    _form_is_ours()
    code = request.form.get("sent_by", "")[:100]
    with database.writing():
        program.not_this_person(access.seen().visitor, code, at=clock.now())
    flash(gettext("That link is forgotten. You can join without it, or with another code."), "ok")
    return redirect(url_for(".sign_up", refused=code))  # an invite of theirs to the address must not count either


def _count_direct_visit(code: str) -> None:
    """`/signup?ref=` opened by itself counts as `/r/` would, once: not again behind the door."""
    if not code or not clicks.is_person(request.method, {name.lower(): value for name, value in request.headers}):
        return
    at, quick = clock.now(), database.quick()
    new = access.visitor_is_new()
    found = links.find(code, on=quick)
    if found is None or (new and clicks.just_counted(found.link_id, access.seen(), at=at, on=quick)):
        return
    by = access.me().id if current_user.is_authenticated else None
    try:
        program.follow(code, access.seen(), new=new, on=quick, at=at, by=by, came_from=_came_from())
    except Exception:
        current_app.logger.exception("a click could not be stored")
    if found.owner_id != by:
        access.keep_visitor()


def _sign_up_is_fine(form: inputs.account.SignUp) -> bool:
    fine = form.validate()
    typed = (form.code.data or "").strip()
    if typed and not form.code.errors and candidates.by_code(typed, at=clock.now()) is None:
        form.code.errors = [gettext("We do not know this code. Check it or leave it empty.")]
        return False
    return fine


def _form_tokens() -> URLSafeTimedSerializer:
    digest = {"digest_method": hashlib.sha256}
    return URLSafeTimedSerializer(current_app.secret_key or "", salt="form", signer_kwargs=digest)


def _form_is_ours() -> bool:
    """Whether a sign-up was sent from our own page: by the session's token (the app checks it), or, where cookies
    are off, by a token of the form and a browser that says it came from here. Aborts otherwise."""
    protect = current_app.extensions["csrf"]
    if request.cookies.get(current_app.config["SESSION_COOKIE_NAME"]):
        protect.protect()
        return True
    origin = request.headers.get("Origin", "")
    here = origin and urlsplit(origin).netloc == request.host
    if not here and request.headers.get("Sec-Fetch-Site") != "same-origin":
        protect.protect()
    try:
        _form_tokens().loads(request.form.get("form_token", ""), max_age=FORM_LASTS)
    except BadSignature:
        protect.protect()
    g.csrf_valid = True  # what the app's own check would have noted; the form asks for it
    return True


@blueprint.get("/check-your-email")
def check_your_email() -> ResponseReturnValue:
    return render_template("public/check_your_email.html", address=session.get("signed_up"))


# --- confirm --------------------------------------------------------------------------------------------------


@blueprint.get("/confirm/<secret>")
def confirm(secret: str) -> ResponseReturnValue:
    """The mailed page: one button. Nothing happens on GET, so mail scanners confirm nothing."""
    state = key_state(Purpose.CONFIRM, secret)
    return _confirm_page(secret, state), 404 if state == "unknown" else 200


def _confirm_page(secret: str, state: str, form: inputs.account.Confirmation | None = None) -> str:
    """The page; with fields for password and name where they are asked for."""
    key = one_time.find(Purpose.CONFIRM, secret)
    user = User.by_id(key.user_id) if key and key.user_id else None
    if state == "open" and user is not None and (user.confirmed_at is not None or not user.has_address):
        state = "old"
    asks = form is not None or (state == "open" and _asks_for_password(secret))
    shown: inputs.fields.Form = inputs.fields.Only()
    if asks:
        shown = form or inputs.account.Confirmation(formdata=None, name=user.name if user else "")
    return render_template(
        "public/confirm.html", secret=secret, state=state, form=shown, asks=asks, user=user,
        form_token=_form_tokens().dumps("confirm"),
    )  # fmt: skip


def _asks_for_password(secret: str) -> bool:
    """Whether who confirms chooses the password: anybody can sign up with an address, and the one typed then counts
    only in the browser in which it was typed, or in the same network, as on the telephone beside it. Where the mail
    stands for several, none does."""
    key = one_time.find(Purpose.CONFIRM, secret)
    if key is None or key.password is None:
        return key is not None
    beside = key.network is not None and key.network == access.seen().network
    return not (beside or access.signed_up_here(key.password))


@blueprint.post("/confirm/<secret>")
@limits.guesses
def confirmation(secret: str) -> ResponseReturnValue:
    _form_is_ours()
    state, chosen, name, at = key_state(Purpose.CONFIRM, secret), None, None, clock.now()
    if state == "open" and ("password" in request.form or _asks_for_password(secret)):
        form = inputs.account.Confirmation()
        form.near = named_by(Purpose.CONFIRM, secret)
        if not form.validate():
            return _confirm_page(secret, state, form), 422
        chosen, name = users.hashed(form.password.data), form.name.data or ""
    with database.writing():
        user = program.confirm(secret, password=chosen, name=name, at=at)
        number = user.id if user else None
    if number is None:
        return _confirm_page(secret, key_state(Purpose.CONFIRM, secret)), 410
    user = User.by_id(number)
    if two_step.is_on(number):  # a mailbox alone is no second step
        access.sign_in_by_half(user)
        return redirect(url_for("signing_in.code"))
    if not request.cookies:  # nobody could be signed in
        return _confirm_page(secret, "done")
    login_user(user)
    return redirect(url_for("dashboard.welcome"))


def named_by(purpose: Purpose, secret: str) -> tuple[str, ...]:
    """Address and name of whom a mailed link was sent to."""
    key = one_time.find(purpose, secret)
    user = User.by_id(key.user_id) if key is not None and key.user_id is not None else None
    return (user.email, user.name or "") if user is not None else ()


def key_state(purpose: Purpose, secret: str) -> str:
    """How a mailed link stands: unknown, used, open or old."""
    key = one_time.find(purpose, secret)
    if key is None:
        return "unknown"
    if key.used_at is not None:
        return "used"
    return "open" if key.open_at(clock.now()) else "old"


@blueprint.get("/confirm")
def ask_again() -> ResponseReturnValue:
    return render_template("public/ask_again.html", form=inputs.account.Reset())


@blueprint.post("/confirm")
@limits.mail_from
@limits.mail_to
def asked_again() -> ResponseReturnValue:
    """Sends the confirmation again; says the same whether there is such an account or not."""
    form = inputs.account.Reset()
    if not form.validate():
        return render_template("public/ask_again.html", form=form), 422
    with database.writing():
        program.mail_again(form.email.data or "", at=clock.now())
    session["signed_up"] = users.masked(form.email.data)
    return redirect(url_for(".check_your_email"))


# --- a new password -------------------------------------------------------------------------------------------


@blueprint.get("/reset")
def reset() -> ResponseReturnValue:
    return render_template("public/reset.html", form=inputs.account.Reset())


@blueprint.post("/reset")
@limits.mail_from
@limits.mail_to
def reset_asked() -> ResponseReturnValue:
    """Sends the link; says the same whether there is such an account or not."""
    form = inputs.account.Reset()
    if not form.validate():
        return render_template("public/reset.html", form=form), 422
    at = clock.now()
    with database.writing():
        program.forgot_password(form.email.data, at=at)
    return render_template("public/reset_sent.html", address=users.masked(form.email.data))


@blueprint.get("/reset/<secret>")
def new_password(secret: str) -> ResponseReturnValue:
    state = key_state(Purpose.RESET, secret)
    page = render_template("public/new_password.html", form=inputs.account.NewPassword(), secret=secret, state=state)
    return page, 404 if state == "unknown" else 200


@blueprint.post("/reset/<secret>")
@limits.guesses
def new_password_set(secret: str) -> ResponseReturnValue:
    """Sets the password, once, and signs everybody else out of the account."""
    form = inputs.account.NewPassword()
    form.near = named_by(Purpose.RESET, secret)
    state = key_state(Purpose.RESET, secret)
    if state != "open":
        return render_template("public/new_password.html", form=form, secret=secret, state=state), 410
    if not form.validate():
        return render_template("public/new_password.html", form=form, secret=secret, state=state), 422
    hashed, at = users.hashed(form.password.data), clock.now()
    with database.writing():
        done = program.set_password(secret, hashed, at=at)
    if not done:
        state = key_state(Purpose.RESET, secret)
        return render_template("public/new_password.html", form=form, secret=secret, state=state), 410
    flash(gettext("Your new password is set. Sign in with it."), "ok")
    return redirect(url_for("security.login"))


# --- set up ---------------------------------------------------------------------------------------------------


@blueprint.get("/setup/<secret>")
def set_up(secret: str) -> ResponseReturnValue:
    """C9: the first owner, by the one-time link that the server printed."""
    if key_state(Purpose.SET_UP, secret) != "open":
        return render_template("public/not_set_up.html", ended=True), 404
    return render_template("public/set_up.html", form=inputs.program.SetUp(), secret=secret)


@blueprint.post("/setup/<secret>")
@limits.guesses
def set_up_done(secret: str) -> ResponseReturnValue:
    if key_state(Purpose.SET_UP, secret) != "open":
        return render_template("public/not_set_up.html", ended=True), 404
    form = inputs.program.SetUp()
    if not form.validate() or not form.reads_offer():
        return render_template("public/set_up.html", form=form, secret=secret), 422
    hashed, at = users.hashed(form.password.data), clock.now()
    try:
        with database.writing():
            if one_time.use(Purpose.SET_UP, secret, at=at) is None:
                abort(404)
            owner = program.add_owner(form.email.data, name=form.name.data or "", password=hashed, at=at)
            number = owner.id
            program.open_program(
                usual_offer(
                    form.referee_amount.minor, form.referrer_amount.minor, form.minimum_order.minor, form.hold_days.data
                ),
                by=number,
                at=at,
                program_name=form.program_name.data,
                currency=form.currency.data,
                time_zone=form.time_zone.data,
            )
    except Refusal as refusal:
        form.form_errors = [words.say(refusal)]
        return render_template("public/set_up.html", form=form, secret=secret), 409
    login_user(User.by_id(number))
    return redirect(url_for("admin.opened"))


def usual_offer(
    referee_minor: int | None, referrer_minor: int | None, minimum_minor: int | None, hold_days: int
) -> list[Rule]:
    """The simple offer: fixed amounts for the first order above a minimum, for one side or both."""
    sides = {Beneficiary.REFEREE: referee_minor, Beneficiary.REFERRER: referrer_minor}
    return [
        Rule(goal="purchase", beneficiary=side, kind=Kind.FIXED, amount_minor=minor, hold_days=hold_days,
             minimum_order_minor=minimum_minor or None)
        for side, minor in sides.items()
        if minor
    ]  # fmt: skip


# --- to read --------------------------------------------------------------------------------------------------


@blueprint.get("/terms")
def terms() -> ResponseReturnValue:
    found = words.current_terms()
    return render_template(
        "public/terms.html",
        rules=rules.of_terms(found.id) if found else [],
        tier_lock=tier_locks.of_person(current_user.id) if current_user.is_authenticated else None,
        as_read=versions.as_read(found) if found else None,
    )


@blueprint.get("/privacy")
def privacy() -> ResponseReturnValue:
    return render_template("public/privacy.html", mailed=one_time.MAILED)


@blueprint.get("/help")
def help() -> ResponseReturnValue:
    return render_template("public/help.html", offer=offer())


@blueprint.post("/theme")
def theme() -> ResponseReturnValue:
    """The switch of the theme, where there is no script."""
    chosen = request.form.get("theme", "system")
    response = redirect(shell.inward(request.form.get("next", "")) or url_for(".home"))
    if chosen in shell.THEMES:
        secure = current_app.config["SESSION_COOKIE_SECURE"]
        response.set_cookie(
            shell.cookie("theme"), chosen, max_age=365 * 86400, samesite="Lax", secure=secure, httponly=True
        )
    return response


@blueprint.get("/robots.txt")
def robots() -> ResponseReturnValue:
    return current_app.response_class("User-agent: *\nDisallow: /\n", mimetype="text/plain")


@blueprint.get("/favicon.ico")
def favicon() -> ResponseReturnValue:
    return redirect(assets.asset_url("img/mark.svg"))


@blueprint.get("/setup")
def set_up_elsewhere() -> ResponseReturnValue:
    """Without the one-time secret: where to find it, or that nothing is left to do."""
    return render_template("public/not_set_up.html", ended=False)


# --- for machines ---------------------------------------------------------------------------------------------


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """The process answers."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """The database answers, its schema is ours, the worker takes its turns."""
    try:
        schema = migrate.state(database.db.engine).state
        turn = worker.last_turn("worker") if schema == migrate.State.CURRENT else None
    except database.Unavailable:
        return {"status": "not ready", "schema": None, "worker_lag_s": None}, 503
    at = clock.now()
    lag = int((at - turn).total_seconds()) if turn else None
    fine = schema == migrate.State.CURRENT and not worker.is_late(turn, at=at)
    return {"status": "ok" if fine else "not ready", "schema": schema, "worker_lag_s": lag}, 200 if fine else 503
