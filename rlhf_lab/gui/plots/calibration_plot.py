"""Calibration: of the pairs for which the reward model is so sure, how often is it right?"""

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from rlhf_lab.gui.models.diagnosis import CalibrationPoint
from rlhf_lab.gui.plots.base import pen
from rlhf_lab.gui.plots.pointed import PointedPlot
from rlhf_lab.gui.theme import theme

SMALLEST, LARGEST = 5.0, 14.0
"""Diameters of points; the area follows the number of pairs."""


class CalibrationPlot(PointedPlot):
    """Predicted probability against observed share, with intervals; the dashed diagonal is perfect."""

    def __init__(self, title: str):
        self._bins: list[CalibrationPoint] = []
        self._diagonal = pg.PlotCurveItem([0.0, 1.0], [0.0, 1.0])
        self._intervals = pg.PlotCurveItem(connect="pairs")
        self._line = pg.PlotCurveItem()
        self._points = pg.ScatterPlotItem(antialias=True)
        super().__init__(title, "Predicted: the first answer wins", "Observed")
        for item in (self._diagonal, self._intervals, self._line, self._points):
            self.addItem(item, ignoreBounds=True)

    def show_bins(self, bins: Sequence[CalibrationPoint]) -> None:
        """Show other ones."""
        self._bins = list(bins)
        self.set_spots(np.array([b.predicted for b in bins]), np.array([b.observed for b in bins]))
        self.ask_redraw(soon=True)

    def redraw(self) -> None:
        """Draw the curve on the unit square."""
        bins = self._bins
        x, y = np.array([b.predicted for b in bins]), np.array([b.observed for b in bins])
        ends = np.array([[b.low, b.high] for b in bins]).reshape(-1)
        share = np.array([b.pairs for b in bins]) / max((b.pairs for b in bins), default=1)
        self._line.setData(x, y)
        self._intervals.setData(np.repeat(x, 2), ends)
        self._points.setData(x, y, size=np.maximum(SMALLEST, LARGEST * np.sqrt(share)))
        box = self.getPlotItem().getViewBox()
        box.setXRange(0, 1, padding=0.03)
        box.setYRange(0, 1, padding=0.04)
        self.draw_grid()

    def colour(self) -> str:
        """Of the curve."""
        return theme().colours.series[0]

    def recolour(self) -> None:
        """Take the theme's colours."""
        super().recolour()
        colour = self.colour()
        self._diagonal.setPen(pen(theme().colours.muted, style=Qt.PenStyle.DashLine))
        self._intervals.setPen(pen(colour, 150))
        self._line.setPen(pen(colour, 150))
        self._points.setPen(pen(theme().colours.surface))
        self._points.setBrush(QColor(colour))
