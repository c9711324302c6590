"""The API as a shop uses it: each call of the contract by its good path, with a real key, and who is kept out."""

import pytest

from portal.accounts import api_keys, audit
from portal.core import clock, database
from portal.rewards import goals
from tests.web.keys import PROBLEM, Shop, fields, new_key
from tests.web.tables import SEEN, Unchanged


@pytest.fixture
def shop(app, scene):
    """The program's shop, with its key."""
    return Shop(app)


GETS = ("referrals", "rewards", "payouts")


# --- who gets in ----------------------------------------------------------------------------------------------


@pytest.mark.case(107, 109)
def test_without_a_live_key_the_answer_is_401_and_nothing_is_stored(app, scene, subtests):
    alice = scene.alice.public_id
    with Unchanged():
        for secret in ("", "rp_wrong", "rp_" + "a" * 5000, "r\xe9", "null", "Bearer"):
            stranger = Shop(app, secret=secret)
            with subtests.test(secret[:10]):
                for answer in (
                    stranger.customer(), stranger.order(), stranger.refund(), stranger.get(f"users/{alice}/balance"),
                    *(stranger.get(what) for what in GETS),
                ):  # fmt: skip
                    assert answer.status_code == 401
                    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.case(109)
def test_a_revoked_key_is_out_at_once(shop, scene):
    assert shop.get("referrals").status_code == 200
    (key,), olivia = api_keys.listed(), scene.olivia.id
    with database.writing():
        api_keys.revoke(key.public_id, by=olivia, at=clock.now())
    with Unchanged():
        assert shop.customer().status_code == 401
        assert shop.get("referrals").status_code == 401


def test_a_key_counts_only_as_a_bearer(app, scene, subtests):
    secret = new_key()
    shop = Shop(app, secret="")
    for scheme in ("Basic {}", "{}", "Token {}", "bearer", "Bearer  ", "Bearer x{}"):
        with subtests.test(scheme):
            said = {"Authorization": scheme.format(secret)}
            assert shop.open("GET", "/api/v1/rewards", headers=said).status_code == 401


def test_the_word_bearer_is_read_in_any_case(app, scene):
    secret, shop = new_key(), Shop(app, secret="")
    assert shop.open("GET", "/api/v1/rewards", headers={"Authorization": f"bearer {secret}"}).status_code == 200


@pytest.mark.case(107)
def test_a_signed_in_owner_without_a_key_is_nobody_to_the_api(app, scene, tab_of):
    olivia = tab_of(scene.olivia)
    with Unchanged(*SEEN):
        answer = olivia.open("/api/v1/rewards")
        assert (answer.status, answer.headers["Content-Type"]) == (401, PROBLEM)
        assert olivia.open("/api/v1/customers", method="POST", json={}).status == 401


# --- customers ------------------------------------------------------------------------------------------------


@pytest.mark.case(108)
def test_a_new_customer_is_201_and_the_same_again_200(shop, scene):
    made = shop.customer(name="Bob", code=scene.code(scene.alice).upper())
    again = shop.customer(name="Bob", code=scene.code(scene.alice))
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json == again.json
    assert made.json["external_id"] == "c-1"
    assert made.json["referral"]["referrer"] == scene.alice.public_id


@pytest.mark.case(25)
def test_a_customer_without_a_code_has_no_referral(shop):
    answer = shop.customer()
    assert (answer.status_code, answer.json["referral"]) == (201, None)


@pytest.mark.case(21)
def test_a_customer_with_an_unknown_code_is_taken_without_a_referral(shop):
    answer = shop.customer(code="nobody-has-this")
    assert (answer.status_code, answer.json["referral"]) == (201, None)
    assert "leads to nobody" in answer.json["note"]


def test_a_customer_who_was_there_before_alice_was_is_kept_with_that_day(shop, scene):
    answer = shop.customer(signed_up_at="2025-01-01T00:00:00+02:00", code=scene.code(scene.alice))
    assert answer.status_code == 201


