"""The terms: the program's settings and legal text as versions, of which the newest is in force.

Invariants: a version never changes; the numbers count up by one, of two who publish at once one is told; a user
keeps the version accepted, a referral the version it came under. The program's currency is that of its terms.
"""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts.users import User
from portal.core import clock, database
from portal.core.database import Json, Model, session
from portal.core.text import Refusal, marked


class State(StrEnum):
    LIVE = "live"
    PAUSED = "paused"
    ENDED = "ended"


class Touch(StrEnum):
    """Which touch inside the window earns the friend."""

    FIRST = "first"
    LAST = "last"


class TermsRefused(Refusal):
    """Settings that cannot be published."""


class Moved(TermsRefused):
    """A change of a version that is not the newest any more."""


class Unchanged(TermsRefused):
    """A change by which nothing would be another: it makes no version."""


class Terms(Model):
    """One version. Amounts in minor units of `currency`; spans in days of 24 hours; `None` means: no such limit."""

    __tablename__ = "terms"
    __table_args__ = (
        database.one_of("state", State),
        database.one_of("touch", Touch),
        database.rule("window_days BETWEEN 1 AND 365", "window_span"),
        database.rule("goal_days BETWEEN 1 AND 3650", "goal_span"),
        database.rule("claim_days BETWEEN 0 AND 365", "claim_span"),
        database.rule("minimum_payout_minor >= 0", "minimum_payout_not_negative"),
        database.rule("pay_day BETWEEN 1 AND 28", "pay_day_span"),
        database.rule("review_days BETWEEN 1 AND 60", "review_span"),
        database.whole("version", "window_days", "claim_days", "goal_days", "minimum_payout_minor",
                       "auto_approve_below_minor", "second_person_above_minor", "referrer_year_cap_minor",
                       "referrer_month_cap_minor", "budget_month_minor"),
        *(database.whole(column, name=f"{column}_whole")
          for column in ("mails_invites", "invites_a_day", "invites_an_address", "pay_day", "review_days")),
    )  # fmt: skip

    id: Mapped[int] = database.key()
    version: Mapped[int] = mapped_column(unique=True)
    published_at: Mapped[datetime]
    published_by_id: Mapped[int | None] = database.refers_to("users.id", index=False)
    program_name: Mapped[str] = mapped_column(sa.String(80))
    currency: Mapped[str] = mapped_column(sa.String(3))
    time_zone: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[str] = mapped_column(sa.String(8), default=State.LIVE)
    touch: Mapped[str] = mapped_column(sa.String(8), default=Touch.LAST)
    goal: Mapped[str] = mapped_column(sa.String(32), default="purchase")
    """The goal a friend must reach before a referral counts; until then it can expire."""
    window_days: Mapped[int] = mapped_column(default=60)
    claim_days: Mapped[int] = mapped_column(default=7)
    goal_days: Mapped[int] = mapped_column(default=90)
    minimum_payout_minor: Mapped[int] = mapped_column(default=2000)
    auto_approve_below_minor: Mapped[int | None]
    second_person_above_minor: Mapped[int | None]
    referrer_month_cap_minor: Mapped[int | None]
    referrer_year_cap_minor: Mapped[int | None]
    budget_month_minor: Mapped[int | None]
    shop_url: Mapped[str] = mapped_column(sa.String(500), default="")
    allowed_hosts: Mapped[Any] = mapped_column(Json, default=list)
    """Host names, besides the portal's own, to which a link may lead."""
    legal_text: Mapped[str] = mapped_column(sa.Text, default="")
    help_contact: Mapped[str] = mapped_column(sa.String(200), default="")
    mails_invites: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    """Whether the portal writes to invited friends; if not, their referrers do, with the ready message."""
    invites_a_day: Mapped[int] = mapped_column(default=20, server_default="20")
    """How many friends one referrer may invite in 24 hours."""
    invites_an_address: Mapped[int] = mapped_column(default=3, server_default="3")
    """How many invites the portal sends to one address in 30 days, whoever asks for them."""
    accent: Mapped[str] = mapped_column(sa.String(7), default="", server_default="")
    """The program's own colour, such as `#4538cf`; empty: the portal's."""
    logo: Mapped[str] = mapped_column(sa.String(64), default="", server_default="")
    """The digest of its logo (see `portal.images`); empty: the portal's mark."""
    product_text: Mapped[str] = mapped_column(sa.String(400), default="", server_default="")
    """What the product is, in a few lines, for a friend who may not know it."""
    privacy_text: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    """What the program says about privacy, beside what the portal says of itself."""
    pay_day: Mapped[int | None]
    """The day of each month about which payouts go out; pages name it, and nobody is paid by it."""
    review_days: Mapped[int | None]
    """Within how many days a reward is decided, as it is promised to whom it concerns."""
    product_image: Mapped[str] = mapped_column(sa.String(64), default="", server_default="")
    """The digest of a picture of the product; empty: none."""
    product_image_text: Mapped[str] = mapped_column(sa.String(160), default="", server_default="")
    """What is on that picture, for who cannot see it."""

    @property
    def open_to_new(self) -> bool:
        """Whether new referrals are made. Paused or ended, those that are there keep their terms."""
        return self.state == State.LIVE

    @property
    def in_state_since(self) -> datetime:
        """When the program came into the state it is in; a draft, when it was drawn up."""
        before = sa.select(sa.func.max(Terms.version)).where(Terms.version < self.version, Terms.state != self.state)
        begun = Terms.version > sa.func.coalesce(before.scalar_subquery(), 0)
        return session.scalar(sa.select(Terms.published_at).where(begun).order_by(Terms.version)) or self.published_at

    def day(self, at: datetime) -> date:
        """The calendar day of a moment by the program's time zone."""
        return clock.local_date(at, self.time_zone)

    def next_pay_day(self, *, at: datetime) -> date | None:
        """The first pay day from a moment on, its own day included; None where there is no fixed day."""
        if self.pay_day is None:
            return None
        today = self.day(at)
        following = today.replace(day=1) + timedelta(days=32)
        return (today if today.day <= self.pay_day else following).replace(day=self.pay_day)

    def period_start(self, period: Literal["month", "year"], *, at: datetime) -> datetime:
        """When the month or year of a moment began, by the program's time zone."""
        local = clock.in_zone(at, self.time_zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return (local.replace(month=1) if period == "year" else local).astimezone(at.tzinfo)


database.append_only(Terms)


def current() -> Terms | None:
    """The version in force; None before the set-up."""
    return session.scalar(sa.select(Terms).order_by(Terms.version.desc()).limit(1))


def in_force() -> Terms:
    """The version in force; raises TermsRefused before the set-up."""
    found = current()
    if found is None:
        raise TermsRefused(marked("The program has not been set up yet."))
    return found


def opened_at() -> datetime | None:
    """When the first version was published; None before the set-up."""
    return session.scalar(sa.select(Terms.published_at).order_by(Terms.version).limit(1))


def of_version(version: int) -> Terms | None:
    """A version by its number."""
    return session.scalar(sa.select(Terms).where(Terms.version == version))


def must_be_newest(version: int) -> None:
    """Raises Moved, naming who published what meanwhile, where a change was made from an older version."""
    _must_be(version, in_force())


def _must_be(version: int, last: Terms) -> None:
    if last.version == version:
        return
    if of_version(version) is None:
        raise Moved(marked("It was not said which version this changes. Look at what is in force, and send it again."))
    by = User.by_id(last.published_by_id) if last.published_by_id else None
    if by is None:
        raise Moved(
            marked("Version %(number)s was published meanwhile, %(at)s."), number=last.version, at=last.published_at
        )
    raise Moved(
        marked("%(who)s published version %(number)s meanwhile, %(at)s."),
        who=by.called, number=last.version, at=last.published_at,
    )  # fmt: skip


def publish(*, by: int | None, at: datetime, after: int | None = None, **settings: Any) -> Terms:
    """Puts a new version in force: the newest one with `settings` changed.

    `after`: the number of the version that is changed. Raises Moved when that is not the newest, TermsRefused when
    somebody else publishes at this very moment. Whether the currency may still change is asked by `program.opening`.
    """
    last = current()
    if last is not None:
        if after is not None:
            _must_be(after, last)  # of this very row: read again, it could be another
        kept = {c.key for c in Terms.__table__.columns} - {"id", "version", "published_at", "published_by_id"}
        settings = {name: getattr(last, name) for name in kept} | settings
    version = last.version + 1 if last else 1
    made = database.insert_once(Terms, version=version, published_at=at, published_by_id=by, **settings)
    if made is None:
        raise TermsRefused(marked("Somebody else has just changed the program. Look at it again."))
    published: Terms = made
    return published


def version_of(number: int) -> Terms:
    """A version by its row number."""
    found = session.get(Terms, number)
    assert found is not None
    return found
