"""What OWASP's ASVS asks of a page and no other test shows; `docs/security.md` says where the rest is kept."""

import ast
import re

import pytest

from portal.accounts import common_passwords, near_words
from portal.config import ROOT
from tests.factories import PASSWORD
from tests.web.client import Tab
from tests.web.keys import Shop
from tests.web.page import read
from tests.web.routes import READ
from tests.web.tables import SEEN, Unchanged
from tests.web.test_routes import without_breaking

SCRIPTS = sorted((ROOT / "static" / "js").glob("*.js"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def test_every_answer_says_what_it_is_and_in_which_letters(app, things, tab_of):
    """ASVS 4.1.1."""
    olivia, alice = tab_of(things.person("owner")), tab_of(things.person("referrer"))
    for endpoint, (needs, address) in READ.items():
        if needs in ("key", "metrics"):
            continue
        reader = alice if needs == "alice" else olivia
        reader.may_break = endpoint == "public.readyz"
        page = reader.get(things.fill(address))
        if not page.body:
            continue
        kind = page.headers["Content-Type"]
        if kind.startswith("text/") or kind.split(";")[0].endswith("xml"):
            assert "charset=utf-8" in kind.lower(), (endpoint, kind)
        begins = {"text/html": b"<!doctype", "image/png": b"\x89PNG", "application/json": b"{", "image/svg+xml": b"<"}
        wanted = begins.get(kind.split(";")[0], b"")
        assert page.body.lower().lstrip().startswith(wanted.lower()), (endpoint, kind)


def test_no_other_site_may_read_an_answer(app, things, tab_of):
    """ASVS 3.4.2, 3.5.2: nothing speaks CORS, also when it is asked to."""
    olivia, shop = tab_of(things.person("owner")), Shop(app)
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for path in ("/", "/dashboard", "/account/data.json", "/assets/any/portal.css", "/api/v1/rewards", "/healthz"):
        for method in ("GET", "OPTIONS"):
            page = olivia.open(path, method=method, headers=asks)
            assert not [name for name in page.headers.keys() if name.lower().startswith("access-control")]  # noqa: SIM118
    assert "Access-Control-Allow-Origin" not in shop.get("rewards").headers


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "PUT", "DELETE"])
def test_methods_that_nobody_needs_are_refused(tab, method):
    """ASVS 13.4.4."""
    for path in ("/", "/login", "/r/x", "/assets/any/portal.css"):
        page = tab.open(path, method=method, headers=tab.from_here() | {"X-Secret": "echo-me"})
        assert page.status in (400, 404, 405) and b"echo-me" not in page.body


def test_nothing_beside_the_assets_is_served(tab):
    """ASVS 13.4.1, 13.4.3, 5.3.1: no folder of the checkout, no list of one."""
    for path in ("/.git/config", "/.git/HEAD", "/.env", "/run.py", "/wsgi.py", "/pyproject.toml", "/instance/portal.db",
                 "/instance/secret_key", "/portal/config.py", "/migrations/env.py", "/static/js/menu.js", "/assets/",
                 "/assets/any/", "/assets/any/js/", "/assets/any/../wsgi.py", "/assets/any/..%2f..%2fwsgi.py",
                 "/templates/layout.html", "/console", "/admin/.git/config"):  # fmt: skip
        page = tab.get(path)
        assert page.status in (302, 404), page
        assert not page.location or page.location == "/login"


