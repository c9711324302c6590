"""Corrections: a plus or a minus with a reason, once a form, paid with the rest, explained to whom it concerns."""

from functools import partial

import pytest
import sqlalchemy as sa

from portal.core.database import session
from portal.payouts import payouts
from portal.payouts.drawing import Why
from portal.payouts.methods import Kind
from portal.payouts.payouts import Line
from portal.reports import books
from portal.rewards.corrections import Correction, CorrectionRefused
from tests.factories import Scene
from tests.web.tables import Unchanged

pytestmark = pytest.mark.both_databases


def test_a_plus_and_a_minus_are_paid_with_the_rest_as_lines_of_their_own(scene: Scene) -> None:
    scene.payable_reward()
    scene.correct(scene.alice, 1550, reason="We forgot your bonus.")
    scene.correct(scene.alice, -300, reason="Counted twice in May.")
    assert scene.balance(scene.alice) == {"payable": 3250}
    (payout,) = scene.batch().payouts
    lines = [(line.amount_minor, line.correction and line.correction.reason) for line in payout.lines]
    assert lines == [(2000, None), (1550, "We forgot your bonus."), (-300, "Counted twice in May.")]
    assert payout.amount_minor == 3250 and scene.balance(scene.alice) == {"in_payout": 3250}
    scene.correct(scene.alice, -100)
    assert scene.balance(scene.alice) == {"in_payout": 3250, "payable": -100}, "what stands in a batch stays"
    scene.export(scene.approve_batch(payout.batch))
    scene.pay_batch(payout.batch)
    assert scene.balance(scene.alice) == {"paid": 3250, "payable": -100}


def test_a_payout_that_comes_back_gives_its_corrections_back_once(scene: Scene) -> None:
    scene.method(scene.alice, Kind.CREDIT)
    scene.correct(scene.alice, 3000)
    first = scene.exported_batch().payouts[0]
    assert scene.fail(first) and not scene.fail(first)
    assert scene.balance(scene.alice) == {"payable": 3000}
    draft = scene.batch()
    assert [line.amount_minor for line in draft.payouts[0].lines] == [3000]
    scene.suspend(scene.alice)
    assert scene.balance(scene.alice) == {"payable": 3000} and draft.payouts[0].state == "cancelled"
    scene.readmit(scene.alice)
    scene.cancel(scene.batch())
    scene.pay_batch(scene.exported_batch())
    assert scene.balance(scene.alice) == {"paid": 3000}


def test_a_minus_may_leave_less_than_nothing_and_the_next_reward_makes_up_for_it(scene: Scene) -> None:
    scene.method(scene.alice, Kind.CREDIT)
    scene.correct(scene.alice, -700)
    assert scene.balance(scene.alice) == {"payable": -700} and scene.left_out() == {}
    scene.earns(scene.alice, 2500, "Dora")
    assert scene.left_out() == {"Alice": Why.BELOW_MINIMUM}
    scene.earns(scene.alice, 2500, "Eve")
    assert scene.batch().payouts[0].amount_minor == 4300


def test_one_form_makes_one_correction_and_another_amount_by_it_is_refused(scene: Scene) -> None:
    made = scene.correct(scene.alice, 500, form="once")
    assert made is not None and scene.correct(scene.alice, 500, form="once") is None
    assert scene.balance(scene.alice) == {"payable": 500} and len(scene.mails("balance_corrected")) == 1
    assert scene.bob
    with Unchanged():
        for amount, person, by, reason in (
            (600, scene.alice, scene.finn, "More."),
            (500, scene.bob, scene.finn, "Another."),
        ):
            with pytest.raises(CorrectionRefused, match="This form has made a correction already"):
                scene.correct(person, amount, form="once", by=by, reason=reason)
        for refused, says in (
            (partial(scene.correct, scene.finn, 500), "your own balance"),
            (partial(scene.correct, scene.alice, 0), "above zero"),
            (partial(scene.correct, scene.alice, 10**13), "above zero"),
            (partial(scene.correct, scene.alice, 5, reason=" \n "), "Write why"),
        ):
            with pytest.raises(CorrectionRefused, match=says):
                refused()


def test_its_person_is_told_by_mail_how_much_and_why(scene: Scene) -> None:
    scene.correct(scene.alice, 500, reason="We forgot your bonus.")
    scene.correct(scene.alice, -250, reason="Counted twice.")
    plus, minus = scene.mails("balance_corrected", to=scene.alice)
    assert "€5.00 was added to your balance." in plus.text and "The reason: We forgot your bonus." in plus.text
    assert "€2.50 was taken from your balance." in minus.text and "Counted twice." in minus.text


@pytest.mark.wrecks_the_books
def test_the_check_of_the_books_names_a_correction_that_does_not_fit(scene: Scene) -> None:
    scene.method(scene.alice, Kind.CREDIT)
    made = scene.correct(scene.alice, 3000)
    assert made is not None
    (payout,) = scene.batch().payouts
    name, person, note = made.public_id, made.person_id, made.note_id
    assert list(books.faults()) == []
    scene.do(lambda: session.execute(sa.update(Line).values(amount_minor=2999)))
    found = "\n".join(books.faults())
    assert f"correction {name} of 3000 stands in a payout with 2999" in found
    assert f"payout {payout.reference} is preparing of 3000: its lines sum to 2999" in found
    scene.do(lambda: session.execute(sa.update(Line).values(amount_minor=3000)))
    more = {"form_key": "x", "person_id": person, "amount_minor": -5, "currency": "EUR", "note_id": note}
    scene.do(lambda: session.execute(sa.insert(Correction).values(by_id=scene.finn.id, at=scene.at, **more)))
    assert any("correction 2 is not booked" in fault for fault in books.faults())


def test_the_database_keeps_a_line_about_one_thing_with_its_sign(scene: Scene) -> None:
    scene.method(scene.alice, Kind.CREDIT)
    reward = scene.payable_reward()
    made = scene.correct(scene.alice, 3000)
    assert made is not None
    (payout,) = scene.batch().payouts
    kept = {"payout_id": payout.id, "returned_at": scene.at}
    for row in (
        {"correction_id": made.id, "amount_minor": 3000, "returned_at": None},
        {"correction_id": made.id, "reward_id": reward.id, "amount_minor": 3000},
        {"correction_id": made.id, "amount_minor": 0},
        {"amount_minor": 5},
    ):
        with pytest.raises(sa.exc.IntegrityError):
            scene.do(partial(session.execute, sa.insert(Line).values(**kept | row)))
    assert payouts.live_lines(payout)[-1].correction_id == made.id
