"""Bad input in every field of every form: never a 5xx, nothing half done, and what was wrong is said in words."""

import itertools
from urllib.parse import quote_plus, urlencode

import pytest

from portal import terms
from tests.web.client import Tab
from tests.web.routes import ACT
from tests.web.test_routes import actor_of

BAD = {
    "NUL": "a%00b",
    "not UTF-8": "%ff%fe",
    "half a surrogate": "%ED%A0%80",
    "100,000 letters": "x" * 100_000,
    "digits of another script": quote_plus("١٢٣"),
    "below zero": "-5",
    "underscores": "1_000",
    "not a number": "NaN",
    "thirty digits": "9" * 30,
    "a comma": "1%2C50",
    "nothing": "",
    "markup": quote_plus("<script>alert(1)</script>{{7*7}}%s%(x)s"),
    "a line more": quote_plus("a\r\nBcc: x@example.com"),
}
"""What somebody sends, already encoded as a form is."""

FORMS = [endpoint for endpoint, (needs, _, form) in ACT.items() if needs != "key" and set(form) - {"csrf_token"}]


def test_a_text_that_is_too_long_is_kept_whole_and_told_by_how_much(scene, tab, tab_of):
    lines = "a line of twenty-one\r\n" * 19  # 399 characters, and two bytes more for each end of a line
    olivia, alice = tab_of(scene.olivia), tab_of(scene.alice)
    page = olivia.press("/admin/program", "/admin/program$", product_text=lines + "ab")
    assert page.error("product_text") == "Use at most 400 characters; these are 401."
    assert page.kept("product_text") == [lines.replace("\r", "") + "ab"]
    assert page.status == 422 and terms.in_force().product_text == ""
    olivia.press("/admin/program", "/admin/program$", product_text=lines + "a")
    assert len(terms.in_force().product_text) == 400
    note = "x" * 281
    page = alice.press("/invites", "/invites$", addresses="ann@example.com", note=note)
    assert page.error("note") == "Use at most 280 characters; these are 281." and page.kept("note") == [note]
    page = tab.press(f"/signup?ref={scene.code(scene.alice)}", "/signup$", email="x@example.com", password="pw " * 50)
    assert page.error("password") == "Use at most 128 characters; these are 150."
    assert not scene.mails("invite")


@pytest.mark.case(9, 10)
@pytest.mark.parametrize("endpoint", FORMS)
def test_no_field_of_any_form_breaks_a_page(endpoint, app, things, tab_of):
    needs, address, form = ACT[endpoint]
    path, shown = things.fill(address), form
    tab = Tab(app) if needs == "anyone" else tab_of(actor_of(things, needs, endpoint))
    token = tab.token()
    for name, (what, bad) in itertools.product(shown, BAD.items()):
        form = things.fill(shown)
        others = {field: value for field, value in form.items() if field != name} | {"csrf_token": token}
        page = tab.open(
            path, method="POST", data=f"{urlencode(others)}&{name}={bad}&{name}=again",
            content_type="application/x-www-form-urlencoded", headers=tab.from_here(),
        )  # fmt: skip
        assert page.status in (200, 302, 303, 400, 404, 409, 410, 413, 422, 429), (name, what, page)
        if page.status == 422:
            said = ("field-error", "notice-bad", "status-bad", '{"errors":')
            assert any(sign in page.body.decode() for sign in said), f"{name}, {what}: nothing says what is wrong"
        if page.status in (302, 400) and endpoint in ("security.login", "security.logout", "public.set_up_done"):
            # the session is another one now
            tab = Tab(app) if needs == "anyone" else tab_of(actor_of(things, needs, endpoint))
            token = tab.token()
