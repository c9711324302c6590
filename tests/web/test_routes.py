"""Who may open what: every route for everybody. A route that is not in the table fails the test."""

import pytest

from portal.web import gate
from tests.web.client import Tab
from tests.web.keys import Shop
from tests.web.routes import ACT, ACTORS, EVERYBODY, READ, WITHOUT_EFFECT, may, of_map
from tests.web.tables import SEEN, Unchanged, changes, contents

LEAD_ON = {"signing_in.code", "public.start", "public.follow", "public.favicon", "admin.decided", "account.name_shown"}
"""Pages that lead on to another."""


@pytest.fixture
def tabs(app, things, tab_of):
    """A tab for everybody of the matrix."""
    return {who: Tab(app) if who == "anonymous" else tab_of(things.person(who)) for who in EVERYBODY}


def test_every_route_stands_in_the_table(app):
    assert set(READ) == set(of_map(app, "GET"))
    assert set(ACT) == set(of_map(app, "POST"))
    assert not set(of_map(app, "PUT")) | set(of_map(app, "DELETE")) | set(of_map(app, "PATCH"))


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.case(105, 106)
def test_pages_open_for_whom_they_are_and_reading_changes_nothing(who, things, tabs, subtests):
    reader, before = tabs[who], contents()
    for endpoint, (needs, address) in READ.items():
        with subtests.test(endpoint):
            page = reader.get(things.fill(address), headers=robot(endpoint)) if endpoint != "public.readyz" else None
            if page is not None:
                answered(page, endpoint, needs, who)
            head = without_breaking(reader, things.fill(address))
            assert head.body == b""
            assert page is None or endpoint in LEAD_ON or head.status == page.status
    assert not changes(before, contents(), but=frozenset(SEEN))


def robot(endpoint):
    """For what counts persons: not one."""
    return {"Purpose": "prefetch"} if endpoint in ("public.follow", "public.sign_up") else {}


def without_breaking(reader, path):
    """HEAD; the one page that may say 503 is the probe of a portal without its worker."""
    reader.may_break = path == "/readyz"
    try:
        return reader.head(path)
    finally:
        reader.may_break = False


def answered(page, endpoint, needs, who):
    if may(who, needs):
        leads = endpoint in LEAD_ON or (endpoint == "security.login" and who != "anonymous")
        assert page.status == (302 if leads and endpoint != "public.follow" else 200), page
        assert "/login" not in page.location or who == "anonymous" or endpoint == "signing_in.code"
    elif needs == "key":
        assert page.status == 401
    elif needs == "metrics":
        assert page.status == 404
    elif who == "anonymous":
        assert (page.status, page.location.split("?")[0]) == (302, "/login")
    else:
        assert page.status == (404 if needs == "alice" else 403)


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.case(106, 111)
def test_actions_are_refused_to_everybody_whom_they_are_not_for(who, things, tabs, subtests):
    mallory = tabs[who]
    token, before = mallory.token(), contents()
    for endpoint, (needs, address, form) in ACT.items():
        if may(who, needs):
            continue
        with subtests.test(endpoint):
            page = mallory.post(things.fill(address), {"csrf_token": token} | things.fill(form))
            if needs == "key":
                assert page.status == 401
            elif who == "anonymous":
                assert (page.status, page.location.split("?")[0]) == (302, "/login")
            else:
                assert page.status == (404 if needs == "alice" else 403)
    assert not changes(before, contents(), but=frozenset(SEEN))


FORMS = [endpoint for endpoint, (needs, *_) in ACT.items() if needs != "key" and endpoint != gate.BY_MAIL_PROGRAMS]


