"""Signals at the desk: how often each was raised and right, the referrals behind it, and the owner's weights."""

import sqlalchemy as sa

from portal.core.database import session
from portal.rewards.kinds import ABOUT
from portal.sharing.clicks import Click
from tests.web.client import Tab


def flagged(scene):
    """Two friends with throw-away addresses, one of them rejected; and Bob, about whom there is nothing."""
    for name in ("Mal", "Max"):
        scene.order(scene.friend(name, of=scene.alice, email=f"{name.lower()}@mailinator.com"))
    scene.reject(scene.rewards(scene.alice)[0])
    return scene.bob


def test_each_kind_shows_how_often_it_was_raised_and_right_and_leads_to_the_referrals(scene, tab_of):
    flagged(scene)
    tab = tab_of(scene.rita)
    assert 'href="/admin/signals"' in tab.get("/admin/program").html
    page = tab.get("/admin/signals")
    assert all(about.name in page.main for about in ABOUT.values())
    assert "Throw-away address The address is from a throw-away provider. 40 2 raised" in page.main
    assert "100 %" in page.main.replace("\N{NO-BREAK SPACE}", " ") and "How this is counted" in page.main
    for outcome, shown, hidden in (("raised", "Mal Max", "Bob"), ("decided", "Mal", "Max"), ("right", "Mal", "Max")):
        listed = tab.get(f"/admin/referrals?signal=disposable&outcome={outcome}").main
        assert all(name in listed for name in shown.split()) and hidden not in listed, outcome
        assert "Only those with the signal “Throw-away address”" in listed
    assert "No referrals match. Clear the filter" in tab.get("/admin/referrals?signal=chain").main
    for nonsense in ("signal=nothing", "signal=disposable&outcome=nothing", "signal[]=disposable"):
        assert "Bob" in tab.get(f"/admin/referrals?{nonsense}").main, nonsense


def test_the_owner_weighs_a_kind_and_the_audit_list_tells_it(scene, tab_of):
    tab = tab_of(scene.olivia)
    done = tab.press("/admin/signals", "/admin/signals/disposable", weight="55", is_on="y")
    assert "It counts for what is raised from now on." in done.text
    flagged(scene)
    assert "provider. 55 2 raised" in tab.get("/admin/signals").main
    tab.press("/admin/signals", "/admin/signals/chain", is_on=None)
    told = tab.get("/admin/audit").main
    assert "Signal changed: Throw-away address · 40 → 55" in told and "Chain · 40 → off" in told
    assert tab.post("/admin/signals/nothing", {"weight": "1"}).status == 404


def test_a_weight_that_is_none_is_told_at_its_field_and_others_only_read(scene, tab_of):
    owner, reader = tab_of(scene.olivia), tab_of(scene.rita)
    for wrong in ("", "101", "-1", "4.5", "many", "9" * 400, "\x00"):
        page = owner.post("/admin/signals/disposable", {"weight": wrong, "is_on": "y"})
        assert page.status == 422 and page.kept("weight"), wrong
        assert page.error("weight-disposable").startswith("Write a whole number"), wrong
    assert "provider. 40 0" in reader.get("/admin/signals").main
    assert not reader.get("/admin/signals").has_form("/admin/signals/")


def test_what_the_referrer_reads_is_neutral_and_true(scene, tab_of):
    """No signal, no weight and no suspicion; only that it is checked, and until when it is held."""
    flagged(scene)
    tab, sentences = tab_of(scene.alice), [about.sentence.split("%")[0] for about in ABOUT.values()]
    friend = scene.referral(scene.rewards(scene.alice)[1].referral.referee).public_id
    for path in ("/dashboard", "/friends", f"/friends/{friend}", "/rewards", "/payouts", "/account"):
        main = tab.get(path).main
        found = [one for one in sentences if len(one) > 12 and one in main]
        assert not found and not any(word in main for word in ("Risky", "throw-away", "suspicio", "fraud")), path
    assert "We check it before it is paid." in tab.get("/rewards").main


def test_a_visit_keeps_where_it_came_from_by_the_door_and_by_the_sign_up_page(scene, app):
    code = scene.code(scene.alice)
    for path, headers, word in (
        (f"/r/{code}", {}, None),
        (f"/r/{code}?gclid=abc", {}, "ad"),
        (f"/r/{code}", {"Referer": "https://www.blog.example/post/1?q=private"}, "blog.example"),
        (f"/signup?ref={code}&utm_source=letter", {}, "letter"),
        (f"/signup?ref={code}", {"Referer": f"http://127.0.0.1:8000/r/{code}"}, None),
    ):
        Tab(app).get(path, headers=headers)
        latest = session.scalar(sa.select(Click.came_from).order_by(Click.id.desc()).limit(1))
        assert latest == word, path
        session.rollback()
        scene.later(minutes=1)
