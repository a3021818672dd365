"""Which models a behaviour report asks, and what: ticks, question files, amounts, how far it is."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QFrame, QGridLayout, QHBoxLayout, QPushButton, QSpinBox, QVBoxLayout

from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.gui.models.behaviour import ReportWish, first_choice
from rlhf_lab.gui.models.contenders import Contender
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import HelpMark
from rlhf_lab.gui.widgets.model_list import ModelList
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip
from rlhf_lab.gui.widgets.task_bar import TaskBar
from rlhf_lab.runs.behaviour_models import MOST_MODELS

BUNDLED_QUESTIONS = "The bundled world's questions"


class BehaviourSetup(QFrame):
    """Says `asked` with a `ReportWish`, and `cancelled`."""

    asked = Signal(object)
    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "card")
        self._files: tuple[Path, ...] = ()
        self._busy = False
        self.models = ModelList("Models to ask")
        self.questions = PlainLabel(BUNDLED_QUESTIONS)
        self.add = QPushButton("Own questions…")
        self.add.setToolTip("Files with a question a line, asked instead of the bundled ones")
        theme().keep_icon(self.add, "folder")
        self.bundled = QPushButton("Bundled ones")
        self.bundled.setToolTip("Ask the bundled world's questions again")
        self.most = _number("Questions of each kind at most", 0, 20_000, 0, special="all")
        self.most.setToolTip("Fewer are faster, and tell less: 50 give a share to ±14 points, 200 to ±7")
        self.longest = _number("Longest answer", 8, 2048, 80, suffix=" tokens")
        self.longest.setToolTip("Longer answers are cut")
        self.seed = _number("Seed", 0, 2**31 - 1, 0)
        self.seed.setToolTip("Of the answers that are drawn; the same seed asks the same again")
        self.problem = PlainLabel(role="warn", wrap=True)
        self.doing = PlainLabel(role="muted")
        self.progress = TaskBar("How many answers are there", lambda done, total: f"{done:,} of {total:,} answers")
        self.go, self.cancel = QPushButton("Ask them"), QPushButton("Cancel")
        self.go.setProperty("look", "primary")
        theme().keep_icon(self.go, "send")
        theme().keep_icon(self.cancel, "stop")
        self._lay_out()
        self.models.itemChanged.connect(self._check)
        self.add.clicked.connect(self._browse)
        self.bundled.clicked.connect(self._forget_files)
        self.go.clicked.connect(self._ask)
        self.cancel.clicked.connect(self.cancelled)
        self.take_files(())
        self.show_busy(False)

    def offer(self, known: Sequence[Contender]) -> None:
        """Offer these models, runs in the order in which they were made; the base, the newest SFT run and policy are ticked."""
        bases = [model for model in known if model.run is None]
        runs = [model for model in known if model.run is not None]
        self.models.offer([*bases, *reversed(runs)], first_choice(known))
        self._check()

    def take_models(self, models: Sequence[Contender]) -> None:
        """Tick these alone."""
        self.models.tick(models)

    def take_files(self, files: Sequence[Path]) -> None:
        """Ask the questions of these files; of none: the bundled ones."""
        self._files = tuple(files)
        names = ", ".join(file.name for file in files)
        self.questions.setText(names or BUNDLED_QUESTIONS)
        self.questions.setToolTip(plain_tip("\n".join(map(str, files))))
        self.bundled.setVisible(bool(files))

    def wish(self) -> ReportWish:
        """What is to be asked."""
        return ReportWish(
            models=tuple(self.models.ticked()),
            files=self._files,
            most=self.most.value() or None,
            max_new_tokens=self.longest.value(),
            seed=self.seed.value(),
        )

    def show_busy(self, busy: bool) -> None:
        """Whether models are answering."""
        self._busy = busy
        for widget in (self.models, self.add, self.bundled, self.most, self.longest, self.seed):
            widget.setEnabled(not busy)
        self.go.setVisible(not busy)
        self.cancel.setVisible(busy)
        self.progress.setVisible(busy)
        self.doing.setText("")
        self.doing.setVisible(busy)
        if busy:
            self.progress.begin()
            self.show_problem("")

    @Slot(object)
    def show_model(self, name: str) -> None:
        """Which model answers now."""
        self.doing.setText(f"{name} answers…")

    def show_problem(self, problem: str) -> None:
        """Say what is wrong; "" takes it away."""
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))

    @Slot()
    def _check(self) -> None:
        count = len(self.models.ticked())
        reason = "Tick at least one model." if not count else ""
        if count > MOST_MODELS:
            reason = f"A report is of {MOST_MODELS} models at most; {count} are ticked."
        self.go.setEnabled(not reason)
        self.go.setText(" Ask it" if count == 1 else f" Ask all {count}" if count > 2 else " Ask both")
        self.show_problem(reason)

    @Slot()
    def _ask(self) -> None:
        self.asked.emit(self.wish())

    @Slot()
    def _browse(self) -> None:
        dialog = QFileDialog(self, "Questions", str(typed_path("~")), "Questions (*.jsonl *.json *.txt)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(self._chosen)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    @Slot(list)
    def _chosen(self, paths: list[str]) -> None:
        self.take_files([Path(path) for path in paths])

    @Slot()
    def _forget_files(self) -> None:
        self.take_files(())

    def _lay_out(self) -> None:
        left = QVBoxLayout()
        left.setSpacing(6)
        left.addWidget(PlainLabel("Models", role="strong"))
        left.addWidget(self.models)
        left.addStretch(1)
        asked = QHBoxLayout()
        asked.setSpacing(8)
        for widget in (self.questions, HelpMark.about("control.questions"), self.add, self.bundled):
            asked.addWidget(widget)
        asked.addStretch(1)
        amounts = QHBoxLayout()
        amounts.setSpacing(8)
        for words, box in (("Of each kind", self.most), ("Longest answer", self.longest), ("Seed", self.seed)):
            label = PlainLabel(words, role="muted")
            label.setBuddy(box)
            amounts.addWidget(label)
            amounts.addWidget(box)
            amounts.addSpacing(8)
        amounts.addStretch(1)
        foot = QHBoxLayout()
        foot.setSpacing(12)
        foot.addWidget(self.doing)
        foot.addWidget(self.progress, 1)
        foot.addStretch(1)
        foot.addWidget(self.cancel)
        foot.addWidget(self.go)
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addWidget(PlainLabel("Questions", role="strong"))
        right.addLayout(asked)
        right.addLayout(amounts)
        right.addWidget(self.problem)
        right.addStretch(1)
        right.addLayout(foot)
        grid = QGridLayout(self)
        grid.setContentsMargins(16, 12, 16, 12)
        grid.setHorizontalSpacing(24)
        grid.addLayout(left, 0, 0)
        grid.addLayout(right, 0, 1)
        grid.setColumnStretch(0, 2)
        grid.setColumnStretch(1, 5)


def _number(name: str, low: int, high: int, value: int, *, suffix: str = "", special: str = "") -> QSpinBox:
    box = QSpinBox()
    box.setAccessibleName(name)
    box.setRange(low, high)
    box.setValue(value)
    box.setSuffix(suffix)
    box.setSpecialValueText(special)
    box.lineEdit().setTextMargins(6, 0, 0, 0)
    return box
