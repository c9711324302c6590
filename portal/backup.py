"""Backups: the whole portal in one file, and back again; and the move from one database to another.

The file is a compressed tar: what it is (`backup.json`), the database as one SQLite file whatever it was made from,
the keys without which parts of it cannot be read, and mails that lie in files. So a backup of either database can be
restored into either. It is as secret as all of these together.

Invariants: a backup is one moment, taken while the portal runs; its name holds a whole backup or what was there before;
a restore happens whole or leaves everything as it was.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from portal.config import Settings
from portal.core import at_work, copying, migrate
from portal.core.text import Refusal
from portal.delivery import worker

FORM = 1
"""The form of the file; another one is another number."""

ABOUT, DATABASE, KEYS = "backup.json", "portal.db", ("secret_key", "details_key", "suppression_key")
MAIL = re.compile(r"mail/[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.eml", re.ASCII)

NOTHING_YET = ("alembic_version", "worker_turns", "one_time_keys", "touched")
"""Tables that have rows as soon as a portal was started, before anybody has done anything."""


class BackupRefused(Refusal):
    """A backup, a restore or a move that cannot be done; nothing was changed."""


@dataclass(frozen=True)
class Backup:
    """What a backup says of itself."""

    made_at: datetime
    schema: str
    rows: dict[str, int]
    mails: int
    size: int = 0

    @property
    def many(self) -> int:
        """How many rows are in it."""
        return sum(self.rows.values())


# --- making one -----------------------------------------------------------------------------------------------


def make(path: Path, engine: Engine, settings: Settings, *, at: datetime, replace: bool = False) -> Backup:
    """Puts a backup at a path, while the portal runs; over an older one only where one says so. Raises BackupRefused,
    CopyRefused, SchemaRefused."""
    migrate.must_be_current(engine)
    if path.exists() and not _is_ours(path):
        raise BackupRefused(f"{path} is there and is no backup: name another file.")
    if path.exists() and not replace:
        raise BackupRefused(f"{path} is there already: name another file, or say --replace to put this one over it.")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            whole = _made(Path(folder), engine, settings, at)
            _for_good(whole)
            made = _about(whole)
            whole.replace(path)
            _for_good(path.parent)
    except OSError as error:
        raise BackupRefused(f"The backup cannot be put at {path}: {error.strerror or error}.") from error
    return made


def _made(folder: Path, engine: Engine, settings: Settings, at: datetime) -> Path:
    rows = _copied(engine, folder / DATABASE)
    for name in KEYS:
        _private(folder / name).write_text(getattr(settings, name))
    mails = [] if settings.mail_url.startswith("smtp") else sorted(settings.mail_dir.glob("*.eml"))
    about = {
        "form": FORM, "schema": migrate.head(), "made_at": at.astimezone(UTC).isoformat(), "rows": rows,
        "database": engine.dialect.name, "sha256": {name: _hash(folder / name) for name in (DATABASE, *KEYS)},
        "mails": len(mails),
    }  # fmt: skip
    _private(folder / ABOUT).write_text(json.dumps(about, indent=1))
    whole = _private(folder / "whole")
    with tarfile.open(whole, "w:gz", compresslevel=1) as tar:
        for name in (ABOUT, DATABASE, *KEYS):
            tar.add(folder / name, name)
        for mail in mails:
            if mail.exists() and MAIL.fullmatch(f"mail/{mail.name}"):  # one may be deleted meanwhile
                tar.add(mail, f"mail/{mail.name}")
    return whole


def _copied(engine: Engine, file: Path) -> dict[str, int]:
    """The database as it is now, as one file of SQLite's, looked through; how many rows it has, by table."""
    if engine.dialect.name == "sqlite":
        copying.copy_file(engine, str(_private(file)))
    else:
        with _opened(_private(file)) as copy, copying.reading(engine) as source, migrate.transaction(copy) as target:
            copying.fill(source, target)
    with _opened(file) as copy, copying.reading(copy) as found:
        copying.must_be_sound(found)
        return _counts(found)


def _counts(connection: sa.Connection) -> dict[str, int]:
    tables = sorted(set(sa.inspect(connection).get_table_names()) - {"alembic_version"})
    return {name: connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one() for name in tables}


# --- restoring one --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Restored:
    """What was restored, and whether the environment's SECRET_KEY is another than the backup's."""

    backup: Backup
    other_secret: bool


def restore(path: Path, engine: Engine, settings: Settings, *, replace: bool) -> Restored:
    """Puts a backup's people, money, keys and mails back. With `replace`, what is there goes.

    An older schema is brought to this code's. Raises BackupRefused, CopyRefused, SchemaRefused, or AtWork while a
    process serves the database, having changed nothing.
    """
    with at_work.alone(engine), tempfile.TemporaryDirectory(prefix=".restore.", dir=settings.instance_dir) as name:
        folder = Path(name)
        backup = _unpacked(path, folder)
        with _opened(folder / DATABASE) as copy:
            with copying.reading(copy) as found:
                copying.must_be_sound(found)
            migrate.upgrade(copy)
            with copy.begin() as connection:  # that worker is not at work here
                connection.execute(sa.delete(worker.Turn))
            mails = sorted((folder / "mail").glob("*.eml"))
            with (
                _leaving_nothing(engine), ExitStack() as until_committed, migrate.transaction(engine) as target,
                copying.reading(copy) as source,
            ):  # fmt: skip
                _must_be_free(target, replace=replace, or_else=" Or say --replace, and what is in it goes.")
                copying.fill(source, target)
                _mails_in_place(mails, settings)
                other_secret = until_committed.enter_context(_keys_in_place(folder, settings))
    return Restored(backup, other_secret)


