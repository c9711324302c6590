"""Invites by e-mail, in a real browser: from the dashboard to the friend's mail, and back to the numbers."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from portal import sweeps
from portal.config import Settings
from portal.delivery.mail import Files
from tests.browser.conftest import People
from tests.browser.people import PASSWORD, mailed_link, staff
from tests.browser.test_sharing import joins


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The demo, whose mails lie in the browser's reach."""
    return replace(settings, demo=True)


def main(page: Page):
    return page.get_by_role("main")


def send(settings: Settings) -> None:
    sweeps.send_mail(Files(settings.mail_dir), sender="portal@example.com", base_url=settings.base_url)


def test_three_friends_are_invited_and_one_joins_with_another_address(people: People, settings: Settings) -> None:
    staff()
    alice = people.sign_in("alice@example.com", PASSWORD)
    alice.goto("/invites")
    alice.get_by_label("Personal note").fill("They roast on Tuesdays.")
    alice.get_by_role("button", name="Preview with my note").click()
    expect(main(alice)).to_contain_text("They roast on Tuesdays.")
    expect(main(alice)).to_contain_text("Alice gives you £10 at Fernhill")
    alice.goto("/dashboard")
    alice.get_by_label("One or more e-mail addresses").fill(
        "bob@example.com, Carol <carol@example.com>\ndan@example.com"
    )
    alice.get_by_role("button", name="Send invites").click()
    expect(main(alice)).to_contain_text("3 invites are on their way.")
    row = main(alice).get_by_role("row", name=re.compile("bob@example.com"))
    expect(row).to_contain_text("Waiting to be sent")
    send(settings)
    alice.reload()
    expect(row).to_contain_text("Sent")

    # The mail, as it lies in the demo; its button opens the page of the gift in a fresh profile.
    reader = people.page()
    reader.goto("/dev/mail")
    main(reader).get_by_role("row", name=re.compile("bob@example.com")).get_by_role("link").click()
    expect(main(reader)).to_contain_text("Alice typed your address at Fernhill")
    link = main(reader).get_by_role("link", name="Claim £10").get_attribute("href")
    assert link
    bob = people.page()
    bob.goto(link)
    expect(bob.get_by_role("heading", level=1)).to_have_text("Alice gives you £10")
    joins(bob, "robert@example.com", "Robert")
    bob.goto(mailed_link(settings, "robert@example.com"))
    main(bob).get_by_role("button").click()
    expect(main(bob)).to_contain_text("Your gift from Alice")
    alice.reload()
    expect(row).to_contain_text("Joined")
    expect(main(alice)).to_contain_text("33")

    # Carol wants no mail from anybody; Alice is not told, and sees it as sent.
    carol = people.page()
    reader.goto("/dev/mail")
    main(reader).get_by_role("row", name=re.compile("carol@example.com")).get_by_role("link").click()
    stop = main(reader).get_by_role("link", name=re.compile("unsubscribe")).get_attribute("href")
    assert stop
    carol.goto(stop)
    carol.get_by_role("button", name="Never write to me again").click()
    expect(main(carol)).to_contain_text("Nobody here writes to your address any more")
    carol.get_by_role("button", name="Delete my address").click()
    expect(main(carol)).to_contain_text("Your address is deleted")
    alice.reload()
    expect(main(alice)).to_contain_text("address deleted")

    # What the owner reads: the ratios of all invites, the outbox, the wording.
    olivia = people.sign_in("olivia@example.com", PASSWORD)
    olivia.goto("/admin/reports/links?range=30")
    card = olivia.locator("section", has=olivia.get_by_role("heading", name="Invites by e-mail"))
    expect(card).to_contain_text("3")
    expect(card).to_contain_text("33")
    olivia.goto("/admin/outbox")
    expect(main(olivia)).to_contain_text("Alice gives you £10 at Fernhill")
    olivia.get_by_role("link", name="Wording of mails").click()
    olivia.get_by_role("row", name=re.compile("A friend joined")).get_by_role(
        "link", name=re.compile("English")
    ).click()
    olivia.get_by_label("Subject").fill("{friend} is in")
    olivia.get_by_role("button", name="Preview").click()
    expect(main(olivia)).to_contain_text("Bob T. is in")
    olivia.get_by_role("button", name="Save").click()
    olivia.get_by_role("button", name="Send me a test").click()
    expect(main(olivia)).to_contain_text("A test is on its way to olivia@example.com.")
    send(settings)
    reader.goto("/dev/mail")
    expect(main(reader).get_by_role("row", name=re.compile("olivia@example.com")).first).to_contain_text("Bob T. is in")