def test_no_script_writes_markup_or_runs_text():
    """ASVS 3.2.2, 1.3.2, 3.5.5."""
    never = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setTimeout\(\s*[\"'`]|"
        r"postMessage|addEventListener\(\s*[\"']message|__proto__|setHTMLUnsafe|createContextualFragment"
    )
    assert len(SCRIPTS) > 5
    for path in SCRIPTS:
        assert not never.search(path.read_text(encoding="utf-8")), path.name


def test_nothing_runs_text_or_starts_a_command():
    """ASVS 1.2.5, 1.3.2, 1.5.1, 1.5.2. The command, which starts server processes of its own code, is another matter."""
    never = {"eval", "exec", "compile", "__import__", "system", "popen", "Popen", "check_output"}
    modules = {"subprocess", "pickle", "marshal", "shelve", "yaml", "xml", "lxml", "pty", "commands"}
    found = []
    for path in sorted((ROOT / "portal").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else ""
                called = called or (
                    node.func.attr if isinstance(node.func, ast.Attribute) and node.func.attr != "compile" else ""
                )
                found += [(path.name, called)] if called in never else []
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [(path.name, name) for name in names if name.split(".")[0] in modules]
    assert not found


def test_passwords_may_be_pasted_and_are_masked(app, things, tab_of):
    """ASVS 6.2.6, 6.2.7: every field of a password says to managers what it is, and nothing takes a paste away."""
    alice, nobody = tab_of(things.person("referrer")), Tab(app)
    asked = [(nobody, "/login"), (nobody, "/signup"), (alice, "/account/security"), (tab_of(things.person("two-step")), "/account/data"),
             (nobody, f"/reset/{things.words['reset']}"), (nobody, f"/join/{things.words['join']}"),
             (nobody, f"/setup/{things.words['set_up']}"), (alice, "/verify")]  # fmt: skip
    for reader, path in asked:
        fields = [one for one in reader.get(path).tree.all("input") if re.search("password|current", one.get("name"))]
        assert fields, path
        for one in fields:
            assert one.get("type") == "password", (path, one.get("name"))
            assert one.get("autocomplete") in ("current-password", "new-password"), (path, one.get("name"))
    for path in SCRIPTS + TEMPLATES:
        words = path.read_text(encoding="utf-8")
        assert not re.search(r"onpaste|[\"']paste[\"']", words), path.name


def test_nobody_is_asked_a_secret_question():
    """ASVS 6.4.2."""
    for path in TEMPLATES:
        words = path.read_text(encoding="utf-8").lower()
        assert not re.search(r"secret question|maiden|first pet|password hint", words), path.name


# --- passwords that are tried first ---------------------------------------------------------------------------

FIRST = ["1qaz2wsx3edc", "123qweasdzxc", "Q1W2E3R4T5Y6", "qwerty123456", "123456789987654321"]
OUT_OF_BREACHES = ["mailcreated5240", "vjhtghjlerns", "VJHT123jltccf"]
"""The first is known to whoever tries the first hundred, the others stand last of the million."""


def test_the_list_holds_more_than_three_thousand_that_would_be_long_enough():
    """ASVS 6.2.4, and 6.2.12: all long ones of a million that came out of breaches. In order, each once."""
    kept, each = common_passwords.LIST.read_bytes(), common_passwords.MARK_BYTES
    marks = [kept[place : place + each] for place in range(0, len(kept), each)]
    assert len(marks) == len(set(marks)) == 43_940 and marks == sorted(marks)
    assert set(marks) == common_passwords.marks()
    assert all(common_passwords.mark(word) in marks for word in FIRST + OUT_OF_BREACHES)


BLANKS = [" " * 14, "\u3000" * 12, " \t\u00a0" * 5, "\u200b" * 12]
REFUSED = {word: "tried first" for word in FIRST + OUT_OF_BREACHES}
REFUSED |= dict.fromkeys(BLANKS, "Use letters, digits or signs, not blanks alone.")


@pytest.mark.parametrize("word", REFUSED)
def test_a_password_that_is_tried_first_or_of_blanks_is_refused_wherever_one_is_chosen(word, app, things, tab_of):
    alice, nobody = tab_of(things.person("referrer")), Tab(app)
    with Unchanged(*SEEN, "sign_ins.token_hash"):
        for reader, path, action, fields in (
            (nobody, "/signup", "/signup$", {"email": "new@example.com", "password": word, "terms": True}),
            (nobody, f"/reset/{things.words['reset']}", "", {"password": word}),
            (nobody, f"/join/{things.words['join']}", "", {"password": word}),
            (alice, "/account/security", "/account/password",
             {"password-password": word, "password-current": PASSWORD}),
            (nobody, f"/setup/{things.words['set_up']}", "", {"email": "boss@example.com", "password": word}),
        ):  # fmt: skip
            page = reader.submit_with(reader.get(path).form(action), fields)
            assert page.status == 422 and REFUSED[word] in page.text, path


@pytest.mark.parametrize("word", ["{name}-{NAME}-26!", "Friends & Portal 26", "Ｒeferral-{name}-1"])
def test_a_password_made_of_names_that_others_know_is_refused_wherever_one_is_chosen(word, app, things, tab_of):
    """ASVS 6.2.11, with the words of 6.1.2: what is typed beside it, whom a link was sent to, who is signed in."""
    alice, nobody = tab_of(things.person("referrer")), Tab(app)
    with Unchanged(*SEEN, "sign_ins.token_hash"):
        for reader, path, action, name, fields in (
            (nobody, "/signup", "/signup$", "newton", {"email": "isaac.newton@example.com", "terms": True}),
            (nobody, "/signup", "/signup$", "Isaac", {"email": "new@example.com", "name": "Isaac", "terms": True}),
            (nobody, f"/reset/{things.words['reset']}", "", "alice", {}),
            (nobody, f"/join/{things.words['join']}", "", "friends", {}),
            (alice, "/account/security", "/account/password", "alice", {"password-current": PASSWORD}),
        ):  # fmt: skip
            typed = word.format(name=name, NAME=name.upper())
            field = "password-password" if reader is alice else "password"
            page = reader.submit_with(reader.get(path).form(action), fields | {field: typed})
            assert page.status == 422 and "a name that others know" in page.text, path


@pytest.mark.parametrize("word", ["alice likes tomatoes", "friends of the sea", "example 48392837"])
def test_a_password_that_holds_a_name_and_enough_beside_it_does(word):
    assert not near_words.are_all_of(word, "alice@example.com", "Alice", "Friends")


@pytest.mark.parametrize(
    "word", ["correct horse battery", "ein langer satz mit ä", "aaaaaaaaaaab", "           x", "p" * 128]
)
def test_any_other_letters_do(word, scene, tab):
    """ASVS 6.2.1, 6.2.5, 6.2.8, 6.2.9: no rule about kinds of letters, up to 128 of them, and each of them counts."""
    tab.sign_up("long@example.com", password=word)
    tab.sign_in("long@example.com", word)
    for other in (word[:-1], word.upper(), word + " ", f" {word}", word.strip()):
        if other != word:
            assert not Tab(scene.app).try_to_sign_in("long@example.com", other).path.startswith("/dashboard")


def test_head_gives_no_body_of_what_is_private(things, tab):
    """A page that needs a sign-in says no more by HEAD than by GET."""
    for endpoint, (needs, address) in READ.items():
        if needs in ("self", "alice", "read", "own"):
            page = without_breaking(tab, things.fill(address))
            assert page.status == 302 and page.body == b"", endpoint


def test_every_page_of_ones_own_has_the_way_out(things, tab_of):
    """ASVS 7.4.4."""
    olivia = tab_of(things.person("owner"))
    for endpoint, (needs, address) in READ.items():
        if needs not in ("self", "read", "own"):
            continue
        page = olivia.get(things.fill(address))
        if page.is_html and not page.location and "<html" in page.html:
            assert [one for one in read(page.html).all("form") if one.get("action") == "/logout"], endpoint
