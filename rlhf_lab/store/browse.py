"""Reading the records of a data set: by pages of the primary key, by position, by filters."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord, Split, load_record
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.datasets import dataset_id, ids_of
from rlhf_lab.store.filters import Filters, conditions
from rlhf_lab.store.schema import BLOCK_BITS

PAGE = 512
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

    def records(self, name: str, split: Split | None) -> Iterator[AnyRecord]:
        low, high = ids_of(self._id(name))
        while rows := self._connection.rows(
            "SELECT id, body FROM records WHERE id >= ? AND id < ? AND (? IS NULL OR split = ?) ORDER BY id LIMIT ?",
            (low, high, split, split, PAGE),
        ):
            for _, body in rows:
                yield load_record(body)
            low = rows[-1][0] + 1

    def page(self, name: str, after: int | None, limit: int, filters: Filters) -> list[Row]:
        return self._rows(self._id(name), after, limit, 0, filters)

    def page_at(self, name: str, position: int, limit: int, filters: Filters) -> list[Row]:
        dataset = self._id(name)
        if filters.is_set:
            return self._rows(dataset, None, limit, position, filters)
        start, skip = self._place(dataset, position)
        return self._rows(dataset, start - 1, limit, skip, filters)

    def count(self, name: str, filters: Filters) -> int:
        dataset = self._id(name)
        if not filters.is_set:
            return int(self._connection.rows("SELECT records FROM datasets WHERE id = ?", (dataset,))[0][0])
        where, values = conditions(dataset, filters)
        return int(self._connection.rows(f"SELECT count(*) FROM records WHERE {where}", values)[0][0])

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
        where, values = conditions(dataset, filters)
        rows = self._connection.rows(
            f"SELECT id, body FROM records WHERE {where} AND id > :after ORDER BY id LIMIT :limit OFFSET :skip",
            {**values, "after": -1 if after is None else after, "limit": limit, "skip": skip},
        )
        return [Row(key, load_record(body)) for key, body in rows]

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
