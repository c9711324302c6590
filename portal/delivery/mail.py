"""Mail: a message from the outbox as an e-mail, and the ways out: files in a folder, or a server that speaks SMTP.

Invariants: one recipient; no control character reaches a header; the Message-ID follows from the row; nothing goes over
a connection that was to be encrypted and is not.
"""

import os
import re
import smtplib
import ssl
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import email_validator

from portal.core.text import one_line
from portal.delivery import letters
from portal.delivery.outbox import Message


class Headers(EmailPolicy):
    """How headers are written: as RFC 5322 has it, but an address of the web stays whole on its line. It may be no
    encoded word (RFC 2369, RFC 2047), into which a long one would be folded."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() == "list-unsubscribe":
            return f"{name}: {value}{self.linesep}".encode("ascii")
        return super().fold_binary(name, value)


HEADERS = Headers(linesep="\r\n")

TIMEOUT_S = 20
"""How long a server may be silent."""


POLICY = re.compile(
    r"^5\.7|relay|not permitted|denied|prohibited|authenticat|polic(y|ies)|blocked|block ?list|blacklist|spam",
    re.IGNORECASE,
)
"""Refusals that are the server's policy (5.7 in RFC 3463, or said in words where a server knows no such codes)."""


class Undeliverable(Exception):
    """Sending one mail failed. `for_good`: trying again will not help; `bounced`: since nobody reads at the address."""

    def __init__(self, trouble: str, *, for_good: bool = False, bounced: bool = False) -> None:
        super().__init__(trouble)
        self.for_good, self.bounced = for_good, bounced


class Away(Exception):
    """The way out itself does not work at the moment: no mail is to blame, and none can be sent."""


@dataclass(frozen=True)
class Sender:
    """In whose name mails go out, and where the portal's pages are."""

    name: str
    address: str
    base_url: str

    @property
    def domain(self) -> str:
        return _domain(urlsplit(self.base_url).hostname or "localhost")


def compose(message: Message, sender: Sender) -> EmailMessage:
    """The e-mail of an outbox row, as text and as HTML. Raises Undeliverable for what cannot be one mailbox."""
    mail = EmailMessage(policy=HEADERS)
    try:
        local, _, domain = _reachable(message.to).rpartition("@")
        mail["From"] = Address(display_name=one_line(sender.name, 80), addr_spec=sender.address)
        mail["To"] = Address(username=local, domain=domain)
    except (ValueError, IndexError) as error:
        raise Undeliverable("The address is not one that mail can be sent to.", for_good=True) from error
    mail["Subject"] = one_line(message.subject, 200)
    mail["Date"] = message.made_at
    mail["Message-ID"] = f"<{message.public_id}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if message.stop:  # RFC 2369 and RFC 8058: one click in the mail program, and it is over
        mail["List-Unsubscribe"] = f"<{sender.base_url}/unsubscribe/{message.stop}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(message.text, cte="quoted-printable")
    html = letters.as_html(
        message.text, title=message.subject, sender=sender.name, language=message.language, own=f"{sender.base_url}/"
    )
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    return mail


def _reachable(address: str) -> str:
    """An address whose domain every mail server takes: in the letters of RFC 5890 where it has others. ValueError."""
    if address.isascii():
        return address
    found = email_validator.validate_email(address, check_deliverability=False, allow_smtputf8=True)
    return f"{found.local_part}@{found.ascii_domain}"


def usual_address(base_url: str) -> str:
    """The address that mails come from where no setting names one."""
    return f"portal@{_domain(urlsplit(base_url).hostname or 'localhost')}"


def _domain(host: str) -> str:
    return host if "." in host and ":" not in host else f"{host.replace(':', '-')}.invalid"


# --- the ways out ---------------------------------------------------------------------------------------------


class Line(Protocol):
    """An open way out, for one mail after the other."""

    def send(self, message: Message, mail: EmailMessage) -> None:
        """Hands a mail over. Raises Undeliverable for this mail, Away for all."""


class WayOut(Protocol):
    """A place to which mails go."""

    def opened(self) -> AbstractContextManager[Line]:
        """A line for some mails."""

    def check(self) -> str:
        """What this is, in a sentence. Raises Away if it does not work."""


class Files:
    """Leaves each mail as a file in a folder, under its row's id: written whole or not at all, never twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def opened(self) -> Iterator["Files"]:
        yield self

    def check(self) -> str:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".probe.{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise Away(f"{self.folder}: {error.strerror}") from error
        return f"Mails go to files in {self.folder}; nobody receives them."

    def send(self, message: Message, mail: EmailMessage) -> None:
        name = f"{message.made_at:%Y%m%dT%H%M%S}-{message.public_id}.eml"
        half = self.folder / f".{name}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            half.write_bytes(mail.as_bytes())
            half.replace(self.folder / name)
        except OSError as error:
            raise Undeliverable(f"{self.folder}: {error.strerror}") from error

    def forget(self, names: Collection[str]) -> None:
        """Deletes the mails of these rows."""
        for path in self.folder.glob("*.eml") if names else ():
            if _name(path) in names:
                path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Of which rows mails lie there."""
        return [_name(path) for path in self.folder.glob("*.eml")]

    def newest(self, most: int = 200) -> list[Path]:
        """The mails that lie there, the newest first."""
        return sorted(self.folder.glob("*.eml"), key=lambda path: path.name, reverse=True)[:most]


