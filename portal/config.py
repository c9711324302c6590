"""Settings: the environment read once, checked, and refused by the variable's name when it is bad."""

import os
import re
import secrets
import socket
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parent.parent


LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class BadSetting(ValueError):
    """A setting that cannot be used; the message begins with the variable's name."""


@dataclass(frozen=True)
class Settings:
    """What the operator decides. Made by `from_env`; tests make it directly."""

    instance_dir: Path
    database_url: str
    secret_key: str
    details_key: str
    """The keys for payout details and the secrets of apps and webhooks, one a line, the newest first: URL-safe base64
    of 32 bytes, and the day on which it was made. As the process found them at its start: see `details_keys`."""
    suppression_key: str
    """Key of the hashes by which addresses are remembered without being kept."""
    base_url: str = "http://127.0.0.1:8000"
    mail_url: str = ""
    mail_from: str = ""
    redis_url: str = ""
    trusted_proxies: int = 0
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    """How many processes serve; SQLite is served by one."""
    metrics_token: str = ""
    """Who brings it may read `/metrics`; empty: nobody."""
    log_format: str = "text"
    demo: bool = False
    rate_limits: bool = True
    require_two_step: bool = False
    """Whether who pays out needs a second step or a passkey first; from the environment: yes, but in the demo."""
    extra_hosts: tuple[str, ...] = field(default=())
    """Further Host names answered to; tests only."""

    @property
    def secure(self) -> bool:
        """Whether people reach the portal by https: cookies are then `__Host-` and Secure."""
        return self.base_url.startswith("https://")

    @property
    def on_loopback(self) -> bool:
        """Whether people reach the portal on this machine alone: a demo, or a test."""
        return (urlsplit(self.base_url).hostname or "") in LOOPBACK

    @property
    def listens_here_alone(self) -> bool:
        """Whether the portal is reached from this machine alone, as behind a proxy on it."""
        return self.host in LOOPBACK or self.host.startswith("127.")

    @property
    def sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def hosts(self) -> list[str]:
        """The Host names the portal answers to; anything else is 400."""
        names = {urlsplit(self.base_url).hostname or "127.0.0.1", *self.extra_hosts}
        if names & LOOPBACK:
            names |= {"127.0.0.1", "localhost"}
        return sorted(names)

    @property
    def mail_dir(self) -> Path:
        """Where mails lie while MAIL_URL names files."""
        in_files = self.mail_url.startswith("file://")
        return Path(self.mail_url.removeprefix("file://")) if in_files else self.instance_dir / "mail"

    @property
    def details_keys(self) -> str:
        """The keys as their file holds them now, so that what runs knows a new one before anything is under it; those
        of the start where it cannot be read."""
        try:
            return _details_key(self.instance_dir) if (self.instance_dir / DETAILS_KEY).exists() else self.details_key
        except BadSetting:
            return self.details_key

    def with_database(self, url: str) -> "Settings":
        """The same, with another database; raises BadSetting for an address that is none."""
        if not url:
            raise BadSetting("DATABASE_URL: name the database, like postgresql://user:password@host/name.")
        return replace(self, database_url=_database_url(url, self.instance_dir))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, demo: bool = False) -> "Settings":
        """Reads the settings from the environment; raises BadSetting with the variable's name first.

        `demo` (or PORTAL_DEMO, by which the demo's server processes know): its own folder, this machine alone.
        """
        env = os.environ if environ is None else environ
        demo = demo or env.get("PORTAL_DEMO") == "1"
        instance = Path(env.get("INSTANCE_DIR") or ROOT / "instance").absolute()
        if demo:
            instance /= "demo"
        try:
            instance.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadSetting(f"INSTANCE_DIR: {instance} cannot be made ({error.strerror}).") from error
        database_url = _database_url(env.get("DATABASE_URL", ""), instance)
        if demo:
            database_url = f"sqlite:///{instance / 'portal.db'}"
        port = _whole(env, "PORT", 8000, 1, 65535)
        return cls(
            instance_dir=instance,
            database_url=database_url,
            secret_key=_secret_key(env, instance),
            details_key=_details_key(instance),
            suppression_key=_kept_key(instance, "suppression_key", lambda: secrets.token_urlsafe(48)),
            base_url=f"http://127.0.0.1:{port}" if demo else _base_url(env, port),
            mail_url="" if demo else _mail_url(env),
            mail_from=_mail_from(env),
            redis_url=_redis_url(env),
            trusted_proxies=_whole(env, "TRUSTED_PROXIES", 0, 0, 10),
            host="127.0.0.1" if demo else _host(env),
            port=port,
            workers=1 if demo else _workers(env, database_url),
            metrics_token=_metrics_token(env),
            log_format=_log_format(env),
            demo=demo,
            require_two_step=not demo and _whole(env, "REQUIRE_TWO_STEP", 1, 0, 1) == 1,
        )


