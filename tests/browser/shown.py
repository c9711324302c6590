"""Pages as they are shown: which there are in which state, how each is opened, and what is looked at.

The pages of the full world are those of the table of routes, so a new page is looked at without a word here.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.conftest import DESCRIPTION
from tests.browser.worlds import Worlds
from tests.factories import PASSWORD
from tests.web.routes import READ

WIDTHS = (1200, 390)

LONG = os.environ.get("PORTAL_TEST_LONG") == "1"
"""Whether pages are looked at in German too; that every sentence of them is German, `tests/web` asks each time."""

NO_PAGES = {
    "public.robots", "public.favicon", "public.healthz", "public.readyz", "assets.show", "metrics.metrics", "dashboard.picture",
    "public.start", "public.follow", "admin.report_file", "admin.report_list_file", "leaving.download",
    "safety.two_step_picture", "signing_in.code", "look.style", "look.image", "account.name_shown",
    "reference.document",
}  # fmt: skip
"""Routes that answer with something else than a page, or lead on to one."""

NOT_EMPTY = {"security.verify", "safety.two_step_page"}
"""Pages that are the same, or not there, where there is nothing yet."""

NO_ROOMS = ("api.", "exports.")


WRONG = ".field-error, .error-summary, .notice-bad"
"""What says that something is wrong."""


@dataclass(frozen=True)
class Shown:
    """One page in one state. `page` and `state` are its name; `act` brings the state about, once it is open."""

    page: str
    state: str
    path: str
    who: str = "anonymous"
    world: str = "full"
    status: int = 200
    language: str = "en-GB"
    act: Callable[[Page], None] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.page} {self.state}".strip()

    @property
    def looks(self) -> list[tuple[str, int]]:
        """The themes and widths to look at it in; another language, which changes no colour, on a phone alone."""
        translated = self.language != Shown.language
        # The theme changes and the width, but one at a time: to lay a page out anew takes longest.
        return [("light", 390)] if translated else [("light", 1200), ("dark", 1200), ("dark", 390), ("light", 390)]


def reader(needs: str) -> str:
    """Who looks at a page that is for these."""
    return {"anyone": "anonymous", "self": "referrer", "alice": "referrer"}.get(needs, "owner")


def everything() -> Iterator[Shown]:
    """Every page in every state."""
    pages = {
        endpoint: (needs, path)
        for endpoint, (needs, path) in READ.items()
        if endpoint not in NO_PAGES and not endpoint.startswith(NO_ROOMS)
    }
    for endpoint, (needs, path) in pages.items():
        yield Shown(endpoint, "full", path, reader(needs))
    for endpoint, (needs, path) in pages.items():
        if needs in ("self", "read", "own") and "{" not in path and endpoint not in NOT_EMPTY:
            yield Shown(endpoint, "empty", path, reader(needs), "empty")
    yield from _friends()
    yield from _errors()
    yield from _signals()
    yield from _of_the_payouts()
    yield from _of_the_program()
    yield from _of_the_friend()
    yield from _at_the_owners()
    yield from _reports()
    for endpoint, (needs, path) in pages.items():
        if LONG and not endpoint.startswith("admin."):
            yield Shown(endpoint, "in German", path, reader(needs), language="de-DE")
    yield Shown("components", "demo", "/dev/components", world="demo")
    yield Shown("mails", "demo", "/dev/mail", world="demo")


def _friends() -> Iterator[Shown]:
    for state in ("expired", "failed", "rejected", "refunded", "joined"):
        yield Shown("dashboard.friend", state, f"/friends/{{{state}_friend}}", "referrer")
    yield Shown("dashboard.payout", "failed", "/payouts/{failed_payout}", "referrer")
    yield Shown("dashboard.home", "unconfirmed", "/dashboard", "unconfirmed")
    yield Shown("dashboard.friends", "past the end", "/friends?before=1", "referrer")
    yield Shown("dashboard.friends", "nobody matches", "/friends?q=nobody", "referrer")
    yield Shown("dashboard.rewards", "past the end", "/rewards?before=1", "referrer")


def _of_the_payouts() -> Iterator[Shown]:
    for tab in ("progress", "paid", "problems"):
        yield Shown("admin.payout_list", tab, f"/admin/payouts?tab={tab}", "owner")
    yield Shown("admin.payout_list", "nothing in progress", "/admin/payouts?tab=progress", "owner", "empty")
    yield Shown("admin.payout_list", "no problems", "/admin/payouts?tab=problems", "owner", "empty")
    for word in ("draft", "ready"):
        yield Shown("admin.batch", word, f"/admin/payouts/{{{word}}}", "owner")
    batch = "/admin/payouts/{exported}"
    yield Shown("admin.batch", "error", batch, "owner", act=_post("/payment", {"paid_on": "2001-01-01"}))
    yield Shown("admin.batch", "line error", batch, "owner", act=_post("/failure", {"failure": ""}))
    yield Shown(
        "admin.results", "error", batch, "owner", act=_post("/results", {"text": "reference,status\nPO-1,paid"})
    )


def _of_the_program() -> Iterator[Shown]:
    for world in ("paused", "ended", "suspended", "capped"):
        for page in ("home", "friends", "rewards", "payout_list"):
            if world == "suspended" or page == "home":
                yield Shown(f"dashboard.{page}", world, READ[f"dashboard.{page}"][1], "referrer", world)
        yield Shown("public.sign_up", world, "/signup?ref={code}", world=world)
    yield Shown("admin.program_history", "wide logo", "/admin/program/history", "owner", "wide logo")
    yield Shown("poster.poster", "paused", "/links/{code}/poster", "referrer", "paused")
    yield Shown("public.home", "not set up", "/", world="not set up")
    yield Shown("public.set_up", "not set up", "/setup/{set_up}", world="not set up")


def _of_the_friend() -> Iterator[Shown]:
    yield Shown("public.sign_up", "without a code", "/signup")
    yield Shown("public.sign_up", "unknown code", "/signup?ref=nobody-has-this")
    yield Shown("public.follow", "unknown code", "/r/nobody-has-this", status=404)
    yield Shown("public.sign_up", "own link", "/signup?ref={code}", "referrer")
    yield Shown("public.sign_up", "already a member", "/signup?ref={code}", "member")
    yield Shown("public.confirm", "link not known", "/confirm/nothing", status=404)
    yield Shown("public.new_password", "link not known", "/reset/nothing", status=404)
    yield Shown("public.check_your_email", "after signing up", "/signup?ref={code}", act=_sign_up)


def _at_the_owners() -> Iterator[Shown]:
    yield Shown("admin.people", "nobody matches", "/admin/people?q=nobody-at-all&show=shut-out", "owner")
    yield Shown("admin.audit_list", "nothing matches", "/admin/audit?who=nobody", "owner")
    yield Shown("admin.person", "shut out", "/admin/people/{shut_out}", "owner")
    yield Shown("admin.referrer", "something is paid", "/admin/referrals/{referral}/referrer", "owner")
    yield Shown("admin.check_import", "checked", "/admin/imports", "owner", act=_check_a_file)
    yield Shown("joining.join", "link not known", "/join/nothing", status=404)
    yield Shown("admin.webhook", "switched off", "/admin/developers/webhooks/{webhook_off}", "owner")
    yield Shown("admin.webhook", "given up", "/admin/developers/webhooks/{webhook_gave_up}?state=given_up", "owner")
    yield Shown("admin.test_conversion", "tried", "/admin/developers/test", "owner", act=_try_an_order)
    for page, path, action, given in (
        ("admin.correction", "/admin/people/{bob}/correction", "/correction", {"amount": "nothing"}),
        ("admin.tier", "/admin/people/{bob}/tier", "/tier", {"note": ""}),
        ("admin.order", "/admin/orders", "/orders", {"amount": "nothing"}),
        ("admin.program", "/admin/program", "/program", {"time_zone": "Mars"}),
        ("admin.refund", "/admin/refunds", "/refunds", {"amount": "nothing"}),
        ("admin.developers", "/admin/developers", "/webhooks", {"url": "nowhere"}),
        ("admin.test_conversion", "/admin/developers/test", "/developers/test", {"amount": "nothing"}),
        ("admin.colleagues", "/admin/colleagues", "/colleagues", {"email": "nobody"}),
        ("admin.imports", "/admin/imports", "/imports", {}),
        ("admin.referrer", "/admin/referrals/{unpaid}/referrer", "/referrer", {"named": "nobody", "note": "So."}),
    ):
        yield Shown(page, "error", path, "owner", act=_post(action, given))


def _try_an_order(page: Page) -> None:
    """Sees what an order of the friend who is filled in would bring."""
    page.get_by_role("button", name="Send a test conversion").click()
    page.get_by_role("heading", name="What would come of it").wait_for()


def _check_a_file(page: Page) -> None:
    """Pastes rows of which one is new and one faulty; nothing is stored."""
    page.locator("[name=kind][value=customers]").check()
    page.get_by_label("Or paste the rows").fill("external_id,email\nC-79,nine@example.com\nC-80,nobody\n")
    page.get_by_role("button", name="Check the file").click()
    page.get_by_role("button", name="Import 1 row").wait_for()


def _signals() -> Iterator[Shown]:
    yield Shown("admin.signals", "read only", "/admin/signals", "reviewer")
    yield Shown(
        "admin.signals", "error", "/admin/signals", "owner", act=_post("/signals/disposable", {"weight": "101"})
    )
    yield Shown("admin.referrals", "by a signal", "/admin/referrals?signal=disposable", "owner")
    yield Shown("admin.referrals", "no such signal", "/admin/referrals?signal=chain", "owner")


def _reports() -> Iterator[Shown]:
    yield Shown("admin.overview", "90 days", "/admin?range=90", "owner")
    yield Shown("admin.reports", "nothing in the range", "/admin/reports?from=2020-01-01&to=2020-01-31", "owner")
    yield Shown("admin.report_cohorts", "by month", "/admin/reports/cohorts?range=365", "owner")
    yield Shown(
        "admin.report_cohorts", "nothing in the range", "/admin/reports/cohorts?from=2020-01-01&to=2020-01-31", "owner"
    )
    yield Shown("admin.reports", "error", "/admin/reports?from=2026-02-30&to=2026-01-01", "owner")
    yield Shown("admin.reports", "years", "/admin/reports?from=2024-01-01&to=2026-12-31", "owner")
    for what in ("clicks", "invites", "orders"):
        yield Shown("admin.report_list", what, f"/admin/reports/lists/{what}?range=90&referrer={{alice}}", "owner")


def _errors() -> Iterator[Shown]:
    yield Shown("error", "403", "/admin", "referrer", status=403)
    yield Shown("error", "404", "/friends/nobody", "referrer", status=404)
    yield Shown("error", "404, not signed in", "/nothing", status=404)
    yield Shown("public.sign_up", "error", "/signup?ref={code}", act=_send("Create account"))
    yield Shown(
        "security.login", "error", "/login", act=_send("Sign in", **{"E-mail": "a@example.com", "Password": "wrong"})
    )
    yield Shown("public.reset", "error", "/reset", act=_send("", **{"E-mail": "not an address"}))
    yield Shown("public.confirm", "error", "/confirm/{confirm}", act=_send("", Password="short"))
    yield Shown("public.ask_again", "error", "/confirm", act=_send("", **{"E-mail": "not an address"}))
    yield Shown("public.new_password", "error", "/reset/{reset}", act=_send("", **{"New password": "short"}))
    yield Shown("public.set_up", "error", "/setup/{set_up}", world="not set up", act=_send(""))
    yield Shown("security.verify", "error", "/verify", "referrer", act=_send("", Password="wrong"))
    password = {"password-current": "wrong", "password-password": "quite another password"}
    yield Shown("safety.page", "error", "/account/security", "referrer", act=_post("/account/password", password))
    yield Shown("safety.page", "two-step on", "/account/security", "two-step")
    yield Shown(
        "safety.two_step_page", "error", "/account/two-step", "referrer", act=_post("/two-step/code", {"code": "1"})
    )
    yield Shown("safety.new_codes", "shown once", "/account/security", "two-step", act=_new_codes)
    yield Shown("safety.moving", "link not known", "/address/nothing", status=404)
    yield Shown("signing_in.code", "asked for", "/login", act=_sign_in_with_two_step)
    yield Shown(
        "leaving.page", "error", "/account/data", "two-step", act=_post("/account/deletion", {"current": "wrong"})
    )
    yield Shown("dashboard.payout_list", "error", "/payouts", "referrer", act=_bank_without_account)
    for page, path, action, given in (
        ("account.account", "/account", "/account/code", {"code": "not a code!"}),
        ("dashboard.home", "/dashboard", "/invites", {"addresses": ""}),
        ("dashboard.friend", "/friends/{rejected_friend}", "/appeal", {"text": ""}),
        ("sharing.invite_list", "/invites", "/invites", {"addresses": ""}),
        ("sharing.link_list", "/links", "/links", {"code": "not a code!", "destination": "nowhere"}),
        ("sharing.edit", "/links/{link}/edit", "/code", {"code": "not a code!"}),
        ("sharing.test", "/links/{code}/test", "/test", {}),
    ):
        yield Shown(page, "error", path, "referrer", act=_post(action, given))
    yield Shown("dashboard.home", "claim error", "/dashboard", "referrer", "empty", act=_post("/claims", {"named": ""}))


def _new_codes(page: Page) -> None:
    """Has ten new recovery codes made."""
    page.get_by_text("Make new recovery codes").click()
    page.locator("[name=codes-current]").fill(PASSWORD)
    page.get_by_role("button", name="Make ten new codes").click()
    page.get_by_role("heading", name="Your recovery codes").wait_for()


def _sign_in_with_two_step(page: Page) -> None:
    """Gives the right password of somebody who has two-step on."""
    page.get_by_label("E-mail", exact=True).fill("tess@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", name="Your code").wait_for()


def _send(button: str, **given: str) -> Callable[[Page], None]:
    """Fills in fields by their labels and presses a button of the main part: the first one, if it has no name."""

    def act(page: Page) -> None:
        main = page.get_by_role("main")
        for label, text in given.items():
            main.get_by_label(label, exact=True).fill(text)
        buttons = main.get_by_role("button", name=button, exact=True) if button else main.locator("[type=submit]")
        buttons.first.click()
        page.locator(WRONG).first.wait_for()

    return act


def _sign_up(page: Page) -> None:
    main = page.get_by_role("main")
    main.get_by_label("E-mail").fill("bob@example.com")  # has an account already: nothing changes but a mail
    main.get_by_label("Password", exact=True).fill("a password of the tests")
    main.get_by_label("I accept").check()
    main.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/check-your-email")


def _bank_without_account(page: Page) -> None:
    page.get_by_label("Bank transfer").check()
    _send("Save how I am paid", **{"IBAN": "DE00"})(page)


def _post(action: str, given: dict[str, str]) -> Callable[[Page], None]:
    """Fills in fields by their names and sends the form that goes to an address that ends so."""

    def act(page: Page) -> None:
        form = page.locator(f"main form[method=post][action$='{action}']").first
        form.evaluate("form => form.closest('details')?.setAttribute('open', '')")
        for name, text in given.items():
            form.locator(f"[name={name}]").fill(text)
        form.locator("[type=submit]").first.click()
        page.locator(WRONG).first.wait_for()

    return act


class Window:
    """Opens pages in one browser, with a profile of its own for each person of each world."""

    def __init__(self, browser: Browser, worlds: Worlds) -> None:
        self.browser, self.worlds = browser, worlds
        self.page: Page
        self.address = ""
        self.asked: list[str] = []
        """The addresses that the page asked for since it was opened."""
        self.seen: list[str] = []
        """What was looked at, by place and look (see `test_pages.MARK_ALIKE`)."""
        self._contexts: dict[tuple[str, str, str], BrowserContext] = {}

    def context(self, who: str, name: str, language: str = "en-GB") -> BrowserContext:
        """The profile of somebody in a world, who reads a language."""
        world, key = self.worlds[name], (who, name, language)
        if key not in self._contexts:
            made = self.browser.new_context(
                base_url=world.address, locale=language, user_agent=DESCRIPTION, reduced_motion="reduce",
                viewport={"width": WIDTHS[0], "height": 800},
            )  # fmt: skip
            made.set_default_timeout(10_000)
            if who != "anonymous":
                made.add_cookies(
                    [{"name": "session", "value": world.cookie(world.things.emails[who]), "url": world.address}]
                )
            made.on("request", lambda request: self.asked.append(request.url))
            self._contexts[key] = made
        return self._contexts[key]

    @contextmanager
    def opened(self, shown: Shown) -> Iterator[Page]:
        """A page in its state, light and wide; what it asked for on the way stands in `asked`."""
        world = self.worlds[shown.world]
        context = self.context(shown.who, shown.world, shown.language)
        page = self.page = context.pages[0] if context.pages else context.new_page()
        self.address = world.address
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.set_viewport_size({"width": WIDTHS[0], "height": 800})
        self.asked.clear()
        answer = page.goto(world.things.fill(shown.path))
        assert answer is not None and answer.status == shown.status, f"{shown}: {answer and answer.status}"
        assert answer.headers["content-type"].startswith("text/html"), f"{shown} is no page: say so in NO_PAGES"
        if shown.act is not None:
            shown.act(page)
        yield page

    def close(self) -> None:
        for context in self._contexts.values():
            context.close()
