"""Headers: what every kind of answer carries, from a page to the redirect of the door and an error.

Sources: OWASP Secure Headers Project; the HTTP Observatory's scoring.
"""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)

HEADERS = [
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    # same-origin, not no-referrer: with that a browser sends `Origin: null` with our own forms
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()"),
]

STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=63072000; includeSubDomains")


def for_answers(*, secure: bool) -> list[tuple[str, str]]:
    """The headers of every answer; `secure`: the portal is reached by https."""
    return [*HEADERS, STRICT_TRANSPORT] if secure else HEADERS
