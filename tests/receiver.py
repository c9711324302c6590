"""A receiver of webhooks for the tests: it speaks HTTP on loopback, keeps what it takes, and misbehaves when it is told to."""

import json
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Taken:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Receiver:
    """Takes webhooks. `says`: the status it answers; `text`: what it answers."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.says, self.text = 204, b""
        self.refuses = ""
        """The id of the one that it answers with 500."""
        self.delay_s = 0.0
        """How long it thinks before it answers."""
        self.drips = False
        """Whether it answers a letter at a time, for ever."""
        self.drips_text = False
        """Whether what it says after an answer of 200 comes a letter at a time, for ever."""
        self.drops_before = self.drops_after = 0
        """So many are taken and the connection breaks before the answer, or in the middle of what it says."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?of=shop"

    @property
    def copies(self) -> Counter[str]:
        """How often each id came."""
        return Counter(one.headers["webhook-id"] for one in self.taken)

    @property
    def events(self) -> list[str]:
        return [one.said["type"] for one in self.taken]

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers["Content-Length"]))
        self.taken.append(Taken(asked.path, {name.lower(): value for name, value in asked.headers.items()}, body))
        asked.close_connection = True
        time.sleep(self.delay_s)
        if self.drops_before > 0:
            self.drops_before -= 1
            return
        while self.drips:
            asked.wfile.write(b"H")
            time.sleep(0.05)
        asked.send_response(500 if asked.headers["webhook-id"] == self.refuses else self.says)
        if self.says in (301, 302, 307):
            asked.send_header("Location", f"http://127.0.0.1:{self.port}/elsewhere")
        cut = self.drops_after > 0
        self.drops_after -= cut
        asked.send_header("Content-Length", str(len(self.text) + 100 * cut + 10**6 * self.drips_text))
        asked.end_headers()
        while self.drips_text:
            asked.wfile.write(b"z")
            time.sleep(0.05)
        asked.wfile.write(self.text)


@contextmanager
def receiving(receiver: Receiver, *, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Runs it in threads, at the same port as before if it has run."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with suppress(OSError):  # whoever called has gone
                receiver.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 64  # with the usual 5, some of many callers wait a second

    server = Server(("127.0.0.1", receiver.port), Handler)
    receiver.port = server.server_port
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # a caller who does not trust it hangs up
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
