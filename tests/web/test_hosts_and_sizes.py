"""What a server meets: forged Host names, forged proxies, bodies without an end."""

import dataclasses
import io

import pytest
from werkzeug.test import stream_encode_multipart

from portal import create_app
from tests.conftest import close
from tests.web.client import HTTPS, Tab
from tests.web.keys import Shop
from tests.web.tables import SEEN, Unchanged

FORGED = [
    "evil.example", "friends.example.com.evil.example", "friends.example.com@evil.example", "evil.example:8000", "",
    "127.0.0.1", "localhost", "a b", "friends.example.com/evil", "[::1", "evil.example#friends.example.com", "\xff",
]  # fmt: skip


@pytest.fixture
def settings(settings):
    """A portal at https://friends.example.com, with its limits."""
    return dataclasses.replace(settings, base_url=HTTPS, rate_limits=True)


def test_another_hosts_name_is_400_wherever_it_is_sent(app, scene, tab, each):
    code = scene.code(scene.alice)
    for tried in each(FORGED):
        with tried as host:
            for path in (
                "/",
                "/login",
                f"/r/{code}",
                "/r/nothing",
                f"/signup?ref={code}",
                "/api/v1/rewards",
                "/nothing",
            ):
                page = tab.open(path, headers={"Host": host})
                assert page.status == 400, page
                assert "evil" not in page.body.decode("latin-1") and "evil" not in page.location


def test_our_own_host_is_answered_with_and_without_a_port(tab):
    for host in ("friends.example.com", "friends.example.com:443", "friends.example.com:8443"):
        assert tab.open("/privacy", headers={"Host": host}).status == 200


def test_mailed_links_lead_to_the_portal_whatever_the_request_says(scene, tab):
    tab.get("/reset")
    page = tab.get("/reset")
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "Forwarded": "host=evil.example"}
    email = scene.alice.email
    tab.post("/reset", page.form().filled({"email": email}), headers=forwarded)
    (mail,) = scene.mails("reset")
    assert f"{HTTPS}/reset/" in mail.text
    assert "evil" not in mail.text


# --- proxies --------------------------------------------------------------------------------------------------


def attempts(app, count, address="198.51.100.7", **headers):
    """Wrong passwords for Alice from a network; what was answered."""
    tab = Tab(app, address=address)
    form = tab.get("/login").form("/login")
    found = []
    for number in range(count):
        said = {name.replace("_", "-"): value.format(number) for name, value in headers.items()}
        fields = form.filled({"email": "alice@example.com", "password": f"wrong guess no. {number}"})
        found.append(tab.post("/login", fields, headers=said).status)
    return found


@pytest.mark.case(49, 113)
@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded", "X_Real_IP", "CF_Connecting_IP", "True_Client_IP"])
def test_a_forged_sender_does_not_get_round_the_limit(app, scene, header):
    assert scene.alice
    value = "for=203.0.113.{}" if header == "Forwarded" else "203.0.113.{}"
    assert 429 in attempts(app, 12, **{header: value})


@pytest.mark.case(49)
def test_behind_one_proxy_the_last_address_counts_and_what_stands_before_it_does_not(settings, app, scene):
    assert scene.alice
    behind = create_app(dataclasses.replace(settings, trusted_proxies=1))
    with behind.app_context():
        try:
            forged = attempts(behind, 12, address="10.0.0.1", X_Forwarded_For="1.2.3.{}, 203.0.113.9")
            assert 429 in forged
            honest = attempts(behind, 1, address="10.0.0.1", X_Forwarded_For="203.0.113.77")
            assert 429 not in honest
        finally:
            close(behind)


# --- sizes ----------------------------------------------------------------------------------------------------

TOO_BIG = 2 << 20


def test_a_body_that_is_too_big_is_413_and_nothing_is_stored(app, scene, tab, tab_of):
    shop, olivia = Shop(app), tab_of(scene.olivia)
    token = tab.token()
    with Unchanged(*SEEN):
        for path in ("/signup", "/reset", "/login", "/confirm", "/theme"):
            page = tab.post(path, {"csrf_token": token, "email": "x" * TOO_BIG})
            assert page.status == 413, page
            assert "too big" in page.text
        assert olivia.post("/admin/vouchers", {"value": "5", "codes": "x" * TOO_BIG}).status == 413
        assert shop.send("customers", b"[" + b"1," * (TOO_BIG // 2) + b"1]").status_code == 413


def test_one_field_that_is_too_big_is_413_however_it_is_sent(tab):
    token = tab.token()
    with Unchanged():
        for given in (
            {"data": {"csrf_token": token, "email": "x" * 1_200_000}},
            in_parts({"csrf_token": token, "email": "x" * 600_000}),
            in_parts({"csrf_token": token} | {f"field{number}": "x" for number in range(6000)}),
        ):  # fmt: skip
            assert tab.open("/reset", method="POST", headers=tab.from_here(), **given).status == 413


def in_parts(fields):
    """These fields as multipart, in memory: above 500 kB the test client would leave a temporary file open."""
    stream, _, boundary = stream_encode_multipart(fields, use_tempfile=False)
    return {"data": stream.read(), "content_type": f'multipart/form-data; boundary="{boundary}"'}


def test_a_file_where_none_is_asked_for_is_not_kept(tab):
    data = {"csrf_token": tab.token(), "email": (io.BytesIO(b"x" * 1000), "mail.txt")}
    with Unchanged():
        page = tab.open("/reset", method="POST", data=data, content_type="multipart/form-data", headers=tab.from_here())
        assert page.status == 422


def test_a_body_without_a_length_or_of_another_kind_is_no_form(tab):
    with Unchanged():
        for kind in ("text/plain", "application/json", "application/xml", "multipart/form-data", ""):
            page = tab.open(
                "/reset", method="POST", data=b"email=a@example.com", content_type=kind, headers=tab.from_here()
            )
            assert page.status == (415 if kind == "application/json" else 400), kind
