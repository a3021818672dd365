"""A data set as a file: the lab's own JSON Lines, which an import reads back unchanged."""

import os
from itertools import islice
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Split, dump_record
from rlhf_lab.store import Store

_BATCH = 1000


def export_jsonl(store: Store, name: str, path: Path, *, split: Split | None = None) -> int:
    """Write a data set (or one split of it) and return how many records it holds; the file appears when complete."""
    part = path.with_name(f".{path.name}.part")
    records = store.records(name, split)
    written = 0
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                while batch := list(islice(records, _BATCH)):
                    file.writelines(dump_record(record) + b"\n" for record in batch)
                    written += len(batch)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise LabError(f"{path} cannot be written: {error.strerror}. Choose another place.") from error
    return written