# --- conversions ----------------------------------------------------------------------------------------------


@pytest.mark.case(53, 108)
def test_an_order_is_201_with_its_rewards_and_the_same_again_200_with_the_same_ids(shop, scene):
    shop.customer(code=scene.code(scene.alice))
    scene.later(minutes=1)
    made, again = shop.order(), shop.order()
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json == again.json
    (reward,) = made.json["rewards"]
    assert (reward["amount_minor"], reward["currency"], reward["state"]) == (2000, "EUR", "pending")
    assert reward["user"] == scene.alice.public_id
    assert reward["hold_until"].endswith("Z")
    assert made.json["state"] == "applied"


def test_the_same_order_again_tells_the_present_state(shop, scene):
    shop.customer(code=scene.code(scene.alice))
    scene.later(minutes=1)
    shop.order()
    scene.approve(scene.reward(scene.alice))
    (reward,) = shop.order().json["rewards"]
    assert reward["state"] == "approved"


def test_an_order_by_address_finds_the_person(shop, scene):
    bob = scene.bob
    answer = shop.order(customer={"email": "BOB@Example.com"}, occurred_at=scene.at.isoformat())
    assert (answer.status_code, answer.json["rewards"][0]["beneficiary"]) == (201, "referrer")
    assert answer.json["referral"] == scene.referral(bob).public_id


def test_an_order_without_a_currency_is_in_the_programs(shop):
    shop.customer()
    answer = shop.order(currency=None)
    assert (answer.status_code, answer.json["currency"]) == (201, "EUR")


def test_an_order_of_an_unknown_customer_is_202_and_applied_when_the_customer_is_told(shop, scene):
    code = scene.code(scene.alice)
    early = shop.order(occurred_at="2026-09-01T11:59:00Z")
    assert (early.status_code, early.json["rewards"]) == (202, [])
    assert shop.order(occurred_at="2026-09-01T11:59:00Z").status_code == 202
    shop.customer(code=code, signed_up_at="2026-09-01T11:00:00Z")
    now = shop.order(occurred_at="2026-09-01T11:59:00Z")
    assert (now.status_code, now.json["state"], len(now.json["rewards"])) == (200, "applied", 1)
    assert now.json["id"] == early.json["id"]


def test_the_same_id_with_other_facts_is_409_and_changes_nothing(shop, scene, subtests):
    with database.writing():
        goals.add("visit", label="visit", has_amount=False)
    shop.customer(code=scene.code(scene.alice))
    shop.customer("c-2", "dora@example.com")
    scene.later(minutes=1)
    shop.order()
    with Unchanged("disagreements", *SEEN):
        for other in (
            {"amount_minor": 6401}, {"customer": {"external_id": "c-2"}},
            {"amount_minor": None, "currency": None, "goal": "visit"},
        ):  # fmt: skip
            with subtests.test(str(other)):
                answer = shop.order(**other)
                assert (answer.status_code, answer.content_type) == (409, PROBLEM)
                assert "Nothing was changed" in answer.get_json(force=True)["detail"]


# --- refunds --------------------------------------------------------------------------------------------------


@pytest.mark.case(94, 98)
def test_a_refund_is_201_and_the_same_again_200(shop, scene):
    shop.customer(code=scene.code(scene.alice))
    scene.later(minutes=1)
    shop.order()
    made, again = shop.refund(), shop.refund()
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json == again.json
    assert made.json["conversion"]["rewards"][0]["state"] == "reversed"
    assert scene.balance(scene.alice) == {}


@pytest.mark.case(97)
def test_a_part_given_back_takes_back_that_part(shop, scene):
    shop.customer(code=scene.code(scene.alice))
    scene.later(minutes=1)
    shop.order()
    (reward,) = shop.refund(amount_minor=1600).json["conversion"]["rewards"]
    assert (reward["state"], reward["taken_back_minor"]) == ("pending", 500)


