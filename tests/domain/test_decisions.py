"""Decisions: the first counts, the second is told who decided and when; nobody decides on what is theirs."""

from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from portal import program
from portal.accounts import audit, roles
from portal.accounts.roles import Role
from portal.core.database import session
from portal.reports import referrer
from portal.rewards import decisions, rewards
from portal.rewards.decisions import Decision, DecisionRefused, Reason, Verdict
from portal.rewards.rewards import State
from tests.factories import REFEREE, Scene, fixed

pytestmark = pytest.mark.both_databases


def verdicts(reward: rewards.Reward) -> list[str]:
    return [decision.verdict for decision in decisions.of_reward(reward.id)]


@pytest.mark.case(76, 114)
def test_an_approval_says_who_and_when_and_is_told_once(scene: Scene) -> None:
    reward = scene.pending_reward()
    scene.later(hours=1)
    scene.approve(reward)
    (decision,) = decisions.of_reward(reward.id)
    assert (decision.verdict, decision.by_id, decision.at) == (Verdict.APPROVE, scene.rita.id, scene.at)
    entry = audit.about("reward", reward.public_id)[-1]
    assert (entry.verb, entry.actor_id, entry.at) == ("reward_approve", scene.rita.id, scene.at)
    assert (entry.details["was"], entry.details["amount_minor"]) == ("pending", 2000)
    (mail,) = scene.mails("reward_approved", to=scene.alice)
    assert "€20.00" in mail.subject and "1 October 2026" in mail.text


def test_approved_after_its_hold_it_is_ready_at_once(scene: Scene) -> None:
    reward = scene.pending_reward()
    scene.later(days=30)
    scene.approve(reward)
    assert scene.balance(scene.alice) == {"payable": 2000} and reward.released_at == scene.at
    assert "ready to pay" in scene.mails("reward_approved")[0].subject


def test_mails_about_what_is_ready_name_the_pay_day_if_there_is_one(scene: Scene) -> None:
    scene.publish(fixed(1000, hold_days=0))
    scene.method(scene.alice)
    for pay_day, said in ((None, False), (5, True)):
        scene.later(hours=1)
        scene.publish(pay_day=pay_day)
        scene.order(scene.friend(f"Friend {pay_day}", of=scene.alice))
        scene.approve(scene.rewards(scene.alice)[-1])
        told = scene.mails("reward_approved", to=scene.alice)[-1].text
        assert "goes out with the next payout." in told
        assert ("goes out with the next payout. The next one is about 5 September 2026." in told) is said
    scene.later(hours=1)
    scene.publish(fixed(1000, hold_days=9))
    scene.order(scene.friend("Nina", of=scene.alice))
    scene.approve(scene.rewards(scene.alice)[-1])
    assert "The next one" not in scene.mails("reward_approved", to=scene.alice)[-1].text, "it is on hold"
    scene.later(days=9)
    scene.release()
    (ready,) = scene.mails("reward_ready", to=scene.alice)
    assert "smallest amount. The next one is about 5 October 2026.\n\nSee your rewards:" in ready.text


@pytest.mark.case(77)
def test_the_second_decision_is_told_who_decided_and_when(scene: Scene) -> None:
    reward = scene.approved_reward()
    with pytest.raises(DecisionRefused, match="Approved by Rita at 2026-09-01 12:00") as refusal:
        scene.reject(reward, by=scene.olivia)
    assert refusal.value.values["who"] == "Rita"
    with pytest.raises(DecisionRefused, match="Approved by Rita"):
        scene.approve(reward, by=scene.olivia)
    assert verdicts(reward) == ["approve"] and len(scene.mails("reward_approved")) == 1

    other = scene.order(scene.friend("Ben", of=scene.alice))
    second = rewards.of_conversion(other.conversion.id)[0]
    scene.reject(second)
    for decide in (scene.approve, scene.reject):
        with pytest.raises(DecisionRefused, match="Rejected by Rita"):
            decide(second, by=scene.olivia)
    assert verdicts(second) == ["reject"]


