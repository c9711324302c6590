"""The whole story once, verb by verb: what stands in the ledger after each step, on both databases."""

import pytest

from portal.payouts.payouts import BatchState
from portal.rewards.rewards import State
from tests.factories import Scene

pytestmark = pytest.mark.both_databases


@pytest.mark.case(1, 14, 52, 76)
def test_a_friend_comes_orders_and_the_referrer_is_paid(scene: Scene) -> None:
    scene.click(scene.alice, "visitor-of-bob-00001", new=True)
    bob = scene.person("Bob", visitor="visitor-of-bob-00001")
    referral = scene.referral(bob)
    assert referral is not None and referral.referrer_id == scene.alice.id and referral.how == "last_touch"

    scene.later(days=2)
    scene.order(bob, 6400)
    reward = scene.reward(scene.alice)
    assert (reward.state, reward.amount_minor) == (State.PENDING, 2000)
    assert scene.balance(scene.alice) == {"pending": 2000}

    scene.approve(reward)
    assert scene.balance(scene.alice) == {"approved": 2000}
    scene.method(scene.alice)
    scene.later(days=30)
    scene.release()
    assert scene.balance(scene.alice) == {"payable": 2000}

    batch = scene.exported_batch()
    assert scene.balance(scene.alice) == {"in_payout": 2000}
    assert scene.pay_batch(batch) == 1
    assert scene.balance(scene.alice) == {"paid": 2000}
    assert (reward.state, batch.state) == (State.PAID, BatchState.PAID)
    assert [m.kind for m in scene.mails(to=scene.alice)][1:] == [
        "friend_joined",
        "reward_approved",
        "reward_ready",
        "payout_paid",
    ]