@pytest.mark.case(99, 100)
def test_a_refund_before_its_order_is_202_and_counts_when_the_order_comes(shop, scene):
    assert shop.refund(amount_minor=1600).status_code == 202
    assert shop.refund(amount_minor=1600).status_code == 202
    shop.customer(code=scene.code(scene.alice))
    scene.later(minutes=1)
    (reward,) = shop.order().json["rewards"]
    assert reward["taken_back_minor"] == 500
    assert shop.refund(amount_minor=1600).status_code == 200


def test_the_same_refund_with_another_amount_is_409(shop):
    shop.customer()
    shop.order()
    shop.refund(amount_minor=100)
    with Unchanged(*SEEN):
        assert shop.refund(amount_minor=101).status_code == 409


@pytest.mark.case(101)
def test_a_chargeback_takes_back_and_a_won_dispute_gives_again_once(shop, scene):
    shop.customer(code=scene.code(scene.alice))
    scene.later(minutes=1)
    shop.order()
    made = shop.refund(reason="chargeback")
    assert (made.status_code, made.json["reason"], made.json["stands"]) == (201, "chargeback", True)
    assert made.json["conversion"]["rewards"][0]["state"] == "reversed"
    assert shop.refund(reason="chargeback").json == made.json
    won = [shop.reinstate() for _ in range(3)]
    assert [answer.status_code for answer in won] == [201, 200, 200] and won[0].json == won[2].json
    (reward,) = won[0].json["refund"]["conversion"]["rewards"]
    assert (reward["state"], reward["taken_back_minor"]) == ("pending", 0)
    assert shop.refund(reason="chargeback").json["stands"] is False
    assert scene.balance(scene.alice) == {"pending": 2000}


@pytest.mark.case(101)
def test_a_dispute_won_before_the_chargeback_or_the_order_is_told_is_202_until_then(shop, scene):
    assert shop.reinstate().status_code == 202
    assert shop.reinstate().json["refund"] is None
    assert shop.refund(reason="chargeback").status_code == 202
    assert shop.reinstate().status_code == 202
    shop.customer(code=scene.code(scene.alice))
    scene.later(minutes=1)
    (reward,) = shop.order().json["rewards"]
    assert (reward["state"], reward["taken_back_minor"]) == ("pending", 0)
    assert shop.reinstate().status_code == 200


@pytest.mark.case(101)
def test_the_same_refund_for_another_reason_is_409_and_an_unknown_reason_422(shop):
    shop.customer()
    shop.order()
    shop.refund(reason="refund")
    with Unchanged(*SEEN):
        assert shop.refund().status_code == 200, "a refund is what it is if nothing is said"
        assert shop.refund(reason="chargeback").status_code == 409
        for wrong in ("Chargeback", "", "dispute", 1, ["refund"], {}):
            assert fields(shop.refund("r-2", reason=wrong)) == {"reason"}
        for wrong in ("", "x" * 129, 5, [], " r", "r\n"):
            assert fields(shop.post("reinstatements", refund_external_id=wrong)) == {"refund_external_id"}
        assert fields(shop.post("reinstatements")) == {"refund_external_id"}
        assert fields(shop.post("reinstatements", refund_external_id="r-1", amount_minor=5)) == {"amount_minor"}


# --- asked ----------------------------------------------------------------------------------------------------


def test_a_balance_is_the_sum_of_its_transfers(shop, scene):
    scene.pending_reward()
    answer = shop.get(f"users/{scene.alice.public_id}/balance")
    assert answer.status_code == 200
    assert answer.json == {
        "user": scene.alice.public_id, "currency": "EUR", "pending_minor": 2000, "approved_minor": 0,
        "payable_minor": 0, "in_payout_minor": 0, "paid_minor": 0,
    }  # fmt: skip


