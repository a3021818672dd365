"""What people said, as it must survive everything: each verdict is on the disk before `judge` returns.

A person's verdicts are one history over all data sets. Its newest verdict is the one that `undo` takes
back; what was taken back stays, and can be redone, until the person gives another verdict.
"""

import sqlite3
from collections.abc import Iterator

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import LONGEST_NAME, Judgement, answers_of
from rlhf_lab.core.records import load_record
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.datasets import dataset_id
from rlhf_lab.store.schema import ID_BITS

_PAGE = 1000

Judged = tuple[str, int, Judgement]
"""The data set, the id of the record, and what was said of it."""


class Judgements:
    """Queries on verdicts; see `rlhf_lab.store.store.Store` for what each promises."""

    def __init__(self, connection: Connection) -> None:
        """``connection`` has to sync in full at each commit."""
        self._connection = connection

    def judge(self, dataset: str, record: int, judgement: Judgement) -> int:
        key = dataset_id(self._connection, dataset)
        with self._connection.write() as db:
            _check_fits(db, dataset, key, record, judgement)
            annotator = _annotator(db, judgement.who)
            db.execute("DELETE FROM verdicts WHERE annotator = ? AND state = 'undone'", (annotator,))
            if not judgement.repeat:
                _supersede(db, key, record, annotator)
            inserted = db.execute(
                "INSERT INTO verdicts (dataset, record, annotator, state, repeat, queue, outcome, best, body) "
                "VALUES (?, ?, ?, 'live', ?, ?, ?, ?, ?)",
                (
                    key,
                    record,
                    annotator,
                    judgement.repeat,
                    judgement.queue,
                    _outcome(judgement),
                    judgement.best,
                    judgement.model_dump_json(),
                ),
            ).lastrowid
        assert inserted is not None
        return inserted

    def undo(self, who: str) -> Judged | None:
        with self._connection.write() as db:
            found = _step(db, who, "live", newest=True)
            if found is None:
                return None
            verdict, record, annotator, repeat = found[:4]
            db.execute("UPDATE verdicts SET state = 'undone' WHERE id = ?", (verdict,))
            if not repeat:
                db.execute(
                    "UPDATE verdicts SET state = 'live' WHERE id = (SELECT max(id) FROM verdicts "
                    "WHERE dataset = ? AND state = 'superseded' AND record = ? AND annotator = ?)",
                    (record >> ID_BITS, record, annotator),
                )
            return _judged(db, record, found[4])

    def redo(self, who: str) -> Judged | None:
        with self._connection.write() as db:
            found = _step(db, who, "undone", newest=False)
            if found is None:
                return None
            verdict, record, annotator, repeat = found[:4]
            if not repeat:
                _supersede(db, record >> ID_BITS, record, annotator)
            db.execute("UPDATE verdicts SET state = 'live' WHERE id = ?", (verdict,))
            return _judged(db, record, found[4])

    def annotators(self) -> list[str]:
        return [name for (name,) in self._connection.rows("SELECT name FROM annotators ORDER BY id")]

    def add_annotator(self, name: str) -> None:
        with self._connection.write() as db:
            _annotator(db, name)

    def verdicts(self, dataset: str, who: str | None) -> Iterator[tuple[int, Judgement]]:
        key, after = dataset_id(self._connection, dataset), 0
        # By number, not by an index: that would sort all verdicts anew for each page.
        while rows := self._connection.rows(
            f"SELECT id, record, body FROM verdicts NOT INDEXED {_LIVE} AND id > :after ORDER BY id LIMIT :limit",
            {"dataset": key, "who": who, "after": after, "limit": _PAGE},
        ):
            for _, record, body in rows:
                yield record, Judgement.model_validate_json(body)
            after = rows[-1][0]

    def count(self, dataset: str, who: str | None) -> int:
        key = dataset_id(self._connection, dataset)
        return int(self._connection.rows(f"SELECT count(*) FROM verdicts {_LIVE}", {"dataset": key, "who": who})[0][0])

    def guidelines(self, dataset: str) -> str:
        key = dataset_id(self._connection, dataset)
        return str(self._connection.rows("SELECT guidelines FROM datasets WHERE id = ?", (key,))[0][0])

    def set_guidelines(self, dataset: str, text: str) -> None:
        key = dataset_id(self._connection, dataset)
        with self._connection.write() as db:
            db.execute("UPDATE datasets SET guidelines = ? WHERE id = ?", (text, key))


# What was said of a record that is removed now waits unseen, in case the removal is undone.
_LIVE = """
    WHERE dataset = :dataset AND state = 'live'
    AND (:who IS NULL OR annotator = (SELECT id FROM annotators WHERE name = :who))
    AND EXISTS (SELECT 1 FROM records WHERE records.id = verdicts.record)
"""


def _annotator(db: sqlite3.Connection, name: str) -> int:
    if not name.strip() or name != name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise LabError(
            f"{name[:40]!r} cannot name a person who ranks: use 1 to {LONGEST_NAME} printable characters, "
            "without spaces at either end."
        )
    db.execute("INSERT OR IGNORE INTO annotators (name) VALUES (?)", (name,))
    return int(db.execute("SELECT id FROM annotators WHERE name = ?", (name,)).fetchone()[0])


def _check_fits(db: sqlite3.Connection, name: str, dataset: int, record: int, judgement: Judgement) -> None:
    row = db.execute("SELECT body FROM records WHERE id = ?", (record,)).fetchone()
    if row is None or record >> ID_BITS != dataset:
        raise LabError(f"The record that was judged is not in {name!r} any more. Go on with the next one.")
    answers = len(answers_of(load_record(row[0])))
    if answers < 2:
        raise LabError(f"This record of {name!r} has no answers that could be compared.")
    for what, given in (("ranked", judgement.ranks), ("shown", judgement.shown_order)):
        if given and len(given) != answers:
            raise LabError(
                f"{len(given)} answers were {what}, but the record in {name!r} has {answers}. Open it again and rank those."
            )


def _supersede(db: sqlite3.Connection, dataset: int, record: int, annotator: int) -> None:
    db.execute(
        "UPDATE verdicts SET state = 'superseded' "
        "WHERE dataset = ? AND state = 'live' AND record = ? AND annotator = ? AND NOT repeat",
        (dataset, record, annotator),
    )


def _step(db: sqlite3.Connection, who: str, state: str, *, newest: bool) -> tuple[int, int, int, int, str] | None:
    """The newest or oldest verdict of a person in that state, as (id, record, annotator, repeat, body)."""
    # Undoing goes backwards: the newest row that is not undone is live, and the oldest undone one was undone last.
    order = "DESC" if newest else "ASC"
    row: tuple[int, int, int, int, str] | None = db.execute(
        "SELECT id, record, annotator, repeat, body FROM verdicts "
        "WHERE annotator = (SELECT id FROM annotators WHERE name = ?) AND state = ? "
        f"AND dataset IN (SELECT id FROM datasets WHERE owner IS NULL) ORDER BY id {order} LIMIT 1",
        (who, state),
    ).fetchone()
    return row


def _judged(db: sqlite3.Connection, record: int, body: str) -> Judged:
    (name,) = db.execute("SELECT name FROM datasets WHERE id = ?", (record >> ID_BITS,)).fetchone()
    return name, record, Judgement.model_validate_json(body)


def _outcome(judgement: Judgement) -> str:
    return ",".join(map(str, judgement.ranks)) or judgement.verdict
