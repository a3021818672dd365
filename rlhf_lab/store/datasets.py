"""Data sets in the database: written in batches unseen, visible all at once. `browse` reads their records."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from rlhf_lab.core.errors import LabError
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.dataset_writer import DatasetWriter
from rlhf_lab.store.schema import BLOCK_BITS, ID_BITS

NAME_LENGTH = 200
_DELETE_BATCH = 2000
_LET_OTHERS_S = 0.01
"""Whoever waits for a lock looks for it now and then: without a pause between batches, a verdict might never get in."""

_DELETED = "deleted"


@dataclass(frozen=True)
class DatasetRow:
    """One data set as the Data pane lists it. ``kind`` is a record kind, or "mixed"; ``note`` is for the person."""

    name: str
    format: str
    kind: str
    records: int
    train: int
    heldout: int
    problems: int
    created: float
    source: str = ""
    sha256: str = ""
    note: str = ""


class Datasets:
    """Queries on data sets; see `rlhf_lab.store.store.Store` for what each promises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[DatasetRow]:
        rows = self._connection.rows(
            "SELECT name, format, kind, records, train, heldout, problems, created, source, sha256, note "
            "FROM datasets WHERE owner IS NULL ORDER BY id"
        )
        return [DatasetRow(*row) for row in rows]

    def state(self, name: str) -> str:
        rows = self._connection.rows("SELECT created, changes FROM datasets WHERE name = ? AND owner IS NULL", (name,))
        return f"{rows[0][0]}:{rows[0][1]}" if rows else ""

    @contextmanager
    def new(self, name: str, format: str, kind: str, source: str, sha256: str, note: str) -> Iterator[DatasetWriter]:
        self.sweep()
        with self._connection.write() as db:
            dataset = db.execute(
                "INSERT INTO datasets (name, format, kind, source, sha256, note, created, owner) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (_checked(name), format, kind, source, sha256, note, time.time(), _this_process()),
            ).lastrowid
        assert dataset is not None
        writer = DatasetWriter(self._connection, dataset, name, kind, note)
        try:
            yield writer
            with self._connection.write() as db:
                writer.name = _free_name(db, _checked(name))
                db.execute(
                    "UPDATE datasets SET owner = NULL, name = ?, kind = ?, note = ?, "
                    "records = ?, train = ?, heldout = ?, problems = ? WHERE id = ?",
                    (writer.name, writer.kind, writer.note, *writer.counts(), dataset),
                )
        except BaseException:
            # Where even this fails (a full disk), the rest stays unseen and a later import sweeps it.
            with suppress(LabError):
                self._discard(dataset)
            raise

    def problems(self, name: str, limit: int) -> tuple[list[tuple[int, str]], int]:
        dataset = self._id(name)
        rows = self._connection.rows(
            "SELECT line, reason FROM problems WHERE dataset = ? ORDER BY number LIMIT ?", (dataset, limit)
        )
        total = self._connection.rows("SELECT problems FROM datasets WHERE id = ?", (dataset,))[0][0]
        return [(line, reason) for line, reason in rows], total

    def rename(self, name: str, new: str) -> None:
        dataset = self._id(name)
        with self._connection.write() as db:
            if _free_name(db, _checked(new)) != new and new != name:
                raise LabError(f"There is already a data set named {new!r}. Choose another name.")
            db.execute("UPDATE datasets SET name = ? WHERE id = ?", (new, dataset))

    def delete(self, name: str) -> None:
        self._discard(self._id(name))

    def sweep(self) -> None:
        """Remove what dead processes left half-written or half-deleted."""
        for dataset, owner in self._connection.rows("SELECT id, owner FROM datasets WHERE owner IS NOT NULL"):
            if not _alive(owner):
                self._remove(dataset)

    def _discard(self, dataset: int) -> None:
        with self._connection.write() as db:
            db.execute("UPDATE datasets SET owner = ? WHERE id = ?", (_DELETED, dataset))
        self._remove(dataset)

    def _remove(self, dataset: int) -> None:
        """In short transactions, so that a window beside us can write; the row goes last."""
        low, high = ids_of(dataset)
        while low < high:
            with self._connection.write() as db:
                last = db.execute(
                    "SELECT max(id) FROM (SELECT id FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?)",
                    (low, high, _DELETE_BATCH),
                ).fetchone()[0]
                if last is None:
                    break
                db.execute("DELETE FROM records WHERE id >= ? AND id <= ?", (low, last))
                db.execute(
                    "DELETE FROM scores WHERE score_set IN (SELECT id FROM score_sets WHERE dataset = ?) "
                    "AND record >= ? AND record <= ?",
                    (dataset, low, last),
                )
                low = last + 1
            time.sleep(_LET_OTHERS_S)
        with self._connection.write() as db:
            for table in ("problems", "verdicts", "edits", "score_sets"):
                db.execute(f"DELETE FROM {table} WHERE dataset = ?", (dataset,))
            db.execute("DELETE FROM touched WHERE record >= ? AND record < ?", ids_of(dataset))
            db.execute(
                "DELETE FROM gaps WHERE block >= ? AND block < ?", [key >> BLOCK_BITS for key in ids_of(dataset)]
            )
            db.execute("DELETE FROM datasets WHERE id = ?", (dataset,))

    def _id(self, name: str) -> int:
        return dataset_id(self._connection, name)


def ids_of(dataset: int) -> tuple[int, int]:
    """The range of ids of a data set's records: the first, and the one behind the last possible."""
    return dataset << ID_BITS, (dataset + 1) << ID_BITS


def dataset_id(connection: Connection, name: str) -> int:
    """The key of a complete data set; raises `LabError` where there is none of that name."""
    rows = connection.rows("SELECT id FROM datasets WHERE name = ? AND owner IS NULL", (name,))
    if not rows:
        names = connection.rows("SELECT name FROM datasets WHERE owner IS NULL ORDER BY id LIMIT 20")
        known = ", ".join(repr(found) for (found,) in names) or "none yet"
        raise LabError(f"There is no data set named {name!r} in this project. There are: {known}.")
    return int(rows[0][0])


def _checked(name: str) -> str:
    if not name.strip() or len(name) > NAME_LENGTH or not name.isprintable():
        raise LabError(f"{name[:40]!r} cannot name a data set: use 1 to {NAME_LENGTH} printable characters.")
    return name


def _free_name(db: sqlite3.Connection, name: str) -> str:
    free, number = name, 1
    while db.execute("SELECT 1 FROM datasets WHERE name = ? AND owner IS NULL", (free,)).fetchone():
        number += 1
        suffix = f" ({number})"
        free = name[: NAME_LENGTH - len(suffix)] + suffix
    return free


def _this_process() -> str:
    import psutil  # here: only an import needs it, not the window's start

    return f"{os.getpid()}:{psutil.Process().create_time()}"


def _alive(owner: str) -> bool:
    import psutil

    if owner == _DELETED:
        return False
    pid, _, created = owner.partition(":")
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(created)) < 2
    except psutil.Error:
        return False
