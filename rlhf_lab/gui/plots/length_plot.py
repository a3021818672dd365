"""Scores of held-out answers against their length: a reward model that pays for words shows a slope."""

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from rlhf_lab.core.diagnosis import Scored
from rlhf_lab.gui.models.diagnosis import trend
from rlhf_lab.gui.plots.base import pen
from rlhf_lab.gui.plots.pointed import PointedPlot
from rlhf_lab.gui.theme import theme

SIDES = {"chosen": "o", "rejected": "t1"}
"""Told apart by their symbols too."""
WORDS = {"chosen": "Chosen, dots", "rejected": "Rejected, triangles"}
"""For the legend."""


class LengthPlot(PointedPlot):
    """One point an answer; the dashed line is the least-squares line through all of them."""

    def __init__(self, title: str):
        self._answers: list[Scored] = []
        self._points = {
            side: pg.ScatterPlotItem(size=6, symbol=symbol, antialias=True) for side, symbol in SIDES.items()
        }
        self._trend = pg.PlotCurveItem()
        super().__init__(title, "Tokens", "Score")
        for item in (*self._points.values(), self._trend):
            self.addItem(item, ignoreBounds=True)

    def show_answers(self, answers: Sequence[Scored]) -> None:
        """Show other ones."""
        self._answers = [answer for answer in answers if np.isfinite(answer.score)]
        self.set_spots(*self._places(self._answers))
        self.ask_redraw(soon=True)

    def words(self, at: int) -> str:
        """What a point is: "42 tokens, score 1.20, chosen"."""
        answer = self._answers[at]
        return f"{answer.tokens:,} tokens, score {answer.score:.2f}, {'chosen' if answer.chosen else 'rejected'}"

    def redraw(self) -> None:
        """Draw all points."""
        for side, item in self._points.items():
            item.setData(*self._places([a for a in self._answers if a.chosen == (side == "chosen")]))
        x, y = self._places(self._answers)
        line = trend(x, y)
        self._trend.setData(*(line if line is not None else ([], [])))
        low, high = (float(x.min()), float(x.max())) if len(x) else (0.0, 1.0)
        self.getPlotItem().getViewBox().setXRange(low, max(high, low + 1), padding=0.04)
        self.set_y_range(*((float(y.min()), float(y.max())) if len(y) else (0.0, 1.0)))
        self.draw_grid()

    def colour(self, side: str) -> str:
        """Of one side."""
        return theme().colours.series[list(SIDES).index(side)]

    def recolour(self) -> None:
        """Take the theme's colours."""
        super().recolour()
        for side, item in self._points.items():
            shade = QColor(self.colour(side))
            shade.setAlpha(150)
            item.setPen(None)
            item.setBrush(shade)
        self._trend.setPen(pen(theme().colours.text, style=Qt.PenStyle.DashLine))

    @staticmethod
    def _places(answers: Sequence[Scored]) -> tuple[np.ndarray, np.ndarray]:
        tokens = np.array([answer.tokens for answer in answers], dtype=np.float64)
        return tokens, np.array([answer.score for answer in answers], dtype=np.float64)
