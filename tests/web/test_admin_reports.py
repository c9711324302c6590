"""Reports at the desk: every number leads to as many rows, files hold the same, ranges are read kindly, nothing is there for others."""

import csv
import io
import re
from contextlib import contextmanager
from datetime import date
from decimal import Decimal

import pytest
import sqlalchemy as sa

from portal import sweeps
from portal.accounts.users import User
from portal.core.database import db, session, writing
from portal.referrals.referrals import Referral
from tests.factories import fixed
from tests.web.tables import Unchanged
from tests.web.test_exports import MAIN

REPORTS = (
    "/admin/reports",
    "/admin/reports/referrers",
    "/admin/reports/links",
    "/admin/reports/cohorts",
    "/admin/reports/money",
    "/admin",
)


@pytest.fixture
def owner(things, tab_of):
    """Olivia, in a world where one of each thing has happened; half a year of it is rolled up."""
    return tab_of(things.person("owner"))


def rows(tab, path):
    page = tab.get(path)
    assert page.status == 200 and page.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(page.body.decode(), newline="")))


def as_file(path, kind="csv"):
    address, _, query = path.partition("?")
    return f"{address}.{kind}?{query}"


def numbers_with_links(page):
    """The numbers of a page that lead to a list: (what it says, where it leads)."""
    for link in page.tree.all("a"):
        if "/reports/lists/" in link.get("href"):
            tile = [one.text for one in link.all("span") if "tile-value" in one.get("class")]
            yield (tile[0] if tile else link.text), link.get("href").replace("&amp;", "&")


@pytest.mark.case(115)
def test_every_number_leads_to_a_list_with_so_many_rows(things, owner, subtests):
    """Counts are the rows of the list; amounts are the sum of its amounts, less what was taken back for the cost."""
    checked = 0
    for swept, paths in ((False, REPORTS[:1]), (True, REPORTS)):
        for path in paths:
            page = owner.get(f"{path}?range=90" + ("&by=clicks" if path.endswith("links") else ""))
            for said, address in set(numbers_with_links(page)):
                counts = re.fullmatch(r"[\d,]+", said)
                amount = re.fullmatch(r"€([\d,.]+)", said)
                if not counts and not amount:
                    continue
                with subtests.test(f"{said} {address} {swept}"):
                    listed = rows(owner, as_file(address))
                    if counts:
                        assert len(listed) == int(said.replace(",", ""))
                    elif "customers" not in address:
                        back = "/cost" in address
                        left = sum(
                            Decimal(line["Amount"]) - (Decimal(line["Taken back"]) if back else 0) for line in listed
                        )
                        assert left == Decimal(amount[1].replace(",", ""))
                    checked += 1
        sweeps.roll_up()
    assert checked > 60


def test_the_overview_tells_the_numbers_the_funnel_the_leaders_and_what_is_owed_in_the_range_of_the_address(
    things, owner
):
    page = owner.get("/admin?range=90")
    active = session.scalar(sa.select(sa.func.count(sa.distinct(Referral.referrer_id))))
    for words in ("Needs attention", f"Active referrers {active}", "Numbers", "From click to payout", "New customers", "Top referrers", "Alice",
                  "What the program owes", "Cost per new customer", "How is this counted?"):  # fmt: skip
        assert words in page.main
    assert [link.text for link in page.tree.all("a") if link.get("aria-current") == "true"] == ["90 days"]
    owned = re.findall(r"/admin/reports\?range=90", page.html)
    assert owned, "the way on keeps the range"
    assert "No data between" in owner.get("/admin?from=2020-01-01&to=2020-02-01").main


def test_the_budget_is_a_bar_of_what_this_month_has_spent(scene, tab_of):
    scene.publish(fixed(2000), budget_month_minor=10_000)
    reward = scene.pending_reward()
    owner = tab_of(scene.olivia)
    for path in ("/admin", "/admin/reports/money"):
        assert "€20.00 of €100.00 this month" in owner.get(path).main
    scene.reject(reward)
    assert "€0.00 of €100.00 this month" in owner.get("/admin/reports/money").main


