"""Every page in every state, looked at in a browser: by axe in both themes and widths, by keyboard, large, narrow."""

import random
import time
from collections.abc import Iterator

import pytest
import time_machine
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from portal.core.text import CODE_ALPHABET
from tests.browser import worlds as worlds_
from tests.browser.shown import WIDTHS, Shown, Window, everything
from tests.browser.worlds import World, Worlds
from tests.factories import PASSWORD

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

ALL_RULES = {"runOnly": TAGS, "resultTypes": ["violations"], "preload": False}

RULES_OF_COLOUR = {**ALL_RULES, "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
"""Those of them that look at colours."""

AXE = Axe().axe_script

MARK_ALIKE = """(before) => {
  const silent = new Set(['id', 'href', 'name', 'for', 'value', 'action', 'datetime', 'title',
    'aria-label', 'aria-labelledby', 'aria-describedby', 'aria-controls', 'data-label']);
  const own = (one) => {
    const said = [...one.attributes].filter((it) => !silent.has(it.name)).map((it) => `${it.name}=${it.value}`);
    const beside = [one.previousElementSibling, one.nextElementSibling];
    const text = [...one.childNodes].some((it) => it.nodeType === Node.TEXT_NODE && it.data.trim());
    return [one.tagName, ...said, text, ...beside.map((it) => it && it.tagName + it.className)].join();
  };
  const short = (text) => {  // 106 bits of a text: two different ones that come out the same are not to be feared
    let a = 0xdeadbeef, b = 0x41c6ce57;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      a = Math.imul(a ^ code, 2654435761);
      b = Math.imul(b ^ code, 1597334677);
    }
    return (a >>> 0).toString(36) + (b >>> 0).toString(36);
  };
  const alone = new Map(), whole = new Map(), seen = new Set(before), fresh = [];
  const read = (one) => {
    const inside = [...one.children].map(read);
    alone.set(one, short(own(one)));
    whole.set(one, short(`${alone.get(one)}(${inside})`));
    return whole.get(one);
  };
  const walk = (one, above) => {
    const place = short(`${above} ${whole.get(one)}`);
    if (seen.has(place)) return one.setAttribute('data-alike', '');
    seen.add(place);
    fresh.push(place);
    const here = short(`${above}>${alone.get(one)}`);
    for (const child of one.children) walk(child, here);
  };
  const styles = [...document.querySelectorAll('link[rel=stylesheet], style')];
  read(document.body);
  walk(document.body, styles.map((it) => it.getAttribute('href') || it.textContent) + own(document.documentElement));
  return fresh;
}"""
"""Marks what stands in the same place and looks the same as something before it, as the rows of a list do, or as the
header does on every page: same tags, same attributes that a style could ask for, same neighbours, all the way up and
down. Takes what was seen on other pages of the same styles, and gives what is new on this one."""

BUDGET = 100 * 1024
"""Bytes of styles, script and font on a first visit, as they are sent."""


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with worlds_.opened(tmp_path_factory.mktemp("worlds")) as made:
        yield made


@pytest.fixture(scope="session")
def full(worlds: Worlds) -> World:
    return worlds["full"]


@pytest.fixture(scope="module", autouse=True)
def clock(full: World) -> Iterator[None]:
    """The moment at which the worlds stand."""
    with time_machine.travel(full.things.at):
        yield


@pytest.fixture(scope="module")
def window(browser: Browser, worlds: Worlds) -> Iterator[Window]:
    made = Window(browser, worlds)
    yield made
    made.close()


@pytest.fixture(scope="module", params=everything(), ids=str)
def shown(request: pytest.FixtureRequest, window: Window, clock: None) -> Iterator[Shown]:
    """A page in a state, open in the window; it is opened once for all tests that look at it."""
    with window.opened(request.param):
        yield request.param


def test_axe_finds_nothing_in_any_look(shown: Shown, window: Window, record_property) -> None:
    """The page is not loaded again between its looks. In the dark only colours are another: its rules are fewer. The
    first look is at everything; what was alike then is alike in the other themes and widths, so one of each will do, be
    it on another page."""
    page = window.page
    page.evaluate(AXE)
    found = []
    for number, (theme, width) in enumerate(shown.looks):
        if number == 1:
            window.seen += page.evaluate(MARK_ALIKE, window.seen)
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        rules = ALL_RULES if theme == "light" else RULES_OF_COLOUR
        where = {"exclude": [["[data-alike]"]]} if number else {"include": [["html"]]}
        for one in page.evaluate("([where, rules]) => axe.run(where, rules)", [where, rules])["violations"]:
            nodes = [f"{node['html'][:160]} ({node['failureSummary']})" for node in one["nodes"]]
            found += [f"{theme} {width}: {one['id']}: {node}" for node in nodes]
    record_property("looks", len(shown.looks))
    record_property("found", len(found))
    assert not found, "\n".join([str(shown), *found])


def test_the_table_of_cohorts_is_not_cut_in_german_either(window: Window) -> None:
    page = window.context("owner", "full", "de-DE").new_page()
    page.goto("/admin/reports/cohorts?range=90")
    wrap = page.locator(".table-wrap")
    expect(wrap).to_contain_text("Innerhalb von 60 Tagen")
    assert wrap.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    page.close()


def test_a_page_bends_and_does_not_break(shown: Shown, window: Window) -> None:
    """The first tab stop leads past the header; nothing scrolls sideways; large letters and calm people are served."""
    page = window.page
    found = [
        *(f"asked for {address}" for address in window.asked if not address.startswith((window.address, "data:"))),
        *first_tab_stop(page),
        *sideways(page),
        *motion(page),
        *large_text(page),
    ]
    assert not found, "\n".join([str(shown), *found])


def first_tab_stop(page: Page) -> Iterator[str]:
    page.evaluate("() => { document.activeElement?.blur(); window.getSelection().removeAllRanges(); }")
    fresh = page.evaluate("() => document.querySelector('[data-focus-first]') === null && !location.hash")
    if not fresh:  # what was said after a post has the focus; the order of the stops is the same
        yield from (
            []
            if page.evaluate("() => document.body.querySelector('a, button, input') .matches('.skip-link')")
            else ["no skip link"]
        )
        return
    page.keyboard.press("Tab")
    if not page.evaluate("() => document.activeElement.matches('a.skip-link[href=\"#main\"]')"):
        yield f"the first tab stop is {page.evaluate('() => document.activeElement.outerHTML.slice(0, 200)')}"
    elif not page.locator(".skip-link").is_visible():
        yield "the skip link is not seen when it has the focus"


OVERFLOWING = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  return [...document.querySelectorAll('main *, header *, footer *')]
    .filter((one) => one.getBoundingClientRect().right > root.clientWidth + 1)
    .map((one) => one.outerHTML.slice(0, 120)).slice(-3);
}"""


def sideways(page: Page, *widths: int) -> Iterator[str]:
    for width in widths or (1200, 320):
        page.set_viewport_size({"width": width, "height": 800})
        if page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            yield f"scrolls sideways at {width}: {page.evaluate(OVERFLOWING)}"


SLOW = """() => [...document.querySelectorAll('*')].flatMap((one) => ['', '::before', '::after'].flatMap((part) => {
  const style = getComputedStyle(one, part || null);
  const longest = Math.max(...[style.transitionDuration, style.animationDuration]
    .flatMap((text) => text.split(',')).map((text) => parseFloat(text) * (text.trim().endsWith('ms') ? 1 : 1000)));
  return longest > 10 ? [one.outerHTML.slice(0, 100) + part + ' takes ' + longest + ' ms'] : [];
})).slice(0, 3)"""


def motion(page: Page) -> Iterator[str]:
    """With reduced motion no transition or animation is longer than 0.01 s."""
    yield from page.evaluate(SLOW)


CUT = """() => [...document.querySelectorAll('main *, header *, footer *')].filter((one) => {
  const style = getComputedStyle(one);
  if (!one.textContent.trim() || one.closest('.visually-hidden, .skip-link, thead, option, svg')) return false;
  if (style.display === 'none' || style.overflow === 'visible' || !one.getClientRects().length) return false;
  if (['auto', 'scroll'].includes(style.overflowX)) return false;
  return one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1;
}).map((one) => one.outerHTML.slice(0, 120)).slice(0, 3)"""


def large_text(page: Page) -> Iterator[str]:
    """Text at 200 % in a window of 640: nothing is cut off, nothing scrolls sideways."""
    page.evaluate("() => { document.documentElement.style.fontSize = '200%'; }")
    yield from (f"at 200 %: {one}" for one in sideways(page, 640))
    yield from (f"at 200 % is cut off: {one}" for one in page.evaluate(CUT))


@pytest.mark.parametrize("path", ["/signup?ref={code}", "/dashboard"])
def test_a_first_visit_needs_at_most_100_kb_of_styles_script_and_font(path: str, browser: Browser, full) -> None:
    window = Window(browser, {"full": full})  # type: ignore[arg-type]
    context = window.context("referrer" if path == "/dashboard" else "anonymous", "full")
    sent: dict[str, int] = {}

    def note(request) -> None:
        if request.resource_type in ("stylesheet", "script", "font"):
            sent[request.url] = request.sizes()["responseBodySize"]

    page = context.new_page()
    page.on("requestfinished", note)
    page.goto(full.things.fill(path), wait_until="networkidle")
    window.close()
    assert any("woff2" in url for url in sent) and any("portal.css" in url for url in sent)
    assert sum(sent.values()) <= BUDGET, sent


SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => { for (const one of list.getEntries()) window.shifted += one.value; })
    .observe({ type: 'layout-shift', buffered: true });
}"""


