"""Images: pictures that an owner gives the program, made small and anew, so that nothing but a picture is in them.

Invariant: what is kept we wrote ourselves, no larger than its use needs; a version of the terms names it by its digest,
and old versions keep theirs.
"""

import hashlib
import io
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked

MOST_POINTS = 16_000_000
LONGEST = 8
"""So many times as long as the other may one side be: what is longer is a line when it has been made to fit."""
KINDS = ("PNG", "JPEG", "WEBP", "GIF")


@dataclass(frozen=True)
class Use:
    """What an image is for: how large it is at most, how many points each side has at least, and how it is written."""

    largest: tuple[int, int]
    least: int
    form: str


LOGO = Use((480, 120), 24, "png")
PRODUCT = Use((960, 640), 100, "webp")
"""A photograph, say, which would be ten times as heavy as a PNG."""


class ImageRefused(Refusal):
    """A file that is no picture we can take."""


class Image(Model):
    """One image. `form` is the end of its address."""

    __tablename__ = "images"
    __table_args__ = (database.one_of("form", ("png", "webp")), database.whole("width", "height"))

    id: Mapped[int] = database.key()
    digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    form: Mapped[str] = mapped_column(sa.String(4))
    width: Mapped[int]
    height: Mapped[int]
    data: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
    made_at: Mapped[datetime]


@dataclass(frozen=True)
class Drawn:
    """A picture as it is going to be kept."""

    form: str
    width: int
    height: int
    data: bytes


def drawn(file: bytes, use: Use) -> Drawn:
    """A picture as it is kept: small, upright and written anew. Slow: call it before a write begins.

    Raises ImageRefused.
    """
    from PIL import Image as Pictures
    from PIL import ImageOps, UnidentifiedImageError

    try:
        with Pictures.open(io.BytesIO(file), formats=KINDS) as picture:
            if picture.width * picture.height > MOST_POINTS:
                raise ImageRefused(marked("This picture is too large. Take one of at most 4,000 by 4,000 points."))
            small = ImageOps.exif_transpose(picture).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Pictures.DecompressionBombError) as error:
        raise ImageRefused(marked("This is no picture that we can read. Take a PNG, JPEG, WebP or GIF.")) from error
    if max(small.size) > LONGEST * min(small.size):
        raise ImageRefused(
            marked(
                "This picture is too long and narrow (%(width)s by %(height)s points). One side may be at most "
                "%(times)s times the other."
            ),
            width=small.width, height=small.height, times=LONGEST,
        )  # fmt: skip
    if min(small.size) < use.least:
        raise ImageRefused(
            marked(
                "This picture is too small (%(width)s by %(height)s points). Each side needs at least %(least)s points."
            ),
            width=small.width, height=small.height, least=use.least,
        )  # fmt: skip
    small.thumbnail(use.largest)
    small.info = {}  # what cameras note beside the points: where, when, whose
    written = io.BytesIO()
    small.save(written, use.form, **({"optimize": True} if use.form == "png" else {"quality": 80, "method": 4}))
    return Drawn(use.form, small.width, small.height, written.getvalue())


def keep(made: Drawn, *, at: datetime) -> str:
    """Keeps a picture that was `drawn`, and gives its digest."""
    digest = hashlib.sha256(made.data).hexdigest()
    database.insert_once(
        Image, digest=digest, form=made.form, width=made.width, height=made.height, data=made.data, made_at=at
    )
    return digest


def find(digest: str) -> Image | None:
    """The image of a digest."""
    return session.scalar(sa.select(Image).where(Image.digest == digest))
