"""A project: one folder with its database, runs and models."""

import os
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.store import RunRow, Store

if TYPE_CHECKING:
    from rlhf_lab.core.config import RunConfig
    from rlhf_lab.core.recipe import Place
    from rlhf_lab.runs.ask import ModelSpec
    from rlhf_lab.runs.folder import RunFolder
    from rlhf_lab.runs.recovering import Recovered

BUNDLED = {
    "lab world demonstrations": "lab-world-demonstrations",
    "lab world pairs": "lab-world-pairs",
    "lab world prompts": "lab-world-prompts",
    "lab world quiz": "lab-world-quiz",
}
"""Display name and file of each data set that comes with the lab."""

_AT_ONCE = 500
"""Records: thousands that are held at once leave the window's process 20 MB larger."""


def default_folder() -> Path:
    """``$RLHF_LAB_HOME/project``, else the platform's user-data folder."""
    if home := os.environ.get("RLHF_LAB_HOME"):
        return Path(home) / "project"
    from platformdirs import user_data_path

    return user_data_path("rlhf-lab", appauthor=False) / "project"


class Project:
    """One open project. Use each instance from one thread; open another one elsewhere.

    What concerns runs is imported by the methods that need it: the first window needs none of it.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.runs_folder = folder / "runs"
        self.models_folder = folder / "models"

    @classmethod
    def open(cls, folder: Path | str | None = None, busy_ms: int = 5000) -> "Project":
        """Open or make the project; raises `LabError` when its folder cannot be used.

        ``busy_ms``: how long to wait for another process's lock on the database (the window: 50).
        """
        path = typed_path(folder).resolve() if folder is not None else default_folder()
        try:
            for part in (path, path / "runs", path / "models"):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LabError(
                f"The project folder {path} cannot be used: {error.strerror or error}. "
                "Choose another one with --project, or free the place."
            ) from None
        return cls(path, Store.open(path / "lab.sqlite", busy_ms=busy_ms))

    def close(self) -> None:
        """Close the database; runs go on."""
        self.store.close()

    def __enter__(self) -> "Project":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ensure_bundled(self) -> None:
        """Put the data sets that come with the lab into the project, unless they are there."""
        there = {row.name for row in self.store.datasets()}
        for name, file in BUNDLED.items():
            if name in there:
                continue
            with resource(f"datasets/{file}.jsonl").open("rb") as lines:
                records = map(load_record, lines)
                batch = list(islice(records, _AT_ONCE))
                with self.store.new_dataset(name, "lab", batch[0].kind) as writer:
                    while batch:
                        writer.add(batch)
                        batch = list(islice(records, _AT_ONCE))

    def check(self, config: "RunConfig") -> list[str]:
        """Why the run could not start, in words; [] when it can."""
        from rlhf_lab.runs.plan import make_plan

        return make_plan(config, self.store, self.runs_folder).reasons

    def create_run(self, config: "RunConfig", place: "Place | None" = None) -> "RunFolder":
        """Make the run's folder with its frozen data and note it as waiting; raises `LabError` as `check` says."""
        folder = self.reserve_run(config, place)
        self.freeze(folder)
        return folder

    def reserve_run(self, config: "RunConfig", place: "Place | None" = None) -> "RunFolder":
        """The quick half of `create_run`: the run is noted as waiting, `freeze` has to follow.

        ``place``: which step of which recipe it is.
        """
        from rlhf_lab.runs.making import reserve_run

        return reserve_run(self, config, place)

    def freeze(self, folder: "RunFolder", cancelled: Callable[[], bool] = lambda: False) -> bool:
        """The slow half: copy the run's data into its folder, unless that was done; a million records take seconds.

        Whether the copy is there: where it was ``cancelled``, nothing is, and the run waits as before. Raises `LabError`
        where that cannot be done any more; the run then failed.
        """
        from rlhf_lab.runs.making import freeze

        return freeze(self, folder, cancelled)

    def run(self, run: str) -> "RunFolder":
        """The folder of a run by its id; raises `LabError` when there is none."""
        from rlhf_lab.runs.folder import RunFolder

        folder = RunFolder(self.runs_folder / run)
        if Path(run).name != run or not folder.is_complete():
            raise LabError(f"There is no run {run!r} in {self.folder}. List them with: rlhf-lab runs")
        return folder

    def run_row(self, run: str) -> RunRow:
        """What the database knows of a run; raises `LabError` when there is none."""
        row = self.store.run_row(run)
        if row is None:
            raise LabError(f"There is no run {run!r} in {self.folder}. List them with: rlhf-lab runs")
        return row

    def adapters(self, runs: Sequence[str]) -> tuple[Path, ...]:
        """The adapter folders of the runs, in order."""
        return tuple(self.run(run).adapter for run in runs)

    def lineage(self, run: str) -> tuple[str, ...]:
        """The runs that the model of this one went through, oldest first, itself last."""
        return (*self.run(run).manifest.start_runs, run)

    def model_spec(self, run: str | None, *, model: str = "bundled", step: int | None = None) -> "ModelSpec":
        """How to ask for the model that a run left, or saved after ``step``; with None, for a plain base."""
        from rlhf_lab.runs.ask import ModelSpec
        from rlhf_lab.runs.checkpoints import at_step

        if run is None:
            return ModelSpec(model=model)
        folder = self.run(run)
        own = folder.adapter if step is None else at_step(folder, step)
        adapters = (*self.adapters(folder.manifest.start_runs), own)
        return ModelSpec(model=folder.config.model, adapters=adapters, dtype=folder.config.dtype)

    def cancel(self, run: str) -> None:
        """End a run that was never started; raises `LabError` where the database cannot be written."""
        from rlhf_lab.core.events import Finished
        from rlhf_lab.runs.folder import RunFolder
        from rlhf_lab.runs.log import end_attempt
        from rlhf_lab.runs.recorder import Recorder

        folder, end = (
            RunFolder(self.runs_folder / run),
            Finished(outcome="stopped", message="Cancelled before it started."),
        )
        if not folder.is_complete():  # its data was never copied: it has no log yet
            self.store.set_run_state(run, end.outcome, end.message)
            return
        end_attempt(folder.events_path, 0, end)
        Recorder(self.store).catch_up(folder)

    def recover(self, *, but: Collection[str] = ()) -> "Recovered":
        """Look after the runs, ``but`` these, that were unfinished when the project was last seen.

        Records what they said meanwhile; a dead one without an end becomes "interrupted". Attach to
        the live ones and queue the waiting ones again.
        """
        from rlhf_lab.runs.recovering import recover

        return recover(self, but)

    def reindex(self) -> int:
        """Build the index of runs again from their folders; how many there are."""
        from rlhf_lab.runs.reindex import reindex

        count = reindex(self.store, self.runs_folder)
        self.recover()
        return count