@pytest.mark.parametrize("path", ["/signup?ref={code}", "/dashboard", "/friends", "/payouts"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_moves_when_the_font_arrives(path: str, width: int, browser: Browser, full) -> None:
    window = Window(browser, {"full": full})  # type: ignore[arg-type]
    context = window.context("anonymous" if "signup" in path else "referrer", "full")
    context.add_init_script(f"({SHIFTS})()")

    def late(route) -> None:
        time.sleep(0.5)
        route.continue_()

    context.route("**/*.woff2", late)
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(full.things.fill(path), wait_until="networkidle")
    page.evaluate("() => document.fonts.ready")
    assert page.evaluate("() => document.fonts.check('16px Inter')")
    page.wait_for_timeout(100)
    shifted = page.evaluate("() => window.shifted")
    window.close()
    assert shifted < 0.01


HEIGHTS = """([code, others]) => {
  const texts = [...document.querySelectorAll('main *')].flatMap((one) => [...one.childNodes])
    .filter((one) => one.nodeType === Node.TEXT_NODE && one.nodeValue.includes(code));
  const said = texts.map((one) => one.nodeValue);
  return [texts.length, others.map((other) => {
    texts.forEach((one, place) => { one.nodeValue = said[place].replaceAll(code, other); });
    return document.documentElement.scrollHeight;
  })];
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_whatever_code_is_drawn_the_page_is_as_high_before_the_font_arrives(width: int, browser: Browser, full) -> None:
    """A line that fits by a hair's breadth in one font and not in the other moves all that is below it."""
    drawn = random.Random(5)
    codes = ["".join(drawn.choice(CODE_ALPHABET) for _ in range(9)) for _ in range(200)]
    code, found = full.things.fill("{code}"), []
    for stop in (False, True):
        window = Window(browser, {"full": full})  # type: ignore[arg-type]
        context = window.context("referrer", "full")
        if stop:
            context.route("**/*.woff2", lambda route: route.abort())
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 800})
        page.goto("/dashboard", wait_until="networkidle")
        page.evaluate("() => document.fonts.ready")
        found.append(page.evaluate(HEIGHTS, [code, codes]))
        window.close()
    (many, arrived), (_, before) = found
    assert many, "the code stands on the page"
    assert [one for one, late, early in zip(codes, arrived, before, strict=True) if late != early] == []


