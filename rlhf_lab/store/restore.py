"""Putting a backup in the place of the project's database; what is there now is kept aside first."""

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.store import schema
from rlhf_lab.store.backups import BEFORE_RESTORE, DAMAGED, Backup, back_up, copy_pages, place_for, sync
from rlhf_lab.store.search_index import FOLDER as SEARCH_FOLDER
from rlhf_lab.store.sqlite_words import DamagedError, in_words

_WAIT_S = 10.0
_TRIES = 3


def restore(database: Path, backup: Backup) -> Path | None:
    """Make the database what it was; returns where the one of before now lies, None where there was none.

    A sound database is overwritten in one transaction: others who have it open see the old or the new one, and a
    crash in between changes nothing. A damaged one is moved aside. A backup of an older version is migrated on the
    way. Raises `LabError`, with nothing changed, where the backup is damaged or newer than this lab, where there is
    no room, or where another process writes for longer than ten seconds.
    """
    part = place_for(database, BEFORE_RESTORE, time.time()).with_suffix(f".{os.getpid()}.part")
    try:
        _take(backup.path, part)
        try:
            aside = _overwrite(database, part) if database.exists() else _put(database, part)
        except DamagedError:
            aside = _put(database, part)
    finally:
        part.unlink(missing_ok=True)
    # They count changes to data sets; those of the restored ones count differently.
    shutil.rmtree(database.parent / SEARCH_FOLDER, ignore_errors=True)
    return aside


def _take(backup: Path, part: Path) -> None:
    """A sound copy of the backup, of today's version."""
    with in_words(backup), closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro", uri=True)) as source:
        copy_pages(source, part)
    with in_words(part), closing(sqlite3.connect(part, isolation_level=None)) as copy:
        if _pragma(copy, "application_id") != schema.APPLICATION_ID:
            raise LabError(f"{backup} is not a backup of a lab's database. Choose another one.")
        version, newest = _pragma(copy, "user_version"), len(schema.MIGRATIONS)
        if version > newest:
            raise LabError(
                f"{backup} was made by a newer RLHF Lab (database version {version}, this one knows {newest}). "
                "Install that version, or choose another backup."
            )
        if version < newest:
            schema.migrate(copy)


def _overwrite(database: Path, part: Path) -> Path:
    """In one transaction; what stands there is copied aside until nobody wrote between the copy and the transaction."""
    with in_words(database), closing(sqlite3.connect(database, isolation_level=None, timeout=_WAIT_S)) as live:
        for _ in range(_TRIES):
            seen = _pragma(live, "data_version")
            aside = back_up(database, BEFORE_RESTORE).path
            if _pragma(live, "data_version") == seen:
                break
        else:
            raise LabError(f"Another process keeps writing into {database}. Stop it, then restore.")
        until = time.monotonic() + _WAIT_S

        def look(status: int, remaining: int, total: int) -> None:
            if status == sqlite3.SQLITE_BUSY and time.monotonic() > until:
                raise LabError(f"The database {database} is in use by another process. Stop it, then restore.")

        with closing(sqlite3.connect(part)) as source:
            source.backup(live, progress=look, sleep=0.05)
        with suppress(sqlite3.OperationalError):  # readers hold it up; it comes with their end
            live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return aside


def _put(database: Path, part: Path) -> Path | None:
    """Move away what cannot be read, and put the file there."""
    with in_words(part), closing(sqlite3.connect(part)) as copy:
        copy.execute("PRAGMA journal_mode = WAL")
    sync(part)
    aside = place_for(database, DAMAGED, time.time())
    try:
        for suffix in ("", "-wal", "-shm"):
            old = database.with_name(database.name + suffix)
            if old.exists():
                old.replace(aside.with_name(aside.name + suffix))
        part.replace(database)
    except OSError as error:
        raise LabError(
            f"{database} cannot be replaced: {error.strerror or error}. Close every program that uses it."
        ) from error
    sync(database.parent)
    return aside if aside.exists() else None


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
