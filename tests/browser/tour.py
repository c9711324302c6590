"""The tour: makes docs/tour.md and its pictures, of the pages that referrers, friends and colleagues see.

    python tests/browser/tour.py [name ...]

From the demo's sample data, at one moment and with the same codes each time, so that a picture changes only when its
page does. A picture shows the first 1600 pixels of a page.
"""

import io
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import sqlalchemy as sa  # noqa: E402
import time_machine  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

from portal import create_app, demo, sweeps  # noqa: E402
from portal.accounts import one_time, users  # noqa: E402
from portal.accounts.one_time import Purpose  # noqa: E402
from portal.core import database, text  # noqa: E402
from portal.delivery import letters, mail, stops  # noqa: E402
from portal.delivery.outbox import Letter  # noqa: E402
from portal.notices import examples  # noqa: E402
from portal.notices.writing import Office  # noqa: E402
from portal.payouts.methods import Details  # noqa: E402
from portal.payouts.payouts import Batch, Payout  # noqa: E402
from portal.referrals import referrals  # noqa: E402
from portal.rewards.rewards import Reward, State  # noqa: E402
from portal.rewards.signals import Signal  # noqa: E402
from portal.sharing.invites import Invite  # noqa: E402
from tests.browser.conftest import CHROMIUM, DESCRIPTION  # noqa: E402
from tests.browser.worlds import World, serve, unused_port  # noqa: E402
from tests.conftest import close, make_schema, make_settings  # noqa: E402
from tests.web.routes import Things  # noqa: E402

MOMENT = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
ADDRESS = "http://friends.example.com"
FOLDER = ROOT / "docs" / "tour"
LETTER_LOOKS = [("light", 640), ("dark", 390)]
LOOKS = [(theme, width) for width in (1200, 390) for theme in ("light", "dark")]
TALLEST = 1600
EXACT = 96
ALICE, NORA, UNA = "alice@demo.example.com", "nora@demo.example.net", "una@demo.example.net"
FINN, RITA, OLIVIA = "finn@demo.example.com", "rita@demo.example.com", "olivia@demo.example.com"


@dataclass(frozen=True)
class Stop:
    """A page of the tour. `name` is that of its pictures; `act` is done on the page before they are taken."""

    name: str
    title: str
    text: str
    path: str
    who: str = ""
    act: Callable[[Page], None] | None = None


def _nothing_filled_in(page: Page) -> None:
    page.get_by_role("main").get_by_role("button", name="Create account").click()
    page.locator(".error-summary").wait_for()


def _signed_up(page: Page) -> None:
    main = page.get_by_role("main")
    main.get_by_label("E-mail").fill("bob@demo.example.net")  # is there already: nothing changes
    main.get_by_label("Password", exact=True).fill(demo.PASSWORD)
    main.get_by_label("I accept").check()
    main.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/check-your-email")


def _tried(page: Page) -> None:
    page.get_by_role("main").get_by_role("button", name="Send a test conversion").click()
    page.wait_for_load_state()


