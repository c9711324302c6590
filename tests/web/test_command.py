"""The command: tables, the first owner, an order, the check of the books, and what it refuses in one sentence."""

import dataclasses
import re
import socket
import stat
from functools import partial

import pytest
import sqlalchemy as sa

from portal import program, terms
from portal.accounts.users import find_by_email
from portal.cli import _set_up_link
from portal.config import Settings
from portal.core import at_work, database
from portal.core.database import session, writing
from portal.rewards import ledger
from portal.rewards.conversions import Conversion
from portal.web import serving
from tests.web.client import Tab
from tests.web.commands import from_outside, runner
from tests.web.tables import Unchanged

# --- tables ---------------------------------------------------------------------------------------------------


def test_migrate_makes_the_tables_and_a_second_time_changes_nothing(tmp_path, app, monkeypatch, capfd):
    run = runner(tmp_path, f"sqlite:///{tmp_path / 'new.db'}", monkeypatch, capfd)
    refused = run("create-admin", "olivia@example.com")
    assert (refused.code, "run portal migrate" in refused.err) == (1, True)
    for _ in range(2):
        done = run("migrate")
        assert done.code == 0 and "as this code needs it" in done.out
    assert run("create-admin", "olivia@example.com").code == 0


@pytest.mark.parametrize(
    "words",
    [
        ["create-admin", "a@example.com"],
        ["convert", "--external-id", "o-1"],
        ["check-ledger"],
        ["import-customers", __file__],
    ],
    ids=lambda words: words[0],
)
def test_every_command_asks_for_the_tables_first(tmp_path, app, monkeypatch, capfd, words):
    run = runner(tmp_path, f"sqlite:///{tmp_path / 'new.db'}", monkeypatch, capfd)
    said = run(*words)
    assert said.code == 1 and "run portal migrate" in said.err


COMMANDS = [
    ["serve"], ["worker"], ["create-admin", "a@example.com"], ["convert", "--external-id", "o-1"], ["check-ledger"],
    ["import-customers", __file__], ["reseal"], ["backup", "{folder}/b"], ["copy-to", "sqlite:///{folder}/other.db"],
]  # fmt: skip


def test_old_code_on_a_new_schema_and_the_reverse_are_refused_with_one_line(
    tmp_path, app, monkeypatch, capfd, subtests
):
    for version, remedy in (("9999", "newer than this code"), ("0003", "run portal migrate")):
        engine = sa.create_engine(f"sqlite:///{tmp_path / f'{version}.db'}")
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
            connection.execute(sa.text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})
        engine.dispose()
        run = runner(tmp_path, f"sqlite:///{tmp_path / f'{version}.db'}", monkeypatch, capfd)
        for words in COMMANDS:
            with subtests.test(f"{words[0]} at {version}"):
                said = run(*(word.format(folder=tmp_path) for word in words))
                assert said.code == 1 and remedy in said.err and len(said.err.splitlines()) == 1
        said = run("doctor")
        assert said.code == 1 and remedy in said.out
    assert not (tmp_path / "b").exists()


def test_a_copy_that_is_refused_names_what_was_typed_and_leaves_no_file(tmp_path, app, scene, run):
    for typed, said in (
        ("nonsense", "URL: begin it with"), ("", "URL: name the database"), ("sqlite:////nowhere/other.db", "/nowhere"),
        ("postgresql://127.0.0.1:9/portal", "URL: the database cannot be used"),
    ):  # fmt: skip
        told = run("copy-to", typed)
        assert told.code == 1 and said in told.err and not told.err.startswith("DATABASE_URL"), told
    assert scene.alice
    target = tmp_path / "other.db"
    with at_work.with_others(database.db.engine):
        told = run("copy-to", f"sqlite:///{target}")
    assert told.code == 1 and "stop all of its processes" in told.err
    assert not target.exists()


# --- people ---------------------------------------------------------------------------------------------------