@pytest.mark.case(112)
@pytest.mark.parametrize("endpoint", FORMS)
def test_an_action_is_refused_unless_it_comes_from_a_page_of_ours_and_is_then_done(
    endpoint, app, things, tab_of, subtests
):
    needs, address, form = ACT[endpoint]
    path, form = things.fill(address), things.fill(form)
    actor = (
        Tab(app) if needs == "anyone" and endpoint != "security.logout" else tab_of(actor_of(things, needs, endpoint))
    )
    token, strange = actor.token(), Tab(app).token()
    with Unchanged(*SEEN):
        for what, given, headers in (
            ("no token", {}, {}), ("an empty one", {"csrf_token": ""}, {}), ("nonsense", {"csrf_token": "a.b.c"}, {}),
            ("somebody else's", {"csrf_token": strange}, {}),
            ("another origin", {"csrf_token": token}, {"Origin": "https://evil.example"}),
            ("no origin to speak of", {"csrf_token": token}, {"Origin": "null"}),
            ("our name in theirs", {"csrf_token": token}, {"Origin": f"{actor.base_url}.evil.example"}),
            ("another page", {"csrf_token": token}, {"Origin": "", "Referer": "https://evil.example/127.0.0.1:8000"}),
            ("in the address", {}, {"Referer": ""}),
        ):  # fmt: skip
            with subtests.test(what):
                sent = f"{path}?csrf_token={token}" if what == "in the address" else path
                page = actor.post(sent, form | given, token=False, headers=headers)
                assert page.status == 400, page
    before = contents()
    page = actor.post(path, form | {"csrf_token": token})
    assert page.status in (200, 302, 303), page
    done = changes(before, contents(), but=frozenset(SEEN))
    assert bool(done) != (endpoint in WITHOUT_EFFECT), (page, done)
    if endpoint.startswith("admin.") and endpoint not in WITHOUT_EFFECT:
        lines = done.get("audit_entries", {"new": []})["new"]
        assert lines, f"{endpoint} leaves no line in the audit list"


def actor_of(things, needs, endpoint):
    if endpoint in ACTORS:
        return things.person(ACTORS[endpoint])
    by_needs = {
        "anyone": "referrer",
        "self": "referrer",
        "alice": "referrer",
        "read": "viewer",
        "decide": "reviewer",
        "pay": "finance",
        "own": "owner",
    }
    return things.person(by_needs[needs])


def test_the_only_posts_without_a_token_are_those_of_the_api_and_of_mail_programs(app, things, tabs):
    protect = app.extensions["csrf"]
    assert {room.name for room in protect._exempt_blueprints} == {"api"}
    of_friends = {f"portal.web.public.{view}" for view in ("sign_up", "not_this_person", "confirmation")}
    look_themselves = of_friends | {"portal.web.stopping.stop"}
    assert protect._exempt_views == look_themselves, "see test_without_cookies"
    shop = Shop(app)
    assert shop.customer("c-77", "seven@example.com").status_code == 201


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_is_only_read_takes_no_other_way(method, app, things, tabs, subtests):
    owner = tabs["owner"]
    token = owner.token()
    with Unchanged(*SEEN):
        for endpoint in set(READ) - set(ACT):
            path = things.fill(READ[endpoint][1]).split("?")[0]
            if method == "POST" and any(path == things.fill(ACT[other][1]) for other in ACT):
                continue
            with subtests.test(endpoint):
                page = owner.open(path, method=method, data={"csrf_token": token}, headers=owner.from_here())
                assert page.status == 405
                assert "GET" in page.headers["Allow"]


@pytest.mark.case(105)
def test_somebody_elses_things_and_things_that_are_not_there_look_the_same(things, tabs, subtests):
    alice, carol = tabs["referrer"], tabs["viewer"]
    for address in ("/friends/{}", "/payouts/{}", "/links/{}/qr.svg", "/links/{}/qr.png", "/links/{}/poster"):
        for wanted in ("nothing", "a" * 5000, "1", "%ff", "ü", things.words["pending"]):
            with subtests.test(address.format(wanted[:20])):
                assert alice.get(address.format(wanted)).status == 404
    not_there = carol.get("/friends/aaaaaaaaaaaaaaaa")
    for word, address in (("referral", "/friends/{}"), ("payout", "/payouts/{}")):
        theirs = carol.get(address.format(things.words[word]))
        assert (theirs.status, theirs.main) == (404, not_there.main)


def test_admin_pages_of_things_that_are_not_there_are_404(things, tabs, subtests):
    owner = tabs["owner"]
    token = owner.token()
    with Unchanged(*SEEN):
        for wanted in ("nothing", "a" * 5000, "1", "%ff", "ü", "-1"):
            for address in ("/admin/referrals/{}", "/admin/payouts/{}", "/admin/people/{}"):
                with subtests.test(address.format(wanted[:20])):
                    assert owner.get(address.format(wanted)).status == 404
            for endpoint, (_, address, form) in ACT.items():
                words = [
                    word
                    for word in (
                        "pending",
                        "approved",
                        "draft",
                        "ready",
                        "exported",
                        "payout",
                        "bob",
                        "viewer",
                        "suspended",
                        "claim",
                        "appeal",
                        "shut_out",
                        "unpaid",
                    )
                    if f"{{{word}}}" in address
                ]
                if endpoint.startswith("admin.") and words:
                    with subtests.test(f"{endpoint} {wanted[:20]}"):
                        path = address.replace(f"{{{words[0]}}}", wanted)
                        assert owner.post(path, {"csrf_token": token} | things.fill(form)).status == 404
