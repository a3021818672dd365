"""Reading the records of a data set: by pages of the primary key, by position, by filters."""

import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord, Split, load_record
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.datasets import dataset_id, ids_of
from rlhf_lab.store.filters import EDITED, JUDGED, SOURCE_OF, Filters, conditions
from rlhf_lab.store.schema import BLOCK_BITS
from rlhf_lab.store.search_index import SearchIndex, unsure

PAGE = 512
_SCANNED = 20_000
"""Ids that are looked through at a time where no index helps."""
_CHECKED = 5000

_BLOCK = 1 << BLOCK_BITS


@dataclass(frozen=True)
class Row:
    """A record and its id, by which the next page continues."""

    id: int
    record: AnyRecord


class Browse:
    """Queries on records; see `rlhf_lab.store.store.Store` for what each promises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last: tuple[tuple[object, ...], array[int]] | None = None

    def records(self, name: str, split: Split | None) -> Iterator[AnyRecord]:
        low, high = ids_of(self._id(name))
        while rows := self._connection.rows(
            "SELECT id, body FROM records WHERE id >= ? AND id < ? AND (? IS NULL OR split = ?) ORDER BY id LIMIT ?",
            (low, high, split, split, PAGE),
        ):
            for _, body in rows:
                yield load_record(body)
            low = rows[-1][0] + 1

    def asking(self, name: str, prompts: Iterable[str]) -> Iterator[Row]:
        low, high = ids_of(self._id(name))
        wanted = json.dumps(list(prompts))
        while rows := self._connection.rows(
            "SELECT id, body FROM records WHERE id >= ? AND id < ? AND prompt IN (SELECT value FROM json_each(?)) "
            "ORDER BY id LIMIT ?",
            (low, high, wanted, PAGE),
        ):
            yield from (Row(key, load_record(body)) for key, body in rows)
            low = rows[-1][0] + 1

    def page(self, name: str, after: int | None, limit: int, filters: Filters) -> list[Row]:
        dataset = self._id(name)
        if (found := self._found(dataset, filters)) is None:
            return self._rows(dataset, after, limit, 0, filters)
        start = 0 if after is None else bisect_right(found, after)
        return self.rows(name, found[start : start + limit])

    def page_at(self, name: str, position: int, limit: int, filters: Filters) -> list[Row]:
        dataset = self._id(name)
        if (found := self._found(dataset, filters)) is not None:
            return self.rows(name, found[position : position + limit])
        if filters.is_set:
            return self._rows(dataset, None, limit, position, filters)
        start, skip = self._place(dataset, position)
        return self._rows(dataset, start - 1, limit, skip, filters)

    def count(self, name: str, filters: Filters) -> int:
        dataset = self._id(name)
        if not filters.is_set:
            return int(self._connection.rows("SELECT records FROM datasets WHERE id = ?", (dataset,))[0][0])
        if (found := self._found(dataset, filters)) is not None:
            return len(found)
        where, values = conditions(dataset, filters)
        return int(self._connection.rows(f"SELECT count(*) FROM records WHERE {where}", values)[0][0])

    def find(self, name: str, filters: Filters) -> "Iterator[array[int]]":
        dataset = self._id(name)
        if (found := self._found(dataset, filters)) is not None:
            yield found
            return
        low, high = ids_of(dataset)
        ((last,),) = self._connection.rows("SELECT max(id) FROM records WHERE id >= ? AND id < ?", (low, high))
        for start in range(low, (low if last is None else last + 1), _SCANNED):
            where, values = conditions(dataset, filters, low=start, high=start + _SCANNED)
            rows = self._connection.rows(f"SELECT id FROM records WHERE {where} ORDER BY id", values)
            yield array("q", (key for (key,) in rows))

    def sources(self, name: str) -> list[tuple[str, int]]:
        dataset = self._id(name)
        index = SearchIndex(self._connection, dataset)
        if index.ready():
            return index.sources()
        low, high = ids_of(dataset)
        return self._connection.rows(
            f"SELECT source, count(DISTINCT id) FROM ({SOURCE_OF}) WHERE source <> '' "
            "GROUP BY source ORDER BY count(DISTINCT id) DESC, source",
            {"from": low, "to": high},
        )

    def build_search(self, name: str, step: Callable[[int, int], None], cancelled: Callable[[], bool]) -> bool:
        return SearchIndex(self._connection, self._id(name)).build(step, cancelled)

    def search_ready(self, name: str) -> bool:
        return SearchIndex(self._connection, self._id(name)).ready()

    def rows(self, name: str, ids: Iterable[int]) -> list[Row]:
        low, high = ids_of(self._id(name))
        wanted = list(ids)
        held = self._connection.rows(
            "SELECT id, body FROM records WHERE id IN (SELECT value FROM json_each(?)) AND id >= ? AND id < ?",
            (json.dumps(wanted), low, high),
        )
        found = dict(held)
        return [Row(key, load_record(found[key])) for key in wanted if key in found]

    def record(self, name: str, record: int) -> AnyRecord:
        rows = self.rows(name, [record])
        if not rows:
            raise LabError(f"This record is not in {name!r} any more: it was removed.")
        return rows[0].record

    def _id(self, name: str) -> int:
        return dataset_id(self._connection, name)

    def _rows(self, dataset: int, after: int | None, limit: int, skip: int, filters: Filters) -> list[Row]:
        where, values = conditions(dataset, filters, low=None if after is None else after + 1)
        rows = self._connection.rows(
            f"SELECT id, body FROM records WHERE {where} ORDER BY id LIMIT :limit OFFSET :skip",
            {**values, "limit": limit, "skip": skip},
        )
        return [Row(key, load_record(body)) for key, body in rows]

    def _found(self, dataset: int, filters: Filters) -> "array[int] | None":
        """Ids of all that the filters let through; None without filters or index. The last answer is kept."""
        if not filters.is_set:
            return None
        key: tuple[object, ...] = (dataset, filters, *self._state(dataset, filters))
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        index = SearchIndex(self._connection, dataset)
        if not index.ready():
            return None
        found = index.places(filters)
        if unsure(filters):
            found = self._checked(dataset, found, Filters(search=filters.search))
        if changed := index.changed():
            old = set(changed)
            found = array("q", (key for key in found if key not in old))
            found = array("q", sorted([*found, *self._checked(dataset, changed, filters)]))
        for wanted, sql in ((filters.edited or None, EDITED), (filters.judged, JUDGED)):
            if wanted is not None:
                such = {key for (key,) in self._connection.rows(sql, {"dataset": dataset})}
                found = array("q", (key for key in found if (key in such) == wanted))
        self._last = (key, found)
        return found

    def _state(self, dataset: int, filters: Filters) -> tuple[object, ...]:
        """Differs wherever the filters might let through something else."""
        state = self._connection.rows("SELECT created, changes FROM datasets WHERE id = ?", (dataset,))[0]
        if filters.judged is None:
            return state
        return (
            state
            + self._connection.rows(
                "SELECT count(*), max(id) FROM verdicts WHERE dataset = :dataset AND state = 'live'",
                {"dataset": dataset},
            )[0]
        )

    def _checked(self, dataset: int, ids: "array[int]", filters: Filters) -> "array[int]":
        """Those of the ids whose records, looked at themselves, the filters let through."""
        where, values = conditions(dataset, filters)
        found = array("q")
        for start in range(0, len(ids), _CHECKED):
            values["ids"] = json.dumps(ids[start : start + _CHECKED].tolist())
            sql = f"SELECT id FROM records WHERE id IN (SELECT value FROM json_each(:ids)) AND {where} ORDER BY id"
            found.extend(key for (key,) in self._connection.rows(sql, values))
        return found

    def _place(self, dataset: int, position: int) -> tuple[int, int]:
        """An id from which to skip so many rows (fewer than a block) to the n-th one; positions are part of the id."""
        low, high = ids_of(dataset)
        gone = 0
        for block, removed in self._connection.rows(
            "SELECT block, removed FROM gaps WHERE block >= ? AND block < ? AND removed > 0 ORDER BY block",
            (low >> BLOCK_BITS, high >> BLOCK_BITS),
        ):
            start = (block << BLOCK_BITS) - low
            into = position - (start - gone)
            if into < 0:
                break
            if into < _BLOCK - removed:
                return low + start, into
            gone += removed
        return low + position + gone, 0
