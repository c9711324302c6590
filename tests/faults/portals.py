"""Live portals: the real thing as processes of its own, on a port of the loopback, with a folder and a database.

`Portal` starts `portal serve` in a process group of its own, waits until it is ready, and ends nothing but that group.
`Browser` is one client with one connection, which keeps cookies and comes from an address of its own.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.mailserver import free_port

ROOT = Path(__file__).resolve().parents[2]
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PATIENCE = 60.0
NOT_THEIRS = ("PORTAL_", "FLASK_", "PYTHONDONTWRITEBYTECODE", "PYTEST_")
"""What of the tests' environment a portal does not get; without its bytecode kept each start would take seconds."""


class Portal:
    """One portal that is served. Use it as a context; `kill` and `start` may be called in between."""

    def __init__(self, folder: Path, database_url: str, *, workers: int = 1, **environ: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.database_url, self.port = folder, database_url, free_port()
        self.log = folder / "portal.log"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(NOT_THEIRS)},
            "INSTANCE_DIR": str(folder), "DATABASE_URL": database_url, "REQUIRE_TWO_STEP": "0", "HOST": "127.0.0.1", "PORT": str(self.port),
            "BASE_URL": f"http://127.0.0.1:{self.port}", "SECRET_KEY": "a secret key of the live portals, long enough",
            "WORKERS": str(workers), "TRUSTED_PROXIES": "1", "MAIL_URL": "", "REDIS_URL": "", **environ,
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.host = ""
        """The Host name to be asked by, where BASE_URL is not the loopback's."""
        self.took = 0.0
        """How many seconds the latest start took."""

    def __enter__(self) -> "Portal":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> float:
        """Starts the server; gives how many seconds it took to be ready."""
        began = time.monotonic()
        self.process = self._spawn("serve")
        self.wait()
        self.took = time.monotonic() - began
        return self.took

    def _spawn(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "portal", *arguments],
                cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self, *, most: float = PATIENCE) -> float:
        """Waits until /readyz says so; gives how many seconds it took."""
        began = time.monotonic()
        while time.monotonic() - began < most:
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"the portal ended with {self.process.returncode}:\n{self.said()}")
            with suppress(OSError):
                if self.browser(timeout=2).get("/readyz").status == 200:
                    return time.monotonic() - began
            time.sleep(0.02)
        raise RuntimeError(f"not ready after {most} s:\n{self.said()}")

    def said(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def kill(self) -> None:
        """kill -9, all of its processes at once."""
        _end_group(self.process, signal.SIGKILL)

    def kill_servers(self) -> int:
        """kill -9 of the processes that answer; the first process starts new ones. Gives how many."""
        numbers = self.servers()
        for number in numbers:
            os.kill(number, signal.SIGKILL)
        return len(numbers)

    def servers(self) -> list[int]:
        """The process ids of granian's workers: the children of the process we started that listen."""
        assert self.process is not None
        return [number for number in children(self.process.pid) if b"spawn_main" in _command(number)]

    def stop(self) -> None:
        """The way an operator does: TERM, and what is under way is finished."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=25)
        except subprocess.TimeoutExpired:
            self.kill()

    @contextmanager
    def worker(self) -> Iterator["subprocess.Popen[bytes]"]:
        """A worker in a process of its own, killed at the end."""
        process = self._spawn("worker")
        try:
            yield process
        finally:
            _end_group(process, signal.SIGKILL)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command of the portal to its end."""
        return subprocess.run(
            [sys.executable, "-m", "portal", *arguments],
            cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def browser(self, *, address: str = "198.51.100.7", timeout: float = 60.0) -> "Browser":
        browser = Browser(self.port, address=address, timeout=timeout)
        if self.host:
            browser.headers["Host"] = self.host
        return browser


def _end_group(process: "subprocess.Popen[bytes] | None", sign: signal.Signals) -> None:
    if process is None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, sign)
    process.wait(timeout=10)


def children(number: int) -> list[int]:
    """The process ids of what a process has started."""
    tasks = Path(f"/proc/{number}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def _command(number: int) -> bytes:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return b""


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def location(self) -> str:
        return str(self.headers.get("Location", ""))


class Browser:
    """One client: one connection, its cookies, and the address it seems to come from (as nginx would say it)."""

    def __init__(self, port: int, *, address: str, timeout: float) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self.headers = {"User-Agent": AGENT, "X-Forwarded-For": address}
        self.cookies: dict[str, str] = {}
        self.token = ""

    def connect(self) -> None:
        """Opens the connection if it is not open, so that the next request costs no more than itself."""
        if self.connection.sock is None:
            self.connection.connect()

    def __del__(self) -> None:
        self.connection.close()

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None, {})

    def post(self, path: str, **form: str) -> Answer:
        """Sends a form, with the token of the page read last."""
        body = urlencode({"csrf_token": self.token, **form}).encode()
        return self._ask("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})

    def tell(self, path: str, body: Mapping[str, Any], *, key: str) -> Answer:
        """Calls the API."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        return self._ask("POST", path, json.dumps(body).encode(), headers)

    def sign_in(self, email: str, password: str) -> None:
        self.get("/login")
        answer = self.post("/login", email=email, password=password)
        assert answer.status == 302, (answer.status, answer.text)
        self.get("/account")

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        sent = self.headers | headers
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            self.connection.request(method, path, body, sent)
            response = self.connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise Gone(f"{method} {path}: {type(error).__name__}: {error}") from error
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        if found := re.search(r'name="csrf_token"[^>]*value="([^"]+)"', answer.text):
            self.token = found[1]
        return answer


class Gone(OSError):
    """No answer: the server went away in the middle."""
