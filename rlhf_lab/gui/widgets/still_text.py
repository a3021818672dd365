"""Text that changes with every verdict: painted in its place, where a label would have the whole window laid out anew."""

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextLayout,
    QTextOption,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import LONG_LINE, one_line, plain_tip

_GAP = 5
_BROKEN = QTextOption()
_BROKEN.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)


class StillLine(QWidget):
    """One line as wide as there is room, elided; ``role``: muted, warn or bad."""

    def __init__(self) -> None:
        super().__init__()
        self._text, self._role = "", "muted"
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        theme().changed.connect(self.update)

    def text(self) -> str:
        """What it says, in full."""
        return self._text

    def show_text(self, text: str, role: str = "muted") -> None:
        """Say something else."""
        self._text, self._role = one_line(text), role
        self.setAccessibleName(self._text)
        self.setToolTip(plain_tip(self._text))
        self.update()

    def sizeHint(self) -> QSize:
        """One line."""
        return QSize(80, self.fontMetrics().height() + 4)

    def minimumSizeHint(self) -> QSize:
        """One line, however short: a layout short of room would else press it flat."""
        return QSize(0, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """See `QWidget.paintEvent`."""
        painter = QPainter(self)
        painter.setPen(QColor(getattr(theme().colours, self._role)))
        shown = self.fontMetrics().elidedText(self._text, Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)


class StillLines(QWidget):
    """A text on so many lines at most, of which the last is elided; as high as these in any case."""

    elided = Signal(bool)
    """At each new width: whether there is more than is shown."""

    def __init__(self, text: str, most: int):
        super().__init__()
        self._text, self._most = one_line(text, LONG_LINE), most
        self.setAccessibleName(self._text)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        theme().changed.connect(self.update)

    def shown(self) -> list[str]:
        """The lines as they are painted."""
        lines = self._lines()
        if len(lines) <= self._most:
            return lines
        rest = "".join(lines[self._most - 1 :])
        last = self.fontMetrics().elidedText(rest, Qt.TextElideMode.ElideRight, self.width())
        return [*lines[: self._most - 1], last]

    def sizeHint(self) -> QSize:
        """All lines."""
        return QSize(80, self._most * self.fontMetrics().lineSpacing())

    def minimumSizeHint(self) -> QSize:
        """All lines, however short: a layout short of room would else press them flat."""
        return QSize(0, self.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """See `QWidget.resizeEvent`."""
        super().resizeEvent(event)
        self.elided.emit(len(self._lines()) > self._most)

    def paintEvent(self, event: QPaintEvent) -> None:
        """See `QWidget.paintEvent`."""
        painter = QPainter(self)
        painter.setPen(QColor(theme().colours.text))
        lines, high = self.shown(), self.fontMetrics().lineSpacing()
        top = (self.height() - len(lines) * high) // 2
        for at, line in enumerate(lines):
            where = QRect(0, top + at * high, self.width(), high)
            painter.drawText(where, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, line)

    def _lines(self) -> list[str]:
        """The whole text, broken at this width."""
        layout = QTextLayout(self._text, self.font())
        layout.setTextOption(_BROKEN)
        units, lines = self._text.encode("utf-16-le", "surrogatepass"), []  # Qt counts in these, of two bytes each
        layout.beginLayout()
        while (line := layout.createLine()).isValid():
            line.setLineWidth(self.width())
            held = units[2 * line.textStart() : 2 * (line.textStart() + line.textLength())]
            lines.append(held.decode("utf-16-le", "surrogatepass"))
        layout.endLayout()
        return lines


class StillNumber(QWidget):
    """A number and its words; it only ever grows."""

    def __init__(self, words: str, tip: str):
        super().__init__()
        self.number = "–"
        self._words, self._tip, self._warn, self._width = words, tip, False, 0
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        theme().changed.connect(self.update)
        self.show_number("–")

    def show_number(self, number: str, more: str = "", *, warn: bool = False) -> None:
        """Show it; ``more`` is for the tooltip."""
        if (number, warn) != (self.number, self._warn):
            self.number, self._warn = number, warn
            self.setAccessibleName(f"{number} {self._words}")
            self.update()
            if self._needed() > self._width:
                self.updateGeometry()
        self.setToolTip(plain_tip(f"{self._tip} {more}".strip()))

    def sizeHint(self) -> QSize:
        """Room for the widest number so far."""
        self._width = max(self._width, self._needed())
        return QSize(self._width, self.fontMetrics().height() + 2)

    def minimumSizeHint(self) -> QSize:
        """No less: a layout short of room would else press it flat."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """See `QWidget.paintEvent`."""
        colours = theme().colours
        painter = QPainter(self)
        painter.setFont(self._bold())
        painter.setPen(QColor(colours.text))
        side = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter.drawText(self.rect(), side, self.number)
        left = painter.fontMetrics().horizontalAdvance(self.number) + _GAP
        painter.setFont(self._small())
        painter.setPen(QColor(colours.warn if self._warn else colours.muted))
        painter.drawText(QRect(left, 0, self.width() - left, self.height()), side, self._words)

    def _needed(self) -> int:
        number = QFontMetrics(self._bold()).horizontalAdvance(self.number)
        return number + _GAP + QFontMetrics(self._small()).horizontalAdvance(self._words) + 2

    def _bold(self) -> QFont:
        made = QFont(self.font())
        made.setWeight(QFont.Weight.DemiBold)
        return made

    def _small(self) -> QFont:
        made = QFont(self.font())
        made.setPointSizeF(made.pointSizeF() * 0.9)
        return made
