"""The queue: what it shows in which order, and decisions about many at once, held, and taken back at once."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from portal import program
from portal.core.database import session
from portal.program import AT_ONCE
from portal.reports import desk, evidence, queue
from portal.reports.evidence import Kind
from portal.reports.queue import Filters, Order, Record
from portal.rewards import rewards
from portal.rewards.decisions import DecisionRefused, Reason
from portal.rewards.rewards import Reward, State
from portal.rewards.signals import Assessment, Signal
from portal.terms import Terms, in_force
from tests.domain.many import many_pending
from tests.factories import Scene, fixed

EVERYTHING = Filters()


def pages(scene: Scene, filters: Filters, most: int = 3) -> list[Reward]:
    """Everything that a filter shows, page by page."""
    found: list[Reward] = []
    after = None
    while True:
        cases, after = queue.page(filters, after=after, at=scene.at, most=most)
        found += [case.reward for case in cases]
        if after is None:
            return found


def raised(scene: Scene, reward: Reward, weight: int) -> None:
    """A signal of a weight on the referral of a reward."""
    scene.do(
        lambda: session.add(
            Signal(referral_id=reward.referral_id, kind="disposable", weight=weight, raised_at=scene.at)
        )
    )


def three(scene: Scene) -> list[Reward]:
    """Three rewards of Alice's, a day apart: Clear, Check and Risky."""
    made = []
    for name, weight in (("Bea", 0), ("Ben", 40), ("Bert", 90)):
        scene.later(days=1)
        friend = scene.friend(name, of=scene.alice)
        scene.order(friend)
        reward = scene.rewards(scene.alice)[-1]
        if weight:
            raised(scene, reward, weight)
        made.append(reward)
    return made


@pytest.mark.both_databases
def test_each_filter_and_order_shows_what_it_says_page_by_page(scene: Scene) -> None:
    clear, check, risky = three(scene)
    many_pending(scene, scene.friend("Bo", of=scene.carol), 7, amount_minor=150)
    small = scene.rewards(scene.carol)
    assert pages(scene, EVERYTHING) == [clear, check, risky, *small]
    assert pages(scene, Filters(order=Order.NEWEST)) == [clear, check, risky, *small][::-1]
    assert pages(scene, Filters(order=Order.LARGEST)) == [clear, check, risky, *small]
    assert pages(scene, Filters(order=Order.SMALLEST)) == [*small, clear, check, risky]
    assert pages(scene, Filters(assessment=Assessment.CLEAR)) == [clear, *small]
    assert pages(scene, Filters(assessment=Assessment.CHECK)) == [check]
    assert pages(scene, Filters(assessment=Assessment.RISKY)) == [risky]
    assert pages(scene, Filters(least_minor=151)) == [clear, check, risky]
    assert pages(scene, Filters(most_minor=150)) == small
    assert pages(scene, Filters(referrer=scene.carol)) == small
    assert pages(scene, Filters(older_days=2)) == [clear]
    assert pages(scene, Filters(rule_key=clear.rule_key)) == [clear, check, risky, *small]
    assert pages(scene, Filters(rule_key="no such rule")) == []
    assert pages(scene, Filters(assessment=Assessment.RISKY, referrer=scene.carol)) == []


@pytest.mark.both_databases
def test_what_was_never_assessed_is_found_under_check(scene: Scene) -> None:
    reward = scene.pending_reward()
    scene.do(lambda: session.execute(sa.text("DELETE FROM assessments")))
    assert pages(scene, Filters(assessment=Assessment.CHECK)) == [reward]
    assert pages(scene, Filters(assessment=Assessment.CLEAR)) == []


def test_a_case_shows_how_it_went_with_the_referrer_so_far(scene: Scene) -> None:
    first, second, third = three(scene)
    scene.approve(first)
    scene.reject(second)
    (case,), _ = queue.page(EVERYTHING, at=scene.at)
    assert case.reward == third and case.record == Record(approved=1, rejected=1)
    assert case.assessment == Assessment.RISKY and [signal.weight for signal in case.signals] == [90]


