"""Enumeration: whether the time of an answer tells if an address has an account.

    python tests/bench/enumeration.py [--tries 200] [--database sqlite|postgresql|both]

For each form that takes an address: the median of so many tries with addresses that have an account, and of as many with
addresses that have none, in turns, each address tried once. Goal: less than 20 ms apart. One process, no network between.
"""

import dataclasses
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from common import arguments, databases, machine

from portal import create_app, program
from portal.accounts import users
from portal.accounts.users import NOWHERE, User
from portal.config import Settings
from portal.core import clock, database, migrate
from portal.core.database import session
from tests.offers import offer

GOAL_MS = 20
PASSWORD = "a password of some length"
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
FROM_HERE = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"} | BROWSER

Fields = dict[str, str]
FORMS: dict[str, tuple[str, str, Callable[[str], Fields]]] = {
    "sign-in": ("/login", "confirmed", lambda email: {"email": email, "password": "not the password"}),
    "sign-up": ("/signup", "confirmed", lambda email: {"email": email, "password": PASSWORD, "terms": "y"}),
    "new password": ("/reset", "confirmed", lambda email: {"email": email}),
    "mail again": ("/confirm", "waiting", lambda email: {"email": email}),
    "change of address": (
        "/account/address", "confirmed", lambda email: {"address-email": email, "address-current": PASSWORD},
    ),
}  # fmt: skip
"""What is asked -> where, whose addresses are known there, and the fields."""


def fill(tries: int) -> None:
    """People with an account: as many whose address is confirmed as whose is not, and one who signs in."""
    hashed, at = users.hashed(PASSWORD), clock.now()
    with database.writing():
        program.open_program(offer(), by=None, at=at, program_name="Friends", currency="EUR", time_zone="UTC")
    for number in range(tries):
        for sort in ("confirmed", "waiting"):
            email = f"{sort}{number}@example.com"
            with database.writing():
                program.sign_up(email=email, name="Known", password=hashed, seen=NOWHERE, at=at)
    with database.writing():
        program.sign_up(email="asking@example.com", name="Asking", password=hashed, seen=NOWHERE, at=at)
        asking = User.email.like("confirmed%") | (User.email == "asking@example.com")
        session.execute(sa.update(User).where(asking).values(confirmed_at=at))


def browser(app: Any, *, signed_in: bool) -> tuple[Any, str]:
    """A browser and its token."""
    client = app.test_client()
    if signed_in:
        fields = {"email": "asking@example.com", "password": PASSWORD, "csrf_token": token_of(client, "/login")}
        client.post("/login", data=fields, headers=FROM_HERE)
    return client, token_of(client, "/privacy")


def token_of(client: Any, path: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path, headers=BROWSER).get_data(as_text=True))
    assert found
    return found[1]


def seconds(app: Any, name: str, email: str) -> tuple[float, int]:
    """How long one try took, and its status."""
    path, _, fields = FORMS[name]
    client, token = browser(app, signed_in=path.startswith("/account"))
    began = time.perf_counter()
    answer = client.post(path, data=fields(email) | {"csrf_token": token}, headers=FROM_HERE)
    took = time.perf_counter() - began
    assert answer.status_code in (200, 302, 401, 422), answer
    return took, answer.status_code


def measure(app: Any, tries: int) -> None:
    for name, (_, sort, _) in FORMS.items():
        took: dict[str, list[float]] = {"known": [], "unknown": []}
        statuses = set()
        for number in range(tries):
            for kind in ("known", "unknown") if number % 2 else ("unknown", "known"):
                email = f"{sort}{number}@example.com" if kind == "known" else f"{name.split()[0]}{number}@example.org"
                passed, status = seconds(app, name, email)
                took[kind].append(passed * 1000)
                statuses.add(status)
        known, unknown = (statistics.median(took[kind]) for kind in ("known", "unknown"))
        apart = abs(known - unknown)
        print(
            f"  {name:18} known {known:6.1f} ms, unknown {unknown:6.1f} ms, {apart:5.1f} apart"
            f" ({'fine' if apart < GOAL_MS else 'MISSED'}; answers {sorted(statuses)})"
        )


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--tries", type=int, default=200)
    asked = parser.parse_args()
    print(f"Enumeration, {asked.tries} tries each way, goal under {GOAL_MS} ms apart. {machine()}")
    with databases(asked.database) as each:
        for kind, url, place in each:
            print(kind)
            one(url, place, asked.tries)


def one(url: str, folder: Path, tries: int) -> None:
    settings = Settings.from_env({"INSTANCE_DIR": str(folder), "DATABASE_URL": url})
    app = create_app(dataclasses.replace(settings, rate_limits=False))
    with app.app_context():
        migrate.upgrade(database.db.engine)
        fill(tries)
        session.remove()
    measure(app, tries)
    with app.app_context():
        for engine in database.db.engines.values():
            engine.dispose()


if __name__ == "__main__":
    main()