def move(engine: Engine, other: Engine) -> int:
    """Copies everything into another database that is empty; gives how many rows. The portal has to be stopped.

    Raises BackupRefused, CopyRefused, SchemaRefused, or AtWork while a process serves one of them; nothing was
    changed, and no file is left.
    """
    if engine.url == other.url:
        raise BackupRefused("That is the database that is in use: name another.")
    migrate.must_be_current(engine)
    with (
        at_work.alone(engine), at_work.alone(other), _leaving_nothing(other),
        copying.reading(engine) as source, migrate.transaction(other) as target,
    ):  # fmt: skip
        _must_be_free(target, replace=False)
        return sum(copying.fill(source, target).values())


def _must_be_free(target: sa.Connection, *, replace: bool, or_else: str = "") -> None:
    migrate.must_be_ours(target)
    held = copying.first_row(target, but=NOTHING_YET)
    if held is not None and not replace:
        raise BackupRefused(
            f"The database to be filled is not empty (there are rows in {held}): name an empty one.{or_else}"
        )


@contextmanager
def _leaving_nothing(engine: Engine) -> Iterator[None]:
    """Where what follows fails, a SQLite file that was not there before is not there afterwards. Only for who has the
    database alone: else it might be somebody's who has just begun."""
    file = Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None
    made = file is not None and not file.exists()
    try:
        yield
    except BaseException:
        if file is not None and made:
            for path in (file, *(Path(f"{file}-{part}") for part in ("journal", "wal", "shm")), at_work.beside(engine)):
                path.unlink(missing_ok=True)
        raise


@contextmanager
def _keys_in_place(folder: Path, settings: Settings) -> Iterator[bool]:
    """The backup's keys in the instance folder, unless what follows fails; whether the environment names another
    SECRET_KEY."""
    before: dict[Path, str] = {}
    other_secret = False
    try:
        for name in KEYS:
            wanted, there = (folder / name).read_text(), settings.instance_dir / name
            if wanted == getattr(settings, name):
                continue
            if not there.exists() or there.read_text().strip() != getattr(settings, name):
                other_secret = True  # the environment's goes before the file's
                continue
            before[there] = there.read_text()
            _written(there, wanted)
        yield other_secret
    except BaseException:
        for path, key in before.items():
            _written(path, key)
        raise


def _written(path: Path, text: str) -> None:
    new = _private(path.with_name(f".{path.name}.new"))
    new.write_text(text)
    new.replace(path)


def _mails_in_place(mails: list[Path], settings: Settings) -> None:
    if settings.mail_url.startswith("smtp"):
        return
    for mail in mails:
        settings.mail_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(mail, settings.mail_dir / mail.name)


# --- the file -------------------------------------------------------------------------------------------------

_BROKEN = (
    tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError,
    RecursionError,
)  # fmt: skip


def _about(path: Path) -> Backup:
    """What a backup says of itself. Raises BackupRefused for what is none, or of another form."""
    try:
        with tarfile.open(path, "r:gz") as tar:
            told = _told(tar)
    except _BROKEN as error:
        raise _no_backup(path) from error
    return _understood(told, path)


def _told(tar: tarfile.TarFile) -> dict[str, Any]:
    first = tar.next()
    if first is None or first.name != ABOUT or not first.isreg() or first.size > 1_000_000:
        raise ValueError("not ours")
    content = tar.extractfile(first)
    assert content is not None
    told: dict[str, Any] = json.loads(content.read())
    return told


def _understood(told: dict[str, Any], path: Path) -> Backup:
    try:
        if told["form"] != FORM:
            raise BackupRefused(f"{path} was made by a newer portal: update the code.")
        made_at, rows = datetime.fromisoformat(told["made_at"]), {str(name): int(n) for name, n in told["rows"].items()}
        return Backup(made_at, str(told["schema"]), rows, int(told["mails"]), path.stat().st_size)
    except _BROKEN as error:
        raise _no_backup(path) from error


def _no_backup(path: Path) -> BackupRefused:
    return BackupRefused(f"{path} is no backup of a portal, or is damaged.")


def _is_ours(path: Path) -> bool:
    try:
        _about(path)
    except (BackupRefused, OSError):
        return False
    return True


def _unpacked(path: Path, folder: Path) -> Backup:
    """Unpacks a backup into a folder, each part as it was when it was made. Raises BackupRefused for what is none."""
    (folder / "mail").mkdir()
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream) as tar:
            told = _told(tar)
            backup = _understood(told, path)
            for member in tar:
                if member.isreg() and (member.name in (DATABASE, *KEYS) or MAIL.fullmatch(member.name)):
                    content = tar.extractfile(member)
                    assert content is not None
                    with _private(folder / member.name).open("wb") as file:
                        shutil.copyfileobj(content, file)
            while stream.read(1 << 20):  # to its end, where its sum stands
                pass
        whole = all(_hash(folder / name) == told["sha256"][name] for name in (DATABASE, *KEYS))
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, (gzip.BadGzipFile, FileNotFoundError)):
            raise BackupRefused(f"{path} cannot be read: {error.strerror or error}.") from error
        raise _no_backup(path) from error
    if not whole:
        raise _no_backup(path)
    return backup


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _private(path: Path) -> Path:
    """A file that nobody else may read, empty."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


def _for_good(path: Path) -> None:
    """Has the disk keep it."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _opened(file: Path) -> Iterator[Engine]:
    """A SQLite file by itself. Raises BackupRefused for one that is none."""
    engine = sa.create_engine(f"sqlite:///{file}", poolclass=NullPool, hide_parameters=True)
    try:
        yield engine
    except DBAPIError as error:
        if "not a database" in str(error.orig) or "malformed" in str(error.orig):
            raise BackupRefused("The database in it is damaged.") from error
        raise
    finally:
        engine.dispose()
