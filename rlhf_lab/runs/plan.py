"""What a run would stand on (data, base, earlier runs), and in words why it cannot start."""

import os
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from rlhf_lab.core.config import RewardConfig, RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import STAGE_NAMES, Stage
from rlhf_lab.core.resources import resource
from rlhf_lab.core.settings import ScoreSettings
from rlhf_lab.core.small_files import read_json
from rlhf_lab.runs.approval import FunctionFile, is_approved, read_function
from rlhf_lab.runs.disk import needed_bytes
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.hub import hub_cache, hub_folder, snapshot
from rlhf_lab.store import DatasetRow, Store

_FREE_BYTES = 200 << 20
_LONGEST_SHOWN = 200
_PICKLED = "has no .safetensors file; other weight files are refused, since they can run code."
_JUDGED = {"pair", "ranking", "rated", "mixed"}
_ASKING = {"prompt", "demonstration", "unpaired", "candidates", *_JUDGED}
KINDS: dict[Stage, set[str]] = {
    "sft": {"demonstration", *_JUDGED},
    "reward": _JUDGED,
    "ppo": _ASKING,
    "rloo": _ASKING,
    "dpo": _JUDGED,
    "best_of_n": _ASKING,
}
"""The kinds of data sets that a stage can learn from; of a mixed one, it takes the records that fit."""
STARTS: tuple[Stage, ...] = ("sft", "ppo", "rloo", "dpo")
"""The stages whose adapters a later run can start from."""


@dataclass
class Plan:
    """The resolved grounds of a run; with ``reasons`` it cannot start."""

    reasons: list[str] = field(default_factory=list)
    dataset: DatasetRow | None = None
    start_runs: tuple[str, ...] = ()
    reward_model: str | None = None
    reward_start_runs: tuple[str, ...] = ()
    reward_function: FunctionFile | None = None
    """As it was read now: what the run gets a copy of."""


def make_plan(config: RunConfig, store: Store, runs_folder: Path) -> Plan:
    """Look at everything that the config names; nothing is read in full and no model is loaded."""
    plan = Plan()
    plan.dataset = _dataset(config, store, plan.reasons)
    plan.reasons += model_reasons(config.model)
    if config.start_from:
        start = _finished_run(config.start_from, "start_from", STARTS, runs_folder, plan.reasons)
        if start is not None:
            plan.start_runs = (*start.manifest.start_runs, start.run)
            if start.config.model != config.model:
                plan.reasons.append(
                    f"start_from: {start.title} was trained on the base {start.config.model!r}, this run asks for "
                    f"{config.model!r}. Set model to {start.config.model!r} or choose another run."
                )
    if isinstance(config, ScoreSettings):
        _rewards(config, config.model, STAGE_NAMES[config.stage], plan, runs_folder)
    # A model that was refused is not looked into for its size.
    asked = 0 if plan.reasons else needed_bytes(config, store)
    free, needed = shutil.disk_usage(runs_folder).free, max(_FREE_BYTES, asked)
    if free < needed:
        plan.reasons.append(
            f"Only {free >> 20} MB are free on the disk of {runs_folder.parent}; this run needs {needed >> 20} MB. "
            "Delete something there, or choose another project folder."
        )
    return plan


def absolute_model(model: str) -> str:
    """The model as a config keeps it: paths absolute, since a run outlives the folder it was started in."""
    path = os.path.expanduser(model)  # noqa: PTH111 - as below, these do not raise for what no file can be called
    return os.path.realpath(path) if model != "bundled" and os.path.exists(path) else model  # noqa: PTH110


def _rewards(config: ScoreSettings, model: str, stage: str, plan: Plan, runs_folder: Path) -> None:
    if not config.has_reward and (config.reward_model or config.reward_function):
        field = "reward_model_weight" if config.reward_model else "reward_function_weight"
        plan.reasons.append(f"{field}: nothing scores the answers while every weight is 0. Set one to another number.")
    elif not config.has_reward:
        plan.reasons.append(
            f"reward_model: {stage} needs something that scores answers. Train a reward model on the Reward pane, or set "
            "a reward function or one of the built-in rewards."
        )
    if config.reward_model:
        reward = _finished_run(config.reward_model, "reward_model", ("reward",), runs_folder, plan.reasons)
        if reward is not None:
            plan.reward_model = reward.config.model
            plan.reward_start_runs = reward.manifest.start_runs
            if plan.reward_model != model:
                plan.reasons += model_reasons(plan.reward_model)
            if config.uncertainty_coef and getattr(reward.config, "heads", 1) < 2:
                plan.reasons.append(
                    f"uncertainty_coef: {reward.title} has one head, which cannot disagree with itself. Train a reward "
                    "model with several heads, or set this to 0."
                )
    elif config.uncertainty_coef:
        plan.reasons.append("uncertainty_coef: there is no reward model whose heads could disagree. Set this to 0.")
    if config.reward_function:
        plan.reward_function = _approved_function(config.reward_function, plan.reasons)
    if config.regex:
        try:
            re.compile(config.regex)
        except re.error as error:
            plan.reasons.append(f"regex: {config.regex!r} is no regular expression: {error}.")


