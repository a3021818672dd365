"""Commands about what scores answers: approve a reward function, read a reward model's diagnosis."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlhf_lab.cli_options import JsonOption, ProjectOption
from rlhf_lab.core.errors import LabError

if TYPE_CHECKING:
    from rlhf_lab.core.events import Diagnosis
    from rlhf_lab.runs.project import Project
    from rlhf_lab.terminal import Terminal


def approve(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Python file with a function reward(…).")],
    yes: Annotated[bool, typer.Option("--yes", help="You have read it: do not show it and ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read a reward function and let it run; a changed file asks again."""
    from rlhf_lab.runs.approval import approve as remember
    from rlhf_lab.runs.approval import is_approved, read_function
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    function = read_function(file)
    known = is_approved(function)
    if not known and not yes:
        _ask(function.text, f"{function.path}\nSHA-256 {function.sha256}", terminal)
    remember(function)
    terminal.tell(f"{function.path} {'was approved already' if known else 'is approved'} (SHA-256 {function.sha256}).")
    terminal.result({"file": str(function.path), "sha256": function.sha256, "approved": True})


def _ask(text: str, where: str, terminal: "Terminal") -> None:
    """Show the text and ask; raises `LabError` unless the answer is yes."""
    if terminal.machine or not sys.stdin.isatty():
        raise LabError("Nobody is here to read the file and to answer. Read it, then approve it with --yes.")
    terminal.tell(f"{text.rstrip()}\n\n{where}")
    if not typer.confirm("This code will run as you, with your rights. Let it run?"):
        raise LabError("It is not approved.")


def diagnose(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A reward run, such as reward-1.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a reward model is good enough to optimise against, and where it is wrong."""
    from rlhf_lab.runs.diagnosis_words import in_words
    from rlhf_lab.runs.project import Project
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    with Project.open(project) as opened:
        last = _last_diagnosis(opened, run)
    for line in in_words(last.found):
        terminal.tell(line)
    terminal.result({"run": run, "step": last.step, **last.found.model_dump(mode="json")})


def _last_diagnosis(project: "Project", run: str) -> "Diagnosis":
    from rlhf_lab.core.events import Diagnosis
    from rlhf_lab.runs.recorder import Recorder

    folder = project.run(run)
    if folder.manifest.stage != "reward":
        raise LabError(f"{run} is a run of {folder.manifest.stage}; a diagnosis is of a reward run.")
    Recorder(project.store).catch_up(folder)
    found = [event for event in project.store.events(run, ["diagnosis"]) if isinstance(event, Diagnosis)]
    if not found:
        raise LabError(f"{run} holds no diagnosis yet: it is made at each look at held-out pairs after the first.")
    return found[-1]