@pytest.mark.case(77)
def test_a_paid_or_reversed_reward_names_its_state(scene: Scene) -> None:
    reward = scene.paid_reward()
    for decide in (scene.approve, scene.reject):
        with pytest.raises(DecisionRefused, match="paid already"):
            decide(reward)
    order = scene.order(scene.friend("Ben", of=scene.alice))
    scene.refund(order)
    with pytest.raises(DecisionRefused, match="reversed already"):
        scene.approve(rewards.of_conversion(order.conversion.id)[0])


@pytest.mark.case(78)
def test_a_rejection_needs_words_for_the_referrer_who_never_reads_the_note(scene: Scene) -> None:
    reward = scene.pending_reward()
    for told in ("", "   ", "\n", " \u200b "):
        with pytest.raises(DecisionRefused, match="what the referrer should read"):
            scene.reject(reward, told=told)
    scene.reject(reward, told="The order was a test.", note="Smells of Mallory.")
    assert reward.state == State.REJECTED and scene.balance(scene.alice) == {}
    referral = scene.referral(scene.bob)
    assert referral is not None
    story = referrer.story(referral, of=scene.alice.id)
    said = "\n".join([*(event.text for event in story), *(mail.text for mail in scene.mails(to=scene.alice))])
    assert "The order was a test." in said and "Mallory" not in said


@pytest.mark.case(78)
def test_the_table_itself_refuses_a_rejection_without_a_reason(scene: Scene) -> None:
    reward = scene.pending_reward()
    for row in ({"verdict": "reject"}, {"verdict": "reject", "reason": "dislike"}, {"verdict": "undo"}):
        with pytest.raises(sa.exc.IntegrityError):
            insert = sa.insert(Decision).values(reward_id=reward.id, number=9, at=scene.at, amount_minor=0, **row)
            scene.do(partial(session.execute, insert))


@pytest.mark.case(79)
@pytest.mark.parametrize(("amount_minor", "approved"), [(4999, True), (5000, False), (5001, False)])
def test_the_terms_approve_what_is_below_their_limit_once_the_hold_ends(
    scene: Scene, amount_minor: int, approved: bool
) -> None:
    scene.publish(fixed(amount_minor), auto_approve_below_minor=5000)
    reward = scene.pending_reward()
    scene.at += timedelta(days=30) - timedelta(microseconds=1)
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == 0
    scene.at += timedelta(microseconds=1)
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == int(approved)
    assert reward.state == (State.APPROVED if approved else State.PENDING)
    assert [decision.by_id for decision in decisions.of_reward(reward.id)] == [None] * approved
    if approved:
        with pytest.raises(DecisionRefused, match="Approved by the terms"):
            scene.reject(reward)


def test_without_a_limit_the_terms_approve_nothing(scene: Scene) -> None:
    scene.pending_reward()
    scene.later(days=31)
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == 0


def test_the_months_budget_stops_the_terms_and_not_a_person(scene: Scene) -> None:
    scene.publish(fixed(2000), auto_approve_below_minor=5000, budget_month_minor=3000)
    orders = [scene.order(scene.friend(name, of=scene.alice)) for name in ("Ann", "Ben")]
    scene.later(days=30)
    orders.append(scene.order(scene.friend("Cid", of=scene.alice), occurred_at=scene.at))
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == 2, "October's budget has room"
    scene.order(scene.friend("Dan", of=scene.alice))
    scene.later(days=30)
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == 2 or scene.at.month == 10


@pytest.mark.case(92)
def test_nobody_decides_on_what_is_theirs(scene: Scene) -> None:
    scene.publish(fixed(2000), fixed(1000, to=REFEREE))
    alice, bob = scene.alice, scene.bob
    scene.do(lambda: [roles.grant(user.id, Role.OWNER, by=None, at=scene.at) for user in (alice, bob)])
    scene.order(bob)
    for reward in (scene.reward(alice), scene.reward(bob)):
        for mine in (alice, bob):
            for decide in (scene.approve, scene.reject):
                with pytest.raises(DecisionRefused, match="This one is yours"):
                    decide(reward, by=mine)
        scene.approve(reward)
        with pytest.raises(DecisionRefused, match="This one is yours"):
            scene.undo(reward, by=alice)


