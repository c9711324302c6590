"""People at the owner's desk: found, corrected, shut out and let in, invited; orders and files recorded by hand."""

import io
import json
import re
from pathlib import Path

import pytest

from portal.accounts import audit
from portal.accounts.audit import AuditEntry
from portal.accounts.users import find_by_email, find_by_external_id
from portal.config import ROOT
from portal.core.database import session
from portal.rewards.conversions import find
from portal.rewards.refunds import find as find_refund
from tests.factories import EVERY, PASSWORD, fixed
from tests.web.client import Tab
from tests.web.second_step import two_step_on
from tests.web.tables import SEEN, Unchanged

KEY = "a-one-time-key-of-the-form"


@pytest.fixture
def olivia(scene, tab_of):
    return tab_of(scene.olivia)


def file(tab, content: bytes, kind: str = "customers", name: str = "shop.csv"):
    """Sends a file to be checked."""
    sent = {"csrf_token": tab.token(), "kind": kind, "file": (io.BytesIO(content), name)}
    return tab.open("/admin/imports", method="POST", data=sent, headers=tab.from_here())


# --- found ----------------------------------------------------------------------------------------------------


def test_people_are_found_by_any_code_they_have_or_had_and_by_role_and_state(scene, olivia):
    alice, bob = scene.alice, scene.bob
    old = scene.code(alice)
    tab = olivia
    from portal import program
    from portal.sharing import links

    scene.do(lambda: program.choose_code(alice, links.main_link(alice.id), "alice-2026", at=scene.at))
    (told,) = scene.do(lambda: program.invite(alice, ["ina@example.com"], at=scene.at))
    invited = links.current_code(told.invite.link_id)
    for wanted in (old, old.upper(), "Alice-2026", f"http://127.0.0.1/r/{invited}", "alice@", "ALICE"):
        page = tab.get(f"/admin/people?q={wanted}")
        assert alice.email in page.main and bob.email not in page.main, wanted
    page = tab.get("/admin/people?role=owner")
    assert "olivia@example.com" in page.main and alice.email not in page.main
    scene.suspend(bob)
    page = tab.get("/admin/people?show=suspended&role=nonsense")
    assert bob.email in page.main and alice.email not in page.main
    assert "Nobody matches" in tab.get("/admin/people?q=%25&show=shut-out").main


def test_the_list_says_what_each_brought_earned_and_when_they_were_here(scene, olivia, tab_of):
    scene.pending_reward()
    scene.correct(scene.alice, 500)
    tab_of(scene.alice)
    row = next(row for row in olivia.get("/admin/people").tree.all("tr") if "alice@example.com" in row.text)
    assert "1 1 counted" in row.text and "€25.00" in row.text and "€5.00" in row.text and "Viewer" not in row.text


def test_the_page_of_a_person_asks_as_many_questions_for_a_thousand_friends_as_for_one(scene, olivia):
    from sqlalchemy import event

    from portal.core import database

    scene.publish(fixed(500, hold_days=0))
    asked = []
    listening = lambda *_: asked.append(1)  # noqa: E731 - SQLAlchemy takes it off by identity
    counts = []
    name = scene.alice.public_id
    for friends in (2, 12):
        for number in range(friends):
            scene.order(scene.friend(f"F{friends}-{number}", of=scene.alice))
        scene.correct(scene.alice, 100 * friends)
        for path in (f"/admin/people/{name}", "/admin/people"):
            asked.clear()
            event.listen(database.db.engine, "before_cursor_execute", listening)
            olivia.get(path)
            event.remove(database.db.engine, "before_cursor_execute", listening)
            counts.append(len(asked))
    first, later = counts[:2], counts[2:]
    assert all(many <= few + 25 for few, many in zip(first, later, strict=True)), counts
    assert max(counts) < 90, counts


# --- corrected ------------------------------------------------------------------------------------------------


