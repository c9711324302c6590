"""QR codes of links: SVG and PNG, the same address, made once and kept in memory."""

import io
from functools import lru_cache
from typing import Any


def _code(address: str) -> Any:
    import qrcode  # at the first picture: the start is quicker by a thirtieth
    from qrcode.constants import ERROR_CORRECT_M

    code: Any = qrcode.QRCode(error_correction=ERROR_CORRECT_M, box_size=10, border=4)
    code.add_data(address)
    code.make(fit=True)
    return code


@lru_cache(maxsize=2048)
def svg(address: str) -> bytes:
    """An SVG document, black on white with its quiet zone, so that it can be read in the dark theme too."""
    return secret(address)


def secret(address: str) -> bytes:
    """The same of something that is not to be kept in memory."""
    from qrcode.image.svg import SvgPathImage

    picture = io.BytesIO()
    _code(address).make_image(image_factory=SvgPathImage).save(picture)
    text = picture.getvalue().decode()
    head, path, tail = text.partition("<path")
    return f'{head}<rect width="100%" height="100%" fill="#fff"/>{path}{tail}'.encode()


@lru_cache(maxsize=512)
def png(address: str) -> bytes:
    """A PNG picture of 10 pixels a module."""
    from qrcode.image.pil import PilImage

    picture = io.BytesIO()
    _code(address).make_image(image_factory=PilImage).save(picture)
    return picture.getvalue()
