"""What a form can offer from a project: data sets that fit, finished runs, models used before. No Qt."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rlhf_lab.core.config import STAGES
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import Stage, run_title
from rlhf_lab.core.settings import ScoreSettings
from rlhf_lab.gui.models.form import RUN_STAGES
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.plan import KINDS
from rlhf_lab.runs.project import Project
from rlhf_lab.store import RunRow

MOST_RUNS = 200
"""Runs that a list offers, the newest; the Runs pane has all."""

_USABLE = frozenset({"done", "stopped", "interrupted", "failed"})


@dataclass(frozen=True)
class Option:
    """One entry of a list to choose from: the answer, its words, and more of them for a tooltip."""

    answer: Any
    text: str
    tip: str = ""


def dataset_options(project: Project, stage: Stage) -> list[Option]:
    """Data sets whose records the stage can learn from, with an empty choice first."""
    fitting = [row for row in project.store.datasets() if row.kind in KINDS[stage]]
    first = "Choose a data set" if fitting else "None fits yet: import one on the Data pane"
    return [Option("", first)] + [
        Option(row.name, row.name, f"{row.name}: {row.train:,} records to train on, {row.heldout:,} held out")
        for row in fitting
    ]


def run_options(project: Project, field: str) -> list[Option]:
    """Runs of the right stage that left an adapter, the newest first."""
    none = {"start_from": "the base model itself", "reward_model": "Choose a reward run"}[field]
    return [Option(None, none)] + [
        Option(row.run, run_title(row.run), f"{run_title(row.run)} ({row.outcome}, step {row.step:,})")
        for row in finished_runs(project, RUN_STAGES[field])
    ]


def finished_runs(project: Project, stages: tuple[str, ...]) -> list[RunRow]:
    """Runs of these stages that left an adapter, the newest first."""
    return list(_finished(project, stages))


def _finished(project: Project, stages: tuple[str, ...]) -> Iterator[RunRow]:
    rows = (row for row in reversed(project.store.runs(stages=stages)) if row.outcome in _USABLE)
    return (row for row in islice(rows, MOST_RUNS) if RunFolder(project.runs_folder / row.run).has_result())


def unfinished_runs(project: Project, stages: tuple[str, ...]) -> list[RunRow]:
    """The others of these stages, of which a save may be there: those that train, and those that ended without a result."""
    finished = {row.run for row in finished_runs(project, stages)}
    rows = [row for row in reversed(project.store.runs(stages=stages)) if row.outcome != "queued"]
    return [row for row in rows[:MOST_RUNS] if row.run not in finished]


def known_models(project: Project) -> list[str]:
    """Models that runs of this project have used, the newest first."""
    return [model for model in project.store.models_of_runs(MOST_RUNS) if not _is_gone(model)]


def _is_gone(model: str) -> bool:
    """A path that is not there any more, for instance since the project was made on another machine."""
    return Path(model).is_absolute() and not Path(model).exists()


def suggested_runs(project: Project, stage: Stage) -> dict[str, str | None]:
    """For each field that names a run, what most likely is meant: the newest, and what that one stood on."""
    if stage == "sft":
        return {}
    tuned = next((row.run for row in _finished(project, ("sft",))), None)
    if not issubclass(STAGES[stage], ScoreSettings):
        return {"start_from": tuned}
    reward = next((row.run for row in _finished(project, ("reward",))), None)
    return {"reward_model": reward, "start_from": _stands_on(project, reward) if reward else tuned}


def _stands_on(project: Project, run: str | None) -> str | None:
    try:
        starts = project.run(run).manifest.start_runs if run is not None else ()
    except LabError:
        return None
    return starts[-1] if starts else None
