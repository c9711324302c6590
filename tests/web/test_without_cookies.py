"""Without cookies, without script: the friend still arrives, and what others send in their name does not."""

import pytest
import sqlalchemy as sa

from portal.accounts.users import find_by_email
from portal.core.database import session
from portal.sharing.clicks import Click
from tests.factories import PASSWORD
from tests.web.client import FIREFOX, Tab
from tests.web.tables import SEEN, Unchanged


def clicks():
    session.rollback()
    return list(session.scalars(sa.select(Click).order_by(Click.id)))


@pytest.fixture
def bare(app):
    """A browser that keeps no cookie."""
    return Tab(app, cookies=False)


@pytest.mark.case(1, 12)
def test_a_friend_without_cookies_follows_signs_up_and_belongs_to_alice(scene, bare):
    page = bare.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}")
    assert page.path == "/check-your-email"
    bob = find_by_email("bob@example.com")
    assert scene.referral(bob).referrer_id == scene.alice.id
    assert len(clicks()) == 1


@pytest.mark.case(12)
def test_a_friend_without_cookies_confirms_and_elsewhere_chooses_a_password(app, scene, bare):
    for email, elsewhere in (("bob@example.com", False), ("carol@example.com", True)):
        bare.sign_up(email, password="typed at the sign-up")
        path = f"/confirm/{scene.secret_for(find_by_email(email))}"
        reader = Tab(app, cookies=False, address="203.0.113.50" if elsewhere else bare.address)
        form = reader.get(path).form("/confirm/")
        assert ("password" in form.fields) is elsewhere
        chosen = {"password": PASSWORD} if elsewhere else {}
        sent = form.filled(chosen)
        with Unchanged():
            for fields, headers in ((sent, {"Origin": "https://evil.example"}), (sent | {"form_token": ""}, {})):
                assert reader.post(path, fields, token=False, headers=no_headers() | headers).status == 400
        assert "Your address is confirmed" in reader.submit(form, **chosen).heading
        Tab(app).sign_in(email, PASSWORD if elsewhere else "typed at the sign-up")


@pytest.mark.case(12)
def test_no_page_on_the_way_needs_a_script(scene, tab):
    """Forms that post, links that lead; what only a script can do is hidden without one."""
    for path in (f"/r/{scene.code(scene.alice)}", "/login", "/reset", "/confirm"):
        page = tab.get(path, follow=True)
        for form in page.forms:
            assert form.action.startswith("/") and form.element.all("button")
        for one in page.tree.all("button"):
            alone = one.within("form") is None or one.get("type") == "button"
            assert not alone or "needs-script" in one.get("class") + str(one.parent and one.parent.get("class")), (
                one.text
            )


def test_what_was_typed_is_kept_without_cookies_too(scene, bare):
    page = bare.sign_up("bob@example.com", at=f"/r/{scene.code(scene.alice)}", name="Bob", password="short")
    assert page.status == 422 and page.error("password")
    assert (page.kept("ref"), page.kept("name")) == ([scene.code(scene.alice)], ["Bob"])
    assert bare.submit(page.form("/signup$"), password=PASSWORD, terms=True).path == "/check-your-email"
    assert scene.referral(find_by_email("bob@example.com")).referrer_id == scene.alice.id


