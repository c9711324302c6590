"""The overview: what needs attention, what is owed, what happened last."""

from flask import current_app, render_template
from flask.typing import ResponseReturnValue

from portal import terms
from portal.config import Settings
from portal.core import clock
from portal.payouts import payouts
from portal.reports import desk
from portal.rewards import ledger
from portal.web import access
from portal.web.admin.room import blueprint


@blueprint.get("")
@access.needs("read")
def overview() -> ResponseReturnValue:
    current = terms.in_force()
    standings = payouts.standings(current, at=clock.now(), by=access.me().id)
    settings: Settings = current_app.extensions["settings"]
    return render_template(
        "admin/overview.html",
        attention=desk.attention(),
        ready=[standing for standing in standings if standing.why is None],
        totals=ledger.totals(current.currency),
        history=desk.history(most=10)[0],
        mail_to_files=not settings.mail_url.startswith("smtp"),
        plain_address=not settings.secure,
    )