def _approved_function(path: str, reasons: list[str]) -> FunctionFile | None:
    try:
        function = read_function(path)
        if is_approved(function):
            return function
    except LabError as error:
        reasons.append(f"reward_function: {error}")
    else:
        reasons.append(
            f"reward_function: {function.path} is not approved yet. Read it and approve it: in the window, or with "
            f"rlhf-lab approve {shlex.quote(str(function.path))}"
        )
    return None


def _dataset(config: RunConfig, store: Store, reasons: list[str]) -> DatasetRow | None:
    rows = {row.name: row for row in store.datasets()}
    fitting = [name for name, row in rows.items() if row.kind in KINDS[config.stage]]
    advice = f"Choose one of: {', '.join(fitting)}." if fitting else "Import one on the Data pane first."
    if not config.dataset:
        reasons.append(f"dataset: no data set is chosen. {advice}")
        return None
    row = rows.get(config.dataset)
    if row is None:
        reasons.append(f"dataset: there is no data set {config.dataset[:_LONGEST_SHOWN]!r} in this project. {advice}")
        return None
    if row.kind not in KINDS[config.stage]:
        wanted = " or ".join(sorted(KINDS[config.stage] - {"mixed"}))
        reasons.append(
            f"dataset: {row.name!r} holds {row.kind} records, {config.stage} learns from {wanted} records. {advice}"
        )
    elif row.train == 0:
        reasons.append(f"dataset: {row.name!r} has no records in its train split; import more data.")
    elif isinstance(config, RewardConfig) and row.heldout == 0:
        more = (
            "judge more, until a held-out prompt is among them, and make it anew"
            if row.format == "ranked"
            else "import it again with a held-out share above 0"
        )
        reasons.append(
            f"dataset: {row.name!r} has no held-out records, so the reward model could not be judged; {more}."
        )
    return row


def model_reasons(model: str) -> list[str]:
    """Why the base cannot be used, as far as it can be seen without loading it."""
    if model == "bundled":
        try:
            resource("model/config.json")
        except FileNotFoundError as error:
            return [f"model: {error}"]
        return []
    path = Path(os.path.expanduser(model))  # noqa: PTH111 - as below
    if os.path.isdir(path):  # noqa: PTH112 - which does not raise for names that no file can have
        if not (path / "config.json").is_file():
            return [f"model: {path} has no config.json, so it is not a model folder."]
        if not list(path.glob("*.safetensors")):
            return [f"model: {path} {_PICKLED}"]
        return []
    if os.path.isfile(path):  # noqa: PTH113
        return [] if path.suffix == ".gguf" else [f"model: {path} is neither a folder nor a .gguf file."]
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        return [
            f'model: {model[:_LONGEST_SHOWN]!r} is not there. Give "bundled", a folder, a .gguf file or a downloaded hub id.'
        ]
    shown = model[:_LONGEST_SHOWN]
    get = f"under “Manage models…”, or with: rlhf-lab models download {shown}"
    if not os.path.isdir(hub_folder(model)):  # noqa: PTH112 - as above
        return [
            f"model: {shown!r} is neither a folder nor a hub id that is already downloaded (looked in {hub_cache()}). "
            f"Download it {get}"
        ]
    version = snapshot(hub_folder(model))
    if version is not None and not list(version.glob("*.safetensors")) and list(version.glob("*.bin")):
        return [f"model: {shown!r} {_PICKLED}"]
    if version is None or (missing := _missing_from(version)):
        what = "" if version is None else f": {missing[:_LONGEST_SHOWN]} is missing"
        return [f"model: downloaded only in part{what}. Go on with it {get}"]
    return []


def _missing_from(version: Path) -> str:
    """The first file without which a download cannot be loaded; "" where there is none."""
    if not (version / "config.json").is_file():
        return "config.json"
    if (version / "model.safetensors").is_file():
        return ""
    try:
        shards = sorted(set(read_json(version / "model.safetensors.index.json")["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # another name, or damaged: the loader says so
        return "" if any(version.glob("*.safetensors")) else "model.safetensors"
    return next((str(shard) for shard in shards if not (version / str(shard)).is_file()), "")


def _finished_run(
    run: str, setting: str, stages: tuple[str, ...], runs_folder: Path, reasons: list[str]
) -> RunFolder | None:
    folder = RunFolder(runs_folder / run)
    try:
        manifest = folder.manifest if Path(run).name == run else None
    except LabError:
        manifest = None
    if manifest is None:
        reasons.append(
            f"{setting}: there is no run {run[:_LONGEST_SHOWN]!r} in this project. List them with: rlhf-lab runs"
        )
    elif manifest.stage not in stages:
        reasons.append(
            f"{setting}: {folder.title} is a run of {manifest.stage}; it must be one of {' or '.join(stages)}."
        )
    elif not folder.has_result():
        reasons.append(f"{setting}: {folder.title} has left no adapter yet. Let it finish, or resume it.")
    else:
        return folder
    return None
