"""Text that changes with every verdict: painted in its place, where a label would have the whole window laid out anew."""

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip

_GAP = 5


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
