"""The owner weighs signals in a browser: a number that is none is told at its field, a good one is kept, by keyboard."""

import time_machine
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESCRIPTION
from tests.browser.worlds import opened


def test_the_owner_weighs_a_signal_and_goes_to_the_referrals_behind_a_number(browser: Browser, tmp_path) -> None:
    with opened(tmp_path) as worlds:
        world = worlds["full"]
        with time_machine.travel(world.things.at):
            context = browser.new_context(base_url=world.address, user_agent=DESCRIPTION)
            context.add_cookies(
                [{"name": "session", "value": world.cookie(world.things.emails["owner"]), "url": world.address}]
            )
            page = context.new_page()
            page.goto("/admin/program")
            page.get_by_role("link", name="Signals").click()
            row = page.locator("tr#disposable")
            row.locator("summary").press("Enter")
            row.get_by_label("Weight").fill("101")
            row.get_by_label("Weight").press("Enter")
            expect(row.get_by_text("Write a whole number from 0 to 100.")).to_be_visible()
            expect(row.get_by_label("Weight")).to_have_value("101")
            row.get_by_label("Weight").fill("55")
            row.get_by_label("Look for this").uncheck()
            row.get_by_role("button", name="Save").click()
            expect(page.get_by_role("status").first).to_contain_text("It counts for what is raised from now on.")
            expect(row.locator(".cell-amount")).to_have_text("off")
            row.get_by_role("link", name="raised").click()
            expect(page.get_by_role("main")).to_contain_text("Only those with the signal “Throw-away address”")
            expect(page.locator("tbody tr")).to_have_count(3)
            context.close()
