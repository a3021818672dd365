"""What of a file could not be used: by line, with a search in the reasons."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView

if TYPE_CHECKING:
    from rlhf_lab.store import Store

_MOST_READ = 10_000
_MOST_SHOWN = 1_000
_TYPING_MS = 150


class ProblemsView(QWidget):
    """Reads them when somebody looks."""

    def __init__(self, store: "Store", parent: QWidget | None = None):
        super().__init__(parent)
        self._store = store
        self._name = ""
        self._lines: list[str] = []
        self._total = 0
        self._read = False
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search the problems")
        self.search.setAccessibleName("Search problems")
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(320)
        self._pause = QTimer(self, singleShot=True, interval=_TYPING_MS)
        self._pause.timeout.connect(self._show)
        self.search.textChanged.connect(self._pause.start)
        self.count = PlainLabel(role="muted")
        self.list = PlainView()
        self.list.setAccessibleName("Problems, by line of the file")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.search, 1)
        row.addWidget(self.count)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(8)
        column.addLayout(row)
        column.addWidget(self.list, 1)

    def show_dataset(self, name: str) -> None:
        """Show those of a data set."""
        self._name, self._read = name, False
        self.search.clear()
        if self.isVisible():
            self._fill()

    def showEvent(self, event: QShowEvent) -> None:
        """Now somebody looks."""
        super().showEvent(event)
        self._fill()

    def _fill(self) -> None:
        if not self._name or self._read:
            return
        self._read = True
        found, self._total = self._store.problems(self._name, _MOST_READ)
        self._lines = [f"line {line}: {reason}" if line else reason for line, reason in found]
        self._show()

    @Slot()
    def _show(self) -> None:
        self._pause.stop()
        wanted = self.search.text().strip().casefold()
        shown = [line for line in self._lines if wanted in line.casefold()] if wanted else self._lines
        self.search.setEnabled(bool(self._lines))
        if not self._lines:
            self.count.setText("")
            self.list.set_text("Every line of the file could be used.")
            return
        self.count.setText(self._words(len(shown)))
        self.list.set_text("\n".join(shown[:_MOST_SHOWN]) or "No problem has these words.")

    def _words(self, found: int) -> str:
        said = f"{found:,} of {self._total:,}" if self.search.text().strip() else f"{self._total:,} in all"
        if found > _MOST_SHOWN:
            said += f", the first {_MOST_SHOWN:,} are shown"
        return said
