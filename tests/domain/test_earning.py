"""Earning: the best rule for each side, both sides or neither; milestones on top, within the caps of today."""

from datetime import UTC, datetime, timedelta

import pytest

from portal import terms
from portal.core.database import session
from portal.rewards.conversions import Answer, Conversion
from portal.rewards.rewards import Reward, State
from tests.factories import EVERY, REFEREE, Scene, fixed, milestone, share

pytestmark = pytest.mark.both_databases


def amounts(rewards: list[Reward]) -> list[int]:
    return [reward.amount_minor for reward in rewards]


def republished(scene: Scene, *offered, **settings) -> Scene:  # type: ignore[no-untyped-def]
    """The scene with another offer, before anybody has come."""
    scene.publish(*offered, **settings)
    return scene


# --- earned ---------------------------------------------------------------------------------------------------


@pytest.mark.case(52, 51)
def test_a_confirmed_sign_up_earns_its_amount_once(scene: Scene) -> None:
    republished(scene, fixed(500, goal="signup"))
    bob = scene.sign_up("Bob", carried=scene.code(scene.alice))
    assert scene.rewards(scene.alice) == []
    scene.confirm(bob)
    scene.sign_up("Bob", carried=scene.code(scene.alice))
    assert amounts(scene.rewards(scene.alice)) == [500]


@pytest.mark.case(25)
def test_whoever_came_alone_earns_nobody_anything(scene: Scene) -> None:
    reported = scene.order(scene.carol)
    assert reported.answer == Answer.MADE and reported.conversion.referral_id is None
    assert session.query(Reward).count() == 0


@pytest.mark.case(55)
def test_both_sides_get_theirs_once(scene: Scene) -> None:
    republished(scene, fixed(2000), fixed(1000, to=REFEREE))
    scene.order(scene.bob, external_id="A-1")
    scene.order(scene.bob, external_id="A-1")
    assert (scene.balance(scene.alice), scene.balance(scene.bob)) == ({"pending": 2000}, {"pending": 1000})


