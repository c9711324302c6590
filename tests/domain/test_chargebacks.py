"""Chargebacks: taken back like a refund, flagged, and given again once when the dispute is won, in whatever order."""

from datetime import timedelta
from itertools import permutations

import pytest
import sqlalchemy as sa

from portal import program
from portal.core import money
from portal.core.database import session
from portal.payouts.payouts import Line
from portal.payouts.payouts import State as PayoutState
from portal.reports import desk, evidence, queue, referrer, rehearsal
from portal.rewards import clawbacks, rules, signals
from portal.rewards.conversions import Answer, Customer, ReportRefused
from portal.rewards.kinds import ABOUT, Kind
from portal.rewards.refunds import RefundReason
from portal.rewards.rewards import Reward, State
from portal.rewards.signals import Assessment, SignalRefused
from portal.terms import in_force
from tests.factories import EVERY, REFEREE, Scene, fixed, milestone, share

pytestmark = pytest.mark.both_databases


def taken(reward: Reward) -> list[int]:
    """What was taken of a reward, and with a minus what was given again, one after the other."""
    return [clawback.amount_minor for clawback in clawbacks.of_reward(reward.id)]


def flags(reward: Reward) -> list[str]:
    """What weighs against the referral of a reward."""
    return [signal.kind for signal in signals.of_referral(reward.referral_id) if signal.stands]


def next_payout(scene: Scene, *, by_another: int = 5000) -> list[int]:
    """The lines of the batch after this, for which another friend has ordered."""
    scene.earns(scene.alice, by_another, f"Friend {next(scene._numbers)}")
    (payout,) = scene.exported_batch().payouts
    scene.pay(payout)
    return sorted(line.amount_minor for line in payout.lines)


def erase(scene: Scene) -> None:
    """Alice deletes her account."""
    scene.do(lambda: program.erase(scene.alice, gives_up_minor=None, by=scene.alice.id, at=scene.at))


# --- charged back ---------------------------------------------------------------------------------------------


@pytest.mark.case(101)
def test_a_chargeback_takes_back_like_a_refund_and_raises_a_flag(scene: Scene) -> None:
    reward = scene.approved_reward()
    assert scene.charge_back("order-1").answer == Answer.MADE
    assert (reward.state, scene.balance(scene.alice), taken(reward)) == (State.REVERSED, {}, [2000])
    assert flags(reward) == [Kind.CHARGEBACK]
    assert ABOUT[Kind.CHARGEBACK].sentence == "The payment of this order was charged back."
    assert signals.assessments({reward.referral_id})[reward.referral_id] == Assessment.CHECK


@pytest.mark.case(101)
def test_an_ordinary_refund_raises_no_flag(scene: Scene) -> None:
    reward = scene.approved_reward()
    scene.refund("order-1")
    assert flags(reward) == []


@pytest.mark.case(101)
def test_a_chargeback_told_before_its_order_is_a_flag_all_the_same(scene: Scene) -> None:
    scene.charge_back("A-1", 3200)
    scene.order(scene.bob, external_id="A-1")
    reward = scene.reward(scene.alice)
    assert flags(reward) == [Kind.CHARGEBACK] and scene.balance(scene.alice) == {"pending": 1000}


@pytest.mark.case(101)
def test_a_chargeback_told_again_counts_once_and_as_a_refund_it_is_another_fact(scene: Scene) -> None:
    order = scene.order(scene.bob)
    assert scene.charge_back(order, 3200).answer == Answer.MADE
    assert scene.charge_back(order, 3200).answer == Answer.KNOWN
    assert scene.refund(order, 3200, external_id="CB-1").answer == Answer.DISAGREES
    assert scene.balance(scene.alice) == {"pending": 1000}


# --- won ------------------------------------------------------------------------------------------------------


