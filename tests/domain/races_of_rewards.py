"""Races of rewards: the same order, refund or decision at once, and what crosses it on its way."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from portal import program
from portal.accounts import audit
from portal.accounts.users import User
from portal.core import money
from portal.core.database import session
from portal.core.text import Refusal
from portal.referrals.referrals import Referral
from portal.reports import queue
from portal.reports.queue import Filters
from portal.rewards import clawbacks, decisions, ledger, rewards, signals
from portal.rewards.conversions import Answer, Conversion
from portal.rewards.decisions import Reason
from portal.rewards.kinds import Kind
from portal.rewards.refunds import RefundReport
from portal.rewards.rewards import State
from portal.rewards.signals import Assessment
from portal.rewards.tier_locks import TierLock
from tests.domain.racing import (
    NAMES,
    PEOPLE,
    Acts,
    Question,
    Race,
    a_reward,
    approve,
    charge_back,
    convert,
    count,
    expect,
    granted,
    lingering,
    newcomer,
    refund,
    report,
    rewards_for,
    spread,
    state,
    win,
)
from tests.factories import Scene


def the_same_order(scene: Scene, clients: int) -> tuple[Acts, Question]:
    friend = newcomer(scene, "friend", code=scene.code(scene.alice))
    number, told = friend.id, report(scene, friend, f"race-{next(scene._numbers)}")

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("orders", count(Conversion, Conversion.external_id == told.external_id), 1)
        yield from expect("rewards", rewards_for(number), 1)
        yield from expect("made", granted(outcomes).count(Answer.MADE), 1)
        yield from expect("known", granted(outcomes).count(Answer.KNOWN), clients - 1)

    return [convert(scene, told)] * clients, question


def refunds_against_their_order(scene: Scene, clients: int) -> tuple[Acts, Question]:
    person = newcomer(scene, "referrer")
    friend = newcomer(scene, "friend", code=scene.code(person))
    told = report(scene, friend, f"race-{next(scene._numbers)}")
    parts = [
        lingering(refund(scene, told.external_id, f"race-{next(scene._numbers)}", 1000)) for _ in range(clients - 2)
    ]

    def question(outcomes: list[Any]) -> Iterator[str]:
        left = 2000 - money.half_up(2000 * 1000 * (clients - 2), 6400)
        yield from expect("balance", scene.balance(person), {"pending": left})
        yield from expect("orders made", outcomes[:2].count(Answer.MADE), 1)

    return [convert(scene, told)] * 2 + spread(scene, parts), question


def the_same_refund(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, order, person = a_reward(scene, approved=True)
    told = RefundReport(f"race-{next(scene._numbers)}", order, 1600)

    def act() -> Any:
        return program.refund(told, at=scene.at).answer

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("taken back", clawbacks.taken_back(number), 500)
        yield from expect("balance", scene.balance(person), {"approved": 1500})
        yield from expect("made", outcomes.count(Answer.MADE), 1)

    return [act] * clients, question


def the_same_win(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, order, person = a_reward(scene, approved=True)
    lost = f"race-{next(scene._numbers)}"
    scene.charge_back(order, external_id=lost)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("taken back", clawbacks.taken_back(number), 0)
        yield from expect("reward", (state(number), scene.balance(person)), (State.APPROVED, {"approved": 2000}))
        yield from expect("made", outcomes.count(Answer.MADE), 1)

    return [win(scene, lost)] * clients, question


def a_win_against_its_chargeback(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """And both against another refund of the same order."""
    _, order, person = a_reward(scene, approved=True)
    lost, other = (f"race-{next(scene._numbers)}" for _ in range(2))
    several = (clients - 2) // 2
    acts = [lingering(charge_back(scene, order, lost, 6400))] * several + [lingering(win(scene, lost))] * several

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("balance", scene.balance(person), {"approved": 1500})

    return [*[refund(scene, order, other, 1600)] * 2, *acts], question


def wins_of_all_chargebacks_of_a_friend(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """Each of another order, so that each alone would leave the flag to the others."""
    number, _, _ = a_reward(scene, approved=True)
    friend = session.get_one(rewards.Reward, number).referral.referee
    lost = [f"race-{next(scene._numbers)}" for _ in range(clients)]
    for name in lost:
        scene.charge_back(scene.order(friend), external_id=name)
    referral = session.get_one(rewards.Reward, number).referral_id

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("won", outcomes.count(Answer.MADE), clients)
        yield from expect("flags", [one.kind for one in signals.of_referral(referral) if one.stands], [])

    return [lingering(win(scene, name)) for name in lost], question


def a_tier_of_one(scene: Scene, clients: int) -> tuple[Acts, Question]:
    person = newcomer(scene, "referrer")
    friends = [newcomer(scene, "friend", code=scene.code(person)) for _ in range(clients)]
    acts = [convert(scene, report(scene, friend, f"race-{next(scene._numbers)}")) for friend in friends]

    def question(outcomes: list[Any]) -> Iterator[str]:
        made = scene.rewards(person)
        yield from expect("ordinals", sorted(reward.ordinal for reward in made), list(range(1, clients + 1)))
        yield from expect("of the middle tier", [r.ordinal for r in made if r.amount_minor == 7777], [2])

    return acts, question


def a_step_set_beside_orders(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """Each order before it is worked out by its number, each after it by the step; two who set it make one."""
    person, by = newcomer(scene, "referrer"), scene.olivia.id
    friends = [newcomer(scene, "friend", code=scene.code(person)) for _ in range(clients - 4)]
    orders = [convert(scene, report(scene, friend, f"race-{next(scene._numbers)}")) for friend in friends]
    number = person.id

    def sets() -> Any:
        return program.set_tier(User.by_id(number), 3, note="A partner.", by=by, at=scene.at)

    def question(outcomes: list[Any]) -> Iterator[str]:
        made = scene.rewards(User.by_id(number))
        yield from expect("ordinals", [reward.ordinal for reward in made], list(range(1, clients - 3)))
        by_number = {1: 2000, 2: 7777}
        for reward in made:
            was_set = reward.computation[0]["step"] == "tier_set"
            wanted = 1000 if was_set else by_number.get(reward.ordinal, 1000)
            yield from expect(f"reward {reward.ordinal}", reward.amount_minor, wanted)
        yield from expect("set", outcomes.count(True), 1)
        yield from expect("locks", count(TierLock, TierLock.person_id == number), 1)

    return [*orders[: len(orders) // 2], *[lingering(sets)] * 4, *orders[len(orders) // 2 :]], question


def a_milestone(scene: Scene, clients: int) -> tuple[Acts, Question]:
    acts, _ = a_tier_of_one(scene, clients)
    person = session.scalars(sa.select(User).where(User.email.startswith("referrer")).order_by(User.id.desc())).first()
    assert person is not None

    def question(outcomes: list[Any]) -> Iterator[str]:
        reached = [reward.threshold for reward in scene.rewards(person) if reward.threshold]
        yield from expect("milestones", reached, [3])

    return acts, question


def the_same_approval(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, _, person = a_reward(scene)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("approvals", len(granted(outcomes)), 1)
        yield from expect("decisions", count(decisions.Decision, decisions.Decision.reward_id == number), 1)
        yield from expect("mails", len(scene.mails("reward_approved", to=person)), 1)
        told = {str(outcome) for outcome in outcomes if isinstance(outcome, Refusal)}
        yield from expect("told", {text.startswith("Approved by Rita at") for text in told}, {True})

    return [approve(scene, number)] * clients, question


def an_approval_against_a_rejection(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, _, _ = a_reward(scene)
    by = scene.rita.id

    def rejects() -> Any:
        return program.reject(number, by=by, reason=Reason.OTHER, told="No.", at=scene.at).id

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("decisions granted", len(granted(outcomes)), 1)
        yield from expect("decisions", count(decisions.Decision, decisions.Decision.reward_id == number), 1)
        approved = any(not isinstance(outcome, Exception) for outcome in outcomes[: clients // 2])
        yield from expect("state", state(number), State.APPROVED if approved else State.REJECTED)

    return [approve(scene, number)] * (clients // 2) + [rejects] * (clients // 2), question


def a_refund_against_an_approval(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, order, person = a_reward(scene)
    gives_back = refund(scene, order, f"race-{next(scene._numbers)}")

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("state", state(number), State.REVERSED)
        yield from expect("balance", scene.balance(person), {})
        yield from expect("taken back", clawbacks.taken_back(number), 2000)
        yield from expect("refunds made", outcomes.count(Answer.MADE), 1)

    return [approve(scene, number), gives_back] * (clients // 2), question


def all_clear_against_refunds(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """What was shown is approved as it was shown, or nothing is."""
    orders, by = [a_reward(scene) for _ in range(3)], scene.rita.id
    clear = Filters(assessment=Assessment.CLEAR)
    shown = queue.tally(clear, for_id=by, at=scene.at)

    def approves() -> Any:
        return sum(
            map(clawbacks.left, rewards.read(program.approve_shown(clear, mark=shown.mark, by=by, at=scene.at).done))
        )

    gives_back = [refund(scene, order, f"race-{next(scene._numbers)}", 1600) for _, order, _ in orders]

    def question(outcomes: list[Any]) -> Iterator[str]:
        approved = granted(outcomes[: clients - 3])
        yield from expect("approved once and as shown", approved, [shown.sum_minor][: len(approved)])
        found = {state(number) for number, _, _ in orders}
        yield from expect("all or none", found, {State.APPROVED if approved else State.PENDING})

    return [approves] * (clients - 3) + spread(scene, gives_back), question


def the_same_dismissal(scene: Scene, clients: int) -> tuple[Acts, Question]:
    friend = newcomer(scene, "friend", code=scene.code(newcomer(scene, "referrer")))
    referral, by = scene.referral(friend), scene.rita.id
    assert referral is not None
    number, name = referral.id, referral.public_id
    scene.do(lambda: signals.keep([signals.Finding(number, Kind.DISPOSABLE)], at=scene.at))

    def dismisses() -> Any:
        found, signal = session.get_one(Referral, number), signals.find(name, Kind.DISPOSABLE)
        assert signal is not None
        program.dismiss(found, signal, reason="Looked at.", by=by, at=scene.at)
        return "dismissed"

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("dismissals", outcomes.count("dismissed"), 1)
        noted = [one for one in audit.about("referral", name) if one.verb == "signal_dismissed"]
        yield from expect("lines in the audit list", len(noted), 1)

    return [lingering(dismisses)] * clients, question


def the_same_seals(scene: Scene, clients: int) -> tuple[Acts, Question]:
    for _ in range(2):
        a_reward(scene, approved=True)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("seals", count(ledger.Seal), count(ledger.Transfer))

    return [ledger.seal] * clients, question


TIERS = [{"from": 2, "amount_minor": 7777}, {"from": 3, "amount_minor": 1000}]


def a_referrer_correction_against_an_approval(scene: Scene, clients: int) -> tuple[Acts, Question]:
    number, order, person = a_reward(scene)
    right = newcomer(scene, "right")
    scene.do(lambda: setattr(session.get_one(rewards.Reward, number), "hold_until", scene.at))
    referral, to, by = session.get_one(rewards.Reward, number).referral_id, right.id, scene.olivia.id
    gives_back = refund(scene, order, f"race-{next(scene._numbers)}", 1600)

    def corrects() -> Any:
        found, referrer = session.get_one(Referral, referral), session.get_one(User, to)
        program.correct_referrer(found, referrer, note="Wrong link.", by=by, at=scene.at)
        return "corrected"

    acts = [lingering(corrects), approve(scene, number), gives_back, lingering(corrects)] * (clients // 4)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("corrections", outcomes.count("corrected"), 1)
        yield from expect("the wrong one's", (state(number), scene.balance(person)), (State.REJECTED, {}))
        yield from expect("the right one's", scene.balance(right), {"pending": 1500})

    return acts, question


RACES = [
    Race(a_referrer_correction_against_an_approval, locks=(PEOPLE, NAMES)),
    Race(the_same_order, offer=({"often": "every"},), clients=40,
         drop=("ALTER TABLE conversions DROP CONSTRAINT uq_conversions_source_external_id",)),
    Race(refunds_against_their_order, locks=(NAMES,)),
    Race(the_same_refund, drop=("ALTER TABLE refunds DROP CONSTRAINT uq_refunds_source_external_id",)),
    Race(the_same_win, drop=("ALTER TABLE reinstatements DROP CONSTRAINT uq_reinstatements_source_refund_external_id",)),
    Race(a_win_against_its_chargeback, locks=(NAMES,)),
    Race(wins_of_all_chargebacks_of_a_friend, locks=(PEOPLE,)),
    Race(a_tier_of_one, offer=({"tiers": TIERS, "often": "every"},), locks=(PEOPLE,)),
    Race(a_step_set_beside_orders, offer=({"tiers": TIERS, "often": "every"},), locks=(PEOPLE,)),
    Race(a_milestone, offer=({"threshold": 3},), locks=(PEOPLE,)),
    Race(the_same_approval, clients=40, locks=(PEOPLE,),
         drop=("ALTER TABLE decisions DROP CONSTRAINT uq_decisions_reward_id_number",)),
    Race(an_approval_against_a_rejection, locks=(PEOPLE,),
         drop=("ALTER TABLE decisions DROP CONSTRAINT uq_decisions_reward_id_number",)),
    Race(a_refund_against_an_approval, locks=(PEOPLE,)),
    Race(all_clear_against_refunds, locks=(PEOPLE,)),
    Race(the_same_dismissal, locks=(PEOPLE,)),
    Race(the_same_seals, locks=(NAMES,)),
]  # fmt: skip
