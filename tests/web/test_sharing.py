"""Sharing as people do it: invites with their answers and messages, links, *Test my link*, *not this person*, claims."""

import pytest
import sqlalchemy as sa

from portal import terms
from portal.core import database
from portal.core.database import session
from portal.referrals import referrals
from portal.reports import referrer
from portal.sharing.clicks import Click
from portal.sharing.invites import Invite
from portal.sharing.links import Link
from tests.factories import REFEREE, fixed
from tests.web.client import Tab
from tests.web.tables import SEEN, Unchanged


def alice_home(scene, tab_of):
    tab = tab_of(scene.alice)
    return tab, tab.get("/dashboard")


def counted(number):
    return [f"friend{n}@example.com" for n in range(number)]


# --- Home -----------------------------------------------------------------------------------------------------


def test_home_of_somebody_new_has_the_link_the_steps_and_a_ready_message(scene, tab_of):
    _, page = alice_home(scene, tab_of)
    code = scene.code(scene.alice)
    assert code in page.main and "Three steps to your first friend" in page.main
    assert f"/r/{code}" in page.html and "Ready message" in page.main
    assert "What came of it" not in page.main


def ticked(page):
    return [
        step.text.removesuffix(" – done").split(".")[0]
        for step in page.tree.all("li")
        if "is-done" in step.get("class")
    ]


def test_the_first_steps_are_ticked_by_what_is_known_of_them(scene, tab, tab_of):
    alice, page = alice_home(scene, tab_of)
    assert ticked(page) == [], "nothing is known yet"
    alice.press("/invites", "/invites$", addresses="ann@example.com")
    (sent,) = ticked(alice.get("/dashboard"))
    assert "Send it to one friend" in sent
    tab.get(f"/r/{scene.code(scene.alice)}")
    copied, sent = ticked(alice.get("/dashboard"))
    assert "Copy your link" in copied and "Send it to one friend" in sent
    scene.later(days=40)
    assert len(ticked(tab_of(scene.alice).get("/dashboard?range=30"))) == 2, "whatever days the numbers are of"


def test_an_invite_that_the_portal_does_not_mail_is_not_taken_for_sent(scene, tab_of):
    scene.publish(mails_invites=False)
    alice = tab_of(scene.alice)
    alice.press("/invites", "/invites$", addresses="ann@example.com")
    assert ticked(alice.get("/dashboard")) == []


def test_home_shows_numbers_of_the_period_asked_for(scene, tab_of):
    scene.pending_reward()
    scene.later(days=40)
    scene.friend("Ben", of=scene.alice)
    tab, page = alice_home(scene, tab_of)
    assert "1 friend joined, 1 in the same time before" in page.main
    for span, joined, earned in (
        ("30", 1, "€0.00"),
        ("365", 2, "€20.00"),
        ("all", 2, "€20.00"),
        ("nonsense", 1, "€0.00"),
    ):
        page = tab.get(f"/dashboard?range={span}")
        assert f"Joined {joined}" in page.main and f"Earned {earned}" in page.main, span


def test_home_names_one_next_step_the_most_urgent_first(scene, tab, tab_of):
    tab.sign_up("ula@example.com")
    tab.sign_in("ula@example.com")
    assert "Confirm your e-mail address" in tab.get("/dashboard").main
    scene.bob  # noqa: B018 - he joined and did not order
    scene.later(days=85)
    _, page = alice_home(scene, tab_of)
    assert "Bob has until 30 Nov 2026" in page.main and "first order" in page.main
    scene.publish(minimum_payout_minor=5000)
    scene.earns(scene.alice, 2000, "Ben")
    scene.release()
    mine = tab_of(scene.alice)
    assert "Say how you want to be paid" in mine.get("/dashboard").main
    scene.method(scene.alice)
    assert "€30.00 more and we pay you out" in mine.get("/dashboard").main


