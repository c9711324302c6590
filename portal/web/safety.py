"""How one signs in, of one's own account: address, password, passkeys, two-step, and where one is signed in.

Whatever changes it asks for the password once more: a browser left open is not enough.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_security import current_user

from portal import program
from portal.accounts import one_time, passkeys, sign_ins, two_step, users
from portal.accounts.one_time import Purpose
from portal.core import clock, database
from portal.core.text import Refusal
from portal.sharing import pictures
from portal.web import access, inputs, limits, public, signing_in, words
from portal.web.acting import act

blueprint = Blueprint("safety", __name__)

FORMS: dict[str, type[inputs.account.OnceMore]] = {
    "address": inputs.account.Address,
    "password": inputs.account.ChangePassword,
    "passkey": inputs.account.NewPasskey,
    "two_step": inputs.account.OnceMore,
    "codes": inputs.account.OnceMore,
    "off": inputs.account.OnceMore,
}
"""The forms of the page, by what they change."""


@blueprint.get("/account/security")
@access.signed_in
def page() -> ResponseReturnValue:
    return _page()


def _page(**wrong: Any) -> str:
    """The page, with the forms that could not be taken as they were sent."""
    user, at = access.me(), clock.now()
    forms: dict[str, Any] = {name: _form(name, formdata=None) for name in FORMS}
    removals = {key.public_id: _removal(key.public_id, formdata=None) for key in passkeys.of_person(user.id)}
    forms["removals"] = removals | wrong.pop("removals", {})
    moving = one_time.made_for(Purpose.MOVE, user.id)
    return render_template(
        "account/security.html",
        forms_of=forms | wrong,
        moving_to=program.address_of(moving[0]) if moving and moving[0].open_at(at) else "",
        two_step_on=two_step.is_on(user.id),
        codes_left=two_step.codes_left(user.id),
        codes_in_all=two_step.CODES,
        few=two_step.FEW,
        passkeys=passkeys.of_person(user.id),
        by_passkey=access.by_passkey(),
        proved_lately=access.proved_lately(),
        live=sign_ins.live(user.id, at=at),
        here=sign_ins.find(session[access.TOKEN], at=at),
    )


def _form(name: str, **given: Any) -> Any:
    """One of the forms, whose fields have a name of their own on the page."""
    return FORMS[name](prefix=f"{name.replace('_', '-')}-", **given)


def _removal(passkey: str, **given: Any) -> inputs.account.OnceMore:
    """The form that removes a passkey, of several on one page."""
    form = inputs.account.OnceMore(prefix="removal-", **given)
    form.current.id = f"removal-{passkey}"
    return form


def asks_once_more(name: str) -> Callable[[Callable[[Any], ResponseReturnValue]], Callable[[], ResponseReturnValue]]:
    """For views behind one of the forms: they are handed it once the password in it is right, else the page says what
    is wrong. What the story refuses is told."""

    def decorate(view: Callable[[Any], ResponseReturnValue]) -> Callable[[], ResponseReturnValue]:
        @wraps(view)
        def asking() -> ResponseReturnValue:
            form = _form(name)
            if not access.proved(form):
                return _page(**{name: form}), 422
            try:
                return view(form)
            except Refusal as refusal:
                flash(words.say(refusal), "bad")
                return redirect(url_for(".page"))

        return asking

    return decorate


# --- address --------------------------------------------------------------------------------------------------


@blueprint.post("/account/address")
@access.signed_in
@limits.own_password
@limits.mail_from
@asks_once_more("address")
def address(form: inputs.account.Address) -> ResponseReturnValue:
    try:
        with database.writing():
            program.ask_to_move(access.me(), form.email.data, at=clock.now())
    except Refusal as refusal:
        form.email.errors = [words.say(refusal)]
        return _page(address=form), 422
    flash(
        gettext(
            "We sent a link to %(email)s. Until its button is pressed, your address stays as it is.",
            email=form.email.data,
        ),
        "ok",
    )
    return redirect(url_for(".page"))


@blueprint.post("/account/move/cancellation")
@access.signed_in
def staying() -> ResponseReturnValue:
    """Ends a move that waits for the new address."""
    return act(
        lambda: program.stay(access.me(), at=clock.now()),
        done=gettext("Your address stays as it is; the link that we mailed is good no more."),
        back=url_for(".page"),
    )


@blueprint.get("/address/<secret>")
def moving(secret: str) -> ResponseReturnValue:
    """The page mailed to the new address: one button. Nothing happens on GET."""
    return _moving(Purpose.MOVE, secret)


@blueprint.post("/address/<secret>")
@limits.guesses
def moved(secret: str) -> ResponseReturnValue:
    with database.writing():
        done = program.move(secret, at=clock.now()) is not None
    if not done:
        return _moving(Purpose.MOVE, secret, 410)
    flash(gettext("This is your address from now on. Sign in with it."), "ok")
    return redirect(url_for(".page") if current_user.is_authenticated else url_for("security.login"))


@blueprint.get("/address-back/<secret>")
def moving_back(secret: str) -> ResponseReturnValue:
    """The page mailed to the address of before: one button."""
    return _moving(Purpose.MOVE_BACK, secret)


@blueprint.post("/address-back/<secret>")
@limits.guesses
def moved_back(secret: str) -> ResponseReturnValue:
    with database.writing():
        done = program.move_back(secret, at=clock.now()) is not None
    if not done:
        return _moving(Purpose.MOVE_BACK, secret, 410)
    flash(
        gettext("The account is yours again, and everybody is signed out. We sent you a link for a new password."), "ok"
    )
    return redirect(url_for("public.home"))


def _moving(purpose: Purpose, secret: str, status: int = 200) -> ResponseReturnValue:
    state = public.key_state(purpose, secret)
    key = one_time.find(purpose, secret)
    shown = render_template(
        "account/address.html", secret=secret, state=state, back=purpose is Purpose.MOVE_BACK,
        to=program.address_of(key) if key and state == "open" and status == 200 else "", form=inputs.fields.Only(),
        taken=status != 200,
    )  # fmt: skip
    return shown, 404 if state == "unknown" else status


# --- password -------------------------------------------------------------------------------------------------


@blueprint.post("/account/password")
@access.signed_in
@limits.own_password
@asks_once_more("password")
def password(form: inputs.account.ChangePassword) -> ResponseReturnValue:
    if access.is_password(access.me(), form.password.data or ""):
        form.password.errors = [gettext("This is the password that you have already. Take another.")]
        return _page(password=form), 422
    hashed, here = users.hashed(form.password.data), session[access.TOKEN]
    return act(
        lambda: program.change_password(access.me(), hashed, here=here, at=clock.now()),
        done=gettext("Your password is changed, and every other device is signed out."),
        back=url_for(".page"),
    )


# --- two-step -------------------------------------------------------------------------------------------------


@blueprint.post("/account/two-step")
@access.signed_in
@limits.own_password
@asks_once_more("two_step")
def two_step_begun(_: inputs.account.OnceMore) -> ResponseReturnValue:
    """Makes a secret for an app and leads to the page on which it is shown."""
    issuer = signing_in.place().called
    with database.writing():
        program.begin_two_step(access.me(), issuer=issuer, keep=signing_in.keep(), at=clock.now())
    return redirect(url_for(".two_step_page"))


@blueprint.get("/account/two-step")
@access.signed_in
def two_step_page() -> ResponseReturnValue:
    """The secret as a picture and as letters, and the field for the first code."""
    return _two_step(inputs.account.SecondStep())


def _two_step(form: inputs.account.SecondStep) -> ResponseReturnValue:
    user = access.me()
    offered = two_step.offered(user.id, called=user.email, issuer=signing_in.place().called, keep=signing_in.keep())
    if offered is None:
        return redirect(url_for(".page"))
    return render_template("account/two_step.html", offered=offered, form=form), 422 if form.errors else 200


@blueprint.get("/account/two-step/qr.svg")
@access.signed_in
def two_step_picture() -> ResponseReturnValue:
    user = access.me()
    offered = two_step.offered(user.id, called=user.email, issuer=signing_in.place().called, keep=signing_in.keep())
    if offered is None:
        abort(404)
    return Response(pictures.secret(offered.uri), mimetype="image/svg+xml")


@blueprint.post("/account/two-step/code")
@access.signed_in
@limits.codes
def two_step_on() -> ResponseReturnValue:
    """The first code turns it on; the recovery codes are shown, once."""
    form = inputs.account.SecondStep()
    if not form.validate():
        return _two_step(form)
    box, codes = signing_in.keep(), two_step.make_codes(access.me().id)
    try:
        with database.writing():
            program.turn_two_step_on(access.me(), form.code.data, codes=codes, keep=box, at=clock.now())
    except Refusal as refusal:
        form.code.errors = [words.say(refusal)]
        return _two_step(form)
    return render_template("account/codes.html", codes=codes.shown, new=True)


@blueprint.post("/account/two-step/codes")
@access.signed_in
@limits.own_password
@asks_once_more("codes")
def new_codes(_: inputs.account.OnceMore) -> ResponseReturnValue:
    codes = two_step.make_codes(access.me().id)
    with database.writing():
        program.renew_recovery_codes(access.me(), codes, at=clock.now())
    return render_template("account/codes.html", codes=codes.shown, new=False)


@blueprint.post("/account/two-step/end")
@access.signed_in
@limits.own_password
@asks_once_more("off")
def two_step_off(_: inputs.account.OnceMore) -> ResponseReturnValue:
    return act(
        lambda: program.turn_two_step_off(access.me(), at=clock.now()),
        done=gettext("Two-step sign-in is off."),
        back=url_for(".page"),
    )


# --- passkeys -------------------------------------------------------------------------------------------------


@blueprint.post("/account/passkeys/question")
@access.signed_in
@limits.own_password
def passkey_question() -> ResponseReturnValue:
    """For the page's script: what to ask the browser for, or what is wrong, by field."""
    form = _form("passkey")
    if not access.proved(form):
        return {"errors": {field: told[0] for field, told in form.errors.items()}}, 422
    try:
        return signing_in.ask(passkeys.ask_for_new(access.me(), signing_in.place()))
    except Refusal as refusal:
        return {"errors": {"name": words.say(refusal)}}, 422


