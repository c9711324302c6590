"""The program's page: a change looked at before it is made, made, and kept in the history with its author."""

from datetime import timedelta

import sqlalchemy as sa

from portal import terms
from portal.accounts.roles import Role
from portal.core.database import session
from portal.rewards import rules
from portal.terms import Terms
from tests.factories import EVERY, REFEREE, fixed, share
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
    assert "Saved. New sign-ups use this from now on. The 1 open referral keeps the rules" in page.text
    assert version() == before + 1


def test_a_program_that_gives_nobody_anything_is_named_at_the_desk(scene, tab_of):
    olivia, told = tab_of(scene.olivia), "The program has no offer: nobody gets anything"
    assert told not in olivia.get("/admin").text
    olivia.submit(
        olivia.get(f"/admin/program/rules/{rules.of_terms(terms.in_force().id)[0].rule_key}/removal").form("/removal$")
    )
    page = olivia.get("/admin")
    assert told in page.text and "All clear" not in page.text
    assert 'href="/admin/program#on-offer"' in page.html and 'id="on-offer"' in olivia.get("/admin/program").html


def would_give(looked):
    return {row.all("td")[0].text: [cell.text for cell in row.all("td")[1:]] for row in looked.tree.all("tr")[1:]}


def test_a_pause_or_an_end_is_looked_at_as_giving_nothing_new_and_said_when_it_is_saved(scene, tab_of):
    scene.order(scene.bob)
    tab = tab_of(scene.olivia)
    nothing_new = "Links open and people can join, but neither they nor whoever sent them is given anything."
    for state, said in (("paused", "The program is paused."), ("ended", "The program has ended.")):
        with Unchanged(*SEEN):
            looked = tab.submit(tab.get("/admin/program").form("/admin/program$"), only="preview", state=state)
            assert would_give(looked)["In all"] == ["€20.00", "€0.00"]
            assert would_give(looked)["Rewards"] == ["1", "0"]
            assert "Closed to new friends, it would have given nothing." in looked.text
            assert f"{nothing_new} Friends who signed up before still count." in looked.text
            assert "New sign-ups use this" not in looked.text
        page = tab.submit(looked.form("/admin/program$"))
        assert f"Saved. {said} {nothing_new}" in page.text and "New sign-ups use this" not in page.text
        looked = tab.submit(page.form("/admin/program/rules$"), only="preview", **RULE)
        assert would_give(looked)["In all"] == ["€20.00", "€27.50"], "what rules are worth can be seen meanwhile"
        assert "Both are told as if the program were open to new friends, which it is not." in looked.text
        looked = tab.submit(page.form("/admin/program$"), only="preview", state="live")
        assert would_give(looked)["In all"] == ["€0.00", "€20.00"] and "told as if" not in looked.text
        page = tab.submit(looked.form("/admin/program$"))
        assert "Saved. The program is live again: friends who sign up from now on count." in page.text
    assert "Saved. New sign-ups use this from now on." in tab.submit(page.form("/admin/program$"), goal_days=30).text


def test_the_page_of_help_promises_no_gift_while_the_program_is_closed(scene, tab):
    scene.publish(fixed(2000), fixed(1000, to=REFEREE))
    page = tab.get("/help")
    assert "What is the offer?" in page.main and "the gift still finds you" in page.main
    for state, said in (
        ("paused", "The program is paused since 1 Sept 2026. Friends who joined before still count."),
        ("ended", "The program ended on 1 Sept 2026. Friends who joined before still count."),
    ):
        scene.publish(state=state)
        page = tab.get("/help")
        assert said in page.main and "If you signed up before, what you were promised stands." in page.main
        assert "but nothing is given for it" in page.main, state
        assert "gift still finds you" not in page.main and "What is the offer?" not in page.main


def hrefs(page, end):
    return [link.get("href") for link in page.tree.all("a") if link.get("href").endswith(end)]


def test_a_rule_is_removed_on_a_page_of_its_own_which_says_when_nothing_is_left(scene, tab_of):
    tab, before = tab_of(scene.olivia), version()
    with Unchanged(*SEEN):
        asked = tab.get(hrefs(tab.get("/admin/program"), "/removal")[0])
        assert "Before you publish" in asked.heading and "Gone The referrer: €20.00" in asked.text
        assert "This is the last rule. Without it nobody is given anything" in asked.text
        assert "Remove the rule" in asked.form("/removal").labels
    page = tab.submit(asked.form("/removal"))
    assert version() == before + 1 and "No rule: nothing is earned." in page.text