def test_a_range_is_compared_with_the_one_before_and_can_be_a_word_or_days(scene, tab_of):
    scene.pending_reward()
    scene.later(days=31)
    scene.order(scene.friend("Ben", of=scene.alice))
    owner = tab_of(scene.olivia)
    page = owner.get("/admin/reports")
    assert "3 Sept 2026 – 2 Oct 2026, compared with 4 Aug 2026 – 2 Sept 2026." in page.main
    assert "New customers 1 1 before" in page.main
    assert (
        "1 Oct 2026 – 2 Oct 2026, compared with 29 Sept 2026 – 30 Sept 2026."
        in owner.get("/admin/reports?range=month").main
    )
    last = owner.get("/admin/reports?range=last-month")
    assert "1 Sept 2026 – 30 Sept 2026, compared with 1 Aug 2026 – 31 Aug 2026." in last.main
    days = owner.get("/admin/reports?from=2026-09-01&to=2026-09-01")
    assert "1 Sept 2026, compared with 31 Aug 2026." in days.main and "€20.00" in days.main
    assert len(rows(owner, "/admin/reports/performance.csv?from=2026-09-01&to=2026-09-30&by=week")) == 5


def test_cohorts_say_how_soon_friends_reached_the_goal_and_which_figures_may_still_grow(scene, tab_of):
    """Ben orders at once, Carl ten days later, Dora never; then Eve joins, whose week is not over."""
    scene.order(scene.friend("Ben", of=scene.alice))
    carl, _ = scene.friend("Carl", of=scene.alice), scene.friend("Dora", of=scene.alice)
    scene.later(days=10)
    scene.order(carl)
    scene.later(days=20)
    scene.friend("Eve", of=scene.alice)
    scene.later(days=3)
    owner = tab_of(scene.olivia)
    for _ in range(2):
        page = owner.get("/admin/reports/cohorts?range=90&by=month")
        assert "1 Sept 2026 – 30 Sept 2026 3 1 33 % 1 33 % so far 2 67 % so far 2 67 % so far 2 67 %" in page.main
        assert "1 Oct 2026 – 4 Oct 2026 1 0 0 % so far 0 0 % so far 0 0 % so far 0 0 % so far 0 0 %" in page.main
        assert "All of these days 4 1 25 % so far" in page.main
        sweeps.roll_up()
    september, october = rows(owner, "/admin/reports/cohorts.csv?from=2026-09-01&to=2026-10-04&by=month")
    assert list(september) == [
        "From", "To", "Friends joined", "Within 1 day", "Within 7 days", "Within 30 days", "Within 60 days", "By now",
        "Final up to (days)",
    ]  # fmt: skip
    assert list(september.values()) == ["2026-09-01", "2026-09-30", "3", "1", "1", "2", "2", "2", "1"]
    assert list(october.values())[2:] == ["1", "0", "0", "0", "0", "0", "0"]
    assert "Joined in" in owner.get("/admin/reports/cohorts?by=day").main, "cohorts of a day are not asked for"
    assert "No data between" in owner.get("/admin/reports/cohorts?from=2020-01-01&to=2020-02-01").main
    scene.later(days=90)
    later = rows(tab_of(scene.olivia), "/admin/reports/cohorts.csv?from=2026-09-01&to=2026-10-04&by=month")
    assert [row["Final up to (days)"] for row in later] == ["60", "60"]


def test_the_file_of_money_says_what_the_page_says(things, owner):
    days = "from=2026-09-01&to=2026-09-30"
    page, file = owner.get(f"/admin/reports/money?{days}"), rows(owner, f"/admin/reports/money.csv?{days}")
    assert [row["Where it lies"] for row in file] == [
        "Pending", "Approved, on hold", "Payable", "In a payout", "Paid since the start",
    ]  # fmt: skip
    for row in file:
        told = " ".join(f"€{float(row[day]):,.2f}" for day in ("2026-08-31", "2026-09-30"))
        assert f"{row['Where it lies']} {told}" in page.main and row["Currency"] == "EUR"
    assert owner.get(f"/admin/reports/money.xlsx?{days}").status == 200


