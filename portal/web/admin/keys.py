"""API keys at the developers' desk: made, rotated and revoked; each is shown once."""

from flask import abort, flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.accounts import api_keys
from portal.accounts.api_keys import ApiKey
from portal.core import clock, database
from portal.web import access, inputs, words
from portal.web.acting import act, told_already
from portal.web.admin import developers
from portal.web.admin.room import blueprint


@blueprint.post("/developers/keys")
@access.needs("own")
def make_key() -> ResponseReturnValue:
    """Makes an API key and shows it, this once."""
    form = inputs.people.ApiKey()
    secret = None
    if form.validate():
        with database.writing():
            secret = api_keys.make(form.name.data, by=access.me().id, at=clock.now())
    return developers.page(form=form, secret=secret), 200 if secret else 422


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