def test_a_rule_is_changed_under_its_key_and_what_it_gave_goes_on(scene, tab_of):
    scene.publish(fixed(1000, **EVERY, tiers=[{"from": 2, "amount_minor": 1500}]), share(250, to=REFEREE))
    scene.order(scene.bob)
    key = rules.of_terms(terms.in_force().id)[0].rule_key
    tab = tab_of(scene.olivia)
    page = tab.get(f"/admin/program/rules/{key}")
    assert page.kept("amount") == ["10.00"] and page.kept("tiers") == ["2: 15.00"] and page.kept("often") == ["every"]
    with Unchanged(*SEEN):
        looked = tab.submit(page.form(f"{key}$"), only="preview", amount="5.00", tiers="2: 7.50")
        assert "Changed The referrer: €10.00 for every order." in looked.text and "→ The referrer: €5.00" in looked.text
        assert ", get €5" in looked.text
        rows = {row.all("td")[0].text: [cell.text for cell in row.all("td")[1:]] for row in looked.tree.all("tr")[1:]}
        assert rows["To referrers"] == ["€10.00", "€5.00"]
    tab.submit(looked.form(f"{key}$"))
    changed, other = rules.of_terms(terms.in_force().id)
    assert (changed.rule_key, changed.amount_minor, other.share_bp) == (key, 500, 250)
    scene.order(scene.friend("Nina", of=scene.alice))
    assert [reward.amount_minor for reward in scene.rewards(scene.alice)] == [1000, 750], "the second by this rule"
    assert "Changed The referrer: €10.00" in tab.get("/admin/program/history").text
    assert tab.get("/admin/program/rules/nothing").status == 404


def test_a_form_opened_before_a_colleague_published_is_refused_and_undoes_nothing(scene, tab_of):
    olivia, other = tab_of(scene.olivia), tab_of(scene.colleague("Otto", Role.OWNER))
    form = olivia.get("/admin/program").form("/admin/program$")
    looked = olivia.submit(form, only="preview", budget_month="500.00")
    page = other.get("/admin/program")
    other.submit(page.form("/admin/program$"), legal_text="Ours.\r\nAnd more.", state="paused")
    before = version()
    with Unchanged(*SEEN):
        for sent, fields in ((form, {"budget_month": "500.00"}), (looked.form("/admin/program$"), {})):
            page = olivia.submit(sent, **fields)
            assert page.status == 409 and "Otto published version 2 meanwhile" in page.text
            assert page.kept("budget_month") == ["500.00"], "what was typed"
            assert page.kept("state") == ["paused"] and page.kept("legal_text") == ["Ours.\nAnd more."]
    olivia.submit(page.form("/admin/program$"))
    assert version() == before + 1
    now = terms.in_force()
    assert (now.budget_month_minor, now.state, now.legal_text) == (50_000, "paused", "Ours.\nAnd more.")


def test_every_form_that_publishes_is_refused_when_it_is_old_or_says_no_version(scene, tab_of):
    olivia = tab_of(scene.olivia)
    page, key = olivia.get("/admin/program"), rules.of_terms(terms.in_force().id)[0].rule_key
    forms = {
        "/admin/program$": {"window_days": 30}, "/admin/program/look$": {"accent": "#0a7d5a"},
        "/admin/program/rules$": RULE | {"only": "preview"}, f"/admin/program/rules/{key}$": {"amount": "1.00"},
        "/removal$": {},
    }  # fmt: skip
    paths = {f"/admin/program/rules/{key}$": f"/admin/program/rules/{key}", "/removal$": hrefs(page, "/removal")[0]}
    opened = {action: olivia.get(paths.get(action, "/admin/program")).form(action) for action in forms}
    scene.publish(goal_days=31)
    with Unchanged(*SEEN):
        for action, fields in forms.items():
            page = olivia.submit(opened[action], **fields)
            assert page.status == 409 and "Version 2 was published meanwhile" in page.text, action
            page = olivia.submit(opened[action], **fields, version=None)
            assert page.status == 409 and "It was not said which version this changes." in page.text, action
    page = olivia.submit(opened["/admin/program/rules$"], **RULE)
    assert page.status == 409 and page.kept("amount") == ["7.50"]
    olivia.submit(page.form("/admin/program/rules$"))
    assert version() == 3


