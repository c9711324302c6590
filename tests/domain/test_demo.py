"""The demo's sample data: what it shows, that it is the same each time, and that its books are right."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from portal import create_app, demo, terms
from portal.accounts import users
from portal.accounts.users import User
from portal.core.database import session
from portal.payouts import drawing
from portal.payouts.drawing import Why
from portal.payouts.methods import Details
from portal.payouts.payouts import Batch, Payout
from portal.reports import desk, queue, referrer
from portal.reports import sharing as shared
from portal.reports.queue import Filters
from portal.reports.status import Word
from portal.rewards import appeals, tier_locks
from portal.rewards.clawbacks import Clawback
from portal.rewards.refunds import Refund, Reinstatement
from portal.rewards.rewards import Reward
from portal.sharing.clicks import Click
from portal.sharing.links import Link
from tests import invariants
from tests.conftest import close, make_schema, make_settings

MOMENT = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)

COUNTED = ("users", "clicks", "referrals", "conversions", "rewards", "decisions", "transfers", "payouts", "outbox",
           "audit_entries", "invites", "claims")  # fmt: skip


def filled(folder: Path) -> Flask:
    """The demo at the moment of these tests."""
    settings = make_settings(folder, f"sqlite:///{folder / 'portal.db'}")
    make_schema(settings)
    app = create_app(settings)
    with app.app_context():
        demo.fill(at=MOMENT, keep=Details(settings.details_key))
        close(app)
    return app


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return filled(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def shown(told: Flask) -> Iterator[Flask]:
    """The demo, filled once for all tests of this file; nobody changes it."""
    with told.app_context():
        yield told
        close(told)


def alice() -> User:
    found = users.find_by_email("alice@demo.example.com")
    assert found is not None
    return found


def figures() -> dict[str, Any]:
    """How many rows there are, and every sum of money by state."""
    rows = {name: session.scalar(sa.text(f"SELECT count(*) FROM {name}")) for name in COUNTED}
    sums = session.execute(sa.text("SELECT state, count(*), sum(amount_minor) FROM rewards GROUP BY state ORDER BY 1"))
    paid = session.execute(sa.text("SELECT reference, state, amount_minor FROM payouts ORDER BY reference"))
    days = session.execute(sa.text("SELECT date(at), count(*) FROM clicks GROUP BY 1 ORDER BY 1"))
    return rows | {"rewards": list(sums), "paid": list(paid), "days": list(days)}


def test_about_sixty_people_and_ninety_days_are_there_and_the_books_are_right(shown: Flask) -> None:
    assert 55 <= figures()["users"] <= 70
    first, last, many = session.execute(sa.select(sa.func.min(Click.at), sa.func.max(Click.at), sa.func.count())).one()
    assert (last - first).days in range(86, 91) and many > 500
    assert len(figures()["days"]) > 80
    assert last <= MOMENT
    invariants.check()


def test_the_same_moment_gives_the_same_figures(shown: Flask, tmp_path: Path) -> None:
    before = figures()
    again = filled(tmp_path)
    with again.app_context():
        assert figures() == before
        close(again)


def test_alice_has_friends_and_invites_in_every_state(shown: Flask) -> None:
    friends, _ = referrer.friends(alice().id, at=MOMENT, most=50)
    words = Counter(friend.status.word for friend in friends)
    assert sum(words.values()) >= 12
    assert set(words) >= {Word.JOINED, Word.IN_REVIEW, Word.ON_HOLD, Word.READY, Word.IN_PAYOUT, Word.PAID,
                          Word.NOT_ELIGIBLE, Word.EXPIRED, Word.REVERSED}  # fmt: skip
    invites, _ = shared.invites_of(alice().id, at=MOMENT)
    assert {row.status.word for row in invites} >= {Word.QUEUED, Word.OPENED, Word.WITHDRAWN, Word.DECLINED}
    assert {row.link.label for row in shared.links_of(alice().id)} >= {"Instagram", "Newsletter"}
    assert session.scalar(sa.select(sa.func.count()).where(User.suspended_at.is_not(None))) == 2


def test_the_queue_holds_rewards_in_all_three_assessments(shown: Flask) -> None:
    cases, _ = queue.page(Filters(), at=MOMENT)
    assert len(cases) >= 8
    assert {case.assessment for case in cases} == {"clear", "check", "risky"}
    raised = {signal.kind for case in cases for signal in case.signals}
    assert raised >= {"same_browser", "disposable", "many_sign_ups"}
    assert appeals.waiting() and desk.attention(terms.in_force(), at=MOMENT).claims == 1
    assert desk.attention(terms.in_force(), at=MOMENT).waiting_orders == 1


def test_batches_stand_in_several_states_and_somebody_is_ready_or_left_out_for_each_reason(shown: Flask) -> None:
    states = Counter(session.scalars(sa.select(Batch.state)))
    assert set(states) == {"draft", "approved", "exported", "paid", "partly_paid", "cancelled"}
    assert session.scalar(sa.select(Payout.failure).where(Payout.state == "failed")) == "Account closed."
    kinds = {payout.method.kind for payout in session.scalars(sa.select(Payout))}
    assert kinds == {"credit", "voucher", "paypal", "bank"}
    finn = users.find_by_email("finn@demo.example.com")
    assert finn is not None
    why = Counter(one.why for one in drawing.standings(terms.in_force(), at=MOMENT, by=finn.id))
    assert why[None] >= 3
    assert set(why) - {None} == set(Why) - {Why.UNCONFIRMED}


def test_a_chargeback_a_won_dispute_a_tier_and_a_step_that_was_set_are_there(shown: Flask) -> None:
    """One dispute was won and one was not: taken from Alice and given again, taken from Kim. And two sorts of more."""
    taken = session.scalars(sa.select(Refund).where(Refund.reason == "chargeback")).all()
    won = session.scalars(sa.select(Reinstatement)).one()
    assert sorted(refund.external_id == won.refund_external_id for refund in taken) == [False, True]

    def of(who: str) -> list[tuple[int, list[int], list[str]]]:
        """What somebody got as a referrer: how much, what was taken and given again, and the steps to it."""
        person = users.find_by_email(f"{who}@demo.example.{'com' if who == 'alice' else 'net'}")
        assert person is not None
        mine = session.scalars(sa.select(Reward).where(Reward.person_id == person.id).order_by(Reward.id)).all()
        moved = session.scalars(sa.select(Clawback).order_by(Clawback.id)).all()
        return [
            (
                reward.amount_minor,
                [one.amount_minor for one in moved if one.reward_id == reward.id],
                [step["step"] for step in reward.computation],
            )
            for reward in mine
        ]

    assert of("alice")[0][:2] == (1000, [1000, -1000])
    assert [amount for amount, _, steps in of("alice") if "tier" in steps] == [1250] * 4
    assert [amount for amount, _, steps in of("greta") if "tier_set" in steps] == [1250]
    assert of("kim")[-1][1] == [1000]
    greta = users.find_by_email("greta@demo.example.net")
    assert greta is not None and tier_locks.of_person(greta.id) is not None


def test_other_referrers_have_friends_and_links_of_their_own(shown: Flask) -> None:
    assert len(set(session.scalars(sa.text("SELECT referrer_id FROM referrals")))) >= 8
    labels = set(session.scalars(sa.select(Link.label).where(Link.owner_id != alice().id)))
    assert {"Blog", "Podcast", "Flyer in the shop"} <= labels


def test_logins_of_four_kinds_are_printed() -> None:
    said = demo.logins("http://127.0.0.1:8000")
    for who in ("owner     olivia", "reviewer  rita", "finance   finn", "referrer  alice"):
        assert who in said
    assert demo.PASSWORD in said
