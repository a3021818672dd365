"""The copies of the project's database: which there are, one more, and the way back to one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.help import tip
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.enter_key import EnterKey
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.row_table import word_table
from rlhf_lab.runs.keeping import why_in_words
from rlhf_lab.store.backups import FOLDER, Backup, backups
from rlhf_lab.store.figures import figures

COLUMNS = ("Made", "Why", "Holds", "Size")
_WIDEST = {"Made": "30 Sept 2000, 00:00", "Why": "before the update of version 00", "Size": "10,000.0 MB"}


@dataclass(frozen=True)
class Offered:
    """One backup, and what it holds in words ("" where that cannot be read)."""

    backup: Backup
    holds: str


def offered(database: Path) -> list[Offered]:
    """All backups, newest first; takes some milliseconds each."""
    return [Offered(backup, _holds(backup)) for backup in backups(database)]


class BackupsDialog(QDialog):
    """It only asks: who opens it makes the copy or restores it, and calls `show_backups` again."""

    copy_asked = Signal()
    restore_chosen = Signal(object)
    """The `Backup` that the person chose, and confirmed."""

    def __init__(self, folder: Path, parent: QWidget | None = None, *, problem: str = ""):
        """``problem``: why the project cannot be opened without one of them; there is no copy to be made then."""
        super().__init__(parent)
        self._offered: Sequence[Offered] = []
        self.setWindowTitle("Backups")
        self.resize(840, 520)
        self.table = word_table(COLUMNS, _WIDEST, "Backups, newest first")
        self.title = PlainLabel("The database is damaged" if problem else "Backups of the database", role="title")
        self.says = PlainLabel(problem or tip("control.backups"), role="bad" if problem else "muted", wrap=True)
        self.where = PlainLabel(role="caption", wrap=True)
        self.copy = QPushButton("Back up now")
        self.copy.setToolTip("Copy the database as it is; what you make by hand stays until you delete the file")
        self.copy.setVisible(not problem)
        theme().keep_icon(self.copy, "add")
        self.restore = QPushButton("Restore…")
        theme().keep_icon(self.restore, "undo")
        self.leave = QPushButton("Close")
        self.question = PlainLabel(wrap=True)
        self.yes, self.no = QPushButton("Restore and reopen"), QPushButton("Cancel")
        self.yes.setProperty("look", "primary")
        self._confirm = self._make_confirm()
        self._folder, self._damaged = folder, bool(problem)
        self._lay_out()
        self.copy.clicked.connect(self.copy_asked)
        self.restore.clicked.connect(self._ask)
        self.yes.clicked.connect(self._choose)
        self.no.clicked.connect(self._cancel)
        self.leave.clicked.connect(self.reject)
        self.table.itemSelectionChanged.connect(self._cancel)
        self.show_backups([])

    def show_backups(self, found: Sequence[Offered]) -> None:
        """Show these; the newest is chosen."""
        self._offered = found
        self.table.setRowCount(len(found))
        for row, one in enumerate(found):
            holds = one.holds or "cannot be read"
            for column, text in enumerate((when(one.backup), why_in_words(one.backup), holds, size(one.backup))):
                self.table.setItem(row, column, QTableWidgetItem(text))
        if found:
            self.table.selectRow(0)
        there = "They are files in" if found else "There are none yet; they will be files in"
        if self._damaged and not found:
            there = "There are no backups in"
        self.where.setText(f"{there} {self._folder / FOLDER}")
        self._cancel()

    @Slot()
    def _ask(self) -> None:
        chosen = self._chosen()
        if chosen is None:
            return
        kept = "The damaged file is kept aside." if self._damaged else "The present database becomes a backup itself."
        self.question.setText(
            f"Go back to {when(chosen.backup)} ({chosen.holds})? Data sets and verdicts made since then are not in it. "
            f"{kept} Runs stay: they are read from their folders."
        )
        self._confirm.show()
        self.restore.setEnabled(False)
        self.yes.setFocus()

    @Slot()
    def _choose(self) -> None:
        chosen = self._chosen()
        self.accept()
        if chosen is not None:
            self.restore_chosen.emit(chosen.backup)

    @Slot()
    def _cancel(self) -> None:
        self._confirm.hide()
        chosen = self._chosen()
        self.restore.setEnabled(chosen is not None and bool(chosen.holds))

    def _chosen(self) -> Offered | None:
        row = self.table.currentRow()
        return self._offered[row] if 0 <= row < len(self._offered) else None

    def _make_confirm(self) -> QFrame:
        frame = QFrame()
        frame.setProperty("surface", "card")
        row = QHBoxLayout(frame)
        row.setContentsMargins(16, 12, 16, 12)
        row.setSpacing(8)
        row.addWidget(self.question, 1)
        row.addWidget(self.no)
        row.addWidget(self.yes)
        return frame

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 16)
        column.setSpacing(12)
        column.addWidget(self.title)
        column.addWidget(self.says)
        column.addWidget(self.table, 1)
        column.addWidget(self._confirm)
        column.addWidget(self.where)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.copy)
        row.addStretch(1)
        row.addWidget(self.restore)
        row.addWidget(self.leave)
        column.addLayout(row)
        for button in (self.copy, self.restore, self.leave, self.yes, self.no):
            button.setAccessibleName(button.text().strip())
        EnterKey(self)


def when(backup: Backup) -> str:
    """Local time, to the minute."""
    return datetime.fromtimestamp(backup.when).astimezone().strftime("%d %b %Y, %H:%M")


def size(backup: Backup) -> str:
    """ "12.3 MB"."""
    return f"{backup.size / 2**20:,.1f} MB"


def _holds(backup: Backup) -> str:
    try:
        return figures(backup.path).in_words()
    except LabError:
        return ""
