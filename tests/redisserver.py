"""A little Redis on a port of the loopback: it counts as the script of a moving window asks, and keeps what it was sent."""

import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Redis:
    """What came in, byte by byte, and how often each key was counted."""

    def __init__(self) -> None:
        self.heard = b""
        self.counts: Counter[bytes] = Counter()

    def answer(self, words: list[bytes]) -> bytes:
        """What Redis says to one command; scripts are known by what they are given."""
        name = words[0].upper()
        if name == b"PING":
            return b"+PONG\r\n"
        if name == b"HELLO":
            return b"%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n"
        if name != b"EVALSHA":
            return b"+OK\r\n"
        key, given = words[3], words[4:]
        if len(given) == 2:  # where the window begins, and how many are in it
            return b"*2\r\n$%d\r\n%s\r\n:%d\r\n" % (len(given[0]), given[0], self.counts[key])
        if self.counts[key] + int(given[3]) > int(given[1]):
            return b"_\r\n"
        self.counts[key] += int(given[3])
        return b":1\r\n"


class _Conversation(socketserver.StreamRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        while first := self._line():
            words = [self.rfile.read(int(self._line()[1:]) + 2)[:-2] for _ in range(int(first[1:]))]
            self.server.redis.heard += b" ".join(words) + b"\n"
            self.wfile.write(self.server.redis.answer(words))

    def _line(self) -> bytes:
        return self.rfile.readline().rstrip(b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    redis: Redis

    def __init__(self, port: int, redis: Redis) -> None:
        super().__init__(("127.0.0.1", port), _Conversation)
        self.redis, self._open = redis, list[Any]()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.append(request)
        super().process_request(request, client_address)

    def end(self) -> None:
        """Ends, and hangs up on everybody."""
        self.shutdown()
        for request in self._open:
            self.shutdown_request(request)
        self.server_close()


@contextmanager
def listening(redis: Redis, port: int) -> Iterator[Redis]:
    """The server at work."""
    server = _Server(port, redis)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield redis
    finally:
        server.end()
        thread.join()