STOPS = [
    ("The referrer", [
        Stop("dashboard", "Home", "The link, its QR code, the credits and the invite form first; then one next step, the numbers and the friends.", "/dashboard", ALICE),
        Stop("dashboard-empty", "Home, on the first day", "Nothing has happened yet: what to do, and nothing else.", "/dashboard", NORA),
        Stop("friends", "Friends", "Where each friend stands, what is still missing, and until when.", "/friends", ALICE),
        Stop("friends-empty", "Friends, before the first one", "What the list is for, and what to do.", "/friends", NORA),
        Stop("friend", "One friend", "Everything that happened, how the reward was computed, under which terms.", "/friends/{dev}", ALICE),
        Stop("friend-rejected", "A friend who did not count", "The reason in words, and a way to ask once more.", "/friends/{gus}", ALICE),
        Stop("invites", "Invites", "Who was invited, and what became of it.", "/invites", ALICE),
        Stop("links", "Links", "A link for each place where one shares it.", "/links", ALICE),
        Stop("poster", "Poster", "A link on a sheet of paper.", "/links/ALICE-7K/poster", ALICE),
        Stop("test", "Test my link", "The friend’s page as the owner of the link tries it; nothing is counted.", "/links/ALICE-7K/test", ALICE),
        Stop("rewards", "Rewards", "Every reward with its computation, and why it waits.", "/rewards", ALICE),
        Stop("payouts", "Payouts", "What was paid, and how one is paid.", "/payouts", ALICE),
        Stop("payout", "One payout", "Lines that add up.", "/payouts/{payout}", ALICE),
        Stop("account", "Account", "Name, language, time zone, mails, code.", "/account", ALICE),
        Stop("account-security", "Sign-in and security", "Address, password, two-step, passkeys, devices.", "/account/security", ALICE),
        Stop("account-data", "One’s own data", "A file of everything, and what deleting the account takes and leaves.", "/account/data", ALICE),
    ]),
    ("The friend", [
        Stop("sign-up", "The friend’s page", "Who gives what under which condition, and the form.", "/signup?ref=ALICE-7K"),
        Stop("sign-up-error", "The form, sent empty", "Each error beside its field, and all of them at the top.", "/signup?ref=ALICE-7K", act=_nothing_filled_in),
        Stop("sign-up-unknown-code", "A code that nobody has", "One can look at the code again, or join without it.", "/signup?ref=ALICE-7X"),
        Stop("link-unknown", "A link that leads nowhere", "A field for the right code.", "/r/ALICE-7X"),
        Stop("sign-up-own-link", "One’s own link", "Whoever opens their own link is told so.", "/signup?ref=ALICE-7K", ALICE),
        Stop("sign-up-member", "Already a member", "The gift is for new people; one’s own link is a click away.", "/signup?ref=ALICE-7K", NORA),
        Stop("check-your-email", "Check your e-mail", "The same whether the address was known or not.", "/signup?ref=ALICE-7K", act=_signed_up),
        Stop("confirm", "The mailed link", "A button: looking at the page does nothing.", "/confirm/{confirm}"),
        Stop("welcome", "Welcome", "The gift in the words of its state, and a link of one’s own.", "/welcome", "ivo@demo.example.net"),
        Stop("login", "Sign in", "One answer for every cause of failure.", "/login"),
        Stop("reset", "A new password", "", "/reset"),
        Stop("unsubscribe", "No more mails", "What the link at the end of an invite leads to: one button each.", "/unsubscribe/{stop}"),
        Stop("home", "The front page", "", "/"),
        Stop("terms", "Terms", "The rules in the words of the program’s settings.", "/terms"),
    ]),
    ("The admin’s desk", [
        Stop("overview", "Overview", "What needs attention, and the numbers of the last days.", "/admin", OLIVIA),
        Stop("queue", "The queue", "Pending rewards with what speaks for and against each.", "/admin/rewards", RITA),
        Stop("queue-check", "The queue, filtered", "What should be looked at twice, the largest first; the filters stand in the address.", "/admin/rewards?assessment=check&order=largest", RITA),
        Stop("clear", "Approve all Clear", "How many and how much, before it acts.", "/admin/rewards/clear", RITA),
        Stop("referral", "One referral", "The whole evidence: why this referrer, the signals, the computation, what happened.", "/admin/referrals/{flagged}", RITA),
        Stop("signals", "Signals", "What is looked for, with which weight, and how often it was right.", "/admin/signals", OLIVIA),
        Stop("people", "People", "Found by name, address or any code they have or had.", "/admin/people", OLIVIA),
        Stop("person", "One person", "What they brought and earned, and what may be done about them.", "/admin/people/{alice}", OLIVIA),
        Stop("colleagues", "Colleagues", "Who may do what, and who is invited.", "/admin/colleagues", OLIVIA),
        Stop("imports", "A file", "Checked by doing it and taking it back, before it acts.", "/admin/imports", OLIVIA),
        Stop("audit", "The audit list", "Who did what, when, and why.", "/admin/audit", OLIVIA),
        Stop("outbox", "Outbox", "Every mail and what became of it.", "/admin/outbox", OLIVIA),
        Stop("mails", "Wording of mails", "Which mails there are, and which have words of one’s own.", "/admin/mails", OLIVIA),
        Stop("mail-wording", "One mail’s wording", "Named places, a preview, a test to oneself, and the way back.", "/admin/mails/invite/en", OLIVIA),
    ]),
    ("The owner", [
        Stop("program", "The program", "Its settings in sections, with how it will look beside them.", "/admin/program", OLIVIA),
        Stop("program-history", "Its history", "Every version with its author and what it changed.", "/admin/program/history", OLIVIA),
        Stop("developers", "Developers", "Keys, webhooks, and a first call.", "/admin/developers", OLIVIA),
        Stop("developers-test", "A test conversion", "What the API would make of an order; nothing is kept.", "/admin/developers/test", OLIVIA, act=_tried),
        Stop("developers-health", "System health", "As the probes of a server see it.", "/admin/developers/health", OLIVIA),
        Stop("api", "The API", "Every call with its fields and answers, from the document that machines read.", "/api/docs"),
    ]),
    ("Reports", [
        Stop("reports", "Performance", "A range and the one before; every number leads to the rows behind it.", "/admin/reports?range=90", OLIVIA),
        Stop("reports-referrers", "Referrers", "Who brought most.", "/admin/reports/referrers?range=90", OLIVIA),
        Stop("reports-links", "Links", "Which links brought most.", "/admin/reports/links?range=90", OLIVIA),
        Stop("reports-cohorts", "Cohorts", "How soon friends reach the goal, by when they joined.", "/admin/reports/cohorts?range=90", OLIVIA),
        Stop("reports-money", "Money", "What is owed, and what was paid.", "/admin/reports/money?range=90", OLIVIA),
        Stop("reports-list", "The rows behind a number", "Also as CSV and XLSX.", "/admin/reports/lists/orders?range=90", OLIVIA),
    ]),
    ("Finance", [
        Stop("payouts-ready", "Who is ready", "All or some go into a batch; who does not, and why.", "/admin/payouts", FINN),
        Stop("payouts-progress", "In progress", "Drafts, approved batches, and those whose file is out.", "/admin/payouts?tab=progress", FINN),
        Stop("payouts-paid", "Paid", "Batches that are done.", "/admin/payouts?tab=paid", FINN),
        Stop("payouts-problems", "Problems", "What came back, why, and whether it was tried again.", "/admin/payouts?tab=problems", FINN),
        Stop("batch-draft", "A draft", "Above the limit a second person approves it.", "/admin/payouts/{draft}", FINN),
        Stop("batch-exported", "A batch on its way", "Its files, paid or failed by line, and the bank’s answer.", "/admin/payouts/{exported}", FINN),
        Stop("batch-partly-paid", "A batch that was partly paid", "Who did what when.", "/admin/payouts/{partly_paid}", FINN),
    ]),
]  # fmt: skip


