"""Going on with a run that ended: from its last save, or, where it is done, to a greater total."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QDialog, QFormLayout, QHBoxLayout, QPushButton, QSpinBox, QVBoxLayout, QWidget

from rlhf_lab.core.config import step_word, total_field
from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.run_state import RunState
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip

_MOST = 10_000_000
_UNFINISHED = ("stopped", "failed", "interrupted")


class GoOnButton(QPushButton):
    """Says what it would do with the run that it is about; whoever has it hides or disables it while not `possible`."""

    def __init__(self, lab: Lab, parent: QWidget | None = None):
        super().__init__(" Resume", parent)
        self._lab = lab
        self._run: str | None = None
        self._dialog: FurtherDialog | None = None
        self.possible = False
        theme().keep_icon(self, "resume")
        self.clicked.connect(self._go_on)

    def show_run(self, run: str | None) -> None:
        """Be about this run, as it stands now."""
        self._run = run
        state = self._lab.state(run) if run is not None else None
        ended = state is not None and run not in self._lab.live() and run not in self._lab.queued()
        further = ended and state.outcome == "done" and total_field(state.stage) is not None
        self.possible = ended and (further or state.outcome in _UNFINISHED)
        text = f" More {step_word(state.stage)}s…" if further else " Resume"
        if self.text() != text or not self.toolTip():
            self.setText(text)
            self.setAccessibleName("Go on to a greater total" if further else "Resume this run")
            tip = (
                f"Add {step_word(state.stage)}s to this run"
                if further
                else "Go on from the last save, as if it had never ended"
            )
            self.setToolTip(plain_tip(tip))

    @Slot()
    def _go_on(self) -> None:
        if self._run is None:
            return
        state = self._lab.state(self._run)
        if state.outcome != "done":
            self._resume(self._run, {})
            return
        self._dialog = FurtherDialog(state, self.window())
        self._dialog.chosen.connect(self._further)
        self._dialog.finished.connect(self._dialog.deleteLater)
        self._dialog.open()

    @Slot(str, int)
    def _further(self, run: str, total: int) -> None:
        self._resume(run, {total_field(self._lab.state(run).stage): total})

    def _resume(self, run: str, changes: dict[str, object]) -> None:
        try:
            self._lab.resume(run, changes)
        except LabError as error:
            self._lab.message.emit(str(error))


class FurtherDialog(QDialog):
    """Asks for the new total of a run that is done."""

    chosen = Signal(str, int)
    """The run, and how many steps it shall have in all."""

    def __init__(self, state: RunState, parent: QWidget | None = None):
        super().__init__(parent)
        self._run = state.run
        word = step_word(state.stage)
        self.setWindowTitle(f"Go on with {state.title}")
        self.setMinimumWidth(480)
        self.total = QSpinBox()
        self.total.setAccessibleName(f"{word.capitalize()}s in all")
        self.total.lineEdit().setTextMargins(6, 0, 0, 0)
        self.total.setRange(state.step + 1, _MOST)
        self.total.setGroupSeparatorShown(True)
        self.total.setValue(2 * state.step)
        self.total.selectAll()
        self.go_on, cancel = QPushButton("Go on"), QPushButton("Cancel")
        self.go_on.setProperty("look", "primary")
        self.go_on.setDefault(True)
        self.go_on.clicked.connect(self._choose)
        cancel.clicked.connect(self.reject)
        told = f"{state.title} has done all of its {state.step:,} {word}s. It goes on from there."
        if total_field(state.stage) == "max_steps":
            told += " Its learning rate, which fell towards the end, is from there on that of a run of the new length."
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(12)
        column.addWidget(PlainLabel(f"Go on with {state.title}", role="title"))
        column.addWidget(PlainLabel(told, wrap=True))
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.addRow(self.total.accessibleName(), self.total)
        column.addLayout(form)
        row = QHBoxLayout()
        row.setContentsMargins(0, 8, 0, 0)
        row.setSpacing(8)
        row.addStretch(1)
        row.addWidget(cancel)
        row.addWidget(self.go_on)
        column.addLayout(row)
        self.total.setFocus()

    @Slot()
    def _choose(self) -> None:
        self.total.interpretText()
        self.accept()
        self.chosen.emit(self._run, self.total.value())
