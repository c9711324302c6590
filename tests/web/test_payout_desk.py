"""The payouts at the desk: who is ready and who is not and why, chosen people, files, days, and answers read back."""

import io
import re

import pytest

from portal.payouts import files
from portal.payouts.files import Form
from portal.payouts.methods import Kind
from portal.payouts.payouts import BatchState
from tests.domain.many import many_ready
from tests.factories import IBAN
from tests.web.tables import SEEN, Unchanged

MOST_QUERIES = 40


@pytest.fixture
def ready(scene):
    """Ada takes shop credit and Ben PayPal, 20.00 each; Cleo has said nothing, Dan's details are new."""
    people = {name: scene.person(name) for name in ("Ada", "Ben", "Cleo", "Dan")}
    scene.method(people["Ada"], Kind.CREDIT)
    scene.method(people["Ben"], Kind.PAYPAL, email="ben@pay.example.com")
    for name, person in people.items():
        scene.earns(person, 2000, f"Friend of {name}")
    scene.later(days=4)
    scene.method(people["Dan"], Kind.BANK)
    scene.later(hours=2)
    return people


@pytest.fixture
def finn(scene, tab_of):
    return tab_of(scene.finn)


def test_the_tab_says_who_is_ready_and_why_others_are_not(ready, finn):
    page = finn.get("/admin/payouts")
    assert "Ready · €40.00" in page.main and "1 reward" in page.main
    assert "PayPal b•••@pay.example.com" in page.main
    left_out = page.main[page.main.index("Not in the next batch") :]
    assert "No payout details yet 1 person, €20.00" in left_out
    assert re.search(r"Payout details changed .* ago; held until 8 Sept 2026", left_out)
    for tab, said in (("progress", "No batch is under way"), ("paid", "No batch was paid"), ("problems", "came back")):
        assert said in finn.get(f"/admin/payouts?tab={tab}").main
    for strange in ("?tab=nothing", "?after=x", "?after=99999999999999999999", "?left=-1", "?before=ü"):
        assert finn.get(f"/admin/payouts{strange}").status == 200


def test_who_lacks_details_is_reminded_once_a_week(ready, scene, finn, tab_of):
    page = finn.get("/admin/payouts")
    asking = page.form("/reminders/")
    assert "Remind Cleo" in page.main and "Remind Dan" not in page.main
    page = finn.submit(asking)
    assert "Reminded Cleo by mail." in page.main and "Reminded on 5 Sept 2026" in page.main
    (mail,) = scene.mails("details_wanted", to=ready["Cleo"])
    assert mail.subject == "€20.00 is ready to pay" and "/payouts" in mail.text
    assert "was reminded within the last 7 days" in finn.submit(asking).main
    assert len(scene.mails("details_wanted")) == 1
    ada = asking.action.replace(ready["Cleo"].public_id, ready["Ada"].public_id)
    assert "Ada lacks no payout details." in finn.post(ada, {}, follow=True).main
    scene.later(days=8)
    finn = tab_of(scene.finn)
    finn.submit(finn.get("/admin/payouts").form("/reminders/"))
    assert len(scene.mails("details_wanted", to=ready["Cleo"])) == 2
    vera = tab_of(scene.rita)
    assert "Remind Cleo" not in vera.get("/admin/payouts").main


def test_some_are_chosen_all_are_without_a_choice_and_nobody_is_refused(ready, scene, finn):
    form = finn.get("/admin/payouts").form("/admin/payouts$")
    assert len(form.filled({})["person"]) == 2, "all are ticked"
    with Unchanged(*SEEN):
        refused = finn.post("/admin/payouts", {})
        assert "Choose at least one person" in finn.get(refused.location).main
        stranger = finn.post("/admin/payouts", {"person": "nobodynobody"})
        assert "Nobody is ready" in finn.get(stranger.location).main
    drawn = finn.post("/admin/payouts", {"person": [ready["Ben"].public_id, "nobodynobody"]}, follow=True)
    assert "1 person is not ready any more" in drawn.main and "Ben" in drawn.main
    assert "Ready, and not chosen" in drawn.main and "1 person, €20.00" in drawn.main
    assert scene.balance(ready["Ada"]) == {"payable": 2000}
    second = finn.submit(finn.get("/admin/payouts").form("/admin/payouts$"))
    assert "Ada" in second.main and scene.balance(ready["Ada"]) == {"in_payout": 2000}


def test_nobody_ready_says_what_clears_until_when(scene, finn):
    scene.approved_reward()
    page = finn.get("/admin/payouts")
    assert "Nobody is ready." in page.main and "€20.00 clears by 1 Oct 2026" in page.main


def test_a_second_click_says_who_did_it_and_when(ready, scene, finn, tab_of):
    batch = scene.batch()
    path = f"/admin/payouts/{batch.public_id}"
    finn.post(f"{path}/approval", {})
    again = finn.get(finn.post(f"{path}/approval", {}).location)
    assert re.search(r"Already approved by you at .*\d\d:\d\d", again.main)
    olivia = tab_of(scene.olivia)
    assert "Approved by Finn at" in olivia.get(olivia.post(f"{path}/approval", {}).location).main
    finn.post(f"{path}/export", {})
    assert "Marked 2 payouts as paid" in finn.get(finn.post(f"{path}/payment", {}).location).main
    assert "nothing was changed" in finn.get(finn.post(f"{path}/payment", {}).location).main


