"""Methods, vouchers and files: how people are paid, and what the bank is handed."""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from portal import terms
from portal.accounts.users import User
from portal.core.database import session
from portal.core.sealed import Box, NotOurs
from portal.payouts import drawing, files, methods, vouchers
from portal.payouts.drawing import Why
from portal.payouts.methods import Kind, MethodRefused
from portal.payouts.payouts import BatchState
from portal.payouts.vouchers import Voucher
from tests.domain.many import many_ready
from tests.factories import IBAN, Scene


def test_details_are_kept_encrypted_and_shown_masked(scene: Scene) -> None:
    method = scene.method(scene.alice)
    assert method.shown == "•••• 3000" and IBAN not in method.details
    assert scene.keep.open(method) == {"holder": "Alice", "iban": IBAN}
    paypal = scene.method(scene.alice, Kind.PAYPAL, email="alice@pay.example")
    assert paypal.shown == "a•••@pay.example" and method.replaced_at == scene.at
    assert methods.in_force(scene.alice.id) is paypal


def test_what_is_sealed_opens_with_its_key_alone_and_unchanged() -> None:
    box = Box("a key", "one purpose")
    sealed = box.seal("a secret")
    assert box.open(sealed) == "a secret" and "secret" not in sealed and box.seal("a secret") != sealed
    raw = bytearray(urlsafe_b64decode(sealed.removeprefix("2.")))
    raw[-1] ^= 1
    changed = "2." + urlsafe_b64encode(bytes(raw)).decode()
    for other, text in (
        (Box("another", "one purpose"), sealed),
        (Box("a key", "another"), sealed),
        (box, changed),
        (box, "2.x"),
    ):
        with pytest.raises(NotOurs):
            other.open(text)


def test_what_was_sealed_before_by_fernet_is_read_and_sealed_anew_when_it_is_set(scene: Scene) -> None:
    method, key = scene.method(scene.alice), scene.app.extensions["settings"].details_key
    method.details = Fernet(key).encrypt(json.dumps({"holder": "Alice", "iban": IBAN}).encode()).decode()
    assert scene.keep.open(method)["iban"] == IBAN
    usual = urlsafe_b64encode(hashlib.sha256(f"two-step\0{key}".encode()).digest())
    assert Box(key, "two-step").open(Fernet(usual).encrypt(b"the app's secret").decode()) == "the app's secret"
    assert scene.method(scene.alice).details.startswith("2.")


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        (Kind.PAYPAL, {}, "email"),
        (Kind.PAYPAL, {"email": "a@x, b@y"}, "email"),
        (Kind.BANK, {"holder": " "}, "holder"),
        (Kind.BANK, {"iban": ""}, "iban"),
        (Kind.BANK, {"iban": "DE89370400440532013001"}, "iban"),
        (Kind.BANK, {"iban": "DE٨٩370400440532013000"}, "iban"),
        (Kind.BANK, {"iban": "DE89"}, "iban"),
    ],
)
def test_details_that_cannot_be_used_are_refused_by_their_field(
    scene: Scene, kind: Kind, given: dict[str, str], field: str
) -> None:
    with pytest.raises(MethodRefused) as refusal:
        scene.method(scene.alice, kind, **given)
    assert refusal.value.field == field and methods.in_force(scene.alice.id) is None


def test_new_details_and_every_change_hold_the_next_payout_for_three_days(scene: Scene) -> None:
    assert scene.method(scene.carol, Kind.VOUCHER).usable_at == scene.at, "no details, nothing changed"
    for kind in (Kind.BANK, Kind.VOUCHER, Kind.CREDIT):
        scene.method(scene.alice, kind)
        scene.earns(scene.alice, 3000, f"Friend by {kind}")
        assert scene.left_out()["Alice"] == Why.METHOD_ON_HOLD, kind
        scene.later(days=3, seconds=-1)
        assert scene.left_out()["Alice"] == Why.METHOD_ON_HOLD, kind
        scene.later(seconds=1)
        assert scene.left_out()["Alice"] in (None, Why.NO_VOUCHERS), kind


@given(pool=st.dictionaries(st.integers(1, 40), st.integers(1, 5), max_size=5), amount_minor=st.integers(1, 200))
def test_vouchers_make_up_an_amount_exactly_wherever_the_pool_can(pool: dict[int, int], amount_minor: int) -> None:
    reachable = {0}
    for value, count in pool.items():
        reachable = {sum_ + value * many for sum_ in reachable for many in range(count + 1)}
    chosen = vouchers.made_up(amount_minor, pool)
    assert (chosen is not None) == (amount_minor in reachable)
    if chosen is not None:
        assert sum(value * count for value, count in chosen.items()) == amount_minor
        assert all(count <= pool[value] for value, count in chosen.items())


