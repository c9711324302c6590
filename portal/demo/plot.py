"""The plot: turns the demo's people into steps, each at its day: clicks, sign-ups, orders, decisions, payouts.

Chance plays a part only in clicks and in the hour of a thing, by a fixed seed.
"""

import random
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from portal import program
from portal.accounts.users import Surroundings
from portal.core.database import session
from portal.demo.people import (
    ALICE, ALONE, BATCHES, BEGAN, COLLEAGUES, FINN, FRIENDS, INVITED, OLIVIA, REFERRERS, RITA, VOUCHERS,
    Friend, Referrer, Run,
)  # fmt: skip
from portal.demo.storyteller import Step, Storyteller
from portal.payouts.payouts import Batch
from portal.referrals import claims, referrals
from portal.rewards.conversions import Customer
from portal.rewards.rewards import Reason
from portal.rewards.rules import Rule
from portal.sharing import links
from portal.sharing.invites import Invite

SEED = 2026

TOLD = {
    Reason.EXISTING_CUSTOMER: "A referral counts for somebody who was not a customer before.",
    Reason.DUPLICATE: "This order was counted for another reward.",
    Reason.TEST_ORDER: "The order was only a test.",
    Reason.ABUSE: "This does not keep to the terms of the program.",
}
"""What the referrer reads: the texts that the portal brings along."""

SETTINGS = {
    "program_name": "Fernhill Coffee",
    "currency": "EUR",
    "time_zone": "Europe/Berlin",
    "goal_days": 45,
    "minimum_payout_minor": 1000,
    "second_person_above_minor": 1500,
    "shop_url": "https://shop.demo.example.com",
    "legal_text": "New customers only. One gift per household. Orders that are given back earn nothing.",
    "help_contact": "help@demo.example.com",
}


def steps(story: Storyteller) -> Iterator[Step]:
    """Everything that happens, in any order."""
    chance = random.Random(SEED)
    yield Step(BEGAN, partial(_open, story))
    yield from _colleagues(story)
    for referrer in REFERRERS:
        yield from _referrer(story, referrer)
        yield from _clicks(story, referrer, chance)
    for friend in FRIENDS:
        yield from _friend(story, friend, chance)
    yield from _alone(story)
    yield from _invites(story)
    yield from _orders(story)
    yield Step(88, partial(_vouchers, story))
    for run in BATCHES:
        yield from _batch(story, run)
    for day in range(BEGAN):
        yield Step(day + 0.01, _turn_of_the_worker)


def _open(story: Storyteller, at: datetime) -> None:
    program.mark_as_sample(at=at)
    olivia = program.add_owner(email(OLIVIA), name=OLIVIA, password=story.password, at=at)
    story.known(olivia)
    fixed = {"goal": "purchase", "kind": "fixed", "amount_minor": 1000, "minimum_order_minor": 3000, "hold_days": 14}
    offer = [Rule(beneficiary=side, **fixed) for side in ("referee", "referrer")]
    program.open_program(offer, by=olivia.id, at=at, **SETTINGS)


def _turn_of_the_worker(at: datetime) -> None:
    program.release_due(at=at)
    referrals.expire_due(at=at)


def email(name: str, mailbox: str = "") -> str:
    """Somebody's address."""
    if mailbox and mailbox != Friend.mailbox:
        return f"{name.lower().replace(' ', '.')}@{mailbox}"
    return f"{name.split()[0].lower()}@{'demo.example.com' if name in COLLEAGUES else Friend.mailbox}"


# --- people ---------------------------------------------------------------------------------------------------


def _colleagues(story: Storyteller) -> Iterator[Step]:
    for name, role in COLLEAGUES.items():
        if name != OLIVIA:
            yield from _joins(story, name, 91)
        if role is not None and name != OLIVIA:
            yield Step(90.5, lambda at, name=name, role=role: program.grant_role(
                story.who(name), role, by=story.number(OLIVIA), at=at))  # type: ignore[misc] # fmt: skip


def _joins(story: Storyteller, name: str, ago: float, of: str = "") -> Iterator[Step]:
    """Somebody signs up, perhaps by another's code, and confirms an hour later."""

    def signs_up(at: datetime) -> None:
        story.sign_up(name, email(name), at, seen=story.seen(name), typed=story.code(of) if of else "")

    yield Step(ago, signs_up)
    yield Step(ago - 0.04, partial(story.confirm, name))


