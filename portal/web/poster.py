"""The poster: one of one's own links on a sheet of paper, to be pinned up where friends pass."""

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from portal.sharing import links
from portal.web import access
from portal.web.public import offer, url_of

blueprint = Blueprint("poster", __name__)


@blueprint.get("/links/<code>/poster")
@access.signed_in
def poster(code: str) -> ResponseReturnValue:
    """The offer as its headline, the QR code, and code and address in words for whoever cannot scan."""
    link = links.by_code(code)
    if link is None or link.owner_id != access.me().id:
        abort(404)
    current = links.current_code(link.id)
    return render_template("dashboard/poster.html", code=current, url=url_of(current), offer=offer())
