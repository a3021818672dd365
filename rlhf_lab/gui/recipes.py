"""Recipes and sweeps under way in the window: each run is made and queued once those that it stands on are done."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.run_state import ENDED

if TYPE_CHECKING:
    from rlhf_lab.core.recipe import Recipe, Step
    from rlhf_lab.gui.lab import Lab
    from rlhf_lab.runs.chain import Chain


class RecipeWalk(QObject):
    """One recipe from its first run to its last, or to the failure that ends it."""

    begun = Signal(str, str)
    """Key of the step, and its run."""
    changed = Signal()
    """A step began, ended or was skipped."""
    over = Signal()

    def __init__(self, lab: "Lab", chain: "Chain", follows: str = "", parent: QObject | None = None):
        super().__init__(parent)
        self._lab, self.chain, self._follows = lab, chain, follows
        self._steps = {run: step for step in chain.steps if (run := chain.runs.get(step.key)) is not None}
        self.is_over = False
        lab.run_changed.connect(self._run_changed)

    @property
    def name(self) -> str:
        """What people call the recipe."""
        return self.chain.recipe.name or "recipe"

    @property
    def loss(self) -> str:
        """What would never begin without the window, in words; "" where everything has."""
        left, steps = len(self.chain.left), len(self.chain.steps)
        said = []
        if left:
            said.append(f"{left} of its {steps} runs {'has' if left == 1 else 'have'} not begun, and would not.")
        if self._follows and self.chain.can_be_done:
            said.append(f"{self._follows} would not be made.")
        if left:
            said.append(
                f"The {'runs' if self._follows else 'recipe'} can be taken up later from a file: to save one, “Cancel”, then "
                "“show…” in the menu of what waits."
            )
        return f"“{self.name}”: {' '.join(said)}" if said else ""

    def go_on(self) -> None:
        """Begin what can begin now. Data is copied for one run at a time: a sweep may have hundreds of them."""
        while not self.is_over and not self._lab.held and not self._copying():
            step = self.chain.next()
            if step is None:
                break
            self._begin(step)
        if not self.is_over and not self.chain.going:
            self.is_over = True
            self.over.emit()

    @Slot()
    def stop(self) -> None:
        """Stop and save what trains, cancel what waits, and begin nothing more."""
        self.chain.halt()
        for run, step in list(self._steps.items()):
            if self.chain.state(step) == "begun":
                self._lab.stop(run)
        self.go_on()

    def _begin(self, step: "Step") -> None:
        run = self.chain.unfinished.get(step.key)
        try:
            if run is None:
                # Noted before the lab tells of it: whoever hears of the run can ask for its step.
                run = self._lab.start(self.chain.config(step), self.chain.place(step))
            elif run not in (*self._lab.live(), *self._lab.queued()):
                self._lab.resume(run)
        except LabError as error:
            self._lab.message.emit(f"{self.name}: {step.key} could not begin. {error}")
            self.chain.ended(step, "failed", str(error))
            self._cancel_what_waits()
        else:
            self._steps[run] = step
            self.chain.begun(step, run)
            self.begun.emit(step.key, run)
        self.changed.emit()

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        step = self._steps.get(run)
        if step is None or self.is_over or run in self._lab.live():
            return
        if run not in self._lab.queued() and self.chain.state(step) == "begun":
            state = self._lab.state(run)
            if state.outcome not in ENDED:
                return
            self.chain.ended(step, state.outcome, state.message or state.outcome)
            if state.outcome != "done":
                self._cancel_what_waits()
            self.changed.emit()
        self.go_on()

    def _cancel_what_waits(self) -> None:
        """Where a failure ends the recipe, it ends for those too that are in the queue already."""
        if self.chain.recipe.on_failure == "stop":
            for run in self._lab.queued():
                if run in self._steps:
                    self._lab.stop(run)

    def _copying(self) -> bool:
        return any(run in self._steps for run in self._lab.being_copied())


class Recipes(QObject):
    """Those of this window. They end with it: their queued runs stay, and a recipe can be taken up where it was."""

    changed = Signal()
    ended = Signal(object)
    """A `RecipeWalk` that is over."""

    def __init__(self, lab: "Lab"):
        super().__init__(lab)
        self._lab = lab
        self._walks: list[RecipeWalk] = []

    def begin(self, recipe: "Recipe", *, resume: bool = False, follows: str = "") -> RecipeWalk:
        """Run it; raises `LabError` where it is known beforehand that it cannot. Call `RecipeWalk.go_on` once connected.

        ``resume``: what was done before with the same settings, data, files and runs below is taken as it is; what
        was begun goes on. ``follows``: what the window makes of it once it is done, as a sentence begins ("Its report").
        """
        from rlhf_lab.runs.chain import Chain, early_reasons  # the first window needs none of it

        if reasons := early_reasons(self._lab.project, recipe):
            raise LabError(" ".join(reasons))
        walk = RecipeWalk(self._lab, Chain.of(recipe, self._lab.project if resume else None), follows, self)
        walk.changed.connect(self.changed)
        walk.over.connect(self._over)
        self._walks.append(walk)
        return walk

    def walks(self) -> list[RecipeWalk]:
        """Those under way."""
        return list(self._walks)

    def losses(self) -> list[str]:
        """The `loss` of each that has one."""
        return [loss for walk in self._walks if (loss := walk.loss)]

    @Slot()
    def _over(self) -> None:
        walk = self.sender()
        assert isinstance(walk, RecipeWalk)
        self._walks.remove(walk)
        self.changed.emit()
        self.ended.emit(walk)
        walk.deleteLater()