def test_a_rule_changed_here_and_removed_there_can_be_added_anew(scene, tab_of):
    olivia, key = tab_of(scene.olivia), rules.of_terms(terms.in_force().id)[0].rule_key
    form = olivia.get(f"/admin/program/rules/{key}").form(f"{key}$")
    scene.publish(fixed(900), by=scene.olivia.id)
    page = olivia.submit(form, amount="8.00")
    assert page.status == 409 and page.kept("amount") == ["8.00"] and version() == 2
    olivia.submit(page.form("/admin/program/rules$"))
    assert [rule.amount_minor for rule in rules.of_terms(terms.in_force().id)] == [900, 800]


def test_what_cannot_be_meant_is_said_when_looking_as_when_publishing(scene, tab_of):
    scene.publish(fixed(750, to=REFEREE, hold_days=14))
    tab = tab_of(scene.olivia)
    for only in ("preview", None):
        form = tab.get("/admin/program").form("/admin/program/rules$")
        assert form.fields["goal"] == ["purchase"], "the goal that the program asks for is chosen"
        page = tab.submit(form, only=only, **RULE, starts_on="2026-12-01", ends_on="2026-01-01")
        assert page.status == 422 and "does not come before the first" in page.text
        page = tab.submit(form, only=only, **RULE)
        assert page.status == 422 and "This rule is in the offer already." in page.text


def test_what_cannot_be_meant_is_said_at_its_field_in_the_words_of_the_form(scene, tab_of):
    tab, key = tab_of(scene.olivia), rules.of_terms(terms.in_force().id)[0].rule_key
    wrong = (
        ("amount", {"amount": ""}, "A fixed amount is above zero."),
        ("tiers", {"tiers": "1: 5.00"}, "A step begins at the 2nd reward or later"),
        ("tiers", {"tiers": "2: 5.00\n2: 6.00"}, "Two steps begin at the same reward."),
        ("threshold", {"threshold": "5"}, "is for the referrer"),
        ("ends_on", {"starts_on": "2026-12-01", "ends_on": "2026-01-01"}, "The last day does not come before"),
        ("minimum_order", {"goal": "signup", "minimum_order": "30.00"}, "is no order with an amount: leave this empty"),
        ("kind", {"goal": "signup", "kind": "share", "share": "10"}, "is no order with an amount: take a fixed amount"),
    )
    with Unchanged(*SEEN):
        for path, action in (("", "/admin/program/rules$"), (f"/rules/{key}", f"{key}$")):
            form = tab.get(f"/admin/program{path}").form(action)
            for field, given, said in wrong:
                page = tab.submit(form, **RULE | given)
                assert page.status == 422 and said in page.error(field), (field, given)
                assert not {"tier", "milestone"} & set(page.error(field).lower().split())
    page = tab.submit(tab.get("/admin/program").form("/admin/program/rules$"), **RULE | {"goal": "signup"})
    assert page.status == 200 and "Saved." in page.text, "without a minimum it is a rule like others"


def test_one_wrong_field_of_a_long_page_is_listed_at_the_top_of_its_form(scene, tab_of):
    tab = tab_of(scene.olivia)
    for action, fields in (("/admin/program$", {"time_zone": "Mars"}), ("/look$", {"accent": "red"})):
        page = tab.submit(tab.get("/admin/program").form(action), **fields)
        (listed,) = [one for one in page.tree.walk() if "error-summary" in one.get("class")]
        assert page.status == 422 and [link.get("href") for link in listed.all("a")] == [f"#{next(iter(fields))}"]
        assert "This is still the picture of before." in page.text


def picture(tab, action, **fields):
    """What a script puts beside the forms while one is typed."""
    sent = tab.get("/admin/program").form(action).filled({"only": "preview"} | fields)
    address = tab.page.form(action).action
    return tab.open(address, method="POST", data=sent, headers=tab.from_here() | {"HX-Request": "true"})


