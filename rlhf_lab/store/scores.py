"""What reward models gave the answers of a data set: kept for each model, so that queues open at once."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence

from rlhf_lab.core.records import AnyRecord, Pair, Ranking, Rated, load_record
from rlhf_lab.store.browse import Row
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.datasets import dataset_id, ids_of

_PAGE = 1000

COMPARABLE = "kind IN ('pair', 'candidates', 'ranking', 'rated')"


class Scores:
    """Queries on scores; see `rlhf_lab.store.store.Store` for what each promises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, dataset: str, model: str, batch: Iterable[tuple[int, Sequence[float]]]) -> int:
        key = dataset_id(self._connection, dataset)
        given = {record: tuple(values) for record, values in batch}
        if bad := [record for record, values in given.items() if not all(map(math.isfinite, values))]:
            raise ValueError(f"the scores of {len(bad)} records are not finite numbers")
        with self._connection.write() as db:
            db.execute("INSERT OR IGNORE INTO score_sets (dataset, model) VALUES (?, ?)", (key, model))
            (score_set,) = db.execute(
                "SELECT id FROM score_sets WHERE dataset = ? AND model = ?", (key, model)
            ).fetchone()
            # A record may have been removed, or its answers edited, while the model looked at it.
            held = db.execute(
                "SELECT id, body FROM records WHERE id IN (SELECT value FROM json_each(?)) AND id >= ? AND id < ?",
                (json.dumps(list(given)), *ids_of(key)),
            )
            rows = [
                (score_set, record, *row)
                for record, body in held
                if (row := _row(load_record(body), given[record])) is not None
            ]
            db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?)", rows)
        return len(rows)

    def of(self, dataset: str, model: str) -> Iterator[tuple[int, tuple[float, ...]]]:
        score_set, after = self.find(dataset_id(self._connection, dataset), model), -1
        while rows := self._connection.rows(
            "SELECT record, scores FROM scores WHERE score_set = ? AND record > ? ORDER BY record LIMIT ?",
            (score_set, after, _PAGE),
        ):
            for record, scores in rows:
                yield record, tuple(json.loads(scores))
            after = rows[-1][0]

    def count(self, dataset: str, model: str) -> int:
        score_set = self.find(dataset_id(self._connection, dataset), model)
        return int(self._connection.rows("SELECT count(*) FROM scores WHERE score_set = ?", (score_set,))[0][0])

    def unscored(self, dataset: str, model: str, limit: int, after: int | None) -> list[Row]:
        key = dataset_id(self._connection, dataset)
        low, high = ids_of(key)
        rows = self._connection.rows(
            f"SELECT id, body FROM records WHERE id > ? AND id < ? AND {COMPARABLE} "
            "AND NOT EXISTS (SELECT 1 FROM scores WHERE score_set = ? AND record = records.id) ORDER BY id LIMIT ?",
            (low - 1 if after is None else after, high, self.find(key, model), limit),
        )
        return [Row(record, load_record(body)) for record, body in rows]

    def find(self, dataset: int, model: str) -> int:
        """The key of a model's scores; -1 where there are none."""
        rows = self._connection.rows("SELECT id FROM score_sets WHERE dataset = ? AND model = ?", (dataset, model))
        return int(rows[0][0]) if rows else -1


def _row(record: AnyRecord, scores: tuple[float, ...]) -> tuple[int, float, float | None, str] | None:
    """Favourite, gap, margin and scores as they are stored; None where the scores do not fit the record."""
    goodness = _goodness(record)
    if len(goodness) < 2 or len(goodness) != len(scores):
        return None
    ordered = sorted(scores, reverse=True)
    margin = None
    if goodness.count(max(goodness)) == 1:
        best = goodness.index(max(goodness))
        margin = scores[best] - max(score for n, score in enumerate(scores) if n != best)
    return scores.index(ordered[0]), ordered[0] - ordered[1], margin, json.dumps(scores)


def _goodness(record: AnyRecord) -> list[float]:
    """How good each answer is by what the record itself says; all the same where it says nothing."""
    match record:
        case Pair():
            return [0, 0] if record.tie else [1, 0]
        case Ranking():
            return [-rank for rank in record.ranks]
        case Rated():
            return list(record.ratings)
    return [0.0] * len(getattr(record, "completions", ()))
