"""Limits: how often one network, or one account from one network, may try what can be guessed or flooded.

Counted in memory in one process, in Redis across many. No limit hangs on an account alone, so nobody can lock
another out; but for wrong codes of the second step, which only who knows the password can spend: with a new password
they are counted anew.
"""

from typing import Any

from flask import Flask, g, request, session
from flask_limiter import Limiter, RequestLimit
from flask_limiter.util import get_remote_address
from flask_security import current_user

from portal.config import Settings
from portal.core import clock
from portal.core.text import token_hash
from portal.sharing import visitors

limiter = Limiter(key_func=get_remote_address, strategy="moving-window")


def network() -> str:
    """The network that asks: a whole /48 of IPv6 is one."""
    address = request.remote_addr or ""
    return (visitors.network(address) or address) if ":" in address else address


def account() -> str:
    """The account that is tried, from this network."""
    return f"{network()} {token_hash(request.form.get('email', '').strip().lower())[:16]}"


def install(app: Flask, settings: Settings) -> None:
    """Puts the limits on what others than ourselves define, and says where they are counted."""
    app.config.update(
        RATELIMIT_ENABLED=settings.rate_limits,
        RATELIMIT_STORAGE_URI=settings.redis_url or "memory://",
        RATELIMIT_HEADERS_ENABLED=False,
        RATELIMIT_SWALLOW_ERRORS=True,  # without Redis people still get in; the door of the bank is argon2
    )
    limiter.init_app(app)
    for how_often, key in (("10 per 5 minutes", account), ("60 per 5 minutes", network)):
        limit = limiter.limit(how_often, key_func=key, methods=["POST"])
        guarded: Any = limit(app.view_functions["security.login"])
        app.view_functions["security.login"] = guarded
    once_more: Any = own_password(app.view_functions["security.verify"])
    app.view_functions["security.verify"] = once_more


sign_up = limiter.shared_limit("30 per hour", scope="sign-up", key_func=network, methods=["POST"])
mail_to = limiter.shared_limit("5 per hour", scope="mail", key_func=account, methods=["POST"])
mail_from = limiter.shared_limit("30 per hour", scope="mail-network", key_func=network, methods=["POST"])


def whoever() -> str:
    """Who asks: the person who is signed in, else the network."""
    return f"user {current_user.id}" if current_user.is_authenticated else network()


guesses = limiter.shared_limit(
    "30 per minute", scope="guesses", key_func=network, deduct_when=lambda response: response.status_code >= 400
)
own_forms = limiter.shared_limit("60 per minute", scope="own-forms", key_func=whoever, methods=["POST"])
"""What signed-in people send about themselves; one of them locks nobody else out."""
own_password = limiter.shared_limit(
    "10 per 5 minutes", scope="own-password", key_func=whoever, methods=["POST"],
    deduct_when=lambda response: response.status_code == 422 or g.get("wrong_password", False),
)  # fmt: skip
"""Wrong passwords on pages of one's own account: a browser left open is no place to guess."""


def half() -> str:
    """Who owes the second step, from this network."""
    known = session.get("half")
    return f"{network()} {known['user']}" if isinstance(known, dict) else whoever()


def half_of_anywhere() -> str:
    """Who owes the second step, and for which password, from whatever network."""
    known = session.get("half")
    return f"{known['user']} {known['by']}" if isinstance(known, dict) else whoever()


codes = limiter.shared_limit("10 per 5 minutes", scope="codes", key_func=half, methods=["POST"])
wrong_codes = limiter.shared_limit(
    "20 per hour", scope="wrong-codes", key_func=half_of_anywhere, methods=["POST"],
    deduct_when=lambda response: response.status_code == 422,
)  # fmt: skip
"""Wrong codes of one account over all networks: many networks are no way round."""
api = limiter.shared_limit(
    "60 per minute", scope="api-key", key_func=network, deduct_when=lambda r: r.status_code == 401
)


def seconds_left(limit: RequestLimit | None) -> int:
    """How long somebody who is over a limit should wait, in seconds."""
    return max(1, int(limit.reset_at - clock.now().timestamp())) if limit else 60
