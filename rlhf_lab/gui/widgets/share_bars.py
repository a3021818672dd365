"""Counts as horizontal bars with their names and shares: a few rows, painted, readable without colour."""

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip

MOST_ROWS = 12
_GAP = 8
_BAR = 8


class ShareBars(QWidget):
    """One row for each (name, count), largest first as given; what does not fit is one last row."""

    def __init__(self, title: str, parent: QWidget | None = None):
        super().__init__(parent)
        self._title = title
        self.rows: list[tuple[str, int]] = []
        self._total = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(title)
        theme().changed.connect(self.update)

    def show_counts(self, counts: Sequence[tuple[str, int]], total: int | None = None) -> None:
        """Show counts and their shares of ``total`` (of all of them together)."""
        rows = [(one_line(name, 60) or "not said", count) for name, count in counts[:MOST_ROWS]]
        if len(counts) > MOST_ROWS:
            rest = counts[MOST_ROWS:]
            rows.append((f"{len(rest):,} others", sum(count for _, count in rest)))
        self.rows = rows
        self._total = total or sum(count for _, count in counts) or 1
        told = "\n".join(f"{name}: {self._number(count)}" for name, count in rows)
        self.setAccessibleDescription(told)
        self.setToolTip(plain_tip(told))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """All rows."""
        return QSize(240, len(self.rows) * self._height())

    def minimumSizeHint(self) -> QSize:
        """The same: rows are few."""
        return QSize(120, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Name and number above a bar, row by row."""
        painter, colours, metrics = QPainter(self), theme().colours, self.fontMetrics()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        most = max((count for _, count in self.rows), default=1) or 1
        for place, (name, count) in enumerate(self.rows):
            top = place * self._height()
            number = self._number(count)
            room = self.width() - metrics.horizontalAdvance(number) - _GAP
            line = QRectF(0, top, self.width(), metrics.height())
            painter.setPen(QColor(colours.text))
            shown = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, room)
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
            painter.setPen(QColor(colours.muted))
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, number)
            painter.setPen(Qt.PenStyle.NoPen)
            groove = QRectF(0, line.bottom() + 2, self.width(), _BAR)
            painter.setBrush(QColor(colours.raised))
            painter.drawRoundedRect(groove, 3, 3)
            groove.setWidth(max(2.0, groove.width() * count / most) if count else 0.0)
            painter.setBrush(QColor(colours.series[0]))
            painter.drawRoundedRect(groove, 3, 3)

    def _number(self, count: int) -> str:
        return f"{count:,} ({100 * count / self._total:.0f}%)"

    def _height(self) -> int:
        return self.fontMetrics().height() + 2 + _BAR + _GAP