@pytest.mark.parametrize(
    "query",
    ["range=soon", "from=2026-09-05&to=2026-09-01", "from=yesterday&to=2026-09-01", "from=1000-01-01&to=9999-12-31",
     "from=2001-01-01&to=2199-12-31", "from=%20&to=%ff", "from=2026-02-30&to=2026-03-01", "from=2026-09-01"],
)  # fmt: skip
def test_days_that_cannot_be_read_are_said_and_the_usual_range_is_shown(query, things, owner):
    with Unchanged("sign_ins.last_seen_at"):
        for path in (*REPORTS, "/admin/reports/lists/clicks"):
            page = owner.get(f"{path}?{query}")
            assert page.status == 200 and "These days could not be read." in page.main
        file = owner.get(f"/admin/reports/performance.csv?{query}")
        assert file.status == 302 and "These days could not be read." in owner.get(file.location).main


def test_a_file_of_days_that_are_none_leads_back_to_the_page_that_says_so(things, owner):
    for path in ("reports/performance", "reports/referrers", "reports/links", "reports/money", "reports/lists/orders"):
        for kind in ("csv", "xlsx"):
            page = owner.get(f"/admin/{path}.{kind}?from=2026-11-30&to=2026-11-01&_scheme=javascript&_external=1")
            assert page.status == 302 and page.location.startswith("/admin/reports")
            assert "These days could not be read." in owner.get(page.location).main


def test_wrong_keys_lead_to_the_first_page_and_things_that_are_not_there_to_404(things, owner):
    def shown(path):
        return re.sub(
            r"\d+ (second|minute)s? ago", "just now", owner.get(path).main
        )  # a slow machine is a second later

    first = shown("/admin/reports/lists/joined?range=90")
    for key in ("1", "x~1", "~", "2026-09-01~99999999999999999999", "2026-09-01T00:00:00~٣", "%ff~1"):
        assert shown(f"/admin/reports/lists/joined?range=90&before={key}").startswith(first)
    for key in ("1", "a.b", "1.-1", "9" * 30 + ".1", "².", "%ff"):
        assert owner.get(f"/admin/reports/referrers?after={key}&by=nothing").status == 200
    for query in ("referrer=nobody", "link=1", "state=lost", "referrer=%ff", "link=%ff", "referrer=" + "a" * 5000):
        for path in ("/admin/reports/lists/rewards", "/admin/reports/lists/rewards.csv"):
            assert owner.get(f"{path}?{query}").status == 404
    for path in ("/admin/reports/lists/secrets", "/admin/reports/costs.csv", "/admin/reports/lists/clicks.pdf"):
        assert owner.get(path).status == 404


def test_a_program_in_which_nothing_has_happened_says_so(scene, tab_of):
    owner = tab_of(scene.olivia)
    for path in (
        "/admin",
        "/admin/reports",
        "/admin/reports/referrers",
        "/admin/reports/links",
        "/admin/reports/lists/clicks",
    ):
        assert "No data between 3 Aug 2026 and 1 Sept 2026." in owner.get(path).main
    scene.click(scene.alice, "the-visitor-in-testsA")
    old = owner.get("/admin/reports?from=2026-01-01&to=2026-01-31").main
    assert "No data between 1 Jan 2026 and 31 Jan 2026. The first thing that is counted happened on 1 Sept 2026." in old


def test_lists_and_rankings_are_paged_by_key_and_hold_everything_once(scene, tab_of, counted):
    _many(scene, 120)
    owner = tab_of(scene.olivia)
    seen, path = [], "/admin/reports/lists/joined"
    while path:
        with counted() as asked:
            page = owner.get(path)
        assert len(asked) < 30, asked
        seen += re.findall(r"/admin/referrals/(\w+)", page.html)
        path = next((link.get("href") for link in page.tree.all("a") if link.get("rel") == "next"), None)
    assert len(seen) == len(set(seen)) == 121
    assert len(rows(owner, "/admin/reports/lists/joined.csv")) == 121


