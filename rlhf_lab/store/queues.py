"""Which records a person should look at next, found in SQL so that a million records do not delay it."""

import json
import math
import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

from rlhf_lab.core.judgement import MOST_RANKED, QueueName
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.datasets import dataset_id, ids_of
from rlhf_lab.store.scores import COMPARABLE, Scores

REMEMBERED = 20
"""A person's newest verdicts are not asked again: the answer would be remembered, not judged."""

_PROBE = 512

# Of a record: it can be shown to a person.
_RANKABLE = f"{COMPARABLE} AND (kind = 'pair' OR json_array_length(body, '$.completions') <= {MOST_RANKED})"
_SHOWN = f"EXISTS (SELECT 1 FROM records WHERE id = record AND {_RANKABLE})"


def _judged(more: str = "") -> str:
    """Of a row s: this person has judged its record."""
    return (
        "EXISTS (SELECT 1 FROM verdicts AS own WHERE own.dataset = :dataset AND own.state = 'live' "
        f"AND own.record = s.record AND own.annotator = :annotator {more})"
    )


_LEAST_SURE = f"""
    SELECT record FROM scores AS s WHERE score_set = :score_set AND NOT {_judged()} AND {_SHOWN}
    ORDER BY gap LIMIT :limit
"""

# What people said here counts; where nobody said anything, what the data set itself says.
_AGAINST_PEOPLE = f"""
    SELECT s.record, min(json_extract(s.scores, '$[' || v.best || ']') - json_extract(s.scores, '$[' || s.favourite || ']'))
    FROM verdicts AS v CROSS JOIN scores AS s ON s.score_set = :score_set AND s.record = v.record
    WHERE v.dataset = :dataset AND v.state = 'live' AND v.best IS NOT NULL AND v.best <> s.favourite
    AND NOT {_judged("AND own.queue = 'disagrees'")} AND EXISTS (SELECT 1 FROM records WHERE id = s.record AND {_RANKABLE})
    GROUP BY s.record
"""
_AGAINST_DATA = f"""
    SELECT record, margin FROM scores AS s WHERE score_set = :score_set AND margin < 0
    AND NOT EXISTS (SELECT 1 FROM verdicts AS v WHERE v.dataset = :dataset AND v.state = 'live' AND v.record = s.record)
    AND {_SHOWN} ORDER BY margin LIMIT :limit
"""

_PEOPLE_DISAGREE = f"""
    SELECT record FROM verdicts AS s
    WHERE dataset = :dataset AND state = 'live' AND NOT repeat AND outcome <> 'skip'
    AND NOT {_judged("AND own.queue = 'annotators'")} AND {_SHOWN}
    GROUP BY record HAVING count(DISTINCT outcome) > 1
    ORDER BY record LIMIT :limit
"""

# Of the older verdicts of this person, those that were not asked again yet.
_ONCE = f"""
    SELECT record FROM verdicts AS s
    WHERE dataset = :dataset AND state = 'live' AND annotator = :annotator AND NOT repeat AND outcome <> 'skip'
    AND NOT {_judged("AND own.repeat")} AND {_SHOWN}
    AND id <= (SELECT id FROM verdicts WHERE annotator = :annotator AND state = 'live' ORDER BY id DESC LIMIT 1 OFFSET {REMEMBERED})
    ORDER BY record
"""


class Queues:
    """See `rlhf_lab.store.store.Store.queue`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def queue(self, name: str, which: QueueName, who: str, model: str | None, limit: int, seed: int) -> list[int]:
        dataset = dataset_id(self._connection, name)
        rows = self._connection.rows("SELECT id FROM annotators WHERE name = ?", (who,))
        score_set = -1 if model is None else Scores(self._connection).find(dataset, model)
        values = {
            "dataset": dataset,
            "annotator": rows[0][0] if rows else -1,
            "score_set": score_set,
            "limit": limit,
        }
        match which:
            case "unranked":
                return self._unranked(dataset, values["annotator"], limit, seed)
            case "least_sure":
                return self._ids(_LEAST_SURE, values)
            case "disagrees":
                against = self._connection.rows(_AGAINST_PEOPLE, values) + self._connection.rows(_AGAINST_DATA, values)
                return [record for record, _ in sorted(against, key=lambda row: row[1])[:limit]]
            case "annotators":
                return self._ids(_PEOPLE_DISAGREE, values)
            case "repeats":
                once = self._ids(_ONCE, values)
                return random.Random(seed).sample(once, min(limit, len(once)))

    def _ids(self, sql: str, values: dict[str, Any]) -> list[int]:
        return [row[0] for row in self._connection.rows(sql, values)]

    def _unranked(self, dataset: int, annotator: int, limit: int, seed: int) -> list[int]:
        """The same shuffled order for everybody with one seed, so that people's verdicts overlap."""
        low, high = ids_of(dataset)
        ((kind,),) = self._connection.rows("SELECT kind FROM datasets WHERE id = ?", (dataset,))
        ((last,),) = self._connection.rows("SELECT max(id) FROM records WHERE id >= ? AND id < ?", (low, high))
        if last is None or kind in ("prompt", "demonstration", "unpaired"):
            return []
        judged = {
            record
            for (record,) in self._connection.rows(
                "SELECT record FROM verdicts WHERE dataset = ? AND state = 'live' AND annotator = ?",
                (dataset, annotator),
            )
        }
        found: list[int] = []
        places = _shuffled(last - low + 1, seed)
        while len(found) < limit:
            probe = [low + place for place in islice(places, _PROBE)]
            if not probe:
                break
            fresh = [record for record in probe if record not in judged]
            rankable = set(
                self._ids(
                    f"SELECT id FROM records WHERE id IN (SELECT value FROM json_each(:ids)) AND {_RANKABLE}",
                    {"ids": json.dumps(fresh)},
                )
            )
            found += [record for record in fresh if record in rankable]
        return found[:limit]


def _shuffled(count: int, seed: int) -> Iterator[int]:
    """0 … count - 1 in an order that looks random and needs no memory: steps of one length around a ring."""
    rng = random.Random(seed)
    step = rng.randrange(1, count + 1)
    while math.gcd(step, count) > 1:
        step = rng.randrange(1, count + 1)
    start = rng.randrange(count)
    return ((start + step * n) % count for n in range(count))
