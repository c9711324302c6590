"""Words: how the domain's sentences, amounts and moments are said in the reader's language."""

from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from flask import Flask, g
from flask_babel import format_timedelta, get_locale, gettext
from flask_security import current_user
from markupsafe import Markup

from portal import program, terms
from portal.accounts import users
from portal.core import clock, language, money
from portal.core.text import Refusal, marked
from portal.rewards import decisions, goals, kinds, rewards
from portal.rewards.decisions import Reason
from portal.rewards.rewards import Reward

REASONS = {
    Reason.SELF_REFERRAL: marked("Self-referral"),
    Reason.EXISTING_CUSTOMER: marked("Existing customer"),
    Reason.DUPLICATE: marked("Duplicate"),
    Reason.REFUNDED: marked("Refunded"),
    Reason.TEST_ORDER: marked("Test order"),
    Reason.ABUSE: marked("Abuse"),
    Reason.OTHER: marked("Other"),
    Reason.OTHER_REFERRER: marked("Another referrer"),
}

TOLD = {
    Reason.SELF_REFERRAL: marked("A referral counts for somebody new, not for another account of one's own."),
    Reason.EXISTING_CUSTOMER: marked("A referral counts for somebody who was not a customer before."),
    Reason.DUPLICATE: marked("This order was counted for another reward."),
    Reason.REFUNDED: marked("The order was given back."),
    Reason.TEST_ORDER: marked("The order was only a test."),
    Reason.ABUSE: marked("This does not keep to the terms of the program."),
    Reason.OTHER: marked("This does not keep to the terms of the program."),
    Reason.OTHER_REFERRER: decisions.TOLD_OF_OTHER_REFERRER,
}
"""What a referrer reads about a rejection, where the reviewer leaves it as it is. Kept in English, said in theirs."""

READY = {*TOLD.values(), *goals.USUAL.values(), *program.KeptBack}
"""Texts that the portal brings along and keeps in the database beside those that people write."""

SAID = {
    ("who", marked("the terms")),
    ("state", marked("draft")),
    ("state", marked("approved")),
    ("state", marked("exported")),
    ("state", marked("paid")),
    ("state", marked("partly paid")),
    ("state", marked("failed")),
    ("state", marked("cancelled")),
    ("state", marked("reversed")),
    ("state", marked("preparing")),
    ("state", marked("sent")),
}
"""Words that stand in the places of refusals."""


def current_terms() -> terms.Terms | None:
    """The terms in force, looked up once a request."""
    if "terms" not in g:
        g.terms = terms.current()
    found: terms.Terms | None = g.terms
    return found


def in_force() -> terms.Terms:
    """The terms in force, looked up once a request; raises TermsRefused before the set-up."""
    return current_terms() or terms.in_force()


def zone() -> str:
    """The time zone in which pages tell the time."""
    found = current_terms()
    return found.time_zone if found else "UTC"


def next_payout(*, after: datetime | None = None) -> date | None:
    """About when the next payout goes out (from a moment on that may be ahead); None where there is no fixed day."""
    found, now = current_terms(), clock.now()
    return found.next_pay_day(at=max(now, after or now)) if found else None


def review_due(reward: Reward | None) -> datetime | None:
    """By when a reward that waits is to be decided; None where nothing is promised."""
    found = current_terms()
    return rewards.review_due(reward, found) if found and reward is not None else None


def is_ahead(at: datetime) -> bool:
    """Whether a moment is still to come."""
    return at >= clock.now()


def say(refusal: Refusal) -> str:
    """A refusal as a sentence in the reader's language; moments in it as times of day with their date."""
    values = {name: _said(name, value) for name, value in refusal.values.items()}
    return gettext(refusal.message, **values) if values else gettext(refusal.message)


def _said(name: str, value: object) -> object:
    """What stands in a place of a refusal."""
    if isinstance(value, datetime):
        return exact(value)
    if name == "example":
        return typed(str(value))
    return gettext(str(value)) if (name, value) in SAID else value


def ready(text: str) -> str:
    """A text that came with the portal in the reader's language; one that somebody wrote as they wrote it."""
    return gettext(text) if text in READY else text


