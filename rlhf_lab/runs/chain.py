"""A recipe under way: which step can begin now, what becomes of the others when one fails. It starts nothing itself."""

import secrets
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.recipe import Place, Recipe, Step, expand
from rlhf_lab.runs.file_state import file_states
from rlhf_lab.runs.project import Project
from rlhf_lab.store import RunRow

_FILES = {
    "model": ("the files of its model have changed", "the files of its model were not noted then"),
    "reward_function": ("its reward function has changed", "its reward function was not noted then"),
}
"""By the settings that `file_states` knows: where its files are others now, and where nobody knows whether they are."""

StepState = Literal["waiting", "begun", "done", "stopped", "failed", "skipped"]


@dataclass
class Chain:
    """Plain bookkeeping for whoever starts the runs; use it from one thread.

    Ask `next` for a step, start its run (or resume the one in ``unfinished``), say `begun`, and `ended` when it has.
    """

    recipe: Recipe
    steps: list[Step]
    group: str
    runs: dict[str, str] = field(default_factory=dict)
    """The run of each step that has begun, by the step's key."""
    unfinished: dict[str, str] = field(default_factory=dict)
    """Runs of an earlier start that did not come to their end, by the step's key: to be resumed."""
    messages: dict[str, str] = field(default_factory=dict)
    """Why a step failed or was skipped, in words."""
    anew: dict[str, str] = field(default_factory=dict)
    """Why an earlier run of a step's settings is not taken for it, in words, by the step's key."""
    _states: dict[str, StepState] = field(default_factory=dict)
    _halted: bool = False

    @classmethod
    def of(cls, recipe: Recipe, earlier: Project | None = None) -> "Chain":
        """Begin at the beginning; or, with a project, after what was done in it before: with the same settings, on data
        and files that are as they were, from the very runs that are taken for the stages before it."""
        made = cls(recipe, expand(recipe), f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}")
        if earlier is not None:
            made._take_up(earlier)
        return made

    def state(self, step: Step) -> StepState:
        """Where a step stands."""
        return self._states.get(step.key, "waiting")

    def next(self) -> Step | None:
        """The first step that can begin now, in the order of the recipe."""
        if self._halted:
            return None
        return next(
            (step for step in self.steps if self.state(step) == "waiting" and self._grounds_are_done(step)), None
        )

    def config(self, step: Step) -> RunConfig:
        """What the step's run is asked to do."""
        return step.config(self.runs)

    def place(self, step: Step) -> Place:
        """What the step's run is to keep of where it stands."""
        return Place(
            group=self.group,
            recipe=self.recipe.name,
            step=step.key,
            stage=step.stage,
            digest=step.digest,
            varied=dict(step.varied),
            stands_on=self._grounds(step),
        )

    def begun(self, step: Step, run: str) -> None:
        """Its run was made, or is resumed."""
        self.runs[step.key], self._states[step.key] = run, "begun"

    def ended(self, step: Step, outcome: str, message: str = "") -> None:
        """Its run has ended, or could not be made ("failed")."""
        self._states[step.key] = "done" if outcome == "done" else "failed" if outcome == "failed" else "stopped"
        if outcome == "done":
            return
        self.messages[step.key] = message
        if self.recipe.on_failure == "stop":
            self.halt()
        for other in self.steps:  # they stand in order: what is skipped lets others be skipped
            lost = [key for key in other.needs.values() if self._states.get(key) in ("failed", "stopped", "skipped")]
            if lost and self.state(other) == "waiting":
                self._states[other.key] = "skipped"
                self.messages[other.key] = f"Skipped, since {lost[0]} is not done."

    def halt(self) -> None:
        """Begin nothing more; what has begun goes on."""
        self._halted = True

    @property
    def going(self) -> bool:
        """Whether a run is under way or one more can begin."""
        return self.next() is not None or "begun" in self._states.values()

    @property
    def done(self) -> bool:
        """Whether every step is done."""
        return all(self.state(step) == "done" for step in self.steps)

    @property
    def can_be_done(self) -> bool:
        """Whether every step is done, or may still be."""
        lost = {"stopped", "failed", "skipped"}
        return self.done or not (self._halted or lost.intersection(self._states.values()))

    @property
    def left(self) -> list[Step]:
        """The steps that wait, as long as they may still begin."""
        return [] if self._halted else [step for step in self.steps if self.state(step) == "waiting"]

    def _take_up(self, earlier: Project) -> None:
        found: defaultdict[str, list[tuple[RunRow, Place]]] = defaultdict(list)
        for row in reversed(earlier.store.runs()):
            if row.place is not None:
                found[row.place.digest].append((row, row.place))
        newest = 0.0
        for step in self.steps:
            config, like = step.planned, found[step.digest]
            data, files = earlier.store.data_state(config.dataset), file_states(config)
            changes = [self._change(step, row, place, data, files) for row, place in like]
            if "" not in changes:
                if changes:
                    self.anew[step.key] = f"{step.key} is done anew, since {changes[0]}."
                continue
            row, place = like[changes.index("")]
            if row.outcome == "done":
                self.runs[step.key], self._states[step.key] = row.run, "done"
            else:
                self.unfinished[step.key] = row.run
            if row.created >= newest:
                newest, self.group = row.created, place.group

    def _change(self, step: Step, row: RunRow, place: Place, data: str, files: Mapping[str, str]) -> str:
        """Why a run of the same settings is not what the step would be now, in words; "" where it is."""
        if place.stands_on is None:
            return "that of before is of an older version, which did not note what it stood on"
        if not self._grounds_are_done(step) or place.stands_on != self._grounds(step):
            return "that of before stood on other runs"
        if not place.data:  # where it waits, its copy is still to be made
            return "" if row.outcome == "queued" else "that of before never got its data"
        if place.data != data:
            return "its data set has changed"
        return " and ".join(
            changed if name in place.files else unknown
            for name, (changed, unknown) in _FILES.items()
            if files.get(name) != place.files.get(name)
        )

    def _grounds(self, step: Step) -> dict[str, str]:
        return {name: self.runs[key] for name, key in step.needs.items()}

    def _grounds_are_done(self, step: Step) -> bool:
        return all(self._states.get(key) == "done" for key in step.needs.values())


def early_reasons(project: Project, recipe: Recipe) -> list[str]:
    """Why a recipe could not run, as far as that can be known before its first run: data sets, bases, runs named."""
    found: dict[str, None] = {}
    for step in expand(recipe):
        pending = tuple(f"{name}: " for name in step.needs)
        for reason in project.check(step.planned):
            if not reason.startswith(pending):
                found[f"{step.stage}: {reason}"] = None
    return list(found)