def _referrer(story: Storyteller, one: Referrer) -> Iterator[Step]:
    if one.name not in COLLEAGUES:
        yield from _joins(story, one.name, one.ago, one.of)
    if one.kind is not None:
        yield Step(one.paid_since or one.ago - 1.2, partial(story.choose_method, one.name, one.kind))
    for label in one.labels:
        yield Step(one.ago - 1.4, partial(story.make_link, one.name, label))
    if one.name == ALICE:
        yield Step(one.ago - 1.3, lambda at: program.choose_code(
            story.who(ALICE), links.main_link(story.number(ALICE)), "ALICE-7K", at=at))  # fmt: skip
    if one.suspended is not None:
        yield _suspends(story, one.name, one.suspended)


def _suspends(story: Storyteller, name: str, ago: float) -> Step:
    return Step(ago, lambda at: program.suspend(
        story.who(name), by=story.number(OLIVIA), note="Several accounts; asked by mail, no answer yet.", at=at))  # fmt: skip


def _clicks(story: Storyteller, one: Referrer, chance: random.Random) -> Iterator[Step]:
    """Visits by people who did not join: more at weekends, more as the program grows."""
    for day in range(int(one.ago) - 3):
        wave = (1.6 if day % 7 in (1, 2) else 0.9) * (1.3 - day / 150)
        for label in ("", *one.labels):
            for _ in range(int(one.clicks * wave * chance.expovariate(1) + 0.5)):
                number = chance.randrange(10**6)
                seen = Surroundings(f"demo-passer-{number:06d}", f"203.0.{number % 256}.0/24", f"passer{number % 97}")
                yield Step(day + chance.random(), partial(_opens, story, one.name, label, seen), click=True)


def _opens(story: Storyteller, name: str, label: str, seen: Surroundings, at: datetime) -> None:
    story.click(story.code(name, label), seen, at)


def _friend(story: Storyteller, one: Friend, chance: random.Random) -> Iterator[Step]:
    def signs_up(at: datetime) -> None:
        typed = story.code(one.of) if one.by == "code" else ""
        seen = story.seen(one.name, near=one.near, visitor=one.visitor)
        story.sign_up(one.name, email(one.name, one.mailbox), at, seen=seen, typed=typed)

    if one.by == "link":
        for times in range(chance.randint(1, 3)):
            yield Step(one.ago + 0.3 + 0.4 * times, lambda at: story.click(
                story.code(one.of, one.label), story.seen(one.name, near=one.near, visitor=one.visitor), at), click=True)  # fmt: skip
    yield Step(one.ago, signs_up)
    if one.confirms:
        yield Step(one.ago - 0.03, partial(story.confirm, one.name))
    if one.kind is not None:
        yield Step(one.ago - 1.5, partial(story.choose_method, one.name, one.kind))
    if one.suspended is not None:
        yield _suspends(story, one.name, one.suspended)
    if one.by == "claim":
        yield Step(one.ago - 0.2, lambda at: program.claim(story.who(one.name), story.code(one.of), at=at))
        yield Step(one.ago - 0.9, lambda at: program.answer_claim(
            claims.asked_of(story.number(one.of))[0], granted=True, by=story.number(one.of), at=at))  # fmt: skip


def _alone(story: Storyteller) -> Iterator[Step]:
    for number, (name, ago, amount) in enumerate(ALONE):
        yield from _joins(story, name, ago)
        yield Step(ago - 0.6, partial(story.order, name, f"F-09{number:02d}", amount))
    yield Step(3.1, lambda at: program.claim(story.who(ALONE[0][0]), story.code(ALICE), at=at))
    # The shop told of a customer with a code, and of an order by somebody whom the portal has not heard of.
    yield Step(37, lambda at: program.report_customer(
        Customer("C-2001", "bruno@demo.example.net"), name="Bruno Weil", code=story.code("Hugo Martin"), at=at))  # fmt: skip
    yield Step(1.9, lambda at: program.convert(program.OrderReport(
        "purchase", "F-1900", Customer("C-2002"), at, 5150, currency="EUR"), at=at))  # fmt: skip