@pytest.mark.case(101)
@pytest.mark.parametrize("amount_minor", [None, 3200])
def test_won_while_it_waits_it_waits_again_for_a_decision(scene: Scene, amount_minor: int | None) -> None:
    reward = scene.pending_reward()
    scene.charge_back("order-1", amount_minor)
    scene.later(days=1)
    assert scene.win().answer == Answer.MADE
    assert (reward.state, reward.reversed_at, scene.balance(scene.alice)) == (State.PENDING, None, {"pending": 2000})
    scene.approve(reward)
    assert scene.balance(scene.alice) == {"approved": 2000}


@pytest.mark.case(101)
@pytest.mark.parametrize("amount_minor", [None, 3200])
def test_won_on_hold_it_is_approved_with_the_hold_it_had(scene: Scene, amount_minor: int | None) -> None:
    reward = scene.approved_reward()
    hold = reward.hold_until
    scene.charge_back("order-1", amount_minor)
    scene.win()
    assert (reward.state, reward.hold_until, scene.balance(scene.alice)) == (State.APPROVED, hold, {"approved": 2000})
    scene.later(days=31)
    assert scene.release() == 1 and scene.balance(scene.alice) == {"payable": 2000}


@pytest.mark.case(101)
@pytest.mark.parametrize("amount_minor", [None, 3200])
def test_won_when_it_was_ready_it_is_ready_again(scene: Scene, amount_minor: int | None) -> None:
    reward = scene.payable_reward()
    scene.charge_back("order-1", amount_minor)
    scene.win()
    assert (reward.state, scene.balance(scene.alice)) == (State.APPROVED, {"payable": 2000})
    (payout,) = scene.exported_batch().payouts
    assert [line.amount_minor for line in payout.lines] == [2000]


@pytest.mark.case(101)
@pytest.mark.parametrize("amount_minor", [None, 3200])
def test_won_after_it_was_paid_nothing_is_missing_and_no_line_speaks_of_it(
    scene: Scene, amount_minor: int | None
) -> None:
    reward = scene.paid_reward()
    scene.charge_back("order-1", amount_minor)
    scene.win()
    assert (reward.state, scene.balance(scene.alice)) == (State.PAID, {"paid": 2000})
    assert next_payout(scene) == [5000], "what was taken and given again before it was ever paid needs no lines"


@pytest.mark.case(101)
def test_won_after_the_next_payout_was_smaller_the_one_after_brings_it(scene: Scene) -> None:
    scene.paid_reward()
    scene.charge_back("order-1", 3200)
    assert next_payout(scene) == [-1000, 5000]
    scene.win()
    assert scene.balance(scene.alice) == {"payable": 1000, "paid": 6000}
    assert next_payout(scene) == [1000, 5000]
    assert scene.balance(scene.alice) == {"paid": 12000}


@pytest.mark.case(101)
@pytest.mark.parametrize("ends", ["paid", "failed", "cancelled"])
def test_won_while_a_batch_holds_the_line_that_takes(scene: Scene, ends: str) -> None:
    """The batch that somebody has looked at stays as it is; whatever becomes of it, nothing is lost or doubled."""
    scene.paid_reward()
    scene.charge_back("order-1", 3200)
    scene.earns(scene.alice, 5000, "Ben")
    batch = scene.batch()
    (payout,) = batch.payouts
    scene.win()
    assert payout.amount_minor == 4000 and scene.balance(scene.alice) == {
        "payable": 1000, "in_payout": 4000, "paid": 2000,
    }  # fmt: skip
    if ends == "cancelled":
        scene.cancel(batch)
    else:
        scene.approve_batch(batch)
        scene.export(batch)
        scene.pay(payout) if ends == "paid" else scene.fail(payout)
    assert next_payout(scene) == ([1000, 5000] if ends == "paid" else [5000, 5000])
    assert scene.balance(scene.alice) == {"paid": 12000}