@pytest.mark.both_databases
def test_of_many_at_once_what_can_be_is_decided_and_the_rest_is_told(scene: Scene) -> None:
    first, second, third = three(scene)
    rita = scene.rita.id
    scene.approve(second)
    scene.later(seconds=1)
    both = scene.do(lambda: program.approve_many([third.id, second.id, first.id, first.id], by=rita, at=scene.at))
    assert both.done == [first.id, third.id]
    assert [refusal.message for refusal in both.refused] == ["Approved by %(who)s at %(when)s."]
    assert scene.balance(scene.alice) == {"approved": 6000} and len(scene.mails("reward_approved")) == 2


def test_many_are_rejected_for_one_reason_in_the_same_words(scene: Scene) -> None:
    made = three(scene)
    numbers, rita = [reward.id for reward in made], scene.rita.id
    done = scene.do(
        lambda: program.reject_many(numbers, by=rita, reason=Reason.ABUSE, told="Not by our terms.", at=scene.at)
    )
    assert len(done.done) == 3 and scene.balance(scene.alice) == {}
    assert len(scene.mails("reward_rejected", to=scene.alice)) == 3


def test_nobody_decides_on_what_is_theirs_among_many_either(scene: Scene) -> None:
    friend = scene.friend("Bo", of=scene.rita)
    scene.order(friend)
    own, other = scene.rewards(scene.rita)[0], three(scene)[0]
    rita = scene.rita.id
    done = scene.do(lambda: program.approve_many([own.id, other.id], by=rita, at=scene.at))
    assert done.done == [other.id] and len(done.refused) == 1
    assert queue.tally(EVERYTHING, for_id=rita, at=scene.at).many == 2


@pytest.mark.both_databases
def test_a_hold_is_lengthened_for_a_reason_and_keeps_the_reward_from_being_ready(scene: Scene) -> None:
    reward = scene.approved_reward()
    was, rita = reward.hold_until, scene.rita.id

    def hold(until, note="The parcel is lost.", by=rita):
        return scene.do(lambda: program.hold(reward.id, until=until, note=note, by=by, at=scene.at))

    for until, note in ((was, "x"), (scene.at, "x"), (was + timedelta(days=900), "x"), (was + timedelta(days=5), " ")):
        with pytest.raises(DecisionRefused):
            hold(until, note)
    with pytest.raises(DecisionRefused, match="yours"):
        hold(was + timedelta(days=5), by=scene.alice.id)
    assert hold(was + timedelta(days=5)).hold_until == was + timedelta(days=5)
    scene.at = was + timedelta(days=1)
    assert scene.release() == 0
    scene.at = was + timedelta(days=5)
    assert scene.release() == 1
    with pytest.raises(DecisionRefused, match="in review or on hold"):
        hold(scene.at + timedelta(days=5))


@pytest.mark.both_databases
def test_what_was_decided_in_one_act_is_taken_back_in_one_and_nothing_else(scene: Scene) -> None:
    made = three(scene)
    numbers, rita = [reward.id for reward in made], scene.rita.id
    scene.approve(made[0])
    scene.later(seconds=1)
    decided_at = scene.at
    scene.do(lambda: program.approve_many(numbers[1:], by=rita, at=decided_at))
    scene.later(seconds=8)
    olivia = scene.olivia.id
    assert scene.do(lambda: program.undo_at_once(decided_at, by=olivia, note="-", at=scene.at)).done == []
    back = scene.do(lambda: program.undo_at_once(decided_at, by=rita, note="Taken back at once.", at=scene.at))
    assert back.done == numbers[1:]
    assert [reward.state for reward in made] == [State.APPROVED, State.PENDING, State.PENDING]
    assert [mail.state for mail in scene.mails("reward_approved")] == ["queued", "withdrawn"]
    again = scene.do(lambda: program.undo_at_once(decided_at, by=rita, note="Taken back at once.", at=scene.at))
    assert again.done == [] and again.refused == []


