"""The overview: what needs attention, the numbers of a range, what is owed, what happened last."""

from flask import current_app, render_template
from flask.typing import ResponseReturnValue

from portal import terms
from portal.accounts import api_keys, passkeys, two_step
from portal.config import Settings
from portal.core import clock
from portal.payouts import drawing
from portal.reports import desk, figures, rankings
from portal.reports.facts import By, Measure
from portal.sharing import links
from portal.web import access, public
from portal.web.admin import reports
from portal.web.admin.room import blueprint


@blueprint.get("")
@access.needs("read")
def overview() -> ResponseReturnValue:
    current = terms.in_force()
    seen = figures.view(current, at=clock.now())
    asked = reports.asked_range(seen.today)
    top, _ = rankings.ranked(seen, asked.within, By.REFERRER, Measure.CUSTOMERS, most=10)
    standings = drawing.standings(current, at=clock.now(), by=access.me().id)
    settings: Settings = current_app.extensions["settings"]
    return render_template(
        "admin/overview.html",
        attention=desk.attention(current, at=clock.now()),
        ready=[standing for standing in standings if standing.why is None],
        totals=figures.owed(seen, current.currency),
        history=desk.history(most=10)[0],
        asked=asked,
        seen=seen,
        args=reports.days_of(asked.within),
        performance=reports.performance_in(seen, asked.within, asked.within.usual_step),
        active=[rankings.active_referrers(seen, within) for within in (asked.within, asked.within.before)],
        top=top,
        about=rankings.people(top),
        month=figures.totals(seen, figures.this_month(seen)),
        mail_to_files=not settings.mail_url.startswith("smtp"),
        plain_address=not settings.secure,
    )


@blueprint.get("/opened")
@access.needs("own")
def opened() -> ResponseReturnValue:
    """C9's last page: one's own link to try, where rewards will wait, and what is still to be done, as it is now."""
    settings: Settings = current_app.extensions["settings"]
    me, current = access.me(), terms.in_force()
    return render_template(
        "admin/opened.html",
        link=public.url_of(links.current_code(links.main_link(me.id).id)),
        base_url=settings.base_url,
        here_alone=settings.on_loopback,
        steps={
            "address": settings.secure,
            "shop": any(key.works(at=clock.now()) for key in api_keys.listed()),
            "mail": settings.mail_url.startswith("smtp"),
            "words": bool(current.legal_text and current.help_contact),
            "second": two_step.is_on(me.id) or bool(passkeys.of_person(me.id)),
        },
    )
