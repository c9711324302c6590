"""The program's page: a change looked at before it is made, made, and kept in the history with its author."""

from datetime import timedelta

import sqlalchemy as sa

from portal import terms
from portal.core.database import session
from portal.terms import Terms
from tests.factories import REFEREE, fixed
from tests.web.tables import SEEN, Unchanged

RULE = {
    "goal": "purchase",
    "beneficiary": "referee",
    "kind": "fixed",
    "amount": "7.50",
    "often": "first",
    "hold_days": 14,
}


def version() -> int:
    session.rollback()
    return session.scalar(sa.select(sa.func.max(Terms.version)))


def test_a_change_is_looked_at_with_what_it_touches_and_would_have_given_and_then_made(scene, tab_of):
    scene.order(scene.bob)
    scene.friend("Nina", of=scene.alice)
    tab, before = tab_of(scene.olivia), version()
    with Unchanged(*SEEN):
        page = tab.submit(tab.get("/admin/program").form("/admin/program/rules$"), only="preview", **RULE)
        assert page.status == 200 and "Before you publish" in page.heading
        assert "The 1 open referral keeps the rules it came with." in page.text
        assert "You get €7.50 for your first order." in page.text, "the friend's page and the mail, as they will be"
        rows = {row.all("td")[0].text: [cell.text for cell in row.all("td")[1:]] for row in page.tree.all("tr")[1:]}
        assert rows["To referrers"] == ["€20.00", "€20.00"] and rows["To friends"] == ["€0.00", "€7.50"]
        assert rows["In all"] == ["€20.00", "€27.50"]
    page = tab.submit(page.form("/admin/program/rules$"))
    assert "in force for new sign-ups" in page.text and version() == before + 1
    with Unchanged(*SEEN):
        without = tab.get(next(link.get("href") for link in page.tree.all("a") if "/trial" in link.get("href")))
        assert "Before you publish" in without.heading
    page = tab.submit(without.form("/removal"))
    assert version() == before + 2


def test_settings_are_looked_at_too_and_a_script_gets_only_how_it_will_look(scene, tab_of):
    tab = tab_of(scene.olivia)
    form = tab.get("/admin/program").form("/admin/program$")
    with Unchanged(*SEEN):
        page = tab.submit(form, only="preview", program_name="Acme", goal_days=30)
        assert "Friends → Acme" in page.text and "90 → 30" in page.text and "might like Acme" in page.text
        fields = form.filled({"only": "preview", "program_name": "Acme"})
        part = tab.open("/admin/program", method="POST", data=fields, headers=tab.from_here() | {"HX-Request": "true"})
        assert "might like Acme" in part.text and "<html" not in part.html
        wrong = tab.submit(form, only="preview", goal_days="0")
        assert wrong.status == 422 and wrong.kept("goal_days") == ["0"]
        twice = tab.submit(
            tab.get("/admin/program").form("/admin/program/rules$"), only="preview", **RULE | {"amount": "0"}
        )
        assert twice.status == 422 and "needs an amount above zero" in twice.text
    assert terms.in_force().program_name == "Friends"


def test_the_history_tells_who_changed_what_and_how_many_came_under_it(scene, tab_of):
    assert scene.bob
    olivia = scene.olivia
    scene.publish(fixed(2500), program_name="Acme", legal_text="One.\nTwo.", by=olivia.id)
    scene.publish(legal_text="One.\nThree.", minimum_payout_minor=5000, by=olivia.id)
    page = tab_of(scene.olivia).get("/admin/program/history")
    newest, middle, first = (
        page.main.partition("Version 2")[0],
        *page.main.partition("Version 2")[2].partition("Version 1")[::2],
    )
    assert "by Olivia" in newest and "Smallest payout €20.00 €50.00" in newest and "Legal text Two. Three." in newest
    assert (
        "Program name Friends Acme" in middle
        and "New The referrer: €25.00" in middle
        and "Gone The referrer: €20.00" in middle
    )
    assert "1 friend came under it." in first and "0 friends came under it." in newest


def test_every_page_mail_and_preview_states_the_best_that_a_first_order_can_bring(scene, tab, tab_of):
    scene.publish(
        fixed(1000), fixed(1000, to=REFEREE), fixed(2000), fixed(2500, to=REFEREE),
        fixed(9900, to=REFEREE, ends_on=scene.at.date() - timedelta(days=1)), by=scene.olivia.id,
    )  # fmt: skip
    alice, code = tab_of(scene.alice), scene.code(scene.alice)
    assert "Give €25, get €20" in tab.get("/").text and "Give €25, get €20" in alice.get("/dashboard").text
    assert "Alice gives you €25" in tab.get(f"/signup?ref={code}").text
    assert "Alice gives you €25" in tab.get(f"/r/{code}", headers={"User-Agent": "Twitterbot/1.0"}).html
    assert "you get €25.00 for your first order" in alice.press("/invites", "/invites$", addresses="x@example.com").text
    assert "€25" in scene.mails("invite")[0].subject
    assert "€25.00 for your first order" in tab_of(scene.bob).get("/welcome").text
    olivia = tab_of(scene.olivia)
    page = olivia.submit(olivia.get("/admin/program").form("/admin/program/rules$"), only="preview", **RULE)
    assert "Give €25, get €20" in page.text and "You get €25.00 for your first order." in page.text
