"""What the people who rank are asked to look at, beside the answers, and a way to write it."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QPushButton, QStackedWidget, QVBoxLayout

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line
from rlhf_lab.gui.widgets.rank_answer import ReadingText

NONE_YET = (
    "No guidelines yet. A few lines make verdicts more alike: what makes an answer better here (correct, harmless, "
    "brief, polite), what weighs more when two of these pull apart, and when to choose a tie or both bad."
)


class GuidelinesPanel(QFrame):
    """Data sets have one text each, which everybody sees."""

    saved = Signal()

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self._lab = lab
        lab.keeping.connect(self._keep_all)
        self.setProperty("surface", "card")
        self.setFixedWidth(256)
        self._dataset = self._coming = ""
        """Whose text it is, and whose comes once that is stored."""
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

    def show_dataset(self, dataset: str) -> None:
        """Show the guidelines of a data set. Those that are being written are stored first; where they cannot be, they
        stay in the editor, and belong to their own data set still."""
        self._coming, writing = dataset, self._draft() is not None
        if not self._keep():
            return
        if writing:
            self._lab.message.emit(f"What you wrote of the guidelines of “{one_line(self._dataset, 60)}” was kept.")
        self._end()

    def _begin(self) -> None:
        self.editor.setPlainText(self._text)
        self._show(editing=True)
        self.editor.setFocus()

    def _save(self) -> None:
        if self._keep():
            self._end()
            self.saved.emit()

    def _draft(self) -> str | None:
        """What was written and is not stored, None where nothing was."""
        draft = self.editor.toPlainText().strip()
        return draft if self._stack.currentWidget() is self.editor and draft != self._text else None

    def _keep(self) -> bool:
        if (draft := self._draft()) is not None:
            try:
                self._lab.project.store.set_guidelines(self._dataset, draft)
            except LabError as error:
                name = one_line(self._dataset, 60)
                self._lab.message.emit(f"The guidelines of “{name}” are not stored, and stay in the editor. {error}")
                return False
        return True

    @Slot(object)
    def _keep_all(self, unkept: list[str]) -> None:
        """The window is about to close: there is some patience with a lock."""
        from rlhf_lab.store import Store

        if (draft := self._draft()) is not None:
            try:
                with Store.open(self._lab.project.store.path) as store:
                    store.set_guidelines(self._dataset, draft)
            except LabError as error:
                unkept.append(f"The guidelines that you write for “{one_line(self._dataset, 60)}”: {error}")
            else:
                self._end()

    def _end(self) -> None:
        self._dataset = self._coming
        self._text = self._lab.project.store.guidelines(self._dataset) if self._dataset else ""
        self.view.set_text(self._text or NONE_YET)
        self.edit.setText("Edit" if self._text else "Write them")
        self.edit.setEnabled(bool(self._dataset))
        self._show(editing=False)

    def _show(self, *, editing: bool) -> None:
        self._stack.setCurrentWidget(self.editor if editing else self.view)
        self.edit.setVisible(not editing)
        self.save.setVisible(editing)
        self.cancel.setVisible(editing)
