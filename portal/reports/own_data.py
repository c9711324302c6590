"""Own data: what is kept about one person, for themselves (GDPR, article 15), and nobody else's.

Left out is what colleagues noted while they looked at an order, and what made them look: article 15 (4) and 23 (1) (d).
Of friends and referrers stands what their pages show too. Amounts are in minor units, moments in UTC.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from portal.accounts import mail_choices, passkeys, sign_ins, two_step
from portal.accounts.audit import AuditEntry, Note
from portal.accounts.users import User
from portal.core.database import session
from portal.delivery.outbox import Message
from portal.payouts import methods
from portal.payouts.payouts import Payout
from portal.referrals import claims, referrals
from portal.reports import exports
from portal.rewards import conversions, ledger, tier_locks
from portal.sharing import invites, links
from portal.sharing.clicks import Click
from portal.sharing.links import Code


def about(user: User, *, at: datetime) -> dict[str, Any]:
    """The data by kind; each kind is a dict or a list of dicts of plain values."""
    return {
        "made_at": _said(at),
        "account": _account(user),
        "signed_in": _rows(
            sign_ins.of_person(user.id), "started_at last_seen_at ended_at device network browser visitor"
        ),
        "passkeys": _rows(passkeys.of_person(user.id), "name made_at used_at"),
        "links": _links(user),
        "clicks_of_this_browser": _clicks(user),
        "invites": _rows(invites.by_owner(user.id), "to note made_at withdrawn_at declined_at purged_at"),
        "brought_by": _brought_by(user),
        "friends": [
            {"friend": one.referral.referee.as_friend, **_row(one.referral, "code how joined_at counted_at expired_at")}
            for one in exports.friends(user.id, at=at)
        ],
        "claims": _rows(claims.of_referee(user.id), "named made_at answered_at granted"),
        "orders": _rows(
            conversions.of_customer(user.id), "external_id goal amount_minor currency occurred_at received_at"
        ),
        "rewards": _rows(
            (one.reward for one in exports.rewards(user.id)),
            "public_id state amount_minor currency computation made_at hold_until released_at",
        ),
        "steps_set": _rows(tier_locks.of_people([user.id]), "counts_as set_at lifted_at"),
        "corrections": _rows(exports.corrections(user.id), "amount_minor currency reason at"),
        "payout_methods": _rows(methods.of_person(user.id), "kind shown set_at usable_at replaced_at"),
        "payouts": _payouts(user),
        "balances": {
            currency: {str(bucket): minor for bucket, minor in ledger.balances(user.id, currency).items()}
            for currency in ledger.currencies(user.id)
        },
        "texts": _rows(_texts(user), "text written_at"),
        "what_you_did": _rows(
            session.scalars(sa.select(AuditEntry).where(AuditEntry.actor_id == user.id).order_by(AuditEntry.id)),
            "at verb subject_kind subject_id",
        ),
        "mails": _rows(
            session.scalars(sa.select(Message).where(Message.to == user.email).order_by(Message.id)),
            "kind subject state made_at sent_at",
        ),
    }


def _account(user: User) -> dict[str, Any]:
    kept = _row(user, "public_id email name shows_name external_id created_at signed_up_at confirmed_at "
                      "accepted_terms_version suspended_at language time_zone visitor network browser")  # fmt: skip
    return kept | {
        "roles": sorted(user.role_names),
        "unwanted_mails": sorted(mail_choices.off(user.id)),
        "two_step": two_step.is_on(user.id),
        "recovery_codes_left": two_step.codes_left(user.id),
    }


def _links(user: User) -> list[dict[str, Any]]:
    found = []
    for link in links.of_owner(user.id):
        codes = session.scalars(sa.select(Code.text).where(Code.link_id == link.id).order_by(Code.id))
        found.append({"codes": list(codes), **_row(link, "label destination made_at archived_at")})
    return found


def _clicks(user: User) -> list[dict[str, Any]]:
    """The visits through links from the browsers in which they signed up or in."""
    browsers = {one.visitor for one in sign_ins.of_person(user.id)} | {user.visitor}
    query = sa.select(Click).where(Click.visitor.in_([one for one in browsers if one])).order_by(Click.id)
    return [_row(one, "at last_at network browser came_from") for one in session.scalars(query)]


def _brought_by(user: User) -> dict[str, Any] | None:
    found = referrals.of_referee(user.id)
    return {"referrer": found.referrer.first_name, **_row(found, "code how joined_at")} if found else None


def _payouts(user: User) -> list[dict[str, Any]]:
    query = sa.select(Payout).where(Payout.user_id == user.id).order_by(Payout.id)
    return [_row(one, "reference amount_minor currency state ended_at failure") for one in session.scalars(query)]


def _texts(user: User) -> list[Note]:
    """What they wrote themselves: why to look again, notes."""
    query = sa.select(Note).where(Note.author_id == user.id, Note.text != "").order_by(Note.id)
    return list(session.scalars(query))


def _rows(things: Iterable[object], names: str) -> list[dict[str, Any]]:
    return [_row(one, names) for one in things]


def _row(thing: object, names: str) -> dict[str, Any]:
    return {name: _said(getattr(thing, name)) for name in names.split()}


def _said(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
