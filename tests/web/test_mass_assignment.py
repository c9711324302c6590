"""A form takes the fields it shows and no others, whatever is sent along."""

import pytest

from portal import terms
from portal.accounts.users import User, find_by_email
from tests.web.routes import ACT
from tests.web.tables import SEEN, changes, contents

EXTRA: dict[str, object] = {
    column.name: {"id": "1", "email": "mallory@example.com", "name": "Mallory"}.get(column.name, "2020-01-01T00:00:00Z")
    for column in User.__table__.columns
}
EXTRA |= {
    "role": "owner", "roles": "owner", "roles-0": "owner", "grants": "owner", "is_admin": "1", "admin": "true",
    "user_id": "1", "owner_id": "1", "referrer_id": "1", "person_id": "1", "active": "1", "may": "own",
    "confirmed": "1", "confirmed_at": "2020-01-01", "suspended_at": "2020-01-01", "balance": "100000",
    "amount_minor": "100000", "version": "99", "state": "paid", "csrf": "x", "_method": "DELETE", "__class__": "x",
}  # fmt: skip


def without(own):
    return {name: value for name, value in EXTRA.items() if name not in own}


@pytest.mark.case(104)
def test_a_sign_up_makes_an_ordinary_account_whatever_else_is_sent(scene, tab):
    assert scene.alice
    form = tab.get("/signup").form("/signup$")
    own = {"email": "new@example.com", "password": "a password of hers", "terms": True, "name": "New"}
    tab.submit_with(form, without({*form.fields, *own}) | own)
    made = find_by_email("new@example.com")
    assert (made.name, made.confirmed_at, made.external_id, made.suspended_at) == ("New", None, None, None)
    assert made.role_names == set() and not any(made.may(what) for what in ("read", "decide", "pay", "own"))
    assert made.created_at.year == made.signed_up_at.year == 2026
    assert made.id != 1 and scene.referral(made) is None


CHANGES = {
    "account.name": {"users": {"name", "shows_name"}, "audit_entries": {"new row"}},
    "account.code": {"codes": {"new row", "retired_at"}, "audit_entries": {"new row"}},
    "dashboard.method": {
        "payout_methods": {"new row", "replaced_at"}, "audit_entries": {"new row"}, "outbox": {"new row"},
    },
    "public.reset_asked": {"one_time_keys": {"new row", "ended_at"}, "outbox": {"new row"}},
    "public.asked_again": {"one_time_keys": {"new row"}, "outbox": {"new row"}},
}  # fmt: skip
"""What each form about oneself may change at most: by table, the columns."""


@pytest.mark.case(104)
@pytest.mark.parametrize("endpoint", CHANGES)
def test_forms_about_oneself_change_what_they_show_and_nothing_more(endpoint, things, tab_of):
    _, address, own = ACT[endpoint]
    found = after(tab_of(things.person("referrer")), address, without(own) | own)
    assert found and found.keys() <= CHANGES[endpoint].keys()
    assert all(columns <= CHANGES[endpoint][table] for table, columns in found.items()), found


def after(tab, address, form):
    """What a form changes: by table, the columns."""
    before = contents()
    assert tab.post(address, form).status in (200, 302)
    found = changes(before, contents(), but=frozenset(SEEN))
    return {table: set(columns_of(table, one["gone"], one["new"])) for table, one in found.items()}


def columns_of(table, gone, new):
    """The columns in which a changed row differs from what it was; `new row` for one that was not there."""
    by_key = {row[0]: row for row in gone}
    names = [column.name for column in User.metadata.tables[table].columns]
    for row in new:
        old = by_key.get(row[0])
        if old is None:
            yield "new row"
        else:
            yield from (name for name, was, now in zip(names, old, row, strict=True) if was != now)


def test_the_first_owner_is_an_owner_and_the_program_what_the_form_says(things, tab):
    _, address, own = ACT["public.set_up_done"]
    tab.press(things.fill(address), **without(own) | own)
    made = find_by_email("boss@example.com")
    assert made.role_names == {"owner"} and made.signed_up_at >= things.at
    in_force = terms.in_force()
    assert (in_force.version, in_force.state, in_force.currency) == (3, "live", "EUR")


def test_names_that_are_python_reach_nothing(things, tab_of):
    alice = tab_of(things.person("referrer"))
    tricks = {
        "name.__class__": "x", "name[__class__]": "x", "__init__": "x", "meta": "x", "validate": "x", "data": "x",
        "name-0-x": "x", "_fields": "x", "name[]": "x", "name[$ne]": "x", "populate_obj": "x",
    }  # fmt: skip
    assert alice.press("/account", "/account/name", name="Alicia", **tricks).path == "/account"
    assert things.person("referrer").name == "Alicia"
