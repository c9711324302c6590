"""Starting: import and `create_app` in a fresh process, and `portal serve` until it is ready.

    python tests/bench/start.py [--repeats 5]

Goals: import and create_app at most 0.8 s; a server that was started before is ready, or back after kill -9, in 5 s.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, machine

from tests.faults.portals import Portal

MEASURED = """
import time
began = time.perf_counter()
from portal import create_app
from portal.config import Settings
create_app(Settings.from_env())
print(time.perf_counter() - began, time.process_time())
"""


def fresh(folder: Path) -> tuple[float, float]:
    """Seconds until the app is there, by the clock and of the processor (Python's own start included)."""
    environ = {**os.environ, "INSTANCE_DIR": str(folder)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", MEASURED]
    said = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    wall, processor = said.stdout.split()
    return float(wall), float(processor)


def main() -> None:
    repeats = int(sys.argv[sys.argv.index("--repeats") + 1]) if "--repeats" in sys.argv else 5
    print(f"Starting. {machine()}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fresh(folder)  # bytecode is kept from now on
        runs = [fresh(folder) for _ in range(repeats)]
        print(
            f"  import and create_app: median {statistics.median(wall for wall, _ in runs):.2f} s,"
            f" best {min(wall for wall, _ in runs):.2f} s (goal 0.8);"
            f" best of the processor's time {min(processor for _, processor in runs):.2f} s"
        )
        portal = Portal(folder / "served", f"sqlite:///{folder / 'portal.db'}")
        first = portal.start()
        back = []
        for _ in range(repeats):
            portal.kill()
            back.append(portal.start())
        portal.stop()
        print(
            f"  portal serve: ready after {first:.1f} s; after kill -9 median {statistics.median(back):.1f} s (goal 5)"
        )


if __name__ == "__main__":
    main()
