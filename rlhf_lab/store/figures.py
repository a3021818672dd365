"""How much a database holds, without opening it for writing: nothing is migrated, no name and no text is read."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rlhf_lab.store.sqlite_words import DamagedError, in_words


@dataclass(frozen=True)
class Figures:
    """``datasets``: how many of each kind. ``runs``: how many by (stage, outcome)."""

    version: int
    datasets: dict[str, int]
    records: int
    verdicts: int
    people: int
    runs: dict[tuple[str, str], int]

    @property
    def nothing(self) -> bool:
        """Whether there is nothing that could be lost."""
        return not (self.datasets or self.runs or self.people)

    def in_words(self) -> str:
        """For a list of backups."""
        datasets, runs = sum(self.datasets.values()), sum(self.runs.values())
        counted = ((datasets, "data set"), (self.records, "record"), (self.verdicts, "verdict"), (runs, "run"))
        return ", ".join(f"{count:,} {name}{'s' * (count != 1)}" for count, name in counted)


def figures(database: Path) -> Figures:
    """Count what is in it; raises `LabError` where it cannot be read."""
    try:
        with in_words(database), closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return _count(db)
    except sqlite3.Error as error:  # tables are missing
        raise DamagedError(f"The database {database} is damaged ({error}). Restore a backup of it.") from error


def _count(db: sqlite3.Connection) -> Figures:
    [version] = db.execute("PRAGMA user_version").fetchone()
    kinds = db.execute("SELECT kind, count(*), sum(records) FROM datasets WHERE owner IS NULL GROUP BY kind")
    found = kinds.fetchall()
    runs = db.execute("SELECT stage, outcome, count(*) FROM runs GROUP BY stage, outcome ORDER BY min(id)")
    verdicts = people = 0
    if version > 1:  # the first release kept none
        [verdicts] = db.execute("SELECT count(*) FROM verdicts WHERE state = 'live'").fetchone()
        [people] = db.execute("SELECT count(*) FROM annotators").fetchone()
    return Figures(
        version,
        {kind: count for kind, count, _ in found},
        sum(records for *_, records in found),
        verdicts,
        people,
        {(stage, outcome): count for stage, outcome, count in runs},
    )
