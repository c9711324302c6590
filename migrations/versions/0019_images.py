"""Images: logos become images, of which one may show the product.

Frozen, as every version is.
"""

import struct

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes the table, takes the logos over, and gives the terms their two columns.

    A logo is a PNG that we wrote ourselves: how large it is stands in its head.
    """
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
    op.add_column("terms", sa.Column("product_image", sa.String(64), nullable=False, server_default=""))
    op.add_column("terms", sa.Column("product_image_text", sa.String(160), nullable=False, server_default=""))