@pytest.mark.both_databases
def test_what_is_approved_in_one_act_is_told_in_one_mail_which_follows_what_is_taken_back(scene: Scene) -> None:
    made = three(scene)
    friend = scene.friend("Bo", of=scene.carol)
    scene.order(friend)
    numbers = [reward.id for reward in (*made, *scene.rewards(scene.carol))]
    scene.publish(fixed(2000, hold_days=0))
    scene.order(scene.friend("Cy", of=scene.alice))
    numbers.append(scene.rewards(scene.alice)[-1].id)
    rita = scene.rita.id
    scene.do(lambda: program.approve_many(numbers, by=rita, at=scene.at))
    (to_alice,), (to_carol,) = (scene.mails("reward_approved", to=person) for person in (scene.alice, scene.carol))
    assert to_carol.subject == "€20.00 is on its way: clears 4 October 2026"
    assert to_alice.subject == "€80.00 was approved"
    assert "4 rewards were approved, together €80.00." in to_alice.text
    assert "€20.00 is ready to pay" in to_alice.text and "€60.00 is on hold until 4 October 2026" in to_alice.text
    scene.undo(made[0])
    assert "3 rewards were approved, together €60.00." in scene.mails("reward_approved", to=scene.alice)[0].text
    scene.undo(made[1])
    scene.undo(session.get_one(Reward, numbers[-1]))
    (left,) = scene.mails("reward_approved", to=scene.alice)
    assert (left.subject, left.state) == ("€20.00 is on its way: clears 4 October 2026", "queued")
    scene.undo(made[2])
    assert [mail.state for mail in scene.mails("reward_approved", to=scene.alice)] == ["withdrawn"]
    assert [mail.state for mail in scene.mails("reward_approved", to=scene.carol)] == ["queued"]


def test_a_press_that_comes_late_or_from_nowhere_takes_nothing_back(scene: Scene) -> None:
    reward = scene.approved_reward()
    decided_at, rita = scene.at, scene.rita.id
    scene.at = decided_at + AT_ONCE + timedelta(seconds=1)
    for moment in (decided_at, scene.at + timedelta(days=1)):
        with pytest.raises(DecisionRefused, match="too late"):
            scene.do(lambda moment=moment: program.undo_at_once(moment, by=rita, note="-", at=scene.at))
    assert reward.state == State.APPROVED


@pytest.mark.both_databases
def test_the_mark_of_what_is_clear_changes_with_a_refund_a_signal_and_a_decision(scene: Scene) -> None:
    clear, *_ = three(scene)
    rita = scene.rita.id

    def tally():
        session.rollback()
        return queue.tally(Filters(assessment=Assessment.CLEAR), for_id=rita, at=scene.at)

    first = tally()
    assert (first.many, first.sum_minor, first.reward_ids) == (1, 2000, [clear.id]) and tally() == first
    scene.refund(clear.conversion.external_id, 1600)
    second = tally()
    assert (second.many, second.sum_minor) == (1, 1500) and second.mark != first.mark
    raised(scene, clear, 40)
    assert tally().many == 0


@pytest.mark.both_databases
def test_all_that_is_clear_is_approved_a_thousand_at_a_time(scene: Scene) -> None:
    scene.publish(fixed(2000))
    rita = scene.rita.id
    many_pending(scene, scene.bob, 1_500, amount_minor=2000)
    clear = Filters(assessment=Assessment.CLEAR)
    for many, more in ((1000, 500), (500, 0), (0, 0)):
        tally = queue.tally(clear, for_id=rita, at=scene.at)
        assert (tally.many, tally.sum_minor, tally.more) == (many, many * 2000, more)
        done = scene.do(lambda mark=tally.mark: program.approve_shown(clear, mark=mark, by=rita, at=scene.at)).done
        assert len(done) == many and all(reward.state == State.APPROVED for reward in rewards.read(done))
        scene.later(seconds=1)
    assert scene.balance(scene.alice) == {"payable": 3_000_000}, "their hold has passed"
    assert [mail.subject for mail in scene.mails("reward_approved")] == [
        "€20,000.00 is ready to pay", "€10,000.00 is ready to pay",
    ]  # fmt: skip


