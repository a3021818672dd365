"""Models that can be compared, and where a model and a mode of asking do not fit. No Qt."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rlhf_lab.core.config import POLICY_STAGES
from rlhf_lab.core.records import PromptOnly
from rlhf_lab.gui.models.offers import finished_runs, known_models, run_title
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.plan import STARTS
from rlhf_lab.runs.project import Project

Mode = Literal["chat", "raw"]
BUNDLED = "bundled"


@dataclass(frozen=True)
class Contender:
    """A base without adapters (``run`` is None), or what a run left."""

    model: str
    run: str | None = None
    stage: str = ""

    @property
    def title(self) -> str:
        """What people call it."""
        if self.run is not None:
            return run_title(self.run)
        return "Base model" if self.model == BUNDLED else f"Base {Path(self.model).name or self.model}"

    @property
    def tip(self) -> str:
        """The title, with all of a long path."""
        return self.title if self.run is not None else f"The base model {self.model}, as it is"

    def spec(self, project: Project) -> ModelSpec:
        """How to ask for it; raises `LabError` when its run is gone."""
        return project.model_spec(self.run, model=self.model)


def contenders(project: Project) -> list[Contender]:
    """All models of the project: bases first, then runs, the newest first."""
    bases = list(dict.fromkeys([BUNDLED, *known_models(project)]))
    runs = finished_runs(project, STARTS)
    return [Contender(model) for model in bases] + [Contender("", row.run, row.stage) for row in runs]


def opening(known: list[Contender], count: int) -> list[Contender]:
    """What to compare first: where the newest policy came from, and that policy; else the base and the newest run.

    Behind these stand other models, the newest first; where there are too few, some stand there twice.
    """
    tuned = next((c for c in known if c.stage == "sft"), None)
    policy = next((c for c in known if c.stage in POLICY_STAGES), None)
    first = [tuned if policy and tuned else known[0], policy or tuned or known[0]]
    runs, bases = [c for c in known if c.run is not None], [c for c in known if c.run is None]
    more = [c for c in bases[:1] + runs + bases[1:] if c not in first]
    return (first + more + known * count)[:count]


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
