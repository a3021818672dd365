"""The tables, as numbered migrations that sqlite-utils applies; the newest number is `PRAGMA user_version`.

sqlite-utils is imported only to create or migrate: opening a database of today's version needs the
standard library alone (0.25 s less in every start of the window).
"""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID = 0x524C4846
"""`PRAGMA application_id`, "RLHF": tells our databases from any other."""

ID_BITS = 40
"""A record's id is ``dataset << 40 | position``: pages and jumps are ranges of the primary key, no index needed."""

STEP_BITS = 7
"""The extremes of a curve are kept for each 128 neighbouring steps."""

BLOCK_BITS = 10
"""Gaps are counted for each 1,024 neighbouring ids."""


def _first_tables(db: "Database") -> None:
    # owner: the process that still writes it, or "deleted"; NULL once the data set is complete and visible.
    db.execute(
        """
        CREATE TABLE datasets (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            format TEXT NOT NULL,
            kind TEXT NOT NULL,
            source TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            note TEXT NOT NULL,
            created REAL NOT NULL,
            owner TEXT,
            records INTEGER NOT NULL DEFAULT 0,
            train INTEGER NOT NULL DEFAULT 0,
            heldout INTEGER NOT NULL DEFAULT 0,
            problems INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """
    )
    db.execute("CREATE UNIQUE INDEX dataset_names ON datasets (name) WHERE owner IS NULL")
    db.execute(
        """
        CREATE TABLE records (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            split TEXT NOT NULL,
            prompt TEXT NOT NULL,
            body TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE problems (
            dataset INTEGER NOT NULL,
            number INTEGER NOT NULL,
            line INTEGER NOT NULL,
            reason TEXT NOT NULL,
            PRIMARY KEY (dataset, number)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            run TEXT NOT NULL UNIQUE,
            stage TEXT NOT NULL,
            dir TEXT NOT NULL,
            config TEXT NOT NULL,
            created REAL NOT NULL,
            outcome TEXT NOT NULL,
            message TEXT NOT NULL DEFAULT '',
            step INTEGER NOT NULL DEFAULT 0,
            total INTEGER NOT NULL DEFAULT 0,
            log_offset INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            step INTEGER NOT NULL,
            kind TEXT NOT NULL,
            superseded INTEGER NOT NULL DEFAULT 0,
            body TEXT NOT NULL,
            UNIQUE (run, attempt, seq)
        ) STRICT
        """
    )
    db.execute("CREATE INDEX events_by_kind ON events (run, kind, attempt, seq)")
    db.execute("CREATE TABLE metric_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT")
    # status: 'nan', 'inf' or '-inf' where the value is no finite number, since SQLite turns NaN into NULL.
    db.execute(
        """
        CREATE TABLE metrics (
            run INTEGER NOT NULL,
            metric INTEGER NOT NULL,
            step INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            value REAL,
            status TEXT,
            PRIMARY KEY (run, metric, step, attempt)
        ) STRICT, WITHOUT ROWID
        """
    )