def test_who_recorded_an_order_by_form_does_not_decide_it(scene: Scene) -> None:
    scene.order(scene.bob, recorded_by=scene.olivia.id)
    reward = scene.reward(scene.alice)
    for decide in (scene.approve, scene.reject):
        with pytest.raises(DecisionRefused, match="You recorded this order"):
            decide(reward, by=scene.olivia)
    assert scene.approve(reward).state == State.APPROVED


def test_what_is_somebodys_who_is_suspended_waits_and_can_be_rejected(scene: Scene) -> None:
    reward = scene.pending_reward()
    scene.suspend(scene.alice)
    with pytest.raises(DecisionRefused, match="suspended"):
        scene.approve(reward)
    assert reward.state == State.PENDING
    assert scene.reject(reward).state == State.REJECTED


@pytest.mark.case(47)
def test_a_suspension_freezes_what_was_approved_until_it_ends(scene: Scene) -> None:
    reward = scene.approved_reward()
    scene.later(days=31)
    scene.suspend(scene.alice)
    assert scene.release() == 0 and reward.state == State.APPROVED
    scene.readmit(scene.alice)
    assert scene.release() == 1 and scene.balance(scene.alice) == {"payable": 2000}


# --- taken back -----------------------------------------------------------------------------------------------


def test_an_approval_taken_back_is_pending_again_and_can_be_decided_again(scene: Scene) -> None:
    reward = scene.approved_reward()
    scene.undo(reward)
    assert reward.state == State.PENDING and scene.balance(scene.alice) == {"pending": 2000}
    scene.later(seconds=1)
    scene.approve(reward)
    assert verdicts(reward) == ["approve", "undo", "approve"]
    assert len(scene.mails("reward_approved")) == 2, "one for each approval"


def test_a_rejection_taken_back_is_pending_again(scene: Scene) -> None:
    reward = scene.reject(scene.pending_reward())
    scene.undo(reward)
    assert reward.state == State.PENDING and scene.balance(scene.alice) == {"pending": 2000}


def test_a_ready_reward_taken_back_is_held_again_by_its_next_approval(scene: Scene) -> None:
    reward = scene.payable_reward()
    scene.undo(reward)
    assert reward.released_at is None and scene.balance(scene.alice) == {"pending": 2000}
    scene.approve(reward)
    assert scene.balance(scene.alice) == {"payable": 2000}


def test_taking_back_needs_a_reason_and_a_decision(scene: Scene) -> None:
    reward = scene.pending_reward()
    with pytest.raises(DecisionRefused, match="nothing to take back"):
        scene.undo(reward)
    scene.approve(reward)
    for note in ("", "  "):
        with pytest.raises(DecisionRefused, match="Write why"):
            scene.undo(reward, note=note)
    assert reward.state == State.APPROVED


@pytest.mark.parametrize("approved", [False, True])
def test_a_decision_taken_back_before_the_export_leaves_the_batch(scene: Scene, approved: bool) -> None:
    reward = scene.payable_reward()
    batch = scene.batch()
    if approved:
        scene.approve_batch(batch)
    scene.undo(reward)
    assert scene.balance(scene.alice) == {"pending": 2000}
    assert [payout.state for payout in batch.payouts] == ["cancelled"] and batch.state == "cancelled"


def test_after_the_export_a_decision_stands(scene: Scene) -> None:
    reward = scene.payable_reward()
    batch = scene.exported_batch()
    with pytest.raises(DecisionRefused, match="out already"):
        scene.undo(reward)
    scene.pay_batch(batch)
    with pytest.raises(DecisionRefused, match="out already"):
        scene.undo(reward)
    assert reward.state == State.PAID


def test_after_a_failed_payment_a_decision_can_be_taken_back_again(scene: Scene) -> None:
    reward = scene.payable_reward()
    (payout,) = scene.exported_batch().payouts
    scene.fail(payout)
    scene.undo(reward)
    assert scene.balance(scene.alice) == {"pending": 2000}


def test_every_reason_can_be_given(scene: Scene) -> None:
    rita = scene.rita.id
    for number, why in enumerate(Reason):
        order = scene.order(scene.friend(f"Friend {number}", of=scene.alice))
        reward = rewards.of_conversion(order.conversion.id)[0]
        scene.do(partial(program.reject, reward.id, by=rita, reason=why, told="No.", at=scene.at))
        assert decisions.of_reward(reward.id)[0].reason == why