def test_a_correction_is_made_once_told_and_seen_by_both(scene, tab_of):
    alice, finn, him = scene.alice, tab_of(scene.finn), scene.finn.public_id
    path = f"/admin/people/{alice.public_id}/correction"
    form = finn.get(path).form("/correction")
    given = form.filled({"way": "plus", "amount": "12.50", "reason": "We forgot =SUM(A1)."})
    assert "12.50" in finn.post(path, given, follow=True).main
    again = finn.post(path, given, follow=True)
    assert "This correction was made already" in again.text and scene.balance(alice) == {"payable": 1250}
    refused = finn.post(path, given | {"amount": "13.00"})
    assert refused.status == 422 and "made a correction already" in refused.error("amount")
    hers = tab_of(alice)
    assert "Correction: We forgot =SUM(A1)." in hers.get("/rewards").main
    assert "Correction: We forgot" in hers.get("/rewards.csv").body.decode()
    for bad, where in (
        ({"amount": "0"}, "amount"), ({"amount": "1_0"}, "amount"), ({"way": "sideways"}, "way"), ({"reason": " "}, "reason"),
    ):  # fmt: skip
        page = finn.post(path, given | {"form_key": KEY} | bad)
        assert page.status == 422 and page.error(where), bad
    assert finn.post(path, given | {"form_key": ""}).status == 422
    own = finn.post(f"/admin/people/{him}/correction", given | {"form_key": KEY})
    assert own.status == 422 and "your own balance" in own.text
    assert scene.balance(alice) == {"payable": 1250}


def test_a_role_taken_away_takes_the_form_with_it(scene, tab_of):
    finn, olivia = tab_of(scene.finn), tab_of(scene.olivia)
    path = f"/admin/people/{scene.alice.public_id}/correction"
    given = finn.get(path).form("/correction").filled({"way": "plus", "amount": "5", "reason": "Because."})
    olivia.press(f"/admin/people/{scene.finn.public_id}", "/roles/finance/withdrawal")
    assert finn.post(path, given).status == 403 and scene.balance(scene.alice) == {}


# --- shut out -------------------------------------------------------------------------------------------------


def test_who_is_shut_out_is_out_at_once_and_comes_back(scene, tab_of):
    scene.payable_reward()
    scene.batch()
    olivia = tab_of(scene.olivia)
    hers, path = tab_of(scene.alice), f"/admin/people/{scene.alice.public_id}"
    assert hers.is_signed_in()
    refused = olivia.submit(olivia.get(path).form("/shut-out"), note=" \n \t", follow=True)
    assert refused.status == 422 and "Write why." in refused.text and scene.alice.active, (
        "a reason of blank lines is none"
    )
    olivia.submit(olivia.get(path).form("/shut-out"), note="Stolen account.")
    assert not hers.is_signed_in() and scene.balance(scene.alice) == {"payable": 2000}
    assert "do not match" in Tab(scene.app).try_to_sign_in("alice@example.com").text
    assert "Shut out since" in olivia.get(path).text
    mailed = olivia.post(f"{path}/reset", follow=True)
    assert "is shut out" in mailed.text and not scene.mails("reset", to=scene.alice)
    olivia.submit(olivia.get(path).form("/letting-in"), note="It was her.")
    Tab(scene.app).sign_in("alice@example.com")
    assert "is on its way to alice@example.com" in olivia.press(path, "/reset$").text
    mine = f"/admin/people/{scene.olivia.public_id}/shut-out"
    assert "This is you" in olivia.post(mine, {"note": "Bye."}, follow=True).text and olivia.is_signed_in()


