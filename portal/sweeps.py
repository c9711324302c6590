"""Sweeps: the jobs the worker runs: send what is due, approve what the terms allow, release holds, expire, seal, count.

Each may run in many processes at once: what it works on is locked or claimed. They need the context of an app.
"""

from urllib.parse import urlsplit

from portal import program, terms
from portal.core import clock, database
from portal.delivery import mail, outbox, worker
from portal.delivery.mail import Files, Undeliverable
from portal.referrals import referrals
from portal.reports import rollups
from portal.rewards import ledger


def send_mail(way_out: Files, *, base_url: str) -> int:
    """Sends what is due; gives how many went out. The database is free while a mail is on its way."""
    gone = 0
    while True:
        with database.writing():
            claimed = outbox.claim(at=clock.now())
            current = terms.current()
            sender = current.program_name if current else "Referral portal"
            for message in claimed:
                database.session.expunge(message)
        if not claimed:
            return gone
        for message in claimed:
            gone += _send(message, way_out, sender=sender, host=urlsplit(base_url).hostname or "localhost")


def _send(message: outbox.Message, way_out: Files, *, sender: str, host: str) -> int:
    try:
        way_out.send(message, mail.compose(message, sender_name=sender, host=host, at=message.made_at))
    except Undeliverable as trouble:
        with database.writing():
            outbox.failed(message.id, str(trouble), at=clock.now(), for_good=trouble.for_good)
        return 0
    with database.writing():
        outbox.sent(message.id, at=clock.now())
    return 1


def approve_and_release() -> int:
    """Approves what the terms allow, then makes ready what was held; gives how many rewards moved."""
    at = clock.now()
    with database.writing():
        approved = program.approve_by_terms(at=at)
    with database.writing():
        return approved + program.release_due(at=at)


def expire() -> int:
    """Marks referrals whose goal was not reached in time; gives how many."""
    with database.writing():
        return referrals.expire_due(at=clock.now())


def seal() -> int:
    """Seals the transfers that have no seal yet; gives how many."""
    with database.writing():
        return ledger.seal()


def roll_up() -> int:
    """Brings the daily figures up to date, a short write at a time; gives how many it took."""
    current, at = terms.current(), clock.now()
    if current is None:
        return 0
    zone, steps = current.time_zone, 0
    while rollups.due(zone, at=at):
        with database.writing():
            steps += rollups.step(zone, at=at)
    return steps


def keep_time() -> None:
    """Notes that the worker lives, for `/readyz`."""
    with database.writing():
        worker.note_turn("worker", at=clock.now())
