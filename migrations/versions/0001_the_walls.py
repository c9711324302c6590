"""The walls: every table of the first piece with its rules, and the triggers that keep what never changes.

Frozen: what the tables were on the day of this version, in its own words. It imports nothing of the portal, so that
it does the same for ever; later versions change what this one made.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

APPEND_ONLY = ("terms", "audit_entries", "decisions", "transfers", "seals")

REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$
"""


def upgrade() -> None:
    """Makes every table, and then the triggers."""
    op.create_table(
        "goals",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("label", sa.String(80), nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("has_amount", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_goals")),
        sa.UniqueConstraint("name", name=op.f("uq_goals_name")),
        sa.CheckConstraint("typeof(has_amount) IN ('integer', 'null')", name=op.f("ck_goals_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "outbox",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("about_kind", sa.String(20), nullable=False),
        sa.Column("about_id", sa.String(64), nullable=False),
        sa.Column("to", sa.String(320), nullable=False),
        sa.Column("to_hash", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("secret", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("leased_until", MOMENT, nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("trouble", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint(
            "kind", "about_kind", "about_id", "to_hash", name=op.f("uq_outbox_kind_about_kind_about_id_to_hash")
        ),
        sa.UniqueConstraint("public_id", name=op.f("uq_outbox_public_id")),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'given_up', 'withdrawn')", name=op.f("ck_outbox_state_known")
        ),
        sa.CheckConstraint(
            "typeof(secret) IN ('integer', 'null') AND typeof(tries) IN ('integer', 'null')",
            name=op.f("ck_outbox_whole_numbers"),
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_outbox_due"), "outbox", ["state", "due_at"])
    op.create_index(op.f("ix_outbox_to_hash"), "outbox", ["to_hash"])
    op.create_table(
        "users",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("password", sa.String(255), nullable=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("shows_name", sa.Boolean(), nullable=False),
        sa.Column("external_id", sa.String(128), nullable=True),
        sa.Column("fs_uniquifier", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("signed_up_at", MOMENT, nullable=False),
        sa.Column("confirmed_at", MOMENT, nullable=True),
        sa.Column("accepted_terms_version", sa.BigInteger(), nullable=True),
        sa.Column("suspended_at", MOMENT, nullable=True),
        sa.Column("shut_out_at", MOMENT, nullable=True),
        sa.Column("erased_at", MOMENT, nullable=True),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("visitor", sa.String(32), nullable=True),
        sa.Column("network", sa.String(64), nullable=True),
        sa.Column("browser", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("external_id", name=op.f("uq_users_external_id")),
        sa.UniqueConstraint("fs_uniquifier", name=op.f("uq_users_fs_uniquifier")),
        sa.UniqueConstraint("public_id", name=op.f("uq_users_public_id")),
        sa.CheckConstraint("length(email) BETWEEN 3 AND 320", name=op.f("ck_users_email_length")),
        sa.CheckConstraint(
            "typeof(shows_name) IN ('integer', 'null') AND typeof(accepted_terms_version) IN ('integer', 'null')",
            name=op.f("ck_users_whole_numbers"),
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_users_network"), "users", ["network"])
    op.create_index(op.f("uq_users_email_lower"), "users", [sa.text("lower(email)")], unique=True)
    op.create_table(
        "worker_turns",
        sa.Column("id", KEY, nullable=False),
        sa.Column("job", sa.String(40), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker_turns")),
        sa.UniqueConstraint("job", name=op.f("uq_worker_turns_job")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("hint", sa.String(12), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("made_by_id", KEY, nullable=True),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("public_id", name=op.f("uq_api_keys_public_id")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_keys_token_hash")),
        sa.ForeignKeyConstraint(["made_by_id"], ["users.id"], name=op.f("fk_api_keys_made_by_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "claims",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("referee_id", KEY, nullable=False),
        sa.Column("referrer_id", KEY, nullable=True),
        sa.Column("named", sa.String(320), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.Column("answered_by_id", KEY, nullable=True),
        sa.Column("granted", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
        sa.UniqueConstraint("public_id", name=op.f("uq_claims_public_id")),
        sa.ForeignKeyConstraint(["answered_by_id"], ["users.id"], name=op.f("fk_claims_answered_by_id")),
        sa.ForeignKeyConstraint(["referee_id"], ["users.id"], name=op.f("fk_claims_referee_id")),
        sa.ForeignKeyConstraint(["referrer_id"], ["users.id"], name=op.f("fk_claims_referrer_id")),
        sa.CheckConstraint("(answered_at IS NULL) = (granted IS NULL)", name=op.f("ck_claims_answered_with_an_answer")),
        sa.CheckConstraint(
            "referrer_id IS NULL OR referrer_id <> referee_id", name=op.f("ck_claims_nobody_claims_themselves")
        ),
        sa.CheckConstraint("typeof(granted) IN ('integer', 'null')", name=op.f("ck_claims_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_claims_referee_id"), "claims", ["referee_id"])
    op.create_index(op.f("ix_claims_referrer_id"), "claims", ["referrer_id"])
    op.create_index(
        op.f("uq_claims_open"),
        "claims",
        ["referee_id"],
        unique=True,
        sqlite_where=sa.text("answered_at IS NULL"),
        postgresql_where=sa.text("answered_at IS NULL"),
    )
    op.create_table(
        "links",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("owner_id", KEY, nullable=False),
        sa.Column("label", sa.String(60), nullable=False),
        sa.Column("destination", sa.String(500), nullable=True),
        sa.Column("addressed", sa.Boolean(), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("archived_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links")),
        sa.UniqueConstraint("public_id", name=op.f("uq_links_public_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_links_owner_id")),
        sa.CheckConstraint("typeof(addressed) IN ('integer', 'null')", name=op.f("ck_links_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_links_owner_id"), "links", ["owner_id"])
    op.create_table(
        "notes",
        sa.Column("id", KEY, nullable=False),
        sa.Column("author_id", KEY, nullable=True),
        sa.Column("about_user_id", KEY, nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("written_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
        sa.ForeignKeyConstraint(["about_user_id"], ["users.id"], name=op.f("fk_notes_about_user_id")),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name=op.f("fk_notes_author_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_notes_about_user_id"), "notes", ["about_user_id"])
    op.create_index(op.f("ix_notes_author_id"), "notes", ["author_id"])
    op.create_table(
        "one_time_keys",
        sa.Column("id", KEY, nullable=False),
        sa.Column("purpose", sa.String(10), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("user_id", KEY, nullable=True),
        sa.Column("password", sa.String(255), nullable=True),
        sa.Column("carried", sa.Text(), nullable=True),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_time_keys")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_one_time_keys_token_hash")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_one_time_keys_user_id")),
        sa.CheckConstraint("purpose IN ('confirm', 'reset', 'set_up')", name=op.f("ck_one_time_keys_purpose_known")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_one_time_keys_user_id"), "one_time_keys", ["user_id"])
    op.create_table(
        "payout_batches",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("reference", sa.String(24), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("made_by_id", KEY, nullable=False),
        sa.Column("approved_at", MOMENT, nullable=True),
        sa.Column("approved_by_id", KEY, nullable=True),
        sa.Column("exported_at", MOMENT, nullable=True),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.Column("bank_reference", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_batches")),
        sa.UniqueConstraint("public_id", name=op.f("uq_payout_batches_public_id")),
        sa.UniqueConstraint("reference", name=op.f("uq_payout_batches_reference")),
        sa.ForeignKeyConstraint(["approved_by_id"], ["users.id"], name=op.f("fk_payout_batches_approved_by_id")),
        sa.ForeignKeyConstraint(["made_by_id"], ["users.id"], name=op.f("fk_payout_batches_made_by_id")),
        sa.CheckConstraint(
            "state IN ('draft', 'approved', 'exported', 'paid', 'partly_paid', 'cancelled')",
            name=op.f("ck_payout_batches_state_known"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "payout_methods",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(12), nullable=False),
        sa.Column("shown", sa.String(80), nullable=False),
        sa.Column("set_at", MOMENT, nullable=False),
        sa.Column("usable_at", MOMENT, nullable=False),
        sa.Column("replaced_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_methods")),
        sa.UniqueConstraint("public_id", name=op.f("uq_payout_methods_public_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_payout_methods_user_id")),
        sa.CheckConstraint(
            "kind IN ('credit', 'voucher', 'paypal', 'bank')", name=op.f("ck_payout_methods_kind_known")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_payout_methods_user_id"), "payout_methods", ["user_id"])
    op.create_index(
        op.f("uq_payout_methods_in_force"),
        "payout_methods",
        ["user_id"],
        unique=True,
        sqlite_where=sa.text("replaced_at IS NULL"),
        postgresql_where=sa.text("replaced_at IS NULL"),
    )
    op.create_table(
        "role_grants",
        sa.Column("id", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("name", sa.String(10), nullable=False),
        sa.Column("granted_at", MOMENT, nullable=False),
        sa.Column("granted_by_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grants")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_role_grants_user_id_name")),
        sa.ForeignKeyConstraint(["granted_by_id"], ["users.id"], name=op.f("fk_role_grants_granted_by_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_role_grants_user_id")),
        sa.CheckConstraint(
            "name IN ('viewer', 'reviewer', 'finance', 'owner')", name=op.f("ck_role_grants_name_known")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_role_grants_user_id"), "role_grants", ["user_id"])
    op.create_table(
        "sign_ins",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("visitor", sa.String(32), nullable=True),
        sa.Column("network", sa.String(64), nullable=True),
        sa.Column("browser", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
        sa.UniqueConstraint("public_id", name=op.f("uq_sign_ins_public_id")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sign_ins_token_hash")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sign_ins_user_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_sign_ins_user_id"), "sign_ins", ["user_id"])
    op.create_index(op.f("ix_sign_ins_visitor"), "sign_ins", ["visitor"])
    op.create_table(
        "terms",
        sa.Column("id", KEY, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("published_at", MOMENT, nullable=False),
        sa.Column("published_by_id", KEY, nullable=True),
        sa.Column("program_name", sa.String(80), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("touch", sa.String(8), nullable=False),
        sa.Column("goal", sa.String(32), nullable=False),
        sa.Column("window_days", sa.BigInteger(), nullable=False),
        sa.Column("claim_days", sa.BigInteger(), nullable=False),
        sa.Column("goal_days", sa.BigInteger(), nullable=False),
        sa.Column("minimum_payout_minor", sa.BigInteger(), nullable=False),
        sa.Column("auto_approve_below_minor", sa.BigInteger(), nullable=True),
        sa.Column("second_person_above_minor", sa.BigInteger(), nullable=True),
        sa.Column("referrer_month_cap_minor", sa.BigInteger(), nullable=True),
        sa.Column("referrer_year_cap_minor", sa.BigInteger(), nullable=True),
        sa.Column("budget_month_minor", sa.BigInteger(), nullable=True),
        sa.Column("shop_url", sa.String(500), nullable=False),
        sa.Column("allowed_hosts", sa.Text(), nullable=False),
        sa.Column("legal_text", sa.Text(), nullable=False),
        sa.Column("help_contact", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terms")),
        sa.UniqueConstraint("version", name=op.f("uq_terms_version")),
        sa.ForeignKeyConstraint(["published_by_id"], ["users.id"], name=op.f("fk_terms_published_by_id")),
        sa.CheckConstraint("claim_days BETWEEN 0 AND 365", name=op.f("ck_terms_claim_span")),
        sa.CheckConstraint("goal_days BETWEEN 1 AND 3650", name=op.f("ck_terms_goal_span")),
        sa.CheckConstraint("minimum_payout_minor >= 0", name=op.f("ck_terms_minimum_payout_not_negative")),
        sa.CheckConstraint("state IN ('live', 'paused', 'ended')", name=op.f("ck_terms_state_known")),
        sa.CheckConstraint("touch IN ('first', 'last')", name=op.f("ck_terms_touch_known")),
        sa.CheckConstraint(
            "typeof(version) IN ('integer', 'null') AND typeof(window_days) IN ('integer', 'null') AND "
            "typeof(claim_days) IN ('integer', 'null') AND typeof(goal_days) IN ('integer', 'null') AND "
            "typeof(minimum_payout_minor) IN ('integer', 'null') AND "
            "typeof(auto_approve_below_minor) IN ('integer', 'null') AND "
            "typeof(second_person_above_minor) IN ('integer', 'null') AND "
            "typeof(referrer_year_cap_minor) IN ('integer', 'null') AND "
            "typeof(referrer_month_cap_minor) IN ('integer', 'null') AND "
            "typeof(budget_month_minor) IN ('integer', 'null')",
            name=op.f("ck_terms_whole_numbers"),
        ).ddl_if(dialect="sqlite"),
        sa.CheckConstraint("window_days BETWEEN 1 AND 365", name=op.f("ck_terms_window_span")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit_entries",
        sa.Column("id", KEY, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor_id", KEY, nullable=True),
        sa.Column("verb", sa.String(40), nullable=False),
        sa.Column("subject_kind", sa.String(20), nullable=False),
        sa.Column("subject_id", sa.String(64), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("note_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_audit_entries_actor_id")),
        sa.ForeignKeyConstraint(["note_id"], ["notes.id"], name=op.f("fk_audit_entries_note_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_entries_actor_id"), "audit_entries", ["actor_id"])
    op.create_index(op.f("ix_audit_entries_at"), "audit_entries", ["at"])
    op.create_index(op.f("ix_audit_entries_subject"), "audit_entries", ["subject_kind", "subject_id"])
    op.create_table(
        "clicks",
        sa.Column("id", KEY, nullable=False),
        sa.Column("link_id", KEY, nullable=False),
        sa.Column("visitor", sa.String(32), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("network", sa.String(64), nullable=True),
        sa.Column("browser", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clicks")),
        sa.UniqueConstraint("link_id", "visitor", "hour", name=op.f("uq_clicks_link_id_visitor_hour")),
        sa.ForeignKeyConstraint(["link_id"], ["links.id"], name=op.f("fk_clicks_link_id")),
        sa.CheckConstraint("typeof(hour) IN ('integer', 'null')", name=op.f("ck_clicks_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_clicks_link_at"), "clicks", ["link_id", "at"])
    op.create_index(op.f("ix_clicks_visitor"), "clicks", ["visitor", "last_at"])
    op.create_table(
        "codes",
        sa.Column("id", KEY, nullable=False),
        sa.Column("folded", sa.String(32), nullable=False),
        sa.Column("text", sa.String(32), nullable=False),
        sa.Column("link_id", KEY, nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("retired_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_codes")),
        sa.UniqueConstraint("folded", name=op.f("uq_codes_folded")),
        sa.ForeignKeyConstraint(["link_id"], ["links.id"], name=op.f("fk_codes_link_id")),
        sa.CheckConstraint("folded = lower(folded)", name=op.f("ck_codes_folded_is_lower")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_codes_link_id"), "codes", ["link_id"])
    op.create_index(
        op.f("uq_codes_current"),
        "codes",
        ["link_id"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "invites",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("owner_id", KEY, nullable=False),
        sa.Column("link_id", KEY, nullable=False),
        sa.Column("to", sa.String(320), nullable=True),
        sa.Column("to_hash", sa.String(64), nullable=False),
        sa.Column("note", sa.String(280), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("withdrawn_at", MOMENT, nullable=True),
        sa.Column("declined_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invites")),
        sa.UniqueConstraint("link_id", name=op.f("uq_invites_link_id")),
        sa.UniqueConstraint("owner_id", "to_hash", name=op.f("uq_invites_owner_id_to_hash")),
        sa.UniqueConstraint("public_id", name=op.f("uq_invites_public_id")),
        sa.ForeignKeyConstraint(["link_id"], ["links.id"], name=op.f("fk_invites_link_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_invites_owner_id")),
        sa.CheckConstraint("withdrawn_at IS NULL OR declined_at IS NULL", name=op.f("ck_invites_ended_once")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_invites_made_at"), "invites", ["made_at"])
    op.create_index(op.f("ix_invites_to_hash"), "invites", ["to_hash"])
    op.create_table(
        "payouts",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("reference", sa.String(24), nullable=False),
        sa.Column("batch_id", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("method_id", KEY, nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("failure", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payouts")),
        sa.UniqueConstraint("batch_id", "user_id", name=op.f("uq_payouts_batch_id_user_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_payouts_public_id")),
        sa.UniqueConstraint("reference", name=op.f("uq_payouts_reference")),
        sa.ForeignKeyConstraint(["batch_id"], ["payout_batches.id"], name=op.f("fk_payouts_batch_id")),
        sa.ForeignKeyConstraint(["method_id"], ["payout_methods.id"], name=op.f("fk_payouts_method_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_payouts_user_id")),
        sa.CheckConstraint("amount_minor > 0 OR state = 'cancelled'", name=op.f("ck_payouts_amount_positive")),
        sa.CheckConstraint(
            "state IN ('preparing', 'sent', 'paid', 'failed', 'cancelled')", name=op.f("ck_payouts_state_known")
        ),
        sa.CheckConstraint("typeof(amount_minor) IN ('integer', 'null')", name=op.f("ck_payouts_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_payouts_user_id"), "payouts", ["user_id"])
    op.create_table(
        "rules",
        sa.Column("id", KEY, nullable=False),
        sa.Column("terms_id", KEY, nullable=False),
        sa.Column("rule_key", sa.String(16), nullable=False),
        sa.Column("goal", sa.String(32), nullable=False),
        sa.Column("beneficiary", sa.String(10), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("share_bp", sa.BigInteger(), nullable=True),
        sa.Column("most_minor", sa.BigInteger(), nullable=True),
        sa.Column("minimum_order_minor", sa.BigInteger(), nullable=True),
        sa.Column("often", sa.String(8), nullable=False),
        sa.Column("months", sa.BigInteger(), nullable=True),
        sa.Column("hold_days", sa.BigInteger(), nullable=False),
        sa.Column("tiers", sa.Text(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=True),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rules")),
        sa.UniqueConstraint("terms_id", "rule_key", name=op.f("uq_rules_terms_id_rule_key")),
        sa.ForeignKeyConstraint(["terms_id"], ["terms.id"], name=op.f("fk_rules_terms_id")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_rules_amount_positive")),
        sa.CheckConstraint("beneficiary IN ('referrer', 'referee')", name=op.f("ck_rules_beneficiary_known")),
        sa.CheckConstraint("(kind = 'fixed') = (amount_minor IS NOT NULL)", name=op.f("ck_rules_fixed_has_amount")),
        sa.CheckConstraint("hold_days BETWEEN 0 AND 365", name=op.f("ck_rules_hold_span")),
        sa.CheckConstraint("kind IN ('fixed', 'share')", name=op.f("ck_rules_kind_known")),
        sa.CheckConstraint("often IN ('first', 'every')", name=op.f("ck_rules_often_known")),
        sa.CheckConstraint("(kind = 'share') = (share_bp IS NOT NULL)", name=op.f("ck_rules_share_has_basis_points")),
        sa.CheckConstraint("share_bp BETWEEN 1 AND 10000", name=op.f("ck_rules_share_within_the_whole")),
        sa.CheckConstraint(
            "typeof(amount_minor) IN ('integer', 'null') AND typeof(share_bp) IN ('integer', 'null') AND "
            "typeof(most_minor) IN ('integer', 'null') AND "
            "typeof(minimum_order_minor) IN ('integer', 'null') AND typeof(threshold) IN ('integer', 'null') AND "
            "typeof(months) IN ('integer', 'null') AND typeof(hold_days) IN ('integer', 'null')",
            name=op.f("ck_rules_whole_numbers"),
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_rules_terms_id"), "rules", ["terms_id"])
    op.create_table(
        "referrals",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("referrer_id", KEY, nullable=False),
        sa.Column("referee_id", KEY, nullable=False),
        sa.Column("link_id", KEY, nullable=False),
        sa.Column("click_id", KEY, nullable=True),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("how", sa.String(12), nullable=False),
        sa.Column("weighed", sa.Text(), nullable=False),
        sa.Column("terms_id", KEY, nullable=False),
        sa.Column("touched_at", MOMENT, nullable=False),
        sa.Column("joined_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("counted_at", MOMENT, nullable=True),
        sa.Column("expired_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_referrals")),
        sa.UniqueConstraint("public_id", name=op.f("uq_referrals_public_id")),
        sa.UniqueConstraint("referee_id", name=op.f("uq_referrals_referee_id")),
        sa.ForeignKeyConstraint(["click_id"], ["clicks.id"], name=op.f("fk_referrals_click_id")),
        sa.ForeignKeyConstraint(["link_id"], ["links.id"], name=op.f("fk_referrals_link_id")),
        sa.ForeignKeyConstraint(["referee_id"], ["users.id"], name=op.f("fk_referrals_referee_id")),
        sa.ForeignKeyConstraint(["referrer_id"], ["users.id"], name=op.f("fk_referrals_referrer_id")),
        sa.ForeignKeyConstraint(["terms_id"], ["terms.id"], name=op.f("fk_referrals_terms_id")),
        sa.CheckConstraint(
            "how IN ('code', 'last_touch', 'first_touch', 'shop', 'invite', 'claim')",
            name=op.f("ck_referrals_how_known"),
        ),
        sa.CheckConstraint("referrer_id <> referee_id", name=op.f("ck_referrals_nobody_refers_themselves")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_referrals_expires_at"), "referrals", ["expires_at"])
    op.create_index(op.f("ix_referrals_link_id"), "referrals", ["link_id"])
    op.create_index(op.f("ix_referrals_referrer_joined"), "referrals", ["referrer_id", "joined_at"])
    op.create_index(op.f("ix_referrals_terms_id"), "referrals", ["terms_id"])
    op.create_table(
        "vouchers",
        sa.Column("id", KEY, nullable=False),
        sa.Column("code", sa.String(80), nullable=False),
        sa.Column("value_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("added_at", MOMENT, nullable=False),
        sa.Column("payout_id", KEY, nullable=True),
        sa.Column("given_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vouchers")),
        sa.UniqueConstraint("code", name=op.f("uq_vouchers_code")),
        sa.ForeignKeyConstraint(["payout_id"], ["payouts.id"], name=op.f("fk_vouchers_payout_id")),
        sa.CheckConstraint("given_at IS NULL OR payout_id IS NOT NULL", name=op.f("ck_vouchers_given_to_somebody")),
        sa.CheckConstraint("value_minor > 0", name=op.f("ck_vouchers_value_positive")),
        sa.CheckConstraint("typeof(value_minor) IN ('integer', 'null')", name=op.f("ck_vouchers_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_vouchers_payout_id"), "vouchers", ["payout_id"])
    op.create_table(
        "assessments",
        sa.Column("id", KEY, nullable=False),
        sa.Column("referral_id", KEY, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assessments")),
        sa.UniqueConstraint("referral_id", name=op.f("uq_assessments_referral_id")),
        sa.ForeignKeyConstraint(["referral_id"], ["referrals.id"], name=op.f("fk_assessments_referral_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "conversions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("external_id", sa.String(128), nullable=False),
        sa.Column("goal", sa.String(32), nullable=False),
        sa.Column("customer_external_id", sa.String(128), nullable=True),
        sa.Column("customer_email", sa.String(320), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(3), nullable=True),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("recorded_by_id", KEY, nullable=True),
        sa.Column("customer_id", KEY, nullable=True),
        sa.Column("referral_id", KEY, nullable=True),
        sa.Column("applied_at", MOMENT, nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversions")),
        sa.UniqueConstraint("public_id", name=op.f("uq_conversions_public_id")),
        sa.UniqueConstraint("source", "external_id", name=op.f("uq_conversions_source_external_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["users.id"], name=op.f("fk_conversions_customer_id")),
        sa.ForeignKeyConstraint(["recorded_by_id"], ["users.id"], name=op.f("fk_conversions_recorded_by_id")),
        sa.ForeignKeyConstraint(["referral_id"], ["referrals.id"], name=op.f("fk_conversions_referral_id")),
        sa.CheckConstraint(
            "(amount_minor IS NULL) = (currency IS NULL)", name=op.f("ck_conversions_amount_has_currency")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_conversions_amount_positive")),
        sa.CheckConstraint(
            "customer_external_id IS NOT NULL OR customer_email IS NOT NULL",
            name=op.f("ck_conversions_customer_is_named"),
        ),
        sa.CheckConstraint(
            "typeof(amount_minor) IN ('integer', 'null') AND typeof(counted) IN ('integer', 'null')",
            name=op.f("ck_conversions_whole_numbers"),
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_conversions_customer_email"), "conversions", ["customer_email"])
    op.create_index(op.f("ix_conversions_customer_external_id"), "conversions", ["customer_external_id"])
    op.create_index(op.f("ix_conversions_customer_id"), "conversions", ["customer_id"])
    op.create_index(op.f("ix_conversions_received_at"), "conversions", ["received_at"])
    op.create_index(op.f("ix_conversions_referral_id"), "conversions", ["referral_id"])
    op.create_table(
        "signals",
        sa.Column("id", KEY, nullable=False),
        sa.Column("referral_id", KEY, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("weight", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.String(120), nullable=False),
        sa.Column("raised_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
        sa.UniqueConstraint("referral_id", "kind", name=op.f("uq_signals_referral_id_kind")),
        sa.ForeignKeyConstraint(["referral_id"], ["referrals.id"], name=op.f("fk_signals_referral_id")),
        sa.CheckConstraint(
            "kind IN ('same_mailbox', 'same_visitor', 'same_browser', 'same_network', 'disposable', 'many_sign_ups')",
            name=op.f("ck_signals_kind_known"),
        ),
        sa.CheckConstraint("typeof(weight) IN ('integer', 'null')", name=op.f("ck_signals_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "disagreements",
        sa.Column("id", KEY, nullable=False),
        sa.Column("conversion_id", KEY, nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disagreements")),
        sa.UniqueConstraint("conversion_id", "told", name=op.f("uq_disagreements_conversion_id_told")),
        sa.ForeignKeyConstraint(["conversion_id"], ["conversions.id"], name=op.f("fk_disagreements_conversion_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "refunds",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("external_id", sa.String(128), nullable=False),
        sa.Column("conversion_external_id", sa.String(128), nullable=False),
        sa.Column("conversion_id", KEY, nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("recorded_by_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
        sa.UniqueConstraint("public_id", name=op.f("uq_refunds_public_id")),
        sa.UniqueConstraint("source", "external_id", name=op.f("uq_refunds_source_external_id")),
        sa.ForeignKeyConstraint(["conversion_id"], ["conversions.id"], name=op.f("fk_refunds_conversion_id")),
        sa.ForeignKeyConstraint(["recorded_by_id"], ["users.id"], name=op.f("fk_refunds_recorded_by_id")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_refunds_amount_positive")),
        sa.CheckConstraint("typeof(amount_minor) IN ('integer', 'null')", name=op.f("ck_refunds_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_refunds_conversion_id"), "refunds", ["conversion_id"])
    op.create_index(op.f("ix_refunds_order"), "refunds", ["source", "conversion_external_id"])
    op.create_table(
        "rewards",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("beneficiary", sa.String(10), nullable=False),
        sa.Column("referral_id", KEY, nullable=False),
        sa.Column("conversion_id", KEY, nullable=False),
        sa.Column("rule_id", KEY, nullable=False),
        sa.Column("rule_key", sa.String(16), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=True),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("computation", sa.Text(), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("hold_until", MOMENT, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("released_at", MOMENT, nullable=True),
        sa.Column("paid_at", MOMENT, nullable=True),
        sa.Column("reversed_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rewards")),
        sa.UniqueConstraint("person_id", "rule_key", "ordinal", name=op.f("uq_rewards_person_id_rule_key_ordinal")),
        sa.UniqueConstraint("public_id", name=op.f("uq_rewards_public_id")),
        sa.UniqueConstraint(
            "rule_key", "conversion_id", "person_id", name=op.f("uq_rewards_rule_key_conversion_id_person_id")
        ),
        sa.ForeignKeyConstraint(["conversion_id"], ["conversions.id"], name=op.f("fk_rewards_conversion_id")),
        sa.ForeignKeyConstraint(["person_id"], ["users.id"], name=op.f("fk_rewards_person_id")),
        sa.ForeignKeyConstraint(["referral_id"], ["referrals.id"], name=op.f("fk_rewards_referral_id")),
        sa.ForeignKeyConstraint(["rule_id"], ["rules.id"], name=op.f("fk_rewards_rule_id")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_rewards_amount_positive")),
        sa.CheckConstraint("beneficiary IN ('referrer', 'referee')", name=op.f("ck_rewards_beneficiary_known")),
        sa.CheckConstraint("state <> 'paid' OR released_at IS NOT NULL", name=op.f("ck_rewards_paid_was_released")),
        sa.CheckConstraint(
            "state IN ('pending', 'approved', 'rejected', 'paid', 'reversed')", name=op.f("ck_rewards_state_known")
        ),
        sa.CheckConstraint(
            "typeof(amount_minor) IN ('integer', 'null') AND typeof(ordinal) IN ('integer', 'null') AND "
            "typeof(threshold) IN ('integer', 'null')",
            name=op.f("ck_rewards_whole_numbers"),
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_rewards_conversion_id"), "rewards", ["conversion_id"])
    op.create_index(op.f("ix_rewards_due"), "rewards", ["state", "released_at", "hold_until"])
    op.create_index(op.f("ix_rewards_person"), "rewards", ["person_id", "made_at"])
    op.create_index(op.f("ix_rewards_queue"), "rewards", ["state", "made_at"])
    op.create_index(op.f("ix_rewards_referral_id"), "rewards", ["referral_id"])
    op.create_index(
        op.f("uq_rewards_milestone"),
        "rewards",
        ["rule_key", "person_id", "threshold"],
        unique=True,
        sqlite_where=sa.text("threshold IS NOT NULL AND state IN ('pending', 'approved', 'paid')"),
        postgresql_where=sa.text("threshold IS NOT NULL AND state IN ('pending', 'approved', 'paid')"),
    )
    op.create_table(
        "appeals",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("reward_id", KEY, nullable=False),
        sa.Column("text_id", KEY, nullable=True),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.Column("answered_by_id", KEY, nullable=True),
        sa.Column("answer_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeals")),
        sa.UniqueConstraint("public_id", name=op.f("uq_appeals_public_id")),
        sa.UniqueConstraint("reward_id", name=op.f("uq_appeals_reward_id")),
        sa.ForeignKeyConstraint(["answer_id"], ["notes.id"], name=op.f("fk_appeals_answer_id")),
        sa.ForeignKeyConstraint(["answered_by_id"], ["users.id"], name=op.f("fk_appeals_answered_by_id")),
        sa.ForeignKeyConstraint(["reward_id"], ["rewards.id"], name=op.f("fk_appeals_reward_id")),
        sa.ForeignKeyConstraint(["text_id"], ["notes.id"], name=op.f("fk_appeals_text_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "clawbacks",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("reward_id", KEY, nullable=False),
        sa.Column("refund_id", KEY, nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clawbacks")),
        sa.UniqueConstraint("public_id", name=op.f("uq_clawbacks_public_id")),
        sa.UniqueConstraint("reward_id", "refund_id", name=op.f("uq_clawbacks_reward_id_refund_id")),
        sa.ForeignKeyConstraint(["refund_id"], ["refunds.id"], name=op.f("fk_clawbacks_refund_id")),
        sa.ForeignKeyConstraint(["reward_id"], ["rewards.id"], name=op.f("fk_clawbacks_reward_id")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_clawbacks_amount_positive")),
        sa.CheckConstraint(
            "typeof(amount_minor) IN ('integer', 'null')", name=op.f("ck_clawbacks_whole_numbers")
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_clawbacks_refund_id"), "clawbacks", ["refund_id"])
    op.create_table(
        "decisions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("reward_id", KEY, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False),
        sa.Column("by_id", KEY, nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("reason", sa.String(20), nullable=True),
        sa.Column("told_id", KEY, nullable=True),
        sa.Column("note_id", KEY, nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        sa.UniqueConstraint("reward_id", "number", name=op.f("uq_decisions_reward_id_number")),
        sa.ForeignKeyConstraint(["by_id"], ["users.id"], name=op.f("fk_decisions_by_id")),
        sa.ForeignKeyConstraint(["note_id"], ["notes.id"], name=op.f("fk_decisions_note_id")),
        sa.ForeignKeyConstraint(["reward_id"], ["rewards.id"], name=op.f("fk_decisions_reward_id")),
        sa.ForeignKeyConstraint(["told_id"], ["notes.id"], name=op.f("fk_decisions_told_id")),
        sa.CheckConstraint(
            "reason IS NULL OR reason IN ('self_referral', 'existing_customer', 'duplicate', 'refunded', "
            "'test_order', 'abuse', 'other')",
            name=op.f("ck_decisions_reason_known"),
        ),
        sa.CheckConstraint("verdict <> 'reject' OR reason IS NOT NULL", name=op.f("ck_decisions_rejection_has_reason")),
        sa.CheckConstraint("verdict <> 'undo' OR note_id IS NOT NULL", name=op.f("ck_decisions_undo_has_note")),
        sa.CheckConstraint("verdict IN ('approve', 'reject', 'undo')", name=op.f("ck_decisions_verdict_known")),
        sa.CheckConstraint(
            "typeof(number) IN ('integer', 'null') AND typeof(amount_minor) IN ('integer', 'null')",
            name=op.f("ck_decisions_whole_numbers"),
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "transfers",
        sa.Column("id", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("from_bucket", sa.String(10), nullable=False),
        sa.Column("to_bucket", sa.String(10), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("cause_kind", sa.String(16), nullable=False),
        sa.Column("cause_id", KEY, nullable=False),
        sa.Column("reward_id", KEY, nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sa.UniqueConstraint("cause_kind", "cause_id", name=op.f("uq_transfers_cause_kind_cause_id")),
        sa.ForeignKeyConstraint(["reward_id"], ["rewards.id"], name=op.f("fk_transfers_reward_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_transfers_user_id")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_transfers_amount_positive")),
        sa.CheckConstraint(
            "cause_kind IN ('reward', 'decision', 'release', 'clawback', 'line_drawn', 'line_returned', 'line_paid')",
            name=op.f("ck_transfers_cause_kind_known"),
        ),
        sa.CheckConstraint(
            "from_bucket IN ('program', 'pending', 'approved', 'payable', 'in_payout', 'paid')",
            name=op.f("ck_transfers_from_bucket_known"),
        ),
        sa.CheckConstraint("from_bucket <> to_bucket", name=op.f("ck_transfers_goes_somewhere")),
        sa.CheckConstraint(
            "to_bucket IN ('program', 'pending', 'approved', 'payable', 'in_payout', 'paid')",
            name=op.f("ck_transfers_to_bucket_known"),
        ),
        sa.CheckConstraint(
            "typeof(amount_minor) IN ('integer', 'null') AND typeof(user_id) IN ('integer', 'null') AND "
            "typeof(cause_id) IN ('integer', 'null')",
            name=op.f("ck_transfers_whole_numbers"),
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_transfers_reward_id"), "transfers", ["reward_id"])
    op.create_index(op.f("ix_transfers_user"), "transfers", ["user_id", "currency"])
    op.create_table(
        "payout_lines",
        sa.Column("id", KEY, nullable=False),
        sa.Column("payout_id", KEY, nullable=False),
        sa.Column("reward_id", KEY, nullable=True),
        sa.Column("clawback_id", KEY, nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("returned_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_lines")),
        sa.ForeignKeyConstraint(["clawback_id"], ["clawbacks.id"], name=op.f("fk_payout_lines_clawback_id")),
        sa.ForeignKeyConstraint(["payout_id"], ["payouts.id"], name=op.f("fk_payout_lines_payout_id")),
        sa.ForeignKeyConstraint(["reward_id"], ["rewards.id"], name=op.f("fk_payout_lines_reward_id")),
        sa.CheckConstraint(
            "(reward_id IS NULL) <> (clawback_id IS NULL)", name=op.f("ck_payout_lines_about_one_thing")
        ),
        sa.CheckConstraint(
            "(reward_id IS NULL) = (amount_minor < 0) AND amount_minor <> 0",
            name=op.f("ck_payout_lines_clawbacks_are_negative"),
        ),
        sa.CheckConstraint(
            "typeof(amount_minor) IN ('integer', 'null')", name=op.f("ck_payout_lines_whole_numbers")
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_payout_lines_clawback_id"), "payout_lines", ["clawback_id"])
    op.create_index(op.f("ix_payout_lines_payout_id"), "payout_lines", ["payout_id"])
    op.create_index(op.f("ix_payout_lines_reward_id"), "payout_lines", ["reward_id"])
    op.create_index(
        op.f("uq_payout_lines_clawback"),
        "payout_lines",
        ["clawback_id"],
        unique=True,
        sqlite_where=sa.text("returned_at IS NULL"),
        postgresql_where=sa.text("returned_at IS NULL"),
    )
    op.create_index(
        op.f("uq_payout_lines_reward"),
        "payout_lines",
        ["reward_id"],
        unique=True,
        sqlite_where=sa.text("returned_at IS NULL"),
        postgresql_where=sa.text("returned_at IS NULL"),
    )
    op.create_table(
        "seals",
        sa.Column("id", KEY, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("transfer_id", KEY, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seals")),
        sa.UniqueConstraint("number", name=op.f("uq_seals_number")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_seals_transfer_id")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name=op.f("fk_seals_transfer_id")),
        sa.CheckConstraint("typeof(number) IN ('integer', 'null')", name=op.f("ck_seals_whole_numbers")).ddl_if(
            dialect="sqlite"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "accounted_clawbacks",
        sa.Column("id", KEY, nullable=False),
        sa.Column("clawback_id", KEY, nullable=False),
        sa.Column("line_id", KEY, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounted_clawbacks")),
        sa.ForeignKeyConstraint(["clawback_id"], ["clawbacks.id"], name=op.f("fk_accounted_clawbacks_clawback_id")),
        sa.ForeignKeyConstraint(["line_id"], ["payout_lines.id"], name=op.f("fk_accounted_clawbacks_line_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_accounted_clawbacks_line_id"), "accounted_clawbacks", ["line_id"])
    op.create_index(
        op.f("uq_accounted_clawbacks_live"),
        "accounted_clawbacks",
        ["clawback_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )

    if op.get_bind().dialect.name == "sqlite":
        _refuse_changes_on_sqlite()
    else:
        _refuse_changes_on_postgresql()


def _refuse_changes_on_sqlite() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _refuse_changes_on_postgresql() -> None:
    op.execute(REFUSE_CHANGE)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_refuses_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    """There is nothing before the walls."""
    raise RuntimeError("There is no version before 0001; to go back, restore a backup.")
