"""One connection to a project's database: opening, short write transactions, and errors in words."""

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from rlhf_lab.core.errors import LabError
from rlhf_lab.store import schema
from rlhf_lab.store.backups import copy_of
from rlhf_lab.store.sqlite_words import in_words

_AGAIN_SECONDS = 0.01


class Connection:
    """A SQLite connection in WAL mode. Use it from the thread that opened it; another thread opens its own."""

    def __init__(self, path: Path, busy_ms: int, *, synchronous: Literal["NORMAL", "FULL"] = "NORMAL") -> None:
        self.path = path
        self.busy_ms = busy_ms
        self._synchronous = synchronous
        with in_words(path):
            try:
                # SQLite gives its -wal and -shm files the permissions of the database itself. Never open one that is
                # there: closing it again would give up the locks of this process's other connections, and another
                # process that leaves would then believe to be the last, and take the log away.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                if not path.is_file():
                    raise LabError(f"{path} is no file. Choose another project folder.") from None
            except PermissionError:
                raise LabError(f"{path} cannot be made: no permission. Choose another project folder.") from None
            except OSError as error:
                raise LabError(f"{path} cannot be opened: {error.strerror}. Choose another project folder.") from error
            self._sqlite = sqlite3.connect(path, timeout=busy_ms / 1000, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._sqlite.close()
                raise

    def _prepare(self) -> None:
        newest = len(schema.MIGRATIONS)
        self._sqlite.execute("BEGIN")  # all three are of one moment: another process may be making the database
        version, application = self._pragma("user_version"), self._pragma("application_id")
        empty = self._sqlite.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        self._sqlite.execute("COMMIT")
        if application != schema.APPLICATION_ID and not empty:
            raise LabError(f"{self.path} is not a database of this lab. Move it away or choose another folder.")
        if version > newest:
            raise LabError(
                f"{self.path} was made by a newer RLHF Lab (database version {version}, this one knows {newest}). "
                "Install that version or choose another project folder."
            )
        if version < newest:
            if not empty:
                copy_of(self._sqlite, self.path, f"version-{version}")
            self._write_ahead()
            schema.migrate(self._sqlite)
        self._sqlite.execute(f"PRAGMA synchronous = {self._synchronous}")
        # Some builds of SQLite write zeros over all that is deleted: a gigabyte more for a large data set.
        self._sqlite.execute("PRAGMA secure_delete = FAST")

    def _write_ahead(self) -> None:
        """SQLite itself does not wait for another process that writes before this is set."""
        deadline = time.monotonic() + self.busy_ms / 1000
        while True:
            try:
                self._sqlite.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_SECONDS)
            else:
                return

    def _pragma(self, name: str) -> int:
        return int(self._sqlite.execute(f"PRAGMA {name}").fetchone()[0])

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with in_words(self.path):
            return self._sqlite.execute(sql, parameters).fetchall()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A short `BEGIN IMMEDIATE` transaction: committed on leaving, undone on any exception."""
        with in_words(self.path):
            self._sqlite.execute("BEGIN IMMEDIATE")
            try:
                yield self._sqlite
                self._sqlite.execute("COMMIT")
            except BaseException:
                if self._sqlite.in_transaction:
                    self._sqlite.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close it; a second time does nothing."""
        self._sqlite.close()
