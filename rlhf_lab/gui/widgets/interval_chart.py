"""Numbers with their intervals, one line each: a dot, a bar for how sure it is, and the figure in words."""

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from rlhf_lab.core.help import topic
from rlhf_lab.gui.models.rank_quality import Line
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import HelpMark
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line

_NAMES = 0.3
"""Share of the width for the names."""


class IntervalPlot(QWidget):
    """All lines on one scale; a dashed line stands at ``fair``, which is one of the ``ticks``."""

    def __init__(self, name: str, ends: tuple[float, float], fair: float | None, ticks: Sequence[tuple[float, str]]):
        super().__init__()
        self._ends, self._fair, self._ticks = ends, fair, tuple(ticks)
        self._lines: tuple[Line, ...] = ()
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme().changed.connect(self.update)

    def show_lines(self, lines: Sequence[Line]) -> None:
        """Show other numbers."""
        self._lines = tuple(lines)
        self.setAccessibleDescription("; ".join(f"{line.name}: {line.text}" for line in lines))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """A row for each line, and the scale below."""
        return QSize(240, max(1, len(self._lines)) * self._row() + self._row())

    def minimumSizeHint(self) -> QSize:
        """No row may be cut."""
        return QSize(160, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """See `QWidget.paintEvent`."""
        colours = theme().colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        bottom = max(1, len(self._lines)) * self._row()
        if any(line.value is not None for line in self._lines):
            self._paint_scale(painter, bottom)
        for at, line in enumerate(self._lines):
            middle = (at + 0.5) * self._row()
            names = QRect(0, round(middle - self._row() / 2), round(self._left()) - 10, self._row())
            painter.setFont(self.font())
            painter.setPen(QColor(colours.text))
            shown = self.fontMetrics().elidedText(one_line(line.name, 40), Qt.TextElideMode.ElideRight, names.width())
            painter.drawText(names, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, shown)
            if line.value is None:
                painter.setPen(QColor(colours.muted))
                where = QRectF(self._left() + 6, middle - self._row() / 2, self.width() - self._left() - 6, self._row())
                painter.drawText(where, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, line.text)
                continue
            ink = QColor(colours.warn if line.strays else colours.accent)
            soft = QColor(ink)
            soft.setAlpha(90)
            painter.setPen(QPen(soft, 5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawLine(QPointF(self._x(line.low), middle), QPointF(self._x(line.high), middle))
            painter.setPen(QPen(QColor(colours.surface), 1.5))
            painter.setBrush(ink)
            painter.drawEllipse(QPointF(self._x(line.value), middle), 5, 5)
            painter.setFont(self._small())
            painter.setPen(QColor(colours.warn if line.strays else colours.muted))
            figure = QRectF(self._right() + 8, middle - self._row() / 2, self.width() - self._right() - 8, self._row())
            painter.drawText(figure, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, line.text)

    def _paint_scale(self, painter: QPainter, bottom: float) -> None:
        colours = theme().colours
        painter.setFont(self._small())
        for value, words in self._ticks:
            x = self._x(value)
            fair = value == self._fair
            painter.setPen(
                QPen(
                    QColor(colours.muted if fair else colours.raised),
                    1,
                    Qt.PenStyle.DashLine if fair else Qt.PenStyle.SolidLine,
                )
            )
            painter.drawLine(QPointF(x, 2), QPointF(x, bottom))
            painter.setPen(QColor(colours.muted))
            painter.drawText(QRectF(x - 40, bottom, 80, self._row()), Qt.AlignmentFlag.AlignCenter, words)

    def _left(self) -> float:
        return self.width() * _NAMES

    def _right(self) -> float:
        return self.width() - self.fontMetrics().horizontalAdvance("100%") * 1.25

    def _x(self, value: float) -> float:
        low, high = self._ends
        share = (min(max(value, low), high) - low) / (high - low)
        return self._left() + share * (self._right() - self._left() - 8)

    def _row(self) -> int:
        return round(self.fontMetrics().height() * 1.5)

    def _small(self) -> QFont:
        made = QFont(self.font())
        made.setPointSizeF(made.pointSizeF() * 0.88)
        return made


class IntervalCard(QFrame):
    """A titled `IntervalPlot`; ``help`` says what it means and when to worry."""

    def __init__(
        self,
        title: str,
        help: str,
        ends: tuple[float, float],
        fair: float | None,
        ticks: Sequence[tuple[float, str]],
        refs: str = "",
    ):
        """``refs``: the pages of the help on it, for F1."""
        super().__init__()
        self.setProperty("surface", "card")
        self.plot = IntervalPlot(title, ends, fair, ticks)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 12, 6)
        column.setSpacing(4)
        head = QHBoxLayout()
        head.addWidget(PlainLabel(title, role="strong"))
        head.addStretch(1)
        head.addWidget(HelpMark(title, help, refs))
        column.addLayout(head)
        column.addWidget(self.plot)
        column.addStretch(1)

    @classmethod
    def about(
        cls, name: str, ends: tuple[float, float], fair: float | None, ticks: Sequence[tuple[float, str]]
    ) -> "IntervalCard":
        """A card on a topic of the catalogue of help."""
        found = topic(name)
        return cls(found.title, found.tip, ends, fair, ticks, f"help:{name}")

    def show_lines(self, lines: Sequence[Line]) -> None:
        """Show other numbers."""
        self.plot.show_lines(lines)
