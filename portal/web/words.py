"""Words: how the domain's sentences, amounts and moments are said in the reader's language."""

from datetime import date, datetime
from typing import Any

from flask import Flask, g
from flask_babel import format_date, format_datetime, format_timedelta, get_locale, gettext

from portal import terms
from portal.core import clock, money
from portal.core.text import Refusal
from portal.rewards.rewards import Reason

REASONS = {
    Reason.SELF_REFERRAL: "Self-referral",
    Reason.EXISTING_CUSTOMER: "Existing customer",
    Reason.DUPLICATE: "Duplicate",
    Reason.REFUNDED: "Refunded",
    Reason.TEST_ORDER: "Test order",
    Reason.ABUSE: "Abuse",
    Reason.OTHER: "Other",
}


def current_terms() -> terms.Terms | None:
    """The terms in force, looked up once a request."""
    if "terms" not in g:
        g.terms = terms.current()
    found: terms.Terms | None = g.terms
    return found


def zone() -> str:
    """The time zone in which pages tell the time."""
    found = current_terms()
    return found.time_zone if found else "UTC"


def say(refusal: Refusal) -> str:
    """A refusal as a sentence in the reader's language; moments in it as times of day with their date."""
    values = {name: exact(value) if isinstance(value, datetime) else value for name, value in refusal.values.items()}
    return gettext(refusal.message, **values) if values else gettext(refusal.message)


def amount(minor: int, currency: str) -> str:
    return money.shown(minor, currency, str(get_locale() or "en"))


def brief(minor: int, currency: str) -> str:
    """An amount for a heading: `£10` where it is whole, else `£10.50`."""
    return money.brief(minor, currency, str(get_locale() or "en"))


def exact(at: datetime) -> str:
    """A moment in full, in the program's time zone."""
    return format_datetime(clock.in_zone(at, zone()), "d MMM y, HH:mm zzz", rebase=False)


def day(at: datetime | date) -> str:
    """A day such as 3 Dec 2026, in the program's time zone."""
    if isinstance(at, datetime):
        at = clock.local_date(at, zone())
    return format_date(at, "d MMM y", rebase=False)


def ago(at: datetime) -> str:
    """How long ago, or in how long."""
    return format_timedelta(at - clock.now(), add_direction=True, threshold=1.2)


def computation(steps: list[dict[str, Any]], currency: str) -> str:
    """How a reward came about, as one line: `10 % of £64.00 = £6.40, at most £5.00`."""
    said = []
    for step in steps:
        minor = step.get("amount_minor")
        shown = amount(minor, currency) if minor is not None else ""
        if step["step"] == "fixed":
            said.append(gettext("%(amount)s fixed", amount=shown))
        elif step["step"] == "share":
            order = amount(step["order_minor"] or 0, currency)
            said.append(
                gettext("%(share)s of %(order)s = %(amount)s", share=share(step["share_bp"]), order=order, amount=shown)
            )
        elif step["step"] == "most":
            said.append(gettext("at most %(amount)s", amount=shown))
        elif step["step"] == "tier":
            said.append(
                gettext(
                    "from the %(start)s. reward on (this is the %(ordinal)s.)",
                    start=step["from"],
                    ordinal=step["ordinal"],
                )
            )
        elif step["step"] == "milestone":
            said.append(gettext("bonus for %(count)s friends", count=step["threshold"]))
        elif step["step"] == "minimum_met":
            said.append(gettext("order of at least %(minimum)s", minimum=amount(step["minimum_minor"], currency)))
        elif step["step"] == "beats":
            said.append(gettext("another rule would have given %(amount)s", amount=shown))
        elif step["step"] == "cap":
            cap = amount(step["cap_minor"], currency)
            said.append(
                gettext("%(amount)s left of this month's limit of %(cap)s", amount=shown, cap=cap)
                if step["period"] == "month"
                else gettext("%(amount)s left of this year's limit of %(cap)s", amount=shown, cap=cap)
            )
    return ", ".join(said)


def share(basis_points: int) -> str:
    """A share such as 10 % or 2.5 %."""
    whole, rest = divmod(basis_points, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + "\N{NO-BREAK SPACE}%"


def install(app: Flask) -> None:
    """Gives templates these words as filters."""
    app.jinja_env.filters.update(
        money=amount,
        brief=brief,
        exact=exact,
        day=day,
        ago=ago,
        computation=computation,
        share=share,
        plain=money.plain,
    )
    app.jinja_env.globals.update(reason_words=REASONS)
