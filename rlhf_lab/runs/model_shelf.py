"""The models that a project knows: the bundled one, folders, GGUF imports, hub downloads, and what its runs left."""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.model_types import MODEL_TYPES
from rlhf_lab.core.naming import run_title
from rlhf_lab.core.resources import resource
from rlhf_lab.core.small_files import read_json
from rlhf_lab.runs.disk import disk_use
from rlhf_lab.runs.folder import RunFolder, write_private
from rlhf_lab.runs.hub import hub_folder, hub_names, snapshot
from rlhf_lab.runs.lineage import config_parents
from rlhf_lab.runs.model_facts import ModelFacts, facts_of, newest_in
from rlhf_lab.runs.plan import absolute_model, model_reasons
from rlhf_lab.runs.project import Project

Kind = Literal["bundled", "folder", "import", "hub", "run"]
KINDS: dict[Kind, str] = {
    "bundled": "bundled",
    "folder": "folder",
    "import": "GGUF import",
    "hub": "hub download",
    "run": "result of a run",
}
BUNDLED = "bundled"
_LIST = "folders.json"
_BUSY = ("running", "queued")


@dataclass(frozen=True)
class Shelved:
    """A model; ``name`` is what a config calls it, ``place`` what is on the disk because of it."""

    name: str
    kind: Kind
    folder: Path
    place: Path
    facts: ModelFacts
    bytes: int
    used_by: tuple[str, ...] = ()
    """Runs that stand on it, the oldest first."""
    changed: float = 0.0
    """When the newest of its files was written."""

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name if self.kind in ("bundled", "hub", "run") else self.folder.name

    @property
    def quick_problem(self) -> str:
        """Why it would be refused, as far as it is seen without a library; "" where nothing is."""
        if self.kind == "run":
            return ""
        if reasons := model_reasons(self.name):
            return _sentence(reasons[0])
        return _refused(self.facts)


def shelf(project: Project) -> list[Shelved]:
    """Every model with its facts and its size; reads headers and counts files, so call it beside a window."""
    users = _users(project)
    found = [_base(name, kind, users) for name, kind in _bases(project, users)]
    for row in reversed(project.store.runs()):
        folder = RunFolder(project.runs_folder / row.run)
        if folder.has_result():
            facts, size = facts_of(folder.adapter), disk_use(folder.adapter)
            found.append(Shelved(row.run, "run", folder.adapter, folder.adapter, facts, size, users.get(row.run, ())))
    return found


def usable_names(project: Project) -> list[str]:
    """What the forms offer beside the models that runs have used: quick, and without those that would be refused."""
    return [name for name, kind in _bases(project, {}) if not model_reasons(name) and _loads(_folder(name, kind))]


def add_folder(project: Project, folder: Path) -> str:
    """Put a folder on the list; its name in a config. Raises `LabError` where it is no model."""
    name = absolute_model(str(folder))
    if not Path(name).is_dir():
        raise LabError(
            f"{folder} is no folder. Choose a folder with config.json and safetensors, or import a .gguf file."
        )
    if reasons := model_reasons(name) or [words for words in [_refused(facts_of(Path(name)))] if words]:
        raise LabError(_sentence(reasons[0]))
    _write_added(project, [*(known for known in _added(project) if known != name), name])
    return name


def find(project: Project, name: str) -> Shelved:
    """The model of that name or title; raises `LabError` where there is none, or several are called so."""
    models = shelf(project)
    found = [model for model in models if model.name in (name, absolute_model(name))]
    found = found or [model for model in models if model.title == name]
    if len(found) != 1:
        many = "Several models are" if found else "No model is"
        raise LabError(f"{many} called {name!r} here. List them with: rlhf-lab models")
    return found[0]


def removal(project: Project, model: Shelved) -> str:
    """What removing it would mean, in words; raises `LabError` where it cannot be removed here."""
    if model.kind == "bundled":
        raise LabError("The bundled model comes with the lab and stays.")
    if model.kind == "run":
        raise LabError(f"{run_title(model.name)} is the result of a run: put the run into the trash on the Runs pane.")
    used_by = _users(project).get(model.name, ())  # as it is now: the model may have been listed a while ago
    rows = {row.run: row for row in project.store.runs()}
    if busy := [run for run in used_by if run in rows and rows[run].outcome in _BUSY]:
        raise LabError(f"{run_title(busy[0])} trains on {model.title} or waits for it. Stop it first.")
    stands = f"{len(used_by)} runs stand" if len(used_by) > 1 else f"{''.join(map(run_title, used_by))} stands"
    if model.kind == "folder":
        if used_by:
            raise LabError(f"{stands} on {model.title}: it is on the list as long as they are in the project.")
        return f"Take {model.title} off the list? Its files stay where they are."
    lost = f" {stands} on it, and can be neither asked nor resumed without." if used_by else ""
    others = (
        "The hub's cache is shared: other projects and programs that use it lose it, too, and are not looked at."
        if model.kind == "hub"
        else "Whether other projects use it is not looked at."
    )
    return f"Delete {model.title} from the disk?{lost} {others}"