def test_home_says_that_the_program_is_paused_that_one_is_or_that_the_limit_is_reached(scene, tab_of):
    scene.publish(referrer_year_cap_minor=2000)
    scene.pending_reward()
    tab, page = alice_home(scene, tab_of)
    assert "You have reached this year’s limit of €20.00" in page.main and "1 Jan 2027" in page.main
    scene.publish(state=terms.State.PAUSED)
    page = tab.get("/dashboard")
    assert (
        "The program is paused since 1 Sept 2026." in page.main
        and "Share …" not in page.main
        and "Make invites" not in page.main
    )
    scene.suspend(scene.alice)
    assert "Your account is paused" in tab.get("/dashboard").main


def test_home_tells_of_the_first_reward_once_it_is_approved_for_a_week(scene, tab_of):
    reward = scene.pending_reward()
    tab, page = alice_home(scene, tab_of)
    assert "Your first reward" not in page.main
    scene.approve(reward)
    page = tab.get("/dashboard")
    assert "Your first reward: €20.00 for Bob." in page.main and "It becomes ready to pay on" in page.main
    assert f"/friends/{reward.referral.public_id}" in page.html
    assert "Your first reward" not in tab_of(scene.bob).get("/dashboard").main
    scene.undo(reward)
    assert "Your first reward" not in tab.get("/dashboard").main
    scene.approve(reward)
    scene.later(days=6)
    assert "Your first reward" in tab.get("/dashboard").main
    scene.later(days=2)
    assert "Your first reward" not in tab.get("/dashboard").main


def test_another_approved_reward_or_a_refund_ends_the_first_one(scene, tab_of):
    reward = scene.approved_reward()
    tab, page = alice_home(scene, tab_of)
    assert "Your first reward: €20.00 for Bob." in page.main
    scene.refund(reward)
    assert "Your first reward" not in tab.get("/dashboard").main
    scene.earns(scene.alice, 2000, "Ben")
    assert "Your first reward" not in tab.get("/dashboard").main


def test_who_was_brought_sees_their_own_gift_first(scene, tab_of):
    scene.publish(fixed(2000), fixed(1000, to=REFEREE))
    page = tab_of(scene.bob).get("/dashboard")
    assert page.main.index("Your gift from Alice") < page.main.index("Your link")


# --- invites --------------------------------------------------------------------------------------------------


@pytest.mark.case(34, 36)
def test_each_address_is_answered_and_what_is_wrong_stays_in_the_field(scene, tab_of):
    tab, page = alice_home(scene, tab_of)
    page = tab.submit(
        page.form("/invites$"), addresses="Bob <bob@example.com>, carol@gmial.com\nalice@example.com; nonsense"
    )
    assert "bob@example.com The mail goes out in a moment" in page.main
    assert "Did you mean carol@gmail.com?" in page.main and "This is your own address" in page.main
    form = page.form("/invites$")
    assert page.kept("addresses")[0].split() == ["carol@gmial.com", "alice@example.com", "nonsense"]
    page = tab.submit(form, addresses="bob@example.com")
    assert "You invited them on 1 Sept 2026" in page.main
    assert session.scalar(sa.select(sa.func.count()).select_from(Invite)) == 1
    tab.press("/invites", "/invites$", addresses="\n".join(counted(19)), note="Hello & welcome")
    assert "room again on 2 Sept 2026" in tab.get("/invites").main
    page = tab.press("/invites", "/invites$", addresses="one.more@example.com")
    assert page.status == 422 and "room again on" in page.main


def test_an_invite_has_a_message_of_its_own_to_copy_or_to_open_in_ones_mail_program(scene, tab_of):
    tab = tab_of(scene.alice)
    page = tab.press("/invites", "/invites$", addresses="bob@example.com", note="Hello & welcome")
    code = page.main.split("bob@example.com")[1].split()[0]
    assert "Hello &amp; welcome Have a look at Friends" in page.html and f"/r/{code}" in page.html
    assert "mailto:bob@example.com?subject=" in page.html and "Hello%20%26%20welcome" in page.html
    friend = Tab(tab.app)
    friend.sign_up("bob@example.com", at=f"/r/{code}")
    page = tab.get("/invites")
    assert "Joined 1 100" in page.main.replace("\N{NO-BREAK SPACE}", " ") and "Clicks 1" not in page.main