def test_create_admin_makes_an_owner_who_sets_the_password_by_the_printed_link(app, scene, run, tab):
    said = run("create-admin", "Boss@Example.com", "--name", "The Boss")
    assert said.code == 0 and "is an owner" in said.out
    (secret,) = re.findall(r"/reset/(\S+)", said.out)
    tab.press(f"/reset/{secret}", password="a password of the boss")
    tab.sign_in("boss@example.com", "a password of the boss")
    assert tab.get("/admin").status == 200
    assert find_by_email("boss@example.com").role_names == {"owner"}


def test_create_admin_makes_somebody_who_is_there_an_owner_and_keeps_their_password(app, scene, run, tab):
    scene.alice  # noqa: B018 - she is there
    assert run("create-admin", "ALICE@example.com").code == 0
    assert run("create-admin", "alice@example.com").code == 0
    tab.sign_in("alice@example.com")
    assert tab.get("/admin").status == 200
    assert find_by_email("alice@example.com").name == "Alice"


@pytest.mark.parametrize(
    "email", ["", "boss", "a@b", "a@example.com,b@example.com", "x" * 5000, "bo\nss@example.com"], ids=len
)
def test_create_admin_refuses_what_is_no_address(scene, run, email):
    with Unchanged():
        said = run("create-admin", email)
        assert said.code == 1 and "name@example.com" in said.err


# --- an order -------------------------------------------------------------------------------------------------


def test_convert_takes_an_order_once(scene, run):
    scene.bob  # noqa: B018 - he is there
    words = ["convert", "--external-id", "o-1", "--customer-email", "Bob@Example.com", "--amount-minor", "6400"]
    first, again = run(*words), run(*words)
    assert (first.code, again.code) == (0, 0)
    assert "taken" in first.out and "known already" in again.out
    assert scene.reward(scene.alice).amount_minor == 2000
    other = run(*words[:-1], "6401")
    assert other.code == 1 and "with other facts" in other.out
    assert session.scalar(sa.select(sa.func.count()).select_from(Conversion).where(Conversion.source == "shop")) == 1


def test_convert_keeps_an_order_of_somebody_not_known_yet(scene, run):
    said = run("convert", "--external-id", "o-1", "--customer-external-id", "c-1", "--amount-minor", "6400")
    assert said.code == 0 and "kept until this customer is known" in said.out


REFUSED = [
    ["--amount-minor", "0"], ["--amount-minor", "-5"], ["--amount-minor", "1_000"], ["--amount-minor", "NaN"],
    ["--amount-minor", "1,50"], ["--amount-minor", "12.50"], ["--amount-minor", "9" * 30], ["--amount-minor", "١٢٣"],
    ["--amount-minor", str(10**12)], ["--amount-minor", ""], ["--currency", "USD"], ["--currency", "eur"],
    ["--goal", "signup"], ["--goal", "nothing"], ["--occurred-at", "yesterday"], ["--occurred-at", "2026-09-01T10:00:00"],
    ["--occurred-at", "2999-01-01T00:00:00Z"], ["--customer-email", "nobody"], ["--external-id", ""],
    ["--external-id", "x" * 129], ["--external-id", " o"], ["--customer-email", ""], ["--goal", "\udcff"],
    ["--external-id", "\udcff"],
]  # fmt: skip


@pytest.mark.case(60)
def test_convert_refuses_what_it_cannot_take_and_stores_nothing(scene, run, each):
    scene.bob  # noqa: B018 - he is there
    usual = {"--external-id": "o-1", "--customer-email": "bob@example.com", "--amount-minor": "6400"}
    for tried in each(REFUSED):
        with tried as (name, value):
            given = usual | {name: value}
            said = run("convert", *[f"{option}={value}" for option, value in given.items()])
            assert said.code == 1 and said.err.strip() and said.out == ""


def test_a_word_that_no_command_knows_is_refused_with_the_usage(run):
    for words in (
        ["nothing"],
        ["convert"],
        ["convert", "--nothing"],
        ["import-customers"],
        ["import-customers", "no such file"],
    ):
        said = run(*words)
        assert said.code == 2 and "Error" in said.err
    assert run("--help").code == 0


