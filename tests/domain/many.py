"""Many people and many rewards, made of rows: for lists, files and limits, where the way there does not matter."""

import random
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from portal.accounts.audit import AuditEntry
from portal.accounts.users import User
from portal.core.database import session
from portal.payouts.methods import Kind, Method
from portal.referrals.referrals import Referral
from portal.rewards import goals, rules
from portal.rewards.clawbacks import Clawback
from portal.rewards.conversions import Conversion
from portal.rewards.decisions import Decision, Verdict
from portal.rewards.ledger import Bucket, Cause, Transfer
from portal.rewards.refunds import Refund
from portal.rewards.rewards import Reward, State
from portal.sharing import links
from portal.sharing.clicks import Click
from portal.sharing.links import Link
from portal.terms import in_force
from tests.factories import REFERRER, Scene

Row = dict[str, Any]


def many_pending(scene: Scene, friend: User, count: int, *, amount_minor: int) -> None:
    """So many pending rewards of one amount, for as many orders of one friend."""
    referral = scene.referral(friend)
    assert referral is not None
    pair = [(referral.id, referral.referrer_id, friend.id)] * count
    scene.do(lambda: _rewarded(scene, pair, amount_minor, state=State.PENDING))


def many_ready(scene: Scene, count: int, *, amount_minor: int = 2000) -> None:
    """So many referrers who confirmed, take shop credit and have an amount ready to pay, each by a friend's order."""
    link, rita = links.main_link(scene.alice.id).id, scene.rita.id

    def step() -> None:
        referrers, referees = _people(scene, "referrer", count), _people(scene, "friend", count)
        _add(
            Method, [{"user_id": n, "kind": Kind.CREDIT, "set_at": scene.at, "usable_at": scene.at} for n in referrers]
        )
        common = {"link_id": link, "code": "x", "how": "code", "terms_id": in_force().id}
        moments = dict.fromkeys(("touched_at", "joined_at", "expires_at"), scene.at)
        pairs = list(zip(referrers, referees, strict=True))
        referrals = _add(Referral, [{"referrer_id": a, "referee_id": b} | common | moments for a, b in pairs])
        made = [(number, *pair) for number, pair in zip(referrals, pairs, strict=True)]
        rewards = _rewarded(scene, made, amount_minor, state=State.APPROVED)
        told = {"verdict": Verdict.APPROVE, "by_id": rita, "at": scene.at, "amount_minor": amount_minor, "number": 1}
        decisions = _add(Decision, [{"reward_id": reward} | told for reward in rewards])
        names = session.execute(sa.select(Reward.id, Reward.public_id).where(Reward.id.in_(rewards)))
        said = {"at": scene.at, "actor_id": rita, "verb": "reward_approve", "subject_kind": "reward"}
        _add(AuditEntry, [{"subject_id": name} | said for _, name in names])
        rows = list(zip(decisions, rewards, referrers, strict=True))
        _move(scene, rows, amount_minor, Bucket.PENDING, Bucket.APPROVED, Cause.DECISION)
        _move(scene, rows, amount_minor, Bucket.APPROVED, Bucket.PAYABLE, Cause.RELEASE)

    scene.do(step)


def many_friends(scene: Scene, referrer: User, count: int) -> None:
    """So many friends of a referrer, each with an order whose reward waits."""
    link = links.main_link(referrer.id).id

    def step() -> None:
        people = _people(scene, f"friend-{next(scene._numbers)}-", count)
        common = {"link_id": link, "code": "x", "how": "code", "terms_id": in_force().id, "referrer_id": referrer.id}
        moments = dict.fromkeys(("touched_at", "joined_at", "expires_at", "counted_at"), scene.at)
        made = _add(Referral, [{"referee_id": number} | common | moments for number in people])
        pairs = [(number, referrer.id, friend) for number, friend in zip(made, people, strict=True)]
        _rewarded(scene, pairs, 10, state=State.PENDING)

    scene.do(step)


