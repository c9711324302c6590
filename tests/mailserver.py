"""A mail server for the tests: it speaks SMTP on loopback, keeps what it takes, and misbehaves when it is told to."""

import asyncio
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = b"portal", b"a password of the mail server"


class MailServer:
    """Takes mails. `says`: what it answers to a recipient, by address; `before`: called before the final answer."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.raw: list[bytes] = []
        """The same as they came: what reads a header may mend what a mail program would not."""
        self.says: dict[str, str] = {}
        self.delay_s = 0.0
        self.drops_before = 0
        """So many mails are taken, and the connection breaks before the answer."""
        self.drops_after = 0
        self.port = 0

    @property
    def copies(self) -> Counter[str]:
        """How often each Message-ID came."""
        return Counter(str(mail["Message-ID"]) for mail in self.taken)

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.taken if mail["To"] == address]

    # --- what aiosmtpd calls --------------------------------------------------------------------------------------

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.says:
            return self.says[address]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        content = envelope.content
        assert isinstance(content, bytes) and len(envelope.rcpt_tos) == 1, "one recipient a mail"
        self.raw.append(content)
        self.taken.append(message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
        if self.drops_before > 0:
            self.drops_before -= 1
            server.transport.abort()
        elif self.drops_after > 0:
            self.drops_after -= 1
            asyncio.get_running_loop().call_later(0.01, server.transport.abort)
        return "250 taken"


def _authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any) -> AuthResult:
    return AuthResult(success=given.login == USER and given.password == PASSWORD, handled=False)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def listening(
    server: MailServer,
    *,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    over: str = "starttls",
    signs_in: bool = False,
) -> Iterator[MailServer]:
    """Runs it in a thread; `over` says how it is encrypted where there is a context."""
    options: dict[str, Any] = {"data_size_limit": 1_000_000}
    if signs_in:
        options |= {
            "authenticator": _authenticate,
            "auth_required": True,
            "auth_require_tls": over == "starttls",
        }
    if tls is not None and over == "starttls":
        options |= {"tls_context": tls}
    server.port = port or free_port()
    controller = Controller(
        server, hostname="127.0.0.1", port=server.port, ssl_context=tls if over == "tls" else None, **options
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop(no_assert=True)


def certificate(folder: Path, name: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of its own for a name, and the file by which it is trusted."""
    key, found = folder / f"{name}.key", folder / f"{name}.pem"
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName={kind}:{name}", "-keyout", str(key), "-out", str(found)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found, key)
    return context, found
