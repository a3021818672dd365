"""Importing as a task of the window: look at files, then store them, both beside the event loop."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.background import Background, Work

if TYPE_CHECKING:
    from rlhf_lab.data.importer import ImportResult
    from rlhf_lab.data.preview import Preview
    from rlhf_lab.store import Store

_MOST_FILES = 200
_ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".gz")


@dataclass(frozen=True)
class Looked:
    """What was found in a file, or why it is no data set."""

    path: Path
    preview: "Preview | None"
    reason: str = ""


def dropped_files(data: QMimeData) -> list[Path]:
    """Local files of a drag; a folder stands for the data files inside it."""
    found: list[Path] = []
    for url in data.urls():
        path = Path(url.toLocalFile()) if url.isLocalFile() else None
        if path is None:
            continue
        if path.is_dir():
            found += sorted(p for p in path.iterdir() if p.is_file() and p.name.lower().endswith(_ENDINGS))
        else:
            found.append(path)
    return found[:_MOST_FILES]


def has_files(data: QMimeData) -> bool:
    """Whether a drag could be imported; looks at no file."""
    return any(url.isLocalFile() for url in data.urls())


def look_at(paths: Sequence[Path], heldout: float) -> Work:
    """Work for `Lab.in_background`: a `Looked` for each file."""

    def work(store: "Store", task: Background) -> list[Looked]:
        from rlhf_lab.data.preview import preview

        found = []
        for path in paths:
            if task.cancelled():
                break
            try:
                found.append(Looked(path, preview(path, heldout=heldout)))
            except LabError as error:
                found.append(Looked(path, None, str(error)))
        return found

    return work


def store_files(paths: Sequence[Path], heldout: float) -> Work:
    """Work for `Lab.in_background`: an `ImportResult` for each file; progress in bytes."""

    def work(store: "Store", task: Background) -> "list[ImportResult]":
        from rlhf_lab.data.importer import import_files

        return import_files(paths, store, progress=task.progressed.emit, cancelled=task.cancelled, heldout=heldout)

    return work
