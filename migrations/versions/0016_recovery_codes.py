"""Recovery codes: kept as passwords are, by argon2id with a salt for each person's ten.

Those that are there are taken along: argon2id goes over the SHA-256 by which they were kept. That is slow on purpose,
about a quarter of a second for each person who has them, and is done before anything is locked.

Frozen, as every version is.
"""

import secrets

import sqlalchemy as sa
from alembic import op
from argon2.low_level import Type, hash_secret_raw

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the salt, and hashes what is there once more."""
    connection = op.get_bind()
    salts: dict[int, str] = {}
    anew = []
    for number, person, known in connection.exec_driver_sql("SELECT id, user_id, code_hash FROM recovery_codes"):
        salt = salts.setdefault(person, secrets.token_hex(16))
        anew.append({"number": number, "salt": salt, "kept": _slowly(known, salt)})
    op.add_column("recovery_codes", sa.Column("salt", sa.String(32), server_default="", nullable=False))
    if anew:
        change = sa.text("UPDATE recovery_codes SET salt = :salt, code_hash = :kept WHERE id = :number")
        connection.execute(change, anew)


def _slowly(known: str, salt: str) -> str:
    raw = hash_secret_raw(
        known.encode(), bytes.fromhex(salt), time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32,
        type=Type.ID,
    )  # fmt: skip
    return raw.hex()