def test_the_picture_follows_rules_and_look_shows_a_closed_program_and_says_why_it_is_old(scene, tab_of):
    tab = tab_of(scene.olivia)
    with Unchanged(*SEEN):
        assert "Give €7.50, get €20" in picture(tab, "/program/rules$", **RULE).text
        tinted = picture(tab, "/look$", accent="#ffd400")
        assert 'id="tint"' in tinted.html and "hard to read; the nearest that is fine is #" in tinted.text
        assert "/look/ffd400.css" in tinted.html
        paused = picture(tab, "/program$", state="paused")
        assert "This offer is paused." in paused.text and "gives you" not in paused.text
        assert "The program is paused since 1 Sept 2026." in paused.text and "Nobody is invited" in paused.text
        wrong = picture(tab, "/program$", window_days="900", program_name="Acme")
        assert wrong.status == 200 and "still the picture of before. Days that a click counts: " in wrong.text
        assert "Acme" not in wrong.text
        wrong = picture(tab, "/program/rules$", **RULE | {"amount": ""})
        assert wrong.status == 200 and "A fixed amount is above zero." in wrong.text
        looked = tab.submit(tab.get("/admin/program").form("/look$"), only="preview", accent="#ffd400")
        assert looked.kept("accent") == ["#ffd400"] and "the nearest that is fine is #" in looked.text


def test_a_name_is_one_line_of_letters_that_can_be_seen(scene, tab_of):
    tab = tab_of(scene.olivia)
    for nothing in (" ", "\u200b\u2060", "\r\n"):
        page = tab.submit(tab.get("/admin/program").form("/admin/program$"), program_name=nothing)
        assert page.status == 422 and page.error("program_name")
    tab.submit(tab.get("/admin/program").form("/admin/program$"), program_name=" A\r\nB\u200b  C ")
    assert terms.in_force().program_name == "A B C"


def test_a_colour_is_no_new_version_to_who_reads_the_terms(scene, tab):
    scene.publish(goal_days=30)
    scene.later(days=3)
    scene.publish(accent="#0a7d5a")
    assert "Version 2, in force since 1 Sept 2026" in tab.get("/terms").text
    scene.publish(legal_text="New.")
    assert "Version 4, in force since 4 Sept 2026" in tab.get("/terms").text


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
        assert twice.status == 422 and "A fixed amount is above zero." in twice.text
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


def test_a_currency_can_be_mended_until_something_is_kept_in_it(scene, tab_of):
    tab = tab_of(scene.olivia)
    form = tab.get("/admin/program").form("/admin/program$")
    looked = tab.submit(form, only="preview", currency="gbp", minimum_payout="15.00")
    assert "EUR → GBP" in looked.text and "get £20" in looked.text
    tab.submit(looked.form("/admin/program$"))
    assert (terms.in_force().currency, terms.in_force().minimum_payout_minor) == ("GBP", 1500)
    page = tab.submit(tab.get("/admin/program").form("/admin/program$"), currency="XXX")
    assert page.status == 422 and "three letters" in page.error("currency")
    old = page.form("/admin/program$")
    assert scene.bob and scene.referral(scene.bob)
    assert "currency" not in tab.get("/admin/program").form("/admin/program$").fields
    page = tab.submit(old, currency="EUR")
    assert page.status == 409 and "currency stays what it is" in page.text
    tab.submit(tab.get("/admin/program").form("/admin/program$"), window_days="31")
    assert terms.in_force().currency == "GBP"


TEXTS = ("product_text", "legal_text", "privacy_text")
HOSTILE = '<img src=x onerror=alert(1)>{{ 7*7 }}%(program)s\u202e\r\n\r\n"Zwei" & 3'


def test_what_the_product_is_stands_under_the_three_steps_of_the_friends_page_and_nowhere_else(scene, tab, tab_of):
    olivia, link = tab_of(scene.olivia), f"/signup?ref={scene.code(scene.alice)}"
    assert "About Friends" not in tab.get(link).text
    form, text = olivia.get("/admin/program").form("/admin/program$"), "Roasted on Tuesdays.\r\nNo subscription."
    with Unchanged(*SEEN):
        looked = olivia.submit(form, only="preview", product_text=text)
        assert "About Friends Roasted on Tuesdays. No subscription." in looked.text, "in the picture of the page"
        (told,) = [one.text for one in looked.tree.all("li") if "What the product is" in one.text]
        assert told.endswith("→ Roasted on Tuesdays. No subscription.")
    olivia.submit(looked.form("/admin/program$"))
    assert terms.in_force().product_text == "Roasted on Tuesdays.\nNo subscription."
    page = tab.get(link)
    assert "Get your gift" not in page.text and page.text.index("Share your own link") < page.text.index(
        "About Friends"
    )
    assert "Roasted on Tuesdays.<br>No subscription." in page.html
    scene.publish(fixed(1000, to=REFEREE))
    assert tab.get(link).text.index("Get your gift") < tab.get(link).text.index("Roasted on Tuesdays.")
    for path in ("/", "/terms", "/privacy", "/help"):
        assert "Roasted on Tuesdays" not in tab.get(path).text, path


