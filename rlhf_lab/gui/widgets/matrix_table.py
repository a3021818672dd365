"""A table to read, with names above and on the left: it is as high as its rows, nothing in it is chosen, Tab leaves it."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from rlhf_lab.gui.widgets.plain_text import plain_tip

Cell = tuple[str, str]
"""What stands there, and its tooltip."""


class MatrixTable(QTableWidget):
    """Its columns share the width."""

    def __init__(self, name: str, *, lines: int = 1):
        """``name`` for who cannot see it; ``lines`` of text in a cell."""
        self._most = 0  # events come while the table is made
        super().__init__()
        self.setAccessibleName(name)
        self.setProperty("look", "matrix")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(lines * self.fontMetrics().lineSpacing() + 12)

    def show_cells(
        self, columns: Sequence[str], rows: Sequence[str], cells: Sequence[Sequence[Cell]], most: int | None = None
    ) -> None:
        """Show these, a line for each row; ``most`` rows before it scrolls."""
        self.setRowCount(len(rows))
        self.setColumnCount(len(columns))
        self.setHorizontalHeaderLabels(columns)
        self.setVerticalHeaderLabels(rows)
        for at, line in enumerate(cells):
            for column, (text, tip) in enumerate(line):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                item.setToolTip(plain_tip(tip))
                self.setItem(at, column, item)
        self._most = len(rows) if most is None else most
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Headings are as high as the style sheet says, which may come after the rows."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and self.rowCount():
            self._fit()

    def _fit(self) -> None:
        shown = min(self.rowCount(), self._most)
        policy = Qt.ScrollBarPolicy
        scrolls = shown < self.rowCount()
        self.setVerticalScrollBarPolicy(policy.ScrollBarAsNeeded if scrolls else policy.ScrollBarAlwaysOff)
        # One less than all of it: the line below the last row would lie on that of the frame.
        high = self.horizontalHeader().sizeHint().height() + shown * self.verticalHeader().defaultSectionSize()
        self.setFixedHeight(high + 2 * self.frameWidth() - 1)