def test_a_second_step_that_is_lost_is_taken_away_with_a_reason_and_the_owners_password(scene, olivia, run):
    alice, bob = scene.alice, scene.bob
    for person in (alice, bob):
        two_step_on(scene, person)
    path = f"/admin/people/{alice.public_id}"
    with Unchanged(*SEEN, "sign_ins.token_hash"):
        for given, field, said in (
            ({"note": "Lost phone."}, "current", "Enter your password."),
            ({"note": "Lost phone.", "current": "not it"}, "current", "This password is not right."),
            ({"current": PASSWORD}, "note", "Write why."),
        ):
            page = olivia.submit(olivia.get(path).form("/second-step/end"), **given)
            form = page.form("/second-step/end")
            assert page.status == 422 and page.error(field) == said
            assert form.fields["note"] == [given.get("note", "")], "what was typed is kept"
    assert Tab(scene.app).try_to_sign_in(alice.email).path == "/login/code"
    page = olivia.submit(olivia.get(path).form("/second-step/end"), note="Lost phone.", current=PASSWORD)
    assert "Two-step sign-in is off for this account" in page.text and not page.has_form("/second-step/end")
    assert "Two-step sign-in taken away" in page.text and "Lost phone." in page.text
    assert "taken two-step sign-in away" in scene.mails("account_changed", to=alice)[-1].text
    Tab(scene.app).sign_in(alice.email)

    again = olivia.post(f"{path}/second-step/end", {"note": "Once more.", "current": "not it"}, follow=True)
    assert "There is nothing to be done any more" in again.text

    done = run("forget-second-step", bob.email)
    assert done.code == 0 and "signs in with the password alone" in done.out
    session.rollback()
    assert scene.mails("account_changed", to=bob)
    Tab(scene.app).sign_in(bob.email)
    assert "is not on for this account" in run("forget-second-step", bob.email).err
    assert "nobody has this address" in run("forget-second-step", "no@example.com").err


def test_to_make_or_unmake_an_owner_asks_for_the_password(scene, olivia):
    alice = scene.alice
    path = f"/admin/people/{alice.public_id}"
    with Unchanged(*SEEN, "sign_ins.token_hash"):
        for given in ({}, {"current": "not it"}):
            page = olivia.submit(olivia.get(path).form("/roles$"), role="owner", **given)
            assert page.status == 422 and "role of an owner, enter your own password" in page.error("current")
        page = olivia.press("/admin/colleagues", "/admin/colleagues", email="eve@example.com", role="owner")
        assert page.status == 422 and "enter your own password" in page.error("current")
    assert "The role is given" in olivia.submit(olivia.get(path).form("/roles$"), role="owner", current=PASSWORD).text
    form = olivia.get(path).form("/roles/owner/withdrawal")
    assert "enter your own password" in olivia.submit(form, current="not it").text
    session.rollback()
    assert alice.may("own")
    assert "The role is taken away" in olivia.submit(olivia.get(path).form("/owner/withdrawal"), current=PASSWORD).text


def test_whoever_takes_somebodys_data_out_stands_in_the_history(scene, olivia):
    path = f"/admin/people/{scene.alice.public_id}"
    answer = olivia.press(path, "/data.json")
    assert json.loads(answer.body)["account"]["email"] == "alice@example.com"
    assert "Data downloaded by a colleague" in olivia.get(path).text


def test_an_owner_who_deletes_an_account_is_told_what_is_given_up(scene, tab_of):
    scene.payable_reward()
    olivia = tab_of(scene.olivia)
    path = f"/admin/people/{scene.alice.public_id}"
    page = olivia.get(path)
    assert "They give up €20.00." in page.text
    form = page.form("/erasure")
    with Unchanged(*SEEN, "sign_ins.token_hash"):
        wrong = olivia.submit(form, current="not it", sure=True)
        assert wrong.status == 422 and wrong.error("current") == "This password is not right."
        assert "They give up €20.00." in wrong.text
        assert olivia.submit(form, current=PASSWORD).error("sure") == "Tick the box if you want this."
        said = olivia.submit(form, current=PASSWORD, sure=True, gives_up="0").text
        assert "The balance has changed since you looked" in said
    assert "The account is deleted" in olivia.submit(form, current=PASSWORD, sure=True).text


# --- colleagues -----------------------------------------------------------------------------------------------


def test_a_colleague_without_an_account_proves_the_address_and_has_the_role(scene, olivia):
    page = olivia.press("/admin/colleagues", "/admin/colleagues", email="Jo@Example.com", name="Jo", role="finance")
    assert "A link is on its way to Jo@example.com" in page.text
    jo = find_by_email("jo@example.com")
    assert jo is not None and not jo.role_names and jo.confirmed_at is None
    secret = scene.secret_for(jo, "join")
    fresh = Tab(scene.app)
    short = fresh.press(f"/join/{secret}", "/join", password="short")
    assert "at least 12 characters" in short.text
    assert "Welcome. Sign in" in fresh.press(f"/join/{secret}", "/join", password="quite a long password").text
    fresh.sign_in("jo@example.com", "quite a long password")
    assert fresh.get("/admin/payouts").status == 200 and fresh.get("/admin/developers").status == 403
    assert fresh.get(f"/join/{secret}").has_form("/join") is False
    with Unchanged(*SEEN):
        assert Tab(scene.app).post(f"/join/{secret}", {"password": "another long password"}).status == 410


