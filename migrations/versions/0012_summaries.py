"""Summaries: mails about a month, for those who ask for them; which months somebody was told of.

Frozen, as every version is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TOPICS = "topic IN ('friends', 'rewards', 'payouts', 'digest')"
MORE_TOPICS = "topic IN ('friends', 'rewards', 'payouts', 'month', 'digest')"
RULE = "ck_mail_choices_topic_known"


def upgrade() -> None:
    """Admits the topic; a choice keeps when it was made, whichever it is, and of which month it was told."""
    op.execute("ALTER TABLE mail_choices RENAME COLUMN off_at TO chosen_at")
    op.add_column("mail_choices", sa.Column("told_on", sa.Date(), nullable=True))
    op.create_index("ix_mail_choices_told", "mail_choices", ["topic", "told_on"])
    if op.get_bind().dialect.name == "sqlite":
        _admit_on_sqlite()
    else:
        if (op.get_bind().dialect.server_version_info or ()) >= (18,):  # from there on NOT NULL is a rule with a name
            was, now = "mail_choices_off_at_not_null", "mail_choices_chosen_at_not_null"
            op.execute(f"ALTER TABLE mail_choices RENAME CONSTRAINT {was} TO {now}")
        op.execute(f"ALTER TABLE mail_choices DROP CONSTRAINT {RULE}")
        op.execute(f"ALTER TABLE mail_choices ADD CONSTRAINT {RULE} CHECK ({MORE_TOPICS})")


def _admit_on_sqlite() -> None:
    """Changes the table's text where SQLite keeps it (sqlite.org/lang_altertable.html, section 7): rows stay as they
    are, and the rule only admits more."""
    connection = op.get_bind()
    here, name = "type = 'table' AND name = ?", "mail_choices"
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    sql = connection.exec_driver_sql(f"SELECT sql FROM sqlite_schema WHERE {here}", (name,)).scalar_one()
    was, now = (f"CONSTRAINT {RULE} CHECK ({topics})" for topics in (TOPICS, MORE_TOPICS))
    if sql.count(was) != 1:
        raise RuntimeError(f"{name} does not say {was!r} once")
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    try:
        connection.exec_driver_sql(f"UPDATE sqlite_schema SET sql = ? WHERE {here}", (sql.replace(was, now), name))
        connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    finally:
        connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    found = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
    if found != "ok":
        raise RuntimeError(f"the database is not whole after the change: {found}")
