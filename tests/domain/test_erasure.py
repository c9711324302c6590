"""Erasure: of somebody who goes nothing stays that says who they were; the sums stay, and so does what was promised."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import permutations
from pathlib import Path

import pytest
import sqlalchemy as sa

from portal import program, sweeps
from portal.accounts import audit, one_time, sign_ins, users
from portal.accounts.one_time import Purpose
from portal.accounts.roles import Role
from portal.accounts.users import Surroundings, User
from portal.core import database
from portal.core.database import session
from portal.delivery.mail import Files, Sender, compose
from portal.program import ErasureRefused
from portal.referrals.claims import ClaimRefused
from portal.reports import people
from portal.rewards import ledger
from portal.rewards.conversions import Answer, Customer
from portal.rewards.rewards import State
from portal.sharing import links
from portal.sharing.links import CodeRefused
from tests.factories import Scene, fixed

NEEDLES = ("zebulon", "quartz", "zq-own", "•••• 3000", "93.184", "browser-of-z", "visitor-of-z", "fred@friend")
"""Parts of everything that says who the person is."""


@pytest.fixture
def zebulon(scene: Scene) -> User:
    """Somebody with a long story: friends, invites, money in every state, notes, mails, sign-ins, own codes."""
    scene.webhook()
    scene.publish(fixed(2000), fixed(500, to="referee"), allowed_hosts=["shop.example.com"])
    seen = Surroundings(visitor="visitor-of-z", network="93.184.216.0/24", browser="browser-of-z")
    user = scene.friend("Zebulon Quartz", of=scene.alice, email="zebulon@quartz.example.org", seen=seen)
    scene.click(scene.alice, "visitor-of-z", network="93.184.216.0/24", browser="browser-of-z")
    at = scene.at
    scene.do(lambda: sign_ins.start(user.id, surroundings=seen, at=at))
    scene.do(lambda: program.choose_code(user, links.main_link(user.id), "zq-own", at=at))
    scene.do(
        lambda: program.make_link(user, label="Quartz blog", destination=None, wanted="zq-own-2", own_host="", at=at)
    )
    scene.do(lambda: program.invite(user, ["fred@friend.example"], note="From Zebulon.", at=at))
    scene.do(lambda: program.invite(scene.alice, ["zebulon@quartz.example.org"], at=at))
    scene.do(lambda: one_time.make(Purpose.RESET, user.id, at=at))
    scene.customer("customer-77", user.email)
    scene.method(user, holder="Zebulon Quartz")
    scene.order(scene.friend("Nina", of=user))
    scene.reject(scene.rewards(user)[-1], told="Zebulon, not this time.", note="Quartz again.")
    scene.do(lambda: program.appeal(scene.rewards(user)[-1], "I, Zebulon, ask.", by=user.id, at=scene.at))
    scene.order(scene.friend("Otto", of=user))
    scene.approve(scene.rewards(user)[-1])
    scene.later(days=31)
    scene.release()
    scene.order(scene.friend("Paul", of=user))
    scene.approve(scene.rewards(user)[-1])
    scene.order(scene.friend("Quentin", of=user))
    scene.order(Customer("customer-77", user.email))
    scene.suspend(user)
    owner = scene.olivia.id
    scene.do(lambda: program.readmit(user, by=owner, note="Zebulon is fine.", at=scene.at))
    scene.batch()
    session.rollback()
    return user


def erase(scene: Scene, user: User) -> None:
    scene.do(lambda: program.erase(user, gives_up_minor=None, by=None, at=scene.at))


def everything(scene: Scene) -> Iterator[tuple[str, str]]:
    """Every cell of every table as text; on SQLite the bytes of the file and of the log beside it too."""
    for table in database.metadata.sorted_tables:
        for row in session.execute(sa.select(table)):
            yield table.name, str(tuple(row)).lower()
    session.rollback()
    if database.is_sqlite():
        database.empty_log()
        path = Path(str(database.db.engine.url.database))
        for file in (path, path.with_name(f"{path.name}-wal")):
            yield file.name, file.read_bytes().decode("utf-8", "replace").lower() if file.exists() else ""


@pytest.mark.both_databases
def test_no_byte_of_an_erased_person_is_left_and_the_sums_are(scene: Scene, zebulon: User, tmp_path: Path) -> None:
    before = {told for place, text in everything(scene) for told in NEEDLES if told in text}
    assert before == set(NEEDLES), "the story leaves each of them somewhere"
    files = Files(tmp_path)
    with files.opened() as line:
        for message in scene.mails("friend_joined"):
            line.send(message, compose(message, Sender("Friends", "portal@friends.example.com", "http://127.0.0.1")))
    totals, everybody = ledger.totals("EUR"), session.scalar(sa.select(sa.func.count(User.id)))
    owed = {place: minor for place, minor in totals.items() if place in ("payable", "pending", "approved", "in_payout")}
    theirs = scene.balance(zebulon)
    erase(scene, zebulon)
    assert scene.balance(zebulon) == {}
    after = ledger.totals("EUR")
    assert sum(after.values()) == sum(totals.values()) == 0
    assert sum(owed.values()) - sum(theirs.values()) == sum(after[place] for place in owed)
    assert session.scalar(sa.select(sa.func.count(User.id))) == everybody
    assert sweeps.forget_files(files) >= 1
    left = [(place, told) for place, text in everything(scene) for told in NEEDLES if told in text]
    assert left == []
    written = "".join(path.read_bytes().decode("latin-1").lower() for path in tmp_path.rglob("*") if path.is_file())
    assert not any(told in written for told in NEEDLES)


@pytest.mark.timeout(5)  # less than a write's patience: whoever waited with the lock in hand would be noticed
def test_while_somebody_reads_the_log_stays_and_nobody_waits_and_then_it_is_emptied(scene: Scene) -> None:
    path = Path(str(database.db.engine.url.database))
    log = path.with_name(f"{path.name}-wal")
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM users").fetchall()
        scene.person("Written meanwhile")
        session.rollback()
        assert not database.empty_log()
        scene.person("Written after")
        session.rollback()
        assert log.stat().st_size
    assert database.empty_log()
    assert not log.stat().st_size


@pytest.mark.case(27)
@pytest.mark.both_databases
def test_the_friends_of_who_is_erased_keep_theirs_and_nobody_new_is_credited(scene: Scene, zebulon: User) -> None:
    nina, otto = (users.find_by_email(f"{name}@example.com") for name in ("nina", "otto"))
    assert nina and otto
    friends, given = scene.rewards(otto), links.Code.link_id == links.main_link(zebulon.id).id
    code = session.scalars(sa.select(links.Code.text).where(given).order_by(links.Code.id)).first()
    assert code is not None
    scene.approve(friends[0])
    many = len(scene.rewards(zebulon))
    erase(scene, zebulon)
    scene.later(days=31)
    scene.release()
    assert scene.balance(otto) == {"payable": 500}, "what a friend was promised is not lost"
    told = scene.order(nina, external_id="after")
    assert told.answer == Answer.MADE and scene.refund("after").answer == Answer.MADE
    assert len(scene.rewards(zebulon)) == many and scene.balance(zebulon) == {}
    found = scene.click(code, "somebody")
    assert found is not None and not found.credits, "the link opens, and credits nobody"
    assert scene.came_by("somebody", "Ruth") is None
    for friend in (nina, otto, zebulon):
        assert people.about(friend, "EUR").row.user is friend


@pytest.mark.both_databases
def test_money_is_paid_first_or_given_up_by_the_sum_that_was_told(scene: Scene) -> None:
    scene.payable_reward()
    alice = scene.alice
    scene.order(scene.friend("Nina", of=alice))
    gives = program.given_up(alice)
    assert (gives.ready_minor, gives.waiting_minor, gives.currency) == (2000, 2000, "EUR")
    with pytest.raises(ErasureRefused, match="changed since you looked"):
        scene.do(lambda: program.erase(alice, gives_up_minor=2000, by=alice.id, at=scene.at))
    scene.exported_batch()
    with pytest.raises(ErasureRefused, match="on its way"):
        erase(scene, alice)
    assert alice.erased_at is None and scene.balance(alice) == {"in_payout": 2000, "pending": 2000}
    payout = scene.payout_of(scene.rewards(alice)[0])
    scene.pay(payout)
    scene.do(lambda: program.erase(alice, gives_up_minor=2000, by=alice.id, at=scene.at))
    assert scene.balance(alice) == {"paid": 2000}
    assert [reward.state for reward in scene.rewards(alice)] == [State.PAID, State.REJECTED]
    assert scene.do(lambda: program.erase(alice, gives_up_minor=0, by=None, at=scene.at)) is None, "twice is once"
    entries = [entry.verb for entry in audit.about("user", alice.public_id)]
    assert entries.count("user_erased") == 1


def test_addresses_that_an_account_had_or_wanted_go_with_it(scene: Scene) -> None:
    alice = scene.alice
    scene.do(lambda: program.ask_to_move(alice, "moved@zebulon.example", at=scene.at))
    secret = scene.do(lambda: one_time.make(Purpose.MOVE, alice.id, carried={"to": "kept@quartz.example"}, at=scene.at))
    assert scene.do(lambda: program.move(secret, at=scene.at)) is not None
    scene.do(lambda: program.ask_to_move(alice, "wanted@zebulon.example", at=scene.at))
    erase(scene, alice)
    told = ("zebulon", "quartz", "alice@")
    assert [(place, word) for place, text in everything(scene) for word in told if word in text] == []


def test_the_last_owner_stays(scene: Scene) -> None:
    with pytest.raises(ErasureRefused, match="last owner"):
        erase(scene, scene.olivia)
    olga = scene.person("Olga")
    owner = scene.olivia.id
    scene.do(lambda: program.grant_role(olga, Role.OWNER, by=owner, at=scene.at))
    erase(scene, scene.olivia)
    assert not scene.olivia.may("own") and not scene.olivia.active


@pytest.mark.both_databases
def test_who_comes_back_with_the_address_is_brought_by_nobody_a_second_time(scene: Scene) -> None:
    scene.order(scene.bob)
    code = scene.code(scene.alice)
    erase(scene, scene.bob)
    assert users.find_by_email("bob@example.com") is None
    again = scene.person("Bob", carried=code)
    assert scene.referral(again) is None
    with pytest.raises(ClaimRefused):
        scene.do(lambda: program.claim(again, code, at=scene.at))
    scene.order(again)
    assert len(scene.rewards(scene.alice)) == 1
    by_shop, new = scene.customer("shop-1", "bo.b@example.com", code=code)
    assert new and scene.referral(by_shop) is not None, "another mailbox is another person"


@pytest.mark.both_databases
@pytest.mark.parametrize("erased", [False, True])
def test_an_address_that_an_account_had_is_no_new_customers(scene: Scene, erased: bool) -> None:
    """Bob moves to another address, and signs up with the one of before by Alice's link; or erases himself first."""
    bob, code = scene.carol, scene.code(scene.alice)
    secret = scene.do(lambda: one_time.make(Purpose.MOVE, bob.id, carried={"to": "new@example.com"}, at=scene.at))
    assert scene.do(lambda: program.move(secret, at=scene.at)) is not None
    if erased:
        erase(scene, bob)
    again = scene.person("Carol", carried=code)
    assert again.id != bob.id and scene.referral(again) is None
    with pytest.raises(ClaimRefused):
        scene.do(lambda: program.claim(again, code, at=scene.at))
    by_shop, new = scene.customer("shop-1", "carol+shop@example.com", code=code)
    assert new and scene.referral(by_shop) is None, "the same mailbox"
    scene.order(again)
    assert scene.rewards(scene.alice) == []