@pytest.mark.both_databases
def test_a_pool_of_five_and_fours_makes_eight(scene: Scene) -> None:
    scene.method(scene.alice, Kind.VOUCHER)
    scene.earns(scene.alice, 8000, "Friend")
    for codes, value in ((["five"], 5000), (["four", "vier"], 4000)):
        scene.do(lambda codes=codes, value=value: vouchers.add(codes, value_minor=value, currency="EUR", at=scene.at))
    (payout,) = scene.batch().payouts
    assert [voucher.code for voucher in vouchers.of_payout(payout.id)] == ["four", "vier"]


@pytest.mark.both_databases
def test_vouchers_go_to_one_person_once(scene: Scene) -> None:
    for person in (scene.alice, scene.carol):
        scene.method(person, Kind.VOUCHER)
        scene.earns(person, 3000, f"Friend of {person.name}")
    add = lambda codes: scene.do(lambda: vouchers.add(codes, value_minor=1000, currency="EUR", at=scene.at))  # noqa: E731
    assert (add(["V-1", "V-2", "V-2", " ", "V-3"]), add(["V-3", "V-4"])) == (3, 1)
    batch = scene.exported_batch()
    (payout,) = batch.payouts
    assert [voucher.code for voucher in vouchers.of_payout(payout.id)] == ["V-1", "V-2", "V-3"]
    assert vouchers.pool("EUR") == {1000: 1}
    left_out = drawing.standings(terms.in_force(), at=scene.at)
    assert [standing.why for standing in left_out] == [Why.NO_VOUCHERS], "the pool is too small for the other one"
    scene.pay_batch(batch)
    given = session.scalars(sa.select(Voucher).where(Voucher.given_at.is_not(None)))
    assert sorted(voucher.code for voucher in given) == ["V-1", "V-2", "V-3"]


@pytest.mark.both_databases
def test_vouchers_of_a_payout_that_came_to_nothing_are_free_again(scene: Scene) -> None:
    scene.method(scene.alice, Kind.VOUCHER)
    scene.earns(scene.alice, 2000, "Bob")
    scene.do(lambda: vouchers.add(["V-1", "V-2"], value_minor=1000, currency="EUR", at=scene.at))
    batch = scene.batch()
    assert vouchers.pool("EUR") == {}
    scene.refund(scene.rewards(scene.alice)[0].conversion.external_id, 640)
    assert vouchers.pool("EUR") == {1000: 2} and batch.state == BatchState.CANCELLED
    assert scene.balance(scene.alice) == {"payable": 1800}


@pytest.mark.case(91)
def test_the_file_holds_everybody_paid_with_no_cell_that_a_spreadsheet_would_run(scene: Scene) -> None:
    mallory = scene.person("Mallory", email="mallory@example.com")
    scene.do(lambda: setattr(session.get_one(User, mallory.id), "name", '=HYPERLINK("http://evil","x")'))
    scene.method(mallory, holder="+Mal")
    scene.method(scene.alice, Kind.CREDIT)
    for person in (mallory, scene.alice):
        scene.earns(person, 2000, f"Friend {person.id}")
    scene.later(days=4)
    batch = scene.exported_batch()
    text = files.batch_csv(batch, keep=scene.keep)
    assert text == files.batch_csv(batch, keep=scene.keep), "the same letters every time"
    heading, *rows = text.strip().split("\r\n")
    assert heading == "reference,name,email,method,destination,holder,amount,currency,codes"
    assert any(
        f'"\'=HYPERLINK(""http://evil"",""x"")",mallory@example.com,bank,{IBAN},\'+Mal,20.00,EUR,' in row
        for row in rows
    )
    assert len(rows) == 2
    for cell in ("=1", "+1", "-1", "@x", "\tx", "\rx"):
        assert files.defused(cell) == f"'{cell}"
    assert files.defused("a=1") == "a=1"


@pytest.mark.case(90)
def test_a_batch_of_more_than_500_people_has_every_one_in_its_file(scene: Scene) -> None:
    many_ready(scene, 501)
    rows = files.batch_csv(scene.exported_batch(), keep=scene.keep).strip().split("\r\n")[1:]
    assert len(rows) == len({row.split(",")[0] for row in rows}) == 501
