"""A project: one folder with its database, runs and models."""

import hashlib
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Finished
from rlhf_lab.core.recipe import Place
from rlhf_lab.core.records import AnyRecord, Pair, Ranking, Rated, dump_record, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.core.room import cannot_write
from rlhf_lab.core.settings import PairSettings, ScoreSettings
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.data.pairing import pairs_of
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.checkpoints import at_step
from rlhf_lab.runs.file_state import file_states
from rlhf_lab.runs.folder import Manifest, RunFolder, write_private
from rlhf_lab.runs.labels import note_state, put_into_index, write_place
from rlhf_lab.runs.log import end_attempt
from rlhf_lab.runs.plan import Plan, absolute_model, make_plan
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.reindex import reindex
from rlhf_lab.store import Row, RunRow, Store

BUNDLED = {
    "lab world demonstrations": "lab-world-demonstrations",
    "lab world pairs": "lab-world-pairs",
    "lab world prompts": "lab-world-prompts",
    "lab world quiz": "lab-world-quiz",
}
"""Display name and file of each data set that comes with the lab."""


_INTERRUPTED = "Its process ended while nobody watched. Resume goes on from its last save."


@dataclass
class Recovered:
    """What a newly opened project finds: runs that live, died meanwhile, or were never started."""

    live: list[RunFolder] = field(default_factory=list)
    interrupted: list[RunFolder] = field(default_factory=list)
    waiting: list[RunFolder] = field(default_factory=list)
    undone: LabError | None = None
    """Why some could not be looked after: the database is locked or full."""


def default_folder() -> Path:
    """``$RLHF_LAB_HOME/project``, else the platform's user-data folder."""
    if home := os.environ.get("RLHF_LAB_HOME"):
        return Path(home) / "project"
    from platformdirs import user_data_path

    return user_data_path("rlhf-lab", appauthor=False) / "project"


