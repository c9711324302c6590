"""Addresses as they come in from the street: wrong, endless, of bytes that are no text. A friendly 404 or 400, no click."""

import pytest

from tests.web.client import raw
from tests.web.keys import Shop
from tests.web.routes import COLLEAGUES, READ

BAD_CODES = [
    b"nobody-has-it", b"x" * 5000, b"x" * 33, b"%00", b"a%00b", b"%ff", b"%ff%fe", b"%c0%af", b"%ed%a0%80", b"%f0%9f%98%80",
    "ÄÖÜ".encode(), "ａｌｉｃｅ".encode(), "аlice".encode(), b"code[]=x", b"?code[]=x", b"?code=x&code=y", b"a/b/c", b"..", b".",
    b"../../etc/passwd", b"%2e%2e%2f%2e%2e", b"%2f", b"//", b"a%0d%0aSet-Cookie:x", b"a%09b", b"%20", b"' OR 1=1 --",
    b"<script>alert(1)</script>", b"{{7*7}}", b"%s%s%s", b"%25", b"%", b"%zz", b"-", b"-a-", b"a_b", b"admin", b"null", b"0",
    b"1", b"-1", b"\xe2\x80\xae", b"+", b";", b"a;b", b"a,b", b"*", b"~", b"@", b"!",
]  # fmt: skip


@pytest.mark.both_databases
@pytest.mark.case(6, 10)
def test_a_code_that_is_none_gets_a_friendly_page_and_no_click(scene, tab, each):
    assert scene.alice
    for tried in each(BAD_CODES):
        with tried as code:
            page = raw(tab, b"/r/" + code)
            assert page.status in (400, 404)
            assert page.heading in ("That link does not lead anywhere", "We could not read that")
            assert "visitor" not in str(page.headers.getlist("Set-Cookie"))
            assert "<script>alert" not in page.html and "49" not in page.kept("ref")
            assert raw(tab, b"/r/" + code, "HEAD").status == page.status


@pytest.mark.case(10)
def test_the_form_opens_with_any_code_and_says_that_it_is_unknown(scene, tab, each):
    assert scene.alice
    for tried in each(BAD_CODES):
        with tried as code:
            page = raw(tab, b"/signup?ref=" + code.replace(b"&", b"%26"))
            assert page.status in (200, 400)
            assert "<script>alert" not in page.html
            for query in (b"ref[]=x", b"ref=x&ref=y", b"ref", b"=x", b"&&&", b"ref=%ff"):
                assert raw(tab, b"/signup?" + query).status == 200


@pytest.mark.case(9)
def test_a_code_opens_in_any_case_and_with_a_slash_or_a_space_too_many(scene, tab, each):
    code = scene.code(scene.alice).encode()
    spelled = [
        code,
        code.upper(),
        code.title(),
        code + b"/",
        code + b"//",
        b"%20" + code,
        code + b"%20",
        code + b"?a=b",
    ]
    for tried in each(spelled, but=["clicks"]):
        with tried as written:
            page = raw(tab, b"/r/" + written)
            assert (page.status, page.location) == (302, f"/signup?ref={code.decode()}")


@pytest.mark.case(6)
def test_the_page_of_a_wrong_code_has_a_field_for_the_right_one(scene, tab):
    page = tab.get("/r/allice")
    (form,) = [form for form in page.forms if form.method == "get"]
    assert (form.action, form.fields["ref"]) == ("/signup", ["allice"])
    assert "Alice" in tab.get(f"/signup?ref={scene.code(scene.alice)}").text


WRONG_WORDS = [b"%00", b"%ff", b"%ed%a0%80", b"x" * 5000, b"1", b"-1", b"0", b"1e3", b"%2f", "ü".encode(), b"'", b"%20"]


def test_addresses_of_things_that_are_none_are_404_or_400_for_everybody(app, scene, tab, tab_of, each):
    """Each page that has a word in its address, with each bad word in its place."""
    alice, olivia, shop = tab_of(scene.alice), tab_of(scene.olivia), Shop(app)
    addresses = [(needs, address) for needs, address in READ.values() if "{" in address.split("?")[0]]
    assert len(addresses) >= 10
    for tried in each(WRONG_WORDS):
        with tried as word:
            for needs, address in addresses:
                start, _, rest = address.encode().partition(b"{")
                path = start + word + rest.partition(b"}")[2]
                if needs == "key":
                    answer = shop.client.open(path.decode("latin-1"), headers=shop.headers())
                    assert answer.status_code in (400, 404)
                    continue
                who = olivia if needs in COLLEAGUES else alice
                page = raw(who, path)
                if page.status == 308:  # two slashes are read as one; what is left is no thing's address either
                    page = raw(who, page.location.encode())
                assert page.status in ((200, 400, 404) if needs == "anyone" else (400, 404)), (path, page)


@pytest.mark.both_databases
def test_pages_of_lists_take_any_place_to_go_on_from(scene, tab_of, each):
    scene.pending_reward()
    olivia, alice = tab_of(scene.olivia), tab_of(scene.alice)
    for tried in each(
        [b"0", b"-1", b"1e9", b"9" * 18, b"9" * 40, b"x", b"%00", b"%ff", b"", b"1_0", "٣".encode(), b"1&before=2"]
    ):
        with tried as place:
            for path in (b"/friends", b"/rewards"):
                assert raw(alice, path + b"?before=" + place).status in (200, 400)
            for path in (b"/admin/referrals", b"/admin/people", b"/admin/audit", b"/admin/rewards"):
                assert raw(olivia, path + b"?before=" + place + b"&after=" + place).status in (200, 400)


@pytest.mark.both_databases
def test_a_search_takes_any_words(scene, tab_of, each):
    olivia = tab_of(scene.olivia)
    words = [
        b"alice",
        b"%25",
        b"_",
        b"%5c",
        b"'",
        b"%00",
        b"%ff",
        b"x" * 3000,
        "ü".encode(),
        b"%20",
        b"<script>",
        b"a%0ab",
    ]
    for tried in each(words):
        with tried as word:
            page = raw(olivia, b"/admin/people?q=" + word)
            assert page.status in (200, 400) and "<script>" not in page.html.replace('<script type="module" ', "")


def test_no_query_breaks_a_page(scene, tab, tab_of, each):
    alice = tab_of(scene.alice)
    for tried in each(
        [b"%ff=%ff", b"a=" + b"x" * 5000, b"[]", b"__proto__=x", b"a[b][c]=d", b"=", b"%", b"next=%ff", b"theme=x"]
    ):
        with tried as query:
            for path in (b"/", b"/login", b"/reset", b"/confirm", b"/terms", b"/help", b"/check-your-email", b"/setup"):
                assert raw(tab, path + b"?" + query).status in (200, 302)
            for path in (b"/dashboard", b"/account", b"/payouts", b"/friends", b"/rewards"):
                assert raw(alice, path + b"?" + query).status == 200
