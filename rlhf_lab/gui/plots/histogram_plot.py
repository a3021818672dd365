"""Distributions side by side, such as the scores of chosen and rejected answers."""

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QColor

from rlhf_lab.core.events import Histogram
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.plots.base import LabPlot, pen
from rlhf_lab.gui.theme import theme

NOTHING = (np.array([0.0, 0.0]), np.array([0.0]))
"""Edges and counts of a histogram that cannot be seen."""


class HistogramPlot(LabPlot):
    """The newest histogram of each name, or the one at the step that was asked for."""

    def __init__(self, title: str, names: Sequence[str]):
        self._names = tuple(names)
        self._history: RunHistory | None = None
        self._step: int | None = None
        self._fills = {name: pg.PlotCurveItem(*NOTHING, stepMode="center", fillLevel=0) for name in self._names}
        super().__init__(title)
        for fill in self._fills.values():
            self.addItem(fill, ignoreBounds=True)
        self.getPlotItem().getViewBox().setMouseEnabled(x=False, y=False)
        self.getPlotItem().getAxis("left").setStyle(maxTickLevel=0)

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run."""
        self._history, self._step = history, None
        self.ask_redraw(soon=True)

    def set_step(self, step: int | None) -> None:
        """Show the histograms of this step, or of the last one before it; None: the newest."""
        self._step = step
        self.ask_redraw(soon=True)

    def colour(self, name: str) -> str:
        """The colour of a distribution."""
        return theme().colours.series[self._names.index(name) % 2]

    def shown(self, name: str) -> Histogram | None:
        """What is drawn under this name now."""
        by_step = self._history.histograms.get(name, {}) if self._history is not None else {}
        steps = [step for step in by_step if self._step is None or step <= self._step]
        return by_step[max(steps)] if steps else None

    def redraw(self) -> None:
        """Draw the distributions on one axis."""
        found = {name: self.shown(name) for name in self._names}
        known = {name: h for name, h in found.items() if h is not None and len(h.counts) and sum(h.counts)}
        for name, fill in self._fills.items():
            if name in known:
                fill.setData(np.asarray(known[name].edges), np.asarray(known[name].counts, dtype=np.float64))
            else:
                fill.setData(*NOTHING)
        edges = [edge for h in known.values() for edge in (h.edges[0], h.edges[-1])]
        most = max((max(h.counts) for h in known.values()), default=1)
        box = self.getPlotItem().getViewBox()
        box.setXRange(min(edges, default=-1.0), max(edges, default=1.0), padding=0.02)
        box.setYRange(0, most * 1.08, padding=0)
        self.draw_grid()

    def recolour(self) -> None:
        """Take the theme's colours."""
        for name, fill in self._fills.items():
            colour = self.colour(name)
            shade = QColor(colour)
            shade.setAlpha(70)
            fill.setPen(pen(colour))
            fill.setBrush(shade)