def test_who_has_an_account_has_the_role_at_once_and_a_link_ends_with_its_senders_role(scene, olivia):
    rita = scene.rita
    page = olivia.press("/admin/colleagues", "/admin/colleagues", email=rita.email, role="viewer")
    assert "has the role and is told by mail" in page.text and scene.mails("role_given", to=rita)
    again = olivia.post("/admin/colleagues", {"email": rita.email, "role": "viewer"})
    assert again.status == 422 and "has this role already" in again.error("email")
    olivia.press("/admin/colleagues", "/admin/colleagues", email="eve@example.com", role="owner", current=PASSWORD)
    eve = find_by_email("eve@example.com")
    secret = scene.secret_for(eve, "join")
    from portal import program
    from portal.accounts.roles import Role

    number = scene.olivia.id
    scene.do(lambda: program.add_owner("oscar@example.com", name="Oscar", password="!", at=scene.at))
    scene.do(lambda: program.withdraw_role(scene.olivia, Role.OWNER, by=number, at=scene.at))
    with Unchanged("one_time_keys"):
        assert Tab(scene.app).post(f"/join/{secret}", {"password": "a long enough password"}).status == 410


# --- recorded by hand -----------------------------------------------------------------------------------------


def test_an_order_by_form_counts_once_and_is_decided_by_somebody_else(scene, olivia, tab_of):
    bob = scene.bob
    form = olivia.get(f"/admin/orders?person={bob.public_id}").form("/admin/orders")
    given = form.filled({"external_id": "B-1", "amount": "64.00"})
    assert given["customer_email"] == [bob.email]
    assert "A colleague decides" in olivia.post("/admin/orders", given, follow=True).text
    assert "is there since" in olivia.post("/admin/orders", given, follow=True).text
    with Unchanged("disagreements", *SEEN):
        other = olivia.post("/admin/orders", given | {"amount": "65.00"})
        assert other.status == 422 and "told before" in other.error("external_id")
    reward = scene.reward(scene.alice).public_id
    assert "You recorded this order" in olivia.post(f"/admin/rewards/{reward}/approval", follow=True).text
    rita = tab_of(scene.rita)
    rita.post(f"/admin/rewards/{reward}/approval")
    assert scene.reward(scene.alice).state == "approved"
    for bad, where in (
        ({"occurred_at": "2100-01-01T00:00"}, "occurred_at"), ({"occurred_at": "0001-01-01T00:00"}, "occurred_at"),
        ({"customer_email": ""}, "customer_email"), ({"customer_email": "bob"}, "customer_email"),
        ({"amount": ""}, "amount"), ({"amount": "-5"}, "amount"), ({"goal": "signup"}, "goal"),
        ({"external_id": "a\u200bb"}, "external_id"),
    ):  # fmt: skip
        page = olivia.post("/admin/orders", given | {"external_id": "B-2"} | bad)
        assert page.status == 422 and page.error(where), bad
    waits = olivia.post(
        "/admin/orders", given | {"external_id": "B-3", "customer_email": "new@example.com"}, follow=True
    )
    assert "Kept: it counts as soon as" in waits.text
    refund = {"conversion_external_id": "B-1", "external_id": "R-1", "amount": "16.00"}
    assert "taken back" in olivia.post("/admin/refunds", refund, follow=True).text
    assert "there already" in olivia.post("/admin/refunds", refund, follow=True).text
    assert "other facts" in olivia.post("/admin/refunds", refund | {"amount": "17"}).error("external_id")
    assert scene.balance(scene.alice) == {"approved": 1500}
    told = find("shop", "B-1")
    assert told is not None and told.recorded_by_id == scene.olivia.id


