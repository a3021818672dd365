"""Which models a behaviour report is of, by the names that a person gives them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import STAGE_NAMES, Stage
from rlhf_lab.core.resources import resource
from rlhf_lab.core.small_files import read_json
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.checkpoints import saved_steps, split_name
from rlhf_lab.runs.model_card import BUNDLED
from rlhf_lab.runs.plan import absolute_model
from rlhf_lab.runs.project import Project

MOST_MODELS = 8
_RUN = re.compile(rf"({'|'.join(STAGE_NAMES)})-\d+(@\d{{1,15}})?")
_WRITES_NOTHING: dict[Stage, str] = {
    "reward": "It scores answers and writes none.",
    "best_of_n": "It trained nothing; ask for the model that it drew from.",
}


@dataclass(frozen=True)
class Examined:
    """A model under the name that the report gives it. ``raw``: it only continues text, and is asked so."""

    name: str
    spec: ModelSpec
    raw: bool = False


def models_of(project: Project, names: Sequence[str]) -> list[Examined]:
    """The models, in order; raises `LabError` where a name means none, or two mean the same.

    A name is "base" (what the others were trained on), "bundled", a run of the project, "run@step" for a save of one that
    may still train, a folder with an adapter, or whatever a config may name as its model.
    """
    if len(names) > MOST_MODELS:
        raise LabError(f"A report is of {MOST_MODELS} models at most, not {len(names)}.")
    specs = {name: _spec(project, name) for name in names if name != "base"}
    if "base" in names:
        specs["base"] = ModelSpec(model=_common_base(specs))
    labels = _labels(names)
    if doubled := [name for name, count in Counter(specs[name] for name in names).items() if count > 1]:
        same = [name for name in names if specs[name] == doubled[0]]
        raise LabError(f"{' and '.join(same)} are one model. Name each once.")
    # The bundled base has a chat template and nothing learned of it: asked so, it never ends.
    return [Examined(labels[name], specs[name], raw=specs[name] == ModelSpec()) for name in names]


def shared_base(models: Sequence[Examined]) -> ModelSpec | None:
    """The plain base of all of them; None where they have several."""
    bases = {(model.spec.model, model.spec.dtype) for model in models}
    if len({model for model, _ in bases}) > 1:
        return None
    return ModelSpec(model=models[0].spec.model, dtype="fp32" if len(bases) > 1 else models[0].spec.dtype)


def _spec(project: Project, name: str) -> ModelSpec:
    if _RUN.fullmatch(name):
        run, step = split_name(name)
        folder = project.run(run)
        if reason := _WRITES_NOTHING.get(folder.manifest.stage):
            raise LabError(f"{folder.title} is no model to ask. {reason}")
        if step is None and not folder.has_result():
            saved = "".join(f", or name a save of it: {run}@{found}" for found in saved_steps(folder)[:1])
            raise LabError(
                f"{folder.title} has left no adapter yet. Wait for its end, or stop it, which saves one{saved}."
            )
        return project.model_spec(run, step=step)
    folder_of_adapter = typed_path(name)
    if (folder_of_adapter / "adapter_config.json").is_file():
        return _adapter(folder_of_adapter.resolve())
    return ModelSpec(model=_known(name))


def _adapter(folder: Path) -> ModelSpec:
    where = folder / "adapter_config.json"
    try:
        found = read_json(where)
    except (OSError, ValueError):
        found = None
    base = found.get("base_model_name_or_path") if isinstance(found, dict) else None
    if not isinstance(base, str) or not base:
        raise LabError(f"{where} does not say which base the adapter is for.")
    return ModelSpec(model=_known(base), adapters=(folder,))


def _known(base: str) -> str:
    """The bundled base by its name: an exported adapter calls it by a sentence, a run's own by where it lay."""
    found = absolute_model(base)
    return "bundled" if found in (BUNDLED, str(resource("model").resolve())) else found


def _common_base(specs: dict[str, ModelSpec]) -> str:
    bases = sorted({spec.model for spec in specs.values()})
    if len(bases) > 1:
        raise LabError(f"These models have {len(bases)} bases. Name the one you mean instead of: base")
    return bases[0] if bases else "bundled"


def _labels(names: Sequence[str]) -> dict[str, str]:
    """A path is shown by its last part, unless two would look alike: a report goes to people with other folders."""
    short = {name: Path(name).name or name for name in names}
    counts = Counter(short.values())
    return {
        name: label if counts[label] == 1 else f"{label} ({place})"
        for place, (name, label) in enumerate(short.items(), start=1)
    }
