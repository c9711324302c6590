"""What the owner does about people, in a real browser, with script and without."""

import re

from playwright.sync_api import Page, expect

from portal.config import Settings
from tests.browser.conftest import AT_THE_DESK, People
from tests.browser.people import PASSWORD, mailed_link, staff


def main(page: Page):
    return page.get_by_role("main")


@AT_THE_DESK
def test_the_owner_imports_records_corrects_gives_a_friend_and_invites(people: People, settings: Settings) -> None:
    staff()
    olivia = people.sign_in("olivia@example.com", PASSWORD)

    # A file is checked; a faulty line is told; nothing is there before it is confirmed.
    olivia.goto("/admin/people")
    olivia.get_by_role("link", name="Import a file").click()
    olivia.get_by_role("radio", name=re.compile("^Customers")).check()
    rows = b"external_id,email,name\nC-1,bob@example.com,Bob\nC-2,nobody,Nobody\n"
    olivia.get_by_label("CSV file").set_input_files({"name": "shop.csv", "mimeType": "text/csv", "buffer": rows})
    olivia.get_by_role("button", name="Check the file").click()
    expect(main(olivia)).to_contain_text("Enter an e-mail like name@example.com.")
    expect(main(olivia)).to_contain_text("Nothing is stored so far.")
    olivia.get_by_role("button", name="Import 1 row").click()
    expect(olivia.get_by_role("heading", level=1)).to_have_text("Imported")

    # Bob came without a code: he is given to Alice by her code, with a reason.
    olivia.goto("/admin/people?q=C-1")
    olivia.get_by_role("link", name="Bob", exact=True).click()
    olivia.get_by_role("link", name="Correct who brought Bob").click()
    olivia.get_by_label("Code or e-mail address").fill("alice@example.com")
    olivia.get_by_label("Reason").fill("Alice told us, and Bob says so too.")
    olivia.get_by_role("button", name="Correct the referrer").click()
    expect(main(olivia)).to_contain_text("Alice, code")

    # An order by form: the same number again says what is there; Olivia does not decide what it earned.
    for said in ("The order is taken.", "is there since"):
        olivia.goto("/admin/people?q=bob@")
        olivia.get_by_role("link", name="Bob", exact=True).click()
        olivia.get_by_role("link", name="Record an order").click()
        olivia.get_by_label("Number of the order").fill("B-1")
        olivia.get_by_label("Amount of the order", exact=True).fill("64.00")
        olivia.get_by_role("button", name="Record the order").click()
        expect(main(olivia)).to_contain_text(said)
    expect(main(olivia)).to_contain_text("You recorded this order; a colleague decides it.")

    # A correction: pressed once, seen by Alice with its reason.
    olivia.goto("/admin/people?q=alice")
    olivia.get_by_role("link", name="Alice", exact=True).click()
    olivia.get_by_role("link", name="Correct the balance").click()
    olivia.get_by_label("Add to the balance").check()
    olivia.get_by_label("Amount", exact=True).fill("5.00")
    olivia.get_by_label("Reason").fill("We forgot your bonus.")
    olivia.get_by_role("button", name="Correct the balance").click()
    expect(main(olivia)).to_contain_text("Corrected.")
    alice = people.sign_in("alice@example.com", PASSWORD)
    alice.goto("/rewards")
    expect(main(alice)).to_contain_text("Correction: We forgot your bonus.")
    expect(main(alice)).to_contain_text("£5.00")

    # Shut out, Alice is out at her next click; let in, she signs in again.
    olivia.locator("summary", has_text="Shut Alice out").click()
    olivia.locator("form[action$='/shut-out'] textarea").fill("A stolen telephone.")
    olivia.get_by_role("button", name="Shut Alice out", exact=True).click()
    expect(main(olivia)).to_contain_text("Shut out since")
    alice.goto("/rewards")
    alice.wait_for_url("**/login")

    # A colleague is invited, chooses a password by the mailed link, and sees what the role shows.
    olivia.goto("/admin/colleagues")
    main(olivia).get_by_label("E-mail").fill("jo@example.com")
    olivia.get_by_label("Role").select_option("finance")
    olivia.get_by_role("button", name="Invite", exact=True).click()
    expect(main(olivia)).to_contain_text("A link is on its way to jo@example.com")
    jo = people.page()
    jo.goto(mailed_link(settings, "jo@example.com", "join"))
    jo.get_by_label("Password", exact=False).first.fill("quite a long password")
    jo.get_by_role("button", name="Set the password").click()
    jo.wait_for_url("**/login")
    jo.get_by_label("E-mail").fill("jo@example.com")
    jo.get_by_label("Password", exact=True).fill("quite a long password")
    main(jo).get_by_role("button", name="Sign in").click()
    jo.goto("/admin/payouts")
    expect(jo.get_by_role("heading", level=1)).to_have_text("Payouts")

    # All of it stands in the audit list, found by its address.
    olivia.goto("/admin/audit")
    olivia.get_by_label("Who").select_option(label="Olivia")
    olivia.get_by_label("What").select_option(label="Person")
    olivia.get_by_role("button", name="Show").click()
    assert "what=user" in olivia.url
    for line in ("Shut out of signing in", "Balance corrected · £5.00", "Colleague invited"):
        expect(main(olivia)).to_contain_text(line)