@pytest.mark.case(101)
def test_a_chargeback_by_form_and_the_won_dispute_on_the_page_of_the_referral(scene, tab_of):
    olivia, alice = tab_of(scene.olivia), tab_of(scene.alice)
    reward = scene.approved_reward()
    page, told = f"/admin/referrals/{reward.referral.public_id}", f"/friends/{reward.referral.public_id}"
    form = {"conversion_external_id": "order-1", "external_id": "CB-1", "amount": ""}
    assert olivia.post("/admin/refunds", form | {"reason": "dispute"}).status == 422
    assert "taken back" in olivia.post("/admin/refunds", form | {"reason": "chargeback"}, follow=True).text
    assert "other facts" in olivia.post("/admin/refunds", form | {"reason": "refund"}).error("external_id")
    seen = olivia.get(page)
    assert "Chargeback of the whole order" in seen.main and "The payment of this order was charged back." in seen.main
    assert "the payment was taken back" in alice.get(told).main and "refunded" not in alice.get(told).main
    assert "The payment of the order was taken back" in alice.get("/rewards").main
    assert "Dispute won" not in tab_of(scene.rita).get(page).main

    button = next(one for one in seen.forms if "dispute was won" in one.labels)
    assert "The payment stands after all" in olivia.submit(button).text
    assert (reward.state, scene.balance(scene.alice)) == ("approved", {"approved": 2000})
    seen = olivia.get(page)
    assert "Dispute won: the payment stands after all" in seen.main and "recorded by Olivia" in seen.main
    assert not [one for one in seen.forms if "dispute was won" in one.labels]
    assert "Withdrawn: no chargeback stands any more" in seen.main
    assert "the payment stands after all" in alice.get(told).main
    refund = find_refund("shop", "CB-1")
    assert refund is not None
    olivia.post(f"/admin/refunds/{refund.public_id}/reinstatement")
    assert scene.balance(scene.alice) == {"approved": 2000}, "twice is once"
    assert [one.verb for one in audit.about("refund", refund.public_id)].count("refund_reinstated") == 1


# --- steps of the tiers -----------------------------------------------------------------------------------------

TIERS = [{"from": 2, "amount_minor": 2500}, {"from": 5, "amount_minor": 3000}]


@pytest.mark.case(66)
def test_a_referrer_is_put_at_a_step_and_everybody_reads_it(scene, tab_of):
    scene.publish(fixed(2000, tiers=TIERS, **EVERY))
    olivia, alice = tab_of(scene.olivia), tab_of(scene.alice)
    scene.method(scene.alice)
    person, page = f"/admin/people/{scene.alice.public_id}", f"/admin/people/{scene.alice.public_id}/tier"
    assert "by the number of each reward" in olivia.get(person).main
    form = {"counts_as": "5", "note": "A partner of ours."}
    kept = olivia.post(page, form | {"note": ""})
    assert kept.status == 422 and kept.error("note") and kept.form("/tier$").fields["counts_as"] == ["5"]
    for unknown in ("4", "0", "-1", "x", "", "9" * 30):
        wrong = olivia.post(page, form | {"counts_as": unknown})
        assert wrong.status == 422 and wrong.error("counts_as") and "A partner of ours." in wrong.html, unknown
    assert "Set: this step counts" in olivia.press(page, "/tier$", **form).text
    assert "set already" in olivia.post(page, form, follow=True).text
    assert "from reward number 5 on, set by Olivia" in olivia.get(person).main
    assert "A partner of ours." in olivia.get(page).main and "Step of the tiers set" in olivia.get(person).main

    scene.order(scene.bob)
    reward = scene.reward(scene.alice)
    assert reward.amount_minor == 3000
    seen = olivia.get(f"/admin/referrals/{reward.referral.public_id}").main
    assert "from the 5. reward on, set by Olivia (this is the 1.)" in seen
    for told in (alice.get("/rewards").main, alice.get("/terms").main):
        assert "by the step from reward number 5 on, whatever their own number" in told and "Olivia" not in told
    assert "from the 5. reward on, set by hand" in alice.get("/rewards").main
    assert "New rewards of yours" not in tab_of(scene.carol).get("/terms").main

    again = olivia.get(page)
    assert "Taken off" in olivia.press(page, "/tier/removal").text
    scene.later(minutes=5)
    said = olivia.submit(again.form("/tier/removal$")).text
    assert "Olivia did that already, on " in said and "Taken off" not in said
    assert "New rewards of yours" not in alice.get("/rewards").main + alice.get("/terms").main
    scene.order(scene.bob)
    assert scene.rewards(scene.alice)[1].amount_minor == 2500


