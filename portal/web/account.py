"""One's own account: name, language, own code, where one is signed in."""

from flask import Blueprint, flash, make_response, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, refresh

from portal import program
from portal.accounts import mail_choices, sign_ins
from portal.accounts.mail_choices import Topic
from portal.core import clock, database
from portal.core.text import Refusal
from portal.sharing import links
from portal.web import access, inputs, languages, limits, words
from portal.web.acting import act

blueprint = Blueprint("account", __name__)


@blueprint.get("/account")
@access.signed_in
def account() -> ResponseReturnValue:
    return _page(inputs.Profile(obj=access.me()), inputs.OwnCode())


@blueprint.post("/account/name")
@access.signed_in
def name() -> ResponseReturnValue:
    form = inputs.Profile()
    if not form.validate():
        return _page(form, inputs.OwnCode()), 422
    return act(
        lambda: program.rename(access.me(), form.name.data or "", at=clock.now()),
        done=gettext("Saved."),
        back=url_for(".account"),
    )


@blueprint.post("/account/language")
@access.signed_in
def language() -> ResponseReturnValue:
    """The language of one's pages and mails, or again what the browser asks for."""
    form = inputs.Language()
    if not form.validate():
        flash(gettext("Choose one of the languages."), "bad")
        return redirect(url_for(".account"))
    with database.writing():
        program.choose_language(access.me(), form.language.data)
    refresh()
    flash(gettext("Saved."), "ok")
    return languages.keep(make_response(redirect(url_for(".account"))), form.language.data)


@blueprint.post("/account/code")
@access.signed_in
@limits.own_forms
def code() -> ResponseReturnValue:
    """One's own code; the old one goes on working."""
    form = inputs.OwnCode()
    if not form.validate():
        return _page(inputs.Profile(obj=access.me()), form), 422
    try:
        with database.writing():
            me = access.me()
            program.choose_code(me, links.main_link(me.id), form.code.data, at=clock.now())
    except Refusal as refusal:
        form.code.errors = [words.say(refusal)]
        return _page(inputs.Profile(obj=access.me()), form), 422
    flash(gettext("Your code is changed. The old one goes on working."), "ok")
    return redirect(url_for(".account"))


@blueprint.post("/account/mails")
@access.signed_in
def mails() -> ResponseReturnValue:
    """Which of the mails that one can do without one wants."""
    form, asked = inputs.MailChoices(), _topics()
    wanted = {topic for topic in Topic if form[topic].data or topic not in asked}
    return act(
        lambda: program.choose_mails(access.me(), wanted, at=clock.now()),
        done=gettext("Saved."),
        back=url_for(".account"),
    )


@blueprint.post("/account/sign-outs")
@access.signed_in
def sign_out_others() -> ResponseReturnValue:
    """Signs this person out everywhere else."""
    number, here = access.me().id, session[access.TOKEN]
    return act(
        lambda: sign_ins.end_all(number, at=clock.now(), but=here),
        done=gettext("Every other device is signed out."),
        back=url_for(".account"),
    )


def _topics() -> list[Topic]:
    """What one may be written about."""
    return [topic for topic in Topic if topic != Topic.DIGEST or access.me().may("decide")]


def _page(profile: inputs.Profile, own_code: inputs.OwnCode) -> str:
    user, at = access.me(), clock.now()
    link, unwanted = links.main_link(user.id), mail_choices.off(user.id)
    return render_template(
        "account/account.html",
        profile=profile,
        own_code=own_code,
        language_form=inputs.Language(formdata=None, language=user.language),
        mails=inputs.MailChoices(formdata=None, data={topic: topic not in unwanted for topic in Topic}),
        topics=_topics(),
        code=links.current_code(link.id),
        live=sign_ins.live(user.id, at=at),
        here=sign_ins.find(session[access.TOKEN], at=at),
    )
