"""Records: the audit list."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts import users
from portal.core.text import one_line
from portal.reports import desk, people
from portal.web import access
from portal.web.admin.room import blueprint
from portal.web.dashboard import page_key

KINDS = (
    "reward", "referral", "claim", "appeal", "conversion", "refund", "payout", "batch", "vouchers", "method", "user",
    "link", "invite", "mail", "file", "terms", "goal", "api_key", "webhook",
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