@pytest.mark.case(66)
def test_nobody_sets_their_own_step_and_without_tiers_there_is_none(scene, tab_of):
    olivia = tab_of(scene.olivia)
    page = f"/admin/people/{scene.alice.public_id}/tier"
    assert "There are no tiers" in olivia.get(page).main
    assert olivia.post(page, {"counts_as": "1", "note": "Because."}).status == 422
    scene.publish(fixed(2000, tiers=TIERS, **EVERY))
    own = f"/admin/people/{scene.olivia.public_id}/tier"
    assert "a colleague sets it" in olivia.get(own).main
    assert "a colleague sets it" in olivia.post(own, {"counts_as": "5", "note": "Because."}).text


# --- from a file ----------------------------------------------------------------------------------------------

CUSTOMERS = (
    "external_id,email,name\n"
    "C-1,one@example.com,One\n"
    "C-2,two@example.com,=cmd()\n"
    "C-2,two@example.com,Again\n"
    "C-3,two@example.com,Another\n"
    "C-4,nobody,Nobody\n"
    "C-5\n"
)


def test_a_file_is_checked_by_doing_it_and_nothing_is_stored_before_it_is_confirmed(scene, olivia):
    with Unchanged(*SEEN):
        page = file(olivia, CUSTOMERS.encode())
    assert [tile.text.split()[:2] for tile in page.tree.all("div") if tile.get("class") == "tile"] == [
        ["New", "2"], ["Known", "1"], ["Waiting", "0"], ["Faulty", "3"],
    ]  # fmt: skip
    assert (
        "This address is another customer's already." in page.text and "1 cells where the first line has 3" in page.text
    )
    done = olivia.submit(page.form("/confirmation"))
    assert "Imported" in done.heading and find_by_external_id("C-2").name == "=cmd()"
    again = file(olivia, CUSTOMERS.encode())
    assert "There is nothing in this file to take." in again.text and not again.has_form("/confirmation")
    (line,) = session.query(AuditEntry).where(AuditEntry.verb == "file_imported")
    assert line.details == {"kind": "customers", "new": 2, "known": 1, "waiting": 0, "faulty": 3}


def test_orders_from_a_file_wait_or_count_and_a_second_click_changes_nothing(scene, olivia):
    orders = "external_id;customer_email;amount_minor\nA1;bob@example.com;6400\nA2;unknown@example.com;100\n"
    assert scene.bob
    page = file(olivia, orders.encode("utf-8-sig"), "orders")
    form = page.form("/confirmation")
    assert "2 rows would be taken" in page.text and scene.rewards(scene.alice) == []
    olivia.submit(form)
    assert scene.balance(scene.alice) == {"pending": 2000}
    with Unchanged(*SEEN):
        assert "taken already" in olivia.submit(form).text


def test_a_file_is_kept_for_its_sender_alone_and_not_for_long(scene, olivia, tab_of, settings, clock):
    form = file(olivia, CUSTOMERS.encode()).form("/confirmation")
    folder = Path(settings.instance_dir) / "uploads"
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
    oscar = scene.do(
        lambda: __import__("portal.program").program.add_owner(
            "oscar@example.com", name="Oscar", password="!", at=scene.at
        )
    )
    other = tab_of(oscar)
    with Unchanged(*SEEN):
        assert "not kept any more" in other.post(form.action, follow=True).text
        assert other.post("/admin/imports/../x/confirmation").status == 404
        clock.shift(3601)
        assert "not kept any more" in olivia.submit(form).text
    assert list(folder.iterdir()) == []


