"""Models that can be compared, and where a model and a mode of asking do not fit. No Qt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import POLICY_STAGES, run_title
from rlhf_lab.core.records import PromptOnly
from rlhf_lab.gui.models.offers import finished_runs, known_models, unfinished_runs
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.checkpoints import saved_steps
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.memory import asking_in_words
from rlhf_lab.runs.model_shelf import usable_names
from rlhf_lab.runs.plan import STARTS
from rlhf_lab.runs.project import Project
from rlhf_lab.store import RunRow

Mode = Literal["chat", "raw"]
BUNDLED = "bundled"


@dataclass(frozen=True)
class Contender:
    """A base without adapters (``run`` is None), what a run left, or what one that has no result yet saved at ``step``."""

    model: str
    run: str | None = None
    stage: str = ""
    step: int | None = None
    note: str = field(default="", compare=False)
    """What to know before it is asked."""
    best_of: int = 1
    """It writes so many answers, and a reward model chooses the one that counts."""

    @property
    def title(self) -> str:
        """What people call it."""
        return self._name if self.best_of == 1 else f"{self._name}, best of {self.best_of}"

    @property
    def _name(self) -> str:
        if self.run is not None:
            return run_title(self.run) if self.step is None else f"{run_title(self.run)} at step {self.step:,}"
        return "Base model" if self.model == BUNDLED else f"Base {Path(self.model).name or self.model}"

    @property
    def tip(self) -> str:
        """The title, with all of a long path."""
        return self.title if self.run is not None else f"The base model {self.model}, as it is"

    def spec(self, project: Project) -> ModelSpec:
        """How to ask for it; raises `LabError` when its run is gone."""
        return project.model_spec(self.run, model=self.model, step=self.step)

    def newer(self, known: Sequence["Contender"]) -> "Contender | None":
        """The newest that the same run has: its result, once there is one, else a later save."""
        if self.step is None:
            return None
        steps = {other.step: other for other in known if other.run == self.run}
        newest = steps.get(None) or max(steps.values(), key=lambda other: other.step or 0, default=None)
        return newest if newest is not None and (newest.step is None or newest.step > self.step) else None


def contenders(project: Project) -> list[Contender]:
    """All models of the project: bases first, then runs, the newest first, then saves of runs without a result yet."""
    bases = list(dict.fromkeys([BUNDLED, *known_models(project), *usable_names(project)]))
    runs = finished_runs(project, STARTS)
    saves = [save for row in unfinished_runs(project, STARTS) for save in _saves(project, row)]
    return [Contender(model) for model in bases] + [Contender("", row.run, row.stage) for row in runs] + saves


def _saves(project: Project, row: RunRow) -> list[Contender]:
    """The newest first; a run keeps two."""
    folder = RunFolder(project.runs_folder / row.run)
    if not (steps := saved_steps(folder)):
        return []
    try:
        config = folder.config
    except LabError:
        return []
    trains = (
        f"{run_title(row.run)} still trains." if row.outcome == "running" else f"{run_title(row.run)} has no result."
    )
    note = f"{trains} {asking_in_words(config.model, config.dtype)}".rstrip()
    return [Contender("", row.run, row.stage, step, note) for step in steps]


def opening(known: list[Contender], count: int) -> list[Contender]:
    """What to compare first: where the newest policy came from, and that policy; else the base and the newest run.

    Behind these stand other models, the newest first; where there are too few, some stand there twice.
    """
    whole = [c for c in known if c.step is None]
    tuned = next((c for c in whole if c.stage == "sft"), None)
    policy = next((c for c in whole if c.stage in POLICY_STAGES), None)
    first = [tuned if policy and tuned else known[0], policy or tuned or known[0]]
    runs, bases = [c for c in whole if c.run is not None], [c for c in whole if c.run is None]
    more = [c for c in bases[:1] + runs + bases[1:] if c not in first]
    return (first + more + whole * count)[:count]


def draws_problem(contender: Contender, mode: Mode, reward: str | None) -> str:
    """Why no best of its answers can be chosen; "" where it can, or need not be."""
    if contender.best_of == 1:
        return ""
    if mode == "raw":
        return "Reward models score answers in chat form only: none can choose the best of several raw ones."
    return "" if reward is not None else "Choose under “Scored by” which reward model picks the best of the answers."


def mismatch(contender: Contender, mode: Mode) -> str:
    """Why the answer will not show what the model can do; "" where they fit."""
    if contender.run is None and mode == "chat":
        certain = contender.model == BUNDLED
        return (
            "A base model only continues text: in chat it rambles and does not end. Ask it in raw completion."
            if certain
            else "If this base was never tuned for chat, it will ramble. Ask such a one in raw completion."
        )
    if contender.run is not None and mode == "raw":
        return "This model was trained as an assistant. Raw completion shows it outside of what it learned: use chat."
    return ""


@dataclass(frozen=True)
class Example:
    """A prompt to try, in both forms."""

    record: PromptOnly
    chat: str
    raw: str


def examples(project: Project, most: int = 12) -> list[Example]:
    """Some prompts of the project's prompt data sets, spread over each; questions with a raw form show it."""
    found: dict[str, Example] = {}
    rows = [row for row in project.store.datasets() if row.kind == "prompt" and row.records]
    for row in rows:
        share = max(1, most // len(rows))
        for part in range(share):
            page = project.store.page_at(row.name, part * row.records // share, 1)
            for record in (entry.record for entry in page):
                text = record.prompt.messages[-1].content
                raw = str(record.prompt.tags.get("raw", f"Question: {text}\nAnswer:"))
                found.setdefault(text, Example(record, text, raw))
    return list(found.values())