def test_each_method_has_its_file(ready, scene, finn):
    scene.later(days=4)
    batch = scene.approve_batch(scene.batch())
    path = f"/admin/payouts/{batch.public_id}"
    names = {payout.user.name: payout.reference for payout in batch.payouts}
    page = finn.get(path)
    assert all(word in page.main for word in ("For PayPal", "For a bank", "For Wise"))
    answers = {form: finn.post(f"{path}/export", {"file": form}) for form in ("paypal", "bank", "wise", "all", "x")}
    said = {form: answer.body.decode().splitlines() for form, answer in answers.items()}
    assert said["paypal"] == [f"ben@pay.example.com,20.00,EUR,{names['Ben']},,PAYPAL"]
    assert said["bank"] == ["reference,holder,iban,amount,currency", f"{names['Dan']},Dan,{IBAN},20.00,EUR"]
    assert said["wise"][1] == f"Dan,dan@example.com,{names['Dan']},PERSON,target,20.00,EUR,EUR,{IBAN}"
    assert len(said["all"]) == 4 and said["x"] == said["all"]
    assert answers["wise"].headers["Content-Disposition"] == f'attachment; filename="{batch.reference}-wise.csv"'
    assert answers["all"].headers["Cache-Control"] == "no-store"
    assert {*files.LAYOUTS} == {*Form}


def test_lines_are_paid_with_day_and_reference_or_fail_with_a_reason_and_errors_stand_at_the_field(ready, scene, finn):
    batch = scene.exported_batch()
    path, (ada, ben) = f"/admin/payouts/{batch.public_id}", batch.payouts
    line = f"/admin/payouts/lines/{ada.public_id}/payment"
    with Unchanged(*SEEN):
        for wrong in ("2026-13-01", "tomorrow", "2036-01-01", "0001-01-01"):
            for action in (line, f"{path}/payment"):
                page = finn.post(action, {"paid_on": wrong, "bank_reference": "B-7"})
                assert page.status == 422 and "field-error" in page.html and "B-7" in page.html
        page = finn.post(f"/admin/payouts/lines/{ben.public_id}/failure", {"failure": "x" * 201})
        assert page.status == 422 and "x" * 201 in page.html
    paid = finn.post(line, {"paid_on": scene.at.date().isoformat(), "bank_reference": "=B-7"}, follow=True)
    assert "Payout marked as paid · €20.00 · =B-7" in paid.main
    failed = finn.post(f"/admin/payouts/lines/{ben.public_id}/failure", {"failure": "Account closed."}, follow=True)
    assert "Partly paid" in failed.main
    assert "€20.00 was paid to you ada@example.com" in failed.main
    assert "We could not pay you ben@example.com" in failed.main
    problems = finn.get("/admin/payouts?tab=problems").main
    assert "Ben" in problems and "Account closed." in problems and "Not tried again" in problems
    scene.batch()
    assert "In a later batch" in finn.get("/admin/payouts?tab=problems").main
    assert batch.reference in finn.get("/admin/payouts?tab=paid").main


def test_the_banks_answer_is_shown_before_it_is_taken(ready, scene, finn):
    batch = scene.exported_batch()
    first, second = (payout.reference for payout in batch.payouts)
    path = f"/admin/payouts/{batch.public_id}"
    text = f"reference,status,reason\n{first},paid,\n{second},failed,Account closed.\n"
    with Unchanged(*SEEN):
        for wrong, said in (
            ("", "Choose the file, or paste its lines"), ("nonsense", "must name the columns"),
            (f"{text}{first},paid,", f"Line 4: {first} stands in line 2 already."), ("x" * 400_001, "too long"),
        ):  # fmt: skip
            page = finn.post(f"{path}/results", {"text": wrong, "take": "yes"})
            assert page.status == 422 and said in page.main, (wrong[:50], page.main)
        as_a_file = {"file": (io.BytesIO(text.encode()), "answer.csv")}
        page = finn.post(f"{path}/results", as_a_file, content_type="multipart/form-data")
    assert page.status == 200 and "Account closed." in page.main
    taking = next(form for form in page.forms if "Note 2 results" in form.labels)
    done = finn.submit(taking, take="yes")
    assert "Noted: 1 paid, 1 failed" in done.main
    again = finn.post(f"{path}/results", {"text": text, "take": "yes"}, follow=True)
    assert "nothing was changed" in again.main


def test_a_thousand_ready_people_are_shown_drawn_and_paid_with_few_queries(scene, finn, counted):
    many_ready(scene, 1000)
    with counted() as few:
        page = finn.get("/admin/payouts")
    assert "1000 people, €20,000.00" in page.main and len(few) < MOST_QUERIES
    assert len(page.form("/admin/payouts$").filled({})["person"]) == 100
    assert finn.get(f"/admin/payouts?after={last_shown(page, scene)}").main.count("referrer ") >= 100
    drawn = finn.post("/admin/payouts", {"everybody": "yes"}, follow=True)
    assert "€20,000.00" in drawn.main
    batch = scene.approve_batch(scene.do(lambda: newest()))
    for path in (f"/admin/payouts/{batch.public_id}", "/admin/payouts?tab=progress"):
        with counted() as few:
            assert finn.get(path).status == 200
        assert len(few) < MOST_QUERIES, path
    export = f"/admin/payouts/{batch.public_id}/export"
    assert len(finn.post(export, {}).body.decode().splitlines()) == 1001
    text = "reference,status\n" + "".join(f"{payout.reference},paid\n" for payout in batch.payouts)
    finn.post(f"/admin/payouts/{batch.public_id}/results", {"text": text, "take": "yes"})
    assert newest().state == BatchState.PAID


def newest():
    from portal.reports import batches
    from portal.reports.batches import Stage

    rows = [*batches.listed(Stage.PROGRESS)[0], *batches.listed(Stage.PAID)[0]]
    return rows[0].batch


def last_shown(page, scene):
    (later,) = [link.get("href") for link in page.tree.all("a") if "after=" in link.get("href")]
    return later.rpartition("=")[2]
