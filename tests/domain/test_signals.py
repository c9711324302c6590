"""Signals: reasons to look twice. They raise a flag and hold; nothing is rejected by the machine."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from portal import program
from portal.accounts import audit, sign_ins, users
from portal.accounts.users import Surroundings, User
from portal.core.database import session
from portal.payouts import methods
from portal.reports import signal_record
from portal.rewards import decisions, kinds, signals
from portal.rewards.conversions import Customer, OrderReport
from portal.rewards.kinds import Kind, Look
from portal.rewards.rewards import State
from portal.rewards.signals import Assessed, Assessment
from portal.sharing import origins
from portal.sharing.clicks import Click
from tests.domain.many import many_pending
from tests.factories import IBAN, NOON, Scene

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


@pytest.mark.both_databases
def test_a_weight_that_the_owner_changes_counts_from_then_on(scene: Scene) -> None:
    def weigh(weight: int, *, is_on: bool = True) -> None:
        owner = scene.olivia.id
        scene.do(lambda: program.weigh_signal(Kind.DISPOSABLE, weight=weight, is_on=is_on, by=owner, at=scene.at))

    def arrives(name: str) -> dict[str, int]:
        return raised(scene, scene.friend(name, of=scene.alice, email=f"{name.lower()}@mailinator.com"))

    before = scene.friend("Ada", of=scene.alice, email="ada@mailinator.com")
    weigh(75)
    assert raised(scene, before) == {Kind.DISPOSABLE: 40} and arrives("Ben") == {Kind.DISPOSABLE: 75}
    weigh(75, is_on=False)
    assert arrives("Cid") == {}, "switched off"
    weigh(0)
    assert arrives("Dan") == {Kind.DISPOSABLE: 0}, "a note"
    for wrong in (-1, 101):
        with pytest.raises(kinds.WeightRefused):
            weigh(wrong)
    weigh(0)
    told = [
        (entry.details["before"], entry.details["now"], entry.actor_id) for entry in audit.about("signal", "disposable")
    ]
    by = scene.olivia.id
    assert told == [(40, 75, by), (75, None, by), (None, 0, by)], "one line a change, none where nothing changed"


def test_a_signal_that_is_raised_is_never_lowered_or_raised_twice(scene: Scene) -> None:
    friend = scene.friend("Bob", of=scene.alice, email="bob@mailinator.com")
    number = scene.referral(friend).id  # type: ignore[union-attr]
    finding = signals.Finding(number, Kind.DISPOSABLE, "another")
    owner = scene.olivia.id
    scene.do(lambda: program.weigh_signal(Kind.DISPOSABLE, weight=1, is_on=True, by=owner, at=scene.at))
    scene.do(lambda: signals.keep([finding, finding], at=scene.at))
    (kept,) = signals.of_referral(number)
    assert (kept.weight, kept.value, kept.raised_at) == (40, "", NOON)


@pytest.mark.both_databases
def test_how_often_a_signal_was_raised_decided_and_right(scene: Scene) -> None:
    """Right is what stands rejected as not genuine; what was approved, given back or is pending is not."""
    for name in ("Ada", "Ben", "Cid", "Dan", "Eve"):
        scene.order(scene.friend(name, of=scene.alice, email=f"{name.lower()}@mailinator.com"))
        scene.later(hours=2)
    ada, ben, cid, dan, _eve = scene.rewards(scene.alice)
    scene.approve(ada)
    scene.reject(ben)
    scene.undo(scene.reject(cid))
    scene.refund(dan.conversion.external_id)

    def numbers(at: datetime) -> tuple[int, int, int]:
        (found,) = (one for one in signal_record.records(at=at)[Look.JOINED] if one.kind == Kind.DISPOSABLE)
        return found.raised, found.decided, found.right

    assert numbers(scene.at) == (5, 2, 1)
    for outcome, friends in (("raised", 5), ("decided", 2), ("right", 1)):
        wanted = (Kind.DISPOSABLE, signal_record.Outcome(outcome))
        page, key = signal_record.behind(*wanted, most=friends - 1, at=scene.at)
        last, end = signal_record.behind(*wanted, before=key, at=scene.at)
        assert (len(page), len(last), end) == (friends - 1, 1, None) or friends == 1, outcome
    assert numbers(scene.at + timedelta(days=366)) == (0, 0, 0), "of the last 365 days"


@pytest.mark.both_databases
def test_one_account_for_two_is_seen_whoever_names_it_first_and_however_it_is_spelled(scene: Scene) -> None:
    """Also where it was named before there were marks, and where the friend belongs to the referrer only later."""

    def names(person: User, kind: methods.Kind, **given: str) -> None:
        scene.do(lambda: program.choose_method(person, kind, given, keep=scene.keep, at=scene.at))

    names(scene.bob, methods.Kind.PAYPAL, email="al.ice@gmail.com")
    scene.do(lambda: session.execute(sa.update(methods.Method).values(mark=None)))
    names(scene.alice, methods.Kind.PAYPAL, email="Alice+cash@googlemail.com")
    assert raised(scene, scene.bob) == {Kind.SAME_PAYOUT: 60}
    names(scene.alice, methods.Kind.CREDIT)
    names(scene.carol, methods.Kind.CREDIT)
    names(scene.carol, methods.Kind.BANK, holder="Carol", iban=IBAN)
    names(scene.alice, methods.Kind.BANK, holder="Somebody Else", iban="DE89 3704 0044 0532 0130 00")
    claim = scene.do(lambda: program.claim(scene.carol, scene.code(scene.alice), at=scene.at))
    scene.do(lambda: program.answer_claim(claim, granted=True, by=scene.alice.id, at=scene.at))
    assert raised(scene, scene.carol) == {Kind.SAME_PAYOUT: 60}
    marks = set(session.scalars(sa.select(methods.Method.mark)))
    assert "" in marks and None not in marks and not any("alice" in str(mark) or IBAN in str(mark) for mark in marks)


def test_details_that_no_key_opens_stop_nobody_from_naming_others(scene: Scene) -> None:
    scene.method(scene.bob)
    scene.do(lambda: session.execute(sa.update(methods.Method).values(mark=None, details="of another key")))
    scene.method(scene.alice)
    assert raised(scene, scene.bob) == {}


@pytest.mark.both_databases
def test_a_click_keeps_where_it_came_from_and_a_later_advertisement_is_added(scene: Scene) -> None:
    steps = [(None, None), ("news", None), ("ad", "ad"), ("news", "ad")]
    for came_from, kept in steps:
        scene.click(scene.alice, VISITOR, came_from=came_from, network=HOME.network)
        scene.later(minutes=5)
        assert session.scalars(sa.select(Click.came_from)).all() == [kept], came_from
    friend = scene.person("Bob", visitor=VISITOR)
    assert raised(scene, friend) == {Kind.PAID_SEARCH: 40}


@pytest.mark.parametrize(
    ("query", "referer", "word"),
    [
        ("", "", None),
        ("gclid=x", "https://www.google.com/", "ad"),
        ("utm_medium=CPC&utm_source=bing", "", "ad"),
        ("", "https://a.example/land?msclkid=1", "ad"),
        ("fbclid=x", "https://l.facebook.com/l.php?u=secret", "l.facebook.com"),
        ("utm_source=Carl%27s%20Letter&utm_medium=email", "https://mail.example/inbox/17", "carl-s-letter"),
        ("utm_source=ad", "https://www.blog.example/post?q=search+terms", "blog.example"),
        ("ref=1", "http://localhost:8000/welcome", None),
        ("utm_source=" + "x" * 500, "", "x" * 40),
        ("utm_source=%00%ff", "http://[broken", None),
        ("utm_source=\ud800", "https://bücher.example/", "b-cher.example"),
        ("&".join(f"a{n}=1" for n in range(100)) + "&gclid=1", "", None),
    ],
)
def test_where_a_visit_came_from_is_one_short_word(query: str, referer: str, word: str | None) -> None:
    assert origins.came_from(query, referer, own=["localhost"]) == word


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
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == 1
    states = {reward.referral.referee_id: reward.state for reward in scene.rewards(scene.alice)}
    assert states == {scene.bob.id: State.APPROVED, flagged.id: State.PENDING}
    decided = decisions.of_reward(next(r.id for r in scene.rewards(scene.alice) if r.state == State.APPROVED))
    assert [decision.by_id for decision in decided] == [None]


@pytest.mark.case(40)
def test_one_company_domain_is_flagged_and_not_approved_by_the_terms(scene: Scene) -> None:
    """It may be an office, so it is Clear; but no money goes out before a person has looked."""
    scene.publish(auto_approve_below_minor=5000)
    boss = scene.person("Boss", email="boss@acme.example")
    clerk = scene.friend("Clerk", of=boss, email="clerk@acme.example")
    scene.order(clerk)
    scene.order(scene.bob)
    scene.later(days=31)
    assert raised(scene, clerk) == {Kind.SAME_DOMAIN: 10}
    assert assessment(scene, clerk) == Assessment.CLEAR
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == 1
    assert [reward.state for reward in scene.rewards(boss)] == [State.PENDING]
    dismiss(scene, clerk, Kind.SAME_DOMAIN)
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == 1
    assert [reward.state for reward in scene.rewards(boss)] == [State.APPROVED]


def dismiss(scene: Scene, friend: User, kind: str, reason: str = "", *, by: User | None = None) -> None:
    referral, who = scene.referral(friend), (by or scene.rita).id
    assert referral is not None
    signal = signals.find(referral.public_id, kind)
    assert signal is not None
    scene.do(lambda: program.dismiss(referral, signal, reason=reason, by=who, at=scene.at))


@pytest.mark.case(45)
def test_a_signal_dismissed_lets_its_case_go_on_and_no_other(scene: Scene) -> None:
    scene.publish(auto_approve_below_minor=5000)
    looked_at, other = (
        scene.friend(name, of=scene.alice, email=f"{name.lower()}@mailinator.com") for name in ("Mal", "Moe")
    )
    for friend in (looked_at, other):
        scene.order(friend)
    scene.later(days=31)
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == 0
    assert assessment(scene, looked_at) == Assessment.CHECK
    dismiss(scene, looked_at, Kind.DISPOSABLE, "The family's mail, they wrote to us.")
    assert assessment(scene, looked_at) == Assessment.CLEAR
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == 1
    states = {reward.referral.referee_id: reward.state for reward in scene.rewards(scene.alice)}
    assert states == {looked_at.id: State.APPROVED, other.id: State.PENDING}
    referral = scene.referral(looked_at)
    assert referral is not None
    (entry,) = [one for one in audit.about("referral", referral.public_id) if one.verb == "signal_dismissed"]
    assert (entry.actor_id, entry.details) == (scene.rita.id, {"signal": "disposable"})


def test_what_waits_for_a_person_keeps_nothing_behind_it_from_being_approved(scene: Scene) -> None:
    """However much that nobody looks at stands first in the order."""
    scene.publish(auto_approve_below_minor=5000)
    flagged = scene.friend("Mal", of=scene.alice, email="mal@mailinator.com")
    clerk = scene.friend("Clerk", of=scene.person("Boss", email="boss@acme.example"), email="clerk@acme.example")
    gone = scene.friend("Gone", of=scene.person("Gina"))
    for friend in (flagged, clerk, gone):
        many_pending(scene, friend, 300, amount_minor=2000)
    scene.suspend(gone)
    scene.order(scene.bob)
    scene.later(days=31)
    assert scene.do(lambda: program.approve_by_terms(at=scene.at)) == 1
    (approved,) = [one for one in scene.rewards(scene.alice) if one.state == State.APPROVED]
    assert approved.referral.referee_id == scene.bob.id


def test_of_two_signals_one_dismissed_leaves_the_other(scene: Scene) -> None:
    mallory = scene.person("Mallory", email="mallory@mailinator.com")
    twin = scene.friend("Twin", of=mallory, email="mallory+1@mailinator.com")
    found = raised(scene, twin)
    assert set(found) >= {Kind.DISPOSABLE} and assessment(scene, twin) != Assessment.CLEAR
    dismiss(scene, twin, Kind.DISPOSABLE, "Looked at.")
    left = sum(weight for kind, weight in found.items() if kind != Kind.DISPOSABLE)
    assert assessment(scene, twin) == signals.assessed(left)


@pytest.mark.case(46)
def test_a_heavy_signal_is_dismissed_with_a_reason_a_light_one_without(scene: Scene) -> None:
    heavy = scene.friend("Mal", of=scene.alice, email="mal@mailinator.com")
    for nothing in ("", "  ", " \u200b "):
        with pytest.raises(signals.SignalRefused, match="Write why"):
            dismiss(scene, heavy, Kind.DISPOSABLE, nothing)
    assert assessment(scene, heavy) == Assessment.CHECK
    dismiss(scene, heavy, Kind.DISPOSABLE, "x" * 500)
    with pytest.raises(signals.SignalRefused, match="dismissed before"):
        dismiss(scene, heavy, Kind.DISPOSABLE, "Again.")


def test_who_recorded_an_order_dismisses_nothing_about_it(scene: Scene) -> None:
    friend = scene.friend("Mal", of=scene.alice, email="mal@mailinator.com")
    told, by = OrderReport("purchase", "B-1", Customer(email=friend.email), scene.at, 6400, "EUR"), scene.olivia.id
    scene.do(lambda: program.record_order(told, by=by, at=scene.at))
    with pytest.raises(signals.SignalRefused, match="You recorded an order of this"):
        dismiss(scene, friend, Kind.DISPOSABLE, "It is fine.", by=scene.olivia)
    dismiss(scene, friend, Kind.DISPOSABLE, "It is fine.")


def test_a_referrer_corrected_there_and_back_takes_no_signal_and_no_dismissal_away(scene: Scene) -> None:
    friend = scene.friend("Mal", of=scene.alice, email="mal@mailinator.com")
    referral = scene.referral(friend)
    assert referral is not None
    scene.do(lambda: signals.keep([signals.Finding(referral.id, Kind.MANY_SIGN_UPS, "4")], at=scene.at))
    dismiss(scene, friend, Kind.DISPOSABLE, "It is fine.")
    by = scene.olivia.id
    for right in (scene.carol, scene.alice):
        scene.do(lambda right=right: program.correct_referrer(referral, right, note="Wrong.", by=by, at=scene.at))
        assert raised(scene, friend) == {Kind.DISPOSABLE: 40, Kind.MANY_SIGN_UPS: 40}
        assert assessment(scene, friend) == Assessment.CHECK, "one stands, one is dismissed"


def test_nobody_dismisses_a_signal_about_themselves(scene: Scene) -> None:
    friend = scene.friend("Mal", of=scene.rita, email="mal@mailinator.com")
    with pytest.raises(signals.SignalRefused, match="You are part of this"):
        dismiss(scene, friend, Kind.DISPOSABLE, "It is fine.")
    dismiss(scene, friend, Kind.DISPOSABLE, "It is fine.", by=scene.olivia)


@pytest.mark.case(51)
def test_an_address_not_confirmed_earns_nobody_anything(scene: Scene) -> None:
    bob = scene.sign_up("Bob", carried=scene.code(scene.alice))
    scene.order(bob)
    assert scene.rewards(scene.alice) == []
    scene.later(hours=1)
    scene.confirm(bob)
    assert len(scene.rewards(scene.alice)) == 1, "what waited for the address happens with its confirmation"
