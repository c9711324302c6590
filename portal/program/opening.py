"""How a company opens its program: terms, rules, goals, signals, the first owner."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from portal import terms as terms_
from portal.accounts import audit, one_time, roles, users
from portal.accounts.one_time import Purpose
from portal.accounts.roles import Role
from portal.accounts.users import User
from portal.core.database import session
from portal.core.text import marked, one_line
from portal.payouts.payouts import Payout
from portal.payouts.vouchers import Voucher
from portal.program.accounts import begin_anew, replace_password
from portal.referrals.referrals import Referral
from portal.rewards import goals, kinds, rules
from portal.rewards.conversions import Conversion
from portal.rewards.corrections import Correction
from portal.rewards.rewards import Reward
from portal.rewards.rules import Rule
from portal.sharing import links
from portal.terms import Terms, TermsRefused, Unchanged


def open_program(
    offer: list[Rule], *, by: int | None, at: datetime, after: int | None = None, **settings: Any
) -> Terms:
    """Publishes the terms with their rules: the first version, or the next one (`after` which).

    Raises TermsRefused for another currency than the one in which something is kept.
    """
    goals.add_usual()
    last = terms_.current()
    if last is not None and settings.get("currency", last.currency) != last.currency and currency_is_fixed():
        raise TermsRefused(marked("The program's currency stays what it is: friends or orders have come under it."))
    published = terms_.publish(by=by, at=at, after=after, **settings)
    rules.set_rules(published, offer)
    audit.write("terms_published", "terms", str(published.version), by=by, at=at, state=published.state)
    return published


def change_program(
    of: int, *, by: int, at: datetime, put: Rule | None = None, drop: str | None = None, **settings: Any
) -> Terms:
    """Publishes a version of the terms with something changed: settings, a rule put into the offer (see
    `rules.with_it`), or by `rule_key` one dropped.

    Raises Moved if that version is not in force any more, Unchanged if it would stay as it is, RuleRefused,
    TermsRefused.
    """
    terms_.must_be_newest(of)
    last = terms_.in_force()
    offered = rules.of_terms(last.id)
    offer = [rule for rule in offered if rule.rule_key != drop]
    stays = len(offer) == len(offered) and all(getattr(last, name) == wanted for name, wanted in settings.items())
    if stays and (put is None or any(put.rule_key == rule.rule_key and rules.same(put, rule) for rule in offer)):
        raise Unchanged(marked("Nothing was changed."))
    offer = rules.in_currency(offer, last.currency, settings.get("currency", last.currency))
    return open_program(rules.with_it(offer, put) if put else offer, by=by, at=at, after=of, **settings)


def currency_is_fixed() -> bool:
    """Whether the program's currency stays what it is: once a friend has come under it, or anything is kept in it."""
    kept = [sa.select(table.id) for table in (Referral, Reward, Correction, Voucher, Payout)]
    kept.append(sa.select(Conversion.id).where(Conversion.currency.is_not(None)))
    return session.scalar(sa.select(sa.or_(*(sa.exists(rows) for rows in kept)))) or False


def add_goal(name: str, *, label: str, has_amount: bool, by: int, at: datetime) -> None:
    """Adds a goal, such as a trial that a friend starts. Raises GoalRefused."""
    if goals.find(name) is not None:
        raise goals.GoalRefused(marked("There is a goal of this name already."))
    goals.add(name, label=label, has_amount=has_amount)
    audit.write("goal_added", "goal", name, by=by, at=at)


def weigh_signal(kind: kinds.Kind, *, weight: int, is_on: bool, by: int, at: datetime) -> None:
    """Gives a kind of signal a weight or switches it off, for what is raised from now on. Raises WeightRefused."""
    kinds.change(kind, weight=weight, is_on=is_on, by=by, at=at)


def add_owner(email: str, *, name: str, password: str | None, at: datetime) -> User:
    """Makes somebody an owner, new or there before; the operator vouches for the address.

    `password` is hashed; without one it is set by a one-time link, and one that is there stays until then.
    """
    email = users.clean_email(email)
    owner = users.add(email=email, name=name, password=password, at=at)
    if owner is None:
        owner = users.find_by_email(email)
        assert owner is not None
        owner.name = one_line(name, 80) or owner.name
        if owner.confirmed_at is None:  # whoever set it up never confirmed the address
            begin_anew(owner, password, at=at)
            one_time.end_all(Purpose.CONFIRM, owner.id, at=at)
        elif password is not None:
            replace_password(owner, password, at=at)
    else:
        links.make(owner.id, at=at)
    owner.confirmed_at = owner.confirmed_at or at
    roles.grant(owner.id, Role.OWNER, by=None, at=at)
    audit.write("role_granted", "user", owner.public_id, by=None, at=at, role=Role.OWNER)
    return owner


def mark_as_sample(*, at: datetime) -> None:
    """Notes that this database holds the demo's sample data, so that nobody serves it by mistake."""
    audit.write("sample_data", "demo", "sample", by=None, at=at)


def holds_sample_data() -> bool:
    """Whether this database holds the demo's sample data."""
    return bool(audit.about("demo", "sample"))
