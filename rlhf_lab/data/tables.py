"""Parquet and Arrow as rows. pyarrow is imported here alone, in the process that imports or exports.

Offsets and text of every slice are checked before they are read: a file can claim what is not there.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.rows import Line
from rlhf_lab.data.source import LINE_LIMIT, BreaksOff, Source

_ROWS = 64
_MOST_BATCH = 2**30
_ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)


def columns_of(source: Source) -> tuple[str, ...]:
    """The names of the columns; `LabError` where the file cannot be read."""
    try:
        names = _parquet(source).schema_arrow.names if source.table == "Parquet" else _arrow(source).schema.names
    except _ERRORS as error:
        raise LabError(f"{source.name} is no valid {source.table} file: {_first_line(error)}.") from None
    if len(set(names)) != len(names):
        raise LabError(f"{source.name} has two columns of one name. Rename one.")
    return tuple(names)


def table_rows(source: Source) -> Iterator[Line]:
    """The rows, counted from 1; nulls are left out, as if their columns were not there."""
    source.done, source.taken = 0, 0
    return _parquet_rows(source) if source.table == "Parquet" else _arrow_rows(source)


def _parquet(source: Source) -> pq.ParquetFile:
    # Only what is read now is held; the default would fetch whole row groups ahead.
    return pq.ParquetFile(source.file, pre_buffer=False, buffer_size=2**20)


def _arrow(source: Source) -> Any:
    if source.table == "Arrow":
        return pa.ipc.open_file(pa.PythonFile(source.file, "r"))
    return pa.ipc.open_stream(pa.PythonFile(source.file, "r"))


def _parquet_rows(source: Source) -> Iterator[Line]:
    file = _parquet(source)
    total = max(1, file.metadata.num_rows)
    begun = 0
    for group in range(file.num_row_groups):
        number = begun
        try:
            for batch in file.iter_batches(_ROWS, row_groups=[group], use_threads=False):
                yield from _rows(source, batch, number)
                number += batch.num_rows
                source.done = min(source.size, source.size * number // total)
        except _ERRORS as error:
            yield Line(number + 1, {}, f"the rest of row group {group + 1} cannot be read: {_first_line(error)}")
        begun += file.metadata.row_group(group).num_rows


def _arrow_rows(source: Source) -> Iterator[Line]:
    reader = _arrow(source)
    number = 0
    try:
        batches = (
            iter(reader)
            if source.table != "Arrow"
            else (reader.get_batch(place) for place in range(reader.num_record_batches))
        )
        for batch in batches:
            if batch.get_total_buffer_size() > _MOST_BATCH:
                raise BreaksOff(number + 1, f"a batch of more than {_MOST_BATCH // 2**30} GB")
            for first in range(0, batch.num_rows, _ROWS):
                yield from _rows(source, batch.slice(first, _ROWS), number + first)
            number += batch.num_rows
            source.done = min(source.size, source.file_position)
    except _ERRORS as error:
        raise BreaksOff(number + 1, f"the {source.table} file is damaged: {_first_line(error)}") from None


def _rows(source: Source, batch: pa.RecordBatch, before: int) -> Iterator[Line]:
    try:
        batch.validate(full=True)  # before anything else looks at it: offsets may point anywhere
        if batch.nbytes <= LINE_LIMIT:
            source.taken += batch.nbytes
            for number, row in enumerate(batch.to_pylist(), before + 1):
                yield Line(number, _without_nulls(row))
            return
    except (*_ERRORS, UnicodeDecodeError):
        pass
    for place in range(batch.num_rows):  # one of them is bad, or they are very long
        yield _row(source, batch.slice(place, 1), before + place + 1)


def _row(source: Source, one: pa.RecordBatch, number: int) -> Line:
    try:
        one.validate(full=True)
        source.taken += one.nbytes
        if one.nbytes > LINE_LIMIT:
            return Line(number, {}, f"the row is longer than {LINE_LIMIT // 2**20} MB")
        return Line(number, _without_nulls(one.to_pylist()[0]))
    except (*_ERRORS, UnicodeDecodeError) as error:
        return Line(number, {}, f"the row cannot be read: {_first_line(error)}")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(found) for name, found in value.items() if found is not None}
    return [_without_nulls(found) for found in value] if isinstance(value, list) else value


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
