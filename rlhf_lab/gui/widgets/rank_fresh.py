"""Which models write answers to which prompts, to be ranked as they come."""

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.gui.models.contenders import Contender
from rlhf_lab.gui.models.fresh import FEWEST, MOST, FreshPlan
from rlhf_lab.gui.widgets.model_list import ModelList
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line


class FreshPage(QWidget):
    """Says `asked` with a plan that can be carried out."""

    asked = Signal(object)
    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.prompts = QComboBox()
        self.prompts.setAccessibleName("Prompts of")
        self.models = ModelList("Models that write")
        self.answers = QSpinBox()
        self.answers.setAccessibleName("Answers to each prompt")
        self.answers.setRange(FEWEST, MOST)
        self.answers.setToolTip("Two are compared side by side, more are ranked")
        self.temperature = QDoubleSpinBox()
        self.temperature.setAccessibleName("Temperature")
        self.temperature.setRange(0.1, 2.0)
        self.temperature.setSingleStep(0.1)
        self.temperature.setValue(1.0)
        self.temperature.setToolTip("1 samples as trained; lower makes the answers more alike")
        self.longest = QSpinBox()
        self.longest.setAccessibleName("Longest answer")
        self.longest.setRange(8, 2048)
        self.longest.setValue(128)
        self.longest.setSuffix(" tokens")
        for box in (self.answers, self.temperature, self.longest):
            box.lineEdit().setTextMargins(6, 0, 0, 0)
        self.problem = PlainLabel(role="warn", wrap=True)
        self.go = QPushButton("Start writing")
        self.go.setProperty("look", "primary")
        self.cancel = QPushButton("Cancel")
        self.go.clicked.connect(self._ask)
        self.cancel.clicked.connect(self.cancelled)
        self.models.itemChanged.connect(self._check)
        self.answers.valueChanged.connect(self._check)
        self._lay_out()

    def offer(self, datasets: Sequence[str], models: Sequence[Contender], first: Sequence[Contender]) -> None:
        """Offer prompts and models; ``first`` are ticked unless the person ticked others before."""
        before = self.prompts.currentData()
        self.prompts.clear()
        for name in datasets:
            self.prompts.addItem(one_line(name, 60), name)
        self.prompts.setCurrentIndex(max(0, self.prompts.findData(before)))
        self.models.offer(models, first)
        self._check()

    def take_focus(self) -> None:
        """The keyboard is in the list of models."""
        self.models.setFocus()
        if self.models.currentRow() < 0:
            self.models.setCurrentRow(0)

    def plan(self) -> FreshPlan | None:
        """What is asked for; None while something is missing."""
        if not self.models.ticked() or self.prompts.currentData() is None:
            return None
        return FreshPlan(
            dataset=self.prompts.currentData(),
            models=tuple(self.models.ticked()),
            answers=self.answers.value(),
            temperature=self.temperature.value(),
            longest=self.longest.value(),
        )

    def _check(self) -> None:
        models, answers = len(self.models.ticked()), self.answers.value()
        problem = ""
        if self.prompts.currentData() is None:
            problem = "There are no prompts yet: import some on the Data pane."
        elif not models:
            problem = "Tick at least one model."
        elif models > answers:
            problem = f"{models} models need at least {models} answers to each prompt."
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.go.setEnabled(not problem)

    def _ask(self) -> None:
        plan = self.plan()
        if plan is not None:
            self.asked.emit(plan)

    def _lay_out(self) -> None:
        card = QFrame()
        card.setProperty("surface", "card")
        card.setFixedWidth(520)
        column = QVBoxLayout(card)
        column.setContentsMargins(28, 24, 28, 24)
        column.setSpacing(12)
        column.addWidget(PlainLabel("Write fresh answers", role="title"))
        column.addWidget(
            PlainLabel(
                "The models write while you rank, some records ahead of you, so that you need not wait. Who wrote what "
                "stays hidden until your verdict. The answers become a data set of their own.",
                role="muted",
                wrap=True,
            )
        )
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(10)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for words, field in (
            ("Models", self.models),
            ("Prompts of", self.prompts),
            ("Answers each", self.answers),
            ("Temperature", self.temperature),
            ("Longest answer", self.longest),
        ):
            form.addRow(PlainLabel(words), field)
        column.addLayout(form)
        column.addWidget(self.problem)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        row.addWidget(self.cancel)
        row.addWidget(self.go)
        column.addLayout(row)
        middle = QHBoxLayout()
        middle.addStretch(1)
        middle.addWidget(card)
        middle.addStretch(1)
        whole = QVBoxLayout(self)
        whole.addStretch(2)
        whole.addLayout(middle)
        whole.addStretch(3)
