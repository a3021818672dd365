"""Changing and removing records, step by step, each step to be undone and redone, also after a restart."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import answers_of
from rlhf_lab.core.records import AnyRecord, dump_record, load_record
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.datasets import dataset_id, ids_of
from rlhf_lab.store.schema import BLOCK_BITS

_Row = tuple[int, str | None, str | None]
"""A record's id, what it is, and what it becomes; None where it is (or will be) gone."""


@dataclass(frozen=True)
class Change:
    """What an action did, so that the screens can follow: these records are now edited, removed or back."""

    what: Literal["edited", "removed", "restored"]
    ids: tuple[int, ...]


class Edits:
    """Changes of records; see `rlhf_lab.store.store.Store` for what each promises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def edit(self, name: str, record: int, new: AnyRecord) -> Change | None:
        dataset = dataset_id(self._connection, name)
        with self._connection.write() as db:
            found = _bodies(db, dataset, [record])
            if not found:
                raise LabError(f"This record is not in {name!r} any more: it was removed.")
            after = dump_record(new).decode()
            return self._new_step(db, dataset, [(record, found[0][1], after)]) if after != found[0][1] else None

    def remove(self, name: str, ids: Iterable[int]) -> Change | None:
        dataset = dataset_id(self._connection, name)
        with self._connection.write() as db:
            rows: list[_Row] = [(key, body, None) for key, body in _bodies(db, dataset, ids)]
            return self._new_step(db, dataset, rows) if rows else None

    def undo(self, name: str) -> Change | None:
        return self._go(dataset_id(self._connection, name), undone=0)

    def redo(self, name: str) -> Change | None:
        return self._go(dataset_id(self._connection, name), undone=1)

    def steps(self, name: str) -> tuple[int, int]:
        dataset = dataset_id(self._connection, name)
        rows = self._connection.rows(
            "SELECT undone, count(DISTINCT step) FROM edits WHERE dataset = ? GROUP BY undone", (dataset,)
        )
        counts = dict(rows)
        return counts.get(0, 0), counts.get(1, 0)

    def _new_step(self, db: sqlite3.Connection, dataset: int, rows: list[_Row]) -> Change:
        db.execute("DELETE FROM edits WHERE dataset = ? AND undone = 1", (dataset,))
        (last,) = db.execute("SELECT max(step) FROM edits WHERE dataset = ?", (dataset,)).fetchone()
        step = (last or 0) + 1
        db.executemany(
            "INSERT INTO edits (dataset, step, record, undone, before, after) VALUES (?, ?, ?, 0, ?, ?)",
            ((dataset, step, record, before, after) for record, before, after in rows),
        )
        return _apply(db, dataset, rows)

    def _go(self, dataset: int, *, undone: int) -> Change | None:
        """Undo the newest step that is done, or redo the oldest that is undone."""
        which = "min" if undone else "max"
        with self._connection.write() as db:
            (step,) = db.execute(
                f"SELECT {which}(step) FROM edits WHERE dataset = ? AND undone = ?", (dataset, undone)
            ).fetchone()
            if step is None:
                return None
            old, new = ("before", "after") if undone else ("after", "before")
            rows = db.execute(
                f"SELECT record, {old}, {new} FROM edits WHERE dataset = ? AND undone = ? AND step = ? ORDER BY record",
                (dataset, undone, step),
            ).fetchall()
            change = _apply(db, dataset, rows)
            db.execute(
                "UPDATE edits SET undone = ? WHERE dataset = ? AND undone = ? AND step = ?",
                (1 - undone, dataset, undone, step),
            )
            return change


def _bodies(db: sqlite3.Connection, dataset: int, ids: Iterable[int]) -> list[tuple[int, str]]:
    return db.execute(
        "SELECT id, body FROM records WHERE id IN (SELECT value FROM json_each(?)) AND id >= ? AND id < ? ORDER BY id",
        (json.dumps(list(ids)), *ids_of(dataset)),
    ).fetchall()


def _apply(db: sqlite3.Connection, dataset: int, rows: list[_Row]) -> Change:
    """Bring the records to what they become, with all that is counted or was derived from them."""
    ids = [record for record, _, _ in rows]
    before = [(record, load_record(body)) for record, body, _ in rows if body is not None]
    after = [(record, load_record(body)) for record, _, body in rows if body is not None]
    if before and after:
        _check_edit(db, dataset, before[0], after[0][1])
    gone = [record for record, _, body in rows if body is None]
    come = [record for record, body, _ in rows if body is None]
    db.execute("DELETE FROM records WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(gone),))
    db.executemany(
        "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
        ((key, one.kind, one.split, one.prompt.text, dump_record(one).decode()) for key, one in after),
    )
    for keys, sign in ((gone, 1), (come, -1)):
        db.executemany(
            "INSERT INTO gaps VALUES (?, ?) ON CONFLICT (block) DO UPDATE SET removed = removed + excluded.removed",
            ((key >> BLOCK_BITS, sign) for key in keys),
        )
    train = sum(one.split == "train" for _, one in after) - sum(one.split == "train" for _, one in before)
    total = len(after) - len(before)
    (change,) = db.execute(
        "UPDATE datasets SET changes = changes + 1, records = records + ?, train = train + ?, heldout = heldout + ? "
        "WHERE id = ? RETURNING changes",
        (total, train, total - train, dataset),
    ).fetchone()
    db.executemany("INSERT OR REPLACE INTO touched VALUES (?, ?)", ((key, change) for key in ids))
    db.execute(
        "DELETE FROM scores WHERE score_set IN (SELECT id FROM score_sets WHERE dataset = ?) "
        "AND record IN (SELECT value FROM json_each(?))",
        (dataset, json.dumps(ids)),
    )
    return Change("removed" if gone else "restored" if come else "edited", tuple(ids))


def _check_edit(db: sqlite3.Connection, dataset: int, old: tuple[int, AnyRecord], new: AnyRecord) -> None:
    """Verdicts name answers by their place: an edit may change what they say, not which they are."""
    record, before = old
    if new.kind != before.kind:
        raise LabError(f"An edit cannot make a {new.kind} of a {before.kind}. Remove the record instead.")
    answers, others = [a.text for a in answers_of(before)], [a.text for a in answers_of(new)]
    moved = answers != others and sorted(answers) == sorted(others)
    judged = db.execute("SELECT 1 FROM verdicts WHERE dataset = ? AND record = ? LIMIT 1", (dataset, record)).fetchone()
    if judged and (moved or len(answers) != len(others)):
        raise LabError(
            "People have judged these answers as they stand: their order and number cannot be changed any more. "
            "Judge the record again instead."
        )