@pytest.mark.case(101)
@pytest.mark.parametrize("ends", ["paid", "failed", "cancelled"])
@pytest.mark.parametrize("before", [True, False])
def test_won_while_its_reward_stands_in_a_batch(scene: Scene, ends: str, before: bool) -> None:
    """Charged back in part before the batch was made, or since."""
    reward = scene.payable_reward()
    scene.earns(scene.alice, 3000, "Ben")
    if before:
        scene.charge_back("order-1", 3200)
    batch = scene.batch()
    if not before:
        scene.charge_back("order-1", 3200)
    (payout,) = batch.payouts
    assert payout.amount_minor == 4000
    scene.win()
    assert payout.amount_minor == 4000 and scene.balance(scene.alice) == {"payable": 1000, "in_payout": 4000}
    if ends == "cancelled":
        scene.cancel(batch)
    else:
        scene.approve_batch(batch)
        scene.export(batch)
        scene.pay(payout) if ends == "paid" else scene.fail(payout)
    scene.earns(scene.alice, 2000, "Bea")
    last = scene.exported_batch()
    assert [one.amount_minor for one in last.payouts] == [3000 if ends == "paid" else 7000]
    scene.pay_batch(last)
    assert scene.balance(scene.alice) == {"paid": 7000} and clawbacks.left(reward) == 2000


@pytest.mark.case(101)
def test_lost_and_won_while_a_draft_holds_it_it_leaves_the_draft_and_comes_with_the_next(scene: Scene) -> None:
    reward = scene.payable_reward()
    batch = scene.batch()
    scene.charge_back("order-1")
    assert reward.state == State.REVERSED and batch.payouts[0].state == PayoutState.CANCELLED
    scene.win()
    assert reward.state == State.APPROVED
    scene.pay_batch(scene.exported_batch())
    assert scene.balance(scene.alice) == {"paid": 2000}


@pytest.mark.case(101)
def test_told_again_and_again_it_is_given_again_once(scene: Scene) -> None:
    reward = scene.paid_reward()
    scene.charge_back("order-1")
    answers = [scene.win().answer for _ in range(3)]
    scene.charge_back("order-1")
    scene.win()
    assert answers == [Answer.MADE, Answer.KNOWN, Answer.KNOWN]
    assert taken(reward) == [2000, -2000] and scene.balance(scene.alice) == {"paid": 2000}


@pytest.mark.case(101)
def test_won_before_the_chargeback_arrives_it_takes_nothing_and_is_no_flag(scene: Scene) -> None:
    reward = scene.approved_reward()
    assert scene.win().answer == Answer.WAITING
    assert scene.win().answer == Answer.WAITING
    assert desk.attention(in_force(), at=scene.at).waiting_reinstatements == 1
    assert scene.charge_back("order-1").answer == Answer.MADE
    assert desk.attention(in_force(), at=scene.at).waiting_reinstatements == 0
    assert scene.win().answer == Answer.KNOWN
    assert (reward.state, taken(reward)) == (State.APPROVED, [])
    assert scene.balance(scene.alice) == {"approved": 2000} and flags(reward) == []


@pytest.mark.case(101)
def test_in_every_order_of_order_chargeback_win_and_refund_the_same_is_left(scene: Scene) -> None:
    scene.publish(share(1000, **EVERY), fixed(500, to=REFEREE, **EVERY))
    happens = {
        "order": lambda number, friend: scene.order(friend, 6400, external_id=number),
        "charge": lambda number, _: scene.charge_back(number, 1600, external_id=f"CB {number}"),
        "win": lambda number, _: scene.win(f"CB {number}"),
        "refund": lambda number, _: scene.refund(number, 3200, external_id=f"R {number}"),
    }
    names = "Ada Bea Cid Dov Eve Fay Gil Hal Ida Jon Kim Lea Max Nia Oda Pia Quin Ria Sam Tom Una Vic Wim Xia".split()
    for index, events in enumerate(permutations(happens)):
        friend = scene.friend(names[index], of=scene.alice)
        for event in events:
            happens[event](f"A-{index}", friend)
        own, gift = scene.rewards(scene.alice)[-1], scene.reward(friend)
        assert (clawbacks.left(own), clawbacks.left(gift)) == (320, 250), events
        assert (own.state, gift.state) == (State.PENDING, State.PENDING), events
        assert Kind.CHARGEBACK not in flags(own), events