def many_events(
    scene: Scene, dice: random.Random, *, referrers: int, clicks: int, friends: int, over_days: int, skewed: bool
) -> None:
    """Referrers with a link or a few, and over the days before the scene's moment clicks, and friends with orders,
    rewards and refunds. Skewed: few have most of it. A friend in twenty was given to another referrer than the link's.
    """

    def ago(least: float = 0) -> datetime:
        return scene.at - timedelta(days=dice.uniform(least, over_days))

    def one_of(many: int) -> int:
        return int(many * dice.random() ** (3 if skewed else 1))

    def step() -> None:
        owners = _people(scene, "owner", referrers)
        held = [owner for owner in owners for _ in range(dice.choice((1, 1, 2, 4)))]
        links = _add(Link, [{"owner_id": owner, "made_at": scene.at} for owner in held])
        seen = [(links[one_of(len(links))], ago()) for _ in range(clicks)]
        _add(Click, [{"link_id": link, "visitor": f"v{n}", "hour": n, "at": at, "last_at": at}
                     for n, (link, at) in enumerate(seen)])  # fmt: skip
        common = {"code": "x", "how": "code", "terms_id": in_force().id}
        joined = []
        for friend in _people(scene, "friend", friends):
            place, at = one_of(len(links)), ago()
            whose = held[place] if dice.random() > 0.05 else owners[one_of(referrers)]
            counted = {"counted_at": dice.choice((None, at, scene.at - (scene.at - at) * dice.random()))}
            moments = dict.fromkeys(("touched_at", "joined_at", "expires_at"), at)
            joined.append(
                {"referrer_id": whose, "referee_id": friend, "link_id": links[place]} | common | moments | counted
            )
        referrals = _add(Referral, joined)
        pairs = [(number, row["referrer_id"], row["referee_id"]) for number, row in zip(referrals, joined, strict=True)]
        rewards = _rewarded(
            scene, [pair for pair in pairs for _ in range(dice.randrange(4))], 1000, state=State.PENDING
        )
        made = [{"id": number, "made_at": ago(), "amount_minor": dice.randrange(500, 3000)} for number in rewards]
        session.execute(sa.update(Reward), made)
        orders = session.scalars(sa.select(Conversion.id))
        session.execute(sa.update(Conversion), [{"id": number, "occurred_at": ago()} for number in orders])
        told = {"source": goals.SHOP, "received_at": scene.at}
        refunds = _add(Refund, [{"external_id": f"r{n}", "conversion_external_id": "x"} | told for n in rewards[::9]])
        _add(Clawback, [{"reward_id": one, "refund_id": two, "amount_minor": 400, "at": scene.at}
                        for one, two in zip(rewards[::9], refunds, strict=True)])  # fmt: skip

    scene.do(step)


def _people(scene: Scene, kind: str, count: int) -> list[int]:
    moments = dict.fromkeys(("created_at", "signed_up_at", "confirmed_at"), scene.at)
    return _add(User, [{"email": f"{kind}{n}@example.com", "name": f"{kind} {n}"} | moments for n in range(count)])


def _rewarded(scene: Scene, referrals: list[tuple[int, int, int]], amount_minor: int, *, state: State) -> list[int]:
    """An order and a pending or released reward for each (referral, referrer, referee)."""
    rule = rules.of_terms(in_force().id)[0]
    moments = dict.fromkeys(("occurred_at", "received_at", "applied_at"), scene.at)
    order = {
        "source": goals.SHOP,
        "goal": rule.goal,
        "amount_minor": 6400,
        "currency": "EUR",
        "counted": True,
    } | moments
    orders = _add(
        Conversion,
        [
            {
                "external_id": f"many-{next(scene._numbers)}",
                "customer_external_id": str(referee),
                "customer_id": referee,
                "referral_id": number,
            }
            | order
            for number, _, referee in referrals
        ],
    )
    said = {"beneficiary": REFERRER, "rule_id": rule.id, "rule_key": rule.rule_key, "amount_minor": amount_minor,
            "currency": "EUR", "computation": [], "made_at": scene.at, "hold_until": scene.at, "state": state,
            "released_at": None if state == State.PENDING else scene.at}  # fmt: skip
    people = [referrer for _, referrer, _ in referrals]
    rewards = _add(
        Reward,
        [
            {"person_id": person, "referral_id": number, "conversion_id": order_id, "ordinal": n + 1} | said
            for n, (order_id, (number, person, _)) in enumerate(zip(orders, referrals, strict=True))
        ],
    )
    _move(
        scene,
        list(zip(rewards, rewards, people, strict=True)),
        amount_minor,
        Bucket.PROGRAM,
        Bucket.PENDING,
        Cause.REWARD,
    )
    return rewards


def _move(
    scene: Scene, rows: list[tuple[int, int, int]], amount_minor: int, left: Bucket, entered: Bucket, cause: Cause
) -> None:
    """A transfer for each (cause, reward, person)."""
    said = {
        "from_bucket": left,
        "to_bucket": entered,
        "amount_minor": amount_minor,
        "currency": "EUR",
        "cause_kind": cause,
    }
    _add(
        Transfer,
        [
            {"cause_id": number, "reward_id": reward, "user_id": person, "at": scene.at} | said
            for number, reward, person in rows
        ],
    )


def _add(model: Any, rows: list[Row]) -> list[int]:
    """Adds rows and gives their numbers, in the same order."""
    insert = sa.insert(model).returning(model.id, sort_by_parameter_order=True)
    return list(session.scalars(insert, rows))