def _name(path: Path) -> str:
    """The public id of the row that a file was written from."""
    return path.stem.partition("-")[2]


@dataclass(frozen=True)
class Server:
    """A mail server. `security`: `starttls`, `tls`, or `none` for one on this machine; `ca`: a file of certificates
    to be trusted, empty for the system's."""

    host: str
    port: int
    security: str
    user: str = ""
    password: str = ""
    ca: str = ""
    timeout_s: float = TIMEOUT_S

    @contextmanager
    def opened(self) -> Iterator["_Conversation"]:
        """A line that connects when the first mail goes out."""
        line = _Conversation(self)
        try:
            yield line
        finally:
            line.hang_up()

    def check(self) -> str:
        """Connects, encrypts and signs in, and sends nothing. Raises Away with what went wrong."""
        self.connect().close()
        secured = {"tls": "over TLS", "starttls": "with STARTTLS", "none": "unencrypted"}[self.security]
        return f"Mails go to {self.host}:{self.port} {secured}" + (f" as {self.user}." if self.user else ".")

    def connect(self) -> smtplib.SMTP:
        """A connection that is as secure as it has to be, signed in. Raises Away."""
        where = f"{self.host}:{self.port}"
        # Reads all certificates that are trusted, which takes longer than most conversations.
        context = ssl.create_default_context(cafile=self.ca or None) if self.security != "none" else None
        try:
            if self.security == "tls":
                found: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_s, context=context)
            else:
                found = smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)
        except ssl.SSLError as error:
            raise Away(f"{where}: the certificate or encryption is not right: {_said(error)}.") from error
        except (OSError, smtplib.SMTPException) as error:
            raise Away(f"{where}: no mail server answers: {_said(error)}.") from error
        try:
            if self.security == "starttls":
                found.starttls(context=context)
            if self.user:
                found.login(self.user, self.password)
        except smtplib.SMTPNotSupportedError as error:
            found.close()
            what = "offers no sign-in" if "AUTH" in str(error) else "offers no STARTTLS, so nothing is sent through it"
            raise Away(f"{where}: the server {what}.") from error
        except smtplib.SMTPAuthenticationError as error:
            found.close()
            raise Away(f"{where}: user or password are not accepted ({error.smtp_code}).") from error
        except ssl.SSLError as error:
            found.close()
            raise Away(f"{where}: the certificate or encryption is not right: {_said(error)}.") from error
        except (OSError, smtplib.SMTPException) as error:
            found.close()
            raise Away(f"{where}: {_said(error)}.") from error
        return found


class _Conversation:
    """One connection to a server, made when it is needed and again after it broke."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connection: smtplib.SMTP | None = None

    def send(self, message: Message, mail: EmailMessage) -> None:
        connection = self.connection = self.connection or self.server.connect()
        try:
            connection.send_message(mail, to_addrs=[mail["To"].addresses[0].addr_spec])
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            # A matter of policy, such as no relaying, says nothing of the addressee, and may be mended meanwhile.
            policy = POLICY.search(_text(said)) is not None
            raise self._refused(code, said, bounced=not policy, later=policy) from error
        except smtplib.SMTPNotSupportedError as error:
            raise Undeliverable("The mail server takes no address with such letters.", for_good=True) from error
        except smtplib.SMTPSenderRefused as error:
            self.hang_up()
            raise Away(
                f"{self.server.host}: the sender is not accepted: {error.smtp_code} {_text(error.smtp_error)}"
            ) from error
        except smtplib.SMTPResponseException as error:
            raise self._refused(error.smtp_code, error.smtp_error) from error
        except (OSError, smtplib.SMTPException) as error:
            # Whether it went out is not known: it is tried again under the same Message-ID.
            self.hang_up()
            raise Undeliverable(f"{self.server.host}: the connection broke: {_said(error)}.") from error

    def _refused(self, code: int, said: object, *, bounced: bool = False, later: bool = False) -> Exception:
        told = f"{self.server.host}: {code} {_text(said)}"
        if code == 421:  # the server is about to close: for everybody
            self.hang_up()
            return Away(told)
        for_good = 500 <= code < 600 and not later
        return Undeliverable(told, for_good=for_good, bounced=bounced and for_good)

    def hang_up(self) -> None:
        if self.connection is not None:
            with suppress(OSError, smtplib.SMTPException):
                self.connection.quit()
            self.connection.close()
            self.connection = None


def _text(said: object) -> str:
    return one_line(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said), 200)


def _said(error: Exception) -> str:
    reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
    return one_line(str(reason), 200).rstrip(".") or type(error).__name__


def way_out(mail_url: str, folder: Path) -> Files | Server:
    """The way out that MAIL_URL names (see `portal.config`); without one, files in a folder."""
    if not mail_url.startswith("smtp"):
        return Files(folder)
    parts = urlsplit(mail_url)
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    security = "tls" if parts.scheme == "smtps" else asked.get("security", "starttls")
    return Server(
        parts.hostname or "localhost",
        parts.port or {"tls": 465, "starttls": 587, "none": 25}[security],
        security,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        asked.get("ca", ""),
    )
