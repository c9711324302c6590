"""Logs: one request can be followed by its id, and no line holds an address, a token or a code."""

import dataclasses
import hashlib
import io
import json
import logging
import re

import pytest
import sqlalchemy as sa

from portal.accounts import users
from portal.accounts.users import User
from portal.core import clock
from portal.core.database import session, writing
from portal.delivery.outbox import Message
from portal.web import logs
from tests.factories import PASSWORD
from tests.web.client import FIREFOX, Tab
from tests.web.second_step import two_step_on

pytestmark = pytest.mark.own_app


@pytest.fixture
def app(app):
    """The portal with two pages that break in the database and elsewhere."""

    def twice():
        for _ in range(2):
            session.add(User(email="dora@example.com", created_at=clock.now(), signed_up_at=clock.now()))
        session.flush()

    def cut():
        raise ValueError("nobody: dora@example.com, <dora@example.com>")

    app.add_url_rule("/twice/<word>", "twice", lambda word: twice())
    app.add_url_rule("/cut", "cut", cut)
    return app


class Lines:
    """What is written meanwhile, in one of the forms."""

    def __init__(self, form):
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(form)
        self.handler = handler

    def __enter__(self):
        self.root = logging.getLogger()
        self.busy = [logging.getLogger(name) for name in ("portal.requests", "portal.sign_ins")]
        self.levels = [(each, each.level) for each in (self.root, *self.busy)]
        self.root.addHandler(self.handler)
        self.root.setLevel(logging.DEBUG)
        for each in self.busy:
            each.setLevel(logging.INFO)
        return self

    def __exit__(self, *_):
        self.root.removeHandler(self.handler)
        for each, level in self.levels:
            each.setLevel(level)

    @property
    def text(self):
        return self.stream.getvalue()

    @property
    def each(self):
        return [json.loads(line) for line in self.text.splitlines()]


def journey(app, scene, tab_of):
    """Everything that people carry about in addresses and forms; gives it, and the ids of what broke."""
    code, friend = scene.code(scene.alice), Tab(app)
    friend.get(f"/r/{code}")
    friend.sign_up("bob@example.com", at=f"/signup?ref={code}")
    confirm = scene.secret_for(users.find_by_email("bob@example.com"))
    friend.press(f"/confirm/{confirm}")
    friend.sign_out()
    friend.sign_in("bob@example.com")
    friend.press("/reset", "/reset", email="bob@example.com")
    reset = scene.secret_for(users.find_by_email("bob@example.com"), "reset")
    friend.get(f"/reset/{reset}")
    friend.get("/r/some-code-nobody-has")
    friend.get(f"/nothing/{code}?q=carol@example.com")
    alice = tab_of(scene.alice)
    alice.press("/invites", "/invites$", addresses="carol@example.com", note="Dear Carolina")
    stop = session.scalars(sa.select(Message.stop).where(Message.stop != "")).all()
    session.rollback()
    friend.get(f"/unsubscribe/{stop[0]}")
    friend.may_break = True
    broken = [friend.get(f"/twice/{code}"), friend.get("/cut?email=dora@example.com")]
    assert [page.status for page in broken] == [500, 500]
    held = ["bob@", "alice@", "carol@", "dora@", "example.com", code, confirm, reset, stop[0], "some-code-nobody-has",
            "198.51.100.7", "Carolina", FIREFOX, friend.cookie("visitor"), friend.cookie("session")]  # fmt: skip
    return held, broken


@pytest.mark.both_databases
@pytest.mark.parametrize("form", [logs.AsText, logs.AsJson])
def test_after_a_journey_no_line_holds_an_address_a_token_or_a_code(app, scene, tab_of, form):
    with Lines(form()) as lines:
        held, broken = journey(app, scene, tab_of)
    for secret in held:
        assert secret and secret not in lines.text, next(line for line in lines.text.splitlines() if secret in line)
    assert "/r/<code>" in lines.text and "/confirm/<secret>" in lines.text
    assert "IntegrityError" in lines.text and "ValueError" in lines.text and lines.text.count("Traceback") >= 2
    for page in broken:
        name = page.headers["X-Request-ID"]
        assert name in lines.text, "the line can be found by what the page says"
        assert name in page.main, "and the page says it"


def test_a_request_is_a_line_of_json_with_its_id(app, scene, tab):
    with Lines(logs.AsJson()) as lines:
        page = tab.get(f"/r/{scene.code(scene.alice)}")
        tab.get("/help")
        tab.get("/nothing")
        tab.open("/help", method="PUT", data={"csrf_token": tab.token()}, headers=tab.from_here())
    told = [line for line in lines.each if line["logger"] == "portal.requests"]
    assert [(line["method"], line["route"], line["status"]) for line in told] == [
        ("GET", "/r/<code>", 302), ("GET", "/help", 200), ("GET", "-", 404), ("GET", "/privacy", 200),
        ("PUT", "-", 405),
    ]  # fmt: skip
    assert set(told[0]) == {"at", "level", "logger", "request_id", "method", "route", "status", "ms"}
    assert told[0]["request_id"] == page.headers["X-Request-ID"] and told[0]["ms"] >= 0
    assert len({line["request_id"] for line in told}) == 5


