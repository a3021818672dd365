"""The left side of a pane that offers several algorithms: the choice, a sentence on it, and the form of its stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from rlhf_lab.core.naming import Stage
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.algorithms import ALGORITHMS, Algorithm, algorithm_of
from rlhf_lab.gui.widgets.launcher import Launcher
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs.plan import KINDS

KEPT = ("model", "start_from", "reward_model", "seed")
"""What stays when another algorithm is chosen, so that the two can be compared."""


class Launchers(QWidget):
    """One `Launcher` a stage, made when it is first chosen; with one stage alone there is nothing to choose."""

    started = Signal(str)
    chosen = Signal(str)
    """The stage of the form that is shown now."""

    def __init__(self, lab: Lab, stages: Sequence[Stage]):
        super().__init__()
        self._lab = lab
        self._launchers: dict[Stage, Launcher] = {}
        self._stage = stages[0]
        self._stack = QStackedWidget()
        self.algorithm = QComboBox()
        self.algorithm.setAccessibleName("Algorithm")
        self._offered = [a for a in ALGORITHMS if a.stage in stages] if len(stages) > 1 else []
        self.algorithm.addItems([a.title for a in self._offered])
        self.sentence = PlainLabel(role="caption", wrap=True)
        self._lay_out()
        self.algorithm.activated.connect(self._choose)
        self.show_stage(self._stage)

    @property
    def stage(self) -> Stage:
        """Of the form that is shown."""
        return self._stage

    @property
    def launcher(self) -> Launcher:
        """The form that is shown, with its buttons."""
        return self._launchers[self._stage]

    def show_stage(self, stage: Stage) -> None:
        """Show the form of this stage; what both forms have in common is taken along."""
        before, left = self._launchers.get(self._stage), self._stage
        if stage not in self._launchers:
            made = Launcher(self._lab, stage)
            made.started.connect(self.started)
            made.form.changed.connect(self._name)
            self._launchers[stage] = made
            self._stack.addWidget(made)
            self.setFixedWidth(made.minimumWidth())
        self._stage = stage
        if before is not None and left != stage:
            self._take_along(before, left)
        self._stack.setCurrentWidget(self.launcher)
        self._name()
        self.chosen.emit(stage)

    def choose(self, algorithm: Algorithm) -> None:
        """Show its form, with the settings that make it what it is."""
        self.show_stage(algorithm.stage)
        others = [a for a in self._offered if a.stage == algorithm.stage and a.settings]
        if others:
            usual = self.launcher.first_preset()
            plain = {name: usual[name] for other in others for name in other.settings}
            self.launcher.fill(plain | dict(algorithm.settings))

    def fill(self, fields: Mapping[str, Any]) -> None:
        """Enter these settings; "stage" among them chooses the form."""
        rest = dict(fields)
        self.show_stage(rest.pop("stage", self._stage))
        self.launcher.fill(rest)

    def _take_along(self, before: Launcher, left: Stage) -> None:
        common = (*KEPT, "dataset") if KINDS[left] == KINDS[self._stage] else KEPT
        was, now = before.form.answers(), self.launcher.form.answers()
        self.launcher.fill({name: was[name] for name in common if name in was and name in now})

    @Slot(int)
    def _choose(self, index: int) -> None:
        self.choose(self._offered[index])

    @Slot()
    def _name(self) -> None:
        if not self._offered or self._stage not in self._launchers:
            return
        found = algorithm_of(self._stage, self.launcher.form.answers())
        self.algorithm.setCurrentIndex(self._offered.index(found))
        self.algorithm.setAccessibleDescription(found.sentence)
        self.sentence.setText(found.sentence)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        if self._offered:
            card = QFrame()
            card.setProperty("surface", "card")
            inside = QVBoxLayout(card)
            inside.setContentsMargins(12, 10, 12, 10)
            inside.setSpacing(6)
            row = QHBoxLayout()
            row.setSpacing(8)
            caption = PlainLabel("Algorithm", role="strong")
            caption.setBuddy(self.algorithm)
            row.addWidget(caption)
            row.addWidget(self.algorithm, 1)
            inside.addLayout(row)
            inside.addWidget(self.sentence)
            column.addWidget(card)
        column.addWidget(self._stack, 1)