@pytest.mark.case(33)
def test_a_withdrawn_invite_opens_a_page_that_says_so(scene, tab_of, tab):
    mine = tab_of(scene.alice)
    page = mine.press("/invites", "/invites$", addresses="bob@example.com")
    code = page.main.split("bob@example.com")[1].split()[0]
    page = mine.submit(page.form("/withdrawal"))
    assert "Withdrawn" in page.main
    page = tab.get(f"/r/{code}", follow=True)
    assert page.status == 200 and "This invite has ended" in page.main
    tab.sign_up("bob@example.com", at=f"/r/{code}")
    assert not session.scalar(sa.select(sa.func.count()).select_from(referrals.Referral))


def test_not_this_person_works_with_cookies_and_without(scene, app):
    code = scene.code(scene.alice)
    for cookies in (True, False):
        tab = Tab(app, cookies=cookies)
        page = tab.get(f"/r/{code}", follow=True)
        assert "Alice" in page.heading
        page = tab.submit(page.form("/not-this-person"))
        assert "Alice" not in page.main, cookies
        tab.submit(page.form("/signup$"), email=f"bob{cookies}@example.com", password="a password of 12", terms=True)
        assert not session.scalar(sa.select(sa.func.count()).select_from(referrals.Referral))
    assert session.scalar(sa.select(sa.func.count()).select_from(Click)) == 2, "what was counted stays counted"


# --- links ----------------------------------------------------------------------------------------------------


def test_a_link_of_ones_own_with_label_destination_and_code(scene, tab_of, tab):
    scene.publish(allowed_hosts=["shop.example.com"])
    mine = tab_of(scene.alice)
    page = mine.press("/links", "/links$", label="Blog", destination="https://evil.example/", code="alice-blog")
    assert page.status == 422 and "only to these sites" in page.main
    page = mine.submit(page.form("/links$"), label="Blog", destination="https://shop.example.com/tea?x=1", code="admin")
    assert page.status == 422 and "kept for the portal" in page.main
    page = mine.submit(page.form("/links$"), destination="https://shop.example.com/tea?x=1", code="Alice-Blog")
    assert page.status == 200 and "Blog" in page.main
    assert tab.get("/r/alice-blog").location == "https://shop.example.com/tea?x=1&ref=Alice-Blog"
    blog = session.scalars(sa.select(Link).where(Link.label == "Blog")).one()
    edit = mine.get(f"/links/{blog.public_id}/edit")
    assert "Alice-Blog" in edit.main
    edit = mine.submit(edit.form("/archive"), archived="yes")
    assert "Out of use since" in edit.main and "Copy link" not in edit.main and "Poster" not in edit.main
    assert "Alice" not in tab.get("/signup?ref=alice-blog").heading, "out of use it credits nobody"


def test_test_my_link_counts_and_stores_nothing(scene, tab_of):
    mine, code = tab_of(scene.alice), scene.code(scene.alice)
    mine.get("/dashboard")
    with Unchanged(*SEEN):
        page = mine.get(f"/links/{code}/test")
        wrong = mine.submit(page.form("/test"), email="nonsense", password="short")
        assert wrong.status == 422 and "12 characters" in wrong.main
        page = mine.submit(wrong.form("/test"), email="bob@example.com", password="a password of 12", terms=True)
        assert "We sent a link" in page.main
        for step in ("confirm", "welcome"):
            assert mine.get(f"/links/{code}/test?step={step}").status == 200
    assert tab_of(scene.carol).get(f"/links/{code}/test").status == 404


# --- claims and appeals ---------------------------------------------------------------------------------------


def test_who_invited_you_is_asked_and_answered(scene, tab_of):
    carol, alice = tab_of(scene.carol), tab_of(scene.alice)
    page = carol.press("/dashboard", "/claims", named=scene.code(scene.alice))
    assert "We have asked" in page.main
    page = alice.get("/dashboard")
    assert "Did you invite Carol?" in page.main
    page = alice.submit(page.form("/answer"), answer="yes")
    assert "count as your friend" in page.main and "Carol" in page.main
    assert "That is confirmed" in carol.get("/dashboard").main
    assert referrals.of_referee(scene.carol.id).referrer_id == scene.alice.id


