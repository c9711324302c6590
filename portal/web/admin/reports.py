"""Reports at the desk: the program's figures in a range, by referrer and by link, money, and the rows behind each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from urllib.parse import urlencode

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from portal.accounts import users
from portal.core import clock
from portal.reports import behind, cohorts, facts, figures, rankings, rollups, sharing, sheets
from portal.reports.behind import Filter, Line, What
from portal.reports.facts import By, Measure
from portal.reports.figures import Numbers, Range, Series, Step, View
from portal.reports.rankings import Standee
from portal.reports.sheets import Amount, Cell
from portal.rewards.ledger import Bucket
from portal.rewards.rewards import State
from portal.sharing import links
from portal.terms import Terms
from portal.web import access, exports, words
from portal.web.admin.room import blueprint
from portal.web.dashboard import one_of

SPANS = ("7", "30", "90", "365", "month", "last-month")
USUAL_SPAN = "30"
LONGEST_DAYS = 3660
MOST_PIECES = 120
PAGE = 50

LISTS = f"any({', '.join(What)})"
"""The lists that there are, as routes name them."""


@dataclass(frozen=True)
class Asked:
    """The range that the address asks for: by a word, or from day to day. `wrong`: what stood there was none."""

    span: str
    within: Range
    wrong: bool

    @property
    def args(self) -> dict[str, str]:
        """The same in an address."""
        if self.span != "custom":
            return {"range": self.span}
        return days_of(self.within)


def days_of(within: Range) -> dict[str, str]:
    """A range in an address, day by day, so that it means the same tomorrow."""
    return {"from": within.first.isoformat(), "to": within.last.isoformat()}


def asked_range(today: date) -> Asked:
    """Reads the range from the address."""
    first, last = (clock.parse_day(request.args.get(name, "")) for name in ("from", "to"))
    if first and last and first <= last and (last - first).days < LONGEST_DAYS:
        return Asked("custom", Range(first, last), wrong=False)
    word = request.args.get("range", USUAL_SPAN)
    known = word in SPANS
    month = rollups.month_of(today)
    if word == "month":
        within = Range(month, today)
    elif word == "last-month":
        last = month - timedelta(days=1)
        within = Range(last.replace(day=1), last)
    else:
        within = Range(today - timedelta(days=int(word if known else USUAL_SPAN) - 1), today)
    tried = bool(request.args.get("from") or request.args.get("to"))
    return Asked(word if known else USUAL_SPAN, within, wrong=tried or not known)


def _as_asked() -> dict[str, str]:
    """What a report was asked for, as it stands in the address."""
    names = ("from", "to", "range", "by", "referrer", "link", "state")
    return {name: request.args[name] for name in names if name in request.args}


def _seen() -> tuple[Terms, View]:
    current = words.in_force()
    return current, figures.view(current, at=clock.now())


@blueprint.context_processor
def _leads() -> dict[str, object]:
    """For the pages' many numbers: where each leads. To ask the routes for each anew would take half of the page."""
    known: dict[str, str] = {}

    def rows_behind(what: str, args: dict[str, str]) -> str:
        if what not in known:
            known[what] = url_for("admin.report_list", what=what)
        return f"{known[what]}?{urlencode(args)}"

    return {"rows_behind": rows_behind}


@dataclass(frozen=True)
class Performance:
    """A range and the one before, cut alike."""

    step: Step
    now: Series
    before: Series

    @property
    def comparable(self) -> bool:
        """Whether both have as many pieces, so that one can be drawn over the other."""
        return len(self.now.pieces) == len(self.before.pieces)


def performance_in(seen: View, within: Range, step: Step) -> Performance:
    """What the report of performance and the overview show."""
    now, before = figures.series(seen, (within, step), (within.before, step))
    return Performance(step, now, before)


def _step(within: Range) -> Step:
    """The step that the address asks for, unless it would make too many pieces."""
    step = one_of(Step, request.args.get("by"), within.usual_step)
    return step if len(within.cut(step)) <= MOST_PIECES else within.usual_step


# --- pages ----------------------------------------------------------------------------------------------------


