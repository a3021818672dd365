"""Tags and notes of the selected runs, kept as soon as one leaves the field."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QFormLayout, QLineEdit, QPlainTextEdit, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.labels import set_note, set_tags, tidy_tags
from rlhf_lab.store import RunRow, Store


class _Note(QPlainTextEdit):
    left = Signal()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.left.emit()


class RunNotes(QWidget):
    """Tags of several runs are those that all have; what is added or taken away there changes in each."""

    saved = Signal()
    failed = Signal(str)

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._rows: list[RunRow] = []
        self.tags = QLineEdit()
        self.tags.setPlaceholderText("Separated by commas, such as: baseline, to compare")
        self.tags.setAccessibleName("Tags")
        self.note = _Note()
        self.note.setAccessibleName("Note")
        self.note.setTabChangesFocus(True)
        self.note.setPlaceholderText("For yourself; kept with the run")
        self.about = PlainLabel(role="caption")
        form = QFormLayout(self)
        form.setContentsMargins(0, 8, 0, 0)
        form.addRow(self.about)
        form.addRow(PlainLabel("Tags"), self.tags)
        form.addRow(PlainLabel("Note"), self.note)
        self.tags.editingFinished.connect(self._save_tags)
        self.note.left.connect(self._save_note)

    def show_rows(self, rows: Sequence[RunRow]) -> None:
        """Be about these runs; what was typed for others is kept first."""
        if [row.run for row in rows] != [row.run for row in self._rows]:
            self._save_tags()
            self._save_note()
        elif self.tags.hasFocus() or self.note.hasFocus():
            self._rows = list(rows)
            return
        self._rows = list(rows)
        self.tags.setText(", ".join(self._common()))
        self.note.setPlainText(rows[0].note if len(rows) == 1 else "")
        self.note.document().setModified(False)
        self.tags.setModified(False)
        self.tags.setEnabled(bool(rows))
        self.note.setEnabled(len(rows) == 1)
        self.about.setText(_about(len(rows)))

    def _common(self) -> list[str]:
        return [t for t in self._rows[0].tags if all(t in row.tags for row in self._rows)] if self._rows else []

    @Slot()
    def _save_tags(self) -> None:
        if not self.tags.isModified():
            return
        self.tags.setModified(False)
        wanted, before = tidy_tags(self.tags.text().split(",")), set(self._common())
        for row in self._rows:
            kept = [tag for tag in row.tags if tag in wanted or tag not in before]
            tags = [*kept, *(tag for tag in wanted if tag not in kept)]
            self._write(row.run, lambda store, folder, tags=tags: set_tags(store, folder, tags))

    @Slot()
    def _save_note(self) -> None:
        if not self.note.document().isModified() or len(self._rows) != 1:
            return
        self.note.document().setModified(False)
        text = self.note.toPlainText()
        self._write(self._rows[0].run, lambda store, folder: set_note(store, folder, text))

    def _write(self, run: str, write: Callable[[Store, RunFolder], None]) -> None:
        project = self._lab.project
        try:
            write(project.store, RunFolder(project.runs_folder / run))
        except LabError as error:
            self.failed.emit(str(error))
            return
        self.saved.emit()


def _about(runs: int) -> str:
    if not runs:
        return "Select a run in the table."
    return "" if runs == 1 else f"Tags that all {runs:,} selected runs have. Notes are written for one run at a time."
