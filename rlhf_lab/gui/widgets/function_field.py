"""The field for a reward function: which file, whether it is approved, and the way to read and approve it."""

from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QToolButton, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.approval_dialog import ApprovalDialog
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip
from rlhf_lab.runs.approval import FunctionFile, is_approved, read_function

LOOK_AFTER_MS = 150
"""After the last key; nobody wants every path on the way to be opened."""


class FunctionEditor(QWidget):
    """A path. The file is read to see whether its content is approved, never run."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.path = QLineEdit()
        self.path.setPlaceholderText("A Python file, or nothing")
        self.browse = QToolButton()
        self.browse.setProperty("look", "browse")
        self.browse.setAccessibleName("Choose a reward function from the disk")
        self.browse.setToolTip("Choose a Python file from the disk")
        theme().keep_icon(self.browse, "folder")
        self.read = QPushButton("Read and approve…")
        self.read.setProperty("look", "small")
        self.read.setToolTip(plain_tip("See what the file does. It runs only after you approved exactly this text."))
        self.state = PlainLabel("✓ approved", role="good")
        self._timer = QTimer(self, singleShot=True, interval=LOOK_AFTER_MS)
        self._timer.timeout.connect(self.look)
        first, second = QHBoxLayout(), QHBoxLayout()
        first.setSpacing(4)
        first.addWidget(self.path, 1)
        first.addWidget(self.browse)
        second.addWidget(self.read)
        second.addWidget(self.state, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(first)
        column.addLayout(second)
        self.setFocusProxy(self.path)
        self.setTabOrder(self.path, self.browse)
        self.setTabOrder(self.browse, self.read)
        self.path.textChanged.connect(self._timer.start)
        self.path.textChanged.connect(self.changed)
        self.browse.clicked.connect(self._choose)
        self.read.clicked.connect(self._review)
        self._show_state(None)

    def answer(self) -> str:
        """See `Editor`."""
        return self.path.text().strip()

    def set_answer(self, answer: Any) -> None:
        """See `Editor`."""
        if (answer or "") != self.answer():
            self.path.setText(str(answer or ""))
            self.path.setCursorPosition(0)

    def setAccessibleName(self, name: str) -> None:
        """The line is what a screen reader finds."""
        self.path.setAccessibleName(name)

    def showEvent(self, event: QShowEvent) -> None:
        """The file may have changed while nobody looked."""
        super().showEvent(event)
        self.look()

    @Slot()
    def look(self) -> None:
        """Show whether the file, as it is now, is approved."""
        self._timer.stop()
        try:
            function = self._function()
            self._show_state(function)
        except LabError:  # the reason why the run cannot start says it
            self._show_state(None)

    def _function(self) -> FunctionFile | None:
        return read_function(self.answer()) if self.answer() else None

    def _show_state(self, function: FunctionFile | None) -> None:
        approved = function is not None and is_approved(function)
        self.read.setVisible(function is not None)
        self.read.setText("Read it…" if approved else "Read and approve…")
        self.state.setVisible(approved)

    @Slot()
    def _choose(self) -> None:
        known = typed_path(self.answer()).parent if self.answer() else typed_path("~")
        file, _ = QFileDialog.getOpenFileName(self, "Reward function", str(known), "Python files (*.py)")
        if file:
            self.set_answer(file)
            self.look()

    @Slot()
    def _review(self) -> None:
        try:
            function = self._function()
        except LabError:
            function = None
        if function is None:  # it went away a moment ago
            self.look()
            self.changed.emit()
            return
        dialog = ApprovalDialog(function, self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.finished.connect(self._reviewed)
        dialog.open()

    @Slot()
    def _reviewed(self) -> None:
        self.look()
        self.changed.emit()
