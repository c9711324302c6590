"""A new password by mail: once, by the newest link, for the owner of the address alone."""

import pytest

from portal.accounts.users import find_by_email
from portal.core.database import session, writing
from tests.factories import PASSWORD
from tests.web.client import Tab
from tests.web.tables import SEEN, Unchanged

NEW = "quite another password"


def reset_page(scene, user):
    """Where the mailed link leads."""
    return f"/reset/{scene.secret_for(user, 'reset')}"


def ask(app, email="alice@example.com"):
    return Tab(app).press("/reset", email=email)


@pytest.mark.case(113)
def test_alice_sets_a_new_password_and_every_browser_is_signed_out(app, scene, tab, tab_of):
    phone = tab_of(scene.alice)
    assert phone.is_signed_in()
    assert "a•••@example.com" in ask(app).text
    page = tab.press(reset_page(scene, scene.alice), password=NEW)
    assert page.path == "/login" and "Your new password is set" in page.text
    assert not phone.is_signed_in() and not tab.is_signed_in()
    tab.sign_in("alice@example.com", NEW)
    assert "do not match" in Tab(app).try_to_sign_in("alice@example.com", PASSWORD).text
    assert len(scene.mails("password_changed", to=scene.alice)) == 1


def test_looking_at_the_page_uses_nothing_up(app, scene, tab):
    assert scene.alice
    ask(app)
    path = reset_page(scene, scene.alice)
    with Unchanged():
        for scanner in (Tab(app, agent="ms-office"), Tab(app, agent=""), tab):
            assert scanner.get(path).status == scanner.head(path).status == 200
    assert tab.press(path, password=NEW).path == "/login"


def test_a_link_is_good_once_and_a_newer_one_ends_the_older(app, scene, tab):
    assert scene.alice
    ask(app)
    older = reset_page(scene, scene.alice)
    form = tab.get(older).form()
    ask(app)
    newer = reset_page(scene, scene.alice)
    with Unchanged():
        page = tab.submit(form, password="the password of mallory")
        assert page.status == 410 and not page.has_form("/reset/")
    form = tab.get(newer).form()
    tab.submit(form, password=NEW)
    with Unchanged():
        assert tab.submit(form, password="the password of mallory").status == 410
        assert not tab.get(newer).has_form("/reset/")
    tab.sign_in("alice@example.com", NEW)


def test_a_link_lasts_two_hours(app, scene, tab):
    assert scene.alice
    ask(app)
    path = reset_page(scene, scene.alice)
    form = tab.get(path).form()
    scene.later(hours=2, minutes=1)
    with Unchanged():
        assert tab.submit(form, password=NEW).status == 410
        assert "does not work any more" in tab.get(path).heading


@pytest.mark.parametrize(
    "word", ["", "short", "elevenchars", "x" * 129, "x" * 100_000, "a password\x00with a NUL", "           "], ids=len
)
def test_a_password_that_cannot_be_is_said_at_the_field_and_the_link_stays_good(app, scene, tab, word):
    assert scene.alice
    ask(app)
    path = reset_page(scene, scene.alice)
    with Unchanged():
        page = tab.press(path, password=word)
        assert page.status == 422 and page.error("password")
    assert tab.press(path, password=NEW).path == "/login"


def test_no_link_goes_to_whom_it_would_not_help(app, scene):
    scene.sign_up("Ula")
    shut_out = scene.mallory
    with writing():
        session.merge(shut_out).shut_out_at = scene.at
    scene.customer("c-1", "carol@example.com")
    with Unchanged():
        for name in ("ula", "mallory", "carol", "nobody"):
            ask(app, f"{name}@example.com")
    assert find_by_email("nobody@example.com") is None


def test_a_confirmation_opens_no_reset_and_a_reset_confirms_nothing(app, scene, tab):
    ula, token = scene.sign_up("Ula"), tab.token()
    assert scene.alice
    ask(app)
    confirm, reset = scene.secret_for(ula), scene.secret_for(scene.alice, "reset")
    with Unchanged(*SEEN):
        for path in (f"/reset/{confirm}", f"/setup/{confirm}", f"/confirm/{reset}", f"/setup/{reset}"):
            assert tab.post(path, {"csrf_token": token, "password": NEW}).status in (404, 410)


def test_the_address_of_the_link_is_told_to_nobody_else(app, scene, tab):
    """The secret stands in the address: no other site may learn it by Referer, no cache keep it."""
    assert scene.alice
    ask(app)
    page = tab.get(reset_page(scene, scene.alice))
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in page.headers["Cache-Control"]
    assert not [one for one in page.tree.all("a", "link", "script", "img") if one.get("href").startswith("http")]
