"""The reports in a real browser, with script and without: a range, the numbers, the rows behind one, the file."""

import csv
from collections.abc import Iterator

import pytest
import time_machine
from flask import Flask
from playwright.sync_api import expect

from portal.accounts.roles import Role
from tests.browser.conftest import AT_THE_DESK, People
from tests.factories import PASSWORD, Scene, fixed


@pytest.fixture
def told(app: Flask) -> Iterator[Scene]:
    """Two visits to Alice's link, one friend who joined and one who ordered for 32.00; 40 days ago, one more order."""
    scene = Scene(app, fixed(2000))
    scene.order(scene.friend("Olaf", of=scene.alice))
    scene.later(days=40)
    for visitor in ("one", "two"):
        scene.click(scene.alice, visitor * 7)
    scene.friend("Ben", of=scene.alice)
    scene.order(scene.friend("Bob", of=scene.alice))
    assert scene.colleague("Vera", Role.VIEWER)
    scene.later(days=1)
    with time_machine.travel(scene.at):
        yield scene


@AT_THE_DESK
def test_a_viewer_reads_the_reports_and_goes_to_the_rows_behind_a_number(told: Scene, people: People) -> None:
    vera = people.sign_in("vera@example.com", PASSWORD)
    main = vera.get_by_role("main")
    vera.goto("/admin/reports")
    expect(main).to_contain_text("New customers")
    expect(vera.get_by_role("link", name="30 days")).to_have_attribute("aria-current", "true")

    # From day to day: the order of forty days ago is in it.
    vera.get_by_label("From", exact=True).fill("2026-08-01")
    vera.get_by_role("button", name="Show").click()
    expect(main).to_contain_text("1 Aug 2026")
    vera.get_by_role("link", name="Month", exact=True).click()
    expect(vera.get_by_role("heading", name="By month")).to_be_visible()
    orders = main.get_by_role("table", name="Figures by step").get_by_role("row").nth(1)
    expect(orders).to_contain_text("2")

    # The number of clicks leads to the clicks, and they are a file.
    orders.get_by_role("link").first.click()
    expect(vera.get_by_role("heading", level=1)).to_contain_text("Clicks")
    expect(main.locator("tbody tr")).to_have_count(2)
    with vera.expect_download() as download:
        vera.get_by_role("link", name="CSV", exact=True).click()
    with download.value.path().open() as file:
        assert len(list(csv.DictReader(file))) == 2

    # Who brought most, by which link, and what is owed.
    vera.goto("/admin/reports?range=90")
    vera.get_by_role("link", name="Referrers", exact=True).click()
    expect(main.get_by_role("link", name="Alice").first).to_be_visible()
    vera.get_by_role("link", name="Links", exact=True).first.click()
    expect(main).to_contain_text("Which links brought most.")
    vera.get_by_role("link", name="Money", exact=True).click()
    expect(main).to_contain_text("€40.00")
    expect(vera.get_by_text("How is this counted?").first).to_be_visible()
