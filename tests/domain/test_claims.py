"""Claims and appeals: naming afterwards who invited you, and asking to look again."""

import pytest

from portal import program, terms
from portal.accounts.users import User
from portal.referrals import claims, referrals
from portal.referrals.claims import Claim, ClaimRefused
from portal.rewards import appeals
from portal.rewards.appeals import AppealRefused
from tests.factories import Scene


def claim(scene: Scene, user: User, named: str) -> Claim:
    return scene.do(lambda: program.claim(user, named, at=scene.at))


def answer(scene: Scene, one: Claim, granted: bool, by: User) -> None:
    number = by.id
    scene.do(lambda: program.answer_claim(one, granted=granted, by=number, at=scene.at))


@pytest.mark.both_databases
def test_a_granted_claim_makes_the_referral_and_what_the_friend_did_since_joining_counts(scene: Scene) -> None:
    scene.order(scene.carol, external_id="first order")
    one = claim(scene, scene.carol, scene.code(scene.alice).upper())
    assert [mail.kind for mail in scene.mails("claim_made", to=scene.alice)] == ["claim_made"]
    scene.later(days=3)
    answer(scene, one, True, scene.alice)
    referral = scene.referral(scene.carol)
    assert referral is not None and referral.how == "claim" and referral.referrer_id == scene.alice.id
    assert scene.balance(scene.alice) == {"pending": 2000}
    assert "confirmed" in scene.mails("claim_answered", to=scene.carol)[0].text
    with pytest.raises(ClaimRefused, match="answered"):
        answer(scene, one, False, scene.alice)


def test_a_refused_claim_changes_nothing_and_may_be_made_anew(scene: Scene) -> None:
    one = claim(scene, scene.carol, "alice@example.com") if scene.alice else None
    assert one is not None and one.referrer_id == scene.alice.id
    with pytest.raises(ClaimRefused):
        claim(scene, scene.carol, "mallory@example.com")
    answer(scene, one, False, scene.alice)
    assert referrals.of_referee(scene.carol.id) is None and scene.mails("claim_answered", to=scene.carol)
    for _ in range(2):
        answer(scene, claim(scene, scene.carol, scene.code(scene.alice)), False, scene.alice)
    with pytest.raises(ClaimRefused):
        claim(scene, scene.carol, scene.code(scene.alice))


def test_a_name_that_leads_to_nobody_is_taken_in_the_same_way_and_cannot_be_granted(scene: Scene) -> None:
    one = claim(scene, scene.carol, "nobody@example.com")
    assert one.referrer_id is None and not scene.mails("claim_made")
    with pytest.raises(ClaimRefused, match="leads to nobody"):
        answer(scene, one, True, scene.olivia)


def test_oneself_and_whom_one_brought_cannot_be_claimed(scene: Scene) -> None:
    with pytest.raises(ClaimRefused, match="That is you"):
        claim(scene, scene.alice, scene.code(scene.alice))
    bob = scene.bob
    assert claim(scene, scene.alice, scene.code(bob)).referrer_id is None


def test_the_window_ends_on_its_day_and_who_has_a_referrer_or_was_there_before_claims_nobody(scene: Scene) -> None:
    carol, bob = scene.carol, scene.bob
    current = terms.in_force()
    assert not claims.may_claim(bob, current, at=scene.at)
    old, _ = scene.customer("C-1", "old@example.com", signed_up_at=scene.at.replace(year=2020))
    assert not claims.may_claim(old, current, at=scene.at)
    scene.later(days=7)
    assert claims.may_claim(carol, current, at=scene.at)
    scene.later(seconds=1)
    assert not claims.may_claim(carol, current, at=scene.at)


@pytest.mark.both_databases
def test_a_rejected_reward_can_be_asked_about_once_and_is_answered_once(scene: Scene) -> None:
    reward = scene.pending_reward()
    ask = lambda text: scene.do(lambda: program.appeal(reward, text, by=scene.alice.id, at=scene.at))  # noqa: E731
    with pytest.raises(AppealRefused, match="not turned down"):
        ask("Please look.")
    scene.reject(reward)
    with pytest.raises(AppealRefused, match="Write what"):
        ask("  ")
    one = ask("Bob is a real friend.")
    with pytest.raises(AppealRefused, match="once already"):
        ask("Again.")
    assert appeals.of_rewards([reward.id])[reward.id].text == "Bob is a real friend." and not one.answer
    scene.do(lambda: program.answer_appeal(one, "You are right.", by=scene.rita.id, at=scene.at))
    assert one.answer == "You are right." and scene.mails("appeal_answered", to=scene.alice)
    with pytest.raises(AppealRefused, match="answered"):
        scene.do(lambda: program.answer_appeal(one, "No.", by=scene.rita.id, at=scene.at))


def test_a_claim_is_not_granted_for_somebody_suspended_in_a_pause_or_by_the_claimant(scene: Scene) -> None:
    one = claim(scene, scene.carol, scene.code(scene.alice))
    with pytest.raises(ClaimRefused, match="your own"):
        answer(scene, one, True, scene.carol)
    scene.publish(state=terms.State.PAUSED)
    with pytest.raises(ClaimRefused, match="nobody new"):
        answer(scene, one, True, scene.alice)
    scene.publish(state=terms.State.LIVE)
    scene.suspend(scene.alice)
    with pytest.raises(ClaimRefused, match="leads to nobody"):
        answer(scene, one, True, scene.rita)
    answer(scene, one, False, scene.rita)
    with pytest.raises(ClaimRefused, match="Write a code"):
        claim(scene, scene.carol, "   ")
