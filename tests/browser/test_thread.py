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

from portal import sweeps
from portal.config import ROOT, Settings
from portal.core import clock
from portal.reports import books
from tests.browser.conftest import WITH_SCRIPT, WITHOUT_SCRIPT, People
from tests.browser.people import PASSWORD, mailed_link, staff


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
@pytest.mark.parametrize("people", [WITH_SCRIPT], indirect=True)
def test_the_whole_thread_from_link_to_paid(people: People, settings: Settings, tmp_path: Path) -> None:
    walk(people, settings, tmp_path)


@pytest.mark.case(12, 14, 69, 76, 93)
@pytest.mark.parametrize("people", [WITHOUT_SCRIPT], indirect=True)
def test_the_whole_thread_from_link_to_paid_without_script(people: People, settings: Settings, tmp_path: Path) -> None:
    walk(people, settings, tmp_path)


def walk(people: People, settings: Settings, tmp_path: Path) -> None:
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
        expect(finn.get_by_role("status")).to_contain_text("Marked 1 payout as paid")

        # The referrer sees Paid, and the whole timeline.
        alice.goto("/friends")
        expect(alice.get_by_role("main")).to_contain_text("Paid")
        alice.get_by_role("link", name="Bob").first.click()
        story = alice.get_by_role("main")
        for step in ("Joined", "£25.00", "Approved", "Paid"):
            expect(story).to_contain_text(step)

    sweeps.seal()
    assert list(books.faults()) == []
