"""Records as a Parquet file: one nested column for each field; tags, which have any type, as JSON text."""

import json
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

_ROWS_A_GROUP = 10_000

_ANSWER = pa.struct([("text", pa.string()), ("source", pa.string())])
_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("split", pa.string()),
        ("prompt", pa.struct([("messages", pa.list_(_MESSAGE)), ("tags", pa.string())])),
        ("completion", _ANSWER),
        ("chosen", _ANSWER),
        ("rejected", _ANSWER),
        ("completions", pa.list_(_ANSWER)),
        ("ranks", pa.list_(pa.int32())),
        ("ratings", pa.list_(pa.float64())),
        ("label", pa.bool_()),
        ("margin", pa.float64()),
        ("tie", pa.bool_()),
        ("weight", pa.float64()),
        ("tags", pa.string()),
    ]
)


def write_batches(batches: Iterator[list[dict[str, Any]]], file: IO[bytes]) -> Iterator[None]:
    """Write records as dicts; yields after each batch."""
    with pq.ParquetWriter(file, _SCHEMA, compression="zstd") as writer:
        waiting: list[dict[str, Any]] = []
        for rows in batches:
            for row in rows:
                row["prompt"]["tags"] = json.dumps(row["prompt"]["tags"])
                row["tags"] = json.dumps(row["tags"])
            waiting += rows
            if len(waiting) >= _ROWS_A_GROUP:
                writer.write_table(pa.Table.from_pylist(waiting, _SCHEMA))
                waiting = []
            yield
        if waiting:
            writer.write_table(pa.Table.from_pylist(waiting, _SCHEMA))
