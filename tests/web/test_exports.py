"""Exports: one's own friends, rewards and payouts as CSV and XLSX: all of them, nobody else's, and nothing that runs."""

import csv
import io
import re
import zipfile
from datetime import date, timedelta
from decimal import Decimal
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa

from portal import program
from portal.accounts.users import User
from portal.core.database import session, writing
from portal.referrals.referrals import Referral
from portal.reports import sheets
from portal.sharing import links
from tests.factories import REFEREE, fixed
from tests.web.tables import SEEN, Unchanged

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
NAMES = ("friends", "rewards", "payouts")


def rows(tab, name, asked=""):
    """The rows of a CSV file, by their headings."""
    page = tab.get(f"/{name}.csv{asked}")
    assert page.status == 200 and page.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert re.search(rf'attachment; filename="{name}-202\d-\d\d-\d\d\.csv"', page.headers["Content-Disposition"])
    return list(csv.DictReader(io.StringIO(page.body.decode(), newline="")))


def cells(tab, name):
    """The rows of an XLSX file, by their headings: words as str, numbers and dates as the sheet keeps them."""
    page = tab.get(f"/{name}.xlsx")
    assert page.status == 200 and page.headers["Content-Type"].endswith("spreadsheetml.sheet")
    with zipfile.ZipFile(io.BytesIO(page.body)) as book:
        said = ["".join(one.itertext()) for one in ElementTree.fromstring(book.read("xl/sharedStrings.xml"))]
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    assert not list(sheet.iter(f"{MAIN}f")), "a formula"
    lines = []
    for row in sheet.iter(f"{MAIN}row"):
        line = {}
        for cell in row:
            value = cell.findtext(f"{MAIN}v")
            column = re.sub(r"\d", "", cell.get("r"))
            if value is not None:
                line[column] = said[int(value)] if cell.get("t") == "s" else Decimal(value)
        lines.append(line)
    head = lines[0]
    return [{head[column]: value for column, value in line.items()} for line in lines[1:]]


def in_major(minor):
    return Decimal(minor).scaleb(-2)


def total(lines, column):
    return sum((Decimal(line[column]) for line in lines if line[column]), Decimal(0))


@pytest.fixture
def alice(things, tab_of):
    return tab_of(things.person("referrer"))


def test_all_of_ones_own_is_in_them_in_the_words_of_the_pages(things, alice):
    friends, rewards, payouts = (rows(alice, name) for name in NAMES)
    assert {"Bob", "Carol", "Dora", "Eve", "Ada", "Pia"} <= {line["Friend"] for line in friends}
    assert [line["For"] for line in rewards] == [line["Friend"] for line in friends], "the newest first"
    page = alice.get("/rewards").main
    for line in rewards:
        assert f"{line['For']} {line['Computed']} {line['Status']}" in page
    by_friend = {line["Friend"]: line for line in friends}
    assert by_friend["Pia"]["Status"] == "In review" and by_friend["Pia"]["Your reward"] == "20.00"
    assert by_friend["Ada"]["Status"].startswith("On hold until ")
    assert (by_friend["Bob"]["Status"], by_friend["Bob"]["Currency"]) == ("In a payout", "EUR")
    assert by_friend["Bob"]["Joined"] == date(2026, 9, 5).isoformat()
    listed = alice.get("/payouts").main
    for line in payouts:
        assert f"{line['Payout']} {line['Status']}" in listed and line["Paid by"] in listed
    assert [line["Status"] for line in payouts] == ["Preparing", "Preparing", "Sent"]


def test_both_kinds_hold_the_same_with_real_numbers_and_dates(things, alice):
    for name in NAMES:
        for plain, rich in zip(rows(alice, name), cells(alice, name), strict=True):
            for heading, text in plain.items():
                cell = rich.get(heading, "")
                if isinstance(cell, Decimal) and re.fullmatch(r"\d{4}-\d\d-\d\d", text):
                    assert date(1899, 12, 30) + timedelta(days=int(cell)) == date.fromisoformat(text)
                elif isinstance(cell, Decimal):
                    assert cell == Decimal(text)
                else:
                    assert cell == text
    assert isinstance(cells(alice, "rewards")[0]["Amount"], Decimal)