@pytest.mark.case(101)
def test_the_flag_is_withdrawn_when_no_chargeback_of_the_friend_stands_and_comes_again_with_another(
    scene: Scene,
) -> None:
    scene.publish(fixed(2000, **EVERY))
    by, first, second = scene.rita.id, scene.order(scene.bob), scene.order(scene.bob)
    reward = scene.rewards(scene.alice)[0]
    scene.charge_back(first, 1600, external_id="CB-1")
    scene.charge_back(first, 1600, external_id="CB-2")
    scene.charge_back(second, external_id="CB-3")
    for won in ("CB-1", "CB-3"):
        scene.win(won)
        assert flags(reward) == [Kind.CHARGEBACK], won
    for answer in (Answer.MADE, Answer.KNOWN):
        scene.later(hours=1)
        assert scene.win("CB-2").answer == answer and flags(reward) == []
    (signal,) = signals.of_referral(reward.referral_id)
    assert (signal.withdrawn, signal.dismissed_at) == (True, scene.at - timedelta(hours=1))
    assert signals.assessments({reward.referral_id})[reward.referral_id] == Assessment.CLEAR
    with pytest.raises(SignalRefused, match="No chargeback stands any more"):
        scene.do(lambda: program.raise_again(reward.referral, signal, by=by, at=scene.at))
    with pytest.raises(SignalRefused, match="withdrawn"):
        scene.do(lambda: program.dismiss(reward.referral, signal, reason="Won.", by=by, at=scene.at))
    scene.charge_back(second, external_id="CB-4")
    assert flags(reward) == [Kind.CHARGEBACK] and not signal.withdrawn
    assert signals.assessments({reward.referral_id})[reward.referral_id] == Assessment.CHECK


@pytest.mark.case(101)
def test_a_flag_that_a_reviewer_dismissed_stays_theirs(scene: Scene) -> None:
    reward = scene.approved_reward()
    scene.charge_back("order-1")
    (signal,) = signals.of_referral(reward.referral_id)
    scene.do(lambda: program.dismiss(reward.referral, signal, reason="A mistake.", by=scene.rita.id, at=scene.at))
    scene.later(hours=1)
    scene.win()
    assert (signal.withdrawn, signal.dismissed_by_id) == (False, scene.rita.id)
    with pytest.raises(SignalRefused, match="No chargeback stands any more"):
        scene.do(lambda: program.raise_again(reward.referral, signal, by=scene.rita.id, at=scene.at))
    assert flags(reward) == []


@pytest.mark.case(101)
@pytest.mark.parametrize("given", [1, 7, 333, 2000])
def test_what_is_taken_in_all_is_always_the_part_of_the_refunds_that_stand(scene: Scene, given: int) -> None:
    """Whatever is won of four that together come to more than the order, in every order."""
    parts = {"C-1": 3000, "C-2": 1000, "C-3": 999, "C-4": 2500}
    scene.publish(fixed(given, **EVERY))
    for index, won in enumerate(permutations(parts, 3)):
        order = scene.order(scene.bob, 4999, external_id=f"A-{index}")
        reward = scene.rewards(scene.alice)[-1]
        standing = {}
        for name, part in parts.items():
            scene.charge_back(order, part, external_id=f"{name} {index}")
            standing[name] = part
            assert clawbacks.taken_back(reward.id) == money.half_up(given * min(4999, sum(standing.values())), 4999)
        for name in won:
            scene.win(f"{name} {index}")
            del standing[name]
            assert clawbacks.taken_back(reward.id) == money.half_up(given * min(4999, sum(standing.values())), 4999)
        assert (reward.state == State.REVERSED) == (clawbacks.left(reward) == 0)


@pytest.mark.case(101)
@pytest.mark.case(102)
def test_both_sides_get_theirs_again_as_they_lay(scene: Scene) -> None:
    scene.publish(fixed(2000), fixed(1000, to=REFEREE, hold_days=0))
    scene.order(scene.bob)
    scene.approve(scene.reward(scene.bob))
    scene.charge_back("order-1")
    assert (scene.balance(scene.alice), scene.balance(scene.bob)) == ({}, {})
    scene.win()
    assert (scene.balance(scene.alice), scene.balance(scene.bob)) == ({"pending": 2000}, {"payable": 1000})


