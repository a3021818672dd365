"""Asks which settings to sweep over, and for how many seeds; says how many runs that is, and how long."""

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import STAGE_NAMES, run_title, so_many
from rlhf_lab.core.recipe import Recipe, expand
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.form import shown
from rlhf_lab.gui.models.sweep import estimate, parse_values, sweep_recipe, sweepable
from rlhf_lab.gui.run_state import in_words
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip

_FIELDS = 2
_MOST_SEEDS = 50
_AFTER_MS = 150


class SweepDialog(QDialog):
    """Stands beside the window; says `begun` with the first of its runs."""

    begun = Signal(str)

    def __init__(self, lab: Lab, config: RunConfig, parent: QWidget | None = None):
        super().__init__(parent)
        self._lab, self._config = lab, config
        lab.actions.help_within(self, "control.sweep")
        self._questions = sweepable(config.stage)
        self.recipe: Recipe | None = None
        """What would be run; None while it is not whole."""
        title = f"Sweep over settings of {STAGE_NAMES[config.stage]}"
        self.setWindowTitle(title)
        self.setMinimumWidth(600)
        self.fields = [self._field(place) for place in range(_FIELDS)]
        self.values = [QLineEdit() for _ in range(_FIELDS)]
        self.seeds = QSpinBox()
        self.seeds.setRange(1, _MOST_SEEDS)
        self.seeds.setAccessibleName("Seeds")
        self.seeds.lineEdit().setTextMargins(6, 0, 0, 0)
        self.paired = QCheckBox("Take the first values together, then the second ones; not every combination")
        self.told, self.problem = PlainLabel(wrap=True), PlainLabel(role="warn", wrap=True)
        self.start, cancel = QPushButton("Add to queue"), QPushButton("Cancel")
        self.start.setProperty("look", "primary")
        self.start.setDefault(True)
        self._timer = QTimer(self, singleShot=True, interval=_AFTER_MS)
        self._timer.timeout.connect(self.check)
        for place, (field, values) in enumerate(zip(self.fields, self.values, strict=True)):
            values.setAccessibleName(f"Values of setting {place + 1}")
            field.currentIndexChanged.connect(self._field_chosen)
            values.textEdited.connect(self._timer.start)
        self._lay_out(title, cancel)
        self.seeds.valueChanged.connect(self._timer.start)
        self.paired.toggled.connect(self._timer.start)
        self.start.clicked.connect(self._start)
        cancel.clicked.connect(self.reject)
        lab.closing.connect(self._leave)
        self.check()

    @Slot()
    def _leave(self) -> None:
        self._timer.stop()
        self.reject()

    @Slot()
    def check(self) -> None:
        """Say what would be run, or what is missing."""
        self._timer.stop()
        chosen = [place for place, box in enumerate(self.fields) if box.currentIndex() > 0]
        for place, line in enumerate(self.values):
            line.setEnabled(place in chosen)
        self.paired.setVisible(len(chosen) > 1)
        self.recipe, words, problem = None, "", ""
        try:
            self.recipe = self._made(chosen)
            words = self._in_words(self.recipe) if self.recipe is not None else ""
        except LabError as error:
            problem = str(error)
        if self.recipe is None and not problem:
            words = "Choose a setting and its values, or two seeds or more."
        self.told.setText(words)
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.start.setEnabled(self.recipe is not None)
        count = len(expand(self.recipe)) if self.recipe is not None else 0
        self.start.setText(f"Add {count} runs to the queue" if count > 1 else "Add to queue")

    def _made(self, chosen: list[int]) -> Recipe | None:
        if not chosen and self.seeds.value() == 1:
            return None
        fields = {}
        for place in chosen:
            question = self._questions[self.fields[place].currentIndex() - 1]
            if question.name in fields:
                raise LabError(f"{question.label} stands there twice.")
            fields[question.name] = parse_values(question, self.values[place].text())
        return sweep_recipe(self._config, fields, self.seeds.value(), paired=self.paired.isChecked())

    def _in_words(self, recipe: Recipe) -> str:
        count = so_many(len(expand(recipe)), "run")
        known = estimate(self._lab.project.store, recipe)
        if known is None:
            return f"{count}. How long one takes is not known yet: none of this stage is done."
        return f"{count}, about {in_words(known.seconds)} in all, after what {run_title(known.after)} took a step."

    def _field(self, place: int) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(f"Setting {place + 1}")
        box.addItem("No setting, seeds alone" if place == 0 else "No other setting")
        for question in self._questions:
            box.addItem(question.label, question.name)
            box.setItemData(box.count() - 1, plain_tip(question.tip), Qt.ItemDataRole.ToolTipRole)
        return box

    @Slot()
    def _field_chosen(self) -> None:
        """Its values begin with the one of the form."""
        box = self.sender()
        assert isinstance(box, QComboBox)
        place = self.fields.index(box)
        name = box.currentData()
        self.values[place].setText(shown(getattr(self._config, name)) if name else "")
        self.check()
        if name:
            self.values[place].setFocus()
            self.values[place].end(False)

    @Slot()
    def _start(self) -> None:
        self.check()
        if self.recipe is None:
            return
        try:
            walk = self._lab.recipes.begin(self.recipe)
        except LabError as error:
            self.problem.setText(str(error))
            self.problem.show()
            return
        walk.go_on()
        self.accept()
        if runs := list(walk.chain.runs.values()):
            self.begun.emit(runs[0])

    def _lay_out(self, title: str, cancel: QPushButton) -> None:
        lead = (
            "One run for each value, with the form's settings otherwise. They wait in the queue, have a tag in common, and "
            "the Sweep tab of the Runs pane draws what came of them."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(12)
        column.addWidget(PlainLabel(title, role="title"))
        column.addWidget(PlainLabel(lead, wrap=True))
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(2, 1)
        for place, (field, values) in enumerate(zip(self.fields, self.values, strict=True)):
            grid.addWidget(PlainLabel("Setting" if place == 0 else "and"), place, 0)
            grid.addWidget(field, place, 1)
            grid.addWidget(values, place, 2)
        grid.addWidget(PlainLabel("Seeds"), _FIELDS, 0)
        grid.addWidget(self.seeds, _FIELDS, 1)
        grid.addWidget(PlainLabel("Repeats of each; their spread is chance.", role="muted"), _FIELDS, 2)
        column.addLayout(grid)
        for widget in (self.paired, self.told, self.problem):
            column.addWidget(widget)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        row.addWidget(cancel)
        row.addWidget(self.start)
        column.addLayout(row)