class Project:
    """One open project. Use each instance from one thread; open another one elsewhere."""

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
                records = [load_record(line) for line in lines]
            with self.store.new_dataset(name, "lab", records[0].kind) as writer:
                writer.add(records)

    def check(self, config: RunConfig) -> list[str]:
        """Why the run could not start, in words; [] when it can."""
        return self._plan(config).reasons

    def create_run(self, config: RunConfig, place: Place | None = None) -> RunFolder:
        """Make the run's folder with its frozen data and note it as waiting; raises `LabError` as `check` says."""
        folder = self.reserve_run(config, place)
        self.freeze(folder)
        return folder

    def reserve_run(self, config: RunConfig, place: Place | None = None) -> RunFolder:
        """The quick half of `create_run`: the run is noted as waiting, `freeze` has to follow.

        ``place``: which step of which recipe it is.
        """
        config = config.model_copy(update=_absolute_paths(config))
        reasons = self.check(config)
        if reasons:
            raise LabError(" ".join(reasons))
        try:
            folder = self._new_folder(config.stage)
        except OSError as error:
            raise LabError(_cannot_make("A new run", error, self.runs_folder)) from None
        try:
            folder.write_config(config)
            where, settings = f"runs/{folder.run}", config.model_dump_json()
            self.store.add_run(folder.run, config.stage, where, settings, created=time.time())
            if place is not None:
                write_place(folder, place)
                put_into_index(self.store, folder)
        except (OSError, LabError) as error:
            shutil.rmtree(folder.path, ignore_errors=True)
            if isinstance(error, LabError):
                raise
            raise LabError(_cannot_make("A new run", error, self.runs_folder)) from None
        return folder

    def freeze(self, folder: RunFolder) -> None:
        """The slow half: copy the run's data into its folder, unless that was done; a million records take seconds.

        Raises `LabError` where that cannot be done any more; the run then failed.
        """
        if folder.is_complete():
            return
        config = folder.config
        try:
            # Before anything is copied: what changes meanwhile counts as a change.
            data, files = self.store.data_state(config.dataset), file_states(config)
            plan = self._plan(config)
            if plan.reasons:
                raise LabError(" ".join(plan.reasons))
            if plan.reward_function is not None:
                write_private(folder.reward_function, plan.reward_function.content)
            manifest = self._snapshot(folder, config, plan)
            note_state(self.store, folder, data, files)
            folder.write_manifest(manifest)
        except OSError as error:
            reason = _cannot_make(f"The copy of its data ({config.dataset})", error, folder.path)
            self.store.set_run_state(folder.run, "failed", reason)
            raise LabError(reason) from None
        except LabError as error:
            self.store.set_run_state(folder.run, "failed", str(error))
            raise

    def run(self, run: str) -> RunFolder:
        """The folder of a run by its id; raises `LabError` when there is none."""
        folder = RunFolder(self.runs_folder / run)
        if Path(run).name != run or not folder.is_complete():
            raise LabError(f"There is no run {run!r} in {self.folder}. List them with: rlhf-lab runs")
        return folder

    def run_row(self, run: str) -> RunRow:
        """What the database knows of a run; raises `LabError` when there is none."""
        for row in self.store.runs():
            if row.run == run:
                return row
        raise LabError(f"There is no run {run!r} in {self.folder}. List them with: rlhf-lab runs")

    def adapters(self, runs: Sequence[str]) -> tuple[Path, ...]:
        """The adapter folders of the runs, in order."""
        return tuple(self.run(run).adapter for run in runs)

    def lineage(self, run: str) -> tuple[str, ...]:
        """The runs that the model of this one went through, oldest first, itself last."""
        return (*self.run(run).manifest.start_runs, run)

    def model_spec(self, run: str | None, *, model: str = "bundled", step: int | None = None) -> ModelSpec:
        """How to ask for the model that a run left, or saved after ``step``; with None, for a plain base."""
        if run is None:
            return ModelSpec(model=model)
        folder = self.run(run)
        own = folder.adapter if step is None else at_step(folder, step)
        adapters = (*self.adapters(folder.manifest.start_runs), own)
        return ModelSpec(model=folder.config.model, adapters=adapters, dtype=folder.config.dtype)

    def cancel(self, run: str) -> None:
        """End a run that was never started."""
        folder = self.run(run)
        end_attempt(folder.events_path, 0, Finished(outcome="stopped", message="Cancelled before it started."))
        Recorder(self.store).catch_up(folder)

    def recover(self, *, but: Collection[str] = ()) -> Recovered:
        """Look after the runs, ``but`` these, that were unfinished when the project was last seen.

        Records what they said meanwhile; a dead one without an end becomes "interrupted". Attach to
        the live ones and queue the waiting ones again.
        """
        found, recorder = Recovered(), Recorder(self.store)
        for row in self.store.runs():
            if row.outcome == "done" or row.run in but:
                continue
            try:
                self._look_after(row, recorder, found)
            except LabError as error:
                found.undone = error
        return found

    def _look_after(self, row: RunRow, recorder: Recorder, found: Recovered) -> None:
        folder = RunFolder(self.runs_folder / row.run)
        if not folder.path.is_dir():
            if row.outcome in ("queued", "running"):
                self.store.set_run_state(row.run, "failed", folder.gone())
            return
        process = folder.process()
        if process is not None and process.alive():
            found.live.append(folder)
            return
        recorder.catch_up(folder)
        if self.run_row(row.run).outcome not in ("queued", "running"):
            return
        if folder.attempt() == 0:
            found.waiting.append(folder)
            return
        self.store.set_run_state(row.run, "interrupted", _INTERRUPTED)
        found.interrupted.append(folder)

    def reindex(self) -> int:
        """Build the index of runs again from their folders; how many there are."""
        count = reindex(self.store, self.runs_folder)
        self.recover()
        return count

    def _plan(self, config: RunConfig) -> Plan:
        return make_plan(config, self.store, self.runs_folder)

    def _new_folder(self, stage: str) -> RunFolder:
        taken = [p.name.rpartition("-")[2] for p in self.runs_folder.glob(f"{stage}-*")]
        number = max((int(n) for n in taken if n.isdigit()), default=0)
        while True:
            number += 1
            path = self.runs_folder / f"{stage}-{number}"
            try:
                path.mkdir(mode=0o700)  # the one step that two windows cannot both do
            except FileExistsError:
                continue
            return RunFolder(path)

    def _snapshot(self, folder: RunFolder, config: RunConfig, plan: Plan) -> Manifest:
        digest, counts, gold = hashlib.sha256(), {"train": 0, "heldout": 0}, False
        with open(os.open(folder.data_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - private mode
            for record in _as_trained(_rows(self.store, config.dataset), config):
                line = dump_record(record) + b"\n"
                digest.update(line)
                file.write(line)
                counts[record.split] += 1
                gold = gold or "world" in record.prompt.tags
        return Manifest(
            run=folder.run,
            stage=config.stage,
            created=time.time(),
            dataset=config.dataset,
            data_sha256=digest.hexdigest(),
            records=sum(counts.values()),
            **counts,
            gold=gold,
            start_runs=plan.start_runs,
            reward_run=getattr(config, "reward_model", None),
            reward_model=plan.reward_model,
            reward_start_runs=plan.reward_start_runs,
        )


def _cannot_make(what: str, error: OSError, place: Path) -> str:
    return f"{what} cannot be made. " + (
        cannot_write(error, place, 0) or f"{place} cannot be used: {error.strerror or error}."
    )


def _absolute_paths(config: RunConfig) -> dict[str, str]:
    """A run outlives the folder that it was started in."""
    paths = {"model": absolute_model(config.model)}
    if isinstance(config, ScoreSettings) and config.reward_function:
        paths["reward_function"] = str(typed_path(config.reward_function).absolute())
    return paths


def _rows(store: Store, dataset: str) -> Iterator[Row]:
    after: int | None = None
    while rows := store.page(dataset, after):
        yield from rows
        after = rows[-1].id


def _as_trained(rows: Iterable[Row], config: RunConfig) -> Iterator[AnyRecord]:
    """What the stage gets to see: one that learns from pairs sees those of rankings and ratings.

    Their tag "record" says which record of the data set a pair is, so that a person can judge it again.
    """
    for row in rows:
        if isinstance(config, PairSettings) and isinstance(row.record, Pair | Ranking | Rated):
            for pair in pairs_of(row.record, config.rankings, config.ties):
                yield pair.model_copy(update={"tags": {**pair.tags, "record": row.id}})
        else:
            yield row.record