def amount(minor: int, currency: str) -> str:
    return money.shown(minor, currency, spoken())


def brief(minor: int, currency: str) -> str:
    """An amount for a heading: `£10` where it is whole, else `£10.50`."""
    return money.brief(minor, currency, spoken())


def typed(plain: str) -> str:
    """An amount or a share with a decimal point (`12.50`) as people type it: in German `12,50`."""
    return plain.replace(".", language.decimal_point(spoken()))


def untyped(text: str) -> str:
    """The same back. Two kinds of signs are left as they are: nobody guesses which of them groups."""
    point = language.decimal_point(spoken())
    return text if "." in text else text.replace(point, ".", 1)


def own_zone() -> str:
    """By whose clocks the reader wants moments told: their own, else the program's."""
    chosen: str = getattr(current_user, "time_zone", "") if current_user else ""
    return chosen or zone()


def exact(at: datetime) -> str:
    """A moment in full, by the reader's clocks. Days go by the program's: they are the days of its rules."""
    return language.moment(clock.in_zone(at, own_zone()), spoken())


def day(at: datetime | date) -> str:
    """A day such as 3 Dec 2026, in the program's time zone."""
    return language.day(clock.local_date(at, zone()) if isinstance(at, datetime) else at, spoken())


def month(on: date) -> str:
    """A month such as December 2026."""
    return language.month(on, spoken())


def ago(at: datetime) -> str:
    """How long ago, or in how long."""
    return format_timedelta(at - clock.now(), add_direction=True, threshold=1.2)


def since(at: datetime) -> str:
    """How long something has lasted: `2 days`."""
    return span(clock.now() - at)


def span(lasts: timedelta) -> str:
    """So long: `2 days`."""
    return format_timedelta(lasts, threshold=1.2)


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
        elif step["step"] == "tier_set":
            said.append(_set_tier(step))
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


def _set_tier(step: dict[str, Any]) -> str:
    """That somebody was put at a step of the tiers; by whom, colleagues read."""
    who = users.find_by_public_id(step["by"]) if current_user.is_authenticated and current_user.may("read") else None
    if who is None:
        return gettext(
            "from the %(start)s. reward on, set by hand (this is the %(ordinal)s.)",
            start=step["from"], ordinal=step["ordinal"],
        )  # fmt: skip
    return gettext(
        "from the %(start)s. reward on, set by %(who)s (this is the %(ordinal)s.)",
        start=step["from"], ordinal=step["ordinal"], who=who.called,
    )  # fmt: skip


def share(basis_points: int) -> str:
    """A share such as 10 % or 2.5 %."""
    return language.share(basis_points, spoken())


def spoken() -> str:
    """The language of the page."""
    return str(get_locale() or language.LANGUAGES[0])


def mail_link(to: str, subject: str, body: str) -> str:
    """A link that opens the reader's own mail program with a letter (RFC 6068); `to` may be empty."""
    written = f"subject={quote(unescaped(subject), safe='')}&body={quote(unescaped(body), safe='')}"
    return f"mailto:{quote(to, safe='@')}?{written}"


def percent_of(part: int, whole: int) -> str:
    """A part of a whole in whole percent, rounded half up; `whole` is not zero."""
    return share((200 * part + whole) // (2 * whole) * 100)


def unescaped(text: str) -> str:
    """What a template has said, as plain text again, for an address."""
    return text.unescape() if isinstance(text, Markup) else text


def install(app: Flask) -> None:
    """Gives templates these words as filters."""
    app.jinja_env.filters.update(
        money=amount,
        brief=brief,
        exact=exact,
        day=day,
        percent_of=percent_of,
        unescaped=unescaped,
        month=month,
        ago=ago,
        since=since,
        span=span,
        digits=money.digits,
        computation=computation,
        share=share,
        plain=money.plain,
        ready=ready,
        said=say,
        review_due=review_due,
    )
    app.jinja_env.tests.update(ahead=is_ahead)
    app.jinja_env.globals.update(
        mail_link=mail_link, next_payout=next_payout, reason_words=REASONS, signal_kinds=kinds.ABOUT
    )
