"""The signature plot of RLHF: score against √KL, with the held-out and the gold score over it.

While the reward model is a good guide both rise; where the score goes on rising and gold turns over,
the policy has begun to exploit the reward model (arXiv 2210.10760).
"""

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QColor

from rlhf_lab.gui.models.curves import Curve, Floats
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.plots.base import LabPlot, pen
from rlhf_lab.gui.theme import theme

PAIRS = {
    "objective/scores": "objective/kl",
    "eval/score": "eval/kl",
    "eval/gold": "eval/kl",
}
"""Each score and the KL that was measured on the same answers."""

MOST_POINTS = 2_000
"""Points of a trail; more than that are thinned evenly."""

NO_POINTS = "This run measured no score and KL on the same answers"
NO_POINTS_YET = "A point for each step at which score and KL are known"

SYMBOLS = {"objective/scores": "o", "eval/score": "s", "eval/gold": "t1"}


class TradeoffPlot(LabPlot):
    """One trail per score, from the start (hollow) to the newest point (filled)."""

    def __init__(self, title: str, scores: Sequence[str] = tuple(PAIRS)):
        self._history: RunHistory | None = None
        self._trails = {name: pg.PlotCurveItem(connect="finite") for name in scores}
        self._points = {name: pg.ScatterPlotItem(size=7, antialias=True) for name in scores}
        super().__init__(title)
        for name in scores:
            self.addItem(self._trails[name], ignoreBounds=True)
            self.addItem(self._points[name], ignoreBounds=True)
        self.getPlotItem().getViewBox().setMouseEnabled(x=False, y=False)

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run."""
        self._history = history
        self.ask_redraw(soon=True)

    def colour(self, name: str) -> str:
        """The colour of a score's trail."""
        return theme().colours.series[list(self._trails).index(name)]

    def trail(self, name: str) -> tuple[Floats, Floats]:
        """√KL and score at each step where both are known."""
        curves = self._history.curves if self._history is not None else {}
        score, kl = curves.get(name), curves.get(PAIRS[name])
        if score is None or kl is None:
            return np.empty(0), np.empty(0)
        return _joined(kl, score)

    def redraw(self) -> None:
        """Draw all trails."""
        right, low, high = 0.1, [], []
        for name in self._trails:
            x, y = self.trail(name)
            self._trails[name].setData(x, y)
            self._mark_ends(name, x, y)
            if len(x):
                right = max(right, float(x.max()))
                low.append(float(y.min()))
                high.append(float(y.max()))
        self.getPlotItem().getViewBox().setXRange(0, right, padding=0.04)
        self.set_y_range(min(low, default=0.0), max(high, default=1.0))
        self.draw_grid()
        self.tell("" if low else NO_POINTS if self._ended() else NO_POINTS_YET)

    def _ended(self) -> bool:
        return self._history is not None and self._history.finished is not None

    def recolour(self) -> None:
        """Take the theme's colours."""
        for name in self._trails:
            self._trails[name].setPen(pen(self.colour(name), 150))
        if self._history is not None:
            self.redraw()

    def _mark_ends(self, name: str, x: Floats, y: Floats) -> None:
        colour = QColor(self.colour(name))
        fill = [pg.mkBrush(None)] * (len(x) - 1) + [pg.mkBrush(colour)]
        few = slice(None) if len(x) <= 60 else slice(-1, None)
        self._points[name].setData(
            x[few], y[few], symbol=SYMBOLS[name], pen=pen(self.colour(name)), brush=fill[few] if len(x) else None
        )


def _joined(kl: Curve, score: Curve) -> tuple[Floats, Floats]:
    """(√KL, score) at common steps; an estimate of KL below 0 counts as 0."""
    _, at_kl, at_score = np.intersect1d(kl.steps, score.steps, assume_unique=True, return_indices=True)
    x, y = np.sqrt(np.maximum(kl.values[at_kl], 0.0)), score.values[at_score]
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    every = -(-len(x) // MOST_POINTS) or 1
    return x[::-every][::-1], y[::-every][::-1]  # counted from the end: the newest point always stays