def test_the_programs_own_words_about_privacy_stand_above_what_the_portal_says_it_keeps(scene, tab, tab_of):
    assert "In the words of" not in tab.get("/privacy").text
    olivia = tab_of(scene.olivia)
    olivia.press("/admin/program", "/admin/program$", privacy_text="Acme Ltd is responsible.\r\n\r\nWrite to us.")
    page = tab.get("/privacy")
    assert "In the words of Friends Acme Ltd is responsible. Write to us." in page.text
    assert page.text.index("Acme Ltd") < page.text.index("A random number, set when you open a friend’s link")
    assert "<p>Acme Ltd is responsible.</p>" in page.html
    assert "Acme" not in tab.get("/terms").text and "Version 1, in force" in tab.get("/terms").text


def test_the_history_tells_of_texts_by_their_lines_and_of_days(scene, tab_of):
    olivia = tab_of(scene.olivia)
    olivia.press("/admin/program", "/admin/program$", pay_day="1", review_days="5", privacy_text="One.\nTwo.")
    page = olivia.press(
        "/admin/program", "/admin/program$", pay_day="", privacy_text="One.\nThree.", product_text="New."
    )
    assert (terms.in_force().pay_day, terms.in_force().review_days) == (None, 5)
    newest = olivia.get("/admin/program/history").main.partition("Version 2")[0]
    assert (
        "About privacy Two. Three." in newest and "What the product is — New." in newest and "Pay day 1 none" in newest
    )
    assert "A reward is decided within 5 days" in page.text and "Next pay day no fixed day" in page.text


def test_a_long_text_is_told_by_how_it_begins_with_the_whole_behind_it(scene, tab_of):
    olivia = tab_of(scene.olivia)
    long = "The first words of it. " + "And so on. " * 200 + "The last words."
    looked = olivia.submit(olivia.get("/admin/program").form("/admin/program$"), only="preview", legal_text=long)
    olivia.press("/admin/program", "/admin/program$", legal_text=long)
    olivia.press("/admin/program", "/admin/program$", legal_text="Short.", privacy_text="No longer than a line.")
    for page, times in ((looked, 1), (olivia.get("/admin/program/history"), 2)):
        shut = [one for one in page.tree.all("details") if "The first words of it." in one.text]
        assert len(shut) == times, "as it came, and as it went"
        for one in shut:
            (summary,) = one.all("summary")
            assert summary.text.startswith("The first words of it. And so on.") and "last words" not in summary.text
            assert "… (2238 characters)" in summary.text and one.text.endswith("The last words.")
        assert page.main.count("The last words.") == times
    assert "No longer than a line." in page.main
    assert not any("No longer than" in one.text for one in page.tree.all("details"))


def test_no_number_or_text_that_a_colleague_published_is_undone_by_an_older_form(scene, tab_of):
    olivia, other = tab_of(scene.olivia), tab_of(scene.colleague("Otto", Role.OWNER))
    form = olivia.get("/admin/program").form("/admin/program$")
    texts = {"product_text": "Theirs.", "privacy_text": "A.\r\nB."}
    other.press("/admin/program", "/admin/program$", review_days="5", window_days="30", mails_invites=None, **texts)
    page = olivia.submit(form, pay_day="15")
    assert page.status == 409 and page.kept("pay_day") == ["15"] and page.kept("review_days") == ["5"]
    assert page.kept("product_text") == ["Theirs."] and page.kept("privacy_text") == ["A.\nB."]
    olivia.submit(page.form("/admin/program$"))
    now = terms.in_force()
    assert (now.pay_day, now.review_days, now.product_text, now.privacy_text) == (15, 5, "Theirs.", "A.\nB.")
    assert (now.window_days, now.mails_invites) == (30, False)


