"""The queue and the page of a referral, as colleagues use them: by row, in bulk, all Clear, two at once."""

import pytest

from portal import program
from portal.core.database import session
from portal.rewards.rewards import Reward, State
from tests.web.tables import Unchanged


def rewards_of_friends(scene, *names):
    """A pending reward of Alice's for each of these friends."""
    for name in names:
        scene.later(minutes=1)
        scene.order(scene.friend(name, of=scene.alice))
    return scene.rewards(scene.alice)


def form(page, action):
    return next(one for one in page.forms if one.action.split("?")[0].endswith(action))


def test_a_decision_says_what_was_done_and_is_taken_back_by_one_press(scene, tab_of):
    (reward,) = rewards_of_friends(scene, "Bob")
    rita = tab_of(scene.rita)
    page = rita.submit(form(rita.get("/admin/rewards"), "/approval"))
    assert "Approved the reward for Bob." in page.main and "The queue is empty." in page.main
    page = rita.submit(form(page, "/admin/rewards/undo"))
    assert "Taken back: 1 reward is pending again." in page.main and "Bob" in page.main
    scene.later(minutes=5)
    page = rita.submit(form(page, "/approval"))
    scene.later(minutes=3)
    page = rita.submit(form(page, "/admin/rewards/undo"))
    assert "It is too late for this." in page.main
    assert scene.reward(scene.alice).state == State.APPROVED
    assert reward.id == scene.reward(scene.alice).id


def test_with_script_a_decision_answers_with_its_row_alone(scene, tab_of):
    first, _ = rewards_of_friends(scene, "Bob", "Ben")
    rita = tab_of(scene.rita)
    script = {"HX-Request": "true"}
    token = rita.token()
    row = rita.post(f"/admin/rewards/{first.public_id}/approval", {"csrf_token": token}, headers=script)
    assert row.status == 200 and f'id="case-{first.public_id}"' in row.html and "approved by Rita" in row.html
    assert "Approved the reward for Bob. 1 left." in row.html and "/admin/rewards/undo" in row.html
    again = rita.post(f"/admin/rewards/{first.public_id}/approval", {"csrf_token": token}, headers=script)
    assert "Approved by Rita at" in again.html and "/admin/rewards/undo" not in again.html


@pytest.mark.case(80)
def test_two_reviewers_see_each_others_decisions(scene, tab_of):
    first, second = rewards_of_friends(scene, "Bob", "Ben")
    rita, olivia = tab_of(scene.rita), tab_of(scene.olivia)
    seen = olivia.get("/admin/rewards")
    rita.submit(form(rita.get("/admin/rewards"), f"{first.public_id}/approval"))
    asked = f"/admin/rewards/decided?shown={first.public_id}&shown={second.public_id}&shown=nothing"
    told = olivia.get(asked, headers={"HX-Request": "true"})
    assert f'id="case-{first.public_id}"' in told.html and second.public_id not in told.html
    assert "approved by Rita" in told.html
    assert "Approved by Rita at" in olivia.submit(form(seen, f"{first.public_id}/rejection")).main


def test_all_that_is_clear_is_approved_only_as_it_was_shown(scene, tab_of):
    first, second = rewards_of_friends(scene, "Bob", "Ben")
    rita = tab_of(scene.rita)
    page = rita.get("/admin/rewards/clear")
    assert "2 rewards are Clear, €40.00 in all." in page.main
    scene.refund(first.conversion.external_id, 1600)
    with Unchanged("sign_ins"):
        again = rita.submit(form(page, "/admin/rewards/clear"))
    assert "nothing was approved. Look again." in again.main and "€35.00 in all" in again.main
    done = rita.submit(form(again, "/admin/rewards/clear"))
    assert "Approved 2 rewards." in done.main and scene.balance(scene.alice) == {"approved": 3500}
    assert "Nothing that is Clear waits for you." in rita.get("/admin/rewards/clear").main
    assert second.state == State.APPROVED


def test_those_selected_are_approved_rejected_or_held_and_the_filter_stays(scene, tab_of):
    made = rewards_of_friends(scene, "Bob", "Ben", "Bea", "Bert")
    names = [reward.public_id for reward in made]
    rita = tab_of(scene.rita)
    page = rita.get("/admin/rewards?order=newest&least=5.00")
    token = {"csrf_token": page.token}
    told = rita.post("/admin/rewards/approvals?order=newest", token | {"reward": names[:2]}, follow=True)
    assert told.path == "/admin/rewards?order=newest" and "Approved 2 rewards." in told.main
    reasons = {"reward": names[1:3], "reason": "test_order", "told": "The order was only a test."}
    told = rita.post("/admin/rewards/rejections", token | reasons, follow=True)
    assert "Rejected 1 reward." in told.main and "Approved by Rita at" in told.main
    told = rita.post(
        "/admin/rewards/holds", token | {"reward": names[3], "until": "2027-01-31", "note": "Wait."}, follow=True
    )
    assert "Held 1 reward." in told.main and "hold until 31 Jan 2027" in told.main
    for wrong in (
        {"until": "2027-02-30", "note": "x"},
        {"until": "2027-02-01", "note": ""},
        {"until": "1999-01-01", "note": "x"},
    ):
        with Unchanged("sign_ins"):
            rita.post("/admin/rewards/holds", token | {"reward": names[3]} | wrong, follow=True)
    assert "Select at least one reward." in rita.post("/admin/rewards/approvals", token, follow=True).main
    assert [reward.state for reward in scene.rewards(scene.alice)] == ["approved", "approved", "rejected", "pending"]


