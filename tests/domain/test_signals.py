"""Signals: reasons to look twice. They raise a flag and hold; nothing is rejected by the machine."""

import pytest
import sqlalchemy as sa

from portal import program
from portal.accounts import sign_ins, users
from portal.accounts.users import Surroundings, User
from portal.core.database import session
from portal.rewards import kinds, rewards, signals
from portal.rewards.kinds import Kind
from portal.rewards.rewards import State
from portal.rewards.signals import Assessed, Assessment
from tests.factories import Scene

VISITOR = "the-visitor-in-testsA"
HOME = Surroundings(VISITOR, "203.0.113.0/24", "firefoxfirefox00")


def raised(scene: Scene, friend: User) -> dict[str, int]:
    """The signals about a friend, with their weights."""
    referral = scene.referral(friend)
    assert referral is not None
    return {signal.kind: signal.weight for signal in signals.of_referral(referral.id)}


def assessment(scene: Scene, friend: User) -> Assessment:
    referral = scene.referral(friend)
    assert referral is not None
    return signals.assessments({referral.id})[referral.id]


def test_a_friend_with_nothing_to_look_at_is_clear(scene: Scene) -> None:
    assert raised(scene, scene.bob) == {}
    assert assessment(scene, scene.bob) == Assessment.CLEAR


@pytest.mark.case(38)
@pytest.mark.parametrize(
    ("own", "other"),
    [
        ("mallory@gmail.com", "mallory+1@gmail.com"),
        ("mallory@gmail.com", "m.a.l.l.o.r.y@gmail.com"),
        ("mallory@gmail.com", "Mal.Lory+shop@googlemail.com"),
        ("mallory@outlook.com", "mallory+shop@outlook.com"),
        ("mallory@proton.me", "Mallory+2@proton.me"),
    ],
)
def test_the_same_mailbox_spelled_otherwise_is_risky(scene: Scene, own: str, other: str) -> None:
    mallory = scene.person("Mallory", email=own)
    twin = scene.friend("Mallory", of=mallory, email=other)
    assert raised(scene, twin) == {Kind.SAME_MAILBOX: 80}
    assert assessment(scene, twin) == Assessment.RISKY


@pytest.mark.case(39)
def test_letter_case_makes_no_second_person(scene: Scene) -> None:
    mallory = scene.person("Mallory", email="mallory@example.com")
    scene.sign_up("Mallory", email="MALLORY@Example.Com", carried=scene.code(mallory))
    everybody = sa.select(sa.func.count()).where(sa.func.lower(User.email) == "mallory@example.com")
    assert session.scalar(everybody) == 1 and scene.referral(mallory) is None


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ("mallory@example.com", "mal.lory@example.com"),
        ("mallory@example.com", "mallory+1@example.com"),
        ("mallory@outlook.com", "mal.lory@outlook.com"),
    ],
)
def test_dots_and_tags_are_folded_only_where_the_provider_folds_them(own: str, other: str) -> None:
    assert users.folded(own) != users.folded(other)


@pytest.mark.case(41)
def test_a_throw_away_address_is_to_be_checked(scene: Scene) -> None:
    friend = scene.friend("Bob", of=scene.alice, email="bob@mailinator.com")
    assert raised(scene, friend) == {Kind.DISPOSABLE: 40}
    assert assessment(scene, friend) == Assessment.CHECK


@pytest.mark.case(42, 43)
def test_the_same_network_alone_weighs_nothing_and_with_the_same_browser_is_to_be_checked(scene: Scene) -> None:
    alice = scene.person("Alice", seen=HOME)
    wife = scene.friend("Ann", of=alice, seen=Surroundings("visitor-of-ann-00001", HOME.network, "chromechrome0000"))
    assert raised(scene, wife) == {Kind.SAME_NETWORK: 0} and assessment(scene, wife) == Assessment.CLEAR
    twin = scene.friend("Al", of=alice, seen=Surroundings("visitor-of-al-000001", HOME.network, HOME.browser))
    assert raised(scene, twin) == {Kind.SAME_BROWSER: 40} and assessment(scene, twin) == Assessment.CHECK


