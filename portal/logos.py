"""Logos: pictures that an owner gives the program, made small and anew, so that nothing but a picture is in them.

Invariant: what is kept is a PNG of at most 480 by 120 points that we wrote ourselves; a version of the terms names it
by its digest, and old versions keep theirs.
"""

import hashlib
import io
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.core import database
from portal.core.database import Model, session
from portal.core.text import Refusal, marked

LARGEST = (480, 120)
MOST_POINTS = 16_000_000
KINDS = ("PNG", "JPEG", "WEBP", "GIF")


class LogoRefused(Refusal):
    """A file that is no picture we can take."""


class Logo(Model):
    """One picture."""

    __tablename__ = "logos"

    id: Mapped[int] = database.key()
    digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    png: Mapped[bytes] = mapped_column(sa.LargeBinary)
    made_at: Mapped[datetime]


def drawn(file: bytes) -> bytes:
    """A picture as it is kept: small, and written anew. Slow: call it before a write begins. Raises LogoRefused."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(file), formats=KINDS) as picture:
            if picture.width * picture.height > MOST_POINTS:
                raise LogoRefused(marked("This picture is too large. Take one of at most 4,000 by 4,000 points."))
            small = picture.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise LogoRefused(marked("This is no picture that we can read. Take a PNG, JPEG, WebP or GIF.")) from error
    small.thumbnail(LARGEST)
    written = io.BytesIO()
    small.save(written, "PNG", optimize=True)
    return written.getvalue()


def keep(png: bytes, *, at: datetime) -> str:
    """Keeps a picture that was `drawn`, and gives its digest."""
    digest = hashlib.sha256(png).hexdigest()
    database.insert_once(Logo, digest=digest, png=png, made_at=at)
    return digest


def find(digest: str) -> bytes | None:
    """The picture of a digest."""
    return session.scalar(sa.select(Logo.png).where(Logo.digest == digest))
