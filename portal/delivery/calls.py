"""Calls: one request to an address that an owner typed, so that it reaches nothing inside our own network.

Invariants: each address that the name has is a public one, and it is one of these that is called, without asking again
(OWASP, Server-Side Request Forgery Prevention: a name may lead elsewhere a moment later); nothing is followed; ten
seconds in all; of the answer no more is read than 64 kB.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import SplitResult

from portal.core.text import Refusal, marked
from portal.delivery import endpoints
from portal.delivery.endpoints import EndpointRefused

TIMEOUT_S = 10.0
MOST_READ = 64 * 1024
READING_S = 1.0
"""How long an answer's text may take once its status is known: it is for people to read."""


@dataclass(frozen=True)
class Outcome:
    """What a call brought: the answer's status, the beginning of its text, or why there is none."""

    took_ms: int
    status: int | None = None
    text: str = ""
    trouble: Refusal | None = None

    @property
    def arrived(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more, and nothing should be sent."""
        return self.status == 410


class NotCalled(Refusal):
    """An address that was not called, or did not answer as it should."""


ANSWERED = marked("It answered %(status)s.")
ELSEWHERE = marked("It answered %(status)s, and is not followed elsewhere.")
UNTRUSTED = marked("The certificate or encryption is not right: %(why)s.")
LATE = marked("No answer within %(seconds)s seconds.")
REFUSED = marked("It refused the connection.")
CUT_OFF = marked("It ended the connection before it had answered.")
NO_ANSWER = marked("No answer: %(why)s.")
NOWHERE = marked("The name %(host)s leads nowhere.")
INSIDE = marked("The name %(host)s leads into a network of its own; only public addresses are called.")
"""What can be wrong with a call. Why is what the system says."""


class Caller:
    """Makes calls. `local`: this machine may be called, by http as well (a demo, or a test); `ca`: a file of
    certificates to be trusted beside nothing else, empty for the system's."""

    def __init__(self, *, local: bool = False, ca: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self.local, self.ca, self.timeout_s = local, ca, timeout_s

    @cached_property
    def _context(self) -> ssl.SSLContext:
        # Reads all certificates that are trusted, which takes longer than most calls.
        return ssl.create_default_context(cafile=self.ca or None)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Sends a body and reads the answer. Never raises: what went wrong stands in the outcome."""
        began = time.monotonic()
        status, text = None, ""
        trouble: Refusal | None = None
        try:
            status, text = self._post(
                endpoints.read(url, local=self.local), headers, body, until=began + self.timeout_s
            )
            if not 200 <= status < 300:
                trouble = NotCalled(ELSEWHERE if 300 <= status < 400 else ANSWERED, status=status)
        except (EndpointRefused, NotCalled) as refusal:
            trouble = refusal
        except ssl.SSLError as error:
            trouble = NotCalled(UNTRUSTED, why=_said(error))
        except (OSError, http.client.HTTPException, ValueError) as error:
            over = time.monotonic() >= began + self.timeout_s
            trouble = NotCalled(LATE, seconds=f"{self.timeout_s:g}") if over else _broken_off(error)
        return Outcome(int((time.monotonic() - began) * 1000), status, text, trouble)

    def _post(self, parts: SplitResult, headers: Mapping[str, str], body: bytes, *, until: float) -> tuple[int, str]:
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        plain = _connected(self._addresses(host, port), port, until=until)
        with plain:
            line: socket.socket = plain
            if parts.scheme == "https":
                line = self._context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
            # The time-out of a socket is for each byte; this one is for all of it.
            watch = threading.Timer(max(0.0, until - time.monotonic()), _cut, [line])
            watch.daemon = True
            watch.start()
            try:
                with line:
                    if isinstance(line, ssl.SSLSocket):
                        line.do_handshake()
                    return _exchanged(line, parts, headers, body)
            finally:
                watch.cancel()

    def _addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a name. Raises NotCalled if one of them is not public, or there is none."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NotCalled(NOWHERE, host=host) from error
        addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
        for address in addresses:
            known = ipaddress.ip_address(address.partition("%")[0])
            if not (endpoints.is_public(known) or (self.local and known.is_loopback)):
                raise NotCalled(INSIDE, host=host)
        return addresses


def _connected(addresses: list[str], port: int, *, until: float) -> socket.socket:
    """A connection to the first of these that takes one."""
    trouble: OSError = TimeoutError("timed out")
    for address in addresses:
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, port), timeout=left)
        except OSError as error:
            trouble = error
    raise trouble


def _exchanged(line: socket.socket, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    """Sends the request over an open line and reads the answer: its status, and what it says as far as it is read."""
    connection = http.client.HTTPConnection(parts.hostname or "")
    connection.sock = line
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("POST", target, body, {"Host": parts.netloc, "Connection": "close", **headers})
    answer = connection.getresponse()
    said = b""
    enough = threading.Timer(READING_S, _cut, [line])
    enough.daemon = True
    enough.start()
    with suppress(OSError, http.client.HTTPException, ValueError):
        while len(said) < MOST_READ and (more := answer.read1(MOST_READ - len(said))):
            said += more
    enough.cancel()
    return answer.status, said.decode("utf-8", "replace").replace("\x00", "")


def _broken_off(error: Exception) -> NotCalled:
    if isinstance(error, ConnectionRefusedError):
        return NotCalled(REFUSED)
    if isinstance(error, (ConnectionError, http.client.IncompleteRead)):
        return NotCalled(CUT_OFF)
    return NotCalled(NO_ANSWER, why=_said(error))


def _cut(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _said(error: Exception) -> str:
    reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
    return str(reason).rstrip(".") or type(error).__name__
