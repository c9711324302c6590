"""Limits: how often one network, or one account from one network, may try what can be guessed or flooded.

Counted in memory in one process, in Redis across many; while Redis is away each process counts for itself, by the same
limits. Invariants: no limit hangs on an account alone, so nobody can lock another out, but for wrong codes of the
second step, which only who knows the password can spend (with a new one they are counted anew); whom a limit is for
stands in memory, in Redis and in logs as a keyed hash alone.
"""

import hmac
import logging
from typing import Any

from flask import Flask, current_app, g, request, session
from flask_limiter import Limiter, RequestLimit
from flask_security import current_user

from portal.config import Settings
from portal.core import clock
from portal.sharing import visitors

AT_MOST_S = 1
"""So long Redis may take for an answer; one that is slower is away."""


def network() -> str:
    """The network that asks: a whole /48 of IPv6 is one."""
    return hidden(_network())


def account() -> str:
    """The account that is tried, from this network."""
    return hidden(_network(), request.form.get("email", "").strip().lower())


def _network() -> str:
    address = request.remote_addr or ""
    return (visitors.network(address) or address) if ":" in address else address


def hidden(*who: str) -> str:
    """Who it is, so that nobody without the portal's secret can find it out by trying all that it may be."""
    key: str = current_app.config["SECRET_KEY"]
    return hmac.digest(b"limits " + key.encode(), "\0".join(who).encode(), "sha256").hex()[:32]


limiter = Limiter(key_func=network, strategy="moving-window", in_memory_fallback_enabled=True)


class _WithoutWhom(logging.Filter):
    """What is written when somebody is over a limit says which limit and where, and not who."""

    def filter(self, record: logging.LogRecord) -> bool:
        if "exceeded" in str(record.msg) and isinstance(record.args, tuple) and len(record.args) == 3:
            limit, _, where = record.args
            record.msg, record.args = "over the limit of %s: %s", (limit, where)
        return True


limiter.logger.addFilter(_WithoutWhom())


def install(app: Flask, settings: Settings) -> None:
    """Puts the limits on what others than ourselves define, and says where they are counted."""
    url, options = _counted_in(settings)
    app.config.update(
        RATELIMIT_ENABLED=settings.rate_limits,
        RATELIMIT_STORAGE_URI=url,
        RATELIMIT_STORAGE_OPTIONS=options,
        RATELIMIT_HEADERS_ENABLED=False,
        RATELIMIT_SWALLOW_ERRORS=True,  # whatever happens here, people get in; the door of the bank is argon2
    )
    limiter.init_app(app)
    for how_often, key in (("10 per 5 minutes", account), ("60 per 5 minutes", network)):
        limit = limiter.limit(how_often, key_func=key, methods=["POST"])
        guarded: Any = limit(app.view_functions["security.login"])
        app.view_functions["security.login"] = guarded
    once_more: Any = own_password(app.view_functions["security.verify"])
    app.view_functions["security.verify"] = once_more


def _counted_in(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Where the limits are counted. Redis is asked once and briefly: people wait for its answer."""
    if not settings.redis_url:
        return "memory://", {}
    from redis.backoff import NoBackoff  # here: most portals have none
    from redis.retry import Retry

    url = settings.redis_url
    if url.startswith("unix://"):
        url = f"redis+{url}"  # as that library calls it
    return url, {"socket_connect_timeout": AT_MOST_S, "socket_timeout": AT_MOST_S, "retry": Retry(NoBackoff(), 0)}


def trouble(settings: Settings) -> str:
    """Why Redis cannot be used; empty if it can, or if none is named."""
    if not settings.redis_url:
        return ""
    import redis

    try:
        redis.from_url(settings.redis_url, **_counted_in(settings)[1]).ping()
    except redis.RedisError as error:
        return str(error).rstrip(".") or type(error).__name__
    return ""


sign_up = limiter.shared_limit("30 per hour", scope="sign-up", key_func=network, methods=["POST"])
mail_to = limiter.shared_limit("5 per hour", scope="mail", key_func=account, methods=["POST"])
mail_from = limiter.shared_limit("30 per hour", scope="mail-network", key_func=network, methods=["POST"])


def whoever() -> str:
    """Who asks: the person who is signed in, else the network."""
    return hidden("user", str(current_user.id)) if current_user.is_authenticated else network()


guesses = limiter.shared_limit(
    "30 per minute", scope="guesses", key_func=network, deduct_when=lambda response: response.status_code >= 400
)
own_forms = limiter.shared_limit("60 per minute", scope="own-forms", key_func=whoever, methods=["POST"])
"""What signed-in people send about themselves; one of them locks nobody else out."""
own_password = limiter.shared_limit(
    "10 per 5 minutes", scope="own-password", key_func=whoever, methods=["POST"],
    deduct_when=lambda _response: g.get("wrong_password", False),
)  # fmt: skip
"""Wrong passwords on pages of one's own account: a browser left open is no place to guess."""


def half() -> str:
    """Who owes the second step, from this network."""
    known = session.get("half")
    return hidden(_network(), str(known["user"])) if isinstance(known, dict) else whoever()


def half_of_anywhere() -> str:
    """Who owes the second step, and for which password, from whatever network."""
    known = session.get("half")
    return hidden(str(known["user"]), str(known["by"])) if isinstance(known, dict) else whoever()


codes = limiter.shared_limit("10 per 5 minutes", scope="codes", key_func=half, methods=["POST"])
WRONG_CODES = "wrong-codes"
wrong_codes = limiter.shared_limit(
    "20 per hour", scope=WRONG_CODES, key_func=half_of_anywhere, methods=["POST"],
    deduct_when=lambda response: response.status_code == 422,
)  # fmt: skip
"""Wrong codes of one account over all networks: many networks are no way round."""
api = limiter.shared_limit(
    "60 per minute", scope="api-key", key_func=network, deduct_when=lambda r: r.status_code == 401
)


def seconds_left(limit: RequestLimit | None) -> int:
    """How long somebody who is over a limit should wait, in seconds."""
    try:
        return max(1, int(limit.reset_at - clock.now().timestamp())) if limit else 60
    except Exception:  # Redis went away after it had said no, in whichever of its ways
        return 60
