"""Who is there when a browser comes in: colleagues and Alice, all confirmed; and the links in their mails."""

import re
from datetime import timedelta
from email import message_from_bytes, policy

from portal import program, sweeps
from portal.accounts import one_time, users
from portal.accounts.one_time import Purpose
from portal.accounts.roles import Role
from portal.config import Settings
from portal.core import clock, database
from portal.delivery.mail import Files
from tests.factories import fixed

PASSWORD = "a password of the tests"


def staff() -> None:
    """Olivia owns, Rita reviews, Finn pays, and Alice has signed up: all confirmed."""
    at, password = clock.now() - timedelta(days=1), users.hashed(PASSWORD)
    with database.writing():
        olivia = program.add_owner("olivia@example.com", name="Olivia", password=password, at=at)
        offer = [fixed(2500, minimum_order_minor=3000), fixed(1000, to="referee", minimum_order_minor=3000)]
        program.open_program(
            offer, by=olivia.id, at=at, program_name="Fernhill", currency="GBP", time_zone="Europe/London"
        )
    for name, role in (("Rita", Role.REVIEWER), ("Finn", Role.FINANCE), ("Alice", None)):
        with database.writing():
            email = f"{name.lower()}@example.com"
            program.sign_up(email=email, name=name, password=password, seen=users.NOWHERE, at=at)
            person = users.find_by_email(email)
            assert person is not None
            secret = one_time.make(Purpose.CONFIRM, person.id, password=password, at=at)
            program.confirm(secret, at=at)
            if role:
                program.grant_role(person, role, by=olivia.id, at=at)


def mailed_link(settings: Settings, address: str, page: str = "confirm") -> str:
    """The path of the link to a page in the newest mail to an address; the worker's job sends it first."""
    out = Files(settings.mail_dir)
    sweeps.send_mail(out, sender="portal@example.com", base_url=settings.base_url)
    for path in out.newest():
        mail = message_from_bytes(path.read_bytes(), policy=policy.default)
        text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        if mail["To"] == address and (found := re.search(rf"http://[\w.]+:\d+(/{page}/\S+)", text)):
            return found[1]
    raise AssertionError(f"no mail to {address}")
