"""Accounts: keys that work once, sign-ins that end, roles, API keys, addresses."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from portal import program
from portal.accounts import api_keys, one_time, roles, sign_ins, users
from portal.accounts.one_time import Purpose
from portal.accounts.roles import MAY, Role
from portal.accounts.sign_ins import IDLE, LONGEST, SignIn
from portal.accounts.users import NOWHERE, BadAddress, User
from portal.core.database import session
from tests.domain.racing import at_once
from tests.factories import Scene

# --- one-time keys --------------------------------------------------------------------------------------------


def test_a_key_works_once_and_is_kept_only_as_a_hash(scene: Scene) -> None:
    alice = scene.alice.id
    secret = scene.do(lambda: one_time.make(Purpose.RESET, alice, at=scene.at))
    kept = session.scalars(sa.select(one_time.OneTimeKey.token_hash)).all()
    assert secret not in kept and len(secret) >= 43
    use = lambda: scene.do(lambda: one_time.use(Purpose.RESET, secret, at=scene.at))  # noqa: E731
    assert use() is not None and use() is None


@pytest.mark.both_databases
def test_twenty_who_press_the_same_link_at_once_are_one(scene: Scene) -> None:
    alice = scene.alice.id
    for _ in range(4):
        secret = scene.do(lambda: one_time.make(Purpose.RESET, alice, at=scene.at))
        used = at_once(scene, [lambda: one_time.use(Purpose.RESET, secret, at=scene.at) is not None] * 20)  # noqa: B023
        assert used.count(True) == 1 and used.count(False) == 19


@pytest.mark.parametrize("purpose", [Purpose.RESET, Purpose.SET_UP])
def test_a_newer_key_ends_the_older_ones_of_its_kind_and_person(scene: Scene, purpose: Purpose) -> None:
    alice, carol = (None, None) if purpose == Purpose.SET_UP else (scene.alice.id, scene.carol.id)
    first = scene.do(lambda: one_time.make(purpose, alice, at=scene.at))
    other = scene.do(lambda: one_time.make(Purpose.RESET, carol, at=scene.at)) if carol else ""
    second = scene.do(lambda: one_time.make(purpose, alice, at=scene.at))
    assert scene.do(lambda: one_time.use(purpose, first, at=scene.at)) is None
    assert scene.do(lambda: one_time.use(purpose, second, at=scene.at)) is not None
    assert not carol or scene.do(lambda: one_time.use(Purpose.RESET, other, at=scene.at)) is not None


@pytest.mark.parametrize(("purpose", "lasts"), one_time.LASTS.items())
def test_a_key_lasts_to_its_last_moment(scene: Scene, purpose: Purpose, lasts: timedelta) -> None:
    alice = scene.alice.id
    late, in_time = (scene.do(lambda: one_time.make(Purpose.CONFIRM, alice, at=scene.at)) for _ in range(2))
    if purpose != Purpose.CONFIRM:
        in_time = late = scene.do(lambda: one_time.make(purpose, alice, at=scene.at))
    scene.at += lasts + timedelta(microseconds=1)
    assert scene.do(lambda: one_time.use(purpose, late, at=scene.at)) is None
    scene.at -= timedelta(microseconds=1)
    assert scene.do(lambda: one_time.use(purpose, in_time, at=scene.at)) is not None


def test_a_key_is_for_one_purpose(scene: Scene) -> None:
    secret = scene.do(lambda: one_time.make(Purpose.CONFIRM, scene.alice.id, at=scene.at)) if scene.alice else ""
    assert scene.do(lambda: one_time.use(Purpose.RESET, secret, at=scene.at)) is None
    for nonsense in ("", "x", secret + "x", "\x00", "x" * 10_000):
        assert scene.do(lambda text=nonsense: one_time.use(Purpose.CONFIRM, text, at=scene.at)) is None  # type: ignore[misc]


def test_a_confirmation_takes_effect_once_and_ends_every_other_link(scene: Scene) -> None:
    bob = scene.sign_up("Bob", password="a stranger's")
    strangers = scene.secret_for(bob)
    scene.later(minutes=1)
    scene.sign_up("Bob", password="Bob's own")
    assert scene.confirm(bob) is not None and bob.password == "Bob's own"
    assert scene.do(lambda: program.confirm(strangers, at=scene.at)) is None, "the stranger's link is dead"
    assert bob.password == "Bob's own"


def test_a_confirmed_password_of_ones_own_signs_the_stranger_out(scene: Scene) -> None:
    bob = scene.sign_up("Bob", password="a stranger's")
    stranger = scene.do(lambda: sign_ins.start(bob.id, surroundings=NOWHERE, at=scene.at))
    scene.sign_up("Bob", password="Bob's own")
    scene.confirm(bob)
    assert sign_ins.find(stranger, at=scene.at) is None


def test_a_new_password_by_mail_signs_everybody_out_and_is_told(scene: Scene) -> None:
    alice = scene.alice
    thief = scene.do(lambda: sign_ins.start(alice.id, surroundings=NOWHERE, at=scene.at))
    secret = scene.do(lambda: one_time.make(Purpose.RESET, alice.id, at=scene.at))
    assert scene.do(lambda: program.set_password(secret, "new", at=scene.at))
    assert not scene.do(lambda: program.set_password(secret, "newer", at=scene.at))
    assert alice.password == "new" and sign_ins.find(thief, at=scene.at) is None
    assert len(scene.mails("password_changed", to=alice)) == 1


# --- sign-ins -------------------------------------------------------------------------------------------------


def test_a_sign_in_ends_when_it_is_ended_idle_or_old(scene: Scene) -> None:
    alice = scene.alice.id
    start = lambda: scene.do(lambda: sign_ins.start(alice, surroundings=NOWHERE, at=scene.at))  # noqa: E731
    first, second, third = start(), start(), start()
    assert first not in session.scalars(sa.select(SignIn.token_hash)).all()
    scene.do(lambda: sign_ins.end(first, at=scene.at))
    assert sign_ins.find(first, at=scene.at) is None and sign_ins.find(second, at=scene.at) is not None
    scene.do(lambda: sign_ins.end_all(alice, at=scene.at, but=third))
    assert sign_ins.find(second, at=scene.at) is None and sign_ins.find(third, at=scene.at) is not None

    began = scene.at
    assert sign_ins.find(third, at=began + IDLE) is not None
    assert sign_ins.find(third, at=began + IDLE + timedelta(microseconds=1)) is None
    for day in range(1, 31):
        found = sign_ins.find(third, at=began + timedelta(days=day))
        assert found is not None
        scene.do(lambda number=found.id, at=began + timedelta(days=day): sign_ins.see(number, at=at))  # type: ignore[misc]
    assert sign_ins.find(third, at=began + LONGEST + timedelta(microseconds=1)) is None


def test_last_seen_is_written_at_most_once_a_minute(scene: Scene) -> None:
    alice, began = scene.alice.id, scene.at
    secret = scene.do(lambda: sign_ins.start(alice, surroundings=NOWHERE, at=scene.at))
    found = sign_ins.find(secret, at=scene.at)
    assert found is not None
    for seconds, seen in ((30, 0), (60, 0), (61, 61), (100, 61)):
        at = began + timedelta(seconds=seconds)
        scene.do(lambda moment=at: sign_ins.see(found.id, at=moment))  # type: ignore[misc]
        assert found.last_seen_at == began + timedelta(seconds=seen)


# --- roles and API keys ---------------------------------------------------------------------------------------


@pytest.mark.case(111)
def test_each_role_may_what_the_table_says(scene: Scene) -> None:
    expected = {
        None: set(),
        Role.VIEWER: {"read"},
        Role.REVIEWER: {"read", "decide"},
        Role.FINANCE: {"read", "pay"},
        Role.OWNER: {"read", "decide", "pay", "own"},
    }
    for role, may in expected.items():
        person = scene.colleague(f"With {role}", role) if role else scene.alice
        assert {permission for permission in MAY if person.may(permission)} == may


def test_a_role_taken_away_and_an_account_shut_out_may_nothing_more(scene: Scene) -> None:
    scene.do(lambda: roles.withdraw(scene.rita.id, Role.REVIEWER)) if scene.rita else None
    session.expire_all()
    assert not scene.rita.may("decide")
    scene.do(lambda: setattr(session.get_one(User, scene.finn.id), "shut_out_at", scene.at)) if scene.finn else None
    assert not scene.finn.may("pay") and not scene.finn.active


@pytest.mark.both_databases
def test_a_role_is_granted_once(scene: Scene) -> None:
    rita = scene.rita.id
    scene.do(lambda: roles.grant(rita, Role.REVIEWER, by=None, at=scene.at))
    assert roles.holders("decide") == [rita]


@pytest.mark.case(109)
def test_a_key_is_found_until_it_is_revoked_and_kept_only_as_a_hash(scene: Scene) -> None:
    olivia = scene.olivia.id
    secret = scene.do(lambda: api_keys.make("Shop", by=olivia, at=scene.at))
    key = api_keys.find(secret, at=scene.at)
    assert key is not None and secret not in (key.token_hash, key.hint) and secret.startswith(key.hint)
    assert [api_keys.find(wrong, at=scene.at) for wrong in ("", "rp_", secret[:-1], secret + "x", key.token_hash)] == [
        None
    ] * 5
    scene.do(lambda: api_keys.see(key.id, at=scene.at))
    assert key.used_at == scene.at
    for did in (True, False):
        assert scene.do(lambda: api_keys.revoke(key.public_id, by=olivia, at=scene.at)) is did
    assert api_keys.find(secret, at=scene.at) is None


# --- the first owner ------------------------------------------------------------------------------------------


def test_the_first_owner_may_everything_and_a_known_person_becomes_one_with_a_new_password(scene: Scene) -> None:
    assert scene.olivia.may("own") and scene.olivia.confirmed_at == scene.at
    alice = scene.alice
    thief = scene.do(lambda: sign_ins.start(alice.id, surroundings=NOWHERE, at=scene.at))
    made = scene.do(lambda: program.add_owner("ALICE@example.com", name="", password="new", at=scene.at))
    assert made.id == alice.id and alice.password == "new" and alice.name == "Alice" and alice.may("own")
    assert sign_ins.find(thief, at=scene.at) is None


# --- addresses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["", "bob", "@x.example", "bob@", "bob@x", "a@x.example, b@y.example", "bob@exa mple.com", "bob@x..example",
     "bob\x00@x.example", "x" * 400 + "@x.example", "bob@-x.example", "<bob@x.example>",
     "bob@x.example\nCc: y@z.example"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadAddress):
        users.clean_email(address)


@pytest.mark.parametrize(
    ("address", "reserved"),
    [("x@y.test", "y.test"), ("boss@Shop.LOCAL ", "shop.local"), ("me@localhost", "localhost"), ("test", ""),
     ("a@b.test, c@d.example", ""), ("x@mytest", ""), ("x@", "")],
)  # fmt: skip
def test_an_address_that_no_mail_can_reach_is_told_why(address: str, reserved: str) -> None:
    with pytest.raises(BadAddress) as refused:
        users.clean_email(address)
    assert str(refused.value).startswith(f"No mail reaches {reserved}:" if reserved else "Enter an e-mail like")


@pytest.mark.both_databases
def test_an_address_is_there_once_by_lower_case(scene: Scene) -> None:
    alice = scene.alice
    for spelling in ("ALICE@example.com", "alice@EXAMPLE.com"):
        assert scene.do(lambda text=spelling: users.add(email=text, at=scene.at)) is None  # type: ignore[misc]
        found = users.find_by_email(spelling)
        assert found is not None and found.id == alice.id


@pytest.mark.case(110)
def test_a_friend_is_read_by_first_name_or_masked(scene: Scene) -> None:
    bob = scene.person("Bob Bold", email="bob@example.com")
    assert bob.as_friend == "Bob"
    scene.do(lambda: setattr(session.get_one(User, bob.id), "shows_name", False))
    assert bob.as_friend == "b•••@example.com"
