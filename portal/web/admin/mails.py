"""Mails at the desk: what became of each, sending one again, and the wording of every kind."""

from flask import abort, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program
from portal.core import clock, database, language
from portal.core.text import Refusal
from portal.delivery import outbox, wordings
from portal.notices import examples, writing
from portal.web import access, inputs, words
from portal.web.acting import act
from portal.web.admin.room import blueprint
from portal.web.dashboard import page_key


@blueprint.get("/outbox")
@access.needs("read")
def outbox_list() -> ResponseReturnValue:
    """Mails, the newest first; by the address, those in one state alone."""
    state = request.args.get("state", "")
    states = [outbox.State(state)] if state in list(outbox.State) else list(outbox.State)
    listed, older = outbox.listed(states, before=page_key("before"))
    return render_template(
        "admin/outbox.html", mails=listed, older=older, state=state, counts=outbox.counts(), only=inputs.fields.Only(),
        again={message.public_id for message in listed if message.waits_for_a_hand},
    )  # fmt: skip


@blueprint.post("/outbox/<wanted>/sending")
@access.needs("own")
def send_again(wanted: str) -> ResponseReturnValue:
    """Has a mail tried again now."""
    message = (outbox.find(wanted) if wanted.isalnum() else None) or abort(404)
    return act(
        lambda: program.send_again(message, by=access.me().id, at=clock.now()),
        done=gettext("It is tried again in a moment."),
        back=url_for(".outbox_list", state=request.args.get("state")),
    )


@blueprint.get("/mails")
@access.needs("read")
def mail_list() -> ResponseReturnValue:
    """Every kind of mail, and in which languages it is worded by oneself."""
    return render_template(
        "admin/mails.html", kinds=list(examples.EXAMPLES), written=wordings.written(), languages=language.NAMES
    )


@blueprint.get("/mails/<kind>/<spoken>")
@access.needs("read")
def mail_wording(kind: str, spoken: str) -> ResponseReturnValue:
    """The text in use; by the address, the one that came with the portal, to begin with."""
    _must_be_known(kind, spoken)
    found = wordings.find(kind, spoken)
    data = {"subject": found.subject, "body": found.body} if found else {"subject": "{subject}", "body": "{text}"}
    if "standard" in request.args:
        data = dict(zip(("subject", "body"), examples.in_places(kind, spoken), strict=True))
    return _page(kind, spoken, inputs.program.Wording(formdata=None, data=data))


@blueprint.post("/mails/<kind>/<spoken>")
@access.needs("own")
def word_mail(kind: str, spoken: str) -> ResponseReturnValue:
    """Keeps the text, or shows it as it would look."""
    _must_be_known(kind, spoken)
    form = inputs.program.Wording()
    fine = form.validate()
    if fine:
        try:
            tried = wordings.check(
                form.subject.data or "", form.body.data or "", places=examples.places(kind), needs=examples.needs(kind)
            )
        except Refusal as refusal:
            form.body.errors = [words.say(refusal)]
            fine = False
    if not fine:
        return _page(kind, spoken, form), 422
    if request.form.get("only") == "preview":
        return _page(kind, spoken, form, tried=tried)
    return act(
        lambda: program.write_mail(kind, spoken, *tried, by=access.me().id, at=clock.now()),
        done=gettext("Saved. The next mail of this kind has this text."),
        back=url_for(".mail_wording", kind=kind, spoken=spoken),
    )


@blueprint.post("/mails/<kind>/<spoken>/restoration")
@access.needs("own")
def restore_mail(kind: str, spoken: str) -> ResponseReturnValue:
    _must_be_known(kind, spoken)
    return act(
        lambda: program.restore_mail(kind, spoken, by=access.me().id, at=clock.now()),
        done=gettext("The text that came with the portal is in use again."),
        back=url_for(".mail_wording", kind=kind, spoken=spoken),
    )


@blueprint.post("/mails/<kind>/<spoken>/test")
@access.needs("own")
def try_mail(kind: str, spoken: str) -> ResponseReturnValue:
    """Sends the owner an example of it."""
    _must_be_known(kind, spoken)
    return act(
        lambda: program.try_mail(kind, access.me(), spoken, at=clock.now()),
        done=gettext("A test is on its way to %(email)s.", email=access.me().email),
        back=url_for(".mail_wording", kind=kind, spoken=spoken),
    )


def _must_be_known(kind: str, spoken: str) -> None:
    if kind not in examples.EXAMPLES or spoken not in language.LANGUAGES:
        abort(404)


def _page(kind: str, spoken: str, form: inputs.program.Wording, *, tried: tuple[str, str] | None = None) -> str:
    with database.session.no_autoflush:
        letter = examples.example(kind, access.me(), spoken, tried=tried, at=clock.now())
    return render_template(
        "admin/mail.html", kind=kind, spoken=spoken, form=form, languages=language.NAMES, letter=letter,
        blocks=writing.as_seen(letter.text), places=examples.places(kind), tried=tried,
        own=wordings.find(kind, spoken), only=inputs.fields.Only(),
    )  # fmt: skip