def test_texts_are_shown_as_they_were_typed_and_do_nothing_else(scene, tab, tab_of):
    olivia = tab_of(scene.olivia)
    olivia.press("/admin/program", "/admin/program$", **dict.fromkeys(TEXTS, HOSTILE))
    seen = {
        "product_text": f"/signup?ref={scene.code(scene.alice)}",
        "legal_text": "/terms",
        "privacy_text": "/privacy",
    }
    for path in (*seen.values(), "/admin/program"):
        html = (olivia if "admin" in path else tab).get(path).html
        assert "<img src=x" not in html and "{{ 7*7 }}%(program)s" in html and "&lt;img src=x onerror" in html
        assert "&#34;Zwei&#34; &amp; 3" in html or "“Zwei”" in html, path
    assert "<img src=x" not in olivia.get("/admin/program/history").html
    looked = olivia.submit(olivia.get("/admin/program").form("/admin/program$"), only="preview", product_text="x")
    assert "<img src=x" not in looked.html
    kept = dict(zip(TEXTS, (getattr(terms.in_force(), name) for name in TEXTS), strict=True))
    assert set(kept.values()) == {HOSTILE.replace("\r\n", "\n")}


def test_what_no_text_or_day_can_be_is_said_at_its_field_and_typed_again_by_nobody(scene, tab_of):
    olivia = tab_of(scene.olivia)
    wrong = {
        "product_text": ("x" * 10_000, "a\x00b"), "privacy_text": ("y" * 20_001, "\x00"),
        "pay_day": ("0", "29", "-1", "1.5", "first", "١"), "review_days": ("0", "61", "NaN", "9" * 30),
    }  # fmt: skip
    with Unchanged(*SEEN):
        for name, texts in wrong.items():
            for text in texts:
                page = olivia.press("/admin/program", "/admin/program$", **{name: text}, help_contact="Ask Ann.")
                assert page.status == 422 and page.error(name), (name, text[:9])
                assert (page.kept("help_contact") == ["Ask Ann."] and "\x00" in text) or page.kept(name) == [text]
    olivia.press("/admin/program", "/admin/program$", product_text="z" * 400, privacy_text="y" * 20_000, pay_day=" 28 ")
    assert (len(terms.in_force().product_text), terms.in_force().pay_day) == (400, 28)


def test_each_section_of_the_form_is_led_to_and_has_a_button_that_saves_all_of_it(scene, tab_of):
    page = tab_of(scene.olivia).get("/admin/program")
    (sections,) = [one for one in page.tree.all("nav") if one.get("aria-label") == "Sections of this page"]
    headings = {one.get("id"): one for one in page.tree.all("h2")}
    assert [link.text for link in sections.all("a")] == [
        "Offer", "Goals", "Look", "Picture of the product", "Basics", "Rules", "Review", "Payouts", "Messages",
        "Texts and legal", "Status",
    ]  # fmt: skip
    for link in sections.all("a"):
        heading = headings[link.get("href")[1:]]
        assert heading.text == link.text
        card = heading.within("section")
        assert card is not None
        assert any(one.get("type") == "submit" for one in card.all("button")), link.text
        inside = heading.within("form")
        if inside is not None:
            assert {one.get("name") for one in card.all("button")} == {"", "only"}
    assert "Sections of this page" not in tab_of(scene.rita).get("/admin/program").html


def test_what_is_sent_as_it_is_in_force_makes_no_version_and_is_said_so(scene, tab_of):
    scene.publish(allowed_hosts=["blog.example.com"], legal_text="Ours.\nAnd more.", budget_month_minor=100_000)
    tab, paths = tab_of(scene.olivia), {"/admin/program$": "", "/admin/program/look$": ""}
    key = rules.of_terms(terms.in_force().id)[0].rule_key
    with Unchanged(*SEEN):
        for action, path in (paths | {f"/admin/program/rules/{key}$": f"/rules/{key}"}).items():
            page = tab.submit(tab.get(f"/admin/program{path}").form(action))
            assert page.status == 200 and "Nothing was changed." in page.text, action
            assert "Saved" not in page.text and page.path == "/admin/program", action
    before = version()
    page = tab.submit(tab.get("/admin/program").form("/admin/program$"), goal_days=31)
    assert "Saved. New sign-ups use this from now on." in page.text and version() == before + 1
