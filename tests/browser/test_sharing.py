"""What referrers and friends do, in a real browser, with script and without: the second journey beside the thread."""

import re

from playwright.sync_api import Page, expect

from portal.config import Settings
from portal.core.database import session
from portal.referrals import claims
from tests.browser.conftest import People
from tests.browser.people import PASSWORD, mailed_link, staff


def main(page: Page):
    return page.get_by_role("main")


def joins(page: Page, email: str, name: str) -> None:
    """Fills in the sign-up form and sends it."""
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill("a password of a friend")
    page.get_by_label("First name", exact=False).first.fill(name)
    page.get_by_label("I accept").check()
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/check-your-email")


def test_a_referrer_shares_in_every_way_that_the_pages_offer(people: People, settings: Settings) -> None:
    staff()
    alice = people.sign_in("alice@example.com", PASSWORD)

    # Home, without scrolling: the link, its QR code, the invite form, the credits.
    alice.set_viewport_size({"width": 1280, "height": 800})
    for part in (alice.get_by_label("Your link"), alice.get_by_alt_text("QR code of your link"),
                 alice.get_by_label("One or more e-mail addresses"), alice.get_by_text("Ready to pay")):  # fmt: skip
        expect(part.first).to_be_in_viewport()
    expect(alice.get_by_role("button", name="Copy link")).to_have_count(1 if people.script else 0)
    first_step = alice.get_by_role("listitem").filter(has_text="It stands at the top of this page")
    expect(first_step).not_to_contain_text("done")
    if people.script:
        alice.context.grant_permissions(["clipboard-read", "clipboard-write"])
        alice.get_by_role("button", name="Copy link").click()
        copied = alice.evaluate("navigator.clipboard.readText()")
        assert re.fullmatch(rf"{settings.base_url}/r/[a-z0-9]{{9}}", copied)
        expect(main(alice)).to_contain_text("Copied")
        expect(first_step).to_contain_text("Copy your link – done")
        alice.reload()
        expect(first_step).to_contain_text("Copy your link – done")
    alice.locator("summary", has_text="Share").click()
    assert "wa.me" in (alice.get_by_role("link", name=re.compile("WhatsApp")).get_attribute("href") or "")
    assert (alice.get_by_role("link", name="E-mail", exact=True).get_attribute("href") or "").startswith("mailto:")
    for kind in ("SVG", "PNG"):
        with alice.expect_download() as download:
            alice.get_by_role("link", name=kind).click()
        assert download.value.suggested_filename.endswith(kind.lower())
    alice.get_by_role("link", name="Poster").click()
    expect(main(alice)).to_contain_text("Alice gives you £10")

    # An invite with its own code and its message; what is mistyped stays in the field.
    alice.goto("/dashboard")
    alice.get_by_label("One or more e-mail addresses").fill("bob@example.com, carol@gmial.com")
    alice.get_by_role("button", name="Send invites").click()
    expect(main(alice)).to_contain_text("Did you mean carol@gmail.com?")
    expect(alice.get_by_label("One or more e-mail addresses")).to_have_value("carol@gmial.com")
    alice.get_by_role("row", name=re.compile("bob@example.com")).locator("summary", has_text="Message").click()
    message = alice.get_by_label("Message to bob@example.com").input_value()
    (link,) = re.findall(r"http://\S+", message)
    assert (alice.get_by_role("link", name="Open in my mail program").get_attribute("href") or "").startswith(
        "mailto:bob@example.com?subject="
    )

    # A friend on a phone reads who gives what, and joins by it.
    bob = people.page()
    bob.set_viewport_size({"width": 360, "height": 640})
    bob.goto(link)
    expect(bob.get_by_role("heading", level=1)).to_have_text("Alice gives you £10")
    expect(bob.get_by_role("link", name="Claim £10")).to_be_in_viewport()
    joins(bob, "bob@example.com", "Bob")
    bob.goto(mailed_link(settings, "bob@example.com"))
    main(bob).get_by_role("button").click()
    expect(main(bob)).to_contain_text("Your gift from Alice")
    expect(bob.get_by_label("Your own link")).to_be_visible()
    alice.goto("/invites")
    expect(main(alice).get_by_role("row", name=re.compile("bob@example.com"))).to_contain_text("Joined")

    # Another one does not know her, and comes in without her.
    dora = people.page()
    dora.goto(f"/r/{link.rpartition('/')[2]}")
    dora.get_by_role("button", name="I do not know Alice").click()
    expect(dora.get_by_role("heading", level=1)).not_to_contain_text("Alice")
    joins(dora, "dora@example.com", "Dora")
    dora.goto(mailed_link(settings, "dora@example.com"))
    main(dora).get_by_role("button").click()

    # Dora remembers after all, and Alice says yes.
    dora.goto("/dashboard")
    dora.get_by_label("Their code or e-mail address").fill("alice@example.com")
    dora.get_by_role("button", name="Ask them").click()
    expect(main(dora)).to_contain_text("We have asked")
    alice.goto("/dashboard")
    alice.get_by_role("button", name="Yes, I did").click()
    expect(main(alice)).to_contain_text("They count as your friend")
    dora.reload()
    expect(main(dora)).to_contain_text("That is confirmed")
    session.rollback()
    assert claims.waiting() == []


