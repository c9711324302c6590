"""A test conversion: what the API would make of an order, by the rules that count, and nothing of it is kept."""

import json

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from portal import program
from portal.core import database
from portal.core.database import session
from portal.rewards.conversions import Answer, Customer, OrderReport
from portal.rewards.rules import Often
from portal.terms import State
from tests.factories import EVERY, REFEREE, fixed, milestone
from tests.web.keys import Shop
from tests.web.tables import SEEN, Unchanged, changes, contents

PAGE = "/admin/developers/test"
BOB = {"customer_email": "bob@example.com", "customer_external_id": "", "goal": "purchase", "amount": "64.00"}


@pytest.fixture
def olivia(scene, tab_of):
    return tab_of(scene.olivia)


@pytest.fixture
def tries(scene, tab_of):
    """Fills in the form, sees what comes of it, and that nothing has changed."""

    def try_it(status=200, **typed):
        olivia = tab_of(scene.olivia)  # signed in, however much later
        olivia.get(PAGE)
        with Unchanged(*SEEN):
            page = olivia.post(PAGE, BOB | typed)
        assert page.status == status, page
        return page

    return try_it


def answered(page):
    return json.loads(page.tree.all("code")[-1].text)


def test_it_shows_the_referral_and_the_rewards_that_would_be_made_and_keeps_nothing(app, scene, tries, olivia):
    scene.publish(fixed(2000, **EVERY), fixed(500, to=REFEREE, **EVERY))
    scene.webhook()
    reward = scene.pending_reward()
    mails, told = len(scene.mails()), len(scene.told())
    olivia.get("/admin/developers")
    page = olivia.get(next(one.get("href") for one in olivia.page.tree.all("a") if one.get("href") == PAGE))
    assert page.kept("customer_email") == ["bob@example.com"]
    for _ in range(2):
        page = tries()
        assert "It would count." in page.main and "Bob, brought by Alice" in page.main and "201" in page.main
        assert "Alice for the referrer €20.00" in page.main and "Bob for the friend €5.00" in page.main
        assert reward.referral.public_id in page.html and "Nothing is kept" in page.main
        assert (len(scene.mails()), len(scene.told())) == (mails, told)
    shop = Shop(app)
    would = answered(page)
    did = shop.order("o-1", customer={"email": "bob@example.com"}).json
    for name in ("state", "referral", "amount_minor", "currency", "goal"):
        assert did[name] == would[name], name
    assert [(one["user"], one["amount_minor"], one["computation"]) for one in did["rewards"]] == [
        (one["user"], one["amount_minor"], one["computation"]) for one in would["rewards"]
    ], "what was tried before used nothing up"


def test_nobody_who_is_known_is_a_202_and_says_until_when(scene, tries):
    page = tries(customer_email="nobody@example.com")
    assert "Not counted yet." in page.main and "202" in page.main and "It would count." not in page.main
    page = tries(customer_email="", customer_external_id="c-77")
    assert "Not counted yet." in page.main


def test_a_customer_whom_nobody_brought_earns_nobody_anything(scene, tries):
    page = tries(customer_email=scene.carol.email)
    assert "nobody brought them" in page.main and "201" in page.main


def test_why_a_rule_gives_nothing_is_said(scene, tries):
    scene.publish(fixed(2000, often=Often.FIRST, minimum_order_minor=5000), milestone(5, 9000))
    scene.bob  # noqa: B018 # comes under this offer
    page = tries(amount="12.00")
    assert "Nobody earns anything." in page.main and "below the smallest one that counts" in page.main
    page = tries()
    assert "It would count." in page.main and "Not enough friends" in page.main
    scene.order(scene.bob)
    page = tries()
    assert "Nobody earns anything." in page.main and "only the first one" in page.main


def test_after_the_deadline_and_for_who_is_suspended_it_says_so(scene, tries):
    bob = scene.bob
    scene.suspend(scene.alice)
    assert "is suspended" in tries().main
    scene.readmit(scene.alice)
    scene.later(days=200)
    assert "came after the deadline" in tries(customer_email=bob.email).main


def test_while_the_program_is_paused_those_who_came_before_count_and_it_says_so(scene, tries):
    scene.bob  # noqa: B018
    scene.publish(fixed(2000), state=State.PAUSED)
    page = tries()
    assert "It would count." in page.main and "takes no new friends now" in page.main


def test_what_the_api_refuses_stands_at_its_field_and_what_was_typed_stays(scene, tries):
    page = tries(422, goal="signup", amount="")
    assert "not reported by this source" in page.error("goal") and page.kept("customer_email") == ["bob@example.com"]
    assert "needs an amount" in tries(422, amount="").error("amount")
    assert tries(422, amount="-5").error("amount") and tries(422, amount="1e9").error("amount")
    assert tries(422, customer_email="", customer_external_id="").error("customer_email")
    assert tries(422, customer_email="bob").error("customer_email")
    assert tries(422, customer_external_id="a b\u202e").error("customer_external_id")
    assert tries(422, customer_external_id="x" * 129).error("customer_external_id")
    assert tries(422, goal="nothing").error("goal")


@pytest.mark.both_databases
def test_a_rehearsal_asks_every_rule_of_the_database_and_keeps_nothing(scene):
    bob, before = scene.bob, contents()
    with database.rehearsing():
        told = program.convert(
            OrderReport("purchase", "o-1", Customer(email=bob.email), scene.at, 6400, "EUR"), at=scene.at
        )
        assert told.answer == Answer.MADE and scene.balance(scene.alice) == {"pending": 2000}
    assert not changes(before, contents()) and scene.balance(scene.alice) == {}
    with pytest.raises(IntegrityError), database.rehearsing():
        session.execute(sa.text("UPDATE users SET email = 'bob@example.com'"))
    with pytest.raises(ZeroDivisionError), database.rehearsing():
        1 / 0  # noqa: B018
    assert not changes(before, contents())
    assert scene.order(bob).answer == Answer.MADE, "and one writes afterwards as before"
