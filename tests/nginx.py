"""A real nginx with the shipped configuration, on ports of the loopback; and clients who are slow."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.portals import ROOT
from tests.mailserver import certificate, free_port

SHIPPED = ROOT / "deploy" / "nginx.conf"
NAME = "friends.example.com"
PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or ""


class Nginx:
    """One that runs: its two ports, and what trusts its certificate."""

    def __init__(self, plain: int, tls: int, trusted: Path) -> None:
        self.plain, self.tls = plain, tls
        self.trust = ssl.create_default_context(cafile=str(trusted))

    def connect(self, address: str = "127.0.0.1") -> ssl.SSLSocket:
        """A connection of a client."""
        return self.trust.wrap_socket(socket.create_connection((address, self.tls), timeout=20), server_hostname=NAME)


def why_not() -> str:
    """Why there is no nginx here; empty if there is."""
    return "" if PROGRAM else "no nginx here: on Debian and Ubuntu, sudo apt install nginx"


def six() -> bool:
    """Whether this machine knows IPv6."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def as_shipped(plain: int, tls: int, portals: tuple[int, ...], folder: Path) -> str:
    """The shipped site with nothing changed but ports and paths: each is found, or the file is another one."""
    text = SHIPPED.read_text()
    for found, put in (
        (r"listen 80;", f"listen 127.0.0.1:{plain};"),
        (r"listen 443 ssl;", f"listen 127.0.0.1:{tls} ssl;"),
        (r"listen \[::\]:80;", f"listen [::1]:{plain};" if six() else ""),
        (r"listen \[::\]:443 ssl;", f"listen [::1]:{tls} ssl;" if six() else ""),
        (r"/etc/letsencrypt/live/friends\.example\.com/fullchain\.pem", str(folder / f"{NAME}.pem")),
        (r"/etc/letsencrypt/live/friends\.example\.com/privkey\.pem", str(folder / f"{NAME}.key")),
        (r"/var/log/nginx/portal\.error\.log", str(folder / "portal.error.log")),
        (
            r"server 127\.0\.0\.1:8001 max_fails=0;\s+server 127\.0\.0\.1:8002 max_fails=0;",
            " ".join(f"server 127.0.0.1:{p} max_fails=0;" for p in portals),
        ),
    ):
        text, many = re.subn(found, put, text)
        assert many == 1, f"{SHIPPED.name} has no {found}"
    return text


@contextmanager
def running(folder: Path, *portals: int) -> Iterator[Nginx]:
    """nginx in front of these portals; around the site stands what Debian's nginx.conf says."""
    folder.mkdir(parents=True, exist_ok=True)
    _, trusted = certificate(folder, NAME)
    plain, tls = free_port(), free_port()
    (folder / "site.conf").write_text(as_shipped(plain, tls, portals, folder))
    parts = "".join(
        f"{part}_temp_path {folder}/{part};" for part in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; {'user root;' if os.geteuid() == 0 else ''} pid {folder}/pid; error_log {folder}/error.log;"
        f"worker_processes 1; events {{ worker_connections 768; }} http {{ {parts} include {folder}/site.conf; }}\n"
    )
    command = [PROGRAM, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    found = Nginx(plain, tls, trusted)
    try:
        _wait(found, process, folder / "error.log")
        yield found
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(nginx: Nginx, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError):
            nginx.connect().close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"nginx does not run: {log.read_text() if log.exists() else ''}")


@contextmanager
def slow_clients(nginx: Nginx, many: int) -> Iterator[list[ssl.SSLSocket]]:
    """So many who send a byte now and then: half of them never come to the end of the headers, half of the body."""
    host = f"{NAME}:{nginx.tls}"
    begun = (
        f"GET / HTTP/1.1\r\nHost: {host}\r\nX-Slow: ",
        f"POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        "Content-Length: 50000\r\n\r\nemail=",
    )
    clients = []
    for number in range(many):
        client = nginx.connect()
        client.sendall(begun[number % 2].encode())
        clients.append(client)
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.5):
            for client in clients:
                with suppress(OSError):
                    client.sendall(b"a")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield clients
    finally:
        over.set()
        thread.join()
        for client in clients:
            client.close()
