"""One's own account: name, language, time zone, mails, own code."""

from typing import Any

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, refresh

from portal import program
from portal.accounts import mail_choices, users
from portal.accounts.mail_choices import Topic
from portal.core import clock, database
from portal.core.text import Refusal, one_line
from portal.notices import examples, writing
from portal.sharing import links
from portal.web import access, inputs, languages, limits, words
from portal.web.acting import act

blueprint = Blueprint("account", __name__)


@blueprint.get("/account")
@access.signed_in
def account() -> ResponseReturnValue:
    return _page()


@blueprint.post("/account/name")
@access.signed_in
def name() -> ResponseReturnValue:
    form = inputs.account.Profile()
    if not form.validate():
        return _page(profile=form), 422
    return act(
        lambda: program.rename(access.me(), form.name.data or "", shows_name=form.shows_name.data, at=clock.now()),
        done=gettext("Saved."),
        back=url_for(".account"),
    )


@blueprint.get("/account/name/shown")
@access.signed_in
def name_shown() -> ResponseReturnValue:
    """What others would read of the name that is being typed: a part of the page."""
    if "HX-Request" not in request.headers:
        return redirect(url_for(".account"))
    form = inputs.account.Profile(request.args)
    return render_template("account/_shown.html", **_shown(form.name.data or "", bool(form.shows_name.data)))


def _shown(name: str, shows_name: bool) -> dict[str, str]:
    """How friends, and who invited one, read a name."""
    typed = one_line(name, 80)
    return {
        "to_friends": users.first_name_of(typed),
        "to_referrer": users.friend_name(typed, access.me().email, shows_name=shows_name),
    }


@blueprint.post("/account/language")
@access.signed_in
def language() -> ResponseReturnValue:
    """The language of one's pages and mails, or again what the browser asks for."""
    form = inputs.account.Language()
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
    form = inputs.sharing.OwnCode()
    if not form.validate():
        return _page(own_code=form), 422
    try:
        with database.writing():
            me = access.me()
            program.choose_code(me, links.main_link(me.id), form.code.data, at=clock.now())
    except Refusal as refusal:
        form.code.errors = [words.say(refusal)]
        return _page(own_code=form), 422
    flash(gettext("Your code is changed. The old one goes on working."), "ok")
    return redirect(url_for(".account"))


@blueprint.post("/account/mails")
@access.signed_in
def mails() -> ResponseReturnValue:
    """Which of the mails that one can do without one wants."""
    form, asked = inputs.account.MailChoices(), _topics()
    wanted = {topic for topic in Topic if form[topic].data or topic not in asked}
    return act(
        lambda: program.choose_mails(access.me(), wanted, at=clock.now()),
        done=gettext("Saved."),
        back=url_for(".account"),
    )


@blueprint.get("/account/mails/<topic>")
@access.signed_in
def mail(topic: str) -> ResponseReturnValue:
    """The mails about a topic as they would look to whoever asks, of invented facts."""
    if topic not in _topics():
        abort(404)
    letters = examples.about(Topic(topic), access.me(), at=clock.now())
    called = inputs.account.MailChoices()[topic].label.text
    return render_template("account/mail.html", mails=letters, as_seen=writing.as_seen, called=called)


@blueprint.post("/account/time-zone")
@access.signed_in
def time_zone() -> ResponseReturnValue:
    """By whose clocks one's pages tell the time; empty: the program's."""
    form = inputs.account.TimeZone()
    if not form.validate():
        return _page(zone=form), 422
    return act(
        lambda: program.choose_zone(access.me(), form.time_zone.data or ""),
        done=gettext("Saved."),
        back=url_for(".account"),
    )


def _topics() -> list[Topic]:
    """What one may be written about."""
    return [topic for topic in Topic if topic != Topic.DIGEST or access.me().may("decide")]


def _page(**wrong: Any) -> str:
    """The page, with the forms that could not be taken as they were sent."""
    user = access.me()
    link, unwanted = links.main_link(user.id), mail_choices.off(user.id)
    given: dict[str, Any] = {
        "profile": inputs.account.Profile(formdata=None, obj=user), "own_code": inputs.sharing.OwnCode(formdata=None),
        "language_form": inputs.account.Language(formdata=None, language=user.language),
        "zone": inputs.account.TimeZone(formdata=None, time_zone=user.time_zone),
        "mails": inputs.account.MailChoices(formdata=None, data={topic: topic not in unwanted for topic in Topic}),
    }  # fmt: skip
    typed: inputs.account.Profile = wrong.get("profile", given["profile"])
    given |= _shown(typed.name.data or "", bool(typed.shows_name.data))
    return render_template(
        "account/account.html",
        **given | wrong,
        topics=_topics(),
        code=links.current_code(link.id),
        again_at=links.next_choice(link.id),
        now=clock.now(),
    )
