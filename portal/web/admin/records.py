"""Records: API keys for developers, the audit list."""

from flask import current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.accounts import api_keys, users
from portal.config import Settings
from portal.core import clock, database
from portal.core.text import one_line
from portal.reports import desk, people
from portal.web import access, inputs
from portal.web.acting import act
from portal.web.admin.room import blueprint
from portal.web.dashboard import page_key


@blueprint.get("/developers")
@access.needs("own")
def developers() -> ResponseReturnValue:
    settings: Settings = current_app.extensions["settings"]
    return render_template(
        "admin/developers.html", keys=api_keys.listed(), form=inputs.people.ApiKey(formdata=None),
        base_url=settings.base_url, secret=None, only=inputs.fields.Only(),
    )  # fmt: skip


@blueprint.post("/developers/keys")
@access.needs("own")
def make_key() -> ResponseReturnValue:
    """Makes an API key and shows it, this once."""
    form = inputs.people.ApiKey()
    secret = None
    if form.validate():
        with database.writing():
            secret = api_keys.make(form.name.data, by=access.me().id, at=clock.now())
    settings: Settings = current_app.extensions["settings"]
    page = render_template(
        "admin/developers.html", keys=api_keys.listed(), form=form, base_url=settings.base_url, secret=secret,
        only=inputs.fields.Only(),
    )  # fmt: skip
    return page, 200 if secret else 422


@blueprint.post("/developers/keys/<wanted>/revocation")
@access.needs("own")
def revoke_key(wanted: str) -> ResponseReturnValue:
    return act(
        lambda: api_keys.revoke(wanted, by=access.me().id, at=clock.now()),
        done=gettext("The key is revoked."),
        back=url_for(".developers"),
    )


KINDS = (
    "reward", "referral", "claim", "appeal", "conversion", "refund", "payout", "batch", "vouchers", "method", "user",
    "link", "invite", "mail", "file", "terms", "goal", "api_key",
)  # fmt: skip
"""What a line of the audit list may be about."""
PORTAL = "portal"
"""In the address of the audit list: what the portal did by itself."""


@blueprint.get("/audit")
@access.needs("read")
def audit_list() -> ResponseReturnValue:
    """Who did what to what; by whom, about what kind of thing, about one person or thing, as the address says."""
    asked = {name: one_line(request.args.get(name, ""), 254) for name in ("who", "what", "about")}
    who = users.find_by_public_id(asked["who"])
    actors: list[int | None] | None = [None] if asked["who"] == PORTAL else [who.id if who else 0]
    about = users.find_by_public_id(asked["about"]) or users.find_by_email(asked["about"])
    subjects = desk.subjects_of(about) if about else [(kind, asked["about"]) for kind in KINDS]
    listed, older = desk.history(
        before=page_key("before"),
        kind=asked["what"] if asked["what"] in KINDS else "",
        actors=actors if asked["who"] else None,
        subjects=subjects if asked["about"] else None,
    )
    return render_template(
        "admin/audit.html", history=listed, older=older, asked={name: word or None for name, word in asked.items()},
        who=who, colleagues=people.colleagues(), kinds=KINDS, portal=PORTAL,
    )  # fmt: skip
