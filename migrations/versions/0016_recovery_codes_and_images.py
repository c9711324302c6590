"""Recovery codes: kept as passwords are, by argon2id with a salt for each person's ten.

Those that are there are taken along: argon2id goes over the SHA-256 by which they were kept. That is slow on purpose,
about a quarter of a second for each person who has them, and is done before anything is locked.

And images: logos become images, of which one may show the product.

Frozen, as every version is.
"""

import secrets
import struct

import sqlalchemy as sa
from alembic import op
from argon2.low_level import Type, hash_secret_raw

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None


KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Hashes what is there once more, and makes the table of images."""
    _recovery_codes()
    _images()
    op.add_column("terms", sa.Column("product_image", sa.String(64), nullable=False, server_default=""))
    op.add_column("terms", sa.Column("product_image_text", sa.String(160), nullable=False, server_default=""))


def _recovery_codes() -> None:
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


def _images() -> None:
    """A logo is a PNG that we wrote ourselves: how large it is stands in its head."""
    op.create_table(
        "images",
        sa.Column("id", KEY, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("form", sa.String(4), nullable=False),
        sa.Column("width", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("digest", name=op.f("uq_images_digest")),
        sa.CheckConstraint("form IN ('png', 'webp')", name=op.f("ck_images_form_known")),
        sa.CheckConstraint(
            "typeof(width) IN ('integer', 'null') AND typeof(height) IN ('integer', 'null')",
            name=op.f("ck_images_whole_numbers"),
        ).ddl_if(dialect="sqlite"),
        sqlite_autoincrement=True,
    )
    connection = op.get_bind()
    copy = sa.text(
        "INSERT INTO images (digest, form, width, height, data, made_at)"
        " SELECT digest, 'png', :width, :height, png, made_at FROM logos WHERE id = :number"
    )
    for number, png in connection.exec_driver_sql("SELECT id, png FROM logos ORDER BY id").all():
        width, height = struct.unpack(">II", png[16:24])
        connection.execute(copy, {"number": number, "width": width, "height": height})
    op.drop_table("logos")