@blueprint.get("/reports")
@access.needs("read")
def reports() -> ResponseReturnValue:
    current, seen = _seen()
    asked = asked_range(seen.today)
    performance = performance_in(seen, asked.within, _step(asked.within))
    return render_template(
        "admin/reports.html", asked=asked, seen=seen, performance=performance, currency=current.currency,
        days_of=days_of, steps=Step, states=[state.value for state in State],
    )  # fmt: skip


@blueprint.get("/reports/referrers")
@access.needs("read")
def report_referrers() -> ResponseReturnValue:
    return _ranked_page("admin/reports_referrers.html", By.REFERRER)


@blueprint.get("/reports/links")
@access.needs("read")
def report_links() -> ResponseReturnValue:
    return _ranked_page("admin/reports_links.html", By.LINK)


def _ranked_page(template: str, by: By) -> str:
    current, seen = _seen()
    asked, measure = asked_range(seen.today), _measure()
    listed, later = rankings.ranked(seen, asked.within, by, measure, most=PAGE, after=_after())
    since = clock.start_of_day(asked.within.first, seen.zone)
    until = clock.start_of_day(min(asked.within.last, seen.today) + timedelta(days=1), seen.zone)
    return render_template(
        template, asked=asked, seen=seen, measure=measure, measures=facts.RANKED, listed=listed,
        later=f"{later[0]}.{later[1]}" if later else None, currency=current.currency, days_of=days_of,
        about=rankings.people(listed) if by == By.REFERRER else rankings.sources(listed),
        active=rankings.active_referrers(seen, asked.within),
        ratios=sharing.all_invite_ratios(since, until) if by == By.LINK else None,
    )  # fmt: skip


def _measure() -> Measure:
    found = one_of(Measure, request.args.get("by"), facts.RANKED[0])
    return found if found in facts.RANKED else facts.RANKED[0]


def _after() -> tuple[int, int] | None:
    """Where the next page of a ranking goes on: what the last line had, and its number."""
    rank, _, number = request.args.get("after", "").partition(".")
    if not (rank.isdecimal() and rank.isascii() and number.isdecimal() and number.isascii()):
        return None
    return (int(rank), int(number)) if max(len(rank), len(number)) <= 18 else None


@blueprint.get("/reports/cohorts")
@access.needs("read")
def report_cohorts() -> ResponseReturnValue:
    _, seen = _seen()
    asked = asked_range(seen.today)
    step = _step_of_cohorts(asked.within)
    return render_template(
        "admin/reports_cohorts.html", asked=asked, seen=seen, step=step, steps=cohorts.STEPS, days_of=days_of,
        cohorts=cohorts.cohorts(seen, asked.within, step), together=cohorts.together(seen, asked.within),
        within_days=facts.WITHIN_DAYS,
    )  # fmt: skip


def _step_of_cohorts(within: Range) -> Step:
    """The step that the address asks for, if cohorts are cut by it and it would not make too many."""
    usual = cohorts.usual_step(within)
    step = one_of(Step, request.args.get("by"), usual)
    return step if step in cohorts.STEPS and len(within.cut(step)) <= MOST_PIECES else usual


@blueprint.get("/reports/money")
@access.needs("read")
def report_money() -> ResponseReturnValue:
    current, seen = _seen()
    asked = asked_range(seen.today)
    (then, before) = figures.series(seen, (asked.within, Step.MONTH), (asked.within.before, Step.MONTH))
    return render_template(
        "admin/reports_money.html", asked=asked, seen=seen, now=then, before=before, currency=current.currency,
        owed=figures.owed(seen, current.currency, on=min(asked.within.last, seen.today)),
        owed_before=figures.owed(seen, current.currency, on=min(asked.within.before.last, seen.today)),
        month=figures.totals(seen, figures.this_month(seen)), days_of=days_of, buckets=_buckets().items(),
        lists=_where_it_lies(),
    )  # fmt: skip


