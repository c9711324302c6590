"""Reports: what a referrer and the admin's desk read, and that it is the books' and nobody else's."""

import pytest

from portal import terms
from portal.core.database import session
from portal.referrals import referrals
from portal.reports import desk, people, queue, referrer, sharing
from portal.reports.queue import Filters
from portal.reports.status import Word
from portal.rewards.signals import Assessment, Signal
from tests.domain.many import many_pending, many_ready
from tests.factories import REFEREE, Scene, fixed

VISITOR = "the-visitor-in-testsA"


def word(scene: Scene) -> Word:
    """Where Bob stands for Alice."""
    session.rollback()
    (friend,), _ = referrer.friends(scene.alice.id, at=scene.at)
    return friend.status.word


@pytest.mark.both_databases
def test_a_friend_stands_where_the_reward_does(scene: Scene) -> None:
    reward = scene.pending_reward()
    assert word(scene) == Word.IN_REVIEW
    scene.approve(reward)
    assert word(scene) == Word.ON_HOLD
    scene.later(days=31)
    scene.release()
    assert word(scene) == Word.READY
    scene.method(scene.alice)
    scene.later(days=3)
    batch = scene.batch()
    assert word(scene) == Word.IN_PAYOUT
    scene.cancel(batch)
    assert word(scene) == Word.READY
    scene.undo(reward)
    scene.reject(reward)
    assert word(scene) == Word.NOT_ELIGIBLE
    scene.undo(reward)
    scene.refund("order-1")
    assert word(scene) == Word.REVERSED


def test_a_friend_without_a_reward_has_joined_counted_or_expired(scene: Scene) -> None:
    scene.publish(fixed(2000, to=REFEREE))
    bob = scene.bob
    assert word(scene) == Word.JOINED
    scene.order(bob)
    assert word(scene) == Word.COUNTED


@pytest.mark.case(28)
def test_a_friend_whose_time_is_over_is_shown_as_expired_before_the_worker_comes(scene: Scene) -> None:
    bob = scene.bob
    scene.later(days=90)
    assert word(scene) == Word.JOINED
    scene.later(seconds=1)
    assert word(scene) == Word.EXPIRED
    scene.do(lambda: referrals.expire_due(at=scene.at))
    referral = scene.referral(bob)
    assert referral is not None and "expired" in [event.kind for event in referrer.story(referral, of=scene.alice.id)]