# --- the books ------------------------------------------------------------------------------------------------


def test_check_ledger_finds_the_books_right(scene, run):
    scene.paid_reward()
    scene.do(ledger.seal)
    said = run("check-ledger")
    assert said.code == 0 and "The books are right" in said.out


CHANGED = {
    "a transfer": ("UPDATE transfers SET amount_minor = amount_minor + 1 WHERE id = 2", "transfer 2"),
    "a reward": ("UPDATE rewards SET amount_minor = 9999 WHERE id = 1", "reward"),
    "a payout": ("UPDATE payouts SET amount_minor = 1 WHERE id = 1", "payout"),
    "a line": ("UPDATE payout_lines SET amount_minor = 1 WHERE id = 1", "line"),
    "a decision": ("UPDATE decisions SET amount_minor = 1 WHERE id = 1", "decision 1"),
    "a transfer gone": ("DELETE FROM transfers WHERE id = 2", "transfer 2"),
    "a seal": ("UPDATE seals SET hash = 'x' WHERE number = 2", "seal 2"),
    "a person": ("UPDATE transfers SET user_id = user_id + 1 WHERE id = 3", "transfer 3"),
}


@pytest.mark.wrecks_the_books
@pytest.mark.parametrize("what", CHANGED)
def test_check_ledger_names_a_row_changed_behind_its_back(scene, run, what):
    statement, named = CHANGED[what]
    scene.paid_reward()
    scene.do(ledger.seal)
    triggers = session.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
    session.rollback()
    connection = session.connection().connection.dbapi_connection
    session.rollback()
    connection.execute("PRAGMA foreign_keys=OFF")
    for trigger in triggers:
        connection.execute(f"DROP TRIGGER {trigger}")
    assert connection.execute(statement).rowcount == 1
    said = run("check-ledger")
    assert said.code == 1 and "The books are right" not in said.out
    assert named in said.err


# --- serving --------------------------------------------------------------------------------------------------


def test_serve_refuses_the_demos_sample_data(scene, run):
    with writing():
        program.mark_as_sample(at=scene.at)
    said = run("serve")
    assert said.code == 1 and "sample data" in said.err and "DATABASE_URL" in said.err and "PORTAL_DEMO=1" in said.err


def test_serve_on_a_busy_port_says_which_and_starts_nothing(scene, run, monkeypatch):
    assert scene.olivia
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        monkeypatch.setattr(serving, "port_is_free", partial(serving.port_is_free, patience_s=0.3))
        said = run("serve")
    assert said.code == 1 and f"PORT: {port}" in said.err and "Serving" not in said.out


def test_what_the_portal_keeps_is_readable_by_its_own_user_alone(tmp_path):
    """Under the usual umask, also the database of a restore, and what SQLite puts beside it."""

    def open_to_others(folder):
        kept = [folder, *folder.rglob("*")]
        assert folder / "portal.db" in kept and len(kept) > 4
        return [str(path) for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o077]

    assert from_outside(tmp_path, "migrate").code == 0
    assert from_outside(tmp_path, "create-admin", "boss@example.com").code == 0
    assert open_to_others(tmp_path / "instance") == []
    assert from_outside(tmp_path, "backup", "one.backup").code == 0
    assert from_outside(tmp_path, "restore", str(tmp_path / "one.backup"), INSTANCE_DIR=str(tmp_path / "new")).code == 0
    assert open_to_others(tmp_path / "new") == []


def test_serve_refuses_a_database_of_somebody_else(tmp_path, app, monkeypatch, capfd):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE theirs (id INTEGER)"))
    engine.dispose()
    said = runner(tmp_path, f"sqlite:///{tmp_path / 'other.db'}", monkeypatch, capfd)("serve")
    assert said.code == 1 and "theirs" in said.err


FILLED = {
    "email": "boss@example.com", "password": "a password of the boss", "program_name": "Ours", "currency": "EUR",
    "time_zone": "Europe/Berlin", "referee_amount": "10", "referrer_amount": "10", "hold_days": "30",
}  # fmt: skip


