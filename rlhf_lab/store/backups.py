"""Copies of the project's database in ``backups/`` beside it: made while it is used, checked, thinned with age.

A copy is one file that opens by itself. It gets its name only when it is complete, sound and on the disk; the
name says when it was made (UTC) and why.
"""

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.store.sqlite_words import DamagedError, in_words

FOLDER = "backups"
SCHEDULED, ASKED, BEFORE_RESTORE, DAMAGED = "scheduled", "asked", "before-restore", "damaged"
HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0
SMALL_BYTES = 256 << 20
"""Up to here a changed database is copied every hour, above it once a day."""
MOST_BYTES = 4 << 30
"""Of scheduled copies in all; beyond that the oldest go, though never the newest `_ALWAYS`."""

_ALWAYS = 2
_TO_SPARE = 200 << 20
_PAGES_AT_ONCE = 4096
_NAME = re.compile(r"(\d{8}T\d{6}\.\d{3})Z-([a-z0-9-]+)\.sqlite")
_STAMP = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class Backup:
    """One copy; ``when`` in Unix seconds, ``why`` one of the names above or "version-N": before a migration from N."""

    path: Path
    when: float
    why: str
    size: int

    @property
    def name(self) -> str:
        """By which a person chooses it."""
        return self.path.stem


def backups(database: Path) -> list[Backup]:
    """The copies that can be restored, newest first."""
    found = []
    for path in (database.parent / FOLDER).glob("*.sqlite"):
        match = _NAME.fullmatch(path.name)
        if match and match[2] != DAMAGED:
            when = datetime.strptime(match[1], f"{_STAMP}.%f").replace(tzinfo=UTC).timestamp()
            found.append(Backup(path, when, match[2], path.stat().st_size))
    return sorted(found, key=lambda backup: backup.when, reverse=True)


def back_up(database: Path, why: str, *, cancelled: Callable[[], bool] = lambda: False) -> Backup:
    """Copy the database as it is at this moment; others go on writing meanwhile.

    Raises `DamagedError` where it is not sound, and `LabError` where there is no room or the copy is cancelled.
    """
    with in_words(database), closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as source:
        return copy_of(source, database, why, cancelled=cancelled)


def copy_of(
    source: sqlite3.Connection, database: Path, why: str, *, cancelled: Callable[[], bool] = lambda: False
) -> Backup:
    """The same from a connection that is open on ``database`` and in no transaction."""
    _make_room(database)
    when = time.time()
    try:
        final = place_for(database, why, when)
        part = final.with_name(f"{final.name}.{os.getpid()}.part")
        try:
            copy_pages(source, part, cancelled)
            sync(part)
            part.replace(final)
            sync(final.parent)
        finally:
            part.unlink(missing_ok=True)
        return Backup(final, when, why, final.stat().st_size)
    except OSError as error:
        place = database.parent / FOLDER
        raise LabError(
            f"The database cannot be copied to {place}: {error.strerror or error}. Make it a folder that can be written."
        ) from error


def place_for(database: Path, why: str, when: float) -> Path:
    """The name that a copy made then gets; makes the folder."""
    folder = database.parent / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    stamp = datetime.fromtimestamp(when, UTC)
    return folder / f"{stamp.strftime(_STAMP)}.{stamp.microsecond // 1000:03d}Z-{why}.sqlite"


def copy_pages(source: sqlite3.Connection, part: Path, cancelled: Callable[[], bool] = lambda: False) -> None:
    """A sound copy of one moment in a new private file, without a second file beside it."""
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))

    def look(status: int, remaining: int, total: int) -> None:
        if cancelled():
            raise LabError("The copy of the database was cancelled.")

    # Inside a reading transaction all pages are of one moment: else each write of others would begin the copy anew.
    source.execute("BEGIN")
    try:
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # it is synced as a whole, or thrown away
            source.backup(copy, pages=_PAGES_AT_ONCE, progress=look)
            copy.execute("PRAGMA journal_mode = DELETE")
            check_sound(copy, part)
    finally:
        source.execute("ROLLBACK")


def check_sound(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `DamagedError` where SQLite finds fault."""
    with in_words(path):
        [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise DamagedError(f"The database {path} is damaged ({verdict}). Restore a backup of it.")


def due(database: Path, now: float) -> bool:
    """Whether the database has changed since its newest copy, and that one is old enough."""
    try:
        size, changed = database.stat().st_size, _changed(database)
    except FileNotFoundError:
        return False
    found = backups(database)
    if not found:
        return True
    every = HOUR if size <= SMALL_BYTES else DAY
    return changed > found[0].when and not 0 <= now - found[0].when < every


def thin(database: Path, now: float) -> list[Backup]:
    """Delete the scheduled copies that `kept` does not keep or that take too much room; those that went.

    What a person asked for, and what was made before a migration or a restore, stays.
    """
    scheduled = [backup for backup in backups(database) if backup.why == SCHEDULED]
    stay = kept((backup.when for backup in scheduled), now)
    gone, room = [], float(MOST_BYTES)
    for number, backup in enumerate(scheduled):
        room -= backup.size
        if number >= _ALWAYS and (backup.when not in stay or room < 0):
            backup.path.unlink(missing_ok=True)
            gone.append(backup)
            room += backup.size
    for part in (database.parent / FOLDER).glob("*.part"):  # of a process that was killed
        if now - part.stat().st_mtime > DAY:
            part.unlink(missing_ok=True)
    return gone


def kept(times: Iterable[float], now: float) -> set[float]:
    """The newest of each hour of the last day, of each day of two weeks, and of each week of a third of a year."""
    newest: dict[tuple[float, int], float] = {}
    for when in sorted(times):
        age = now - when
        for until, width in ((DAY, HOUR), (14 * DAY, DAY), (17 * WEEK, WEEK)):
            if age < until:
                newest[width, int(when // width)] = when
                break
    return set(newest.values())


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Never for a database that is open."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _changed(database: Path) -> float:
    log = database.with_name(database.name + "-wal")
    times = [database.stat().st_mtime]
    if log.exists() and (found := log.stat()).st_size:
        times.append(found.st_mtime)
    return max(times)


def _make_room(database: Path) -> None:
    log = database.with_name(database.name + "-wal")
    needed = database.stat().st_size + (log.stat().st_size if log.exists() else 0) + _TO_SPARE
    free = shutil.disk_usage(database.parent).free
    if free < needed:
        raise LabError(
            f"The database {database} cannot be copied: {needed >> 20:,} MB are needed, {free >> 20:,} MB are free. "
            "Delete something on that disk."
        )