def test_a_colleague_answers_a_claim_in_the_others_place(scene, tab_of):
    tab_of(scene.carol).press("/dashboard", "/claims", named="alice@example.com" if scene.alice else "")
    rita = tab_of(scene.rita)
    assert "1 friend says who invited them" in rita.get("/admin").main
    page = rita.press("/admin/referrals", "/claims/", answer="no")
    assert "Refused" in page.text and "That was not confirmed" in tab_of(scene.carol).get("/dashboard").main


def test_the_answer_to_a_claim_does_not_tell_who_has_an_account(scene, tab_of):
    assert scene.alice
    said = []
    for user, named in ((scene.carol, "alice@example.com"), (scene.mallory, "nobody@example.com")):
        page = tab_of(user).press("/dashboard", "/claims", named=named)
        said.append(page.main.replace(named, "…").replace(scene.code(user), "…"))
    assert said[0].split("Three steps")[0].split("You said")[1] == said[1].split("Three steps")[0].split("You said")[1]


def test_a_reward_turned_down_is_asked_about_once_and_the_answer_is_read(scene, tab_of):
    scene.reject(scene.pending_reward(), told="Ordered before.")
    alice, referral = tab_of(scene.alice), scene.referral(scene.bob)
    page = alice.press(f"/friends/{referral.public_id}", "/appeal", text="Bob is new.")
    assert "We have not answered yet" in page.main and not [f for f in page.forms if "/appeal" in f.action]
    rita = tab_of(scene.rita)
    page = rita.press(f"/admin/referrals/{referral.public_id}", "/appeals/", answer="You are right.")
    assert "You are right." in page.main
    assert "Our answer" in alice.get(f"/friends/{referral.public_id}").main


# --- friends --------------------------------------------------------------------------------------------------


def test_friends_are_filtered_by_group_and_found_by_what_they_show(scene, tab_of):
    scene.reject(scene.pending_reward())
    scene.friend("Zoe", of=scene.alice)
    tab = tab_of(scene.alice)
    for query, there, gone in (
        ("show=waiting", "Zoe", "Bob"), ("show=counted", "Bob", "Zoe"), ("show=not-eligible", "Bob", "Zoe"),
        ("q=zo", "Zoe", "Bob"), ("q=%25", "Nobody matches", "Zoe Your link"), ("q=example.com", "Nobody matches", "Bob Your link"),
    ):  # fmt: skip
        page = tab.get(f"/friends?{query}")
        assert there in page.main and gone not in page.main, query


@pytest.mark.parametrize("path", ["/dashboard", "/friends", "/invites", "/links", "/rewards", "/payouts"])
def test_a_page_asks_no_more_of_the_database_with_many_friends_than_with_few(path, scene, app, tab_of):
    from tests.domain.many import many_friends

    def asked(user, friends):
        many_friends(scene, user, friends)
        tab = tab_of(user)
        tab.get(path)
        statements = []
        listen = lambda *args: statements.append(args[2])  # noqa: E731
        sa.event.listen(database.db.engine, "before_cursor_execute", listen)
        tab.get(path)
        sa.event.remove(database.db.engine, "before_cursor_execute", listen)
        return len(statements)

    few = asked(scene.alice, 10)
    assert few < 60
    assert asked(scene.carol, 1000) <= few
    assert referrer.counts(scene.carol.id, at=scene.at)[referrer.Group.ALL] == 1000


def test_a_friend_whom_no_rule_gives_anything_is_shown_no_gift_and_still_the_way_to_the_shop(scene, tab_of):
    scene.publish(fixed(1000), shop_url="https://shop.example.com")
    nina = tab_of(scene.friend("Nina", of=scene.alice))
    for path in ("/welcome", "/dashboard"):
        assert "Your gift" not in nina.get(path).main
    assert "Go to the shop" in nina.get("/welcome").main
    scene.publish(fixed(1000), fixed(500, to=REFEREE))
    otto = tab_of(scene.friend("Otto", of=scene.alice))
    for path in ("/welcome", "/dashboard"):
        assert "Your gift from Alice" in otto.get(path).main and "€5.00" in otto.get(path).main
    assert otto.get("/welcome").main.count("Go to the shop") == 1
