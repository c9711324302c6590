"""Results: the bank's answer is read by its lines, checked before it acts, taken whole or not at all, and once."""

import pytest

from portal import program
from portal.core.text import Refusal
from portal.payouts import results
from portal.payouts.methods import Kind
from portal.payouts.payouts import Batch, PayoutRefused
from portal.payouts.results import Outcome, Result, ResultsRefused
from tests.factories import Scene


def exported(scene: Scene, *names: str) -> tuple[Batch, list[str]]:
    """A batch that pays these people 20.00 each, its file taken out, and the references of its payouts."""
    people = [scene.person(name) for name in names]
    for person in people:
        scene.method(person, Kind.CREDIT)
        scene.earns(person, 2000, f"Friend of {person.name}")
    batch = scene.exported_batch()
    return batch, [payout.reference for payout in batch.payouts]


def take(scene: Scene, batch: Batch, text: str) -> tuple[int, int]:
    """Takes a file; how many payments and failures were new."""
    told, faults = results.read(text)
    assert not faults
    by = scene.finn.id
    done = scene.do(lambda: program.take_results(batch, told, by=by, at=scene.at))
    return len(done.paid), len(done.failed)


def faults(batch: Batch, text: str) -> list[str]:
    """What is wrong with a file, line by line."""
    told, found = results.read(text)
    found += results.check(batch, told).faults
    said = [f"{fault.line}: {Refusal(fault.message, **fault.values)}" for fault in found]
    return sorted(said, key=lambda line: int(line.split(":")[0]))


@pytest.mark.both_databases
def test_an_answer_marks_payouts_as_paid_and_failed_and_a_second_time_changes_nothing(scene: Scene) -> None:
    batch, (first, second, third) = exported(scene, "Ada", "Ben", "Cleo")
    ada, ben, _ = (payout.user for payout in batch.payouts)
    text = f'reference,status,reason\n{first},PAID,\n{second.lower()}, Returned ,"Account closed, they say"\n'
    assert take(scene, batch, text) == (1, 1)
    assert scene.balance(ada) == {"paid": 2000} and scene.balance(ben) == {"payable": 2000}
    assert batch.payouts[1].failure == "Account closed, they say" and batch.state == "exported"
    assert len(scene.mails("payout_paid", to=ada)) == len(scene.mails("payout_failed", to=ben)) == 1
    scene.later(days=1)
    assert take(scene, batch, text) == (0, 0)
    assert len(scene.mails("payout_paid")) == len(scene.mails("payout_failed")) == 1
    assert take(scene, batch, text + f"{third},completed,\n") == (1, 0)
    assert batch.state == "partly_paid"


def test_what_is_wrong_names_its_line_and_nothing_of_the_file_is_taken(scene: Scene) -> None:
    batch, (first, second) = exported(scene, "Ada", "Ben")
    scene.pay(batch.payouts[1])
    text = (
        f"\ufeffReference;Amount;Status;Reason\r\n{first};20,00;paid;\r\n\r\n{first};20,00;paid;\r\n"
        f"PO-2026-9999;1;paid;\r\n;1;paid;\r\n{second};1;perhaps;\r\n{second};1;failed;\r\n{second};1;failed;Closed.\r\n"
    )
    assert faults(batch, text) == [
        f"4: {first} stands in line 2 already.",
        "5: PO-2026-9999 is not in this batch.",
        "6: The reference of the payout is missing.",
        "7: “perhaps” is no status: write paid or failed.",
        f"8: Write why {second} failed; the person reads it.",
        f"9: {second} is paid already, and stays so.",
    ]
    wrong = [Result(2, first, Outcome.PAID), Result(3, second, Outcome.FAILED, "Closed.")]
    by = scene.finn.id
    with pytest.raises(ResultsRefused) as refused:
        scene.do(lambda: program.take_results(batch, wrong, by=by, at=scene.at))
    assert [fault.line for fault in refused.value.faults] == [3]
    assert scene.balance(batch.payouts[0].user) == {"in_payout": 2000}


@pytest.mark.parametrize("text", ["", "a", "reference\nPO-1", "status,reason\npaid,", "\x00", "<html>"])
def test_what_is_no_such_file_is_refused(text: str) -> None:
    with pytest.raises(ResultsRefused, match="must name the columns"):
        results.read(text)


def test_a_line_that_is_no_csv_is_named(scene: Scene) -> None:
    batch, (first,) = exported(scene, "Ada")
    assert faults(batch, f"reference,status\n{first},{'x' * 200_000}\n") == ["2: This line is not readable as CSV."]
    assert faults(batch, f'reference,status\n"{first}') == ["2: “” is no status: write paid or failed."]


def test_nothing_is_read_back_before_the_file_is_out_or_of_another_batch(scene: Scene) -> None:
    other, (elsewhere,) = exported(scene, "Ada")
    scene.payable_reward()
    draft = scene.batch()
    mine = draft.payouts[0].reference
    assert faults(draft, f"reference,status\n{mine},paid\n{elsewhere},paid\n") == [
        "2: Export the batch first: its file is what gets paid.",
        f"3: {elsewhere} is not in this batch.",
    ]
    assert other.state == "exported"


def test_a_day_of_payment_is_kept_and_one_that_cannot_be_is_refused(scene: Scene) -> None:
    batch, _ = exported(scene, "Ada")
    out, by = scene.at.date(), scene.finn.id
    scene.later(days=5)
    today = scene.at.date()
    for wrong in (today.replace(year=today.year + 1), out.replace(year=out.year - 1)):
        with pytest.raises(PayoutRefused):
            scene.do(lambda on=wrong: program.pay_batch(batch, by=by, on=on, at=scene.at))  # type: ignore[misc]
    on = out.replace(day=out.day + 2)
    assert scene.do(lambda: program.pay_batch(batch, by=by, bank_reference="B-7", on=on, at=scene.at)) == 1
    (payout,) = batch.payouts
    assert payout.ended_at is not None and payout.ended_at.date() == on
    assert batch.bank_reference == "B-7" and batch.settled_at == scene.at