def test_filters_stand_in_the_address_and_what_cannot_be_read_is_told_at_its_field(scene, tab_of):
    rewards_of_friends(scene, "Bob", "Ben")
    vera = tab_of(scene.rita)
    wrong = vera.get("/admin/rewards?least=x&older=-1&referrer=nobody@example.com&assessment=wild&order=sideways")
    assert wrong.status == 422 and "Bob" in wrong.main
    assert "Write an amount like 12.50." in wrong.main and "Write a number of days from 0 to 3650." in wrong.main
    assert "Nobody has this address or code." in wrong.main
    none = vera.get("/admin/rewards?most=1.00&referrer=alice@example.com")
    assert "No reward in the queue matches." in none.main
    assert "2 wait, the oldest for" in none.main
    assert "Bob" in vera.get(f"/admin/rewards?referrer={scene.code(scene.alice)}").main


def test_a_colleague_notes_something_that_only_colleagues_read(scene, tab_of):
    (reward,) = rewards_of_friends(scene, "Bob")
    referral = reward.referral
    address = f"/admin/referrals/{referral.public_id}"
    rita = tab_of(scene.rita)
    page = rita.submit(form(rita.get(address), "/notes"), text="They wrote to us. <b>Twice</b>")
    assert "They wrote to us. <b>Twice</b>" in page.main and "Note by Rita" in page.main
    assert "They wrote" not in tab_of(scene.alice).get(f"/friends/{referral.public_id}").main
    assert "Write something." in rita.submit(form(page, "/notes"), text=" ").main
    page = rita.submit(form(page, "/notes"), text="x" * 1001)
    assert page.status == 422 and page.kept("text") == ["x" * 1001]
    assert page.error("text") == "Use at most 1000 characters; these are 1001."


@pytest.mark.case(46)
def test_a_reviewer_dismisses_a_signal_with_a_reason_that_stands_in_the_story(scene, tab_of):
    friend = scene.friend("Mal", of=scene.alice, email="mal@mailinator.com")
    scene.order(friend)
    address = f"/admin/referrals/{scene.referral(friend).public_id}"
    rita = tab_of(scene.rita)
    page = rita.get(address)
    assert "Check" in page.main
    for reason, told in (
        ("", "Write why there is nothing behind it"),
        ("x" * 501, "Use at most 500 characters; these are 501."),
    ):
        refused = rita.submit(form(page, "/dismissal"), reason=reason)
        assert told in refused.main and refused.kept("reason")[-1] == reason
    page = rita.submit(form(page, "/dismissal"), reason="The family's mail. <b>Sure</b>")
    assert "Dismissed: it weighs nothing from now on." in page.main and "Dismissed by Rita" in page.main
    assert "Rita dismissed a signal: Throw-away address" in page.main and "mail. <b>Sure</b>" in page.main
    assert "Clear" in page.main and not [one for one in page.forms if one.action.endswith("/dismissal")]
    assert "Mal" in rita.get("/admin/rewards?assessment=clear").main
    assert rita.get(f"{address}/signals/same_name/dismissal").status in (404, 405)
    finn = tab_of(scene.finn).get(address)
    assert "Dismissed by Rita" in finn.main and not [one for one in finn.forms if one.action.endswith("/return")]
    back = form(page, "/return")
    page = rita.submit(back)
    assert "Taken back: it weighs again." in page.main and "Check" in page.main
    assert "Rita lets a signal weigh again: Throw-away address" in page.main
    assert "This was not dismissed." in rita.submit(back).main


def test_a_referral_shows_what_came_before_and_what_was_passed_over(scene, tab_of):
    scene.click(scene.carol, "w" * 20)
    scene.later(hours=1)
    scene.click(scene.alice, "w" * 20)
    scene.later(hours=1)
    bob = scene.friend("Bob", of=scene.alice, visitor="w" * 20)
    scene.order(bob)
    page = tab_of(scene.rita).get(f"/admin/referrals/{scene.referral(bob).public_id}")
    for sentence in (
        "Why this referrer",
        "Opened the link of Carol",
        "Opened the link of Alice",
        "€20.00 for Alice, pending",
        "Mail to alice@example.com",
        "No signals.",
    ):
        assert sentence in page.main, sentence


def test_whoever_lost_the_role_decides_nothing_any_more(scene, tab_of):
    (reward,) = rewards_of_friends(scene, "Bob")
    rita, olivia = scene.rita, scene.olivia.id
    tab = tab_of(rita)
    page = tab.get("/admin/rewards")
    scene.do(lambda: program.withdraw_role(rita, "reviewer", by=olivia, at=scene.at))
    assert tab.submit(form(page, f"{reward.public_id}/approval")).status == 403
    assert scene.reward(scene.alice).state == State.PENDING


def test_an_answer_to_an_appeal_that_cannot_be_taken_is_kept_as_it_was_typed(scene, tab_of):
    (reward,) = rewards_of_friends(scene, "Bob")
    alice, rita = scene.alice.id, tab_of(scene.rita)
    rita.submit(form(rita.get("/admin/rewards"), "/rejection"))
    scene.do(lambda: program.appeal(session.get_one(Reward, reward.id), "Please.", by=alice, at=scene.at))
    page = rita.get(f"/admin/referrals/{reward.referral.public_id}")
    for answer, told in (("", "Write an answer."), ("y" * 501, "Use at most 500 characters; these are 501.")):
        refused = rita.submit(form(page, "/answer"), answer=answer)
        assert refused.status == 422 and refused.error("answer") == told and refused.kept("answer") == [answer]
    assert "Answered." in rita.submit(form(refused, "/answer"), answer="We looked again.").main
