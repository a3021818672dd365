"""Rows in every container that the importer reads."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import zstandard

Rows = Sequence[dict[str, Any]]


def _jsonl(rows: Rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _json(rows: Rows) -> bytes:
    return json.dumps(list(rows), indent=1, ensure_ascii=False).encode()


def _table(rows: Rows, delimiter: str) -> bytes:
    """Lists and objects as JSON text in their cells, as other tools write them."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(names)
    for row in rows:
        cells = [row.get(name) for name in names]
        writer.writerow(json.dumps(cell) if isinstance(cell, list | dict) else cell for cell in cells)
    return out.getvalue().encode()


def _parquet(rows: Rows) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), out)
    return out.getvalue()


def _feather(rows: Rows) -> bytes:
    out = io.BytesIO()
    pyarrow.feather.write_feather(pa.Table.from_pylist(list(rows)), out, compression="lz4")
    return out.getvalue()


def _stream(rows: Rows) -> bytes:
    out = io.BytesIO()
    table = pa.Table.from_pylist(list(rows))
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def _zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


CONTAINERS: dict[str, Callable[[Rows], bytes]] = {
    "JSONL": _jsonl,
    "JSONL, gzip": lambda rows: gzip.compress(_jsonl(rows)),
    "JSONL, zstandard": lambda rows: _zstd(_jsonl(rows)),
    "JSON": _json,
    "JSON, gzip": lambda rows: gzip.compress(_json(rows)),
    "JSON, zstandard": lambda rows: _zstd(_json(rows)),
    "CSV": lambda rows: _table(rows, ","),
    "CSV, gzip": lambda rows: gzip.compress(_table(rows, ",")),
    "CSV, zstandard": lambda rows: _zstd(_table(rows, ",")),
    "TSV": lambda rows: _table(rows, "\t"),
    "Parquet": _parquet,
    "Arrow": _feather,
    "Arrow stream": _stream,
}
"""How a container writes rows, by the name that the importer has for it."""