def test_the_referrers_own_browser_is_risky_with_everything_else_about_it(scene: Scene) -> None:
    mallory = scene.person("Mallory", seen=HOME)
    twin = scene.friend("Mal", of=mallory, seen=HOME)
    assert raised(scene, twin) == {Kind.SAME_VISITOR: 60, Kind.SAME_BROWSER: 40}
    assert assessment(scene, twin) == Assessment.RISKY


def test_the_browsers_that_the_referrer_signed_in_from_are_known_too(scene: Scene) -> None:
    mallory = scene.mallory
    scene.do(lambda: sign_ins.start(mallory.id, surroundings=HOME, at=scene.at))
    twin = scene.friend("Mal", of=mallory, seen=HOME)
    assert raised(scene, twin) == {Kind.SAME_VISITOR: 60, Kind.SAME_BROWSER: 40}


@pytest.mark.case(48)
def test_many_sign_ups_from_one_network_within_an_hour_are_to_be_checked(scene: Scene) -> None:
    def arrives(number: int) -> User:
        visitor = f"visitor-number-{number:05d}"
        return scene.friend(
            f"Friend {number}", of=scene.alice, seen=Surroundings(visitor, HOME.network, f"browser{number:09d}")
        )

    people = [arrives(number) for number in range(5)]
    assert [Kind.MANY_SIGN_UPS in raised(scene, friend) for friend in people] == [False] * 3 + [True] * 2
    assert signals.of_referral(scene.referral(people[4]).id)[0].value == "5"  # type: ignore[union-attr]
    elsewhere = scene.friend(
        "Carl", of=scene.alice, seen=Surroundings("visitor-of-carl-0001", "198.51.100.0/24", "x" * 16)
    )
    assert raised(scene, elsewhere) == {}, "honest people elsewhere are not affected"
    scene.later(hours=1, seconds=1)
    assert Kind.MANY_SIGN_UPS not in raised(scene, arrives(6))


def test_every_signal_has_a_weight_and_a_sentence(scene: Scene) -> None:
    assert set(kinds.ABOUT) == set(kinds.standings()) == set(Kind)
    assert all(about.sentence and about.name and 0 <= about.weight <= kinds.MOST for about in kinds.ABOUT.values())
    assert [signals.assessed(weight) for weight in (0, 29, 30, 69, 70)] == [
        Assessment.CLEAR, Assessment.CLEAR, Assessment.CHECK, Assessment.CHECK, Assessment.RISKY,
    ]  # fmt: skip


def test_what_was_never_assessed_is_check_and_not_clear(scene: Scene) -> None:
    referral = scene.referral(scene.bob)
    assert referral is not None
    scene.do(lambda: session.execute(sa.delete(Assessed)))
    assert signals.assessments({referral.id}) == {referral.id: Assessment.CHECK}


@pytest.mark.case(44)
def test_a_flagged_reward_waits_for_a_person_while_clear_ones_are_approved_by_the_terms(scene: Scene) -> None:
    scene.publish(auto_approve_below_minor=5000)
    flagged = scene.friend("Mal", of=scene.alice, email="mal@mailinator.com")
    for friend in (scene.bob, flagged):
        scene.order(friend)
    scene.later(days=31)
    assert scene.do(lambda: program.approve_clear(at=scene.at)) == 1
    states = {reward.referral.referee_id: reward.state for reward in scene.rewards(scene.alice)}
    assert states == {scene.bob.id: State.APPROVED, flagged.id: State.PENDING}
    decided = rewards.decisions(next(r.id for r in scene.rewards(scene.alice) if r.state == State.APPROVED))
    assert [decision.by_id for decision in decided] == [None]


@pytest.mark.case(51)
def test_an_address_not_confirmed_earns_nobody_anything(scene: Scene) -> None:
    bob = scene.sign_up("Bob", carried=scene.code(scene.alice))
    scene.order(bob)
    assert scene.rewards(scene.alice) == []
    scene.later(hours=1)
    scene.confirm(bob)
    assert len(scene.rewards(scene.alice)) == 1, "what waited for the address happens with its confirmation"
