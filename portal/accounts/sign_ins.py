"""Sign-ins: each is a row, so ending one counts at the next request, whatever cookie is replayed.

Invariant: the browser holds a random token, the row only its hash; an ended row never lives again.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts.users import Surroundings
from portal.core import database
from portal.core.database import Model, session
from portal.core.text import public_id, token, token_hash

LONGEST = timedelta(days=30)
IDLE = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=1)


class SignIn(Model):
    """One person signed in on one browser."""

    __tablename__ = "sign_ins"

    id: Mapped[int] = database.key()
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True, default=public_id)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int] = database.refers_to("users.id")
    started_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    visitor: Mapped[str | None] = mapped_column(sa.String(32), index=True)
    network: Mapped[str | None] = mapped_column(sa.String(64))
    browser: Mapped[str | None] = mapped_column(sa.String(16))
    device: Mapped[str] = mapped_column(sa.String(60), default="", server_default="")
    """What people know the browser by, such as `Firefox on Linux`."""

    def lives(self, at: datetime) -> bool:
        return self.ended_at is None and at <= self.started_at + LONGEST and at <= self.last_seen_at + IDLE


def start(user_id: int, *, surroundings: Surroundings, device: str = "", at: datetime) -> str:
    """Records a sign-in and gives the token for the browser. `device`: what its person knows the browser by."""
    secret = token()
    session.add(
        SignIn(
            token_hash=token_hash(secret),
            user_id=user_id,
            started_at=at,
            last_seen_at=at,
            visitor=surroundings.visitor,
            network=surroundings.network,
            browser=surroundings.browser,
            device=device,
        )
    )
    return secret


def find(secret: str, *, at: datetime) -> SignIn | None:
    """The live sign-in that a browser's token stands for."""
    found = session.scalar(sa.select(SignIn).where(SignIn.token_hash == token_hash(secret)))
    return found if found and found.lives(at) else None


def see(sign_in_id: int, *, at: datetime) -> None:
    """Notes that a sign-in is in use. A write of its own, at most once a minute."""
    session.execute(
        sa.update(SignIn).where(SignIn.id == sign_in_id, SignIn.last_seen_at < at - SEEN_EVERY).values(last_seen_at=at)
    )


def renew(secret: str, *, at: datetime) -> str:
    """Gives a live sign-in another token; the one of before is worth nothing from now on."""
    new = token()
    where = (SignIn.token_hash == token_hash(secret), SignIn.ended_at.is_(None))
    session.execute(sa.update(SignIn).where(*where).values(token_hash=token_hash(new), last_seen_at=at))
    return new


def end(secret: str, *, at: datetime) -> None:
    """Signs one browser out."""
    where = (SignIn.token_hash == token_hash(secret), SignIn.ended_at.is_(None))
    session.execute(sa.update(SignIn).where(*where).values(ended_at=at))


def end_all(user_id: int, *, at: datetime, but: str | None = None) -> None:
    """Signs a person out everywhere, except (if given) the browser with this token."""
    where = [SignIn.user_id == user_id, SignIn.ended_at.is_(None)]
    if but:
        where.append(SignIn.token_hash != token_hash(but))
    session.execute(sa.update(SignIn).where(*where).values(ended_at=at))


def end_one(user_id: int, wanted: str, *, at: datetime) -> None:
    """Signs a person out on the browser of one sign-in, by its public id."""
    where = (SignIn.user_id == user_id, SignIn.public_id == wanted, SignIn.ended_at.is_(None))
    session.execute(sa.update(SignIn).where(*where).values(ended_at=at))


def live(user_id: int, *, at: datetime) -> list[SignIn]:
    """Where a person is signed in, the latest first."""
    query = sa.select(SignIn).where(SignIn.user_id == user_id, SignIn.ended_at.is_(None))
    return [found for found in session.scalars(query.order_by(SignIn.last_seen_at.desc())) if found.lives(at)]


def shared_with(user_id: int, seen: Surroundings, *, since: datetime) -> set[str]:
    """What of a browser's surroundings this person was signed in from since a moment: of visitor, network, browser."""
    query = sa.select(SignIn.visitor, SignIn.network, SignIn.browser).where(
        SignIn.user_id == user_id, SignIn.last_seen_at >= since
    )
    shared: set[str] = set()
    for visitor, network, browser in session.execute(query):
        if seen.visitor and visitor == seen.visitor:
            shared.add("visitor")
        if seen.network and network == seen.network:
            shared.add("network")
            if seen.browser and browser == seen.browser:
                shared.add("browser")
    return shared


def forget(user_id: int) -> None:
    """Deletes every sign-in of a person."""
    session.execute(sa.delete(SignIn).where(SignIn.user_id == user_id))


def of_person(user_id: int) -> list[SignIn]:
    """Every sign-in of a person, ended ones too, the latest first."""
    query = sa.select(SignIn).where(SignIn.user_id == user_id)
    return list(session.scalars(query.order_by(SignIn.last_seen_at.desc(), SignIn.id.desc())))
