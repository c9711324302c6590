"""Serving: the web server, and the worker's jobs in its process.

SQLite is served by one process, PostgreSQL by as many as there are cores.
"""

import errno
import functools
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Flask

from portal import sweeps
from portal.config import Settings
from portal.core import database
from portal.core.sealed import Box
from portal.delivery import mail, worker
from portal.delivery.calls import Caller
from portal.delivery.endpoints import PURPOSE
from portal.delivery.worker import Job

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler


def jobs(app: Flask, settings: Settings) -> list[Job]:
    """What the worker does, and how often."""
    out = mail.way_out(settings.mail_url, settings.mail_dir)
    sender = settings.mail_from or mail.usual_address(settings.base_url)
    caller = Caller(local=settings.on_loopback)
    send = functools.partial(sweeps.send_mail, out, sender=sender, base_url=settings.base_url)

    def call() -> None:
        sweeps.send_webhooks(caller, keep=Box(settings.details_keys, PURPOSE))

    return [
        Job("send mail", 1, _in(app, send)),
        Job("send webhooks", 1, _in(app, call)),
        Job("forget webhooks", 3600, _in(app, sweeps.forget_webhooks)),
        Job("write mails", 60, _in(app, sweeps.write_mails)),
        Job("forget files", 60, _in(app, functools.partial(sweeps.forget_files, mail.Files(settings.mail_dir)))),
        Job("empty log", 60, _in(app, database.empty_log)),
        Job("approve and release", 20, _in(app, sweeps.approve_and_release)),
        Job("expire", 60, _in(app, sweeps.expire)),
        Job("seal", 5, _in(app, sweeps.seal)),
        Job("roll up", 5, _in(app, sweeps.roll_up)),
        Job("keep time", 10, _in(app, sweeps.keep_time)),
    ]


def _in(app: Flask, run: Callable[[], object]) -> Callable[[], None]:
    """The same, inside the application's context."""

    def inside() -> None:
        with app.app_context():
            run()

    return inside


def start_worker(app: Flask, settings: Settings) -> "BackgroundScheduler":
    """Starts the worker's jobs in this process's background."""
    return worker.start(jobs(app, settings))


def serve(settings: Settings) -> None:
    """Serves until told to stop; what is under way is finished first."""
    # New processes, not forks: a fork would take the worker's threads, connections and SQLite's locks along as they
    # happened to stand (sqlite.org/howtocorrupt.html, "Carrying an open database connection across a fork").
    multiprocessing.set_start_method("spawn", force=True)
    server("wsgi:app", settings).serve()


def port_is_free(settings: Settings, *, patience_s: float = 10) -> bool:
    """Whether nobody listens there. The web server would share the port with whoever does, request by request.

    One that is just being stopped is given `patience_s` to let go.
    """
    until = time.monotonic() + patience_s
    while _is_taken(settings.host, settings.port):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _is_taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE  # any other trouble is the web server's to tell
    return False


def server(app: str, settings: Settings) -> Any:
    """The web server for an application named `module:name`; the benches serve their bare one by it too."""
    from granian import Granian  # here: the processes that answer need it not
    from granian.constants import Interfaces
    from granian.log import LogLevels

    return Granian(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=8,
        respawn_failed_workers=True,
        workers_kill_timeout=20,
        log_level=LogLevels.error,
        log_dictconfig={
            "loggers": {name: {"handlers": [], "propagate": True} for name in ("_granian", "granian.access")}
        },
    )


def end_with_parent() -> None:
    """Has a server's process end when the one that started it is gone: it would go on answering beside the next."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="end with parent").start()
