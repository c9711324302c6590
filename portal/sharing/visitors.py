"""Visitors: a browser known by a random id in a signed cookie, and by nothing else.

Invariant: an id that we did not sign is nobody; a browser without the cookie is a new visitor at every visit.
"""

import hashlib
import hmac
import ipaddress
import secrets
import socket

NAME = "visitor"
LASTS_DAYS = 365


class Visitors:
    """Issues and reads visitor ids with one key."""

    def __init__(self, secret_key: str) -> None:
        self._key = hashlib.sha256(b"visitor\0" + secret_key.encode()).digest()

    def issue(self) -> str:
        """A new random id: 120 bits in 20 letters."""
        return secrets.token_urlsafe(15)

    def signed(self, visitor: str) -> str:
        """What stands in the cookie."""
        return f"{visitor}.{self._signature(visitor)}"

    def read(self, cookie: str) -> str | None:
        """The id in a cookie, if we signed it."""
        visitor, _, signature = cookie.partition(".")
        if len(visitor) != 20 or not signature.isascii():
            return None
        return visitor if hmac.compare_digest(signature, self._signature(visitor)) else None

    def _signature(self, visitor: str) -> str:
        return self._keyed(visitor, 16)

    def browser(self, description: str) -> str:
        """A short keyed hash of a browser's description: tells two apart without keeping it."""
        return self._keyed(description, 8)

    def _keyed(self, value: str, size: int) -> str:
        # BLAKE2b with a key is a MAC (RFC 7693), at a fifth of what HMAC costs through OpenSSL.
        return hashlib.blake2b(value.encode(), key=self._key, digest_size=size).hexdigest()


def network(address: str | None) -> str | None:
    """An address with its last part masked: /24 of IPv4, /48 of IPv6. Only this is ever stored."""
    try:
        one, two, three, _ = socket.inet_pton(socket.AF_INET, address or "")
        return f"{one}.{two}.{three}.0/24"
    except OSError:
        pass  # not IPv4, which is most; ipaddress takes longer than a click
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False))