def test_files_are_streamed_whole_with_few_queries_and_no_cell_of_them_runs(scene, tab_of, counted):
    _many(scene, 1_500)
    with writing():
        session.merge(scene.bob).name = "=HYPERLINK(1)"
        session.merge(scene.alice).name = "@SUM(A1)"
    owner = tab_of(scene.olivia)
    with counted() as asked:
        listed = rows(owner, "/admin/reports/lists/joined.csv")
    assert len(listed) == 1_501 and len(asked) < 30
    assert {line["Referrer"] for line in listed} == {"'@SUM(A1)"} and "'=HYPERLINK(1)" in {
        line["Friend"] for line in listed
    }
    assert rows(owner, "/admin/reports/referrers.csv?by=joined")[0]["Referrer"] == "'@SUM(A1)"
    page = owner.get("/admin/reports/lists/joined.csv")
    assert "Content-Length" not in page.headers, "sent while the rows are read"
    assert "no-store" in page.headers["Cache-Control"]
    told = date(2026, 9, 1)
    assert page.headers["Content-Disposition"] == f'attachment; filename="joined-2026-08-03-{told}.csv"'


def test_both_kinds_of_file_hold_the_same_numbers(things, owner):
    import zipfile
    from xml.etree import ElementTree

    for path in ("/admin/reports/performance", "/admin/reports/referrers", "/admin/reports/links",
                 "/admin/reports/lists/rewards", "/admin/reports/lists/clicks"):  # fmt: skip
        plain = rows(owner, f"{path}.csv?range=90")
        page = owner.get(f"{path}.xlsx?range=90")
        with zipfile.ZipFile(io.BytesIO(page.body)) as book:
            sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
        assert not list(sheet.iter(f"{MAIN}f")), "a formula"
        lines = list(sheet.iter(f"{MAIN}row"))
        assert len(lines) == len(plain) + 1
        wanted = [Decimal(text) for line in plain for text in line.values() if re.fullmatch(r"-?\d+\.\d\d", text)]
        found = [Decimal(cell.findtext(f"{MAIN}v")) for line in lines[1:] for cell in line if cell.get("s")]
        days = [line for line in plain for text in line.values() if re.fullmatch(r"\d{4}-\d\d-\d\d", text)]
        assert len(found) == len(wanted) + len(days) and sum(found) >= sum(wanted)


def test_a_role_taken_away_counts_at_the_next_request(scene, tab_of):
    from portal import program
    from portal.accounts.roles import Role

    vera, olivia = scene.colleague("Vera", Role.VIEWER), scene.olivia
    tab = tab_of(vera)
    assert tab.get("/admin/reports/lists/clicks.csv").status == 200
    scene.do(lambda: program.withdraw_role(session.merge(vera), Role.VIEWER, by=olivia.id, at=scene.at))
    for path in (*REPORTS, "/admin/reports/lists/clicks.csv", "/admin/reports/referrers.xlsx"):
        assert tab.get(path).status == 403


@pytest.fixture
def counted(app):
    """Counts the statements within: `with counted() as asked: …`."""

    @contextmanager
    def statements():
        asked = []

        def note(_connection, _cursor, statement, *_):
            asked.append(statement)

        sa.event.listen(db.engine, "before_cursor_execute", note)
        yield asked
        sa.event.remove(db.engine, "before_cursor_execute", note)

    return statements


def _many(scene, count):
    """Referrals by the thousand, copied from Bob's; the verbs would take a minute."""
    bob = scene.referral(scene.bob)
    given = {column.name: getattr(bob, column.name) for column in Referral.__table__.columns}
    person = {column.name: getattr(scene.bob, column.name) for column in User.__table__.columns}
    people = [
        person
        | {"id": 10_000 + n, "public_id": f"p{n:015d}", "fs_uniquifier": f"f{n:063d}", "email": f"f{n}@example.net"}
        for n in range(count)
    ]
    made = [given | {"id": 10_000 + n, "public_id": f"r{n:015d}", "referee_id": 10_000 + n} for n in range(count)]
    with writing():
        session.execute(sa.insert(User), people)
        session.execute(sa.insert(Referral), made)
