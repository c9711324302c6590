"""The worker: runs the jobs it is handed, each every so many seconds, until it is told to stop.

Many may run at once, in any process: the jobs lock what they work on. A job that fails is logged and tried again at
its next turn. The worker's last turn is a row, by which `/readyz` tells how far it lags.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import clock, database
from portal.core.database import Model, session

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

log = logging.getLogger(__name__)

LATE_AFTER = timedelta(minutes=2)


class Turn(Model):
    """When a job was last done."""

    __tablename__ = "worker_turns"

    id: Mapped[int] = database.key()
    job: Mapped[str] = mapped_column(sa.String(40), unique=True)
    at: Mapped[datetime]


@dataclass(frozen=True)
class Job:
    """Something to do every `seconds`; `run` opens its own writes."""

    name: str
    seconds: int
    run: Callable[[], None]


def note_turn(job: str, *, at: datetime) -> None:
    """Notes that a job was done."""
    if not session.execute(sa.update(Turn).where(Turn.job == job).values(at=at).returning(Turn.id)).scalar():
        database.insert_once(Turn, job=job, at=at)


def last_turn(job: str) -> datetime | None:
    """When a job was last done."""
    return session.scalar(sa.select(Turn.at).where(Turn.job == job))


def is_late(turn: datetime | None, *, at: datetime) -> bool:
    """Whether a worker whose last turn was then is not at work."""
    return turn is None or at - turn >= LATE_AFTER


def start(jobs: Sequence[Job]) -> "BackgroundScheduler":
    """Starts the jobs in the background, each at once; `shutdown()` of what comes back waits for those under way."""
    from apscheduler.schedulers.background import BackgroundScheduler  # here: processes that answer need it not

    scheduler = BackgroundScheduler(timezone="UTC")
    for job in jobs:
        scheduler.add_job(
            _guarded(job), "interval", seconds=job.seconds, id=job.name, max_instances=1, coalesce=True,
            misfire_grace_time=None, next_run_time=clock.now(),
        )  # fmt: skip
    scheduler.start()
    return scheduler


def _guarded(job: Job) -> Callable[[], None]:
    def run() -> None:
        try:
            job.run()
        except Exception:
            log.exception("job %s failed and is tried again in %s s", job.name, job.seconds)

    return run
