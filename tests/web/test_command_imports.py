"""Files of orders and customers by command: faults by line, good rows taken, the same file twice changes nothing."""

import re

import pytest
import sqlalchemy as sa

from portal.accounts.users import find_by_email, find_by_external_id
from portal.core.database import session
from portal.rewards.conversions import Conversion
from tests.web.tables import Unchanged

pytestmark = pytest.mark.both_databases

CUSTOMERS = "external_id,email,name,code,signed_up_at\n"
ORDERS = "external_id,customer_external_id,amount_minor,currency,occurred_at\n"


@pytest.fixture
def take(run, tmp_path):
    """Imports a file with this content: `take("import-customers", "external_id,email\\n…")`."""

    def taken(command, content):
        path = tmp_path / "file.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return run(command, str(path))

    return taken


def orders():
    session.rollback()
    return {row.external_id: row.amount_minor for row in session.scalars(sa.select(Conversion)) if row.source == "shop"}


def told(said):
    """`new, known, waiting, faulty` of the last line."""
    found = re.search(r"(\d+) new, (\d+) known already, (\d+) waiting for a customer, (\d+) faulty\.", said.out)
    assert found, said
    return tuple(int(number) for number in found.groups())


def faults(said):
    """The lines of faults: number -> the rest."""
    return {int(found[1]): found[2] for found in re.finditer(r"^line (\d+)(.*)$", said.err, re.MULTILINE)}


def test_customers_and_their_orders_become_rewards_and_the_same_files_again_change_nothing(scene, take):
    code = scene.code(scene.alice)
    customers = f"{CUSTOMERS}c-1,bob@example.com,Bob,{code},2026-09-01T10:00:00Z\nc-2,dora@example.com,Dora,,\n"
    bought = f"{ORDERS}o-1,c-1,6400,EUR,2026-09-01T11:00:00Z\no-2,c-2,100,,\no-3,c-9,100,EUR,\n"
    first = take("import-customers", customers)
    assert (first.code, told(first)) == (0, (2, 0, 0, 0))
    second = take("import-conversions", bought)
    assert (second.code, told(second)) == (0, (2, 0, 1, 0))
    assert orders() == {"o-1": 6400, "o-2": 100, "o-3": 100}
    assert scene.reward(scene.alice).amount_minor == 2000
    with Unchanged():
        again = take("import-customers", customers)
        assert (again.code, told(again)) == (0, (0, 2, 0, 0))
        again = take("import-conversions", bought)
        assert (again.code, told(again)) == (0, (0, 2, 1, 0))


def test_good_rows_are_taken_and_each_bad_one_is_told_by_its_line_and_column(scene, take):
    scene.customer("c-1", "bob@example.com")
    rows = [
        "o-1,c-1,6400,EUR,", "o-2,c-1,1_000,EUR,", "o-3,c-1,NaN,EUR,", "o-4,c-1,-5,EUR,", 'o-5,c-1,"1,50",EUR,',
        f"o-6,c-1,{'9' * 30},EUR,", "o-7,c-1,0,EUR,", "o-8,c-1,100,USD,", "o-9,c-1,100,EUR,yesterday",
        "o-10,c-1,100,EUR,2026-09-01T10:00:00", "o-11,c-1,100,EUR,2999-01-01T00:00:00Z", ",c-1,100,EUR,", "o-13,,100,EUR,",
        "o-14,c-1,,EUR,", "o-15,c-1,100", "o-16,c-1,100,EUR,,more", "o-17,c-1,١٢٣,EUR,", f"{'x' * 129},c-1,100,EUR,",
        "o-1,c-1,6401,EUR,", "o\x0020,c-1,100,EUR,", "o-21,c-1,1e3,EUR,", "", "  ,, , ,", "o-24,c-1,12.50,EUR,",
        "o-25,c-1,300,EUR,2026-09-01T10:00:00+02:00",
    ]  # fmt: skip
    said = take("import-conversions", ORDERS + "\r\n".join(rows) + "\r\n")
    assert said.code == 1
    assert orders() == {"o-1": 6400, "o-25": 300}
    columns = {
        2 + number: next(
            (
                name
                for name in ("amount_minor", "currency", "occurred_at", "external_id", "customer")
                if f", {name}" in fault
            ),
            "",
        )
        for number, fault in ((line - 2, fault) for line, fault in faults(said).items())
    }
    assert told(said) == (2, 0, 0, len(columns))
    amounts = {3, 4, 5, 6, 7, 8, 15, 18, 22, 25}
    assert columns == dict.fromkeys(amounts, "amount_minor") | {
        9: "currency", 10: "occurred_at", 11: "occurred_at", 12: "occurred_at", 13: "external_id", 14: "customer",
        16: "", 17: "", 19: "external_id", 20: "external_id", 21: "external_id",
    }  # fmt: skip


