"""The invariants that hold after every test, asked of the tables themselves and not of the code that writes them.

1 one referral per referee; 2 one reward per rule, conversion and person; 3 every balance shown is the sum of its
transfers; 4 a line stands in at most one live payout; 5 a payout is the sum of its lines; 6 every change of state
has a line in the history. (7, no answer of 5xx, is kept where pages are asked for.)
"""

from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa

from portal.accounts.audit import AuditEntry
from portal.core import clock
from portal.core.database import session
from portal.payouts.payouts import Batch, BatchState, Line, Payout
from portal.payouts.payouts import State as PayoutState
from portal.referrals.referrals import Referral
from portal.reports import books, referrer
from portal.rewards import ledger
from portal.rewards.decisions import Decision
from portal.rewards.ledger import Transfer
from portal.rewards.rewards import Reward, State


def check() -> None:
    """Fails with every fault found."""
    found = [*books.faults(), *faults()]
    assert not found, "\n".join(found)


def faults() -> Iterator[str]:
    """What of the invariants does not hold."""
    yield from _doubles("a referee has two referrals", Referral.referee_id)
    yield from _doubles("a reward is there twice", Reward.rule_key, Reward.conversion_id, Reward.person_id)
    yield from _balances()
    live = Line.returned_at.is_(None)
    yield from _doubles("a reward stands in two lines", Line.reward_id, where=live & Line.reward_id.is_not(None))
    yield from _doubles("a clawback stands in two lines", Line.clawback_id, where=live & Line.clawback_id.is_not(None))
    yield from _doubles(
        "a correction stands in two lines", Line.correction_id, where=live & Line.correction_id.is_not(None)
    )
    yield from _payouts()
    yield from _history()


def _doubles(
    what: str, *columns: sa.orm.InstrumentedAttribute[int], where: sa.ColumnElement[bool] | None = None
) -> Iterator[str]:
    query = sa.select(*columns).group_by(*columns).having(sa.func.count() > 1)
    for row in session.execute(query if where is None else query.where(where)):
        yield f"{what}: {tuple(row)}"


def _balances() -> Iterator[str]:
    sums: Counter[tuple[int, str, str]] = Counter()
    for moved in session.scalars(sa.select(Transfer)):
        sums[moved.user_id, moved.currency, moved.from_bucket] -= moved.amount_minor
        sums[moved.user_id, moved.currency, moved.to_bucket] += moved.amount_minor
    for user_id, currency in {(user_id, currency) for user_id, currency, _ in sums}:
        here = {bucket: sums[user_id, currency, bucket] for bucket in ledger.Bucket}
        if ledger.balances(user_id, currency) != here:
            yield f"user {user_id}: balances differ from the sum of transfers {here}"
        shown = referrer.credits(user_id, currency, at=clock.now())
        waiting = here["pending"] + here["approved"] + here["in_payout"]
        if (shown.ready_minor, shown.on_its_way_minor, shown.paid_minor) != (here["payable"], waiting, here["paid"]):
            yield f"user {user_id}: {shown} is not {here}"


def _payouts() -> Iterator[str]:
    for payout in session.scalars(sa.select(Payout)):
        lines = [line for line in payout.lines if line.returned_at is None]
        ended = payout.state in (PayoutState.FAILED, PayoutState.CANCELLED)
        if sum(line.amount_minor for line in lines) != (0 if ended else payout.amount_minor):
            yield f"payout {payout.reference} is not the sum of its lines"
        if any(line.person_id != payout.user_id for line in lines):
            yield f"payout {payout.reference} holds somebody else's line"


LAST_WORD = {
    State.APPROVED: {"reward_approve", "reward_taken_up"},
    State.REJECTED: {"reward_reject"},
    State.PAID: {"reward_approve", "reward_taken_up"},
    State.REVERSED: {"reward_reversed"},
    State.PENDING: {"reward_undo", "reward_taken_up", None},
}
"""By state: the last thing the history says about a reward, what leaves its state apart."""

ASIDE = {"reward_clawback", "reward_given_again", "hold_lengthened"}
BY_REFUNDS = {"reward_reversed", "reward_taken_up"}


def _history() -> Iterator[str]:
    told: dict[tuple[str, str], list[str]] = {}
    for entry in session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id)):
        told.setdefault((entry.subject_kind, entry.subject_id), []).append(entry.verb)
    for number, name, state in session.execute(sa.select(Reward.id, Reward.public_id, Reward.state)):
        verbs = [verb for verb in told.get(("reward", name), []) if verb not in ASIDE]
        if (verbs[-1] if verbs else None) not in LAST_WORD[State(state)]:
            yield f"reward {number} is {state}, the history says {verbs}"
        decided = session.scalars(
            sa.select(Decision.verdict).where(Decision.reward_id == number).order_by(Decision.number)
        )
        if [f"reward_{verdict}" for verdict in decided] != [verb for verb in verbs if verb not in BY_REFUNDS]:
            yield f"reward {number}: the decisions differ from the history {verbs}"
    for name, state in session.execute(sa.select(Payout.public_id, Payout.state)):
        ended = state in (PayoutState.PAID, PayoutState.FAILED, PayoutState.CANCELLED)
        if told.get(("payout", name), []) != [f"payout_{state}"] * ended:
            yield f"payout {name} is {state}, the history says {told.get(('payout', name))}"
    for name, state, approved_at, exported_at in session.execute(
        sa.select(Batch.public_id, Batch.state, Batch.approved_at, Batch.exported_at)
    ):
        settled = state in (BatchState.PAID, BatchState.PARTLY_PAID, BatchState.CANCELLED)
        wanted = ["batch_made"] + ["batch_approved"] * bool(approved_at) + ["batch_exported"] * bool(exported_at)
        if told.get(("batch", name), []) != wanted + [f"batch_{state}"] * settled:
            yield f"batch {name} is {state}, the history says {told.get(('batch', name), [])}"
        if state in (BatchState.PAID, BatchState.PARTLY_PAID) and not exported_at:
            yield f"batch {name} is {state} and was never exported"
    for name, expired_at in session.execute(sa.select(Referral.public_id, Referral.expired_at)):
        if expired_at and "referral_expired" not in told.get(("referral", name), []):
            yield f"referral {name} is expired, the history does not say so"
