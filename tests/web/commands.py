"""The portal command as an operator types it: in this process, with the settings of the test."""

import contextvars
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask

from portal import cli, create_app
from portal.config import ROOT
from portal.core.database import session
from tests.conftest import close

KEY = "a secret key for the tests, long enough"


@dataclass(frozen=True)
class Said:
    """What the command said and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Said]


def runner(folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: `run("convert", "--external-id", "o-1")`. No traceback may reach the operator."""
    for name in (
        "BASE_URL",
        "MAIL_URL",
        "MAIL_FROM",
        "REDIS_URL",
        "TRUSTED_PROXIES",
        "HOST",
        "PORT",
        "WORKERS",
        "METRICS_TOKEN",
        "LOG_FORMAT",
        "PORTAL_DEMO",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INSTANCE_DIR", str(folder / "instance"))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", KEY)

    made: list[Flask] = []
    monkeypatch.setattr(cli, "create_app", lambda settings: made.append(create_app(settings)) or made[-1])

    def run(*words: str) -> Said:
        session.rollback()
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["portal", *words])
        code = contextvars.Context().run(_ended)
        out, err = capfd.readouterr()
        while made:  # a process would end here, and its connections with it
            contextvars.Context().run(_closed, made.pop())
        session.rollback()
        session.expire_all()
        assert "Traceback" not in err
        return Said(code, out, err)

    return run


def _ended() -> int:
    mask = os.umask(0o022)  # which the command sets for its process
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    finally:
        os.umask(mask)
    return 0


def _closed(app: Flask) -> None:
    with app.app_context():
        close(app)


def from_outside(folder: Path, *words: str, **settings: str) -> Said:
    """`python -m portal …` as a process of its own, with these settings and no others."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "INSTANCE_DIR": str(folder / "instance")} | settings
    # Where what Python compiles is kept: without it each start would compile everything again.
    env |= {name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX",) if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "portal", *words], cwd=folder, env=env, capture_output=True, text=True, timeout=60,
        umask=0o022,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)