@pytest.mark.case(101)
def test_what_was_rejected_stays_so_and_comes_back_whole_if_that_is_taken_back(scene: Scene) -> None:
    reward = scene.pending_reward()
    scene.charge_back("order-1", 1600)
    scene.reject(reward)
    scene.win()
    assert (reward.state, scene.balance(scene.alice)) == (State.REJECTED, {})
    scene.undo(reward)
    assert (reward.state, scene.balance(scene.alice)) == (State.PENDING, {"pending": 2000})


@pytest.mark.case(101)
def test_what_was_told_while_it_was_rejected_counts_when_it_is_taken_up_again(scene: Scene) -> None:
    reward = scene.pending_reward()
    scene.charge_back("order-1", 1600)
    scene.reject(reward)
    scene.refund("order-1", 3200)
    scene.win()
    scene.undo(reward)
    assert scene.balance(scene.alice) == {"pending": 1000}
    assert taken(reward) == [500, 500], "the refund takes what it asks for beyond what is taken"


@pytest.mark.case(101)
def test_a_milestone_comes_again_with_its_order_unless_it_was_earned_again(scene: Scene) -> None:
    scene.publish(fixed(100), milestone(2, 5000))
    scene.order(scene.bob)
    second = scene.order(scene.friend("Ben", of=scene.alice))
    scene.charge_back(second)
    assert scene.balance(scene.alice) == {"pending": 100}
    scene.win()
    assert scene.balance(scene.alice) == {"pending": 5200}

    scene.charge_back(second, external_id="CB-2")
    scene.order(scene.friend("Bill", of=scene.alice))
    assert scene.balance(scene.alice) == {"pending": 5200}, "Bob's, Bill's and the bonus by Bill"
    scene.win("CB-2")
    assert scene.balance(scene.alice) == {"pending": 5300}, "Ben's again; the bonus is given once"


@pytest.mark.case(101)
def test_a_friend_who_counts_again_counts_for_the_next_milestone(scene: Scene) -> None:
    scene.publish(fixed(100), milestone(2, 5000))
    scene.charge_back(scene.order(scene.bob))
    scene.win()
    scene.order(scene.friend("Ben", of=scene.alice))
    assert scene.balance(scene.alice) == {"pending": 5200}


@pytest.mark.case(101)
def test_caps_and_numbers_are_never_counted_anew(scene: Scene) -> None:
    scene.publish(fixed(2000, tiers=[{"from": 2, "amount_minor": 3000}], **EVERY), referrer_month_cap_minor=5000)
    first = scene.order(scene.bob)
    scene.charge_back(first)
    scene.order(scene.bob)  # the second by its number; the first one's 20.00 are free again
    scene.win()
    scene.order(scene.bob)
    assert [(r.ordinal, r.amount_minor, r.state) for r in scene.rewards(scene.alice)] == [
        (1, 2000, State.PENDING), (2, 3000, State.PENDING),
    ]  # fmt: skip


@pytest.mark.case(101)
def test_a_refund_that_did_not_go_through_is_given_again_too(scene: Scene) -> None:
    reward = scene.payable_reward()
    scene.refund("order-1", external_id="R-1")
    assert scene.win("R-1").answer == Answer.MADE
    assert scene.balance(scene.alice) == {"payable": 2000} and flags(reward) == []


def test_a_reinstatement_that_cannot_be_taken_is_refused_by_its_field(scene: Scene) -> None:
    for wrong in ("", " R", "x" * 129, "a\nb"):
        with pytest.raises(ReportRefused) as refusal:
            scene.win(wrong)
        assert refusal.value.field == "refund_external_id"


# --- gone, waiting, corrected ----------------------------------------------------------------------------------