@blueprint.get(f"/reports/lists/<{LISTS}:what>")
@access.needs("read")
def report_list(what: str) -> ResponseReturnValue:
    """The rows that a number counts."""
    current, seen = _seen()
    asked, of = asked_range(seen.today), _filter()
    listed, later = behind.lines(seen, asked.within, What(what), of, before=_key())
    return render_template(
        "admin/reports_list.html", asked=asked, what=what, of=of, lines=listed, currency=current.currency,
        later=f"{later[0].isoformat()}~{later[1]}" if later else None, seen=seen, days_of=days_of,
        kept={name: request.args[name] for name in ("referrer", "link", "state") if name in request.args},
    )  # fmt: skip


def _filter() -> Filter:
    """Whose rows the address asks for; a referrer, link or state that is not there is a 404."""
    referrer, link, state = (request.args.get(name) for name in ("referrer", "link", "state"))
    if state is not None and state not in set(State):
        abort(404)
    if any(wanted is not None and not wanted.isalnum() for wanted in (referrer, link)):
        abort(404)
    return Filter(
        referrer=(users.find_by_public_id(referrer) or abort(404)) if referrer is not None else None,
        link=(links.find_by_public_id(link) or abort(404)) if link is not None else None,
        state=State(state) if state is not None else None,
    )


def _key() -> behind.Key | None:
    moment, _, number = request.args.get("before", "").partition("~")
    if not (number.isdecimal() and number.isascii() and len(number) <= 18):
        return None
    try:
        return clock.parse(moment).astimezone(UTC), int(number)
    except (ValueError, OverflowError):
        return None


# --- files ----------------------------------------------------------------------------------------------------


@blueprint.get("/reports/<any(performance, referrers, links, cohorts, money):report>.<any(csv, xlsx):kind>")
@access.needs("read")
def report_file(report: str, kind: str) -> ResponseReturnValue:
    """A report as a file: all of its lines."""
    current, seen = _seen()
    asked = asked_range(seen.today)
    if asked.wrong:  # the page says what is wrong; a file of other days would not
        page = "reports" if report == "performance" else f"report_{report}"
        return redirect(url_for(f".{page}", _external=False, **_as_asked()))
    within = asked.within
    if report == "money":
        return _money_file(current, seen, within, kind)
    if report == "performance":
        first = (gettext("From"), gettext("To"))
        pieces = performance_in(seen, within, _step(within)).now.pieces
        rows = ([piece.first, piece.last, *_cells(numbers, current.currency)] for piece, numbers in pieces)
        return _file(report, within, kind, [*first, *_headings()], rows)
    if report == "cohorts":
        return _cohorts_file(seen, within, kind)
    by = By.REFERRER if report == "referrers" else By.LINK
    first = (gettext("Referrer"), gettext("E-mail")) if by == By.REFERRER else (gettext("Code"), gettext("Label"))
    lines = _ranked_rows(seen, within, by, _measure(), current.currency)
    return _file(report, within, kind, [*first, *_headings()], lines)


def _cohorts_file(seen: View, within: Range, kind: str) -> ResponseReturnValue:
    """Each cohort on a line: how many of its friends reached the goal by when, and what of that is final."""
    spans = (ngettext("Within %(num)s day", "Within %(num)s days", days) for days in facts.WITHIN_DAYS.values())
    first, last = (gettext("From"), gettext("To"), gettext("Friends joined")), gettext("Final up to (days)")
    columns = [*first, *spans, gettext("By now"), last]
    found = cohorts.cohorts(seen, within, _step_of_cohorts(within))
    rows: Iterator[Sequence[Cell]] = (
        [one.days.first, one.days.last, one.joined, *(by.many for by in one.reached), one.final_days] for one in found
    )
    return _file("cohorts", within, kind, columns, rows)


def _money_file(current: Terms, seen: View, within: Range, kind: str) -> ResponseReturnValue:
    """What the program owed at the end of the range before and of this one, as the page shows it."""
    days = (within.before.last, within.last)
    columns = [gettext("Where it lies"), *(day.isoformat() for day in days), gettext("Currency")]
    then = [figures.owed(seen, current.currency, on=min(day, seen.today)) for day in days]
    rows: Iterator[Sequence[Cell]] = (
        [word, *(Amount(owed[bucket], current.currency) for owed in then), current.currency]
        for bucket, word in _buckets().items()
    )
    return _file("money", within, kind, columns, rows)


