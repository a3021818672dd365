"""What the people who rank are asked to look at, beside the answers, and a way to write it."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QPushButton, QStackedWidget, QVBoxLayout

from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.rank_answer import ReadingText

NONE_YET = (
    "No guidelines yet. A few lines make verdicts more alike: what makes an answer better here (correct, harmless, "
    "brief, polite), what weighs more when two of these pull apart, and when to choose a tie or both bad."
)


class GuidelinesPanel(QFrame):
    """Says `saved` with the new text; data sets have one text each."""

    saved = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "card")
        self.setFixedWidth(256)
        self._text = ""
        self.view = ReadingText("Guidelines")
        self.editor = QPlainTextEdit()
        self.editor.setAccessibleName("Guidelines, being written")
        self.editor.setTabChangesFocus(True)
        self.edit = QPushButton("Edit")
        self.save = QPushButton("Save")
        self.save.setProperty("look", "primary")
        self.cancel = QPushButton("Cancel")
        for button in (self.edit, self.save, self.cancel):
            button.setAccessibleName(
                f"{button.text()} the guidelines" if button is not self.cancel else "Cancel the edit"
            )
        self.edit.clicked.connect(self._begin)
        self.save.clicked.connect(self._save)
        self.cancel.clicked.connect(self._end)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.view)
        self._stack.addWidget(self.editor)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        for button in (self.edit, self.cancel, self.save):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 10, 10)
        column.setSpacing(8)
        column.addWidget(PlainLabel("Guidelines", role="strong"))
        column.addWidget(self._stack, 1)
        column.addLayout(row)
        self._end()

    def show_text(self, text: str) -> None:
        """Show the guidelines of another data set."""
        self._text = text
        self._end()

    def _begin(self) -> None:
        self.editor.setPlainText(self._text)
        self._show(editing=True)
        self.editor.setFocus()

    def _save(self) -> None:
        self._text = self.editor.toPlainText().strip()
        self._end()
        self.saved.emit(self._text)

    def _end(self) -> None:
        self.view.set_text(self._text or NONE_YET)
        self.edit.setText("Edit" if self._text else "Write them")
        self._show(editing=False)

    def _show(self, *, editing: bool) -> None:
        self._stack.setCurrentWidget(self.editor if editing else self.view)
        self.edit.setVisible(not editing)
        self.save.setVisible(editing)
        self.cancel.setVisible(editing)
