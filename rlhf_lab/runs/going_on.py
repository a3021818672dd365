"""Going on with a run that ended: from its last save, as it was, or further than was planned.

More steps are the config's new total. Where the learning rate falls towards the end (SFT, reward, DPO), it is from
there on that of a run of the new length; the steps that were done stay as they are.
"""

from collections.abc import Mapping
from typing import Any, get_args

from rlhf_lab.core.config import UNUSED, RunConfig, steps_in_words, total_field, total_steps
from rlhf_lab.core.config_toml import parse_config
from rlhf_lab.core.control import Set
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import STAGE_NAMES, run_title
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.plan import absolute_model, model_reasons
from rlhf_lab.runs.project import Project

LIVE_SETTINGS: tuple[str, ...] = get_args(Set.model_fields["field"].annotation)
"""Those that a run takes over while it goes on."""


def go_on_with(project: Project, run: str, changes: Mapping[str, Any] | None = None) -> RunFolder:
    """Make a run ready to be resumed, with ``changes`` to what a run that has begun can change (`can_change`).

    Raises `LabError`, with nothing changed, where it cannot go on: it lives, it is done and no more steps are asked
    for, or another run stands on its result.
    """
    folder, row = project.run(run), project.run_row(run)
    process = folder.process()
    if process is not None and process.alive():
        raise LabError(f"{folder.title} is already running (process {process.pid}).")
    config = folder.config
    wanted = _changed(config, dict(changes or {}), folder)
    if row.outcome == "done" and total_steps(wanted) <= row.step:
        raise LabError(
            f"{folder.title} is done: {steps_in_words(config.stage, row.step)}. {_further(run, wanted, row.step)}"
        )
    if total_steps(wanted) <= row.step and total_steps(wanted) != total_steps(config):
        raise LabError(
            f"{total_field(config.stage)}: {folder.title} has done {row.step:,} already. Give a greater number."
        )
    if standing := standing_on(project, run):
        raise LabError(
            f"{' and '.join(map(run_title, standing))} {'stand' if len(standing) > 1 else 'stands'} on the result of {folder.title}, which would "
            f"change under {'them' if len(standing) > 1 else 'it'}. Start a new run from {folder.title} instead."
        )
    if wanted != config:
        folder.write_config(wanted)
        project.store.set_run_config(run, wanted.model_dump_json())
    return folder


def can_change(config: RunConfig) -> tuple[str, ...]:
    """The settings that a run which has begun can change."""
    total = total_field(config.stage)
    unused = UNUSED.get(config.stage, frozenset())
    live = tuple(name for name in LIVE_SETTINGS if name in type(config).model_fields and name not in unused)
    lean = tuple(name for name in ("micro_batch_size", "gradient_checkpointing") if name not in unused)
    return (*live, *([total] if total else []), *lean, "model")


def standing_on(project: Project, run: str) -> list[str]:
    """Runs that have begun, or wait to, and whose model, or reward, has this run's adapter in it."""
    found = []
    for row in project.store.runs():
        other = RunFolder(project.runs_folder / row.run)
        if row.run == run or not other.is_complete() or not (other.attempt() or row.outcome == "queued"):
            continue  # one that was cancelled before it began needs nothing any more
        manifest = other.manifest
        if run in (*manifest.start_runs, *manifest.reward_start_runs, manifest.reward_run):
            found.append(row.run)
    return found


def _changed(config: RunConfig, changes: dict[str, Any], folder: RunFolder) -> RunConfig:
    """The config with those changes that it keeps; live ones are only checked, the run takes them over itself."""
    allowed = can_change(config)
    if unknown := [name for name in changes if name not in allowed]:
        raise LabError(
            f"--set {unknown[0]}: a run that has begun can only change {', '.join(allowed[:-1])} and {allowed[-1]} (where "
            "its base lies now). For anything else start a new run."
        )
    wanted = parse_config(config.model_dump() | changes, f"{folder.run} with these changes")
    kept = {name: getattr(wanted, name) for name in changes if name not in LIVE_SETTINGS}
    if "model" in kept:
        kept["model"] = absolute_model(kept["model"])
        if reasons := model_reasons(kept["model"]):
            raise LabError(" ".join(reasons))
    return config.model_copy(update=kept)


def _further(run: str, config: RunConfig, done: int) -> str:
    total = total_field(config.stage)
    if total is None:
        return f"{STAGE_NAMES[config.stage]} has nothing to go on with."
    return f"To go further, give a new total: rlhf-lab resume {run} --set {total}={2 * done}"
