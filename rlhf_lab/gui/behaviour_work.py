"""The behaviour report as a task of the window: the models answer in a child of their own, what they said is reckoned here."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.models.behaviour import ReportWish, examined

if TYPE_CHECKING:
    from rlhf_lab.runs.behaviour_report import BehaviourReport
    from rlhf_lab.runs.project import Project
    from rlhf_lab.store import Store


@dataclass(frozen=True)
class Made:
    """A report, and its page in the project's ``reports``."""

    report: "BehaviourReport"
    page: Path


def make_report(project: "Project", wish: ReportWish) -> Work:
    """Work for `Lab.in_background`: a `Made`, or None where it was cancelled; each `part` names the model that answers.

    Raises `LabError` at once where a model cannot be asked.
    """
    models = examined(project, wish.models)

    def work(store: "Store", task: Background) -> Made | None:
        from rlhf_lab.runs.behaviour_page import render
        from rlhf_lab.runs.behaviour_questions import at_most, questions_for
        from rlhf_lab.runs.behaviour_report import Asking, examine, new_place, write

        notices: list[str] = []
        items = at_most(questions_for(models, wish.files, notices), wish.most)

        found = examine(
            models,
            items,
            project.models_folder,
            Asking(wish.max_new_tokens, wish.seed),
            progress=task.tell,
            cancelled=task.cancelled,
        )
        if found is None:
            return None
        found = replace(found, notices=tuple(notices))
        page = new_place(project.folder)
        write(found, render(found), page)
        return Made(found, page)

    return work


def compare_with(report: "BehaviourReport", reference: str) -> Work:
    """Work for `Lab.in_background`: the same answers, held against another model."""

    def work(store: "Store", task: Background) -> "BehaviourReport":
        from rlhf_lab.runs.behaviour_report import against

        return against(report, reference)

    return work


def save_report(report: "BehaviourReport", place: Path) -> Work:
    """Work for `Lab.in_background`: write the page, and all numbers and answers beside it as JSON; where they are."""

    def work(store: "Store", task: Background) -> tuple[Path, Path]:
        from rlhf_lab.runs.behaviour_page import render
        from rlhf_lab.runs.behaviour_report import write

        return place, write(report, render(report), place)

    return work