def test_each_try_to_sign_in_is_a_line_that_says_whose_and_why_and_not_what_was_typed(app, scene):
    """ASVS 16.3.1: those that worked and those that did not, by password, code, passkey and mailed link."""
    alice, mallory = scene.alice, scene.mallory
    ula, (carol, _) = scene.sign_up("Ula"), scene.customer("c-1", "carol@example.com")
    shut = mallory.id
    scene.do(lambda: setattr(session.get(User, shut), "shut_out_at", scene.at))
    confirm = scene.secret_for(ula)
    with Lines(logs.AsJson()) as lines:
        for email, password in (
            ("nobody@example.com", "a password of hers"), ("Nobody@example.com ", "quite another one"),
            ("another@example.com", PASSWORD), (carol.email, PASSWORD), (alice.email, "not her password"),
            (alice.email, "x" * 500), (mallory.email, PASSWORD), (alice.email, ""), ("", PASSWORD),
        ):  # fmt: skip
            assert not Tab(app).try_to_sign_in(email, password).path.endswith("/dashboard")
        tab = Tab(app)
        tab.sign_in(alice.email)
        tab.submit(tab.get("/verify").form("/verify"), password="not her password")
        tab.submit(tab.get("/verify").form("/verify"), password=PASSWORD)
        app_of_hers = two_step_on(scene, alice)
        half = Tab(app)
        half.try_to_sign_in(alice.email)
        half.submit(half.get("/login/code").form(), code="000000")
        half.submit(half.get("/login/code").form(), code=app_of_hers.generate(scene.at).token)
        Tab(app).press(f"/confirm/{confirm}", password=PASSWORD)
        Tab(app).post("/passkey", {"answer": "{}"})
    told = [line for line in lines.each if line["logger"] == "portal.sign_ins"]
    assert [(one["outcome"], one["by"], one.get("why"), one.get("whose")) for one in told] == [
        ("refused", "password", "unknown", None), ("refused", "password", "unknown", None),
        ("refused", "password", "unknown", None), ("refused", "password", "no password", carol.public_id),
        ("refused", "password", "wrong", alice.public_id), ("refused", "password", "wrong", None),
        ("refused", "password", "shut out", mallory.public_id), ("worked", "password", None, alice.public_id),
        ("refused", "password once more", "wrong", alice.public_id),
        ("worked", "password once more", None, alice.public_id), ("half", "password", None, alice.public_id),
        ("refused", "code", "wrong", alice.public_id), ("worked", "code", None, alice.public_id),
        ("worked", "mailed link", None, ula.public_id), ("refused", "passkey", "unknown", None),
    ]  # fmt: skip
    first, same, other = (one["typed"] for one in told[:3])
    assert first == same != other and len(first) == 32
    assert all(one["request_id"] and one["network"] == told[0]["network"] for one in told)
    assert [one["level"] for one in told[:8]] == ["warning"] * 7 + ["info"]
    for secret in ("example.com", "nobody", "password of hers", PASSWORD, "198.51.100", "000000", confirm):
        assert secret not in json.dumps(told), secret


def test_an_id_is_taken_from_nobody_unless_a_proxy_is_trusted(app, tab):
    given = "0123456789abcdef"
    page = tab.get("/", headers={"X-Request-ID": given})
    assert re.fullmatch("[0-9a-f]{16}", page.headers["X-Request-ID"]) and page.headers["X-Request-ID"] != given


class TestBehindAProxy:
    @pytest.fixture
    def settings(self, settings):
        return dataclasses.replace(settings, trusted_proxies=1)

    def test_its_id_is_taken_if_it_looks_like_one(self, app, tab, subtests):
        for given, taken in (
            ("0123456789abcdef0123456789abcdef", True), ("req-7.of_today", True), ("short", False), ("a" * 65, False),
            ("with a space", False), ("bob@example.com", False), ("", False), ("ümlaut-ümlaut", False),
        ):  # fmt: skip
            with subtests.test(given):
                said = tab.get("/", headers={"X-Request-ID": given.encode().decode("latin-1")}).headers["X-Request-ID"]
                assert (said == given) == taken


def test_what_begins_the_logs_is_the_setting(capfd, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    for form, shown in (("text", False), ("json", True)):
        logs.begin(form)
        logging.getLogger("portal.requests").info("%s", "a request")
        logging.getLogger("portal.other").warning("to %s", "bob@example.com")
        said = capfd.readouterr().err.splitlines()
        assert len(said) == 1 + shown and "bob" not in "".join(said)
        assert all(line.startswith("{") == (form == "json") for line in said)
    logging.getLogger("portal.requests").setLevel(logging.NOTSET)


def test_errors_of_the_database_carry_no_values(app, scene):
    assert scene.alice
    for statement in (sa.insert(User).values(email="alice@example.com"), sa.text("SELECT nothing FROM users WHERE :x")):
        with pytest.raises(sa.exc.DBAPIError) as error, writing():
            session.execute(statement, {"x": "alice@example.com"} if "nothing" in str(statement) else {})
        assert "alice@example.com" not in str(error.value)


class TestOverTheLimit:
    @pytest.fixture
    def settings(self, settings):
        return dataclasses.replace(settings, rate_limits=True)

    @pytest.mark.parametrize("form", [logs.AsText, logs.AsJson])
    def test_no_line_says_who_it_was(self, app, form):
        email, tab = "bob@example.com", Tab(app)
        with Lines(form()) as lines:
            for path, many in (("/reset", 6), ("/r/guess", 31)):
                token = tab.token()
                answers = [tab.post(path, {"csrf_token": token, "email": email}) if path == "/reset" else tab.get(path)
                           for _ in range(many)]  # fmt: skip
                assert [page.status == 429 for page in answers] == [False] * (many - 1) + [True]
        assert "over the limit of 5 per 1 hour: mail" in lines.text
        assert "over the limit of 30 per 1 minute: guesses" in lines.text
        hashed = [hashlib.new(name, email.encode()).hexdigest()[:8] for name in ("sha256", "sha1", "md5", "blake2b")]
        for secret in (email, tab.address, *hashed):
            assert secret not in lines.text, next(line for line in lines.text.splitlines() if secret in line)
        assert not re.search(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", lines.text), "nor the name of the count"
