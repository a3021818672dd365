"""How a distribution changes over a run: steps to the right, values up, stronger where more of them lie."""

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor

from rlhf_lab.gui.models.curves import Floats
from rlhf_lab.gui.models.heat import Heat, heat_of
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.plots.base import pen
from rlhf_lab.gui.plots.step_plot import StepPlot
from rlhf_lab.gui.theme import theme

SHADES = 64
FULL = 98
"""Percentile of the shares that gets the full colour: one lone spike would else pale all the rest."""


class HeatPlot(StepPlot):
    """Draws the histograms of one name, with the median and the 10th and 90th percentile over them."""

    def __init__(self, title: str, name: str):
        self._name = name
        self._heat: Heat | None = None
        self._image = pg.ImageItem()
        self._quantiles = [pg.PlotCurveItem() for _ in range(3)]
        super().__init__(title)
        self._image.setZValue(-10)
        self.addItem(self._image, ignoreBounds=True)
        for line in self._quantiles:
            self.addItem(line, ignoreBounds=True)

    @property
    def name(self) -> str:
        """Of the histograms that it shows."""
        return self._name

    @property
    def heat(self) -> Heat | None:
        """What is drawn."""
        return self._heat

    def steps(self) -> Floats:
        """Those that have a histogram."""
        by_step = self._history.histograms.get(self._name, {}) if self._history is not None else {}
        return np.array(sorted(by_step), dtype=np.float64)

    @property
    def cursor_step(self) -> float | None:
        """The step with a histogram that is nearest to the crosshair."""
        steps = self.steps()
        if self._cursor is None or not len(steps):
            return None
        return float(steps[np.argmin(np.abs(steps - self._cursor))])

    def at_cursor(self) -> tuple[float, float, float] | None:
        """The 10th percentile, the median and the 90th at the crosshair, else at the newest step."""
        if self._heat is None:
            return None
        step = self.cursor_step
        at = -1 if step is None else int(np.argmin(np.abs(self._heat.steps - step)))
        low, middle, high = (float(value) for value in self._heat.quantiles[at])
        return low, middle, high

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run, all of it."""
        self._heat = None
        super().show_history(history)

    def redraw(self) -> None:
        """Draw all steps."""
        by_step = self._history.histograms.get(self._name, {}) if self._history is not None else {}
        self._heat = heat_of(by_step)
        box, heat = self.getPlotItem().getViewBox(), self._heat
        self._image.setVisible(heat is not None)
        for line in self._quantiles:
            line.setVisible(heat is not None)
        low, high = (0.0, 1.0) if heat is None else (heat.low, heat.high)
        if heat is not None:
            left, right = heat.steps[0] - heat.width / 2, heat.steps[-1] + heat.width / 2
            full = np.percentile(heat.shares[heat.shares > 0], FULL)
            self._image.setImage(np.sqrt(np.minimum(heat.shares / full, 1.0)), levels=(0.0, 1.0))
            self._image.setRect(QRectF(left, low, right - left, high - low))
            for line, values in zip(self._quantiles, heat.quantiles.T, strict=True):
                line.setData(heat.steps, values)
            box.setXRange(*(self._view or (left, right)), padding=0)
        self.set_y_range(low, high)
        self.draw_grid()
        self.tell_nothing(heat is None)
        self.values_changed.emit()

    def recolour(self) -> None:
        """Take the theme's colours."""
        colours = theme().colours
        shade = QColor(colours.series[0])
        self._image.setLookupTable(
            np.array(
                [(shade.red(), shade.green(), shade.blue(), 235 * at // (SHADES - 1)) for at in range(SHADES)]
            ).astype(np.ubyte)
        )
        styles = (Qt.PenStyle.DotLine, Qt.PenStyle.SolidLine, Qt.PenStyle.DotLine)
        for line, style in zip(self._quantiles, styles, strict=True):
            line.setPen(pen(colours.series[1], style=style))
        super().recolour()
