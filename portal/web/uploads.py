"""Uploads: a file kept between its check and its confirmation, for whoever sent it alone.

Invariants: the name is random and stands with its owner's; nothing is kept longer than an hour.
"""

import os
import re
from pathlib import Path
from typing import IO

from flask import current_app

from portal.config import Settings
from portal.core import clock, text

LASTS_S = 3600


def _folder() -> Path:
    settings: Settings = current_app.extensions["settings"]
    return Path(settings.instance_dir) / "uploads"


def keep(file: IO[bytes], kind: str, *, by: str) -> str:
    """Keeps a file for the person with this public id; gives the name by which it is found again."""
    purge()
    folder, name = _folder(), text.public_id()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{by}.{name}.{kind}"
    path.touch(mode=0o600)
    with path.open("wb") as kept:
        while block := file.read(1 << 16):
            kept.write(block)
    since = clock.now().timestamp()
    os.utime(path, (since, since))
    return name


def find(name: str, *, by: str) -> tuple[Path, str] | None:
    """A kept file of this person with its kind."""
    purge()
    if not re.fullmatch(r"[a-z0-9]{16}", name, re.ASCII):
        return None
    found = list(_folder().glob(f"{by}.{name}.*"))
    return (found[0], found[0].suffix.removeprefix(".")) if found else None


def purge() -> None:
    """Throws away what nobody has confirmed in time."""
    oldest = clock.now().timestamp() - LASTS_S
    for path in _folder().glob("*"):
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
        except FileNotFoundError:  # another process was faster
            continue
