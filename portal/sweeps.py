"""Sweeps: the jobs the worker runs: send mails and webhooks, approve what the terms allow, release holds, expire, seal,
count.

Each may run in many processes at once: what it works on is locked or claimed. They need the context of an app.
"""

import logging
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta

from portal import program, terms
from portal.core import clock, database
from portal.core.sealed import Box, NotOurs
from portal.core.text import marked
from portal.delivery import endpoints, mail, outbox, webhooks, worker
from portal.delivery.calls import Caller, NotCalled, Outcome
from portal.delivery.mail import Away, Line, Sender, Undeliverable, WayOut
from portal.delivery.webhooks import Ready, Webhook
from portal.reports import rollups
from portal.rewards import ledger

log = logging.getLogger(__name__)

AWAY = timedelta(seconds=20)
"""How soon it is tried again when the way out does not work: no mail waits longer because of it."""


OFF = timedelta(minutes=1)
"""How soon it is looked again whether invites go out."""


def send_mail(way_out: WayOut, *, sender: str, base_url: str) -> int:
    """Sends what is due; gives how many went out. The database is free while a mail is on its way."""
    gone = 0
    while True:
        with database.writing():
            claimed = outbox.claim(at=clock.now())
            current = terms.current()
            by = Sender(current.program_name if current else "Referral portal", sender, base_url)
            for message in claimed:
                database.session.expunge(message)
        if not claimed:
            return gone
        went, going = _send_all(claimed, way_out, by)
        gone += went
        if not going:
            return gone


def _send_all(claimed: list[outbox.Message], way_out: WayOut, by: Sender) -> tuple[int, bool]:
    """Sends what was claimed, while the lease lasts; gives how many went out, and whether to go on."""
    gone, begun = 0, clock.now()
    with way_out.opened() as line:
        for number, message in enumerate(claimed):
            left = [one.id for one in claimed[number:]]
            if clock.now() > begun + outbox.LEASE / 2:  # a slow server: what is left is for whoever is free
                with database.writing():
                    outbox.give_back(left, due_at=clock.now())
                return gone, True
            try:
                gone += _send(message, line, by)
            except Away as trouble:
                log.warning("mail waits: %s", trouble)
                with database.writing():
                    outbox.give_back(left, due_at=clock.now() + AWAY, trouble=str(trouble))
                return gone, False
    return gone, True


def _send(message: outbox.Message, line: Line, by: Sender) -> int:
    why = program.unwanted(message, at=clock.now()) if message.stop else None
    database.session.rollback()
    if why == program.KeptBack.OFF:  # it goes out when the switch is on again
        with database.writing():
            outbox.give_back([message.id], due_at=clock.now() + OFF)
        return 0
    if why:
        with database.writing():
            outbox.withhold(message.id, why, at=clock.now())
        return 0
    try:
        line.send(message, mail.compose(message, by))
    except Undeliverable as trouble:
        with database.writing():
            outbox.failed(message.id, str(trouble), at=clock.now(), for_good=trouble.for_good)
            if trouble.bounced:
                program.came_back(message.to_hash, at=clock.now())
        return 0
    with database.writing():
        outbox.sent(message.id, at=clock.now())
    return 1


def send_webhooks(caller: Caller, *, keep: Box) -> int:
    """Sends the webhooks that are due, some at once; gives how many arrived. The database is free meanwhile. A slow
    receiver keeps others waiting for ten seconds at most, and then rests as long."""
    arrived = 0
    while True:
        with database.writing():
            ready = [_ready(one, keep) for one in webhooks.claim(at=clock.now())]
        if not ready:
            return arrived
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as threads:
            under_way = {threads.submit(_call, caller, one): one.number for one in ready}
            for done in as_completed(under_way):
                with database.writing():
                    program.note_webhook(under_way[done], done.result(), at=clock.now())
                arrived += done.result().arrived


AT_ONCE = 8
"""So many webhooks are on their way at once."""


def _ready(one: Webhook, keep: Box) -> Ready:
    try:
        secrets = endpoints.signing(one.endpoint, keep=keep, at=clock.now())
    except NotOurs:
        secrets = []
    return Ready(one.id, one.public_id, one.endpoint.url, one.body.encode(), secrets)


ANOTHER_KEY = marked("Its secret was kept by another key than the portal has now: make a new one.")


def _call(caller: Caller, ready: Ready) -> Outcome:
    if not ready.secrets:
        return Outcome(0, trouble=NotCalled(ANOTHER_KEY))
    return caller.post(ready.url, ready.headers(at=clock.now()), ready.body)


def forget_webhooks() -> int:
    """Deletes webhooks that have been over for a month; gives how many."""
    with database.writing():
        return webhooks.forget_old(at=clock.now())


def write_mails() -> int:
    """Writes what nobody's act causes: reminders of invites, the colleagues' digest and the summaries of a month that
    is over; deletes addresses whose time is over. Gives how many it did."""
    at, done = clock.now(), 0
    if terms.current() is None:
        return 0
    for job in (program.remind_invited, program.write_digests, program.write_summaries, program.purge_invites):
        with database.writing():
            done += job(at=at)
    return done


def forget_files(files: mail.Files) -> int:
    """Deletes the files of mails whose addressee has the address deleted; gives how many."""
    names, emptied = files.names(), set[str]()
    for start in range(0, len(names), 500):
        emptied |= outbox.forgotten(names[start : start + 500])
    database.session.rollback()
    files.forget(emptied)
    return len(emptied)


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
        return program.expire_due(at=clock.now())


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
