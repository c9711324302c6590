"""Many people at once, made of rows: for lists, files and limits, where the way there does not matter."""

from typing import Any

import sqlalchemy as sa

from portal import program
from portal.accounts.users import User
from portal.core.database import session
from portal.core.text import public_id, token
from portal.payouts.methods import Kind, Method
from portal.referrals.referrals import Referral
from portal.rewards import goals, rewards, rules
from portal.rewards.conversions import Conversion, Customer, OrderReport
from portal.sharing import links
from portal.terms import in_force
from tests.factories import Scene


def many_orders(scene: Scene, friend: User, count: int, *, amount_minor: int) -> None:
    """So many orders of one friend, reported in one write."""
    email = friend.email
    reports = [
        OrderReport(goals.PURCHASE, f"many-{n}", Customer(email=email), scene.at, amount_minor, "EUR")
        for n in range(count)
    ]
    scene.do(lambda: [program.convert(report, at=scene.at).answer for report in reports])


def many_ready(scene: Scene, count: int, *, amount_minor: int = 2000) -> None:
    """So many referrers who confirmed, take shop credit and have an amount ready to pay, each by a friend's order."""
    rita, link = scene.rita.id, links.main_link(scene.alice.id).id

    def people(prefix: str) -> list[int]:
        rows = [
            {"public_id": public_id(), "email": f"{prefix}{n}@example.com", "name": f"{prefix} {n}", "shows_name": True,
             "fs_uniquifier": token(), "created_at": scene.at, "signed_up_at": scene.at, "confirmed_at": scene.at}
            for n in range(count)
        ]  # fmt: skip
        return list(session.scalars(sa.insert(User).returning(User.id, sort_by_parameter_order=True), rows))

    def step() -> None:
        terms = in_force()
        rule = rules.of_terms(terms.id)[0]
        at: dict[str, Any] = {"joined_at": scene.at, "touched_at": scene.at, "expires_at": scene.at}
        for referrer, referee in zip(people("referrer"), people("friend"), strict=True):
            session.add(Method(user_id=referrer, kind=Kind.CREDIT, set_at=scene.at, usable_at=scene.at))
            referral = Referral(
                referrer_id=referrer, referee_id=referee, link_id=link, code="x", how="code", terms_id=terms.id, **at
            )
            order = Conversion(
                source=goals.SHOP, external_id=f"many-{referee}", goal=goals.PURCHASE, customer_id=referee,
                customer_external_id=str(referee), amount_minor=6400, currency=terms.currency, occurred_at=scene.at,
                received_at=scene.at, applied_at=scene.at, counted=True,
            )  # fmt: skip
            session.add_all([referral, order])
            session.flush()
            order.referral_id = referral.id
            computed = rules.Computation(amount_minor)
            reward = rewards.make(order, referral, rule, terms, referrer, computed, ordinal=1, at=scene.at)
            assert reward is not None
            reward.hold_until = scene.at
            rewards.approve(reward, by=rita, at=scene.at)
            rewards.release(reward, at=scene.at)

    scene.do(step)
