"""What SQLite says about locks, space and damage, in words."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rlhf_lab.core.errors import LabError

_ENOUGH_MB = 100


class DamagedError(LabError):
    """The database's file is not sound, or no database at all: a backup can take its place."""


def _free(path: Path) -> str:
    try:
        return f" ({shutil.disk_usage(path.parent).free >> 20:,} MB are free)"
    except OSError:
        return ""


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file at ``path`` into a `LabError`."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise LabError(
                f"The project's database {path} is in use by another process. Try again in a moment."
            ) from error
        if name.startswith("SQLITE_FULL"):
            raise LabError(
                f"No space is left on the disk for {path}{_free(path)}. Free at least {_ENOUGH_MB} MB and try again."
            ) from error
        if name.startswith("SQLITE_READONLY_DBMOVED") or not path.exists():
            raise LabError(
                f"{path} was moved or deleted while it was open. Close the lab, put the folder back, and open it again."
            ) from error
        if name.startswith("SQLITE_READONLY"):
            raise LabError(
                f"{path} cannot be written. Change its permissions or choose another project folder."
            ) from error
        if name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM", "SQLITE_AUTH")):
            raise LabError(f"{path} cannot be read or written ({error}). Check the folder and the disk.") from error
        if name.startswith("SQLITE_NOTADB"):
            raise DamagedError(
                f"{path} is not a database of this lab. Restore a backup of it (rlhf-lab restore), move it away or "
                "choose another folder."
            ) from error
        if name.startswith("SQLITE_CORRUPT"):
            raise DamagedError(
                f"The database {path} is damaged ({error}). Restore a backup of it (rlhf-lab restore)."
            ) from error
        raise
