"""The commands that train: one run, a recipe of several, a sweep; and going on with a run that ended."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlhf_lab.cli_options import JsonOption, ProjectOption, SetOption
from rlhf_lab.cli_project import open_project
from rlhf_lab.core.errors import LabError

if TYPE_CHECKING:
    from rlhf_lab.core.events import Finished
    from rlhf_lab.core.recipe import Recipe
    from rlhf_lab.runs.folder import RunFolder
    from rlhf_lab.runs.project import Project
    from rlhf_lab.terminal import Terminal


def run(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.toml", help="A config (rlhf-lab config STAGE) or a recipe (rlhf-lab config recipe)."
        ),
    ],
    changes: SetOption = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            metavar="FIELD=VALUE,VALUE,…",
            help="One run for each value; several sweeps: for every combination. In a recipe also STAGE.FIELD.",
        ),
    ] = None,
    paired: Annotated[
        bool,
        typer.Option("--paired", help="Of several sweeps, take the first values together, then the second ones, …"),
    ] = False,
    again: Annotated[
        bool, typer.Option("--resume", help="A recipe or sweep: take what is done already, go on with what is not.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run what a TOML file describes: one stage, a sweep over its settings, or a recipe of several stages."""
    from rlhf_lab.core.config_toml import parse_config, read_toml
    from rlhf_lab.core.recipe_toml import changed, is_recipe, parse_recipe
    from rlhf_lab.core.small_files import read_text
    from rlhf_lab.terminal import Terminal

    try:
        text = read_text(config)
    except (OSError, ValueError) as error:
        raise LabError(f"{config} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.") from None
    where, wanted, swept = str(config), _pairs("--set", changes), _values(sweep)
    found, terminal = read_toml(text, where), Terminal(machine=as_json)
    if is_recipe(found) or "sweep" in found or swept:
        recipe = changed(parse_recipe(found, where), wanted, swept, "list" if paired else None)
        _run_recipe(_beside_file(recipe, config), project, terminal, resume=again, name=config.stem)
        return
    if again or paired:
        option = "--resume" if again else "--paired"
        raise LabError(f"{option} is for recipes and sweeps. To go on with one run: rlhf-lab resume RUN")
    _run_one(parse_config(found | wanted, where), config, project, terminal)


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, such as ppo-3.")],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="max_steps or updates: a new total; learning_rate or kl_coef from here on; model: where its base lies "
            "now. May be repeated.",
        ),
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run from its last save; with a greater total also with one that is done."""
    from rlhf_lab.runs.going_on import go_on_with
    from rlhf_lab.terminal import Terminal

    wanted = _pairs("--set", changes)
    with open_project(project) as opened:
        _train(opened, go_on_with(opened, run, wanted), Terminal(machine=as_json), resume=True, changes=wanted)


def _run_one(wanted: Any, file: Path, project: Path | None, terminal: "Terminal") -> None:
    from rlhf_lab.runs.project import BUNDLED

    wanted = wanted.model_copy(update={"model": _beside(wanted.model, file)})
    with open_project(project, backing_up=terminal) as opened:
        if wanted.dataset in BUNDLED:
            opened.ensure_bundled()
        _train(opened, opened.create_run(wanted), terminal)


def _run_recipe(recipe: "Recipe", project: Path | None, terminal: "Terminal", *, resume: bool, name: str) -> None:
    """Exit status 0 only when all of its runs are done."""
    from rlhf_lab.headless_recipes import as_json, in_words, run_recipe

    if not recipe.name:
        recipe = recipe.model_copy(update={"name": name})
    with open_project(project, backing_up=terminal) as opened:
        chain = run_recipe(opened, recipe, terminal, resume=resume)
        in_words(chain, terminal)
        if not chain.done:
            terminal.tell("Go on where it stopped with the same command and --resume.")
        terminal.result(as_json(opened, chain))
    raise typer.Exit(0 if chain.done else 1)


def _train(
    project: "Project",
    folder: "RunFolder",
    terminal: "Terminal",
    *,
    resume: bool = False,
    changes: dict[str, Any] | None = None,
) -> None:
    """Train to the end; exit status 0 only when the outcome is "done"."""
    from rlhf_lab.core.health import as_json, standing
    from rlhf_lab.headless import train

    finished: Finished = train(project, folder, terminal, resume=resume, changes=changes)
    terminal.tell(f"{folder.run} is {finished.outcome}. {finished.message}".rstrip())
    terminal.tell(f"It is in {folder.path}")
    terminal.result(
        {
            "run": folder.run,
            "outcome": finished.outcome,
            "step": project.run_row(folder.run).step,
            "message": finished.message,
            "health": [as_json(verdict) for verdict in standing(project.store.events(folder.run, ["health"]))],
            "dir": str(folder.path),
        }
    )
    raise typer.Exit(0 if finished.outcome == "done" else 1)


def _beside_file(recipe: "Recipe", file: Path) -> "Recipe":
    """With the models that lie beside the file named by their whole paths."""

    def moved(settings: dict[str, Any]) -> dict[str, Any]:
        return settings | {"model": _beside(settings["model"], file)} if "model" in settings else settings

    stages = {
        name: stage.model_copy(update={"settings": moved(stage.settings)}) for name, stage in recipe.stages.items()
    }
    return recipe.model_copy(update={"stages": stages, "defaults": moved(recipe.defaults)})


def _beside(model: str, file: Path) -> str:
    """A model that does not lie here and lies beside the file is that one."""
    beside = file.parent / model
    here = os.path.exists(os.path.expanduser(model))  # noqa: PTH110, PTH111 - which do not raise for bad names
    found = model != "bundled" and not here and os.path.exists(beside)  # noqa: PTH110
    return str(beside.resolve()) if found else model


def _values(pairs: list[str] | None) -> dict[str, list[Any]]:
    """``field=value,value`` with each value as TOML reads it; what is no TOML value is text."""
    found: dict[str, list[Any]] = {}
    for pair in pairs or []:
        name, sign, values = pair.partition("=")
        if not sign or not name.strip() or not values.strip():
            raise LabError(f"--sweep wants FIELD=VALUE,VALUE, such as --sweep seed=0,1,2, not {pair!r}.")
        if name.strip() in found:
            raise LabError(f"--sweep {name.strip()} stands there twice. Give all of its values together, with commas.")
        found[name.strip()] = _one(f"[{values}]", None) or [_one(value, value.strip()) for value in values.split(",")]
    return found


def _pairs(option: str, pairs: list[str] | None) -> dict[str, Any]:
    """``field=value`` as TOML reads the value; what is no TOML value is text."""
    found: dict[str, Any] = {}
    for pair in pairs or []:
        name, sign, value = pair.partition("=")
        if not sign or not name.strip():
            raise LabError(f"{option} wants FIELD=VALUE, such as {option} seed=1, not {pair!r}.")
        found[name.strip()] = _one(value, value.strip())
    return found


def _one(value: str, otherwise: Any) -> Any:
    import tomllib

    try:
        return tomllib.loads(f"value = {value}")["value"]
    except (ValueError, KeyError, RecursionError):  # no TOML, or a number of thousands of digits
        return otherwise