def _second_judgements_scores_and_edits(db: "Database") -> None:
    # changes: counts edits of the records, so that whatever was derived from them can tell that it is old.
    db.execute("ALTER TABLE datasets ADD COLUMN changes INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE datasets ADD COLUMN guidelines TEXT NOT NULL DEFAULT ''")
    db.execute("CREATE TABLE annotators (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT")
    # state: 'live', 'superseded' by a later verdict of the same person, or 'undone' (and may be redone).
    # outcome: the ranks, or the verdict where there are none: equal outcomes are agreement.
    # best: the index of the one answer in front; NULL where there is none.
    db.execute(
        """
        CREATE TABLE verdicts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            dataset INTEGER NOT NULL,
            record INTEGER NOT NULL,
            annotator INTEGER NOT NULL,
            state TEXT NOT NULL,
            repeat INTEGER NOT NULL,
            queue TEXT NOT NULL,
            outcome TEXT NOT NULL,
            best INTEGER,
            body TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX verdicts_by_annotator ON verdicts (annotator, state, id)")
    db.execute(
        "CREATE INDEX verdicts_by_record ON verdicts (dataset, state, record, annotator, repeat, outcome, best, queue)"
    )
    db.execute(
        """
        CREATE TABLE score_sets (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            dataset INTEGER NOT NULL,
            model TEXT NOT NULL,
            UNIQUE (dataset, model)
        ) STRICT
        """
    )
    # gap: between the two best answers. margin: of the answer that the record puts first over the best other
    # one; NULL where it puts none first.
    db.execute(
        """
        CREATE TABLE scores (
            score_set INTEGER NOT NULL,
            record INTEGER NOT NULL,
            favourite INTEGER NOT NULL,
            gap REAL NOT NULL,
            margin REAL,
            scores TEXT NOT NULL,
            PRIMARY KEY (score_set, record)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX scores_by_gap ON scores (score_set, gap)")
    db.execute("CREATE INDEX scores_by_margin ON scores (score_set, margin) WHERE margin < 0")
    # One step is what one action changed; after: NULL where it removed the record.
    db.execute(
        """
        CREATE TABLE edits (
            id INTEGER PRIMARY KEY,
            dataset INTEGER NOT NULL,
            step INTEGER NOT NULL,
            record INTEGER NOT NULL,
            undone INTEGER NOT NULL,
            before TEXT NOT NULL,
            after TEXT
        ) STRICT
        """
    )
    db.execute("CREATE INDEX edits_by_step ON edits (dataset, undone, step)")
    # The number of the data set's last change to each record that was ever edited or removed.
    db.execute("CREATE TABLE touched (record INTEGER PRIMARY KEY, change INTEGER NOT NULL) STRICT")
    # How many of 1,024 neighbouring ids are gone (block = id >> 10), so that a jump need not walk over gaps.
    db.execute("CREATE TABLE gaps (block INTEGER PRIMARY KEY, removed INTEGER NOT NULL) STRICT")


def _third_labels_and_sketches(db: "Database") -> None:
    # note: NULL until somebody writes one here; the config may have brought its own. trashed: when, NULL where it is not.
    db.execute("ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'")
    db.execute("ALTER TABLE runs ADD COLUMN note TEXT")
    db.execute("ALTER TABLE runs ADD COLUMN trashed REAL")
    # The least and the greatest value of 128 neighbouring steps (block = step >> 7): a million points can be drawn
    # from some thousand rows.
    db.execute(
        """
        CREATE TABLE metric_blocks (
            run INTEGER NOT NULL,
            metric INTEGER NOT NULL,
            block INTEGER NOT NULL,
            low REAL NOT NULL,
            high REAL NOT NULL,
            PRIMARY KEY (run, metric, block)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        "INSERT INTO metric_blocks SELECT run, metric, step >> 7, min(value), max(value) FROM metrics "
        "WHERE value IS NOT NULL GROUP BY run, metric, step >> 7"
    )


def _fourth_places(db: "Database") -> None:
    # place: which step of which recipe the run is, as JSON; NULL for one that was started alone.
    db.execute("ALTER TABLE runs ADD COLUMN place TEXT")


MIGRATIONS: list[Callable[["Database"], None]] = [
    _first_tables,
    _second_judgements_scores_and_edits,
    _third_labels_and_sketches,
    _fourth_places,
]
"""The n-th brings a database from version n - 1 to n; one that was released is never changed."""


@contextmanager
def _without_pandas() -> Iterator[None]:
    """sqlite-utils imports pandas where it is installed (0.6 s, 60 MB) and we need nothing of it."""
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pandas"]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to today's version in one transaction: all of it or nothing."""
    with _without_pandas():
        from sqlite_utils import Database
        from sqlite_utils.migrations import Migrations
    steps = Migrations("rlhf_lab")
    for migration in MIGRATIONS:
        steps(name=migration.__name__.lstrip("_"))(migration)
    db = Database(connection, recursive_triggers=False, execute_plugins=False)
    connection.execute("BEGIN IMMEDIATE")
    try:
        # A process that opened the same file at the same time may have been first: then nothing is pending.
        steps.apply(db)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