@pytest.mark.case(101)
def test_won_after_the_account_was_deleted_what_was_paid_is_even_and_nobody_is_owed(scene: Scene) -> None:
    scene.paid_reward()
    scene.charge_back("order-1")
    assert scene.balance(scene.alice) == {"payable": -2000, "paid": 2000}
    erase(scene)
    scene.win()
    assert scene.balance(scene.alice) == {"paid": 2000}


@pytest.mark.case(101)
def test_won_after_the_account_was_deleted_what_others_made_up_for_is_given_up(scene: Scene) -> None:
    scene.paid_reward()
    scene.charge_back("order-1")
    assert next_payout(scene) == [-2000, 5000]
    erase(scene)
    scene.win()
    assert scene.balance(scene.alice) == {"paid": 5000}


@pytest.mark.case(101)
@pytest.mark.parametrize("amount_minor", [None, 3200])
@pytest.mark.parametrize("ready", [True, False])
def test_what_was_given_up_with_the_account_stays_so(scene: Scene, ready: bool, amount_minor: int | None) -> None:
    reward = scene.payable_reward() if ready else scene.approved_reward()
    scene.charge_back("order-1", amount_minor)
    erase(scene)
    was = reward.state
    scene.win()
    assert (reward.state, scene.balance(scene.alice)) == (was, {})


@pytest.mark.case(101)
def test_the_friend_who_is_left_gets_the_gift_again_though_the_referrer_is_gone(scene: Scene) -> None:
    scene.publish(fixed(2000), fixed(1000, to=REFEREE, hold_days=0))
    scene.order(scene.bob)
    scene.approve(scene.reward(scene.bob))
    scene.charge_back("order-1")
    erase(scene)
    scene.win()
    assert (scene.balance(scene.alice), scene.balance(scene.bob)) == ({}, {"payable": 1000})


@pytest.mark.case(101)
def test_of_an_order_whose_customer_comes_later_nothing_is_taken_that_was_won(scene: Scene) -> None:
    scene.order(Customer(external_id="C-9"), 6400, external_id="A-9")
    assert scene.charge_back("A-9", external_id="CB-9").answer == Answer.MADE
    assert scene.win("CB-9").answer == Answer.MADE
    scene.customer("C-9", "cora@example.com", code=scene.code(scene.alice))
    reward = scene.reward(scene.alice)
    assert (reward.state, clawbacks.left(reward), flags(reward)) == (State.PENDING, 2000, [])


@pytest.mark.case(101)
@pytest.mark.parametrize("amount_minor", [None, 1600])
def test_what_was_won_is_the_right_referrers_and_after_a_correction_back_the_first_ones(
    scene: Scene, amount_minor: int | None
) -> None:
    reward = scene.pending_reward()
    scene.charge_back("order-1", amount_minor)
    referral, alice, carol, olivia = reward.referral, scene.alice, scene.carol, scene.olivia.id
    scene.do(lambda: program.correct_referrer(referral, carol, note="It was Carol.", by=olivia, at=scene.at))
    scene.win()
    assert (scene.balance(alice), scene.balance(carol)) == ({}, {"pending": 2000})
    scene.do(lambda: program.correct_referrer(referral, alice, note="It was Alice.", by=olivia, at=scene.at))
    assert (scene.balance(alice), scene.balance(carol)) == ({"pending": 2000}, {})


@pytest.mark.case(101)
def test_reward_and_line_of_other_payouts_add_up_when_payouts_fail_late(scene: Scene) -> None:
    """The reward's own payout fails when other payouts have taken it back and given it again."""
    reward = scene.payable_reward()
    first = scene.exported_batch()
    scene.charge_back("order-1")
    scene.earns(scene.alice, 5000, "Ben")
    second = scene.exported_batch()
    scene.win()
    scene.earns(scene.alice, 3000, "Bea")
    third = scene.exported_batch()
    assert [one.amount_minor for one in (*first.payouts, *second.payouts, *third.payouts)] == [2000, 3000, 5000]
    scene.pay_batch(third)
    scene.fail(second.payouts[0])
    scene.fail(first.payouts[0])
    assert scene.balance(scene.alice) == {"payable": 5000, "paid": 5000}
    scene.refund("order-1")
    assert (reward.state, clawbacks.left(reward)) == (State.APPROVED, 0)
    assert scene.balance(scene.alice) == {"payable": 3000, "paid": 5000}
    last = scene.exported_batch()
    assert sorted(line.amount_minor for line in last.payouts[0].lines) == [-2000, -2000, 2000, 5000]
    scene.pay_batch(last)
    assert scene.balance(scene.alice) == {"paid": 8000}