def test_how_it_will_look_follows_what_is_typed_and_leaving_with_it_unsent_asks_first(people: People) -> None:
    staff()
    olivia = people.sign_in("olivia@example.com", PASSWORD)
    asked: list[str] = []
    olivia.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    olivia.goto("/admin/program")
    if people.script:
        picture = olivia.get_by_role("complementary", name="How it will look")
        olivia.get_by_text("Add a rule").click()
        olivia.locator("#add-rule").get_by_label("Fixed amount").fill("40")
        olivia.keyboard.press("Tab")
        expect(picture).to_contain_text("Give £10, get £40")
        olivia.get_by_label("Colour").fill("#ffd400")
        olivia.keyboard.press("Tab")
        expect(olivia.locator("#tint")).to_contain_text("hard to read; the nearest that is fine is #")
        olivia.get_by_label("Days that a click counts").fill("900")
        olivia.keyboard.press("Tab")
        expect(picture).to_contain_text("This is still the picture of before. Days that a click counts")
        expect(picture).to_be_in_viewport()
        olivia.goto("/admin/program/history")
        assert asked == ["beforeunload"]
        olivia.goto("/admin/program")

    # What is pasted is not cut: it is counted, and refused whole.
    about = olivia.get_by_label("What the product is")
    about.fill("x" * 199)
    expect(olivia.get_by_text(" of 400")).to_be_hidden()
    about.fill("\N{ROASTED SWEET POTATO}" + "x" * 311)
    if people.script:
        expect(olivia.get_by_text("312 of 400")).to_be_visible()
        about.fill("x" * 401)
        expect(olivia.get_by_text("401 of 400 · Too long")).to_be_visible()
    about.fill("x" * 401)
    olivia.get_by_role("button", name="Publish version 2").last.click()
    expect(olivia.locator(".error-summary")).to_contain_text("Use at most 400 characters; these are 401.")
    expect(olivia.get_by_label("What the product is")).to_have_value("x" * 401)
    olivia.get_by_label("What the product is").fill("")

    # One wrong field of the long form: its summary has the focus and is in sight.
    olivia.get_by_label("Time zone").fill("Mars")
    olivia.get_by_role("button", name="Publish version 2").last.click()
    summary = olivia.locator(".error-summary")
    expect(summary.get_by_role("link")).to_contain_text("Time zone: Write a time zone such as Europe/Berlin.")
    if people.script:
        expect(summary).to_be_focused()
        expect(summary).to_be_in_viewport()
    olivia.get_by_label("Time zone").fill("Europe/Paris")
    olivia.get_by_role("link", name="Payouts", exact=True).last.click()
    olivia.get_by_label("Pay day").fill("1")
    olivia.get_by_role("region", name="Payouts").get_by_role("button", name="Publish version 2").click()
    expect(main(olivia)).to_contain_text("Saved. New sign-ups use this from now on.")
    expect(olivia.get_by_label("Time zone")).to_have_value("Europe/Paris")  # any of its buttons saves the whole form
    expect(olivia.get_by_label("Pay day")).to_have_value("1")

    # A rule is looked at and changed; another is removed once its page has been read.
    main(olivia).get_by_role("link", name="Change £25.00").click()
    olivia.get_by_label("Fixed amount").fill("20.00")
    olivia.get_by_role("button", name="Look first").click()
    expect(main(olivia)).to_contain_text("→ The referrer: £20.00")
    olivia.get_by_role("button", name="Publish version 3").click()
    expect(main(olivia)).to_contain_text("£20.00 for a first order")
    main(olivia).get_by_role("link", name="Remove … £10.00").click()
    olivia.get_by_role("button", name="Remove the rule").click()
    expect(main(olivia)).to_contain_text("The rule is gone for new sign-ups")
    assert len(asked) == (1 if people.script else 0)


def test_what_was_changed_in_one_form_is_not_lost_in_silence_by_looking_at_another(people: People) -> None:
    staff()
    olivia = people.sign_in("olivia@example.com", PASSWORD)
    olivia.goto("/admin/program")
    warned = olivia.locator("noscript .notice", has_text="each form of this page is sent alone")
    if not people.script:
        expect(warned).to_be_visible()
        return
    expect(warned).to_have_count(0)
    olivia.get_by_label("Program name").fill("Acme")
    olivia.get_by_label("Colour").fill("#ffd400")
    look, publish = (
        olivia.locator(form).get_by_role("button", name=name).first
        for form, name in (("#look", "Look first"), ("#change", "Publish version 2"))
    )
    olivia.on("dialog", lambda dialog: dialog.dismiss())
    for button in (look, look, publish):  # each leaves the other form unsent, and who stays has sent nothing
        with olivia.expect_event("dialog") as asked:
            button.click()
        assert asked.value.type == "beforeunload"
        expect(olivia.get_by_label("Program name")).to_have_value("Acme")
        expect(olivia.get_by_label("Colour")).to_have_value("#ffd400")
