"""Mails at the desk: the outbox with what failed and why, sending again, and the wording of each kind."""

import html
import re

import pytest

from portal import program
from portal.accounts import mail_choices
from portal.core.database import session
from portal.delivery import outbox, wordings
from portal.delivery.outbox import State


def failed(scene, trouble, *, for_good=True):
    """A mail that was tried and failed."""
    message = scene.do(lambda: outbox.claim(at=scene.at, most=1))[0]
    scene.do(lambda: outbox.failed(message.id, trouble, at=scene.at, for_good=for_good))
    return session.get_one(outbox.Message, message.id)


def test_the_outbox_says_what_failed_and_why_whatever_the_server_said(scene, tab_of):
    scene.alice  # noqa: B018 - signs up, and is written to
    message = failed(scene, "mail.example.com: 550 100% full (%s) <b>")
    page = tab_of(scene.olivia).get("/admin/outbox?state=given_up")
    assert "550 100% full (%s) <b>" in page.main and message.subject in page.main
    assert tab_of(scene.rita).get("/admin/outbox").status == 200
    assert tab_of(scene.olivia).get("/admin/outbox?state=nonsense").status == 200


def test_the_outbox_goes_on_by_key_to_the_very_first_mail(scene, tab_of):
    letters = [
        outbox.Letter(f"f{number}@example.com", f"{number}", f"Mail {number:03}", "Text.", str(number))
        for number in range(120)
    ]
    scene.do(lambda: outbox.put_all("test", "test", letters, at=scene.at))
    tab, seen = tab_of(scene.olivia), []
    page = tab.get("/admin/outbox?state=queued")
    for _ in range(3):
        seen += [told for told in re.findall(r"Mail \d{3}", page.main) if told not in seen]
        older = re.search(r'href="(/admin/outbox\?[^"]*before=\d+)"', page.html)
        if older:
            page = tab.get(html.unescape(older[1]))
    assert [told for told in seen if told.startswith("Mail")] == [f"Mail {number:03}" for number in range(119, -1, -1)]
    assert tab.get("/admin/outbox?before=x").status == 200 and "No mails here" in tab.get("/admin/outbox?before=1").main


@pytest.mark.both_databases
def test_what_was_given_up_is_sent_again_by_an_owner_and_tried_as_a_new_one(scene, tab_of):
    scene.alice  # noqa: B018
    message = failed(scene, "550 nobody")
    tab = tab_of(scene.olivia)
    tab.submit(tab.get("/admin/outbox?state=given_up").form("/sending"))
    session.expire_all()
    assert message.state == State.QUEUED and message.made_again_at is not None
    sent = scene.do(lambda: outbox.claim(at=scene.at))
    scene.do(lambda: [outbox.sent(one.id, at=scene.at) for one in sent])
    page = tab.post(f"/admin/outbox/{message.public_id}/sending", follow=True)
    assert "not waiting to be sent again" in page.main
    assert tab_of(scene.rita).post(f"/admin/outbox/{message.public_id}/sending").status == 403


def test_what_was_kept_back_says_so_to_colleagues(scene, tab_of):
    alice, bob = scene.alice, scene.bob.email
    scene.do(lambda: program.invite(alice, [bob], at=scene.at))
    (message,) = scene.mails("invite")
    why = program.unwanted(message, at=scene.at)
    scene.do(lambda: outbox.withhold(message.id, why, at=scene.at))
    assert "There is an account with this address." in tab_of(scene.olivia).get("/admin/outbox?state=withdrawn").main


def test_a_wording_is_tried_saved_and_put_back_and_what_was_typed_is_kept(scene, tab_of):
    tab = tab_of(scene.olivia)
    form = tab.get("/admin/mails/friend_joined/en").form("/admin/mails/friend_joined/en$")
    page = tab.submit(form, subject="{friend}!", body="So {nobody} came.")
    assert page.status == 422 and "{nobody}" in page.main and page.kept("subject") == ["{friend}!"]
    page = tab.post(
        "/admin/mails/friend_joined/en", {"subject": "{friend}!", "body": "Hi <b>{name}</b>.", "only": "preview"}
    )
    assert "Bob T.!" in page.main and "Hi <b>Olivia</b>." in page.main and wordings.find("friend_joined", "en") is None
    tab.post("/admin/mails/friend_joined/en", {"subject": "{friend}!", "body": "Hi {name}."})
    session.expire_all()
    assert wordings.texts("friend_joined", "en") == ("{friend}!", "Hi {name}.")
    tab.post("/admin/mails/friend_joined/en/restoration")
    session.expire_all()
    assert wordings.texts("friend_joined", "en") is None
    for path in ("/admin/mails/nothing/en", "/admin/mails/confirm/fr"):
        assert tab.get(path).status == 404


def test_each_choice_of_mails_shows_them_as_they_would_come_to_this_person_and_nobody_else_has_them(scene, tab_of):
    """Written by what writes the mails: their language, the program's currency and an owner's wording are in them."""
    scene.publish(currency="GBP")
    alice, by, tab = scene.alice, scene.olivia.id, tab_of(scene.alice)
    page = tab.get("/account")
    for topic, said in (
        ("friends", "Bob T. joined with your link"), ("rewards", "£20.00 is ready to pay"),
        ("payouts", "£50.00 was paid to you"), ("month", "3 friends joined with your link."),
    ):  # fmt: skip
        assert f"/account/mails/{topic}" in page.html
        shown = tab.get(f"/account/mails/{topic}")
        assert said in shown.main and "Hello Alice," in shown.main
    assert tab.get("/account/mails/payouts").main.count("No more mails of this kind:") == 2
    scene.do(lambda: program.write_mail("friend_joined", "de", "{friend} ist da", "Hallo {name}!", by=by, at=scene.at))
    scene.do(lambda: program.choose_language(alice, "de"))
    assert "Bob T. ist da" in (shown := tab.get("/account/mails/friends")).main and "Hallo Alice!" in shown.main
    for topic in ("digest", "nothing", "FRIENDS"):
        assert tab.get(f"/account/mails/{topic}").status == 404
    assert "12 rewards to review" in tab_of(scene.rita).get("/account/mails/digest").main
    assert not scene.mails("month_summary")


def test_the_way_out_of_an_example_is_the_readers_own_and_opening_it_changes_nothing(scene, tab_of):
    tab = tab_of(scene.alice)
    path = re.search(r'href="[^"]*(/unsubscribe/[^"]+)"', tab.get("/account/mails/rewards").html)[1]
    assert "no more mails about your rewards" in tab.get(path).main
    session.rollback()
    assert mail_choices.off(scene.alice.id) == mail_choices.ASKED_FOR
