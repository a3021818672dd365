"""Curves of one run over its steps, as they come: reduced to the pixels, smoothed, with a crosshair."""

from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from rlhf_lab.gui.models.curves import Floats
from rlhf_lab.gui.models.marks import marks_of
from rlhf_lab.gui.models.plot_spec import PlotSpec, number
from rlhf_lab.gui.plots.base import pen
from rlhf_lab.gui.plots.marks import MarkLines
from rlhf_lab.gui.plots.step_plot import StepPlot
from rlhf_lab.gui.theme import theme

DOTTED_UP_TO = 60
"""Points on the screen up to which each one gets a dot: a lone point would else be invisible."""

DASHED_UP_TO = 400
"""Points up to which a dashed line is drawn dashed; more would cost more than they tell."""

HEALTHY_ALPHA = 16
"""Of 255: the shade of the healthy range is seen and does not speak."""


@dataclass
class _Line:
    """The items of one metric: the raw line, the smoothed one over it, dots where points are few."""

    raw: pg.PlotCurveItem
    smooth: pg.PlotCurveItem
    dots: pg.ScatterPlotItem
    colour: str = "#000000"
    shown: bool = True


class CurvePlot(StepPlot):
    """Draws a `RunHistory`'s metrics."""

    def __init__(self, spec: PlotSpec):
        self._spec = spec
        self._lines: dict[str, _Line] = {}
        self._smoothing = 0.0
        self._log = spec.log
        for name in spec.metrics:
            self._lines[name] = _Line(
                pg.PlotCurveItem(connect="finite"),
                pg.PlotCurveItem(connect="finite"),
                pg.ScatterPlotItem(size=5, pxMode=True, antialias=True),
            )
        self._region = None if spec.healthy is None else pg.LinearRegionItem(orientation="horizontal", movable=False)
        self._marks = MarkLines(self)
        super().__init__(spec.title)
        self.setAccessibleDescription(spec.help)
        self.getPlotItem().getAxis("left").setLogMode(self._log)
        if self._region is not None:
            self._region.setZValue(-10)
            self.addItem(self._region, ignoreBounds=True)
        for line in self._lines.values():
            for item in (line.raw, line.smooth, line.dots):
                self.addItem(item, ignoreBounds=True)

    @property
    def spec(self) -> PlotSpec:
        """What it shows."""
        return self._spec

    @property
    def marks(self) -> MarkLines:
        """What is marked on the curves."""
        return self._marks

    def set_smoothing(self, weight: float) -> None:
        """0: only the raw lines; up to 0.99."""
        self._smoothing = 0.0 if self._spec.exact else weight
        self.ask_redraw(soon=True)

    def set_log(self, log: bool) -> None:
        """A logarithmic y axis; what is not positive is not drawn then."""
        self._log = log
        self.getPlotItem().getAxis("left").setLogMode(log)
        self.ask_redraw(soon=True)

    def set_shown(self, name: str, shown: bool) -> None:
        """Show or hide one metric."""
        self._lines[name].shown = shown
        self.ask_redraw(soon=True)

    def steps(self) -> Floats:
        """Those of the longest curve."""
        curves = (
            [self._history.curves[name] for name in self._lines if name in self._history.curves]
            if self._history
            else []
        )
        return max((curve.steps for curve in curves), key=len, default=np.empty(0))

    @property
    def cursor_step(self) -> float | None:
        """Where the crosshair stands, at the nearest step that has a value."""
        if self._cursor is None or self._history is None:
            return None
        points = [p for p in (self._point(name, self._cursor) for name in self._lines) if p is not None]
        return min((p[0] for p in points), key=lambda step: abs(step - (self._cursor or 0.0)), default=None)

    def value_text(self, name: str) -> str:
        """The metric's value under the crosshair, else its newest one; "" without any."""
        if self._history is None or name not in self._history.curves:
            return ""
        if self._cursor is None:
            return number(self._history.newest(name))
        point = self._point(name, self._cursor)
        return number(point[1]) if point is not None else ""

    def colour(self, name: str) -> str:
        """The colour of a metric's line."""
        return self._lines[name].colour

    def redraw(self) -> None:
        """Draw what is in view."""
        low, high = self._view or self._all_steps()
        self.getPlotItem().getViewBox().setXRange(low, high, padding=0 if self._view else 0.02)
        bins = max(100, int(self.getPlotItem().getViewBox().width()))
        lows, highs = [], []
        for name, line in self._lines.items():
            drawn = self._draw(name, line, low, high, bins)
            known = drawn[np.isfinite(drawn)]
            if len(known):
                lows.append(float(known.min()))
                highs.append(float(known.max()))
        self.set_y_range(min(lows, default=0.0), max(highs, default=1.0))
        self.draw_grid()
        self._place_region()
        self.tell_nothing(not len(self.steps()))
        self._marks.show(marks_of(self._history, self._spec.metrics), low, high)
        self.values_changed.emit()

    def recolour(self) -> None:
        """Take the theme's colours."""
        colours = theme().colours
        for position, (name, line) in enumerate(self._lines.items()):
            line.colour = colours.series[position % len(colours.series)]
            line.smooth.setPen(pen(line.colour))
            line.dots.setPen(None)
            line.dots.setBrush(QColor(line.colour))
            self._pen_raw(name, line, 0)
        if self._region is not None:
            shade = QColor(colours.good)
            shade.setAlpha(HEALTHY_ALPHA)
            self._region.setBrush(shade)
            for edge in self._region.lines:
                edge.setPen(pen(colours.good, 90, Qt.PenStyle.DotLine))
        self._marks.recolour()
        super().recolour()

    def _draw(self, name: str, line: _Line, low: float, high: float, bins: int) -> Floats:
        """Give the items of one metric their points; returns the y values in view."""
        curve = self._history.curves.get(name) if self._history is not None else None
        if curve is None or not line.shown:
            for item in (line.raw, line.smooth, line.dots):
                item.setVisible(False)
            return np.empty(0)
        x, raw = curve.drawn(low, high, bins)
        raw = self._scaled(raw)
        self._pen_raw(name, line, len(x))
        line.raw.setData(x, raw)
        line.raw.setVisible(True)
        top_x, top = x, raw
        if self._smoothing:
            top_x, top = curve.drawn(low, high, bins, self._smoothing)
            top = self._scaled(top)
            line.smooth.setData(top_x, top)
        line.smooth.setVisible(bool(self._smoothing))
        few = np.isfinite(top) if len(top) <= DOTTED_UP_TO else np.zeros(len(top), dtype=bool)
        line.dots.setVisible(bool(few.any()))
        if few.any():
            line.dots.setData(top_x[few], top[few])
        return raw

    def _scaled(self, values: Floats) -> Floats:
        if not self._log:
            return values
        out = np.full(len(values), np.nan)
        np.log10(values, out=out, where=values > 0)
        return out

    def _pen_raw(self, name: str, line: _Line, points: int) -> None:
        dashed = name in self._spec.dashed and points <= DASHED_UP_TO
        style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
        wanted = pen(line.colour, 70 if self._smoothing else 255, style)
        if line.raw.opts["pen"] != wanted:
            line.raw.setPen(wanted)

    def _all_steps(self) -> tuple[float, float]:
        curves = [self._history.curves[n] for n in self._lines if n in self._history.curves] if self._history else []
        ends = [(curve.steps[0], curve.steps[-1]) for curve in curves if len(curve)]
        low, high = min((e[0] for e in ends), default=0.0), max((e[1] for e in ends), default=1.0)
        return float(low), float(max(high, low + 1))

    def _place_region(self) -> None:
        healthy, y_range = self._spec.healthy, self.getPlotItem().getViewBox().viewRange()[1]
        if healthy is None or self._region is None:
            return
        beyond = y_range[1] - y_range[0]
        low, high = (self._scaled_bound(bound) for bound in healthy)
        bottom = min(low, y_range[1] + beyond) if low is not None else y_range[0] - beyond
        top = max(high, y_range[0] - beyond) if high is not None else y_range[1] + beyond
        self._region.setRegion((bottom, max(top, bottom)))

    def _scaled_bound(self, bound: float | None) -> float | None:
        if bound is None or not self._log:
            return bound
        return float(np.log10(bound)) if bound > 0 else None

    def _point(self, name: str, step: float) -> tuple[float, float] | None:
        curve = self._history.curves.get(name) if self._history is not None else None
        return curve.at(step) if curve is not None and self._lines[name].shown else None