@blueprint.post("/account/passkeys")
@access.signed_in
@limits.own_forms
def passkey() -> ResponseReturnValue:
    """The browser's answer: a new passkey."""
    waiting, form = signing_in.asked(), inputs.account.Passkey(prefix="passkey-")
    if waiting is None or not form.validate():
        flash(gettext("This took too long, or your browser could not make a passkey. Try again."), "bad")
        return redirect(url_for(".page"))
    place = signing_in.place()
    return act(
        lambda: program.add_passkey(
            access.me(), form.answer.data, waiting[0], place, name=form.name.data or gettext("Passkey"), at=clock.now()
        ),
        done=gettext("The passkey is there. Next time, sign in with it."),
        back=url_for(".page"),
    )


@blueprint.post("/account/passkeys/<wanted>/removal")
@access.signed_in
@limits.own_password
def passkey_removed(wanted: str) -> ResponseReturnValue:
    if wanted not in {key.public_id for key in passkeys.of_person(access.me().id)}:
        abort(404)
    form = _removal(wanted)
    if not access.proved(form):
        return _page(removals={wanted: form}), 422
    return act(
        lambda: program.remove_passkey(access.me(), wanted, at=clock.now()),
        done=gettext("The passkey is removed."),
        back=url_for(".page"),
    )


# --- sign-ins -------------------------------------------------------------------------------------------------


@blueprint.post("/account/sign-outs")
@access.signed_in
@access.lately
def sign_out_others() -> ResponseReturnValue:
    """Signs this person out everywhere else."""
    here = session[access.TOKEN]
    return act(
        lambda: program.sign_out_others(access.me(), here=here, at=clock.now()),
        done=gettext("Every other device is signed out."),
        back=url_for(".page"),
    )


@blueprint.post("/account/sign-outs/<wanted>")
@access.signed_in
@access.lately
def sign_out_one(wanted: str) -> ResponseReturnValue:
    """Signs this person out on one device."""
    if wanted not in {one.public_id for one in sign_ins.live(access.me().id, at=clock.now())}:
        abort(404)
    return act(
        lambda: program.sign_out_one(access.me(), wanted, at=clock.now()),
        done=gettext("That device is signed out."),
        back=url_for(".page"),
    )
