"""The database's index of runs, built again from the run folders: they are the truth."""

from collections.abc import Iterator
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.labels import put_into_index
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.store import Store


def reindex(store: Store, runs_folder: Path) -> int:
    """Forget every indexed run and read the folders anew; how many runs there are."""
    for row in (*store.runs(), *store.runs(trashed=True)):
        store.delete_run(row.run)
    recorder = Recorder(store)
    count = 0
    for folder in _complete(runs_folder):
        manifest = folder.manifest
        store.add_run(
            folder.run, manifest.stage, f"runs/{folder.run}", folder.config.model_dump_json(), manifest.created
        )
        put_into_index(store, folder)
        recorder.catch_up(folder)
        count += 1
    return count


def _complete(runs_folder: Path) -> Iterator[RunFolder]:
    for path in sorted(runs_folder.iterdir()):
        folder = RunFolder(path)
        if path.is_symlink():  # to another project, or to anything
            continue
        try:
            _ = folder.manifest, folder.config
        except LabError:  # left by a crash while it was made
            continue
        yield folder
