"""Accuracies in a table, each with its interval drawn on one scale; the dashed line is guessing."""

from collections.abc import Sequence

from PySide6.QtCore import QObject, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from rlhf_lab.gui.models.diagnosis import AccuracyRow, scale
from rlhf_lab.gui.models.diagnosis_tables import AccuracyTable, Index
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import one_line

MOST_ROWS = 9
"""Rows in view; more scroll."""

_ROOM = 10
_WIDEST_NAME = 12
"""In widths of the letter m; longer ones are cut, and whole in the tooltip."""
_DOT = 4.0


class IntervalDelegate(QStyledItemDelegate):
    """Draws a row's interval; one that is worth a look is a diamond in the colour of warnings."""

    def __init__(self, parent: QObject):
        super().__init__(parent)
        self.ends = (0.4, 1.0)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """See `QStyledItemDelegate.paint`."""
        self.initStyleOption(option, index)
        option.widget.style().drawPrimitive(
            QStyle.PrimitiveElement.PE_PanelItemViewItem, option, painter, option.widget
        )
        model = index.model()
        assert isinstance(model, AccuracyTable)
        row, colours = model.row(index.row()), theme().colours
        frame = QRectF(option.rect).adjusted(_ROOM, 0, -_ROOM, 0)
        middle = frame.center().y()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(colours.muted), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(self._x(0.5, frame), frame.top()), QPointF(self._x(0.5, frame), frame.bottom()))
        ink = QColor(colours.warn if row.strays else colours.accent)
        soft = QColor(ink)
        soft.setAlpha(100)
        painter.setPen(QPen(soft, 4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawLine(
            QPointF(self._x(row.found.low, frame), middle), QPointF(self._x(row.found.high, frame), middle)
        )
        painter.setPen(QPen(QColor(colours.surface), 1))
        painter.setBrush(ink)
        place = QPointF(self._x(row.found.accuracy, frame), middle)
        if row.strays:
            corners = ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0))
            painter.drawPolygon(QPolygonF([place + QPointF(x, y) * _DOT for x, y in corners]))
        else:
            painter.drawEllipse(place, _DOT, _DOT)
        painter.restore()

    def _x(self, share: float, frame: QRectF) -> float:
        low, high = self.ends
        return frame.left() + (min(max(share, low), high) - low) / (high - low) * frame.width()


class AccuracyView(QTableView):
    """As high as its rows; ``first_title`` heads the names. Without ``margins`` there is room for longer ones."""

    def __init__(self, title: str, first_title: str, *, margins: bool = True):
        super().__init__()
        self.setAccessibleName(title)
        self._widest = self.fontMetrics().horizontalAdvance("m") * _WIDEST_NAME
        self.table = AccuracyTable(self, first_title)
        self.intervals = IntervalDelegate(self)
        self.setModel(self.table)
        self.setItemDelegateForColumn(AccuracyTable.INTERVAL, self.intervals)
        self.setProperty("look", "bare")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 10)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsClickable(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(AccuracyTable.INTERVAL, QHeaderView.ResizeMode.Stretch)
        for column, widest in (
            (AccuracyTable.PAIRS, "9,999"),
            (AccuracyTable.ACCURACY, "Accuracy"),
            (AccuracyTable.MARGIN, "Margin"),
        ):
            header.resizeSection(column, self.fontMetrics().horizontalAdvance(widest) + 20)
        self.setColumnHidden(AccuracyTable.MARGIN, not margins)
        theme().changed.connect(self.viewport().update)

    def show_rows(self, rows: Sequence[AccuracyRow]) -> None:
        """Show other ones."""
        self.intervals.ends = scale(rows)
        self.table.show_rows(rows)
        words = [self.table.headerData(AccuracyTable.NAME, Qt.Orientation.Horizontal), *(row.name for row in rows)]
        widest = max(self.fontMetrics().horizontalAdvance(one_line(text, 60)) for text in words)
        self.horizontalHeader().resizeSection(AccuracyTable.NAME, min(widest, self._widest) + 26)
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        """Room for the rows, no more."""
        rows = min(max(1, self.table.rowCount()), MOST_ROWS)
        height = self.horizontalHeader().sizeHint().height() + rows * self.verticalHeader().defaultSectionSize()
        return QSize(320, height + 2 * self.frameWidth() + 2)

    def minimumSizeHint(self) -> QSize:
        """The page scrolls, not this."""
        return QSize(280, self.sizeHint().height())