def test_customers_that_cannot_be_are_told_by_their_line(scene, take):
    scene.customer("c-1", "bob@example.com")
    rows = [
        "c-2,nobody,,,", "c-3,,,,", ",a@example.com,,,", "c-4,a@example.com,,,tomorrow", "c-1,dora@example.com,,,",
        "c-5,bob@example.com,,,", f"{'x' * 129},a@example.com,,,", "c-6,a@example.com,,,0001-01-01T00:00:00Z",
        "c-7,good@example.com,=HYPERLINK(1),no-such-code,", 'c-8,"a@example.com, b@example.com",,,',
        "c-9,x@example.com,,,2026-09-01T10:00:00",
    ]  # fmt: skip
    said = take("import-customers", CUSTOMERS + "\n".join(rows))
    assert said.code == 1
    made = find_by_external_id("c-7")
    assert (made.email, made.name) == ("good@example.com", "=HYPERLINK(1)")
    assert find_by_email("a@example.com") is None and find_by_external_id("c-1").email == "bob@example.com"
    assert told(said) in {(1, 0, 0, 10), (1, 1, 0, 9)}
    assert {2, 3, 4, 5, 7, 8, 9, 11, 12} <= set(faults(said))


@pytest.mark.parametrize(
    "start", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b""], ids=["a mark", "two marks", "none"]
)
def test_a_byte_order_mark_capitals_and_spaces_in_the_heading_are_read_over(scene, take, start):
    said = take("import-customers", start + b"Email , EXTERNAL_ID\r\nbob@example.com,c-1\r\n")
    assert (said.code, told(said)) == (0, (1, 0, 0, 0))
    assert find_by_external_id("c-1").email == "bob@example.com"


def test_bytes_that_are_no_utf_8_are_told_by_their_line_and_the_others_taken(scene, take):
    content = (CUSTOMERS + "c-1,bob@example.com,Jürgen,,\n").encode("latin-1") + "c-2,åse@example.com,Åse,,\n".encode()
    said = take("import-customers", content)
    assert (said.code, told(said)) == (1, (1, 0, 0, 1))
    assert faults(said) == {2: ", name: not UTF-8 text"}
    assert find_by_external_id("c-2").name == "Åse"


HEADINGS = [
    "", "\n", "external_id\n", "email,external_id,amount\n", "external_id,email,email\n", "external_id;mail\nc-1;a@b.de\n",
    "c-1,bob@example.com\n", "externalid,email\n", "external_id,email,role\n", "\x00\n", '"external_id,email\n', "﻿,x\n",
]  # fmt: skip


def test_a_file_with_other_columns_is_refused_whole_and_told_which_it_needs(scene, take, each):
    for tried in each(
        [*HEADINGS, "external_id,email\n".encode("utf-16"), b"\xff\xfe\xfa\n", b"PK\x03\x04" + b"\x00" * 100]
    ):
        with tried as heading:
            content = heading if isinstance(heading, bytes) else heading.encode()
            said = take("import-customers", content + b"c-1,bob@example.com\n")
            assert said.code == 1 and said.out == ""
            assert "external_id" in said.err or "not a CSV file" in said.err
            assert "line" not in said.err.replace("The first line", "")


def test_a_field_without_an_end_does_not_take_the_rest_of_the_file_along_unsaid(scene, take):
    scene.customer("c-1", "bob@example.com")
    said = take("import-conversions", ORDERS + 'o-1,c-1,100,EUR,\no-2,c-1,"100,EUR,\no-3,c-1,100,EUR,\n')
    assert said.code == 1 and orders() == {"o-1": 100}
    assert told(said) == (1, 0, 0, 1)


def test_before_the_program_is_set_up_nothing_is_taken(app, take):
    with Unchanged():
        said = take("import-customers", CUSTOMERS + "c-1,bob@example.com,,,\n")
        assert said.code == 1 and "not been set up" in said.err


def test_an_import_and_the_api_are_one_source(scene, take, run):
    scene.customer("c-1", "bob@example.com")
    take("import-conversions", ORDERS + "o-1,c-1,100,EUR,\n")
    with Unchanged():
        said = run("convert", "--external-id", "o-1", "--customer-external-id", "c-1", "--amount-minor", "100")
        assert said.code == 0 and "known already" in said.out
