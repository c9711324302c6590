"""A file of 100,000 rows: errors by line, good rows taken, memory bounded, and a second time nothing new."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from portal.config import ROOT, Settings
from portal.core import database
from portal.reports import books
from portal.rewards.conversions import Conversion
from tests.factories import Scene

LONG = os.environ.get("PORTAL_TEST_LONG") == "1"
ROWS = 100_000
GOOD_EVERY = 1 if LONG else 200
"""In the suite one row in two hundred is a good one; the others have an amount that is none."""

MEASURED = """
import json, re, sys
from portal.cli import portal
code = 0
try:
    portal.main(["import-conversions", sys.argv[1]], standalone_mode=False)
except SystemExit as stop:
    code = stop.code
# not ru_maxrss: Linux lets a new program inherit it from whoever started it
peak = int(re.search(r"VmHWM:\\s+([0-9]+) kB", open("/proc/self/status").read())[1]) * 1024
print(json.dumps({"code": code, "peak": peak}))
"""


def run(settings: Settings, file: Path) -> tuple[list[str], list[str], dict[str, int]]:
    """Imports a file by the command in a process of its own: what it said, what it complained of, what it took."""
    environ = {
        **os.environ,
        "INSTANCE_DIR": str(settings.instance_dir),
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key,
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", MEASURED, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=3600)
    said = done.stdout.splitlines()
    assert said, done.stderr[-2000:]
    return said[:-1], done.stderr.splitlines(), json.loads(said[-1])


@pytest.mark.timeout(3600 if LONG else 300)
def test_a_file_of_100_000_rows_is_taken_in_bounded_memory_and_told_line_by_line(
    scene: Scene, settings: Settings, tmp_path: Path
) -> None:
    assert scene.olivia
    file = tmp_path / "orders.csv"
    with file.open("w", newline="", encoding="utf-8-sig") as handle:
        rows = csv.writer(handle)
        rows.writerow(["external_id", "customer_email", "amount_minor"])
        for number in range(ROWS):
            good = number % GOOD_EVERY == 0
            rows.writerow([f"A-{number}", f"friend{number % 500}@example.com", "1250" if good else "12,50"])
    good = ROWS // GOOD_EVERY

    said, complained, took = run(settings, file)

    assert said == [f"0 new, 0 known already, {good} waiting for a customer, {ROWS - good} faulty."]
    assert took["peak"] < 200 * 1024 * 1024, f"{took['peak'] / 1024 / 1024:.0f} MB"
    assert took["code"] == (1 if good < ROWS else 0)
    told = [line for line in complained if line.startswith("line ")]
    if good < ROWS:
        assert told[0].startswith("line 3, amount_minor: "), told[0]
        assert any("more lines with faults" in line for line in complained)
    database.session.rollback()
    assert database.session.query(Conversion).count() == good

    said, _, _ = run(settings, file)
    assert said == [f"0 new, 0 known already, {good} waiting for a customer, {ROWS - good} faulty."]
    database.session.rollback()
    assert database.session.query(Conversion).count() == good
    assert list(books.faults()) == []
