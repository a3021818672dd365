"""What all plots share: the theme's colours, small ticks, no menus, keys, double click resets."""

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QMouseEvent, QPen, QShowEvent
from PySide6.QtWidgets import QApplication

from rlhf_lab.gui.plots.redraw import redraw_clock
from rlhf_lab.gui.theme import theme

MARGIN = 0.06
"""Share of the height kept free above and below the curves."""

ZOOM = 1.5
"""What one press of + or − does."""


class StepAxis(pg.AxisItem):
    """An axis of whole numbers: no tick at step 2.5."""

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        """pyqtgraph's levels without those below one."""
        levels = [level for level in super().tickSpacing(low, high, size) if level[0] >= 1]
        return levels or [(1.0, 0.0)]


class LabPlot(pg.PlotWidget):
    """An empty plot in the lab's look. A subclass fills it in `redraw` and colours it in `recolour`."""

    reset_asked = Signal()

    def __init__(self, name: str, axes: dict[str, pg.AxisItem] | None = None):
        super().__init__(enableMenu=False, axisItems=axes or {})
        self.setAccessibleName(name)
        self.setMinimumSize(160, 96)
        item = self.getPlotItem()
        item.hideButtons()
        item.layout.setContentsMargins(0, 6, 6, 0)  # room for the halves of the outermost tick labels
        item.getViewBox().disableAutoRange()
        item.getViewBox().setMouseEnabled(x=True, y=False)
        item.getViewBox().setMouseMode(pg.ViewBox.RectMode)
        font = QFont(QApplication.font())
        font.setPointSizeF(font.pointSizeF() * 0.85)
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setStyle(tickFont=font, tickLength=-4, autoExpandTextSpace=True)
        # pyqtgraph draws its grid as long ticks, line by line, which costs more than all curves together.
        self._grid = pg.PlotCurveItem(connect="pairs")
        self._grid.setZValue(-20)
        item.addItem(self._grid, ignoreBounds=True)
        self._words = pg.TextItem(anchor=(0.5, 0.5))
        self._words.setVisible(False)
        item.addItem(self._words, ignoreBounds=True)
        theme().changed.connect(self._themed)
        self._themed()

    def sizeHint(self) -> QSize:
        """Small: pyqtgraph's 640 × 480 would make layouts press flat whatever stands beside many plots."""
        return QSize(200, 120)

    def redraw(self) -> None:
        """Bring the picture up to date."""

    def recolour(self) -> None:
        """Take the theme's colours."""

    def ask_redraw(self, *, soon: bool = False) -> None:
        """Redraw at the clock's next tick."""
        redraw_clock().ask(self, soon=soon)

    def set_y_range(self, low: float, high: float) -> None:
        """Show ``low`` to ``high`` with a margin; one value alone gets room around it."""
        if not (np.isfinite(low) and np.isfinite(high)):
            low, high = 0.0, 1.0
        room = (high - low) * MARGIN if high > low else max(abs(high) * 0.1, 1e-6)
        self.getPlotItem().getViewBox().setYRange(low - room, high + room, padding=0)

    def draw_grid(self) -> None:
        """Lines at the main ticks of the y axis, across what is in view."""
        box, axis = self.getPlotItem().getViewBox(), self.getPlotItem().getAxis("left")
        (left, right), (low, high) = box.viewRange()
        levels = axis.tickValues(low, high, box.height())
        heights = np.asarray(levels[0][1] if levels else [], dtype=np.float64)
        self._grid.setData(np.tile([left, right], len(heights)), np.repeat(heights, 2))

    @property
    def words(self) -> str:
        """What is said in the middle of it, "" where curves speak."""
        return self._words.toPlainText() if self._words.isVisible() else ""

    def tell(self, words: str) -> None:
        """Say in the middle why the plot is empty, or with "" nothing; call after the ranges are set."""
        self._words.setVisible(bool(words))
        if not words:
            return
        self._words.setText(words, theme().colours.muted)
        (left, right), (low, high) = self.getPlotItem().getViewBox().viewRange()
        self._words.setPos((left + right) / 2, (low + high) / 2)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show everything again."""
        self.reset_asked.emit()
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Home: everything; + and −: zoom; the subclass may take more."""
        box = self.getPlotItem().getViewBox()
        if event.key() in (Qt.Key.Key_Home, Qt.Key.Key_0):
            self.reset_asked.emit()
        elif event.key() in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            scale = ZOOM if event.key() == Qt.Key.Key_Minus else 1 / ZOOM
            box.scaleBy(x=scale, center=self.zoom_centre())
            box.sigRangeChangedManually.emit([True, False])
        else:
            event.ignore()

    def zoom_centre(self) -> pg.Point | None:
        """Around what + and − zoom; None: the middle."""
        return None

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what came while hidden."""
        super().showEvent(event)
        self.ask_redraw(soon=True)

    def _themed(self) -> None:
        colours = theme().colours
        self.setBackground(colours.surface)
        self._grid.setPen(pen(colours.raised))
        for side in ("left", "bottom"):
            axis = self.getPlotItem().getAxis(side)
            axis.setPen(pen(colours.border))
            axis.setTextPen(pen(colours.muted))
        self.recolour()
        self.ask_redraw()


def pen(colour: str, alpha: int = 255, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    """A width-1 pen: wider ones or smooth ones cost ten times as much to draw."""
    shade = QColor(colour)
    shade.setAlpha(alpha)
    made = QPen(shade, 1.0, style)
    made.setCosmetic(True)
    return made
