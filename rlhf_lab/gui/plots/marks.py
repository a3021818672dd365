"""Upright lines with words at steps where something happened."""

from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from rlhf_lab.gui.models.marks import Mark
from rlhf_lab.gui.plots.base import LabPlot, pen
from rlhf_lab.gui.theme import theme

TOP, ROW = 0.92, 0.13
"""Where the first words stand along the line, and how much lower the next ones: they would else cover each other."""
ROWS = 4
BEHIND_WORDS = 170
"""Of 255: curves shine through behind the words and do not cut them."""


class MarkLines:
    """Keeps the lines of one plot as they should be."""

    def __init__(self, plot: LabPlot):
        self._plot = plot
        self._shown: list[tuple[Mark, str]] = []
        self._lines: list[pg.InfiniteLine] = []

    @property
    def texts(self) -> list[tuple[float, str]]:
        """Step and words of each line."""
        return [(float(mark.step), text) for mark, text in self._shown]

    def show(self, marks: Sequence[Mark], low: float, high: float) -> None:
        """Draw these; the plot shows steps ``low`` to ``high``."""
        wanted = [(mark, mark.text if self._fits(mark, low, high) else mark.short) for mark in marks]
        if wanted == self._shown:
            return
        for line in self._lines:
            self._plot.removeItem(line)
        self._shown = wanted
        self._lines = [self._made(mark, text, place) for place, (mark, text) in enumerate(wanted)]
        self.recolour()

    def recolour(self) -> None:
        """Take the theme's colours."""
        colours = theme().colours
        behind = QColor(colours.surface)
        behind.setAlpha(BEHIND_WORDS)
        for (mark, _), line in zip(self._shown, self._lines, strict=True):
            colour = getattr(colours, mark.role)
            line.setPen(pen(colour, style=Qt.PenStyle.DashLine))
            line.label.setColor(colour)
            line.label.fill = pg.mkBrush(behind)

    def _made(self, mark: Mark, text: str, place: int) -> pg.InfiniteLine:
        # pyqtgraph runs str.format on the words: braces of a title are no fields of it.
        escaped = text.replace("{", "{{").replace("}", "}}")
        line = pg.InfiniteLine(
            float(mark.step), angle=90, label=escaped, labelOpts={"position": TOP - ROW * (place % ROWS)}
        )
        self._plot.addItem(line, ignoreBounds=True)
        return line

    def _fits(self, mark: Mark, low: float, high: float) -> bool:
        """Whether the words fit beside the line; they stand on its longer side."""
        share = (mark.step - low) / (high - low) if high > low else 0.0
        if not 0 <= share <= 1:
            return True
        room = max(share, 1 - share) * self._plot.getPlotItem().getViewBox().width()
        return self._plot.fontMetrics().horizontalAdvance(mark.text) + 16 < room
