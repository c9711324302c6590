"""A primary and its standby: two PostgreSQL servers on ports of the loopback, of which the second takes over.

The standby is a synchronous one: COMMIT is answered when both have it (PostgreSQL's documentation, 26.2.8, "Synchronous
Replication"). Whoever connects names both, and is led to the one that can be written.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.portals import children
from tests.mailserver import free_port
from tests.postgres import UNHURRIED, Postgres

PATIENCE = 60.0
SETTINGS = (*UNHURRIED, "wal_retrieve_retry_interval=100ms")


class Server:
    """One PostgreSQL: its folder, its port, and its processes."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self.programs, self.account = postgres.programs, postgres.account
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """An empty one."""
        self._run("initdb", "--no-sync", "--auth=trust", "--encoding=utf8", "-U", "postgres", "-D", str(self.folder))

    def copy(self, primary: "Server") -> None:
        """What the primary holds, to follow it from there; whatever was here is gone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._run(
            "pg_basebackup", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres", "-D", str(self.folder),
            "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync",
        )  # fmt: skip

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.folder), "-p", str(self.port), "-h", "127.0.0.1",
                 "-k", "", *settings],
                cwd=self.folder, user=self.account, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        """As `systemctl stop` does: connections are ended, everything is written."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """kill -9, all of its processes at once."""
        assert self.process is not None
        for number in (self.process.pid, *children(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._end(signal.SIGKILL)
        # The dead leave a bit of shared memory behind, which nobody would free when their folder is gone.
        named = (self.folder / "postmaster.pid").read_text().splitlines()[6].split()
        subprocess.run(["ipcrm", "-m", named[1]], check=False, capture_output=True)

    def _end(self, sign: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait(timeout=PATIENCE)
            self.process = None

    def ask(self, statement: str) -> Any:
        """Says one statement; the first value of what comes back."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.folder.parent, user=self.account, check=True, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip


class Pair:
    """Two servers; one of them is the primary. `follow` gives it its standby, `promote` makes that the primary."""

    def __init__(self, postgres: Postgres) -> None:
        # Not in pytest's own folder, which is closed to the account that the servers run as.
        self.folder = Path(tempfile.mkdtemp(prefix="portal-pair-"))
        if postgres.account:
            shutil.chown(self.folder, postgres.account)
        self.primary, self.standby = (Server(postgres, self.folder / name) for name in ("one", "two"))
        self.ports = (self.primary.port, self.standby.port)
        self.primary.make()
        self.primary.start()
        self.primary.ask("CREATE DATABASE portal")

    @property
    def database_url(self) -> str:
        """The address as docs/deploy.md has it: both, in an order that stays."""
        hosts = "&".join(f"host=127.0.0.1:{port}" for port in self.ports)
        return f"postgresql+psycopg://postgres@/portal?{hosts}&target_session_attrs=read-write"

    def follow(self) -> None:
        """The other one becomes the standby; from now on COMMIT waits for it."""
        self.standby.copy(self.primary)
        self.standby.start()
        self.primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.ask("SELECT pg_reload_conf()")
        until = time.monotonic() + PATIENCE
        while not self.primary.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"):
            assert time.monotonic() < until, "the standby does not follow"
            time.sleep(0.02)

    def promote(self) -> None:
        """The standby becomes the primary."""
        assert self.standby.ask("SELECT pg_promote()")
        self.primary, self.standby = self.standby, self.primary

    def close(self) -> None:
        """Ends both, and leaves nothing behind."""
        self.primary.stop()
        self.standby.stop()
        shutil.rmtree(self.folder)
