"""Arrivals: how the demo's people come: colleagues, referrers with their links, friends, invites, claims, clicks.

Chance plays a part only in clicks, by a fixed seed.
"""

import random
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from portal import program
from portal.accounts.users import Surroundings
from portal.core.database import session
from portal.demo.people import ALICE, ALONE, COLLEAGUES, FRIENDS, INVITED, OLIVIA, REFERRERS, Friend, Referrer
from portal.demo.storyteller import Step, Storyteller, email
from portal.referrals import claims
from portal.rewards.conversions import Customer, OrderReport
from portal.sharing import links
from portal.sharing.invites import Invite

SEED = 2026


def arrivals(story: Storyteller) -> Iterator[Step]:
    """Everybody who comes, and every visit by those who did not."""
    chance = random.Random(SEED)
    yield from _colleagues(story)
    for referrer in REFERRERS:
        yield from _referrer(story, referrer)
        yield from _passers(story, referrer, chance)
    for friend in FRIENDS:
        yield from _friend(story, friend, chance)
    yield from _alone(story)
    yield from _invites(story)


def _colleagues(story: Storyteller) -> Iterator[Step]:
    for name, role in COLLEAGUES.items():
        if name != OLIVIA:
            yield from _joins(story, name, 91)
            if role is not None:
                yield Step(90.5, partial(story.grant_role, name, role))


def _joins(story: Storyteller, name: str, ago: float, of: str = "") -> Iterator[Step]:
    """Somebody signs up, perhaps by another's code, and confirms an hour later."""

    def signs_up(at: datetime) -> None:
        story.sign_up(name, email(name), at, seen=story.seen(name), typed=story.code(of) if of else "")

    yield Step(ago, signs_up)
    yield Step(ago - 0.04, partial(story.confirm, name))


def _referrer(story: Storyteller, one: Referrer) -> Iterator[Step]:
    def chooses_code(at: datetime) -> None:
        program.choose_code(story.who(ALICE), links.main_link(story.number(ALICE)), "ALICE-7K", at=at)

    if one.name not in COLLEAGUES:
        yield from _joins(story, one.name, one.ago, one.of)
    if one.kind is not None:
        yield Step(one.paid_since or one.ago - 1.2, partial(story.choose_method, one.name, one.kind))
    for label in one.labels:
        yield Step(one.ago - 1.4, partial(story.make_link, one.name, label))
    if one.name == ALICE:
        yield Step(one.ago - 1.3, chooses_code)
    if one.suspended is not None:
        yield Step(one.suspended, partial(story.suspend, one.name))


def _passers(story: Storyteller, one: Referrer, chance: random.Random) -> Iterator[Step]:
    """Visits by people who did not join: more at weekends, more as the program grows."""
    for day in range(int(one.ago) - 3):
        wave = (1.6 if day % 7 in (1, 2) else 0.9) * (1.3 - day / 150)
        for label in ("", *one.labels):
            for _ in range(int(one.clicks * wave * chance.expovariate(1) + 0.5)):
                number = chance.randrange(10**6)
                seen = Surroundings(f"demo-passer-{number:06d}", f"203.0.{number % 256}.0/24", f"passer{number % 97}")
                yield Step(day + chance.random(), partial(story.click_link, one.name, label, seen), click=True)


def _friend(story: Storyteller, one: Friend, chance: random.Random) -> Iterator[Step]:
    seen = story.seen(one.name, near=one.near, visitor=one.visitor)

    def signs_up(at: datetime) -> None:
        typed = story.code(one.of) if one.by == "code" else ""
        story.sign_up(one.name, email(one.name, one.mailbox), at, seen=seen, typed=typed)

    def claims_it(at: datetime) -> None:
        program.claim(story.who(one.name), story.code(one.of), at=at)

    def is_confirmed(at: datetime) -> None:
        (asked,) = claims.of_referee(story.number(one.name))
        program.answer_claim(asked, granted=True, by=story.number(one.of), at=at)

    if one.by == "link":
        for times in range(chance.randint(1, 3)):
            yield Step(one.ago + 0.3 + 0.4 * times, partial(story.click_link, one.of, one.label, seen), click=True)
    yield Step(one.ago, signs_up)
    if one.confirms:
        yield Step(one.ago - 0.03, partial(story.confirm, one.name))
    if one.kind is not None:
        yield Step(one.ago - 1.5, partial(story.choose_method, one.name, one.kind))
    if one.suspended is not None:
        yield Step(one.suspended, partial(story.suspend, one.name))
    if one.by == "claim":
        yield Step(one.ago - 0.2, claims_it)
        yield Step(one.ago - 0.9, is_confirmed)


def _alone(story: Storyteller) -> Iterator[Step]:
    """Who came without a link. The shop tells of one customer with a code, and of an order by one not known yet."""

    def claims_it(at: datetime) -> None:
        program.claim(story.who(ALONE[0][0]), story.code(ALICE), at=at)

    def reported(at: datetime) -> None:
        bruno = Customer("C-2001", email("Bruno"))
        program.report_customer(bruno, name="Bruno Weil", code=story.code("Hugo Martin"), at=at)

    def ordered(at: datetime) -> None:
        program.convert(OrderReport("purchase", "F-1900", Customer("C-2002"), at, 5150, currency="EUR"), at=at)

    for number, (name, ago, amount) in enumerate(ALONE):
        yield from _joins(story, name, ago)
        yield Step(ago - 0.6, partial(story.order, name, f"F-09{number:02d}", amount))
    yield Step(3.1, claims_it)
    yield Step(37, reported)
    yield Step(1.9, ordered)


def _invites(story: Storyteller) -> Iterator[Step]:
    """Alice asks five friends by mail; each of them does something else with it."""
    made: dict[str, Invite] = {}

    def invites(at: datetime) -> None:
        addresses = [email(name) for name in INVITED]
        told = program.invite(story.who(ALICE), addresses, note="Try the dark roast.", at=at)
        made.update({name: one.invite for name, one in zip(INVITED, told, strict=True) if one.invite})

    def opens(name: str, at: datetime) -> None:
        story.click(links.current_code(session.merge(made[name]).link_id), story.seen(name), at)

    def withdraws(at: datetime) -> None:
        program.withdraw_invite(session.merge(made["Zoe Frank"]), by=story.number(ALICE), at=at)

    def declines(at: datetime) -> None:
        program.not_this_person(None, links.current_code(session.merge(made["Nell Ward"]).link_id), at=at)

    yield Step(10.5, invites)
    for name in ("Max Stern", "Sven Dahl"):
        yield Step(9.4, partial(opens, name), click=True)
    yield Step(7.5, withdraws)
    yield Step(7.2, declines)
