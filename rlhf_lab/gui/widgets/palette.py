"""The command palette: a few letters, arrows, Enter; Escape closes it."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.gui.models.action_table import Offer
from rlhf_lab.gui.models.palette import found
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line
from rlhf_lab.gui.widgets.rank_keys import cap_width, draw_cap
from rlhf_lab.gui.widgets.two_line_item import draw_ground

WIDTH, LINES = 560, 11
_OFFER = Qt.ItemDataRole.UserRole
_EDGE = 12
_WALK = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_PageUp: -LINES, Qt.Key.Key_PageDown: LINES}


class Palette(QDialog):
    """Says `chosen` with the `Offer`, after it has closed."""

    chosen = Signal(object)

    def __init__(self, offers: Sequence[Offer], recent: Sequence[str], parent: QWidget):
        super().__init__(parent)
        self._offers, self._recent = offers, recent
        self.setWindowTitle("Find an action")
        self.setWindowFlag(Qt.WindowType.FramelessWindowHint)
        self.setModal(True)
        self.line = QLineEdit()
        self.line.setPlaceholderText("What do you want to do?")
        self.line.setAccessibleName("Find an action")
        self.line.setClearButtonEnabled(True)
        self.line.installEventFilter(self)
        self.list = QListWidget()
        self.list.setAccessibleName("Actions found")
        self.list.setItemDelegate(_Line(self.list))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setUniformItemSizes(True)
        self.list.itemClicked.connect(self._take)
        self.nothing = PlainLabel("Nothing is called that. Try fewer letters.", role="muted")
        frame = QFrame()
        frame.setProperty("surface", "card")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(frame)
        column = QVBoxLayout(frame)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        column.addWidget(self.line)
        column.addWidget(self.nothing)
        column.addWidget(self.list)
        self.line.textChanged.connect(self._find)
        self._find("")
        self.setFixedWidth(WIDTH)
        self.list.setFixedHeight(LINES * self.list.sizeHintForRow(0) + 4)
        self.adjustSize()
        over = parent.window().geometry()
        self.move(over.center().x() - WIDTH // 2, over.top() + over.height() // 8)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The line has the keyboard; arrows and Enter are the list's."""
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            return False
        key = Qt.Key(event.key())
        if key in _WALK:
            self._walk(_WALK[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._take(self.list.currentItem())
        else:
            return False
        return True

    @Slot(str)
    def _find(self, typed: str) -> None:
        self.list.clear()
        for offer in found(typed, self._offers, self._recent):
            item = QListWidgetItem(one_line(offer.title, 90))
            item.setData(_OFFER, offer)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{offer.title}, {offer.group}")
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self.list.scrollToTop()
        self.nothing.setVisible(not self.list.count())
        self.list.setVisible(bool(self.list.count()))

    def _walk(self, lines: int) -> None:
        """One step beyond an end comes out at the other; a page stays."""
        at, last = self.list.currentRow() + lines, self.list.count() - 1
        around = at % (last + 1) if abs(lines) == 1 and last >= 0 else min(max(at, 0), last)
        self.list.setCurrentRow(around)

    @Slot(QListWidgetItem)
    def _take(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.accept()
            self.chosen.emit(item.data(_OFFER))


class _Line(QStyledItemDelegate):
    """The title on the left; on the right, muted, the group and the key."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(120, QFontMetrics(option.font).height() + 14)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        title = draw_ground(self, painter, option, index)
        offer: Offer = index.data(_OFFER)
        muted = QColor(theme().colours.muted)
        inner = option.rect.adjusted(_EDGE, 0, -_EDGE, 0)
        right = inner.right()
        painter.save()
        painter.setFont(option.font)
        if offer.keys:
            right -= cap_width(offer.keys, option.font)
            draw_cap(painter, right, inner.center().y() + 1, offer.keys, option.font, muted)
            right -= _EDGE
        metrics = painter.fontMetrics()
        beside = one_line(offer.group, 40)
        width = metrics.horizontalAdvance(beside)
        painter.setPen(muted)
        painter.drawText(QRect(right - width, inner.top(), width + 1, inner.height()), _MIDDLE, beside)
        room = QRect(inner.left(), inner.top(), right - width - _EDGE - inner.left(), inner.height())
        painter.setPen(QColor(theme().colours.text))
        painter.drawText(room, _MIDDLE, metrics.elidedText(title, Qt.TextElideMode.ElideMiddle, room.width()))
        painter.restore()


_MIDDLE = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
