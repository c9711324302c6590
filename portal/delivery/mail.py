"""Mail: a message from the outbox as an e-mail, and the ways out. Until SMTP comes, files in a folder.

Invariants: one recipient; no control character reaches a header; the Message-ID follows from the row.
"""

import os
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from portal.core.text import one_line
from portal.delivery.outbox import Message


class Undeliverable(Exception):
    """Sending failed. `for_good`: trying again will not help."""

    def __init__(self, trouble: str, *, for_good: bool = False) -> None:
        super().__init__(trouble)
        self.for_good = for_good


def compose(message: Message, *, sender_name: str, host: str, at: datetime) -> EmailMessage:
    """The e-mail of an outbox row. Raises Undeliverable for an address that cannot be one mailbox."""
    local, _, domain = message.to.rpartition("@")
    try:
        to = Address(username=local, domain=domain)
        mail = EmailMessage(policy=SMTP)
        mail["From"] = Address(display_name=one_line(sender_name, 80), username="portal", domain=_domain(host))
        mail["To"] = to
    except (ValueError, IndexError) as error:
        raise Undeliverable("The address is not one that mail can be sent to.", for_good=True) from error
    mail["Subject"] = one_line(message.subject, 200)
    mail["Date"] = at
    mail["Message-ID"] = f"<{message.public_id}@{_domain(host)}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    return mail


def _domain(host: str) -> str:
    return host if "." in host else f"{host}.invalid"


class Files:
    """Leaves each mail as a file in a folder, under its row's id: written whole or not at all, never twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, message: Message, mail: EmailMessage) -> None:
        """Writes the mail. Raises Undeliverable when the folder cannot be written to."""
        name = f"{message.made_at:%Y%m%dT%H%M%S}-{message.public_id}.eml"
        half = self.folder / f".{name}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            half.write_bytes(mail.as_bytes())
            half.replace(self.folder / name)
        except OSError as error:
            raise Undeliverable(f"{self.folder}: {error.strerror}") from error

    def newest(self, most: int = 200) -> list[Path]:
        """The mails that lie there, the newest first."""
        return sorted(self.folder.glob("*.eml"), key=lambda path: path.name, reverse=True)[:most]
