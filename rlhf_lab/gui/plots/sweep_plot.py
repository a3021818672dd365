"""A metric against a swept setting: a point a run, means joined, a bar for the spread over seeds."""

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from rlhf_lab.core.recipe import Scalar, value_in_words
from rlhf_lab.gui.models.sweep_results import Series
from rlhf_lab.gui.plots.base import LabPlot, pen
from rlhf_lab.gui.theme import theme

SYMBOLS = ("o", "s", "t1", "d", "star", "p", "t", "h")
STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
LOG_FROM = 20.0
"""Values that lie so many times apart are drawn evenly by their logarithm."""
_SIDE = 0.08
"""Share of the width kept free on each side; on the right, names of several series find more."""


class SweepPlot(LabPlot):
    """Series are told apart by symbol, by the dashes of their line, and by their name at its end."""

    def __init__(self, title: str):
        self._series: Sequence[Series] = ()
        self._empty = ""
        self._items: list[object] = []
        super().__init__(title)
        self.getPlotItem().getViewBox().setMouseEnabled(x=False, y=False)

    def show_series(self, series: Sequence[Series], empty: str = "") -> None:
        """Show these, or say why there are none."""
        self._series, self._empty = series, empty
        self.setAccessibleDescription(
            "; ".join(
                f"{one.title} {value_in_words(cell.x)}: {cell.spread.mean:.4g}".strip()
                for one in series
                for cell in one.cells
            )
        )
        self.ask_redraw(soon=True)

    def redraw(self) -> None:
        """Draw all of it anew: it is little."""
        for item in self._items:
            self.removeItem(item)
        self._items = []
        places = _places([cell.x for series in self._series for cell in series.cells])
        ticks = [(place, value_in_words(value)) for value, place in places.values()]
        self.getPlotItem().getAxis("bottom").setTicks([ticks] if ticks else [[]])
        drawn = [end for one in self._series for cell in one.cells for end in (cell.spread.low, cell.spread.high)]
        drawn += [point.value for one in self._series for point in one.points]
        low, high = min((t[0] for t in ticks), default=0.0), max((t[0] for t in ticks), default=1.0)
        span = (high - low) or 1.0
        right = 0.35 if any(one.title for one in self._series) else _SIDE
        self.getPlotItem().getViewBox().setXRange(low - _SIDE * span, high + right * span, padding=0)
        self.set_y_range(min(drawn, default=0.0), max(drawn, default=1.0))
        self.draw_grid()
        for at, series in enumerate(self._series):
            self._draw(at, series, {key: place for key, (_, place) in places.items()})
        self._name_series({key: place for key, (_, place) in places.items()})
        self.tell("" if self._series else self._empty)

    def recolour(self) -> None:
        """Take the theme's colours."""
        if self._series:
            self.ask_redraw(soon=True)

    def _draw(self, at: int, series: Series, places: dict[str, float]) -> None:
        colour = _colour(at)
        symbol = SYMBOLS[at % len(SYMBOLS)]
        x = np.array([places[repr(cell.x)] for cell in series.cells])
        means = np.array([cell.spread.mean for cell in series.cells])
        several = np.array([cell.spread.count > 1 for cell in series.cells])
        self._add(pg.PlotCurveItem(x, means, pen=pen(colour, style=STYLES[at % len(STYLES)])))
        if several.any():
            lows = np.array([cell.spread.low for cell in series.cells])[several]
            highs = np.array([cell.spread.high for cell in series.cells])[several]
            bars = pg.ErrorBarItem(
                x=x[several],
                y=means[several],
                top=highs - means[several],
                bottom=means[several] - lows,
                beam=0.02 * ((x.max() - x.min()) or 1.0),
                pen=pen(colour),
            )
            self._add(bars)
            self._add(
                pg.ScatterPlotItem(x[several], means[several], symbol=symbol, size=9, brush=QColor(colour), pen=None)
            )
        points = pg.ScatterPlotItem(
            [places[repr(point.x)] for point in series.points],
            [point.value for point in series.points],
            symbol=symbol,
            size=7,
            brush=None if several.any() else QColor(colour),
            pen=pen(colour),
            antialias=True,
        )
        self._add(points)

    def _name_series(self, places: dict[str, float]) -> None:
        """At the end of each line, from below; names that would touch move up."""
        box, lowest = self.getPlotItem().getViewBox(), -math.inf
        row = (
            (self.fontMetrics().height() + 2) / max(box.height(), 1.0) * (box.viewRange()[1][1] - box.viewRange()[1][0])
        )
        ends = sorted((series.cells[-1].spread.mean, at) for at, series in enumerate(self._series) if series.title)
        right = max(places.values(), default=0.0)
        for mean, at in ends:
            lowest = max(mean, lowest + row)
            name = pg.TextItem(f"  {self._series[at].title}", _colour(at), anchor=(0, 0.5))
            name.setPos(right, lowest)
            self._add(name)

    def _add(self, item: object) -> None:
        self.addItem(item, ignoreBounds=True)
        self._items.append(item)


def _colour(at: int) -> str:
    return theme().colours.series[at % len(theme().colours.series)]


def _places(values: Sequence[Scalar]) -> dict[str, tuple[Scalar, float]]:
    """Where each value stands: numbers by their size or its logarithm, all else side by side."""
    different = {repr(value): value for value in values}
    numbers = [float(v) for v in different.values() if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(different):
        return {key: (value, float(place)) for place, (key, value) in enumerate(different.items())}
    log = bool(numbers) and min(numbers) > 0 and max(numbers) / min(numbers) >= LOG_FROM
    return {key: (value, math.log10(float(value)) if log else float(value)) for key, value in different.items()}
