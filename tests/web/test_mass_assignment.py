"""A form takes the fields it shows and no others, whatever is sent along."""

import shutil

import pytest
import sqlalchemy as sa

from portal import terms
from portal.accounts.users import User, find_by_email
from portal.core.database import metadata
from tests.conftest import close
from tests.web.client import Tab
from tests.web.routes import ACT, of_map
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


# --- every form about accounts ------------------------------------------------------------------------------

COLUMNS = {column.name: column for table in metadata.sorted_tables for column in table.columns}
MARK, NUMBER = "xyzzy", "4711471147"

ROOMS = ("public.", "security.", "account.", "safety.", "signing_in.", "leaving.", "joining.", "languages.")
TAKES = [
    endpoint for endpoint, (needs, _, _) in ACT.items()
    if endpoint.startswith(ROOMS) or endpoint in ("dashboard.method", "dashboard.claim")
]  # fmt: skip

OWN = {
    "account.mails": {"month"},
    "account.name": {"shows_name"},
    "public.sign_up": {"name", "shows_name", "code", "refused"},
    "public.confirmation": {"name"},
    "public.set_up_done": {"name", "minimum_order", "referrer_amount"},
    "dashboard.method": {"email", "holder", "iban"},
    "signing_in.passkey": {"name"},
}
"""Columns whose names are also fields of a form, beside those that stand in the table of routes."""


def every_column(kind):
    """A value for each column of the portal, as an attacker would send it."""
    for name, column in COLUMNS.items():
        if isinstance(column.type, sa.Integer | sa.BigInteger):
            yield name, NUMBER
        elif kind == "prefixed":
            yield name, MARK
        else:
            yield name, {"Boolean": "y", "Moment": "2020-02-02T02:02:02Z"}.get(type(column.type).__name__, MARK)


def shape(before, after):
    """What changed: by table, how many rows came and went, and in which columns rows differ."""
    found = {}
    for table, one in changes(before, after, but=frozenset({*SEEN, "clicks"})).items():
        gone = {row[0]: row for row in one["gone"]}
        names = [column.name for column in metadata.tables[table].columns]
        changed = set()
        for row in one["new"]:
            old = gone.pop(row[0], None)
            pairs = zip(names, old, row, strict=True) if old else ()
            changed |= {name for name, was, now in pairs if was != now} or {"new row"}
        found[table] = (len(one["new"]), len(gone), frozenset(changed))
    return found


def test_every_form_about_accounts_is_tried(app):
    """A new one is tried as soon as it stands in the table of routes."""
    posted = {endpoint for endpoint in of_map(app, "POST") if endpoint.startswith(ROOMS)}
    assert posted <= set(TAKES) and len(TAKES) >= 30 and len(COLUMNS) >= 150


@pytest.mark.case(104)
@pytest.mark.parametrize("endpoint", TAKES)
def test_the_name_of_every_column_beside_a_forms_fields_changes_nothing(endpoint, app, things, furnished, tab_of):
    """The form does to the database what it does without them, and none of what was sent beside it stands there."""
    needs, address, form = ACT[endpoint]
    path, own = things.fill(address), things.fill(form)
    extra = {name: value for name, value in every_column("plain") if name not in {*own, *OWN.get(endpoint, ())}}
    extra |= {f"{field.rpartition('-')[0]}-{name}": value for field in own if "-" in field
              for name, value in extra.items() if f"{field.rpartition('-')[0]}-{name}" not in own}  # fmt: skip
    extra.pop("passkey-name", None)
    who = {"safety.new_codes": "two-step", "safety.two_step_off": "two-step", "leaving.deletion": "two-step"}
    done = []
    for more in ({}, extra):
        signed_in = needs != "anyone" or endpoint == "security.logout"
        tab = tab_of(things.person(who.get(endpoint, "referrer"))) if signed_in else Tab(app)
        token, before = tab.token(), contents()
        page = tab.post(path, more | own | {"csrf_token": token})
        after = contents()
        done.append((page.status, page.location.split("?")[0], shape(before, after)))
        new = str([one["new"] for one in changes(before, after).values()])
        assert MARK not in new and NUMBER not in new and "2020, 2, 2" not in new
        close(app)
        shutil.copy(furnished[0], app.extensions["settings"].database_url.removeprefix("sqlite:///"))
    assert done[0] == done[1]