@contextmanager
def portal() -> Iterator[tuple[World, int]]:
    """The demo's portal at the moment of the tour, with Nora, who is new, and Una, who has not confirmed."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), unused_port()
        settings = make_settings(folder, f"sqlite:///{folder / 'portal.db'}", port=port, base_url=ADDRESS)
        make_schema(settings)
        app = create_app(settings)
        things = Things(MOMENT - timedelta(hours=1))
        with app.app_context():
            tell = demo.fill(at=MOMENT, keep=Details(settings.details_key))
            _newcomers(things, tell)
            _words(things)
            sweeps.send_mail(mail.Files(folder / "mail"), sender="friends@example.com", base_url=ADDRESS)
            close(app)
        stop = serve(app, port)
        try:
            yield World(app, ADDRESS, things, stop), port
        finally:
            stop()


def _newcomers(things: Things, tell: demo.Storyteller) -> None:
    at = tell.moment(0.1)
    with database.writing():
        tell.sign_up("Nora Lund", NORA, at, seen=users.NOWHERE)
        tell.confirm("Nora Lund", at)
        una = tell.sign_up("Una", UNA, at, seen=users.NOWHERE, carried="ALICE-7K")
        things.words["confirm"] = one_time.make(Purpose.CONFIRM, una.id, password=tell.password, at=at)


def _words(things: Things) -> None:
    for name in ("dev", "gus"):
        friend = users.find_by_email(f"{name}@demo.example.net")
        assert friend is not None
        referral = referrals.of_referee(friend.id)
        assert referral is not None
        things.words[name] = referral.public_id
    alice = users.find_by_email(ALICE)
    assert alice is not None
    mine = database.session.query(Payout).filter_by(user_id=alice.id).order_by(Payout.id)
    things.words["payout"] = mine.all()[-1].public_id
    things.words |= {batch.state: batch.public_id for batch in database.session.query(Batch).order_by(Batch.id)}
    things.words["alice"] = alice.public_id
    invited = database.session.query(Invite).filter_by(owner_id=alice.id).order_by(Invite.id.desc()).first()
    assert invited is not None
    things.words["stop"] = stops.token(Office.hash_key, "invite", invited.public_id)
    heaviest = sa.select(Signal.referral_id).join(Reward, Reward.referral_id == Signal.referral_id)
    heaviest = heaviest.where(Reward.state == State.PENDING).group_by(Signal.referral_id)
    number = database.session.scalars(heaviest.order_by(sa.func.sum(Signal.weight).desc()).limit(1)).one()
    things.words["flagged"] = database.session.get_one(referrals.Referral, number).public_id
    things.emails = {who: who for who in (ALICE, NORA, FINN, RITA, OLIVIA, "ivo@demo.example.net")}


def _letters(world: World) -> dict[str, Letter]:
    """Each kind of mail to Alice, as an example."""
    with world.app.app_context():
        alice = users.find_by_email(ALICE)
        assert alice is not None
        return {kind: examples.example(kind, alice, "en", at=MOMENT) for kind in examples.EXAMPLES}


def take(browser: Browser, world: World, stop: Stop) -> None:
    """The four pictures of one stop."""
    context = browser.new_context(
        base_url=ADDRESS, locale="en-GB", user_agent=DESCRIPTION, device_scale_factor=1, reduced_motion="reduce"
    )
    if stop.who:
        context.add_cookies([{"name": "session", "value": world.cookie(stop.who), "url": ADDRESS}])
    page = context.new_page()
    page.set_viewport_size({"width": LOOKS[0][1], "height": 900})
    page.goto(world.things.fill(stop.path), wait_until="networkidle")
    if stop.act is not None:
        stop.act(page)
        page.wait_for_load_state("networkidle")
    for theme, width in LOOKS:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900 if width > 600 else 844})
        page.evaluate("() => document.fonts.ready")
        height = min(TALLEST, page.evaluate("() => document.documentElement.scrollHeight"))
        page.set_viewport_size({"width": width, "height": height})  # the bar for thumbs stands at the end
        _keep(page.screenshot(animations="disabled"), FOLDER / f"{stop.name}-{theme}-{width}.png")
    context.close()


def take_letter(browser: Browser, letter: Letter, name: str) -> None:
    """The pictures of one mail, as a mail program shows its HTML."""
    html = letters.as_html(
        letter.text, title=letter.subject, sender="Fernhill Coffee", language="en", own=f"{ADDRESS}/"
    )
    page = browser.new_page()
    for theme, width in LETTER_LOOKS:
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 400})
        page.set_content(html)
        _keep(page.screenshot(full_page=True), FOLDER / f"mail-{name}-{theme}-{width}.png")
    page.close()


def _keep(picture: bytes, path: Path) -> None:
    """Writes a picture with a palette of 256: the commonest colours as they are, so that no ground or dot changes,
    and the others, of gradients and letters, by their nearest of what is left."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    colours = [colour for _, colour in sorted(image.getcolors(image.width * image.height), reverse=True)]
    exact, others = colours[:EXACT], colours[EXACT:]
    palette = [channel for colour in exact for channel in colour]
    if others:
        strip = Image.new("RGB", (len(others), 1))
        strip.putdata(others)
        nearest = strip.quantize(256 - EXACT, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        palette += nearest.getpalette()[: 3 * (256 - EXACT)]
    chosen = Image.new("P", (1, 1))
    chosen.putpalette(palette)
    image.quantize(palette=chosen, dither=Image.Dither.NONE).save(path, optimize=True)


def page_of_the_tour(subjects: dict[str, str]) -> str:
    """docs/tour.md. `subjects`: of each kind of mail."""
    lines = [
        "# The tour",
        "",
        "The pages that referrers, friends and colleagues see, light and dark, on a desktop and on a phone. Made by",
        "`python tests/browser/tour.py` from the demo's sample data; pictures end after 1600 pixels.",
    ]
    for part, pages in STOPS:
        lines += ["", f"## {part}"]
        for stop in pages:
            shown = [
                f'<img src="tour/{stop.name}-{theme}-{width}.png" width="{320 if width > 600 else 140}" '
                f'alt="{stop.title}, {theme}, {width} pixels wide">'
                for theme, width in LOOKS
            ]
            lines += ["", f"### {stop.title}", "", *([stop.text, ""] if stop.text else []), *shown]
    lines += ["", "## The mails", "", "Of invented facts, in the words that come with the portal."]
    for kind, subject in subjects.items():
        shown = [
            f'<img src="tour/mail-{kind}-{theme}-{width}.png" width="{320 if width > 600 else 195}" '
            f'alt="{subject}, {theme}, {width} pixels wide">'
            for theme, width in LETTER_LOOKS
        ]
        lines += ["", f"### {subject}", "", *shown]
    return "\n".join(lines) + "\n"


def main() -> None:
    wanted = sys.argv[1:]
    if not wanted:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(exist_ok=True)
    chosen = mock.patch.object(text, "_CHANCE", random.Random(2026))  # the same codes each time
    with time_machine.travel(MOMENT, tick=False), chosen, sync_playwright() as playwright, portal() as (world, port):
        arguments = [
            "--no-sandbox",
            "--disable-gpu",
            f"--host-resolver-rules=MAP friends.example.com:80 127.0.0.1:{port}",
        ]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        for _part, pages in STOPS:
            for stop in pages:
                if not wanted or stop.name in wanted:
                    take(browser, world, stop)
                    print(stop.name, flush=True)
        written = _letters(world)
        for kind, letter in written.items():
            if not wanted or f"mail-{kind}" in wanted:
                take_letter(browser, letter, kind)
                print(f"mail-{kind}", flush=True)
        browser.close()
    (ROOT / "docs" / "tour.md").write_text(
        page_of_the_tour({kind: letter.subject for kind, letter in written.items()}), encoding="utf-8"
    )
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    print(f"{len(list(FOLDER.iterdir()))} pictures, {size / 1e6:.1f} MB, in {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
