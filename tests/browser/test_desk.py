"""The admin's desk in a real browser: the queue by mouse and by keys, with script and without, two people in it."""

import re

import pytest
from playwright.sync_api import expect

from portal import program
from tests.browser.conftest import People
from tests.factories import PASSWORD, Scene


def waiting(scene: Scene, *names: str) -> None:
    """A pending reward for each of these friends."""
    for name in names:
        scene.order(scene.friend(name, of=scene.alice))


@pytest.mark.case(80)
def test_one_person_clears_the_queue(people: People, scene: Scene) -> None:
    assert scene.rita and scene.olivia
    waiting(scene, "Bob", "Ben", "Bea", "Bert", "Bo")
    rita, olivia = people.sign_in("rita@example.com", PASSWORD), people.sign_in("olivia@example.com", PASSWORD)
    for page in (rita, olivia):
        page.goto("/admin/rewards")
    said = rita.get_by_role("status")

    case = rita.get_by_role("listitem").filter(has=rita.get_by_role("link", name="Bob", exact=True))
    case.get_by_role("button", name="Approve").click()
    expect(said.filter(has_text="Approved the reward for Bob.")).to_be_visible()
    rita.get_by_role("button", name="Undo").first.click()
    expect(said.filter(has_text="1 reward is pending again")).to_be_visible()

    case = rita.get_by_role("listitem").filter(has=rita.get_by_role("link", name="Ben", exact=True))
    case.get_by_text("Reject …").click()
    case.get_by_label("Reason", exact=True).select_option("Test order")
    case.get_by_role("button", name="Reject the reward").click()
    expect(said.filter(has_text="Rejected the reward for Ben.")).to_be_visible()

    other = olivia.get_by_role("listitem").filter(has=olivia.get_by_role("link", name="Ben", exact=True))
    other.get_by_role("button", name="Approve").click()
    expect(olivia.get_by_role("status").filter(has_text="Rejected by Rita")).to_be_visible()

    rita.goto("/admin/rewards?order=newest")
    rita.get_by_label(re.compile("Select .* for Alice")).first.check()
    if people.script:
        expect(rita.get_by_text("1 selected · €20.00")).to_be_visible()
    rita.get_by_role("button", name="Approve selected").click()
    expect(said.filter(has_text="Approved 1 reward.")).to_be_visible()

    if people.script:
        rita.get_by_role("button", name="Keys").click()
        rita.keyboard.press("j")
        rita.keyboard.press("a")
        expect(said.filter(has_text=re.compile("Approved the reward for .*2 left"))).to_be_visible()

    rita.get_by_role("link", name="Approve all Clear …").click()
    expect(rita.get_by_text(re.compile("is Clear|are Clear"))).to_be_visible()
    rita.get_by_role("main").get_by_role("button", name="Approve").click()
    expect(rita.get_by_text("The queue is empty.")).to_be_visible()


def test_a_referral_is_read_held_and_noted(people: People, scene: Scene) -> None:
    assert scene.rita and scene.olivia
    waiting(scene, "Bob")
    rita = people.sign_in("rita@example.com", PASSWORD)
    rita.goto("/admin/rewards")
    rita.get_by_role("link", name="Bob", exact=True).click()
    expect(rita.get_by_role("heading", name="Why this referrer")).to_be_visible()
    rita.get_by_text("Hold …").click()
    rita.get_by_label("Hold until").fill("2027-02-01")
    rita.get_by_label("Reason, for colleagues").fill("We wait for the carrier.")
    rita.get_by_role("button", name="Hold the reward").click()
    expect(rita.get_by_text("Held by Rita until 1 Feb 2027")).to_be_visible()
    rita.get_by_label("A note about this referral").fill("They wrote to us.")
    rita.get_by_role("button", name="Write the note").click()
    expect(rita.get_by_role("main").get_by_text("Note by Rita")).to_be_visible()


def test_a_signal_is_dismissed_with_a_reason_and_a_claim_is_answered(people: People, scene: Scene) -> None:
    assert scene.rita and scene.alice
    scene.order(scene.friend("Mal", of=scene.alice, email="mal@mailinator.com"))
    nina = scene.person("Nina")
    scene.do(lambda: program.claim(nina, scene.code(scene.alice), at=scene.at))
    rita = people.sign_in("rita@example.com", PASSWORD)
    rita.goto("/admin/rewards?assessment=check")
    rita.get_by_role("link", name="Mal", exact=True).click()
    rita.locator("summary", has_text="Dismiss …").click()
    rita.locator("form[action$='/dismissal'] textarea").fill("The family's mail, they wrote to us.")
    rita.get_by_role("button", name="There is nothing behind it").click()
    main = rita.get_by_role("main")
    expect(main).to_contain_text("Dismissed by Rita")
    expect(main).to_contain_text("Rita dismissed a signal: Throw-away address")
    rita.goto("/admin/rewards?assessment=clear")
    expect(rita.get_by_role("link", name="Mal", exact=True)).to_be_visible()

    rita.goto("/admin/referrals")
    rita.get_by_role("button", name="Confirm").first.click()
    expect(main).to_contain_text("Confirmed: the friend counts from the day they joined.")
    expect(rita.get_by_role("link", name="Nina").first).to_be_visible()