def test_without_cookies_a_sign_up_from_elsewhere_is_refused(scene, bare, each):
    """Where no session can hold a token, the form's own token and what the browser says about itself stand in."""
    page = bare.get(f"/signup?ref={scene.code(scene.alice)}")
    sent = page.form("/signup$").filled({"email": "bob@example.com", "password": PASSWORD, "terms": True})
    from_here, elsewhere = bare.from_here(), {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    refused = [
        (sent, elsewhere), (sent, {"Origin": "null"}), (sent, {"Referer": "https://evil.example/"}), (sent, {}),
        (sent, {"Sec-Fetch-Site": "cross-site"}), (sent, {"Sec-Fetch-Site": "same-site"}),
        (sent, {"Origin": "http://127.0.0.1:8001"}), (sent, from_here | {"Origin": "http://evil.example/127.0.0.1:8000"}),
        (sent | {"form_token": ""}, from_here), (sent | {"form_token": "x.y.z"}, from_here),
        (sent | {"form_token": sent["csrf_token"]}, from_here),
        ({name: value for name, value in sent.items() if name != "form_token"}, from_here),
    ]  # fmt: skip
    for tried in each(refused):
        with tried as (fields, headers):
            assert bare.post("/signup", fields, token=False, headers=no_headers() | headers).status == 400
    scene.later(hours=25)
    assert bare.post("/signup", sent, token=False).status == 400
    assert find_by_email("bob@example.com") is None


def no_headers():
    """For a post in which the browser says nothing of where it comes from."""
    return {"Origin": "", "Referer": "", "Sec-Fetch-Site": ""}


def test_with_a_session_the_forms_own_token_is_not_enough(app, scene, tab):
    other = Tab(app).get("/signup").form("/signup$").fields["form_token"]
    tab.get("/signup")
    with Unchanged():
        sent = {"email": "bob@example.com", "password": PASSWORD, "terms": "y", "form_token": other[0]}
        assert tab.post("/signup", sent, token=False).status == 400


@pytest.mark.case(112)
def test_other_forms_need_a_cookie_and_say_so_kindly(scene, bare):
    with Unchanged():
        for path in ("/login", "/reset", "/confirm"):
            page = bare.submit(bare.get(path).form(f"{path}$"), email="alice@example.com", password=PASSWORD)
            assert page.status == 400 and "send it" in page.text


def test_what_was_typed_is_offered_again_when_the_token_was_too_old(scene, tab):
    tab.get("/reset")
    page = tab.post("/reset", {"email": "alice@example.com", "password": "never shown again"}, token=False)
    assert "We kept what you typed" in page.text
    assert page.kept("email") == ["alice@example.com"] and "never shown again" not in page.html
    assert scene.alice
    assert tab.submit(page.form("/reset")).status == 200
    assert len(scene.mails("reset")) == 1


def test_to_a_page_of_another_site_nothing_that_was_typed_is_told(scene, tab):
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    page = tab.post("/reset", {"email": "alice@example.com"}, headers=headers)
    assert page.status == 400 and "alice@example.com" not in page.html


# --- counting -------------------------------------------------------------------------------------------------


@pytest.mark.case(2, 3)
def test_one_visitor_is_one_click_an_hour_however_often_and_wherever_they_look(scene, tab):
    code = scene.code(scene.alice)
    for _ in range(5):
        tab.get(f"/r/{code}", follow=True)
    for path in ("/", "/terms", "/privacy", "/help", f"/signup?ref={code}"):
        tab.get(path)
    assert len(clicks()) == 1
    scene.later(hours=1, minutes=1)
    tab.get(f"/r/{code}", follow=True)
    assert len(clicks()) == 2


def test_the_form_opened_directly_counts_once_as_the_link_would(app, scene, tab):
    bare = Tab(app, cookies=False, address="203.0.113.9")
    code = scene.code(scene.alice)
    for _ in range(3):
        tab.get(f"/signup?ref={code}")
    assert len(clicks()) == 1
    for _ in range(3):
        bare.get(f"/r/{code}", follow=True)  # counted at the door, and not again at the form
    assert [row.network for row in clicks()] == ["198.51.100.0/24"] + ["203.0.113.0/24"] * 3


MACHINES = {
    "Slack": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Twitter": "Twitterbot/1.0",
    "WhatsApp": "WhatsApp/2.23.20.0", "Facebook": "facebookexternalhit/1.1", "Telegram": "TelegramBot (like TwitterBot)",
    "Google": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Outlook": "ms-office",
    "Barracuda": "BarracudaCentral", "curl": "curl/8.5.0", "nothing": "", "Python": "python-requests/2.31",
}  # fmt: skip
ASKED = [
    {"Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"X-Moz": "prefetch"}, {"Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
]  # fmt: skip


@pytest.mark.case(4, 5)
def test_machines_get_an_answer_and_are_not_counted(app, scene, each):
    code = scene.code(scene.alice)
    for tried in each([*(({}, agent) for agent in MACHINES.values()), *((headers, FIREFOX) for headers in ASKED)]):
        with tried as (headers, agent):
            machine = Tab(app, agent=agent)
            for path in (f"/r/{code}", f"/signup?ref={code}"):
                page = machine.get(path, headers=headers)
                assert page.status == 200
                assert "visitor" not in str(page.headers.getlist("Set-Cookie"))
                tags = {one.get("property"): one.get("content") for one in page.tree.all("meta")}
                assert "Alice" in tags["og:title"] and tags["og:url"].endswith(code) and tags["og:description"]


@pytest.mark.case(5)
def test_a_head_is_answered_and_not_counted(scene, tab, each):
    code = scene.code(scene.alice)
    for tried in each([f"/r/{code}", f"/signup?ref={code}", f"/r/{code}/", f"/r/{code.upper()}"]):
        with tried as path:
            assert tab.head(path).status == 200 and tab.cookie("visitor") is None


def test_the_owners_own_visit_is_not_counted(scene, tab_of):
    alice, code = tab_of(scene.alice), scene.code(scene.alice)
    with Unchanged(*SEEN):
        page = alice.get(f"/r/{code}", follow=True)
        assert "This is your own link" in page.heading


@pytest.mark.case(7, 11)
def test_a_link_of_somebody_suspended_opens_and_credits_nobody(scene, tab):
    code = scene.code(scene.mallory)
    scene.suspend(scene.mallory)
    with Unchanged("users", "links", "codes", "outbox", "one_time_keys"):
        assert tab.get(f"/r/{code}").location == f"/signup?ref={code}"
        tab.sign_up("bob@example.com", at=f"/r/{code}")
    assert scene.referral(find_by_email("bob@example.com")) is None


# --- the visitor's cookie -------------------------------------------------------------------------------------


def test_a_forged_visitor_is_nobody_and_gets_an_id_of_their_own(app, scene, tab, each):
    code = scene.code(scene.alice)
    tab.get(f"/r/{code}", follow=True)
    signed = tab.cookie("visitor")
    visitor, signature = signed.split(".")
    forged = [
        visitor, f"{visitor}.", f"{visitor}.{'0' * 32}", f"{'A' * 20}.{signature}", f"{signed}x", signed.upper(), "", ".",
        "x" * 3000, f"{visitor}.{signature}.x", "%00", '"' + visitor + '"', "' OR 1=1 --", f"{visitor}.ü",
    ]  # fmt: skip
    for tried in each(forged, but=["clicks"]):
        with tried as cookie:
            thief = Tab(app, address="203.0.113.66")
            thief.set_cookie("visitor", cookie)
            page = thief.get(f"/r/{code}")
            assert page.location == f"/signup?ref={code}"
            assert thief.cookie("visitor") not in (cookie, signed)
    honest = clicks()[0]
    assert honest.visitor == visitor and honest.last_at < clicks()[-1].at


@pytest.mark.case(14)
def test_a_cookie_of_another_portal_with_another_key_attributes_nobody(app, scene, tab):
    from portal.sharing.visitors import Visitors

    other = Visitors("the secret key of another portal, also long")
    tab.get(f"/r/{scene.code(scene.alice)}", follow=True)
    mine = tab.cookie("visitor").split(".")[0]
    thief = Tab(app)
    thief.set_cookie("visitor", other.signed(mine))
    thief.sign_up("mallory@example.com")
    assert scene.referral(find_by_email("mallory@example.com")) is None
