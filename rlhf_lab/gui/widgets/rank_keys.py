"""Buttons that show the key which does the same."""

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QPushButton, QStyle, QStyleOptionButton, QStylePainter

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import plain_tip

_GAP = 8
_EDGE = 12


class KeyButton(QPushButton):
    """The words, and behind them the key as a small key cap."""

    def __init__(self, words: str, key: str, tip: str = ""):
        super().__init__()
        self._words, self._key = words, key
        self.setAccessibleName(f"{words} ({key})")
        self.setToolTip(plain_tip(tip or f"{words}: {key}"))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        theme().changed.connect(self.update)

    @property
    def words(self) -> str:
        """What it says, without the key."""
        return self._words

    def sizeHint(self) -> QSize:
        """Words, key cap and air."""
        metrics = self.fontMetrics()
        width = metrics.horizontalAdvance(self._words) + _GAP + self._cap_width() + 2 * _EDGE
        return QSize(width, metrics.height() + 18)

    def minimumSizeHint(self) -> QSize:
        """Nothing of it may be cut."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The style's own button, then words and cap."""
        painter = QStylePainter(self)
        option = QStyleOptionButton()
        self.initStyleOption(option)
        option.text = ""
        painter.drawControl(QStyle.ControlElement.CE_PushButton, option)
        colours = theme().colours
        primary = self.property("look") == "primary" and self.isEnabled()
        ink = QColor(colours.on_accent if primary else colours.text if self.isEnabled() else colours.muted)
        metrics, cap = self.fontMetrics(), self._cap_width()
        words = metrics.horizontalAdvance(self._words)
        left = (self.width() - words - _GAP - cap) // 2
        painter.setPen(ink)
        painter.setFont(self.font())
        painter.drawText(
            QRect(left, 0, words + 2, self.height()),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft,
            self._words,
        )
        draw_cap(painter, left + words + _GAP, self.height() / 2, self._key, self.font(), ink)

    def _cap_width(self) -> int:
        return cap_width(self._key, self.font())


def cap_width(key: str, font: QFont) -> int:
    """Pixels of a key cap."""
    metrics = QFontMetrics(_cap_font(font))
    return max(metrics.horizontalAdvance(key) + 10, metrics.height() + 3)


def draw_cap(painter: QPainter, left: float, middle: float, key: str, font: QFont, ink: QColor) -> None:
    """A key cap in the colour of the text beside it."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    small = _cap_font(font)
    height = QFontMetrics(small).height() + 3
    box = QRect(round(left), round(middle - height / 2), cap_width(key, font), height)
    soft, edge = QColor(ink), QColor(ink)
    soft.setAlpha(18)
    edge.setAlpha(70)
    painter.setBrush(soft)
    painter.setPen(edge)
    painter.drawRoundedRect(box.adjusted(0, 0, -1, -1), 4, 4)
    text = QColor(ink)
    text.setAlpha(200)
    painter.setPen(text)
    painter.setFont(small)
    painter.drawText(box.adjusted(0, 0, -1, -1), Qt.AlignmentFlag.AlignCenter, key)
    painter.restore()


def _cap_font(font: QFont) -> QFont:
    made = QFont(font)
    made.setPointSizeF(font.pointSizeF() * 0.85)
    made.setBold(False)
    return made