def _buckets() -> dict[Bucket, str]:
    """Where money lies, in the page's words and order."""
    return {
        Bucket.PENDING: gettext("Pending"),
        Bucket.APPROVED: gettext("Approved, on hold"),
        Bucket.PAYABLE: gettext("Payable"),
        Bucket.IN_PAYOUT: gettext("In a payout"),
        Bucket.PAID: gettext("Paid since the start"),
    }


def _where_it_lies() -> dict[Bucket, str]:
    """The lists of what lies there today."""
    return {
        Bucket.PENDING: url_for(".rewards"),
        Bucket.PAYABLE: url_for(".payout_list"),
        Bucket.IN_PAYOUT: url_for(".payout_list", tab="progress"),
        Bucket.PAID: url_for(".payout_list", tab="paid"),
    }


def _ranked_rows(seen: View, within: Range, by: By, measure: Measure, currency: str) -> Iterator[Sequence[Cell]]:
    """Everybody who has any of what the report is ordered by, a thousand at a time."""
    after = None
    while True:
        listed, after = rankings.ranked(seen, within, by, measure, most=behind.AT_ONCE, after=after)
        for one, named in zip(listed, _named(listed, by), strict=True):
            yield [*named, *_cells(one.numbers, currency)]
        if after is None:
            return


def _named(listed: list[Standee], by: By) -> Iterator[tuple[str, str]]:
    if by == By.REFERRER:
        people = rankings.people(listed)
        yield from ((people[one.number].name, people[one.number].email) for one in listed)
    else:
        sources = rankings.sources(listed)
        yield from ((sources[one.number].code, sources[one.number].link.label) for one in listed)


def _headings() -> list[str]:
    return [
        gettext("Clicks"), gettext("Invites"), gettext("Friends joined"), gettext("Of these reached the goal"),
        gettext("New customers"), gettext("Orders"), gettext("Value of orders"), gettext("Rewards"),
        gettext("Reward cost"), gettext("Currency"),
    ]  # fmt: skip


def _cells(numbers: Numbers, currency: str) -> list[Cell]:
    return [
        numbers.clicks, numbers.invites, numbers.joined, numbers.reached, numbers.customers, numbers.orders,
        Amount(numbers.orders_minor, currency), numbers.cost, Amount(numbers.cost_minor, currency), currency,
    ]  # fmt: skip


@blueprint.get(f"/reports/lists/<{LISTS}:what>.<any(csv, xlsx):kind>")
@access.needs("read")
def report_list_file(what: str, kind: str) -> ResponseReturnValue:
    """The rows that a number counts, all of them."""
    current, seen = _seen()
    asked = asked_range(seen.today)
    if asked.wrong:
        return redirect(url_for(".report_list", _external=False, what=what, **_as_asked()))
    within, zone, currency = asked.within, seen.zone, current.currency
    columns = [
        gettext("Day"), gettext("Time"), gettext("Referrer"), gettext("Code"), gettext("Friend"), gettext("Order"),
        gettext("State"), gettext("Amount"), gettext("Taken back"), gettext("Currency"),
    ]  # fmt: skip
    found = behind.every(seen, within, What(what), _filter())
    return _file(what, within, kind, columns, (_line(one, zone, currency) for one in found))


def _line(one: Line, zone: str, currency: str) -> Sequence[Cell]:
    local = clock.in_zone(one.at, zone)
    minor = one.reward.amount_minor if one.reward else one.order.amount_minor if one.order else None
    return (
        local.date(), f"{local:%H:%M}", one.referrer.called, one.code,
        one.referral.referee.called if one.referral else "", one.order.external_id if one.order else "",
        one.reward.state if one.reward else "", Amount(minor, currency) if minor is not None else None,
        Amount(one.taken_minor, currency) if one.reward else None, currency if minor is not None else "",
    )  # fmt: skip


def _file(
    name: str, within: Range, kind: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]
) -> ResponseReturnValue:
    """Streamed: the rows are read while they are sent."""
    pieces = sheets.csv_pieces(columns, rows) if kind == "csv" else sheets.xlsx_pieces(name, columns, rows)
    return exports.streamed(pieces, kind=kind, name=f"{name}-{within.first}-{within.last}")
