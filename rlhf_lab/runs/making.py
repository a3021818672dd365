"""Making a run: its folder at once, and the frozen copy of its data."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.recipe import Place
from rlhf_lab.core.records import AnyRecord, Pair, Ranking, Rated, dump_record
from rlhf_lab.core.room import cannot_write
from rlhf_lab.core.settings import PairSettings, ScoreSettings
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.data.pairing import pairs_of
from rlhf_lab.runs.file_state import file_states
from rlhf_lab.runs.folder import Manifest, RunFolder, write_private
from rlhf_lab.runs.labels import note_state, put_into_index, write_place
from rlhf_lab.runs.plan import Plan, absolute_model, make_plan
from rlhf_lab.store import Row, Store

if TYPE_CHECKING:
    from rlhf_lab.runs.project import Project


def reserve_run(project: "Project", config: RunConfig, place: Place | None) -> RunFolder:
    """See `rlhf_lab.runs.project.Project.reserve_run`."""
    config = config.model_copy(update=_absolute_paths(config))
    reasons = project.check(config)
    if reasons:
        raise LabError(" ".join(reasons))
    try:
        folder = new_folder(project.runs_folder, config.stage)
    except OSError as error:
        raise LabError(_cannot_make("A new run", error, project.runs_folder)) from None
    try:
        folder.write_config(config)
        where, settings = f"runs/{folder.run}", config.model_dump_json()
        project.store.add_run(folder.run, config.stage, where, settings, created=time.time())
        if place is not None:
            write_place(folder, place)
            put_into_index(project.store, folder)
    except (OSError, LabError) as error:
        shutil.rmtree(folder.path, ignore_errors=True)
        if isinstance(error, LabError):
            raise
        raise LabError(_cannot_make("A new run", error, project.runs_folder)) from None
    return folder


def freeze(project: "Project", folder: RunFolder, cancelled: Callable[[], bool]) -> bool:
    """See `rlhf_lab.runs.project.Project.freeze`."""
    if folder.is_complete():
        return True
    config = folder.config
    try:
        # Before anything is copied: what changes meanwhile counts as a change.
        data, files = project.store.data_state(config.dataset), file_states(config)
        plan = make_plan(config, project.store, project.runs_folder)
        if plan.reasons:
            raise LabError(" ".join(plan.reasons))
        if plan.reward_function is not None:
            write_private(folder.reward_function, plan.reward_function.content)
        manifest = _snapshot(project.store, folder, config, plan, cancelled)
        if manifest is None:
            folder.data_path.unlink()
            return False
        note_state(project.store, folder, data, files)
        folder.write_manifest(manifest)
    except OSError as error:
        reason = _cannot_make(f"The copy of its data ({config.dataset})", error, folder.path)
        project.store.set_run_state(folder.run, "failed", reason)
        raise LabError(reason) from None
    except LabError as error:
        project.store.set_run_state(folder.run, "failed", str(error))
        raise
    return True


def new_folder(runs_folder: Path, stage: str) -> RunFolder:
    """One with the next number of that stage; two windows never get the same."""
    taken = [p.name.rpartition("-")[2] for p in runs_folder.glob(f"{stage}-*")]
    number = max((int(n) for n in taken if n.isdigit()), default=0)
    while True:
        number += 1
        path = runs_folder / f"{stage}-{number}"
        try:
            path.mkdir(mode=0o700)  # the one step that two windows cannot both do
        except FileExistsError:
            continue
        return RunFolder(path)


def _snapshot(
    store: Store, folder: RunFolder, config: RunConfig, plan: Plan, cancelled: Callable[[], bool]
) -> Manifest | None:
    digest, counts, gold = hashlib.sha256(), {"train": 0, "heldout": 0}, False
    with open(os.open(folder.data_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - private mode
        for record in _as_trained(_rows(store, config.dataset), config):
            if cancelled():
                return None
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
