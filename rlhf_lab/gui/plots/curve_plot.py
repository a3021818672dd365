"""Curves of one run over its steps, as they come: reduced to the pixels, smoothed, with a crosshair."""

from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent

from rlhf_lab.core.events import Changed
from rlhf_lab.gui.models.curves import Floats
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.plot_spec import PlotSpec, label, number
from rlhf_lab.gui.plots.base import LabPlot, StepAxis, pen
from rlhf_lab.gui.theme import theme

DOTTED_UP_TO = 60
"""Points on the screen up to which each one gets a dot: a lone point would else be invisible."""

DASHED_UP_TO = 400
"""Points up to which a dashed line is drawn dashed; more would cost more than they tell."""

HEALTHY_ALPHA = 16
"""Of 255: the shade of the healthy range is seen and does not speak."""

CHANGE_LABELS = {"kl_coef": "β", "learning_rate": "learning rate"}


@dataclass
class _Line:
    """The items of one metric: the raw line, the smoothed one over it, dots where points are few."""

    raw: pg.PlotCurveItem
    smooth: pg.PlotCurveItem
    dots: pg.ScatterPlotItem
    colour: str = "#000000"
    shown: bool = True


class CurvePlot(LabPlot):
    """Draws a `RunHistory`'s metrics. ``hovered`` and ``zoomed`` let other plots follow (None: no longer)."""

    hovered = Signal(object)
    zoomed = Signal(object)
    values_changed = Signal()

    def __init__(self, spec: PlotSpec):
        self._spec = spec
        self._history: RunHistory | None = None
        self._lines: dict[str, _Line] = {}
        self._marks: list[pg.InfiniteLine] = []
        self._smoothing = 0.0
        self._log = spec.log
        self._view: tuple[float, float] | None = None
        self._cursor: float | None = None
        for name in spec.metrics:
            self._lines[name] = _Line(
                pg.PlotCurveItem(connect="finite"),
                pg.PlotCurveItem(connect="finite"),
                pg.ScatterPlotItem(size=5, pxMode=True, antialias=True),
            )
        self._region = None if spec.healthy is None else pg.LinearRegionItem(orientation="horizontal", movable=False)
        self._crosshair = pg.InfiniteLine(angle=90)
        super().__init__(spec.title, {"bottom": StepAxis("bottom")})
        self.setAccessibleDescription(spec.help)
        self.getPlotItem().getAxis("left").setLogMode(self._log)
        if self._region is not None:
            self._region.setZValue(-10)
            self.addItem(self._region, ignoreBounds=True)
        self.addItem(self._crosshair, ignoreBounds=True)
        for line in self._lines.values():
            for item in (line.raw, line.smooth, line.dots):
                self.addItem(item, ignoreBounds=True)
        self._crosshair.setVisible(False)
        self.getPlotItem().getViewBox().sigRangeChangedManually.connect(self._zoomed_by_hand)
        self.getPlotItem().getViewBox().sigResized.connect(self._resized)

    @property
    def spec(self) -> PlotSpec:
        """What it shows."""
        return self._spec

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run, all of it."""
        self._history, self._view, self._cursor = history, None, None
        self.ask_redraw(soon=True)

    def set_smoothing(self, weight: float) -> None:
        """0: only the raw lines; up to 0.99."""
        self._smoothing = weight
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

    def set_view(self, view: tuple[float, float] | None) -> None:
        """Show these steps; None: all, also those to come."""
        self._view = view
        self.ask_redraw(soon=True)

    def set_cursor(self, step: float | None) -> None:
        """Put the crosshair at a step."""
        self._cursor = step
        self._crosshair.setVisible(step is not None)
        if step is not None:
            self._crosshair.setPos(step)
        self.values_changed.emit()

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
        self._place_marks()
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
        self._crosshair.setPen(pen(colours.muted))
        for mark in self._marks:
            mark.setPen(pen(colours.warn, style=Qt.PenStyle.DashLine))
            mark.label.setColor(colours.warn)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Let the crosshair follow."""
        super().mouseMoveEvent(event)
        box = self.getPlotItem().getViewBox()
        place = self.mapToScene(event.position().toPoint())
        inside = box.sceneBoundingRect().contains(place)
        self.hovered.emit(box.mapSceneToView(QPointF(place)).x() if inside else None)

    def leaveEvent(self, event: QEvent) -> None:
        """Take the crosshair away."""
        super().leaveEvent(event)
        self.hovered.emit(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move the crosshair from point to point, Escape takes it away."""
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self._history is not None:
            self._step_cursor(1 if event.key() == Qt.Key.Key_Right else -1)
        elif event.key() == Qt.Key.Key_Escape and self._cursor is not None:
            self.hovered.emit(None)
        else:
            super().keyPressEvent(event)

    def zoom_centre(self) -> pg.Point | None:
        """The crosshair, where there is one."""
        return None if self._cursor is None else pg.Point(self._cursor, 0.0)

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

    def _place_marks(self) -> None:
        changes = self._history.changes if self._history is not None else []
        texts = [_change_text(change) for change in changes]
        if [(m.value(), m.label.format) for m in self._marks] == [
            (float(c.step), t) for c, t in zip(changes, texts, strict=True)
        ]:
            return
        for mark in self._marks:
            self.removeItem(mark)
        self._marks = []
        for change, text in zip(changes, texts, strict=True):
            mark = pg.InfiniteLine(float(change.step), angle=90, label=text, labelOpts={"position": 0.92})
            self.addItem(mark, ignoreBounds=True)
            self._marks.append(mark)
        self.recolour()

    def _point(self, name: str, step: float) -> tuple[float, float] | None:
        curve = self._history.curves.get(name) if self._history is not None else None
        return curve.at(step) if curve is not None and self._lines[name].shown else None

    def _step_cursor(self, direction: int) -> None:
        assert self._history is not None
        curves = [self._history.curves[name] for name in self._lines if name in self._history.curves]
        if not curves:
            return
        steps = max(curves, key=len).steps
        low, high = self.getPlotItem().getViewBox().viewRange()[0]
        first, last = int(np.searchsorted(steps, low)), int(np.searchsorted(steps, high, side="right")) - 1
        if self._cursor is None:
            at = last if direction < 0 else first
        else:
            at = int(np.searchsorted(steps, self._cursor)) + direction
        if first <= last:
            self.hovered.emit(float(steps[min(max(at, first), last)]))

    def _zoomed_by_hand(self) -> None:
        low, high = self.getPlotItem().getViewBox().viewRange()[0]
        self.zoomed.emit((float(low), float(high)))

    def _resized(self) -> None:
        self.ask_redraw(soon=True)


def _change_text(change: Changed) -> str:
    # pyqtgraph runs str.format on a mark's label: braces may only come from here.
    return f"{CHANGE_LABELS.get(change.field, label(change.field))} → {number(change.value)}".replace("{", "").replace(
        "}", ""
    )