def _whole(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) or not least <= int(text) <= most:
        raise BadSetting(f"{name}: {text!r} is not a whole number from {least} to {most}.")
    return int(text)


def _database_url(url: str, instance: Path) -> str:
    if not url:
        return f"sqlite:///{instance / 'portal.db'}"
    url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise BadSetting("DATABASE_URL: begin it with sqlite:/// or postgresql://.")
    if url == "sqlite:///" or ":memory:" in url or "mode=memory" in url:
        raise BadSetting("DATABASE_URL: a database in memory would forget every reward; name a file.")
    from sqlalchemy.engine import make_url  # here: `import portal` alone then takes a hundredth of a start
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(url)
    except (ArgumentError, ValueError) as error:
        raise BadSetting(
            "DATABASE_URL: this cannot be read; write it like postgresql://user:password@host/name."
        ) from error
    return url


def _workers(env: Mapping[str, str], database_url: str) -> int:
    """As many processes as there are cores; one for SQLite, whose writers would only wait for each other."""
    if not database_url.startswith("sqlite"):
        return _whole(env, "WORKERS", min(64, os.cpu_count() or 1), 1, 64)
    if _whole(env, "WORKERS", 1, 1, 64) > 1:
        raise BadSetting(
            "WORKERS: SQLite is served by one process; name a PostgreSQL in DATABASE_URL, or leave it out."
        )
    return 1


def _base_url(env: Mapping[str, str], port: int) -> str:
    url = (env.get("BASE_URL") or f"http://127.0.0.1:{port}").rstrip("/")
    try:
        parts = urlsplit(url)
        bare = not (parts.path or parts.query or parts.fragment)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and bare
        fine = fine and not re.search(r"[\s@\\]", url) and url.isascii() and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise BadSetting(f"BASE_URL: {url!r} is not an address like https://friends.example.com (no path).")
    return url.lower()