@pytest.mark.case(55)
def test_both_sides_or_neither(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from portal.rewards import earning, rewards

    republished(scene, fixed(2000), fixed(1000, to=REFEREE))
    bob, real = scene.bob, rewards.make

    def falls_over(conversion, referral, rule, *args, **kwargs):  # type: ignore[no-untyped-def]
        if rule.beneficiary == REFEREE:
            raise RuntimeError("the disk is full")
        return real(conversion, referral, rule, *args, **kwargs)

    monkeypatch.setattr(earning.Kept, "make", staticmethod(falls_over))
    with pytest.raises(RuntimeError, match="disk"):
        scene.order(bob, external_id="A-1")
    assert scene.balance(scene.alice) == {} and session.query(Conversion).filter_by(external_id="A-1").count() == 0
    monkeypatch.undo()
    assert scene.order(bob, external_id="A-1").answer == Answer.MADE
    assert (scene.balance(scene.alice), scene.balance(scene.bob)) == ({"pending": 2000}, {"pending": 1000})


@pytest.mark.case(47, 56)
@pytest.mark.parametrize("who", ["alice", "bob"])
def test_with_one_side_suspended_neither_earns(scene: Scene, who: str) -> None:
    republished(scene, fixed(2000), fixed(1000, to=REFEREE))
    bob = scene.bob
    scene.suspend(getattr(scene, who))
    reported = scene.order(bob)
    assert session.query(Reward).count() == 0
    assert reported.conversion.outcome == [{"why_not": "suspended"}]


@pytest.mark.case(57)
def test_the_second_order_earns_nothing_where_the_first_does(scene: Scene) -> None:
    scene.order(scene.bob)
    second = scene.order(scene.bob)
    assert amounts(scene.rewards(scene.alice)) == [2000]
    assert [said["why_not"] for said in second.conversion.outcome] == ["only_the_first"]


@pytest.mark.case(57)
def test_of_two_rules_for_a_first_order_one_gives_and_the_second_order_has_nothing_left(scene: Scene) -> None:
    republished(scene, fixed(1000), fixed(2000), fixed(1000, to=REFEREE), fixed(2500, to=REFEREE), milestone(1, 100))
    for _ in range(3):
        last = scene.order(scene.bob, 6000)
    assert (amounts(scene.rewards(scene.alice)), amounts(scene.rewards(scene.bob))) == ([2000, 100], [2500])
    assert [said["why_not"] for said in last.conversion.outcome] == ["only_the_first"] * 4 + ["already_given"]


def test_the_first_of_a_goal_and_of_a_friend_is_one_of_its_own(scene: Scene) -> None:
    republished(scene, fixed(500, goal="signup"), fixed(700, minimum_order_minor=3000), fixed(400), share(100, **EVERY))
    scene.order(scene.bob, 2000)
    scene.order(scene.bob, 4000)
    scene.order(scene.friend("Nina", of=scene.alice), 4000)
    assert amounts(scene.rewards(scene.alice)) == [500, 400, 40, 500, 700]


@pytest.mark.case(58)
def test_every_order_earns_for_twelve_months_and_not_in_the_thirteenth(scene: Scene) -> None:
    republished(scene, share(1000, **EVERY, months=12))
    bob = scene.bob
    for month in range(12):
        scene.order(bob, 1000 + month)
        scene.later(days=30)
    scene.at = scene.at.replace(year=2027, month=9, day=1)
    scene.order(bob, 5000)
    scene.later(seconds=1)
    late = scene.order(bob, 6000)
    assert len(scene.rewards(scene.alice)) == 13 and scene.rewards(scene.alice)[-1].amount_minor == 500
    assert late.conversion.outcome[0]["why_not"] == "months_over"


@pytest.mark.case(59)
def test_an_order_below_the_minimum_does_not_use_up_the_first(scene: Scene) -> None:
    republished(scene, fixed(2000, minimum_order_minor=5000))
    for amount_minor in (4999, 5000, 5001):
        scene.order(scene.bob, amount_minor)
    (reward,) = scene.rewards(scene.alice)
    assert reward.conversion.amount_minor == 5000
    referral = scene.referral(scene.bob)
    assert referral is not None and referral.counted_at is not None


def test_orders_below_the_minimum_do_not_count_and_the_referral_can_expire(scene: Scene) -> None:
    republished(scene, fixed(2000, minimum_order_minor=5000))
    reported = scene.order(scene.bob, 4999)
    referral = scene.referral(scene.bob)
    assert referral is not None and referral.counted_at is None and not reported.conversion.counted


@pytest.mark.case(67)
def test_of_several_rules_the_one_that_gives_most_applies_and_names_the_others(scene: Scene) -> None:
    republished(scene, fixed(500), share(1000), fixed(700, minimum_order_minor=100_000))
    scene.order(scene.bob, 6400)
    reward = scene.reward(scene.alice)
    assert reward.amount_minor == 640 and reward.rule.kind == "share"
    assert [step["amount_minor"] for step in reward.computation if step["step"] == "beats"] == [500]
    assert sorted(said.get("why_not", "given") for said in reward.conversion.outcome) == [
        "another_gives_more", "below_minimum", "given",
    ]  # fmt: skip


@pytest.mark.case(64, 65)
def test_new_terms_leave_old_rewards_and_old_referrals_alone(scene: Scene) -> None:
    bob = scene.bob
    scene.order(bob, external_id="A-1")
    scene.publish(fixed(9900))
    ben = scene.friend("Ben", of=scene.alice)
    anew = scene.friend("Bill", of=scene.alice)
    scene.order(anew)
    scene.order(ben)
    assert amounts(scene.rewards(scene.alice)) == [2000, 9900, 9900]
    late = scene.order(scene.friend("Late", of=scene.alice))
    assert late.conversion.referral is not None and late.conversion.referral.terms.version == 2


def test_a_referral_keeps_the_terms_it_came_under(scene: Scene) -> None:
    bob = scene.bob
    scene.publish(fixed(9900), goal_days=1)
    scene.later(days=2)
    scene.order(bob)
    assert amounts(scene.rewards(scene.alice)) == [2000]


def test_a_rule_goes_on_under_its_key_in_the_next_version(scene: Scene) -> None:
    scene.order(scene.bob)
    scene.publish(minimum_payout_minor=100)
    scene.order(scene.friend("Ben", of=scene.alice))
    first, second = scene.rewards(scene.alice)
    assert first.rule_id != second.rule_id and first.rule_key == second.rule_key
    assert (first.ordinal, second.ordinal) == (1, 2)


@pytest.mark.case(64)
def test_a_tier_goes_by_the_order_of_arrival_and_is_never_recomputed(scene: Scene) -> None:
    republished(scene, fixed(1000, **EVERY, tiers=[{"from": 3, "amount_minor": 1500}]))
    for _ in range(3):
        scene.order(scene.bob)
    scene.reject(scene.rewards(scene.alice)[0])
    scene.order(scene.bob)
    assert amounts(scene.rewards(scene.alice)) == [1000, 1000, 1500, 1500]
    assert [reward.ordinal for reward in scene.rewards(scene.alice)] == [1, 2, 3, 4]


@pytest.mark.case(61, 62, 63)
def test_milestones_are_given_once_each_by_exactly_their_number_of_friends(scene: Scene) -> None:
    republished(scene, fixed(100), *(milestone(n, 1000 * n) for n in (3, 5, 10)))
    for number in range(10):
        scene.order(scene.friend(f"Friend {number}", of=scene.alice))
        given = [reward.threshold for reward in scene.rewards(scene.alice) if reward.threshold]
        assert given == [n for n in (3, 5, 10) if n <= number + 1]
    assert scene.balance(scene.alice) == {"pending": 10 * 100 + 18_000}


@pytest.mark.case(61)
def test_a_friend_who_was_rejected_or_refunded_is_no_friend_for_the_milestone(scene: Scene) -> None:
    republished(scene, fixed(100), milestone(3, 5000))
    first = scene.order(scene.friend("One", of=scene.alice))
    scene.order(scene.friend("Two", of=scene.alice))
    scene.refund(first)
    scene.reject(scene.rewards(scene.alice)[1])
    scene.order(scene.friend("Three", of=scene.alice))
    scene.order(scene.friend("Four", of=scene.alice))
    assert [reward.threshold for reward in scene.rewards(scene.alice) if reward.threshold] == []
    scene.order(scene.friend("Five", of=scene.alice))
    assert [reward.threshold for reward in scene.rewards(scene.alice) if reward.threshold] == [3]


def test_a_second_order_of_the_same_friend_is_not_a_second_friend(scene: Scene) -> None:
    republished(scene, fixed(100, **EVERY), milestone(2, 5000))
    for _ in range(3):
        scene.order(scene.bob)
    assert [reward.threshold for reward in scene.rewards(scene.alice)] == [None] * 3


@pytest.mark.case(68)
def test_a_rule_outside_its_dates_earns_nothing(scene: Scene) -> None:
    republished(scene, fixed(2000, starts_on=datetime(2026, 9, 3, tzinfo=UTC).date()), time_zone="Europe/Berlin")
    bob = scene.bob
    scene.at = datetime(2026, 9, 2, 21, 59, tzinfo=UTC)
    scene.order(bob)
    assert scene.rewards(scene.alice) == []
    scene.later(minutes=1)  # midnight in Berlin
    scene.order(bob)
    assert amounts(scene.rewards(scene.alice)) == [2000]


@pytest.mark.case(69)
def test_a_hold_is_over_on_its_day_and_not_before(scene: Scene) -> None:
    reward = scene.approved_reward()
    until = scene.at + timedelta(days=30)
    assert reward.hold_until == until
    scene.at = until - timedelta(microseconds=1)
    assert scene.release() == 0 and scene.balance(scene.alice) == {"approved": 2000}
    scene.at = until
    assert scene.release() == 1 and scene.balance(scene.alice) == {"payable": 2000}
    assert scene.release() == 0


def test_a_hold_goes_by_when_the_order_was_placed_not_by_when_it_was_told(scene: Scene) -> None:
    bob, placed = scene.bob, scene.later(days=1)
    scene.later(days=40)
    scene.order(bob, occurred_at=placed)
    scene.approve(scene.reward(scene.alice))
    assert scene.balance(scene.alice) == {"payable": 2000}


def test_an_order_from_before_the_friend_joined_earns_nothing(scene: Scene) -> None:
    earlier = scene.at - timedelta(seconds=1)
    reported = scene.order(scene.bob, occurred_at=earlier)
    assert scene.rewards(scene.alice) == [] and reported.conversion.outcome[0]["why_not"] == "before_joining"


# --- caps of today --------------------------------------------------------------------------------------------


def test_a_cap_a_month_gives_what_is_left_of_it_and_says_so(scene: Scene) -> None:
    republished(scene, fixed(2000, **EVERY), fixed(100, to=REFEREE, **EVERY), referrer_month_cap_minor=5000)
    for _ in range(4):
        scene.order(scene.bob)
    assert amounts(scene.rewards(scene.alice)) == [2000, 2000, 1000]
    assert scene.rewards(scene.alice)[2].computation[-1] == {
        "step": "cap", "period": "month", "cap_minor": 5000, "amount_minor": 1000,
    }  # fmt: skip
    assert len(scene.rewards(scene.bob)) == 4, "the cap is the referrer's"
    scene.at = datetime(2026, 10, 1, tzinfo=UTC)
    scene.order(scene.bob)
    assert amounts(scene.rewards(scene.alice)) == [2000, 2000, 1000, 2000]


def test_a_rejected_reward_makes_room_under_the_cap(scene: Scene) -> None:
    republished(scene, fixed(2000, **EVERY), referrer_year_cap_minor=2000)
    scene.order(scene.bob)
    scene.order(scene.bob)
    scene.reject(scene.reward(scene.alice))
    scene.order(scene.bob)
    assert [(r.amount_minor, r.state) for r in scene.rewards(scene.alice)] == [
        (2000, State.REJECTED),
        (2000, State.PENDING),
    ]


def test_the_cap_of_today_counts_and_not_that_of_the_referrals_terms(scene: Scene) -> None:
    bob = scene.bob
    scene.publish(referrer_month_cap_minor=500)
    scene.order(bob)
    assert amounts(scene.rewards(scene.alice)) == [500]


def test_a_month_begins_by_the_terms_time_zone(scene: Scene) -> None:
    scene.publish(time_zone="Europe/Berlin")
    at = datetime(2026, 9, 30, 22, 30, tzinfo=UTC)  # 1 October, 0:30 in Berlin
    assert terms.in_force().period_start("month", at=at) == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert terms.in_force().period_start("year", at=at) == datetime(2025, 12, 31, 23, tzinfo=UTC)
