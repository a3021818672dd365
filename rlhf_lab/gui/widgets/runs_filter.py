"""Which runs the Runs pane lists: words, stage, status, the trash."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QToolButton, QWidget

from rlhf_lab.core.naming import STAGE_NAMES
from rlhf_lab.gui.models.runs_table import MARKS, RunFilter
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip


class RunsFilter(QWidget):
    """Says `changed` at each key."""

    changed = Signal(object)
    """A `RunFilter`."""

    def __init__(self) -> None:
        super().__init__()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search names, data, tags, notes, messages")
        self.search.setAccessibleName("Search runs")
        self.search.setClearButtonEnabled(True)
        self.stage = _choice("Stage", [("Every stage", ""), *((name, stage) for stage, name in STAGE_NAMES.items())])
        self.outcome = _choice(
            "Status", [("Every status", ""), *((f"{mark} {name}", name) for name, mark in MARKS.items())]
        )
        self.trash = QToolButton()
        self.trash.setText("In the trash")
        self.trash.setCheckable(True)
        self.trash.setProperty("look", "small")
        self.trash.setToolTip(plain_tip("Show the runs that were put into the trash instead; they can be restored"))
        self.found = PlainLabel(role="caption")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.search, 1)
        for widget in (self.stage, self.outcome, self.trash, self.found):
            row.addWidget(widget)
        self.search.textChanged.connect(self._tell)
        self.stage.activated.connect(self._tell)
        self.outcome.activated.connect(self._tell)
        self.trash.toggled.connect(self._tell)

    def wanted(self) -> RunFilter:
        """What is chosen now."""
        return RunFilter(
            self.search.text(), self.stage.currentData(), self.outcome.currentData(), self.trash.isChecked()
        )

    def clear(self) -> None:
        """Let everything through again."""
        self.stage.setCurrentIndex(0)
        self.outcome.setCurrentIndex(0)
        self.search.clear()
        self._tell()

    def show_found(self, shown: int, total: int, room: str) -> None:
        """ "12 of 500 · 1.4 GB": those that are listed, and their room on the disk."""
        empty = self.trash.isChecked() and not total
        count = f"{shown:,} of {total:,}" if shown != total else f"{total:,}"
        self.found.setText("The trash is empty" if empty else f"{count} · {room}" if room else count)
        self.found.setToolTip(plain_tip("Runs that are listed, and their room on the disk"))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape in the search lets everything through again."""
        if event.key() == Qt.Key.Key_Escape and self.wanted() != RunFilter(trashed=self.trash.isChecked()):
            self.clear()
        else:
            super().keyPressEvent(event)

    @Slot()
    def _tell(self) -> None:
        self.changed.emit(self.wanted())


def _choice(name: str, options: list[tuple[str, str]]) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    for text, answer in options:
        box.addItem(text, answer)
    return box
