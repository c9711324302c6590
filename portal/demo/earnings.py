"""Earnings: what the demo's friends order and give back, what is decided about it, and how it is paid."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from portal import program
from portal.core.database import session
from portal.demo.people import BATCHES, FINN, FRIENDS, OLIVIA, RITA, VOUCHERS, Friend, Run
from portal.demo.storyteller import Step, Storyteller
from portal.payouts.payouts import Batch
from portal.rewards.decisions import Reason

TOLD = {
    Reason.EXISTING_CUSTOMER: "A referral counts for somebody who was not a customer before.",
    Reason.DUPLICATE: "This order was counted for another reward.",
    Reason.TEST_ORDER: "The order was only a test.",
    Reason.ABUSE: "This does not keep to the terms of the program.",
}
"""What the referrer reads: the texts that the portal brings along."""


def orders(story: Storyteller) -> Iterator[Step]:
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
            if friend.disputed:
                charged_back, won = friend.disputed
                yield Step(charged_back, partial(story.charge_back, order, f"{order}-D"))
                if won is not None:
                    yield Step(won, partial(story.win, f"{order}-D"))


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


def payouts(story: Storyteller) -> Iterator[Step]:
    """The pool of vouchers, and every batch."""
    yield Step(88, partial(_vouchers, story))
    for run in BATCHES:
        yield from _batch(story, run)


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
