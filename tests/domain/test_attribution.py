"""Attribution: which touch earns the friend, in the order that the page of terms publishes."""

from datetime import timedelta

import pytest

from portal import program, terms
from portal.accounts.users import NOWHERE
from portal.core import database
from portal.core.database import session
from portal.referrals import attribution, candidates, referrals
from portal.referrals.attribution import Attribution, How
from portal.sharing.clicks import Click
from tests.factories import Scene

VISITOR = "the-visitor-in-testsA"


@pytest.mark.case(14, 23)
def test_whoever_signs_up_in_the_browser_that_clicked_is_the_referrers_friend(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    assert scene.came_by(VISITOR) == ("Alice", How.LAST_TOUCH)
    session.expire_all()
    assert session.query(referrals.Referral).count() == 1


@pytest.mark.case(15)
def test_the_friend_may_take_a_day_and_other_peoples_cookies_do_not_matter(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    scene.click(scene.carol, "some-other-visitor-B")
    scene.later(days=1)
    assert scene.came_by(VISITOR) == ("Alice", How.LAST_TOUCH)


@pytest.mark.case(16)
@pytest.mark.parametrize(
    ("touch", "expected"),
    [(terms.Touch.LAST, ("Carol", How.LAST_TOUCH)), (terms.Touch.FIRST, ("Alice", How.FIRST_TOUCH))],
)
def test_of_two_links_the_terms_say_whether_the_first_or_the_last_earns(
    scene: Scene, touch: terms.Touch, expected: tuple[str, str]
) -> None:
    scene.publish(touch=touch)
    scene.click(scene.alice, VISITOR)
    scene.later(minutes=10)
    scene.click(scene.carol, VISITOR)
    assert scene.came_by(VISITOR) == expected
    referral = scene.referral(scene.sign_up("Bob"))
    loser = scene.code(scene.carol if touch == terms.Touch.FIRST else scene.alice)
    assert referral is not None
    assert [(w["code"], w["why"]) for w in referral.weighed] == [
        (loser, "later" if touch == terms.Touch.FIRST else "earlier")
    ]


@pytest.mark.case(16)
def test_a_link_opened_again_is_the_last_touch_again(scene: Scene) -> None:
    for who in (scene.alice, scene.carol, scene.alice):
        scene.click(who, VISITOR)
        scene.later(minutes=10)
    assert scene.came_by(VISITOR) == ("Alice", How.LAST_TOUCH)


@pytest.mark.case(17)
@pytest.mark.parametrize(
    ("after", "credited"),
    [
        (timedelta(days=29), True),
        (timedelta(days=30), True),
        (timedelta(days=30, microseconds=1), False),
        (timedelta(days=31), False),
    ],
)
def test_a_click_counts_up_to_the_end_of_its_window(scene: Scene, after: timedelta, credited: bool) -> None:
    scene.publish(window_days=30)
    scene.click(scene.alice, VISITOR)
    scene.at += after
    assert scene.came_by(VISITOR) == (("Alice", How.LAST_TOUCH) if credited else None)


@pytest.mark.case(17)
def test_a_window_of_days_is_hours_and_not_the_calendar_when_the_clocks_change(scene: Scene) -> None:
    # Berlin put its clocks back on 25 October 2026: 2 days by the calendar are 49 hours there.
    scene.publish(window_days=2, time_zone="Europe/Berlin")
    scene.at = scene.at.replace(month=10, day=24, hour=10)
    scene.click(scene.alice, VISITOR)
    scene.later(hours=48, microseconds=1)
    assert scene.came_by(VISITOR) is None


@pytest.mark.case(17)
def test_a_first_touch_outside_the_window_gives_way_to_the_next_inside(scene: Scene) -> None:
    scene.publish(window_days=30, touch=terms.Touch.FIRST)
    scene.click(scene.alice, VISITOR)
    scene.later(days=20)
    scene.click(scene.carol, VISITOR)
    scene.later(days=20)
    assert scene.came_by(VISITOR) == ("Carol", How.FIRST_TOUCH)


@pytest.mark.case(16, 17)
def test_the_first_touch_inside_the_window_may_be_a_later_visit_of_a_link_first_opened_long_ago(scene: Scene) -> None:
    scene.publish(window_days=30, touch=terms.Touch.FIRST)
    for who, wait in ((scene.alice, 40), (scene.alice, 2), (scene.carol, 2)):
        scene.click(who, VISITOR)
        scene.later(days=wait)
    assert scene.came_by(VISITOR) == ("Alice", How.FIRST_TOUCH)
    referral = scene.referral(scene.sign_up("Bob"))
    assert referral is not None
    assert (referral.touched_at, len(referral.weighed)) == (scene.at - timedelta(days=4), 1)


@pytest.mark.case(18, 19)
def test_once_somebodys_friend_always_that_somebodys_friend(scene: Scene) -> None:
    bob = scene.bob
    scene.click(scene.carol, VISITOR)
    scene.sign_up("Bob", visitor=VISITOR, carried=scene.code(scene.carol))
    scene.order(bob)
    referral = scene.referral(bob)
    assert referral is not None and referral.referrer_id == scene.alice.id
    assert scene.rewards(scene.carol) == [] and len(scene.rewards(scene.alice)) == 1


@pytest.mark.case(20)
def test_a_typed_code_goes_before_the_cookie_and_says_so(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    bob = scene.sign_up("Bob", visitor=VISITOR, typed=scene.code(scene.carol))
    referral = scene.referral(bob)
    assert referral is not None
    assert (referral.referrer_id, referral.how) == (scene.carol.id, How.CODE)
    assert [(w["code"], w["why"]) for w in referral.weighed] == [(scene.code(scene.alice), "typed")]


@pytest.mark.case(21)
def test_a_typed_code_that_nobody_has_never_wipes_out_a_good_touch(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    bob = scene.sign_up("Bob", visitor=VISITOR, typed="no-such-code")
    referral = scene.referral(bob)
    assert referral is not None and referral.referrer_id == scene.alice.id
    assert candidates.by_code("no-such-code", at=scene.at) is None  # by which the page tells the friend


@pytest.mark.case(21, 25)
def test_an_unknown_code_alone_leaves_an_account_that_is_nobodys_friend(scene: Scene) -> None:
    bob = scene.sign_up("Bob", typed="no-such-code", carried="nor-this")
    assert bob.name == "Bob" and scene.referral(bob) is None


@pytest.mark.case(22)
@pytest.mark.parametrize("change", [str.upper, str.title, "  {}\t".format, "{}/".format, " {}/ ".format])
def test_a_typed_code_is_read_whatever_its_case_and_the_spaces_around_it(scene: Scene, change) -> None:  # type: ignore[no-untyped-def]
    bob = scene.sign_up("Bob", typed=change(scene.code(scene.alice)))
    referral = scene.referral(bob)
    assert referral is not None and (referral.referrer_id, referral.how) == (scene.alice.id, How.CODE)
    assert referral.code == scene.code(scene.alice)


@pytest.mark.case(12)
def test_without_a_cookie_the_code_in_the_form_is_a_touch_and_not_a_typed_code(scene: Scene) -> None:
    bob = scene.sign_up("Bob", carried=scene.code(scene.alice))
    referral = scene.referral(bob)
    assert referral is not None and (referral.referrer_id, referral.how) == (scene.alice.id, How.LAST_TOUCH)


def test_a_code_in_the_form_is_no_newer_than_the_touch_of_the_same_link(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    scene.later(minutes=5)
    scene.click(scene.carol, VISITOR)
    scene.later(minutes=5)
    bob = scene.sign_up("Bob", visitor=VISITOR, carried=scene.code(scene.alice))
    referral = scene.referral(bob)
    assert referral is not None and referral.referrer_id == scene.carol.id


def test_what_was_weighed_survives_the_way_through_a_confirmation(scene: Scene) -> None:
    scene.click(scene.alice, VISITOR)
    scene.click(scene.carol, VISITOR)
    with database.writing():
        outcome = program.foresee(VISITOR, at=scene.at)
    assert outcome is not None
    assert Attribution.from_json(outcome.as_json()) == outcome


def test_nothing_to_decide_on_is_nobody(scene: Scene) -> None:
    assert attribution.decide(typed=None, touches=[], touch=terms.Touch.LAST, window_days=60, at=scene.at) is None
    assert program.foresee(None, at=scene.at) is None
    assert program.foresee("a-visitor-who-never-w", at=scene.at) is None
    assert session.query(Click).count() == 0
    assert scene.sign_up("Bob", seen=NOWHERE).name == "Bob"