def test_more_links_a_code_typed_on_another_device_and_a_walk_through_ones_own_link(
    people: People, settings: Settings
) -> None:
    staff()
    alice = people.sign_in("alice@example.com", PASSWORD)
    alice.goto("/links")
    alice.get_by_label("Name").fill("Newsletter")
    alice.get_by_label("Own code").fill("admin")
    alice.get_by_role("button", name="Make link").click()
    expect(main(alice)).to_contain_text("kept for the portal")
    expect(alice.get_by_label("Name")).to_have_value("Newsletter")
    alice.get_by_label("Own code").fill("alice-news")
    alice.get_by_role("button", name="Make link").click()
    alice.get_by_role("link", name="Newsletter").click()
    expect(main(alice)).to_contain_text("alice-news")

    # Test my link: the friend's steps, nothing stored.
    alice.get_by_role("link", name="Test my link").click()
    alice.get_by_label("E-mail").fill("somebody@example.com")
    alice.get_by_label("Password", exact=True).fill("a password of a friend")
    alice.get_by_label("I accept").check()
    alice.get_by_role("button", name="Create account (test)").click()
    alice.get_by_role("link", name="Open the link in the mail (test)").click()
    alice.get_by_role("link", name="Confirm e-mail (test)").click()
    expect(main(alice)).to_contain_text("Your gift: £10.00")

    # On a second device the code is typed; a wrong one is said at its field and what was typed stays.
    bob = people.page()
    bob.goto("/signup")
    bob.locator("summary", has_text="Have a code?").click()
    bob.get_by_label("Code", exact=True).fill("nobody-has-this")
    bob.get_by_label("E-mail").fill("bob@example.com")
    bob.get_by_label("Password", exact=True).fill("a password of a friend")
    bob.get_by_label("I accept").check()
    bob.get_by_role("button", name="Create account").click()
    expect(main(bob)).to_contain_text("We do not know this code")
    expect(bob.get_by_label("E-mail")).to_have_value("bob@example.com")
    bob.get_by_label("Code", exact=True).fill("ALICE-News")
    joins(bob, "bob@example.com", "Bob")
    bob.goto(mailed_link(settings, "bob@example.com"))
    main(bob).get_by_role("button").click()
    expect(main(bob)).to_contain_text("Your gift from Alice")

    # The friend stands in the list, found by the link's name; the receipt says how they came.
    alice.goto("/friends?q=newsletter")
    alice.get_by_role("link", name="Bob").click()
    expect(main(alice)).to_contain_text("Typed your code")
    expect(main(alice)).to_contain_text("Newsletter")
    alice.goto("/dashboard?range=all")
    expect(main(alice)).to_contain_text("1 friend joined")

    # A member and the owner each get a page of their own.
    bob.goto("/r/alice-news")
    expect(main(bob)).to_contain_text("You already have an account")
    alice.goto("/r/alice-news")
    expect(main(alice)).to_contain_text("This is your own link")
    bob.goto("/r/nothing-like-it")
    expect(main(bob)).to_contain_text("does not lead anywhere")