def _mail_url(env: Mapping[str, str]) -> str:
    url = env.get("MAIL_URL") or ""
    if url.startswith(("smtp://", "smtps://")):
        return _smtp_url(url)
    if url and not url.startswith("file:///"):
        raise BadSetting(
            "MAIL_URL: write smtp://user:password@host:587 (STARTTLS), smtps://user:password@host:465 (TLS) or"
            " file:///folder, or leave it out for files in instance/mail."
        )
    try:
        if url:
            Path(url.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise BadSetting(f"MAIL_URL: {url!r} is no folder that mails can be put into ({error}).") from error
    return url


def _smtp_url(url: str) -> str:
    """The address of a mail server. Its password is in none of the messages."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadSetting("MAIL_URL: the port is not a number from 1 to 65535.") from error
    asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if not parts.hostname or port == 0 or parts.path not in ("", "/") or set(asked) - {"security", "ca"}:
        raise BadSetting("MAIL_URL: write smtp://user:password@host:587 or smtps://user:password@host:465.")
    security = asked.get("security", "starttls")
    if security not in ("starttls", "none") or (parts.scheme == "smtps" and "security" in asked):
        raise BadSetting("MAIL_URL: security is starttls or none, and only for smtp://; smtps:// is always encrypted.")
    if security == "none" and parts.hostname not in LOOPBACK:
        raise BadSetting("MAIL_URL: security=none is for a mail server on this machine; any other has to be encrypted.")
    if asked.get("ca") and not Path(asked["ca"]).is_file():
        raise BadSetting(f"MAIL_URL: ca names no file of certificates: {asked['ca']!r}.")
    return url


def _mail_from(env: Mapping[str, str]) -> str:
    address = env.get("MAIL_FROM") or ""
    if address and not re.fullmatch(
        r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,63}", address
    ):
        raise BadSetting(f"MAIL_FROM: {address!r} is not an address like portal@example.com.")
    return address


def _redis_url(env: Mapping[str, str]) -> str:
    url = env.get("REDIS_URL") or ""
    if url and not url.startswith(("redis://", "rediss://", "unix://")):
        raise BadSetting("REDIS_URL: begin it with redis://, rediss:// or unix://.")
    try:
        urlsplit(url).port  # noqa: B018 - reading it is the check
    except ValueError as error:
        raise BadSetting(f"REDIS_URL: {url!r} cannot be read ({error}).") from error
    return url


def _host(env: Mapping[str, str]) -> str:
    host = env.get("HOST") or "127.0.0.1"
    try:
        socket.getaddrinfo(host, None)
    except (OSError, ValueError) as error:
        raise BadSetting(f"HOST: {host!r} is no address to listen at, such as 127.0.0.1 or 0.0.0.0.") from error
    return host


def _metrics_token(env: Mapping[str, str]) -> str:
    token = env.get("METRICS_TOKEN") or ""
    if token and not re.fullmatch(r"[!-~]{16,200}", token, re.ASCII):
        raise BadSetting("METRICS_TOKEN: use 16 to 200 letters, digits or signs without a space.")
    return token


def _log_format(env: Mapping[str, str]) -> str:
    form = env.get("LOG_FORMAT") or "text"
    if form not in ("text", "json"):
        raise BadSetting(f"LOG_FORMAT: {form!r} is neither text nor json.")
    return form


def _secret_key(env: Mapping[str, str], instance: Path) -> str:
    key = env.get("SECRET_KEY")
    if key is not None and len(key) < 32:
        raise BadSetting("SECRET_KEY: use at least 32 random characters, or leave it out and one is made.")
    return key or _kept_key(instance, "secret_key", lambda: secrets.token_urlsafe(48))


DETAILS_KEY = "details_key"


def _details_key(instance: Path) -> str:
    keys = _kept_key(instance, DETAILS_KEY, _new_details_key)
    try:
        if all(len(urlsafe_b64decode(line.split()[0])) == 32 for line in keys.splitlines()):
            return keys
    except (ValueError, IndexError):
        pass
    raise BadSetting(f"INSTANCE_DIR: {instance / DETAILS_KEY} is damaged; restore it from the backup.")


def _new_details_key() -> str:
    return f"{urlsafe_b64encode(secrets.token_bytes(32)).decode()} {datetime.now(UTC):%Y-%m-%d}"


def add_details_key(instance: Path) -> None:
    """Makes a new key for what is kept encrypted, in front of those that are there. Raises BadSetting."""
    keys = _details_key(instance)
    _write_details_keys(instance, f"{_new_details_key()}\n{keys}")


def drop_older_details_keys(instance: Path, keys: str) -> None:
    """Keeps the newest of these keys alone: what an older one sealed is lost. Raises BadSetting, also if the file holds
    others by now."""
    if _details_key(instance) != keys:
        raise BadSetting(f"INSTANCE_DIR: {instance / DETAILS_KEY} was changed meanwhile: try again.")
    _write_details_keys(instance, keys.splitlines()[0])


def _write_details_keys(instance: Path, keys: str) -> None:
    """Puts the whole file in the place of the one of before; of two at once the second is refused."""
    new = instance / f".{DETAILS_KEY}.new"
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(keys)
            file.flush()
            os.fsync(file.fileno())
        new.replace(instance / DETAILS_KEY)
    except FileExistsError as error:
        raise BadSetting(
            f"INSTANCE_DIR: {new} is there: another command is at it, or one was killed; then delete it."
        ) from error
    except OSError as error:
        raise BadSetting(f"INSTANCE_DIR: {new} cannot be used ({error.strerror}).") from error


def _kept_key(instance: Path, name: str, make: Callable[[], str]) -> str:
    """A key kept in the instance folder, made once: linked into place whole, so of two first starts one makes it."""
    path = instance / name
    try:
        if not path.exists():
            try:
                new = instance / f".{name}.{secrets.token_hex(4)}"
                new.touch(mode=0o600)
                new.write_text(make())
                os.link(new, path)
            except FileExistsError:
                pass
            finally:
                new.unlink(missing_ok=True)
        key = path.read_text().strip()
    except OSError as error:
        raise BadSetting(f"INSTANCE_DIR: {path} cannot be used ({error.strerror}).") from error
    except UnicodeDecodeError:
        key = ""
    if len(key) < 32:
        raise BadSetting(f"INSTANCE_DIR: {path} is damaged; restore it from the backup.")
    return key