def test_a_code_of_their_own_stays_taken_and_its_link_opens_no_more(scene: Scene) -> None:
    alice, carol = scene.alice, scene.carol
    scene.do(lambda: program.choose_code(alice, links.main_link(alice.id), "alice-blog", at=scene.at))
    erase(scene, alice)
    assert scene.click("alice-blog", "somebody") is None
    with pytest.raises(CodeRefused, match="taken"):
        scene.do(lambda: program.choose_code(carol, links.main_link(carol.id), "Alice-Blog", at=scene.at))


@pytest.mark.both_databases
def test_a_report_told_again_after_the_erasure_is_the_same_and_names_nobody(scene: Scene) -> None:
    scene.customer("c-1", scene.bob.email)
    first = scene.order(Customer("c-1", scene.bob.email), external_id="o-1")
    by_address = scene.order(Customer(email=scene.bob.email), external_id="o-2")
    erase(scene, scene.bob)
    again = scene.order(Customer("c-1", "bob@example.com"), external_id="o-1")
    assert (again.answer, again.conversion.id) == (Answer.KNOWN, first.conversion.id)
    again = scene.order(Customer(email="bob@example.com"), external_id="o-2")
    assert (again.answer, again.conversion.id) == (Answer.KNOWN, by_address.conversion.id)
    new = scene.order(Customer("c-1", "bob@example.com"), external_id="o-3")
    assert new.answer == Answer.MADE and new.conversion.customer_email is None
    assert all("bob@" not in text for _, text in everything(scene))


