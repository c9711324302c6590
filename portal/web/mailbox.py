"""The demo's mailbox: the mails that lie in files, to be read in the browser. Not there outside the demo."""

from email import message_from_bytes, policy

from flask import Blueprint, abort, current_app, render_template
from flask.typing import ResponseReturnValue

from portal.config import Settings
from portal.delivery.mail import Files
from portal.notices import writing

blueprint = Blueprint("mailbox", __name__)


def _files() -> Files:
    settings: Settings = current_app.extensions["settings"]
    return Files(settings.mail_dir)


@blueprint.get("/dev/mail")
def mails() -> ResponseReturnValue:
    listed = [(path.stem, message_from_bytes(path.read_bytes(), policy=policy.default)) for path in _files().newest()]
    return render_template("mailbox/mails.html", mails=listed)


@blueprint.get("/dev/mail/<name>")
def mail(name: str) -> ResponseReturnValue:
    path = next((path for path in _files().newest() if path.stem == name), None)
    if path is None:
        abort(404)
    found = message_from_bytes(path.read_bytes(), policy=policy.default)
    text = found.get_body(("plain",))
    blocks = writing.as_seen(text.get_content() if text else "")
    sender = found["From"].addresses[0].display_name
    return render_template("mailbox/mail.html", mail=found, blocks=blocks, sender=sender)