def test_a_file_holds_the_days_that_were_asked_for(things, alice):
    """Both days included; an empty one is no bound. The rows of the parts are the rows of the whole."""
    column = {"friends": "Joined", "rewards": "Made", "payouts": "Prepared"}
    for name in NAMES:
        everything = rows(alice, name)
        days = sorted({line[column[name]] for line in everything})
        assert days, name
        middle = days[len(days) // 2]
        before = str(date.fromisoformat(middle) - timedelta(days=1))
        until, since = rows(alice, name, f"?from=&to={before}"), rows(alice, name, f"?from={middle}&to=")
        assert since + until == everything and all(line[column[name]] < middle for line in until)
        assert rows(alice, name, f"?from={middle}&to={middle}") == [
            line for line in everything if line[column[name]] == middle
        ]
        assert rows(alice, name, "?from=2001-01-01&to=2001-12-31") == []


def test_days_that_are_none_lead_back_with_the_reason(things, alice):
    for name in NAMES:
        for asked in ("from=yesterday", "to=2026-02-30", "from=2026-10-02&to=2026-10-01", "from=0001-01-01", "to=x"):
            for kind in ("csv", "xlsx"):
                page = alice.get(f"/{name}.{kind}?{asked}")
                assert (page.status, page.location) == (302, f"/{name}#download")
                assert "These days could not be read" in alice.get(f"/{name}").main


@pytest.mark.case(105)
def test_nobody_elses_is_in_them(things, tab_of, tabs_of_others):
    for name in NAMES:
        for tab in tabs_of_others:
            assert rows(tab, name) == cells(tab, name) == []


@pytest.fixture
def tabs_of_others(things, tab_of):
    """People of the same program who brought nobody."""
    return [tab_of(things.person(who)) for who in ("viewer", "owner")]


def test_what_they_sum_to_is_the_ledgers(scene, tab_of):
    """Through a refund before the payout, one after it, a failed payout and a rejection."""
    scene.method(scene.alice)
    scene.later(days=4)
    orders = [scene.order(scene.friend(name, of=scene.alice)) for name in ("Bob", "Dora", "Eve", "Ada", "Pia")]
    made = scene.rewards(scene.alice)
    scene.refund(orders[0], 1600)
    for reward in made[:4]:
        scene.approve(reward)
    scene.reject(made[4])
    scene.later(days=31)
    scene.release()
    scene.pay_batch(scene.exported_batch())
    scene.refund(orders[1], 3200)
    scene.order(scene.friend("Finja", of=scene.alice))
    scene.approve(scene.rewards(scene.alice)[-1])
    scene.later(days=31)
    scene.release()
    scene.publish(minimum_payout_minor=500)
    second = scene.exported_batch()
    scene.fail(second.payouts[0])
    alice, balance = tab_of(scene.alice), scene.balance(scene.alice)
    assert total(rows(alice, "rewards"), "Left") == in_major(sum(balance.values()))
    assert total(rows(alice, "friends"), "Your reward") == in_major(sum(balance.values()))
    lines = rows(alice, "payouts")
    paid = [line for line in lines if line["Status"].startswith("Paid")]
    assert total(paid, "Amount") == in_major(balance["paid"]) == Decimal("75.00")
    failed = [line for line in lines if line["Status"] == "Failed"]
    assert [line["Amount"] for line in failed] == ["20.00", "-10.00"]
    assert total(failed, "Amount") == in_major(second.payouts[0].amount_minor)
    rejected = next(line for line in rows(alice, "rewards") if line["For"] == "Pia")
    assert (rejected["Why"], rejected["Amount"], rejected["Left"]) == ("Not this time.", "20.00", "0.00")


def test_ones_own_gift_is_among_ones_rewards(scene, tab_of):
    scene.publish(fixed(500, to=REFEREE))
    scene.order(scene.bob)
    (line,) = rows(tab_of(scene.bob), "rewards")
    assert (line["For"], line["Goal"], line["Amount"]) == ("Your gift", "first order", "5.00")


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1+1", "-2+3"])
def test_no_cell_of_them_runs(name, scene, tab_of):
    friend = scene.friend("Bob", of=scene.alice)
    with writing():
        session.merge(friend).name = name
    scene.order(friend)
    alice = tab_of(scene.alice)
    assert rows(alice, "friends")[0]["Friend"] == rows(alice, "rewards")[0]["For"] == f"'{name}"
    assert cells(alice, "friends")[0]["Friend"] == cells(alice, "rewards")[0]["For"] == name, "words, not a formula"


def test_whatever_a_cell_begins_with_it_is_words():
    for words in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "{=1}", "https://evil.example", "internal:Sheet1!A1"):
        (line,) = csv.reader(io.StringIO(sheets.as_csv(["Word"], [[words]]).decode().split("\r\n", 1)[1], newline=""))
        assert line[0][0] not in "=+-@\t\r"
        with zipfile.ZipFile(io.BytesIO(sheets.as_xlsx("Sheet", ["Word"], [[words]]))) as book:
            sheet = book.read("xl/worksheets/sheet1.xml").decode()
        assert "<f>" not in sheet and "hyperlink" not in sheet and sheet.count('t="s"') == 2