def test_signing_in_and_going_through_by_keyboard_alone(browser: Browser, worlds: Worlds) -> None:
    """Sign-in, dashboard, copy the link, friends, one friend, payouts, say how one is paid: Tab, Enter and Space."""
    world = worlds["by keyboard"]
    window = Window(browser, worlds)
    context = window.context("anonymous", "by keyboard")
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=world.address)
    page = context.new_page()
    page.goto("/login")
    tab_to(page, "input[type=email]")
    page.keyboard.type("alice@example.com")
    tab_to(page, "input[type=password]")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard")
    tab_to(page, "button[data-copy-field=link]")
    page.keyboard.press("Space")
    expect(page.locator(".copy-said").first).to_contain_text("Copied")
    assert page.evaluate("() => navigator.clipboard.readText()") == f"{world.address}/r/{world.things.words['code']}"
    page.reload()
    follow(page, "header nav a[href='/friends']", "**/friends")
    follow(page, "main a[href^='/friends/']", "**/friends/*")
    page.go_back()
    follow(page, "header nav a[href='/rewards']", "**/rewards")
    follow(page, "main a[href='/payouts']", "**/payouts")
    tab_to(page, "input[name=kind]")
    page.keyboard.press("Space")
    tab_to(page, "main form button[type=submit]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_contain_text("At the moment: Shop credit")
    window.close()


def follow(page: Page, selector: str, where: str) -> None:
    tab_to(page, selector)
    page.keyboard.press("Enter")
    page.wait_for_url(where)


IN_SIGHT = """() => {
  const box = document.activeElement.getBoundingClientRect();
  const seen = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return box.width > 0 && seen !== null && (document.activeElement.contains(seen) || seen.contains(document.activeElement));
}"""


def tab_to(page: Page, selector: str) -> None:
    """Presses Tab until the focus is on what the selector finds; wherever it stops on the way, it is in sight."""
    for _ in range(80):
        page.keyboard.press("Tab")
        assert page.evaluate(IN_SIGHT), page.evaluate("() => document.activeElement.outerHTML.slice(0, 200)")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not come to {selector} on {page.url}")
