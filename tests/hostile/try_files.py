"""The data process, as the window and the command line start it, with every hostile file."""

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.data.importer import ImportResult
from rlhf_lab.runs.importing import Importing
from rlhf_lab.runs.project import Project
from tests.hostile.case import MOST_SECONDS, Case, Place, Tried
from tests.hostile.files import cases
from tests.hostile.guard import Guard

FAMILY = "data sets"


def run(folder: Path, chosen: Callable[[Case], bool] = lambda case: True) -> list[Tried]:
    """Preview and import of each file, one data process for all."""
    found = []
    with Guard(folder) as guard:
        Project.open(guard.project).close()
        with Importing(guard.project / "lab.sqlite") as data:
            _first(data, guard)
            for number, case in enumerate(filter(chosen, cases())):
                place = Place(guard.project / f"case-{number}", guard.outside)
                place.folder.mkdir()
                tried = Tried(FAMILY, case.name, case.words)
                path = Path(case.make(place))
                child = data._child
                with guard.measured(tried, child.pid if child is not None else None):
                    tried.said = _within(lambda path=path: _both(data, path), child)
                found.append(tried)
    return found


def _first(data: Importing, guard: Guard) -> None:
    """Let the process import what it imports once, tables too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in ("warm.parquet", "again.parquet"):
        pq.write_table(pa.table({"prompt": [name], "chosen": ["a"], "rejected": ["b"]}), guard.project / name)
        data.import_files([guard.project / name])
    seen = guard.seen()
    assert not seen, f"the data process itself does what it may not: {seen}"


def _both(data: Importing, path: Path) -> str:
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - for names that no file can have
            data.preview(path)
        return "; ".join(map(_said, data.import_files([path])))
    except LabError as error:
        return str(error)


def _said(result: ImportResult) -> str:
    reasons = " | ".join(f"line {p.line}: {p.reason}" for p in result.problems[:3])
    return f"read {result.records} records, {result.problems_total} problems {reasons} {result.note}"


def _within(act: Callable[[], str], child: object) -> str:
    """What an act says, or that it never ended."""
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: said.put(act()), daemon=True).start()
    try:
        return said.get(timeout=12 * MOST_SECONDS)
    except queue.Empty:
        child.kill()  # type: ignore[attr-defined]
        return "it never ended"