# --- told -----------------------------------------------------------------------------------------------------


@pytest.mark.case(101)
def test_the_referrer_reads_what_happened_and_the_sum_of_it(scene: Scene) -> None:
    reward = scene.pending_reward()
    scene.later(days=1)
    scene.charge_back("order-1", 3200)
    scene.later(days=1)
    scene.win()
    scene.later(days=1)
    scene.refund("order-1", 1600)
    story = referrer.story(reward.referral, of=scene.alice.id)
    told = [(event.kind, event.minor) for event in story if event.kind in ("taken_back", "charged_back", "given_again")]
    assert told == [("charged_back", -1000), ("given_again", 1000), ("taken_back", -500)]
    (earned,) = referrer.earned([reward])
    assert earned.left_minor == 1500


@pytest.mark.case(101)
def test_a_reviewer_reads_the_chargeback_and_the_win_in_the_evidence(scene: Scene) -> None:
    reward = scene.pending_reward()
    scene.later(days=1)
    refund = scene.charge_back("order-1").refund
    scene.later(days=1)
    olivia = scene.olivia.id
    scene.do(lambda: program.record_reinstatement(refund, by=olivia, at=scene.at))
    found = evidence.of(reward.referral)
    told = [one.kind for one in found.story if one.at > reward.made_at]
    assert told == ["refund", "clawback", "signal", "reinstated", "clawback"]
    assert [one.by.id for one in found.story if one.kind == "reinstated" and one.by] == [olivia]
    assert queue.cases([reward])[0].reward.id == reward.id


@pytest.mark.case(101)
def test_a_rehearsal_leaves_out_what_was_won(scene: Scene) -> None:
    scene.publish(fixed(2000))
    scene.order(scene.bob)
    scene.charge_back("order-1", 3200)

    def given() -> int:
        terms = in_force()
        offer = {"now": (terms, rules.of_terms(terms.id))}
        return sum(rehearsal.rehearse(offer, at=scene.at)["now"].by_side.values())

    assert given() == 1000
    scene.win()
    assert given() == 2000


@pytest.mark.case(101)
def test_friends_whose_payments_stand_have_given_nothing_back(scene: Scene) -> None:
    """The signal about orders given back counts what stands."""
    friends = [scene.bob, *(scene.friend(name, of=scene.alice) for name in ("Ben", "Bea", "Bill"))]
    for number, friend in enumerate(friends):
        order = scene.order(friend)
        scene.charge_back(order, external_id=f"CB {number}")
        scene.win(f"CB {number}")
    last = scene.order(scene.friend("Bo", of=scene.alice))
    scene.refund(last, 100)
    kinds = {signal for reward in scene.rewards(scene.alice) for signal in flags(reward)}
    assert kinds == set()


@pytest.mark.case(101)
def test_lines_of_a_reward_are_never_more_than_its_own_part(scene: Scene) -> None:
    scene.paid_reward()
    scene.charge_back("order-1", 3200, external_id="CB-1")
    scene.charge_back("order-1", 3200, external_id="CB-2")
    scene.win("CB-1")
    assert next_payout(scene) == [-1000, -1000, 1000, 5000]
    live = session.scalars(sa.select(Line.amount_minor).where(Line.returned_at.is_(None))).all()
    assert sum(live) == 6000
    scene.win("CB-2")
    assert next_payout(scene) == [1000, 5000]
    assert RefundReason.CHARGEBACK == "chargeback"