@pytest.mark.both_databases
def test_the_story_of_a_friend_reads_in_order_and_sums_to_what_is_left(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    scene.later(minutes=5)
    bob = scene.person("Bob", visitor=VISITOR)
    scene.later(days=1)
    scene.order(bob)
    reward = scene.reward(scene.alice)
    scene.later(days=1)
    scene.approve(reward)
    scene.later(days=1)
    scene.refund("order-1", 3200)
    scene.method(scene.alice)
    scene.publish(minimum_payout_minor=100)
    scene.later(days=31)
    batch = scene.exported_batch()
    scene.later(days=1)
    scene.pay_batch(batch)
    referral = scene.referral(bob)
    assert referral is not None
    story = referrer.story(referral, of=scene.alice.id)
    assert [event.at for event in story] == sorted(event.at for event in story)
    kinds = [event.kind for event in story]
    assert kinds[:3] == ["clicked", "joined", "confirmed"] and kinds[-2:] == ["ready", "paid"]
    assert sum(event.minor or 0 for event in story if event.kind in ("reward_made", "taken_back")) == 1000


@pytest.mark.case(105)
def test_each_question_answers_of_its_own_person_alone(scene: Scene) -> None:
    scene.paid_reward()
    alice, mallory = scene.alice.id, scene.mallory.id
    referral = scene.referral(scene.bob)
    assert referral is not None
    assert referrals.find_of_referrer(referral.public_id, referrer_id=alice) is not None
    assert referrals.find_of_referrer(referral.public_id, referrer_id=mallory) is None
    assert referrer.friends(mallory, at=scene.at) == ([], None)
    assert referrer.rewards_of(mallory) == ([], None) and referrer.payouts_of(mallory) == []
    assert [event for event in referrer.story(referral, of=mallory) if event.reward] == []


@pytest.mark.both_databases
def test_numbers_count_people_once(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    scene.click(scene.alice, VISITOR)
    bob = scene.bob
    scene.order(bob)
    scene.order(bob)
    scene.friend("Ben", of=scene.alice)
    session.rollback()
    assert sharing.numbers(scene.alice.id, "EUR", since=None) == sharing.Numbers(1, 2, 1, earned_minor=2000)
    assert sharing.numbers(scene.alice.id, "EUR", since=scene.at) == sharing.Numbers(0, 0, 0, 0)
    assert sharing.numbers(scene.carol.id, "EUR", since=None) == sharing.Numbers(0, 0, 0, 0)


@pytest.mark.case(116)
def test_lists_give_a_page_and_the_key_of_the_next_until_nothing_is_left(scene: Scene) -> None:
    everything = Filters()
    assert queue.page(everything, at=scene.at) == ([], None) and referrer.rewards_of(scene.alice.id) == ([], None)
    many_pending(scene, scene.bob, 120, amount_minor=10)
    seen: list[int] = []
    after = None
    while True:
        cases, after = queue.page(everything, after=after, at=scene.at)
        seen += [case.reward.id for case in cases]
        if after is None:
            break
    assert seen == [reward.id for reward in scene.rewards(scene.alice)] and len(seen) == 120
    mine, before = referrer.rewards_of(scene.alice.id)
    older, _ = referrer.rewards_of(scene.alice.id, before=before)
    assert len(mine) == len(older) == referrer.PAGE and mine[-1].id == older[0].id + 1
    assert {case.assessment for case in queue.page(everything, at=scene.at)[0]} == {Assessment.CLEAR}


def test_what_needs_attention_is_counted(scene: Scene) -> None:
    scene.payable_reward()
    (payout,) = scene.exported_batch().payouts
    scene.fail(payout)
    scene.order(scene.friend("Ben", of=scene.alice))
    scene.order(scene.bob, 9, external_id="order-1")
    scene.refund("never-told")
    scene.order(program_customer(), external_id="waiting")
    found = desk.attention(terms.in_force(), at=scene.at)
    assert (found.pending, found.failed_payouts, found.waiting_orders, found.waiting_refunds, found.disagreements) == (
        1, 1, 1, 1, 1,
    )  # fmt: skip
    assert found.oldest_pending_at == scene.at and found.risky == 0
    risky = scene.rewards(scene.alice)[-1].referral_id
    scene.do(lambda: session.add(Signal(referral_id=risky, kind="disposable", weight=90, raised_at=scene.at)))
    assert desk.attention(terms.in_force(), at=scene.at).risky == 1


def program_customer():  # type: ignore[no-untyped-def]
    """A customer whom nobody has told of."""
    from portal.rewards.conversions import Customer

    return Customer("C-unknown")


@pytest.mark.case(93)
def test_what_is_on_its_way_never_vanishes_from_the_sum(scene: Scene) -> None:
    """Pending, approved, in a payout: each is on its way, until it is ready or paid."""
    reward = scene.pending_reward()
    shown = []

    def note() -> None:
        session.rollback()
        money = referrer.credits(scene.alice.id, "EUR", at=scene.at)
        shown.append((money.on_its_way_minor, money.ready_minor, money.paid_minor))

    note()
    scene.approve(reward)
    note()
    scene.method(scene.alice)
    scene.later(days=31)
    scene.release()
    note()
    batch = scene.exported_batch()
    note()
    scene.pay_batch(batch)
    note()
    assert shown == [(2000, 0, 0), (2000, 0, 0), (0, 2000, 0), (2000, 0, 0), (0, 0, 2000)]


def test_people_are_found_by_name_address_and_id_and_wildcards_are_letters(scene: Scene) -> None:
    many_ready(scene, 60)
    scene.customer("C-7", "zoe@example.com", name="Zoë Öz")
    for wanted in ("zoe@", "ZOE", "zoë", "C-7"):
        found, _ = people.listed("EUR", search=wanted)
        assert [row.user.email for row in found] == ["zoe@example.com"], wanted
    assert people.listed("EUR", search="%")[0] == people.listed("EUR", search="_")[0] == []
    first, before = people.listed("EUR")
    second, _ = people.listed("EUR", before=before)
    assert len(first) == people.PAGE and first[-1].user.id > second[0].user.id
