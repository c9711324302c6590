"""What finance does, in a real browser, with script and without: chosen people, the files, the bank's answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from playwright.sync_api import expect

from portal.payouts.methods import Kind
from tests.browser.conftest import AT_THE_DESK, People
from tests.factories import PASSWORD, Scene, fixed


@pytest.fixture
def ready(app: Flask) -> Iterator[Scene]:
    """Ada, Ben and Cleo are ready: 20.00 each by PayPal, bank and credit; Dan has not said how he is paid."""
    scene = Scene(app, fixed(2000, hold_days=0))
    for name, kind, given in (
        ("Ada", Kind.PAYPAL, {"email": "ada@pay.example.com"}), ("Ben", Kind.BANK, {}), ("Cleo", Kind.CREDIT, {}),
        ("Dan", None, {}),
    ):  # fmt: skip
        person = scene.person(name)
        if kind:
            scene.method(person, kind, **given)
        scene.earns(person, 2000, f"Friend of {name}")
    scene.later(days=4)
    assert scene.finn and scene.olivia
    with time_machine.travel(scene.at):
        yield scene


@AT_THE_DESK
def test_finance_chooses_pays_and_reads_the_answer_back(ready: Scene, people: People, tmp_path: Path) -> None:
    finn = people.sign_in("finn@example.com", PASSWORD)
    finn.goto("/admin/payouts")
    main = finn.get_by_role("main")
    expect(finn.get_by_role("link", name="Ready · €60.00")).to_be_visible()
    expect(main).to_contain_text("No payout details yet")
    finn.get_by_role("button", name="Remind Dan").click()
    expect(main).to_contain_text("Reminded Dan by mail.")
    expect(finn.get_by_role("button", name="Remind Dan")).to_have_count(0)

    # All are chosen; Cleo is left for another time.
    finn.get_by_label("Pay Cleo").uncheck()
    if people.script:
        expect(finn.locator("[data-chosen]")).to_have_text("2 of 3 chosen, €40.00")
        finn.get_by_role("button", name="Choose nobody").click()
        expect(finn.locator("[data-chosen]")).to_have_text("0 of 3 chosen, €0.00")
        finn.get_by_role("button", name="Choose everybody").click()
        finn.get_by_label("Pay Cleo").uncheck()
    finn.get_by_role("button", name="Create batch").click()
    expect(main).to_contain_text("€40.00")
    expect(main).to_contain_text("Ready, and not chosen")

    # Approved, and a file for each way of paying.
    finn.get_by_role("button", name="Approve batch").click()
    for button, name in (("For PayPal", "paypal"), ("For Wise", "wise"), ("For a bank", "bank")):
        with finn.expect_download() as download:
            finn.get_by_role("button", name=button).click()
        assert download.value.suggested_filename.endswith(f"-{name}.csv")
        if name == "paypal":
            (line,) = Path(download.value.path()).read_text().splitlines()
            assert line.startswith("ada@pay.example.com,20.00,EUR,PO-2026-")
            ada = line.split(",")[3]
        elif name == "bank":
            ben = Path(download.value.path()).read_text().splitlines()[1].split(",")[0]

    # The bank's answer, with a slip in its third line, then without.
    finn.reload()
    answer = tmp_path / "answer.csv"
    answer.write_text(f"reference,status,reason\n{ada},paid,\n{ben},returned\n")
    finn.get_by_label("File", exact=True).set_input_files(answer)
    finn.get_by_role("button", name="Check").click()
    expect(main).to_contain_text(f"Line 3: Write why {ben} failed; the person reads it.")
    finn.get_by_label("or its lines").fill(f"reference,status,reason\n{ada},paid,\n{ben},returned,Account closed.\n")
    finn.get_by_role("button", name="Check").click()
    expect(main).to_contain_text("Account closed.")
    finn.get_by_role("button", name="Note 2 results").click()
    expect(main).to_contain_text("Noted: 1 paid, 1 failed")
    expect(main).to_contain_text("Partly paid")

    # What came back is ready again, and is told among the problems.
    finn.goto("/admin/payouts?tab=problems")
    expect(main).to_contain_text("Account closed.")
    finn.get_by_role("link", name="Ready").first.click()
    expect(finn.get_by_label("Pay Ben")).to_be_checked()


@AT_THE_DESK
def test_fields_of_a_payout_method_show_with_its_choice(ready: Scene, people: People) -> None:
    """Before a choice all are there, for browsers that cannot tell; a choice leaves its own."""
    dan = people.sign_in("dan@example.com", PASSWORD)
    dan.goto("/payouts")
    asked = {"PayPal": ["PayPal address"], "Bank transfer": ["Account holder", "IBAN"], "Voucher codes": []}
    every = [field for fields in asked.values() for field in fields]
    for field in every:
        expect(dan.get_by_label(field, exact=True)).to_be_visible()
    for kind, fields in asked.items():
        dan.get_by_role("radio", name=kind).check()
        for field in every:
            expect(dan.get_by_label(field, exact=True)).to_be_visible(visible=field in fields)