def _invites(story: Storyteller) -> Iterator[Step]:
    made: dict[str, Invite] = {}

    def invites(at: datetime) -> None:
        addresses = [f"{name}@{Friend.mailbox}" for name in INVITED]
        for name, told in zip(
            INVITED, program.invite(story.who(ALICE), addresses, note="Try the dark roast.", at=at), strict=True
        ):
            assert told.invite is not None
            made[name] = told.invite

    def opens(name: str, seen: str, at: datetime) -> None:
        story.click(links.current_code(made[name].link_id), story.seen(seen), at)

    def declines(at: datetime) -> None:
        program.not_this_person(None, links.current_code(made["nell.ward"].link_id), at=at)

    yield Step(10.5, invites)
    yield Step(9.4, partial(opens, "max.stern", "Max Stern"), click=True)
    yield Step(9.3, partial(opens, "sven", "Sven Dahl"), click=True)
    yield Step(7.5, lambda at: program.withdraw_invite(
        session.merge(made["zoe.frank"]), by=story.number(ALICE), at=at))  # fmt: skip
    yield Step(7.2, declines)


# --- orders ---------------------------------------------------------------------------------------------------


def _orders(story: Storyteller) -> Iterator[Step]:
    """Every order with what follows from it, numbered as they came in."""
    placed = sorted(
        ((ago, amount, friend, place) for friend in FRIENDS for place, (ago, amount) in enumerate(friend.orders)),
        key=lambda order: -order[0],
    )
    for number, (ago, amount, friend, place) in enumerate(placed, start=1001):
        order = f"F-{number}"
        yield Step(ago, partial(story.order, friend.name, order, amount))
        if place == 0:
            yield from _decisions(story, friend, order, ago)
            for given_back, part in friend.refunds:
                yield Step(given_back, partial(story.refund, order, f"{order}-R", part))


def _decisions(story: Storyteller, friend: Friend, order: str, ordered: float) -> Iterator[Step]:
    if friend.decided is None:
        return

    def approve(at: datetime) -> None:
        for reward in story.of_order(order):
            program.approve(reward.id, by=story.number(RITA), at=at)

    def reject(at: datetime) -> None:
        assert friend.rejected is not None
        for reward in story.of_order(order):
            program.reject(reward.id, by=story.number(RITA), reason=friend.rejected, told=TOLD[friend.rejected], at=at)

    def undo(at: datetime) -> None:
        for reward in story.of_order(order):
            program.undo(reward.id, by=story.number(RITA), note="The shop asked to look at the delivery first.", at=at)

    def appeal(at: datetime) -> None:
        (mine,) = (reward for reward in story.of_order(order) if reward.person_id == story.number(friend.of))
        program.appeal(mine, friend.appeal, by=story.number(friend.of), at=at)

    decided = ordered - friend.decided
    yield Step(decided, reject if friend.rejected else approve)
    if friend.undone:
        yield Step(decided - 0.4, undo)
        yield Step(decided - 3, approve)
    if friend.appeal:
        yield Step(3.4, appeal)


# --- payouts --------------------------------------------------------------------------------------------------


def _batch(story: Storyteller, run: Run) -> Iterator[Step]:
    drawn: list[int] = []
    finn, olivia = partial(story.number, FINN), partial(story.number, OLIVIA)

    def batch() -> Batch:
        return session.get_one(Batch, drawn[0])

    def draws(at: datetime) -> None:
        only = [story.who(name).public_id for name in run.only] or None
        drawn.append(program.draw_batch(by=finn(), at=at, only=only).id)

    def pays(at: datetime) -> None:
        for payout in batch().payouts:
            if payout.user.name in run.failures:
                program.fail(payout, failure=run.failures[payout.user.name], by=finn(), at=at)
        program.pay_batch(batch(), by=finn(), bank_reference=f"SEPA {batch().reference[-4:]}", at=at)

    yield Step(run.ago, draws)
    if run.ends == "cancelled":
        yield Step(run.ago - 0.1, lambda at: program.cancel_batch(batch(), by=finn(), at=at))
    if run.ends in ("approved", "exported", "paid"):
        yield Step(run.ago - 0.2, lambda at: program.approve_batch(batch(), by=olivia(), at=at))
    if run.ends in ("exported", "paid"):
        yield Step(run.ago - 0.3, lambda at: program.export_batch(batch(), by=finn(), at=at))
    if run.ends == "paid":
        yield Step(run.ago - 2, pays)


def _vouchers(story: Storyteller, at: datetime) -> None:
    for value, many in VOUCHERS.items():
        codes = [f"FERN-{value // 100}-{number:03d}" for number in range(1, many + 1)]
        program.add_vouchers(codes, value_minor=value, currency="EUR", by=story.number(OLIVIA), at=at)
