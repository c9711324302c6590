"""The shell: what the layout around every page needs to know: navigation, theme, language, program."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, current_app, g, request, url_for
from flask_babel import gettext
from flask_security import current_user
from werkzeug.exceptions import HTTPException

from portal.reports import queue
from portal.web import words

WITHIN = {
    "sharing": "dashboard.friends",
    "poster": "dashboard.home",
    "admin.signals": "admin.program",
    "admin.weigh": "admin.program",
}
"""Pages of these blueprints, and these pages, belong to that page of the navigation."""

THEMES = ("light", "dark", "system")


@dataclass(frozen=True)
class Item:
    label: str
    url: str
    icon: str
    current: bool
    count: int | None = None


def install(app: Flask) -> None:
    """Gives templates what the layout asks for."""
    app.jinja_env.globals.update(
        navigation=navigation,
        account_links=account_links,
        theme=theme,
        is_demo=app.extensions["settings"].demo,
    )

    @app.context_processor
    def program() -> dict[str, object]:
        terms = words.current_terms() if g.get("database_is_there", True) else None
        return {"program_name": terms.program_name if terms else gettext("Referral portal"), "terms": terms}


def cookie(name: str) -> str:
    """What a cookie is called: over https in a way that no other host of ours can set it (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{name}" if current_app.config["SESSION_COOKIE_SECURE"] else name


def theme() -> str:
    """The theme that this browser chose."""
    chosen = request.cookies.get(cookie("theme"), "system")
    return chosen if chosen in THEMES else "system"


def navigation() -> list[Item]:
    """The pages of the part of the house we are in; only those that exist and that this person may read."""
    if not current_user.is_authenticated:
        return []
    if request.blueprint == "admin":
        pages = [
            ("admin.overview", gettext("Overview"), "overview", "read"),
            ("admin.rewards", gettext("Rewards"), "queue", "read"),
            ("admin.referrals", gettext("Referrals"), "referrals", "read"),
            ("admin.payout_list", gettext("Payouts"), "payouts", "read"),
            ("admin.people", gettext("People"), "people", "read"),
            ("admin.program", gettext("Program"), "program", "read"),
            ("admin.reports", gettext("Reports"), "reports", "read"),
            ("admin.developers", gettext("Developers"), "developers", "own"),
            ("admin.outbox_list", gettext("Outbox"), "outbox", "read"),
            ("admin.audit_list", gettext("Audit"), "audit", "read"),
        ]
        items = [(endpoint, label, icon) for endpoint, label, icon, needs in pages if current_user.may(needs)]
    else:
        items = [
            ("dashboard.home", gettext("Home"), "home"),
            ("dashboard.friends", gettext("Friends"), "friends"),
            ("dashboard.rewards", gettext("Rewards"), "rewards"),
            ("account.account", gettext("Account"), "account"),
        ]
    here = request.path
    return [
        Item(
            label,
            url_for(endpoint),
            icon,
            endpoint in (WITHIN.get(request.blueprint or ""), WITHIN.get(request.endpoint or ""))
            or here == url_for(endpoint)
            or (endpoint != "admin.overview" and here.startswith(url_for(endpoint) + "/")),
            (queue.pending_count() or None) if endpoint == "admin.rewards" else None,
        )
        for endpoint, label, icon in items
    ]


def account_links() -> list[Item]:
    """The way between a colleague's own pages and the admin's desk."""
    if not current_user.is_authenticated or not current_user.may("read"):
        return []
    if request.blueprint == "admin":
        return [Item(gettext("Your own referrals"), url_for("dashboard.home"), "home", False)]
    return [Item(gettext("Admin"), url_for("admin.overview"), "overview", False)]


def inward(address: str) -> str | None:
    """An address inside the portal that a page answers with GET, or None. For going back to where one was."""
    if not address.startswith("/") or address.startswith(("//", "/\\")) or any(ord(c) < 33 for c in address):
        return None
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    try:
        current_app.url_map.bind("").match(parts.path, method="GET")
    except HTTPException:
        return None
    return address
