"""Invites: one per referrer and address, with a code of its own; who comes by it is known to be the one asked."""

from datetime import timedelta

import pytest

from portal import program, terms
from portal.accounts.users import User
from portal.referrals import referrals
from portal.sharing import clicks, invites, links
from portal.sharing.invites import Answer, Invite, InviteRefused, Told
from tests.factories import Scene


def invite(scene: Scene, *typed: str, by: User | None = None, note: str = "") -> list[Told]:
    who = by or scene.alice
    return scene.do(lambda: program.invite(who, typed, note=note, at=scene.at))


def made(scene: Scene, email: str, *, by: User | None = None) -> Invite:
    (told,) = invite(scene, email, by=by)
    assert told.answer == Answer.ACCEPTED and told.invite is not None
    return told.invite


def test_addresses_are_read_in_every_common_form() -> None:
    pasted = 'bob@example.com, Carol <carol@example.com>; "Ray, Dan" <dan@example.com>\n\n eve@example.com \nfay@a.example gus@b.example\nx y z'
    found = list(invites.addresses(pasted))
    assert [one for one in found if "@" in one] == [
        "bob@example.com", "carol@example.com", "dan@example.com", "eve@example.com", "fay@a.example", "gus@b.example",
    ]  # fmt: skip


@pytest.mark.both_databases
def test_each_address_gets_its_own_answer_and_each_invite_its_own_code(scene: Scene) -> None:
    told = invite(scene, "bob@example.com", "BOB@example.com", "carol@gmial.com", "no address", "alice@example.com")
    assert [one.answer for one in told] == [Answer.ACCEPTED, Answer.MISTYPED, Answer.MISTYPED, Answer.OWN]
    assert told[1].meant == "carol@gmail.com"
    again = invite(scene, "Bob@Example.com", "dora@example.com")
    assert [one.answer for one in again] == [Answer.ALREADY, Answer.ACCEPTED] and again[0].since == scene.at
    codes = {links.current_code(one.invite.link_id) for one in (told[0], again[1]) if one.invite}
    assert len(codes) == 2 and scene.code(scene.alice) not in codes


@pytest.mark.case(36)
def test_ones_own_address_is_not_invited_however_it_is_spelled(scene: Scene) -> None:
    gina = scene.person("Gina", email="gina.g@gmail.com")
    assert [t.answer for t in invite(scene, "ginag+x@googlemail.com", by=gina)] == [Answer.OWN]


@pytest.mark.case(34)
def test_twenty_a_day_and_it_says_when_there_is_room_again(scene: Scene) -> None:
    told = invite(scene, *(f"friend{number}@example.com" for number in range(21)))
    assert [one.answer for one in told].count(Answer.ACCEPTED) == 20
    assert told[-1].answer == Answer.LIMIT and told[-1].since == scene.at + timedelta(days=1)
    scene.later(days=1, seconds=-1)
    assert invite(scene, "friend20@example.com")[0].answer == Answer.LIMIT
    scene.later(seconds=1)
    assert invite(scene, "friend20@example.com")[0].answer == Answer.ACCEPTED


def test_whether_an_address_has_an_account_is_not_told(scene: Scene) -> None:
    assert scene.carol
    told = invite(scene, "carol@example.com", "nobody@example.com")
    assert [one.answer for one in told] == [Answer.ACCEPTED, Answer.ACCEPTED]


def test_who_may_not_invite_is_told_why(scene: Scene) -> None:
    ula = scene.sign_up("Ula")
    with pytest.raises(InviteRefused, match="Confirm"):
        invite(scene, "bob@example.com", by=ula)
    scene.suspend(scene.carol)
    with pytest.raises(InviteRefused, match="paused"):
        invite(scene, "bob@example.com", by=scene.carol)
    scene.publish(state=terms.State.PAUSED)
    with pytest.raises(InviteRefused, match="nobody new"):
        invite(scene, "bob@example.com")


# --- who comes by it ------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_whoever_comes_by_the_invites_link_is_counted_to_it(scene: Scene) -> None:
    one = made(scene, "bob@example.com")
    bob = scene.person("Bob", carried=links.current_code(one.link_id))
    referral = scene.referral(bob)
    assert referral is not None and (referral.referrer_id, referral.link_id) == (scene.alice.id, one.link_id)


@pytest.mark.both_databases
def test_the_invited_address_that_comes_on_its_own_is_counted_to_the_earliest_open_invite(scene: Scene) -> None:
    first = made(scene, "bob@example.com", by=scene.carol)
    scene.later(hours=1)
    second = made(scene, "Bob@example.com")
    scene.later(hours=1)
    bob = scene.person("Bob", email="bob@example.com")
    referral = scene.referral(bob)
    assert referral is not None and (referral.how, referral.link_id) == ("invite", first.link_id)
    assert second.link_id != first.link_id


def test_a_link_that_was_opened_goes_before_an_invite(scene: Scene) -> None:
    made(scene, "bob@example.com", by=scene.carol)
    bob = scene.person("Bob", email="bob@example.com", carried=scene.code(scene.alice))
    referral = scene.referral(bob)
    assert referral is not None and referral.referrer_id == scene.alice.id


@pytest.mark.case(33)
@pytest.mark.both_databases
def test_an_invite_withdrawn_or_declined_credits_nobody(scene: Scene) -> None:
    withdrawn, declined = made(scene, "bob@example.com"), made(scene, "dora@example.com")
    scene.do(lambda: program.withdraw_invite(withdrawn, by=scene.alice.id, at=scene.at))
    code = links.current_code(declined.link_id)
    scene.do(lambda: program.not_this_person(None, code, at=scene.at))
    for email, one in (("bob@example.com", withdrawn), ("dora@example.com", declined)):
        user = scene.person("Friend", email=email, carried=links.current_code(one.link_id))
        assert referrals.of_referee(user.id) is None
    with pytest.raises(InviteRefused, match="ended"):
        scene.do(lambda: program.withdraw_invite(withdrawn, by=scene.alice.id, at=scene.at))


def test_not_this_person_takes_the_touches_away_and_leaves_the_count(scene: Scene) -> None:
    from portal.accounts.users import Surroundings
    from portal.core import database

    visitor = "the-visitor-in-testsA"
    code = scene.code(scene.alice)
    program.follow(code, Surroundings(visitor=visitor), new=True, on=database.quick(), at=scene.at)
    scene.do(lambda: program.not_this_person(visitor, code, at=scene.at))
    assert clicks.touches(visitor, until=scene.at) == []
    assert referrals.of_referee(scene.person("Bob", visitor=visitor).id) is None


def test_somebody_refused_does_not_count_by_an_invite_to_the_address_either(scene: Scene) -> None:
    made(scene, "bob@example.com")
    seen = program.foresee(None, email="bob@example.com", refused=scene.code(scene.alice), at=scene.at)
    assert seen is None and program.foresee(None, email="bob@example.com", at=scene.at) is not None


def test_an_invite_that_ended_is_told_as_such_and_tags_do_not_hide_ones_own_address(scene: Scene) -> None:
    one = made(scene, "bob@example.com")
    scene.do(lambda: program.withdraw_invite(one, by=scene.alice.id, at=scene.at))
    told = invite(scene, "bob@example.com", "alice+friend@example.com")
    assert [each.answer for each in told] == [Answer.ENDED, Answer.OWN]
