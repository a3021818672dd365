"""What a run would need of the disk, in words for a form, before it starts; what a folder takes. Imports no torch."""

import shutil
from pathlib import Path

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.disk_need import disk_need, in_words
from rlhf_lab.core.records import dump_record
from rlhf_lab.runs.memory import shape_of
from rlhf_lab.store import Store

_LOOKED_AT = 20
"""Records whose size stands for that of all."""


def disk_in_words(config: RunConfig, store: Store, place: Path) -> str:
    """What the run needs and what is free; "" where that is not known: a .gguf file, a model not here yet."""
    shape = shape_of(config.model)
    if shape is None:
        return ""
    return in_words(config, shape, data_bytes(store, config.dataset), shutil.disk_usage(place).free)


def needed_bytes(config: RunConfig, store: Store) -> int:
    """The same as a number; 0 where it is not known."""
    shape = shape_of(config.model)
    return disk_need(config, shape, data_bytes(store, config.dataset)) if shape is not None else 0


def disk_use(folder: Path) -> int:
    """Bytes of all files below; a link counts nothing (the hub's cache has each file once), nor what goes meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if not path.is_symlink() and path.is_file():
                total += path.stat().st_size
        except OSError:
            continue
    return total


def data_bytes(store: Store, dataset: str) -> int:
    """About how long the run's copy of the data set will be; 0 for one that is not there."""
    row = next((row for row in store.datasets() if row.name == dataset), None)
    some = store.page(dataset, limit=_LOOKED_AT) if row is not None else []
    if row is None or not some:
        return 0
    return row.records * sum(len(dump_record(one.record)) + 1 for one in some) // len(some)
