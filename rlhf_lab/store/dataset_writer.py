"""Filling a data set: batches in short transactions, unseen until all is there."""

from collections.abc import Iterable

from rlhf_lab.core.records import AnyRecord, dump_record
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.schema import ID_BITS

PROBLEMS_KEPT = 10_000
"""Problems stored for one data set; the rest are counted."""


class DatasetWriter:
    """Fills a data set that nobody sees until its ``with`` block is left normally; ``name`` is final after that."""

    def __init__(self, connection: Connection, dataset: int, name: str, kind: str, note: str) -> None:
        self.name = name
        self.note = note
        self.records = self.train = self.problems = 0
        self._connection = connection
        self._dataset = dataset
        self._kind = kind
        self._kinds: set[str] = set()

    @property
    def kind(self) -> str:
        """The kind of what was added, "mixed" where there are several."""
        return "mixed" if len(self._kinds) > 1 else next(iter(self._kinds), self._kind)

    def counts(self) -> tuple[int, int, int, int]:
        """Records, of them train and held-out, and problems."""
        return self.records, self.train, self.records - self.train, self.problems

    def add(self, batch: Iterable[AnyRecord]) -> None:
        """Store records in one short transaction; a few thousand at a time is fast."""
        first = (self._dataset << ID_BITS) + self.records
        rows = [
            (first + n, record.kind, record.split, record.prompt.text, dump_record(record).decode())
            for n, record in enumerate(batch)
        ]
        with self._connection.write() as db:
            db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
        self.records += len(rows)
        self.train += sum(row[2] == "train" for row in rows)
        self._kinds.update(row[1] for row in rows)

    def problem(self, line: int, reason: str) -> None:
        """Note one thing that could not be stored."""
        self.problems_found([(line, reason)])

    def problems_found(self, batch: Iterable[tuple[int, str]]) -> None:
        """Note several in one transaction."""
        rows = [(self._dataset, self.problems + n, line, reason) for n, (line, reason) in enumerate(batch)]
        self.problems += len(rows)
        with self._connection.write() as db:
            kept = [row for row in rows if row[1] < PROBLEMS_KEPT]
            db.executemany("INSERT INTO problems VALUES (?, ?, ?, ?)", kept)
