"""The command that says how models behave, and what training changed of it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlhf_lab.cli_options import JsonOption, ProjectOption
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.typed_path import typed_path

if TYPE_CHECKING:
    from rlhf_lab.runs.behaviour_models import Examined
    from rlhf_lab.runs.behaviour_questions import Item
    from rlhf_lab.runs.behaviour_report import Asking, BehaviourReport
    from rlhf_lab.terminal import Terminal


def report(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL…",
            help="Runs, run@step (a save of one), base (what they were trained on), bundled, folders, .gguf files, hub "
            "ids; the first is what the others are compared with.",
        ),
    ],
    questions: Annotated[
        list[Path] | None,
        typer.Option("--questions", metavar="FILE", help="Questions of your own (docs/questions.md); may be repeated."),
    ] = None,
    most: Annotated[int | None, typer.Option("--most", min=1, help="Questions of each kind at most.")] = None,
    tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Longer answers are cut.")] = 64,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the answers that are drawn.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.html", help="The page; the numbers go beside it as .json.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask models the same questions: knowledge, refusals, tone, length, KL; what moved and what did not."""
    from rlhf_lab.runs import behaviour_page
    from rlhf_lab.runs import behaviour_report as work
    from rlhf_lab.runs.behaviour_models import models_of
    from rlhf_lab.runs.behaviour_questions import at_most, questions_for
    from rlhf_lab.runs.project import Project
    from rlhf_lab.terminal import Terminal

    if out is not None and out.suffix != ".html":
        raise LabError(f"--out {out}: name a file that ends in .html; the numbers go beside it.")
    terminal = Terminal(machine=as_json)
    notices: list[str] = []
    with Project.open(project) as opened:
        examined = models_of(opened, models)
        items = at_most(questions_for(examined, questions or [], notices), most)
        for notice in notices:
            terminal.say(notice)
        place = typed_path(out or work.new_place(opened.folder)).absolute()
        _spare(questions or [], place)
        found = _ask(examined, items, opened.models_folder, work.Asking(tokens, seed), terminal)
    found = replace(found, notices=tuple(notices))
    numbers = work.write(found, behaviour_page.render(found), place)
    for line in work.in_words(found):
        terminal.tell(line)
    terminal.tell(f"The page is {place}")
    terminal.result(work.as_json(found, answers=False) | {"html": str(place), "json": str(numbers)})


def _spare(questions: list[Path], place: Path) -> None:
    """Raise `LabError` where the report would be written over the questions."""
    for file in questions:
        if file.resolve() in (place.resolve(), place.with_suffix(".json").resolve()):
            raise LabError(f"The report would be written over the questions in {file}. Give --out another name.")


def _ask(
    models: "list[Examined]", items: "list[Item]", folder: Path, asking: "Asking", terminal: "Terminal"
) -> "BehaviourReport":
    from rlhf_lab.runs.behaviour_report import examine

    with terminal.bar("Asking") as bar, terminal.stop_on_interrupt("the report") as stop:
        found = examine(
            models,
            items,
            folder,
            asking,
            progress=lambda model, done, total: bar(done, total),
            cancelled=lambda: stop.asked,
        )
    if found is None:
        raise LabError("The report was cancelled; nothing was written.")
    return found