def test_the_printed_link_of_the_first_owner_works_once(app, run, tab):
    """`serve` prints it; here it is made as `serve` makes it."""
    secret = _set_up_link(Settings.from_env()).rpartition("/")[2]
    page = tab.press(f"/setup/{secret}", **FILLED | {"email": "boss@shop.test"})
    assert page.status == 422 and page.kept("email") == ["boss@shop.test"]
    assert page.error("email") == "No mail reaches shop.test: such names are for tests and for networks at home."
    page = tab.press(f"/setup/{secret}", **FILLED)
    assert page.path == "/admin/opened" and re.search(r'value="http[^"]+/r/\w+"', page.html)
    assert page.text.count("(done)") == 0 and "Your shop reports orders" in page.text
    assert "begin with http://127.0.0.1:8000, which leads to this machine alone. Set BASE_URL to the" in page.text
    page = tab.press("/admin/developers", "/keys", name="The shop")
    assert tab.get("/admin/opened").text.count("(done)") == 1, "what is done is told as done"
    for used in (secret, "nothing-of-the-kind"):
        gone = Tab(app).get(f"/setup/{used}")
        assert gone.status == 404 and "This set-up link does not work" in gone.heading and "friend" not in gone.main


@pytest.mark.parametrize(
    ("language", "before", "after"),
    [("en", "This portal is not set up yet", "This portal is set up already"),
     ("de", "Dieses Portal ist noch nicht eingerichtet", "Dieses Portal ist schon eingerichtet")],
)  # fmt: skip
def test_the_set_up_without_its_link_says_whether_there_is_something_to_set_up(app, run, tab, language, before, after):
    asked = {"headers": {"Accept-Language": language}}
    page = tab.get("/setup", **asked)
    assert before in page.heading and "portal create-admin" in page.text
    Tab(app).press(f"/setup/{_set_up_link(Settings.from_env()).rpartition('/')[2]}", **FILLED)
    page = tab.get("/setup", **asked)
    assert page.status == 200 and after in page.heading and "portal create-admin" not in page.text
    assert 'href="/login"' in page.html.partition("<main")[2]


@pytest.mark.parametrize(("friend", "referrer"), [("", ""), ("", "0"), ("0", ""), ("0", "0.00"), (" ", " ")])
def test_no_program_opens_in_which_nobody_gets_anything(app, run, tab, friend, referrer):
    secret = _set_up_link(Settings.from_env()).rpartition("/")[2]
    typed = FILLED | {"referee_amount": friend, "referrer_amount": referrer, "minimum_order": "45"}
    page = tab.press(f"/setup/{secret}", **typed)
    assert page.status == 422 and page.error("referee_amount") == "Name what at least one side gets."
    for name in ("email", "program_name", "referrer_amount", "minimum_order", "hold_days"):
        assert page.kept(name) == [typed[name]]
    assert terms.current() is None
    page = tab.submit(page.form("/setup/"), password=FILLED["password"], referrer_amount="0.50")
    assert page.path == "/admin/opened"


def test_the_last_page_of_the_set_up_says_by_which_address_people_come_and_where_it_is_set(
    app, scene, tab_of, monkeypatch
):
    known, olivia = app.extensions["settings"], tab_of(scene.olivia)
    for address, said in {
        "http://127.0.0.1:8000": ", which leads to this machine alone. Set BASE_URL to the address by which people",
        "http://localhost": ", which leads to this machine alone. Set BASE_URL to the address by which people",
        "http://friends.example.com": ", by which cookies and passwords travel unprotected. Set BASE_URL to its https",
        "https://friends.example.com": ".",
    }.items():
        monkeypatch.setitem(app.extensions, "settings", dataclasses.replace(known, base_url=address))
        page = olivia.get("/admin/opened")
        assert f"Links and mails begin with {address}{said}" in page.text
        assert ("People reach the portal (done)" in page.text) == address.startswith("https")
