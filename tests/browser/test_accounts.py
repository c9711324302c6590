"""One's own account in a real browser: two-step, recovery codes, passkeys, another address, other devices, deletion."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from passlib.totp import TOTP
from playwright.sync_api import Browser, Page, expect

from portal.accounts import two_step
from portal.config import Settings
from portal.core import clock, database
from tests.browser.conftest import People
from tests.browser.people import PASSWORD, mailed_link, staff

ALICE, NEW = "alice@example.com", "quite another password"


@pytest.fixture
def settings(settings: Settings, unused_port: int) -> Settings:
    """A portal with a name: browsers make no passkeys for a number."""
    return replace(settings, base_url=f"http://localhost:{unused_port}")


@pytest.fixture
def people(browser: Browser, live: str) -> Iterator[People]:
    opened = People(browser, live, script=True)
    yield opened
    opened.close()


def main(page: Page):
    return page.get_by_role("main")


def type_password(page: Page) -> None:
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    main(page).get_by_role("button", name="Sign in", exact=True).click()


def next_code(app: TOTP) -> str:
    """The code of the app now; what was taken before is forgotten, as if half a minute had passed."""
    with database.writing():
        database.session.execute(two_step.sa.update(two_step.SecondStep).values(last_counter=0))
    return app.generate(clock.now()).token


def test_two_step_a_recovery_code_and_signing_out_the_others(people: People) -> None:
    staff()
    alice = people.sign_in(ALICE, PASSWORD)
    alice.goto("/account/security")
    alice.get_by_text("Turn it on …").click()
    alice.locator("[name=two-step-current]").fill(PASSWORD)
    alice.get_by_role("button", name="Set up an app").click()
    picture = alice.get_by_alt_text("A QR code with the secret for your app")
    expect(picture).to_be_visible()
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth > 0)")
    app = TOTP(key=(main(alice).locator("code").text_content() or "").replace(" ", ""))
    alice.get_by_label("Code", exact=True).fill(app.generate(clock.now()).token)
    alice.get_by_role("button", name="Turn two-step sign-in on").click()
    expect(alice.get_by_role("heading", level=1)).to_have_text("Your recovery codes")
    codes = main(alice).locator("ol code").all_text_contents()
    assert len(codes) == 10
    with alice.expect_download() as saved:
        alice.get_by_role("button", name="Download").click()
    assert saved.value.path().read_text().split() == codes

    phone = people.page()
    phone.goto("/login")
    phone.get_by_label("E-mail").fill(ALICE)
    type_password(phone)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Your code")
    phone.get_by_label("Code", exact=True).fill("000000")
    main(phone).get_by_role("button", name="Sign in").click()
    expect(main(phone)).to_contain_text("This code is not right")
    phone.get_by_label("Code", exact=True).fill(next_code(app))
    main(phone).get_by_role("button", name="Sign in").click()
    phone.wait_for_url("**/dashboard")

    lost = people.page()
    lost.goto("/login")
    lost.get_by_label("E-mail").fill(ALICE)
    type_password(lost)
    lost.get_by_label("Code", exact=True).fill(codes[3])
    main(lost).get_by_role("button", name="Sign in").click()
    lost.wait_for_url("**/dashboard")
    lost.goto("/account/security")
    expect(main(lost)).to_contain_text("9 of 10 left")
    expect(main(lost)).to_contain_text("Chrome on Linux")
    lost.get_by_role("button", name="Sign out everywhere else").click()
    expect(main(lost)).to_contain_text("Every other device is signed out.")
    phone.goto("/account")
    phone.wait_for_url("**/login")


def test_a_passkey_is_added_signs_in_and_is_removed(people: People) -> None:
    staff()
    alice = people.sign_in(ALICE, PASSWORD)
    devices = alice.context.new_cdp_session(alice)
    devices.send("WebAuthn.enable")
    given = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
             "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": given})
    alice.goto("/account/security")
    alice.get_by_text("Add a passkey …").click()
    alice.get_by_label("What to call it").fill("My laptop")
    alice.locator("[name=passkey-current]").fill("not the password")
    alice.get_by_role("button", name="Add a passkey").click()
    expect(main(alice)).to_contain_text("This password is not right.")
    alice.locator("[name=passkey-current]").fill(PASSWORD)
    alice.get_by_role("button", name="Add a passkey").click()
    expect(main(alice)).to_contain_text("The passkey is there.")
    row = main(alice).get_by_role("row", name=re.compile("My laptop"))
    expect(row).to_contain_text("never")

    alice.context.clear_cookies()
    alice.goto("/login")
    alice.get_by_role("button", name="Sign in with a passkey").click()
    alice.wait_for_url("**/dashboard")
    alice.goto("/account/security")
    expect(row).not_to_contain_text("never")
    alice.get_by_text("Remove “My laptop” …").click()
    alice.locator("[name=removal-current]").fill(PASSWORD)
    alice.get_by_role("button", name="Remove “My laptop”").click()
    expect(main(alice)).to_contain_text("The passkey is removed.")

    alice.context.clear_cookies()
    alice.goto("/login")
    alice.get_by_role("button", name="Sign in with a passkey").click()
    expect(main(alice)).to_contain_text("This passkey is not known here")


def test_another_address_the_way_back_and_the_end_of_the_account(people: People, settings: Settings) -> None:
    staff()
    alice = people.sign_in(ALICE, PASSWORD)
    alice.goto("/account/security")
    alice.get_by_text("Change your e-mail …").click()
    alice.get_by_label("New e-mail").fill("alice.new@example.com")
    alice.locator("[name=address-current]").fill(PASSWORD)
    alice.get_by_role("button", name="Send the link").click()
    expect(main(alice)).to_contain_text("Waiting for alice.new@example.com")
    reader = people.page()
    reader.goto(mailed_link(settings, "alice.new@example.com", "address"))
    reader.get_by_role("button", name="Confirm e-mail").click()
    expect(reader.get_by_role("heading", level=1)).to_have_text("Sign in")
    alice.reload()
    expect(main(alice)).to_contain_text("alice.new@example.com")

    reader.goto(mailed_link(settings, ALICE, "address-back"))
    reader.get_by_role("button", name="Take it back").click()
    expect(reader.get_by_role("main").or_(reader.locator("body"))).to_contain_text(["yours again"])
    alice.goto("/account")
    alice.wait_for_url("**/login")
    reader.goto(mailed_link(settings, ALICE, "reset"))
    reader.get_by_label("New password", exact=True).fill(NEW)
    reader.get_by_role("button", name="Set the password").click()

    again = people.sign_in(ALICE, NEW)
    again.goto("/account/data")
    with again.expect_download() as saved:
        main(again).get_by_role("link", name="Download your data").click()
    assert ALICE in saved.value.path().read_text()
    again.get_by_text("Delete your account …").click()
    again.get_by_label("Your password").fill(NEW)
    again.get_by_label("Delete my account for good").check()
    again.get_by_role("button", name="Delete my account").click()
    expect(again.locator("body")).to_contain_text("Your account is deleted.")
    again.goto("/login")
    again.get_by_label("E-mail").fill(ALICE)
    again.get_by_label("Password", exact=True).fill(NEW)
    main(again).get_by_role("button", name="Sign in", exact=True).click()
    expect(main(again)).to_contain_text("do not match")