def remove(project: Project, model: Shelved, dispose: Callable[[Path], object] | None = None) -> None:
    """Take a folder off the list, or have the files of an import or a download disposed of (without a way: deleted)."""
    removal(project, model)
    if model.kind == "folder":
        _write_added(project, [known for known in _added(project) if known != model.name])
        return
    try:
        (dispose or shutil.rmtree)(model.place)
    except OSError as error:
        raise LabError(f"{model.place} could not be deleted: {error.strerror or error}.") from None


def _bases(project: Project, users: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, Kind]]:
    """Name and kind of each, in the order in which they are shown."""
    yield BUNDLED, "bundled"
    imports = [str(folder) for folder in _folders_in(project.models_folder)]
    yield from ((name, "import") for name in imports)
    used = [name for name in users if Path(name).is_absolute() and (Path(name) / "config.json").is_file()]
    bundled = str(resource("model").resolve())
    yield from (
        (name, "folder") for name in dict.fromkeys([*_added(project), *used]) if name not in (*imports, bundled)
    )
    yield from ((name, "hub") for name in hub_names())


def _base(name: str, kind: Kind, users: dict[str, tuple[str, ...]]) -> Shelved:
    folder = _folder(name, kind)
    place = hub_folder(name) if kind == "hub" else folder
    return Shelved(name, kind, folder, place, facts_of(folder), disk_use(place), users.get(name, ()), newest_in(place))


def _folder(name: str, kind: Kind) -> Path:
    """Where its config.json and its weights lie."""
    if kind == "hub":
        return snapshot(hub_folder(name)) or hub_folder(name)
    return resource("model") if kind == "bundled" else Path(name)


def _users(project: Project) -> dict[str, tuple[str, ...]]:
    """Which runs name a model, or another run, in their config."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in project.store.runs():
        config = json.loads(project.store.run_config(row.run))
        model = str(config.get("model", ""))
        model = str(project.folder / model) if model.startswith("./") else model
        for name in dict.fromkeys([model, *config_parents(config)]):
            if name:
                found[name].append(row.run)
    return {name: tuple(runs) for name, runs in found.items()}


def _loads(folder: Path) -> bool:
    """As `_refused`, without a look into the weights."""
    try:
        config = read_json(folder / "config.json")
        kind = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    weights = any(folder.glob("*.safetensors"))
    return kind in MODEL_TYPES and not config.get("quantization_config") and weights


def _sentence(reason: str) -> str:
    words = reason.removeprefix("model: ")
    return words[:1].upper() + words[1:]


def _refused(facts: ModelFacts) -> str:
    if not facts.architecture:
        return "Its config.json says no model type."
    if facts.architecture not in MODEL_TYPES:
        return f"It is of type {facts.architecture!r}, which the lab does not load."
    if facts.quantised:
        return "It is quantised, and its weights cannot be trained on."
    return "" if facts.parameters else "It has no safetensors weights that can be read."


def _folders_in(folder: Path) -> list[Path]:
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return [one for one in inside if not one.name.startswith(".") and (one / "config.json").is_file()]


def _added(project: Project) -> list[str]:
    try:
        found = read_json(project.models_folder / _LIST, linked=False)
    except (OSError, ValueError):
        return []
    return [name for name in found if isinstance(name, str) and os.path.isdir(name)] if isinstance(found, list) else []  # noqa: PTH112 - does not raise


def _write_added(project: Project, names: list[str]) -> None:
    try:
        write_private(project.models_folder / _LIST, json.dumps(names, indent=1))
    except OSError as error:
        raise LabError(f"The list of models cannot be written: {error.strerror or error}.") from None


def in_words(
    model: Shelved, checked: str | None = None, *, run_called: Callable[[str], str] = lambda run: run
) -> list[str]:
    """Name, kind, architecture, parameters, dtype, size, where it is used, and whether it loads.

    ``checked``: "" is well. ``run_called``: what stands for the id of a run.
    """
    facts = model.facts
    use = "".join(map(run_called, model.used_by[:1])) + (
        f" and {len(model.used_by) - 1} more" if len(model.used_by) > 1 else ""
    )
    problem = model.quick_problem if checked is None else checked
    return [
        run_called(model.name) if model.kind == "run" else model.title,
        KINDS[model.kind],
        facts.architecture or "–",
        count_in_words(facts.parameters),
        facts.dtype or "–",
        size_in_words(model.bytes),
        use or "–",
        problem or ("can be used" if model.kind != "run" else "its adapter"),
    ]


def count_in_words(number: int) -> str:
    """ "134.5 M"."""
    if not number:
        return "–"
    return (
        f"{number / 1e9:.2f} B"
        if number >= 1e9
        else f"{number / 1e6:.1f} M"
        if number >= 1e5
        else f"{number / 1e3:.1f} K"
    )


def size_in_words(size: int) -> str:
    """ "12.3 MB"."""
    return f"{size / 2**30:.2f} GB" if size >= 2**30 else f"{size / 2**20:,.1f} MB"