def test_a_file_that_is_none_is_told_and_a_big_one_is_413(scene, olivia):
    with Unchanged(*SEEN):
        for content, says in (
            (b"", "Choose a file"), ("external_id,email".encode("utf-16"), "UTF-16"), (b"PK\x03\x04xyz", "workbook"),
            (b"name\nBob\n", "must name the columns"),
        ):  # fmt: skip
            page = file(olivia, content)
            assert page.status == 422 and says in page.error("rows"), content
        for name in ("shop.exe", "shop.csv.html", "shop", "x" * 300):
            page = file(olivia, CUSTOMERS.encode(), name=name)
            assert page.status == 422 and "ends in .csv or .txt" in page.error("rows"), name
        latin = file(olivia, "external_id,email,name\nC-1,a@example.com,Jürgen\n".encode("latin-1"))
        assert "not UTF-8 text" in latin.text
        form = {"content_type": "multipart/form-data; boundary=b", "headers": olivia.from_here()}
        too_much = b"x" * (4 * 1024 * 1024 + 1)
        assert olivia.open("/admin/imports", method="POST", data=too_much, **form).status == 413
        assert olivia.post("/admin/colleagues", {"email": "x" * (1024 * 1024 + 1)}).status == 413


# --- the right referrer ---------------------------------------------------------------------------------------


def test_a_friend_is_given_to_the_right_referrer_with_a_reason(scene, olivia):
    scene.pending_reward()
    carol, referral = scene.carol, scene.referral(scene.bob).public_id
    path = f"/admin/referrals/{referral}/referrer"
    for named, says in (("nobody@example.com", "Nobody has this"), ("bob@example.com", "Nobody refers themselves")):
        page = olivia.post(path, {"named": named, "note": "Wrong link."})
        assert page.status == 422 and says in page.error("named")
    page = olivia.press(path, "/referrer", named=scene.code(carol), note="Wrong link.")
    assert "Decided by us" in page.main and scene.balance(carol) == {"pending": 2000}
    zoe = scene.person("Zoe")
    assert "counts from the day" in olivia.press(
        f"/admin/people/{zoe.public_id}/referrer", "/referrer", named="alice@example.com", note="Told us."
    ).text  # fmt: skip
    assert olivia.get(f"/admin/people/{zoe.public_id}/referrer").status == 302


# --- the audit list -------------------------------------------------------------------------------------------


def test_an_order_of_somebody_whom_nobody_brought_says_that_it_earned_nothing(scene, tab_of):
    olivia = tab_of(scene.olivia)
    page = olivia.get(f"/admin/orders?person={scene.alice.public_id}")
    said = olivia.submit(page.form("/admin/orders$"), external_id="X-1", amount="64.00").main
    assert "Nobody brought this customer, so it earned nothing." in said


def test_the_audit_list_is_filtered_by_its_address(scene, olivia):
    scene.correct(scene.alice, 500, reason="We forgot.")
    scene.suspend(scene.bob)
    alice, finn, owner = scene.alice.public_id, scene.finn.public_id, scene.olivia.public_id

    def shown(query):
        return [row.text for row in olivia.get(f"/admin/audit?{query}").tree.all("tr")[1:]]

    assert any("Balance corrected · €5.00" in line and "We forgot." in line for line in shown(f"who={finn}"))
    assert all("Finn" in line for line in shown(f"who={finn}")) and len(shown(f"who={owner}&about={alice}")) == 0
    assert any("Suspended" in line for line in shown(f"who={owner}&what=user&about=bob@example.com"))
    assert all("Batch" in line for line in shown("what=batch")) and shown("who=portal")
    assert len(shown("what=nonsense")) == len(shown("")) > 0 and shown("who=nobody") == []


def test_every_verb_of_the_audit_list_has_words():
    code = "\n".join(path.read_text() for path in (ROOT / "portal").rglob("*.py"))
    verbs = set(re.findall(r'(?:audit\.write|_note(?:_payout)?)\(\s*(?:\w+, )?"([a-z_]+)"', code))
    words = (ROOT / "templates" / "admin" / "_parts.html").read_text()
    assert len(verbs) > 30
    assert [verb for verb in sorted(verbs) if f'"{verb}": _(' not in words] == []
