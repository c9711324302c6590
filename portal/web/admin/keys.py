"""API keys at the developers' desk: made, rotated and revoked; each is shown once."""

from flask import abort, flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.accounts import api_keys
from portal.accounts.api_keys import ApiKey
from portal.core import clock, database, text
from portal.web import access, inputs, words
from portal.web.acting import act, told_already
from portal.web.admin import developers
from portal.web.admin.room import blueprint


@blueprint.post("/developers/keys")
@access.needs("own")
def make_key() -> ResponseReturnValue:
    """Makes an API key and shows it, this once; one for each time that the form was opened."""
    form = inputs.people.ApiKey()
    form_key = form.form_key.data or ""
    if not text.is_public_id(form_key):
        form.form_key.data = text.public_id()
        form.form_errors = [gettext("This page was open too long. Look at it again and send it once more.")]
        return developers.page(form=form), 422
    if not form.validate():
        return developers.page(form=form), 422
    expires_at = clock.end_of_day(form.ends_on.data, words.zone()) if form.ends_on.data else None
    try:
        with database.writing():
            secret = api_keys.make(
                form.name.data, scopes=form.scopes.data, expires_at=expires_at, form_key=form_key, by=access.me().id,
                at=clock.now(),
            )  # fmt: skip
    except api_keys.MadeAlready as refusal:
        form.form_key.data, form.form_errors = text.public_id(), [words.say(refusal)]
        return developers.page(form=form), 409
    except api_keys.KeyRefused as refusal:
        form.ends_on.errors = [words.say(refusal)]
        return developers.page(form=form), 422
    return developers.page(secret=secret)


@blueprint.post("/developers/keys/<wanted>/rotation")
@access.needs("own")
def rotate_key(wanted: str) -> ResponseReturnValue:
    """Makes a successor of a key and shows it, this once."""
    key = _key(wanted)
    try:
        with database.writing():
            secret = api_keys.rotate(key.public_id, by=access.me().id, at=clock.now())
    except api_keys.KeyRefused as refusal:
        flash(words.say(refusal), "bad")
        return redirect(url_for(".developers"))
    return developers.page(secret=secret)


@blueprint.post("/developers/keys/<wanted>/revocation")
@access.needs("own")
def revoke_key(wanted: str) -> ResponseReturnValue:
    name = _key(wanted).public_id
    return act(
        lambda: api_keys.revoke(name, by=access.me().id, at=clock.now()),
        done=gettext("The key is revoked."),
        back=url_for(".developers"),
        already=lambda: told_already("api_key_revoked", "api_key", name),
    )


def _key(wanted: str) -> ApiKey:
    return (api_keys.named(wanted) if wanted.isalnum() else None) or abort(404)