@pytest.mark.both_databases
def test_in_whatever_order_a_refund_a_payment_and_the_erasure_come_the_books_are_right(scene: Scene) -> None:
    """Orders that the rules allow; the invariants after each test recompute every book."""
    ends = set()
    for number, order in enumerate(permutations(["refund", "erase", "pay"])):
        scene.publish(fixed(6000, hold_days=0))
        referrer_ = scene.person(f"Referrer {number}")
        friend = scene.friend(f"Friend {number}", of=referrer_)
        scene.order(friend, external_id=f"o{number}")
        scene.approve(scene.reward(referrer_))
        scene.method(referrer_, holder="A Person")
        scene.later(days=4)
        for step in order:
            if step == "refund":
                scene.refund(f"o{number}", 3200)
            elif step == "erase":
                erase(scene, referrer_)
            elif scene.reward(referrer_).state != State.REJECTED and not referrer_.erased_at:
                scene.pay_batch(scene.exported_batch())
        paid = order.index("pay") < order.index("erase")
        ends.add((paid, order.index("refund") < order.index("erase"), str(scene.balance(referrer_))))
    assert ends == {
        (False, False, "{}"), (False, True, "{}"), (True, True, "{'paid': 3000}"),
        (True, False, "{'payable': -3000, 'paid': 6000}"), (True, True, "{'payable': -3000, 'paid': 6000}"),
    }  # fmt: skip
