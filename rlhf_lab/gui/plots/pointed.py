"""Plots of single points, each of which can be pointed at, with the mouse or the arrow keys."""

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QApplication

from rlhf_lab.gui.models.curves import Floats
from rlhf_lab.gui.plots.base import LabPlot, pen
from rlhf_lab.gui.theme import theme

REACH = 18
"""Pixels from the mouse up to which a point is meant."""

NO_POINTS: Floats = np.empty(0)


class PointedPlot(LabPlot):
    """A subclass keeps its points in ``spots``; ``pointed`` says which one is meant (None: none)."""

    pointed = Signal(object)

    def __init__(self, name: str, bottom: str, left: str):
        self._titles = {"bottom": bottom, "left": left}
        self._spots: tuple[Floats, Floats] = (NO_POINTS, NO_POINTS)
        self._at: int | None = None
        self._ring = pg.ScatterPlotItem(size=14, antialias=True)
        super().__init__(name)
        self.addItem(self._ring, ignoreBounds=True)
        self._ring.setZValue(10)
        self.getPlotItem().getViewBox().setMouseEnabled(x=False, y=False)

    @property
    def at(self) -> int | None:
        """The point that is meant."""
        return self._at

    def set_spots(self, x: Floats, y: Floats) -> None:
        """What can be pointed at now."""
        self._spots = (x, y)
        self.point_at(None)

    def point_at(self, at: int | None) -> None:
        """Put a ring around a point."""
        if at == self._at and at is None:
            return
        self._at = at
        ringed = slice(0) if at is None else slice(at, at + 1)
        self._ring.setData(self._spots[0][ringed], self._spots[1][ringed])
        self.pointed.emit(at)

    def recolour(self) -> None:
        """Take the theme's colours."""
        colours = theme().colours
        self._ring.setPen(pen(colours.text))
        self._ring.setBrush(pg.mkBrush(None))
        size = QApplication.font().pointSizeF() * 0.85
        for side, title in self._titles.items():
            self.getPlotItem().getAxis(side).setLabel(title, **{"color": colours.muted, "font-size": f"{size:.1f}pt"})

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Mean the nearest point."""
        super().mouseMoveEvent(event)
        self.point_at(self._nearest(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        """Mean none."""
        super().leaveEvent(event)
        self.point_at(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right go from point to point, Escape takes the ring away."""
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and len(self._spots[0]):
            order = np.argsort(self._spots[0], kind="stable")
            step = 1 if event.key() == Qt.Key.Key_Right else -1
            place = -1 if self._at is None and step > 0 else 0
            place = int(np.flatnonzero(order == self._at)[0]) if self._at is not None else place
            self.point_at(int(order[(place + step) % len(order)]))
        elif event.key() == Qt.Key.Key_Escape and self._at is not None:
            self.point_at(None)
        else:
            super().keyPressEvent(event)

    def _nearest(self, mouse: QPointF) -> int | None:
        x, y = self._spots
        if not len(x):
            return None
        box = self.getPlotItem().getViewBox()
        (left, right), (low, high) = box.viewRange()
        place = box.mapSceneToView(self.mapToScene(mouse.toPoint()))
        across = (x - place.x()) / (right - left) * box.width()
        up = (y - place.y()) / (high - low) * box.height()
        distance = np.hypot(across, up)
        near = int(np.argmin(distance))
        return near if distance[near] <= REACH else None
