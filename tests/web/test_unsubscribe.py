"""Unsubscribing by the web: one click of a mail program, and the page for people."""

import pytest
import sqlalchemy as sa
from itsdangerous import URLSafeSerializer

from portal import program
from portal.accounts.mail_choices import ASKED_FOR, Topic, off
from portal.core.database import session
from portal.delivery import stops, suppressions
from portal.notices.writing import Office
from portal.sharing.invites import Invite
from tests.web.client import Tab


def token_of(scene):
    """The token in the mail of a fresh invite of Alice's to Bob."""
    alice = scene.alice
    scene.do(lambda: program.invite(alice, ["friend@example.com"], at=scene.at))
    (mail,) = scene.mails("invite")
    return mail.stop, session.scalars(sa.select(Invite).order_by(Invite.id.desc())).first()


@pytest.mark.both_databases
def test_the_one_click_of_a_mail_program_works_without_a_cookie_and_opening_the_page_consumes_nothing(app, scene):
    token, invite = token_of(scene)
    program_of_mail = Tab(app, cookies=False)
    for _ in range(2):
        assert program_of_mail.get(f"/unsubscribe/{token}").status == 200
        assert program_of_mail.head(f"/unsubscribe/{token}").status == 200
    assert suppressions.why(invite.to_hash) is None
    for _ in range(2):
        page = program_of_mail.open(f"/unsubscribe/{token}", method="POST", data={"List-Unsubscribe": "One-Click"})
        assert page.status == 200 and "Nobody here writes to your address any more" in page.main
    session.rollback()
    assert suppressions.why(invite.to_hash) == "asked"


def test_from_another_origin_it_works_too_since_mail_programs_are_no_page_of_ours(app, scene):
    token, invite = token_of(scene)
    page = Tab(app).open(
        f"/unsubscribe/{token}", method="POST", data={"List-Unsubscribe": "One-Click"},
        headers={"Origin": "https://mail.example.com"},
    )  # fmt: skip
    session.rollback()
    assert page.status == 200 and suppressions.why(invite.to_hash) == "asked"


def test_somebodys_own_mails_stop_by_kind_and_can_be_had_again(app, scene, tab_of):
    alice = scene.alice
    token = stops.token(Office.hash_key, "user", alice.public_id, "rewards")
    page = Tab(app).get(f"/unsubscribe/{token}")
    assert "no more mails about your rewards" in page.main and off(alice.id) == ASKED_FOR
    page = Tab(app, cookies=False).open(f"/unsubscribe/{token}", method="POST")
    assert page.status == 200
    session.rollback()
    assert off(alice.id) == ASKED_FOR | {Topic.REWARDS}
    tab = tab_of(alice)
    tab.submit(tab.get("/account").form("/account/mails"), friends="y", rewards="y", payouts="")
    session.rollback()
    assert off(alice.id) == ASKED_FOR | {Topic.PAYOUTS}


def test_the_summary_of_a_month_is_asked_for_and_stops_by_its_own_link(app, scene, tab_of):
    alice, tab = scene.alice, tab_of(scene.alice)
    tab.submit(tab.get("/account").form("/account/mails"), friends="y", rewards="y", payouts="y", month="y")
    session.rollback()
    assert off(alice.id) == set() and tab.get("/account").kept("month") == ["y"]
    token = stops.token(Office.hash_key, "user", alice.public_id, "month")
    assert "no more mails about what a month brought you" in Tab(app).get(f"/unsubscribe/{token}").main
    assert Tab(app, cookies=False).open(f"/unsubscribe/{token}", method="POST").status == 200
    session.rollback()
    assert off(alice.id) == {Topic.MONTH}


def test_a_token_that_is_none_of_ours_is_a_404_and_changes_nothing(app, scene):
    token, _ = token_of(scene)
    wrong = stops.token(b"another key", "user", scene.alice.public_id, "rewards")
    for told in (wrong, token[:-2], "x", "user.alice", stops.token(Office.hash_key, "user", "nobody", "rewards"),
                 stops.token(Office.hash_key, "user", scene.alice.public_id, "everything"), "a" * 5000):  # fmt: skip
        for method in ("GET", "POST"):
            assert Tab(app).open(f"/unsubscribe/{told}", method=method).status == 404
    session.rollback()
    assert off(scene.alice.id) == ASKED_FOR


def test_the_way_out_of_a_mail_of_before_still_works(app, scene):
    """Mails of before 0.5 were signed with SHA-1; what is signed now is not."""
    older = URLSafeSerializer(Office.hash_key, salt=stops.SALT).dumps(["user", scene.alice.public_id, "rewards"])
    assert older != stops.token(Office.hash_key, "user", scene.alice.public_id, "rewards")
    assert Tab(app).open(f"/unsubscribe/{older}", method="POST").status == 200
    session.rollback()
    assert off(scene.alice.id) == ASKED_FOR | {Topic.REWARDS}


def test_not_this_person_ends_one_invite_and_no_other(app, scene):
    token, invite = token_of(scene)
    carol = scene.carol
    scene.do(lambda: program.invite(carol, ["friend@example.com"], at=scene.at))
    tab = Tab(app)
    tab.submit(tab.get(f"/unsubscribe/{token}").form("/sender"))
    session.rollback()
    ended = [one.ended_at is not None for one in session.scalars(sa.select(Invite).order_by(Invite.id))]
    assert ended == [True, False] and suppressions.why(invite.to_hash) is None
