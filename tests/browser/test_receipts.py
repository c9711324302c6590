"""What a referrer reads about what was earned, in a real browser: the receipt, the payout's lines, files, an appeal."""

from playwright.sync_api import expect

from tests.browser.conftest import People
from tests.factories import PASSWORD, Scene


def test_a_referrer_reads_the_receipt_and_the_payout_takes_the_files_and_asks_again(
    people: People, scene: Scene
) -> None:
    scene.click(scene.alice, "v" * 20)
    scene.friend("Bob", of=scene.alice, visitor="v" * 20)
    paid = scene.paid_reward()
    payout = scene.payout_of(paid)
    turned_down = scene.friend("Ben", of=scene.alice)
    scene.order(turned_down)
    rejected = next(reward for reward in scene.rewards(scene.alice) if reward.referral.referee_id == turned_down.id)
    scene.reject(rejected)
    name = rejected.referral.public_id

    alice = people.sign_in("alice@example.com", PASSWORD)
    main = alice.get_by_role("main")
    alice.goto(f"/friends/{paid.referral.public_id}")
    for step in ("Joined", "Order counted", "Paid"):
        expect(main).to_contain_text(step)
    expect(main).to_contain_text("€20.00 fixed")
    expect(main).to_contain_text("version")

    alice.goto("/payouts")
    alice.get_by_role("link", name=payout.reference).first.click()
    expect(main).to_contain_text(payout.reference)
    expect(main).to_contain_text("€20.00")

    for page, kind in (("/friends", "CSV"), ("/rewards", "XLSX"), ("/payouts", "CSV")):
        alice.goto(page)
        alice.get_by_label("From", exact=True).fill("2020-01-01")
        with alice.expect_download() as download:
            alice.get_by_role("button", name=kind, exact=True).click()
        assert download.value.suggested_filename.endswith(kind.lower())
        assert download.value.path().stat().st_size > 50

    alice.goto(f"/friends/{name}")
    expect(main).to_contain_text("Not eligible")
    alice.locator("summary", has_text="Ask us to look again").click()
    alice.get_by_label("What should we look at?").fill("Ben was never a customer before.")
    alice.get_by_role("button", name="Ask to look again").click()
    expect(main).to_contain_text("Ben was never a customer before.")
    rita = people.sign_in(scene.rita.email, PASSWORD)
    rita.goto(f"/admin/referrals/{name}")
    rita.get_by_label("Your answer; the person reads it").fill("We looked again, and it stays.")
    rita.get_by_role("button", name="Answer").click()
    alice.reload()
    expect(main).to_contain_text("We looked again, and it stays.")
