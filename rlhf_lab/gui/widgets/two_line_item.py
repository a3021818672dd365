"""List entries: a ground to paint on, and those of two lines, what it is called and in smaller muted letters what it is."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from rlhf_lab.gui.theme import theme

SECOND_LINE = Qt.ItemDataRole.UserRole + 1
WARNING = Qt.ItemDataRole.UserRole + 2
"""A few words after the second line, such as "3 problems"; "" for none."""

_SMALLER = 0.9
_EDGE = 8


class TwoLineItem(QStyledItemDelegate):
    """Paints the display text above `SECOND_LINE`."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Two lines and air."""
        lines = QFontMetrics(option.font).height() + QFontMetrics(_small(option.font)).height()
        return QSize(120, lines + 2 * _EDGE + 2)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """See `QStyledItemDelegate.paint`."""
        title = draw_ground(self, painter, option, index)
        colours, small = theme().colours, _small(option.font)
        inner = option.rect.adjusted(_EDGE + 4, _EDGE, -_EDGE - 4, -_EDGE)
        height = QFontMetrics(option.font).height()
        painter.save()
        painter.setFont(option.font)
        painter.setPen(QColor(colours.text))
        _draw(painter, QRect(inner.left(), inner.top(), inner.width(), height), title)
        painter.setFont(small)
        below = QRect(inner.left(), inner.top() + height + 2, inner.width(), QFontMetrics(small).height())
        second, warning = index.data(SECOND_LINE) or "", index.data(WARNING) or ""
        painter.setPen(QColor(colours.muted))
        used = _draw(painter, below, second + (" · " if second and warning else ""))
        painter.setPen(QColor(colours.warn))
        _draw(painter, below.adjusted(used, 0, 0, 0), warning)
        painter.restore()


def draw_ground(
    delegate: QStyledItemDelegate,
    painter: QPainter,
    option: QStyleOptionViewItem,
    index: QModelIndex | QPersistentModelIndex,
) -> str:
    """Draw an entry as its style does but for its text, which is returned; ``option`` is filled in."""
    delegate.initStyleOption(option, index)
    text, option.text = option.text, ""
    style = option.widget.style() if option.widget is not None else QApplication.style()
    style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
    return text


def _small(font: QFont) -> QFont:
    made = QFont(font)
    made.setPointSizeF(font.pointSizeF() * _SMALLER)
    return made


def _draw(painter: QPainter, where: QRect, text: str) -> int:
    shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, where.width())
    painter.drawText(where, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
    return painter.fontMetrics().horizontalAdvance(shown)