def test_nobodys_balance_is_404(shop):
    for wanted in ("a", "a" * 5000, "%ff", "1"):
        assert shop.get(f"users/{wanted}/balance").status_code == 404
    assert shop.get("users/%00/balance").status_code == 400


def test_lists_are_read_page_by_page_without_a_gap_or_a_double(shop, scene):
    for number in range(7):
        shop.customer(f"c-{number}", f"friend{number}@example.com", code=scene.code(scene.alice))
    scene.later(minutes=1)
    for number in range(7):
        shop.order(f"o-{number}", customer={"external_id": f"c-{number}"})
    for what in ("referrals", "rewards"):
        seen, cursor = [], None
        for _ in range(4):
            answer = shop.get(what, limit=3, **({"cursor": cursor} if cursor else {})).json
            seen += [one["id"] for one in answer["data"]]
            assert len(answer["data"]) <= 3
            cursor = answer["next_cursor"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 7
        assert [one["id"] for one in shop.get(what).json["data"]] == seen


def test_payouts_are_told_to_the_shop(shop, scene):
    scene.paid_reward()
    (payout,) = shop.get("payouts").json["data"]
    assert (payout["amount_minor"], payout["state"], payout["method"]) == (2000, "paid", "bank")
    assert "iban" not in str(payout).lower()


@pytest.mark.both_databases
def test_a_page_of_no_size_or_from_nowhere_is_422(shop, subtests):
    for limit in ("0", "201", "-1", "1_0", "x", "", "1.0", "٣", "9" * 40):
        with subtests.test(f"limit {limit}"):
            assert fields(shop.get("rewards", limit=limit)) == {"limit"}
    for cursor in ("x", "1", "a" * 5000, "'; DROP TABLE rewards"):
        with subtests.test(f"cursor {cursor[:20]}"):
            assert fields(shop.get("rewards", cursor=cursor)) == {"cursor"}
    assert shop.get("rewards", cursor="\x00").status_code == 400


# --- a key changed over ---------------------------------------------------------------------------------------


def test_a_rotated_key_works_on_for_a_day_and_its_successor_from_now_on(app, scene, tab_of):
    shop, olivia = Shop(app), tab_of(scene.olivia)
    page = olivia.press("/admin/developers", "/rotation$")
    (field,) = [one for one in page.tree.all("input") if one.get("id") == "secret"]
    after = Shop(app, secret=field.get("value"))
    assert "Works until" in page.main and after.secret != shop.secret
    scene.later(hours=23)
    assert (shop.get("rewards").status_code, after.get("rewards").status_code) == (200, 200)
    scene.later(hours=2)
    assert (shop.get("rewards").status_code, after.get("rewards").status_code) == (401, 200)
    assert "Ended" in olivia.get("/admin/developers").main


def test_the_key_of_before_can_be_revoked_at_once_and_none_is_rotated_twice(app, scene, tab_of):
    shop, olivia = Shop(app), tab_of(scene.olivia)
    (before,) = api_keys.listed()
    path = f"/admin/developers/keys/{before.public_id}"
    olivia.post(f"{path}/rotation", {})
    page = olivia.post(f"{path}/rotation", {}, follow=True)
    assert "rotated or revoked already" in page.main and len(api_keys.listed()) == 2
    olivia.post(f"{path}/revocation", {})
    assert shop.get("rewards").status_code == 401
    page = olivia.post(f"{path}/revocation", {}, follow=True)
    assert "Olivia did that already, on " in page.main and "The key is revoked." not in page.main
    assert [one.verb for one in audit.about("api_key", before.public_id)].count("api_key_revoked") == 1
    for unknown in ("nothing", "a" * 5000, "%ff"):
        for act in ("rotation", "revocation"):
            assert olivia.post(f"/admin/developers/keys/{unknown}/{act}", {}).status == 404
    olivia.post(f"{path}/rotation", {}, follow=True)
    assert len(api_keys.listed()) == 2
