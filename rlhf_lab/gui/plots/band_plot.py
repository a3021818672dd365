"""Curves with bands around them; bands are told apart by hatching and by their edges, besides their colour."""

from collections.abc import Mapping

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QBrush, QColor

from rlhf_lab.gui.models.bands import Band
from rlhf_lab.gui.models.plot_spec import PlotSpec
from rlhf_lab.gui.plots.base import pen
from rlhf_lab.gui.plots.curve_plot import CurvePlot

HATCHES = (
    Qt.BrushStyle.SolidPattern,
    Qt.BrushStyle.BDiagPattern,
    Qt.BrushStyle.FDiagPattern,
    Qt.BrushStyle.DiagCrossPattern,
    Qt.BrushStyle.VerPattern,
)
EDGES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
_SOLID_ALPHA, _HATCH_ALPHA, _EDGE_ALPHA = 44, 110, 130


class BandPlot(CurvePlot):
    """A `CurvePlot` whose curves may be means."""

    def __init__(self, spec: PlotSpec):
        self._bands: Mapping[str, Band] = {}
        self._items: list[object] = []
        super().__init__(spec)

    @property
    def bands(self) -> Mapping[str, Band]:
        """Those that are shown, by the name of their curve."""
        return self._bands

    def show_bands(self, bands: Mapping[str, Band]) -> None:
        """Draw these around the curves of the same names, from the next redraw on."""
        self._bands = bands
        self.ask_redraw(soon=True)

    def redraw(self) -> None:
        """Curves, and behind them the bands, which need room too."""
        super().redraw()
        for item in self._items:
            self.removeItem(item)
        self._items = []
        if not self._bands:
            return
        (left, right), (bottom, top) = self.getPlotItem().getViewBox().viewRange()
        extremes = []
        for place, (name, band) in enumerate(self._bands.items()):
            if name in self._lines and self._lines[name].shown:
                seen = self._draw_band(place, name, band, left, right)
                extremes += [] if seen is None else list(seen)
        if extremes and (min(extremes) < bottom or max(extremes) > top):
            self.set_y_range(min(*extremes, bottom), max(*extremes, top))
            self.draw_grid()

    def _draw_band(self, place: int, name: str, band: Band, left: float, right: float) -> tuple[float, float] | None:
        """Its least and greatest value in view."""
        first = max(int(np.searchsorted(band.steps, left)) - 1, 0)
        last = min(int(np.searchsorted(band.steps, right, side="right")) + 1, len(band.steps))
        x = band.steps[first:last]
        low, high = self._scaled(band.low[first:last]), self._scaled(band.high[first:last])
        known = np.isfinite(low) & np.isfinite(high)
        if not known.any():
            return None
        x, low, high = x[known], low[known], high[known]
        edge, fill = QColor(self.colour(name)), QColor(self.colour(name))
        hatch = HATCHES[place % len(HATCHES)]
        fill.setAlpha(_SOLID_ALPHA if hatch == Qt.BrushStyle.SolidPattern else _HATCH_ALPHA)
        line = pen(edge.name(), _EDGE_ALPHA, EDGES[place % len(EDGES)])
        edges = [pg.PlotCurveItem(x, values, pen=line) for values in (low, high)]
        for item in (*edges, pg.FillBetweenItem(*edges, brush=QBrush(fill, hatch))):
            item.setZValue(-5)
            self.addItem(item, ignoreBounds=True)
            self._items.append(item)
        return float(low.min()), float(high.max())