def test_a_thousand_friends_are_all_in_it_with_few_queries(scene, tab_of, counted):
    _many(scene, 1_000)
    alice = tab_of(scene.alice)
    with counted() as asked:
        found = rows(alice, "friends")
    assert len(found) == 1_001 and len({line["Friend"] for line in found}) == 1_001
    assert len(asked) < 25, asked
    assert len(cells(alice, "friends")) == 1_001


def _many(scene, count):
    """Referrals by the thousand, copied from Bob's; the verbs would take a minute."""
    bob = scene.referral(scene.bob)
    given = {column.name: getattr(bob, column.name) for column in Referral.__table__.columns}
    person = {column.name: getattr(scene.bob, column.name) for column in User.__table__.columns}
    with writing():
        for number in range(count):
            own = {"id": 10_000 + number, "public_id": f"p{number:015d}", "fs_uniquifier": f"f{number:063d}"}
            session.execute(
                sa.insert(User).values(person | own | {"email": f"f{number}@example.net", "name": f"N{number}"})
            )
            own = {"id": 10_000 + number, "public_id": f"r{number:015d}", "referee_id": 10_000 + number}
            session.execute(sa.insert(Referral).values(given | own))


def test_their_pages_lead_to_them(things, alice):
    for name in NAMES:
        tree = alice.get(f"/{name}").tree
        leads = {form.get("action") for form in tree.all("form")} | {
            one.get("formaction") for one in tree.all("button")
        }
        assert {f"/{name}.csv", f"/{name}.xlsx"} <= leads


def test_only_these_kinds_are_there_and_asking_changes_nothing(things, alice):
    with Unchanged(*SEEN):
        for name in NAMES:
            assert alice.get(f"/{name}.csv").headers["Cache-Control"] == "no-store"
            for kind in ("pdf", "CSV", "xls", "csv.exe"):
                assert alice.get(f"/{name}.{kind}").status == 404


def test_each_invite_tells_every_goal_with_its_order_day_and_reward(scene, tab_of):
    alice = scene.alice
    scene.publish(fixed(2000), fixed(500, goal="signup"))
    told = scene.do(lambda: program.invite(alice, ["ina@example.com", "ben@example.com"], at=scene.at))
    code = links.current_code(told[0].invite.link_id)
    friend = scene.person("Ina", carried=code, email="other@example.com")
    order = scene.order(friend)
    lines = rows(tab_of(alice), "invites")
    assert [
        (one["To"], one["Status"], one["Goal"], one["Order"]) for one in lines if one["To"] == "ben@example.com"
    ] == [("ben@example.com", "Waiting to be sent", "", "")]
    of_ina = {one["Goal"]: one for one in lines if one["To"] == "ina@example.com"}
    assert set(of_ina) == {"first order", "confirmed e-mail address"}
    bought = of_ina["first order"]
    assert (bought["Friend"], bought["Order"], bought["Code"]) == ("Ina", order.conversion.external_id, code)
    assert (bought["Reward"], bought["Currency"], bought["Status of the reward"]) == ("20.00", "EUR", "In review")
    assert len(cells(tab_of(alice), "invites")) == 3
    assert rows(tab_of(scene.carol), "invites") == []
