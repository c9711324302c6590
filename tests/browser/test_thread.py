"""The one thread through the whole house, in a real browser: from a shared link to *Paid*."""

import csv
import io
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from playwright.sync_api import expect

from portal import program, sweeps
from portal.accounts import one_time, users
from portal.accounts.one_time import Purpose
from portal.accounts.roles import Role
from portal.config import ROOT, Settings
from portal.core import clock, database
from portal.delivery.mail import Files
from portal.reports import books
from tests.browser.conftest import People
from tests.factories import fixed

PASSWORD = "a password of the tests"


def staff() -> None:
    """Olivia owns, Rita reviews, Finn pays, and Alice has signed up: all confirmed."""
    at, password = clock.now() - timedelta(days=1), users.hashed(PASSWORD)
    with database.writing():
        olivia = program.add_owner("olivia@example.com", name="Olivia", password=password, at=at)
        offer = [fixed(2500, minimum_order_minor=3000), fixed(1000, to="referee", minimum_order_minor=3000)]
        program.open_program(
            offer, by=olivia.id, at=at, program_name="Fernhill", currency="GBP", time_zone="Europe/London"
        )
    for name, role in (("Rita", Role.REVIEWER), ("Finn", Role.FINANCE), ("Alice", None)):
        with database.writing():
            email = f"{name.lower()}@example.com"
            program.sign_up(email=email, name=name, password=password, seen=users.NOWHERE, at=at)
            person = users.find_by_email(email)
            assert person is not None
            secret = one_time.make(Purpose.CONFIRM, person.id, password=password, at=at)
            program.confirm(secret, at=at)
            if role:
                program.grant_role(person, role, by=olivia.id, at=at)


def mailed_link(settings: Settings, address: str) -> str:
    """The path of the link in the newest mail to an address; the worker's job sends it first."""
    out = Files(settings.mail_dir)
    sweeps.send_mail(out, base_url=settings.base_url)
    for path in out.newest():
        text = path.read_bytes().decode()
        if f"To: {address}" in text and (found := re.search(r"http://127\.0\.0\.1:\d+(/confirm/\S+)", text)):
            return found[1]
    raise AssertionError(f"no mail to {address}")


def portal(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    """The portal command, as an operator runs it."""
    environment = {
        **os.environ,
        "INSTANCE_DIR": str(settings.instance_dir),
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key,
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run([sys.executable, "-m", "portal", *words], capture_output=True, text=True, env=environment, timeout=60)  # fmt: skip


@pytest.mark.both_databases
@pytest.mark.case(12, 14, 69, 76, 93)
def test_the_whole_thread_from_link_to_paid(people: People, settings: Settings, tmp_path: Path) -> None:
    staff()

    # A referrer shares a link, and says how to be paid.
    alice = people.sign_in("alice@example.com", PASSWORD)
    shown = alice.get_by_label("Your link").input_value()  # with script without its http://, which Copy adds
    link = shown if shown.startswith("http://") else f"http://{shown}"
    assert link.startswith(f"{settings.base_url}/r/")
    alice.goto("/payouts")
    alice.get_by_label("Shop credit").check()
    alice.get_by_role("button", name="Save how I am paid").click()
    expect(alice.get_by_role("main")).to_contain_text("Shop credit")

    # A friend opens it, signs up and confirms.
    bob = people.page()
    bob.goto(link)
    expect(bob.get_by_role("heading", level=1)).to_contain_text("Alice")
    expect(bob.get_by_role("main")).to_contain_text("£10.00")
    bob.get_by_label("E-mail").fill("bob@example.com")
    bob.get_by_label("Password", exact=True).fill("a password that Bob chose")
    bob.get_by_label("First name", exact=False).first.fill("Bob")
    bob.get_by_label("I accept").check()
    bob.get_by_role("button", name="Create account").click()
    expect(bob.get_by_role("heading", level=1)).to_contain_text("e-mail")
    bob.goto(mailed_link(settings, "bob@example.com"))
    bob.get_by_role("main").get_by_role("button").click()
    expect(bob.get_by_role("heading", level=1)).to_contain_text("Bob")

    # The friend's order is reported, from a CSV file.
    file = io.StringIO()
    csv.writer(file).writerows([["external_id", "customer_email", "amount_minor"], ["A-1", "bob@example.com", "6400"]])
    (tmp_path / "orders.csv").write_text(file.getvalue())
    done = portal(settings, "import-conversions", str(tmp_path / "orders.csv"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 new")

    # A pending reward appears, and says why it waits.
    alice.goto("/rewards")
    expect(alice.get_by_role("main")).to_contain_text("In review")
    expect(alice.get_by_role("main")).to_contain_text("£25.00")

    # A reviewer approves both sides.
    rita = people.sign_in("rita@example.com", PASSWORD)
    for _ in range(2):
        rita.goto("/admin/rewards")
        rita.get_by_role("button", name=re.compile("^Approve")).filter(has_not_text="selected").first.click()
        expect(rita.get_by_role("status")).to_contain_text("Approved")
    alice.goto("/rewards")
    expect(alice.get_by_role("main")).to_contain_text("On hold until")

    with time_machine.travel(clock.now() + timedelta(days=31)):
        # Its hold passes.
        sweeps.approve_and_release()
        alice = people.sign_in("alice@example.com", PASSWORD)
        alice.goto("/rewards")
        expect(alice.get_by_role("main")).to_contain_text("Ready to pay")

        # Finance pays.
        finn = people.sign_in("finn@example.com", PASSWORD)
        finn.goto("/admin/payouts")
        finn.get_by_role("button", name="Create batch").click()
        finn.get_by_role("button", name=re.compile("Approve")).click()
        with finn.expect_download() as download:
            finn.get_by_role("button", name=re.compile("Download")).click()
        rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
        assert [(row["email"], row["amount"], row["currency"]) for row in rows] == [
            ("alice@example.com", "25.00", "GBP")
        ]
        finn.reload()
        finn.get_by_role("button", name=re.compile("Mark all")).click()
        expect(finn.get_by_role("status")).to_contain_text("Marked as paid")

        # The referrer sees Paid, and the whole timeline.
        alice.goto("/friends")
        expect(alice.get_by_role("main")).to_contain_text("Paid")
        alice.get_by_role("link", name="Bob").first.click()
        story = alice.get_by_role("main")
        for step in ("Joined", "£25.00", "Approved", "Paid"):
            expect(story).to_contain_text(step)

    sweeps.seal()
    assert list(books.faults()) == []
