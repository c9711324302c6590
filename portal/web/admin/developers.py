"""The developers' desk: keys by which a shop's program is let in, webhooks by which it is told, and how it begins."""

from flask import render_template
from flask.typing import ResponseReturnValue

from portal.accounts import api_keys
from portal.core import clock, text
from portal.delivery import endpoints, webhooks
from portal.web import access, inputs, openapi
from portal.web.admin.room import blueprint, settings


@blueprint.get("/developers")
@access.needs("own")
def developers() -> ResponseReturnValue:
    return page()


def page(
    *, form: inputs.people.ApiKey | None = None, hook: inputs.people.Webhook | None = None, secret: str | None = None
) -> str:
    """The desk, with a form that could not be taken, or with the key that was just made."""
    empty = {"scopes": list(api_keys.Scope), "form_key": text.public_id()}
    return render_template(
        "admin/developers.html", keys=api_keys.listed(), scopes=openapi.SCOPES,
        form=form or inputs.people.ApiKey(formdata=None, data=empty),
        secret=secret, base_url=settings().base_url, only=inputs.fields.Only(), endpoints=endpoints.listed(),
        counts=webhooks.counts(), hook=hook or inputs.people.Webhook(formdata=None), hooks=openapi.HOOK_SENTENCES,
        now=clock.now(),
    )  # fmt: skip
