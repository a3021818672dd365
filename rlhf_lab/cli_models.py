"""The commands that say which models there are, add one, fetch one, and remove one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlhf_lab.cli_options import JsonOption, ProjectOption
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.typed_path import typed_path

if TYPE_CHECKING:
    from rlhf_lab.runs.model_shelf import Shelved
    from rlhf_lab.runs.project import Project

app = typer.Typer(help="The models of the project: bundled, folders, GGUF imports, hub downloads, results of runs.")

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.callback(invoke_without_command=True)
def models(context: typer.Context, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the models, with what they are, their size on disk, who uses them, and whether they can be used."""
    if context.invoked_subcommand is not None:
        return
    from rlhf_lab.runs.model_shelf import in_words, shelf
    from rlhf_lab.runs.project import Project
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    with Project.open(project) as opened:
        found = shelf(opened)
        problems = _checked(opened, found)
    for model in found:
        title, kind, architecture, parameters, dtype, size, users, checked = in_words(model, problems.get(model.name))
        terminal.tell(f"{title:32} {kind:16} {architecture:18} {parameters:>9} {dtype:5} {size:>11}  {users}")
        terminal.tell(f"    {checked}")
    terminal.result({"models": [_as_json(model, problems.get(model.name)) for model in found]})


@app.command()
def add(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder with safetensors, or a .gguf file.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a folder on the list, or dequantise a GGUF file into the project."""
    from rlhf_lab.runs.model_shelf import add_folder
    from rlhf_lab.runs.model_work import check_models, import_gguf
    from rlhf_lab.runs.project import Project
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    place = typed_path(path)
    with Project.open(project) as opened:
        if place.is_dir():
            problems: list[str] = []
            check_models([str(place.resolve())], opened.models_folder, lambda _, problem: problems.append(problem))
            if any(problems):
                raise LabError(problems[0])
            name = add_folder(opened, place)
        else:
            with terminal.bar("Importing") as bar, terminal.stop_on_interrupt("the import") as stop:
                name = import_gguf(
                    place,
                    opened.models_folder,
                    progress=lambda what, done, total: bar(done, total),
                    cancelled=lambda: stop.asked,
                )
    terminal.tell(f'It can be used as model = "{name}".')
    terminal.result({"model": name})


@app.command()
def download(
    model: Annotated[str, typer.Argument(metavar="ID", help="Of the hub, such as someone/some-model.")],
    yes: YesOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a model from the Hugging Face hub: safetensors, config and tokenizer alone. Says its size and asks first."""
    from rlhf_lab.runs import model_work
    from rlhf_lab.runs.project import Project
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    with Project.open(project) as opened:
        folder = opened.models_folder
    offered = model_work.look(model, folder)
    terminal.say(offered.in_words)
    if not yes:
        _confirm("Download it?", "downloaded", as_json=as_json)
    with terminal.bar("Downloading") as bar, terminal.stop_on_interrupt("the download") as stop:
        name = model_work.download(
            model, folder, progress=lambda what, done, total: bar(done, total), cancelled=lambda: stop.asked
        )
    terminal.tell(f'It can be used as model = "{name}".')
    terminal.result({"model": name, "bytes": offered.bytes})


@app.command()
def remove(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As the list calls it.")],
    yes: YesOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a folder off the list, or delete an import or a download from the disk, for good."""
    from rlhf_lab.runs import model_shelf
    from rlhf_lab.runs.project import Project
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    with Project.open(project) as opened:
        found = model_shelf.find(opened, model)
        question = model_shelf.removal(opened, found)
        if not yes:
            _confirm(question, "removed", as_json=as_json)
        model_shelf.remove(opened, found)
    terminal.tell(f"{found.title} is gone.")
    terminal.result({"removed": found.name})


def _confirm(question: str, done: str, *, as_json: bool) -> None:
    """Raises `LabError` where the person says no, or, with ``--json``, is not asked."""
    if as_json or not typer.confirm(question, err=True):
        raise LabError(f"Nothing was {done}. With --yes it is, without asking.")


def _checked(project: "Project", found: "list[Shelved]") -> dict[str, str]:
    """The problem of each model that is not refused at first sight, as a run would find it."""
    from rlhf_lab.runs.model_work import check_models

    problems: dict[str, str] = {}
    names = [model.name for model in found if model.kind != "run" and not model.quick_problem]
    check_models(names, project.models_folder, problems.__setitem__)
    return problems


def _as_json(model: "Shelved", checked: str | None) -> dict[str, Any]:
    facts = model.facts
    return {
        "model": model.name,
        "kind": model.kind,
        "architecture": facts.architecture,
        "parameters": facts.parameters,
        "dtype": facts.dtype,
        "bytes": model.bytes,
        "folder": str(model.folder),
        "used_by": list(model.used_by),
        "problem": model.quick_problem if checked is None else checked,
    }
