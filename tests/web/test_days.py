"""The days that pages name: about when the next payout goes out, and by when a reward is checked."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from portal import sweeps, terms
from portal.accounts.roles import Role
from portal.core.database import session
from portal.payouts.payouts import Batch
from tests.factories import fixed

ABOUT = "about 1 Oct 2026"


def pages(scene, tab_of):
    """What a referrer with something ready reads about payouts."""
    alice = tab_of(scene.alice)
    friend = scene.referral(scene.bob).public_id
    return {path: alice.get(path).text for path in ("/rewards", "/payouts", f"/friends/{friend}", "/terms", "/help")}


def test_without_a_pay_day_no_page_names_one(scene, tab_of):
    scene.payable_reward()
    for path, text in pages(scene, tab_of).items():
        assert "about" not in text.replace("told us about", "").replace("tells about", ""), path
    finn = tab_of(scene.colleague("Fay", Role.FINANCE))
    assert "pay day" not in finn.get("/admin/payouts").text.lower()
    assert "no fixed day" in finn.get("/admin/program").text


def test_with_a_pay_day_every_page_that_speaks_of_the_next_payout_names_it(scene, tab_of):
    reward = scene.payable_reward()
    scene.publish(pay_day=1)
    scene.at = datetime(2026, 10, 12, 9, tzinfo=ZoneInfo("UTC"))
    said = pages(scene, tab_of)
    assert "goes out with the next payout, about 1 Nov 2026" in said["/rewards"]
    assert "Goes out with the next payout, about 1 Nov 2026, once the balance reaches" in said["/rewards"]
    assert "goes out with the next payout, about 1 Nov 2026" in said["/payouts"]
    friend = said[f"/friends/{reward.referral.public_id}"]
    assert "Next: goes out with a payout, about 1 Nov 2026" in friend
    assert "Payouts go out about the same day of each month, next about 1 Nov 2026." in said["/terms"]
    assert "goes out with the next payout, about 1 Nov 2026." in said["/help"]
    assert "about 1 Nov 2026" in tab_of(scene.alice).get("/rewards.csv").body.decode()
    carol = tab_of(scene.carol)
    assert "The next one is about 1 Nov 2026." in carol.get("/payouts").text
    page = tab_of(scene.colleague("Fay", Role.FINANCE)).get("/admin/payouts")
    assert "Next pay day: 1 Nov 2026." in page.text and "It pays nobody by itself" in page.text
    assert "pay day 1 Nov 2026" in tab_of(scene.olivia).get("/admin").text


def test_the_example_of_a_mail_names_the_pay_day_and_a_text_of_ones_own_does_not_begin_with_it(scene, tab_of):
    assert "The next one is about" not in tab_of(scene.alice).get("/account/mails/rewards").text
    scene.publish(pay_day=15)
    assert "The next one is about 15 September 2026." in tab_of(scene.alice).get("/account/mails/rewards").text
    page = tab_of(scene.olivia).get("/admin/mails/reward_ready/en")
    assert "The next one is about 15 September 2026." in page.text
    assert "The next one" not in page.kept("body")[0], "which would stand there for ever"


def test_new_payout_details_that_are_held_beyond_the_pay_day_go_out_with_the_one_after(scene, tab_of):
    scene.payable_reward()
    scene.publish(pay_day=3)
    scene.at = datetime(2026, 10, 2, 9, tzinfo=ZoneInfo("UTC"))
    assert "goes out with the next payout, about 3 Oct 2026" in tab_of(scene.alice).get("/payouts").text
    scene.method(scene.alice)
    assert "goes out with the next payout, about 3 Nov 2026" in tab_of(scene.alice).get("/payouts").text


def test_a_gift_that_is_ready_names_the_pay_day_too(scene, tab_of):
    scene.publish(fixed(1000, to="referee", hold_days=0), pay_day=28)
    scene.order(scene.bob)
    scene.approve(scene.reward(scene.bob))
    said = "It goes out with the next payout, about 28 Sept 2026, once the balance"
    assert said in tab_of(scene.bob).get("/dashboard").text


def test_a_referrer_reads_by_when_a_reward_is_checked_and_that_we_are_late(scene, tab_of):
    reward = scene.pending_reward()
    alice, friend = tab_of(scene.alice), f"/friends/{reward.referral.public_id}"
    assert "We check it before it is paid. It is held until 1 Oct 2026" in alice.get("/rewards").text
    scene.publish(review_days=5)
    assert "We check it by 6 Sept 2026. It is held until 1 Oct 2026" in alice.get("/rewards").text
    assert "Next: we check it by 6 Sept 2026" in alice.get(friend).text
    assert "We check it by 6 Sept 2026." in alice.get("/rewards.csv").body.decode()
    assert "we check it within 5 days." in alice.get("/help").text
    assert "A reward is checked within 5 days after it was made" in alice.get("/terms").text
    scene.later(days=5, hours=11)
    assert "We check it by 6 Sept 2026." in alice.get("/rewards").text, "a day is over when it is over"
    scene.later(hours=1)
    assert "We meant to check it by 6 Sept 2026, and are late. It is held until" in alice.get("/rewards").text
    assert "Next: we check it. Its hold ends on 1 Oct 2026" in alice.get(friend).text
    scene.later(days=30)
    alice = tab_of(scene.alice)
    late = alice.get("/rewards").text
    assert "and are late." in late and "held until" not in late, "what is over is not told as ahead"
    scene.approve(reward)
    assert "are late" not in alice.get("/rewards").text


def test_where_the_terms_may_approve_nobody_is_promised_a_look_before_the_hold_has_passed(scene, tab_of):
    scene.publish(review_days=5, auto_approve_below_minor=5000)
    scene.pending_reward()
    page = tab_of(scene.alice).get("/rewards").text
    assert "We check it by 1 Oct 2026. It is held until 1 Oct 2026" in page
    told = tab_of(scene.alice).get("/terms").text
    assert "Rewards below €50.00 may be checked only when their hold has passed." in told


def test_what_waits_since_its_person_is_suspended_is_neither_promised_nor_overdue(scene, tab_of):
    scene.publish(review_days=5)
    scene.pending_reward()
    scene.suspend(scene.alice)
    assert "We check it before it is paid." in tab_of(scene.alice).get("/rewards").text
    scene.later(days=6)
    queue = tab_of(scene.rita).get("/admin/rewards?overdue=y").main
    assert "No reward in the queue matches." in queue and "due since" not in queue
    assert "past the review deadline" not in tab_of(scene.olivia).get("/admin").text


def test_the_queue_marks_what_is_due_and_the_overview_counts_what_is_overdue(scene, tab_of):
    scene.publish(review_days=5)
    scene.pending_reward()
    rita, olivia = tab_of(scene.rita), tab_of(scene.olivia)
    assert "due by 6 Sept 2026" in rita.get("/admin/rewards").text
    assert "past the review deadline" not in olivia.get("/admin").text
    scene.later(days=6)
    scene.order(scene.friend("Nina", of=scene.alice))
    assert "due since 6 Sept 2026" in rita.get("/admin/rewards").text
    page = olivia.get("/admin")
    (link,) = [one for one in page.tree.all("a") if "past the review deadline" in one.text]
    assert link.text == "1 reward is past the review deadline"
    queue = olivia.get(link.get("href"))
    assert "Bob" in queue.main and "Nina" not in queue.main
    (box,) = [one for one in queue.tree.all("input") if one.get("name") == "overdue"]
    assert "checked" in box.attributes
    scene.publish(review_days=None)
    assert "due since" not in rita.get("/admin/rewards").text


@pytest.mark.parametrize("day", [1, 28])
def test_a_pay_day_pays_nobody_by_itself(scene, tab_of, day):
    scene.payable_reward()
    scene.publish(pay_day=day)
    today = datetime(2026, 11, day, 12, tzinfo=ZoneInfo(terms.in_force().time_zone))
    for scene.at in (today - timedelta(days=1), today, today + timedelta(days=1)):
        for job in (sweeps.approve_and_release, sweeps.expire, sweeps.seal):
            job()
    assert session.query(Batch).count() == 0 and scene.balance(scene.alice) == {"payable": 2000}