@pytest.mark.both_databases
def test_the_evidence_holds_everything_in_the_order_in_which_it_happened(scene: Scene) -> None:
    scene.publish(fixed(2000))
    scene.click(scene.carol, "v" * 20)
    scene.later(minutes=5)
    scene.click(scene.alice, "v" * 20)
    scene.later(minutes=5)
    bob = scene.friend("Bob", of=scene.alice, visitor="v" * 20)
    scene.later(days=1)
    scene.order(bob)
    (reward,) = scene.rewards(scene.alice)
    scene.later(hours=1)
    rita, referral = scene.rita.id, scene.referral(bob)
    assert referral is not None
    scene.do(lambda: program.note(referral, "They wrote to us.", by=rita, at=scene.at))
    scene.later(hours=1)
    scene.do(
        lambda: program.hold(reward.id, until=reward.hold_until + timedelta(days=1), note="Wait.", by=rita, at=scene.at)
    )
    scene.later(hours=1)
    scene.approve(reward)
    scene.later(hours=1)
    scene.refund(reward.conversion.external_id, 1600)
    found = evidence.of(referral)
    kinds = [one.kind for one in found.story if one.kind not in (Kind.SIGNAL, Kind.MAIL)]
    assert kinds == [
        Kind.CLICK, Kind.CLICK, Kind.JOINED, Kind.CONFIRMED, Kind.CONVERSION, Kind.CONVERSION, Kind.REWARD, Kind.NOTE,
        Kind.HELD, Kind.DECISION, Kind.REFUND, Kind.CLAWBACK,
    ]  # fmt: skip
    assert [(touch.owner.id, touch.won) for touch in found.touches] == [(scene.carol.id, False), (scene.alice.id, True)]
    assert {mail.kind for mail in found.mails} == {"friend_joined", "reward_approved"}
    assert [(one.by.name, one.note) for one in found.story if one.kind in (Kind.NOTE, Kind.HELD) and one.by] == [
        ("Rita", "They wrote to us."), ("Rita", "Wait."),
    ]  # fmt: skip


def test_an_empty_note_is_refused(scene: Scene) -> None:
    referral, rita = scene.referral(scene.bob), scene.rita.id
    assert referral is not None
    with pytest.raises(DecisionRefused):
        scene.do(lambda: program.note(referral, " \n", by=rita, at=scene.at))


@pytest.mark.both_databases
@pytest.mark.parametrize("limit", [None, 1500])
def test_what_is_overdue_is_found_as_each_reward_says_it(scene: Scene, limit: int | None) -> None:
    """By the end of the day, in the program's time zone; what the terms may approve, not before its hold has passed."""
    scene.publish(fixed(1000, hold_days=9), time_zone="America/Los_Angeles")
    small, large = scene.friend("Bea", of=scene.alice), scene.friend("Ben", of=scene.alice)
    scene.order(small)
    scene.publish(fixed(2000, hold_days=9))
    scene.later(hours=13)  # the next day in UTC, the same in Los Angeles
    scene.order(scene.friend("Bert", of=scene.alice))
    current = scene.publish(review_days=3, auto_approve_below_minor=limit)
    first, second = scene.rewards(scene.alice)
    assert large and (first.amount_minor, second.amount_minor) == (1000, 2000)
    turned: dict[int, int] = {}
    for hour in (0, *range(70, 82), *range(214, 226)):
        at = scene.at + timedelta(hours=hour)
        found = {reward.id for reward in pages_at(current, at)}
        said = {one.id for one in (first, second) if (due := rewards.review_due(one, current)) and due < at}
        assert found == said and desk.attention(current, at=at).overdue == len(said), at
        for number in said:
            turned.setdefault(number, hour)
    hours = {reward.id: turned[reward.id] for reward in (first, second)}
    assert hours[second.id] == 24 * 3 + 6, "at Los Angeles' midnight after three days from six in the evening"
    assert hours[first.id] == (24 * 3 + 6 if limit is None else 24 * 9 + 6)


def pages_at(current: Terms, at: datetime) -> list[Reward]:
    return [case.reward for case in queue.page(Filters(overdue_by=current), at=at)[0]]


def test_where_no_deadline_is_promised_nothing_is_overdue(scene: Scene) -> None:
    reward = scene.pending_reward()
    scene.later(days=400)
    assert rewards.review_due(reward, in_force()) is None and not pages_at(in_force(), scene.at)
    current = scene.publish(review_days=60)
    assert pages_at(current, scene.at) == [reward]
    scene.approve(reward)
    assert rewards.review_due(reward, current) is None and not pages_at(current, scene.at), "it waits no more"
