"""Upright lines with words at steps where something happened."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from rlhf_lab.gui.models.marks import Mark
from rlhf_lab.gui.plots.base import LabPlot, pen
from rlhf_lab.gui.theme import theme

MOST_ROWS = 6
"""Rows of words below each other; what finds no place in them is a line alone, and told at the crosshair."""
SHARE = 0.6
"""Of the height, from the top, that words may cover."""
EDGES = 8
"""Pixels around the words."""
BEHIND_WORDS = 170
"""Of 255: curves shine through behind the words and do not cut them."""


@dataclass(frozen=True)
class Placed:
    """A mark with the words that it has room for ("": none), how high they stand, and what they cover across."""

    mark: Mark
    text: str
    height: float
    """Of their middle, as a share of the plot's, from below."""
    left: float = 0.0
    right: float = 0.0
    """Pixels."""


class MarkLines:
    """Keeps the lines of one plot as they should be."""

    def __init__(self, plot: LabPlot):
        self._plot = plot
        self._shown: list[Placed] = []
        self._lines: list[pg.InfiniteLine] = []

    @property
    def shown(self) -> list[Placed]:
        """Each line, in the order of their steps."""
        return self._shown

    @property
    def texts(self) -> list[tuple[float, str]]:
        """Step and words of each line."""
        return [(float(placed.mark.step), placed.text) for placed in self._shown]

    def show(self, marks: Sequence[Mark], low: float, high: float) -> None:
        """Draw these; the plot shows steps ``low`` to ``high``."""
        wanted = self._placed(marks, low, high)
        if wanted == self._shown:
            return
        for line in self._lines:
            self._plot.removeItem(line)
        self._shown = wanted
        self._lines = [self._made(placed) for placed in wanted]
        self.recolour()

    def recolour(self) -> None:
        """Take the theme's colours."""
        colours = theme().colours
        behind = QColor(colours.surface)
        behind.setAlpha(BEHIND_WORDS)
        for placed, line in zip(self._shown, self._lines, strict=True):
            colour = getattr(colours, placed.mark.role)
            line.setPen(pen(colour, style=Qt.PenStyle.DashLine))
            if placed.text:
                line.label.setColor(colour)
                line.label.fill = pg.mkBrush(behind)

    def _made(self, placed: Placed) -> pg.InfiniteLine:
        # pyqtgraph runs str.format on the words: braces of a title are no fields of it.
        escaped = placed.text.replace("{", "{{").replace("}", "}}")
        line = pg.InfiniteLine(
            float(placed.mark.step), angle=90, label=escaped or None, labelOpts={"position": placed.height}
        )
        self._plot.addItem(line, ignoreBounds=True)
        return line

    def _placed(self, marks: Sequence[Mark], low: float, high: float) -> list[Placed]:
        """Words stand on the longer side of their line, in the first row in which they cover no others."""
        box = self._plot.getPlotItem().getViewBox()
        width, height = box.width(), max(box.height(), 1.0)
        row_height = self._plot.fontMetrics().height() + EDGES
        fitting = min(MOST_ROWS, max(1, int(SHARE * height / row_height)))
        rows: list[list[tuple[float, float]]] = [[] for _ in range(fitting)]
        found = []
        for mark in marks:
            share = (mark.step - low) / (high - low) if high > low else 0.0
            placed = Placed(mark, "", 0.0)
            for text in (mark.text, mark.short) if 0 <= share <= 1 else ():
                words = self._plot.fontMetrics().horizontalAdvance(text) + 2 * EDGES
                left = share * width if share < 0.5 else share * width - words
                row = self._free(rows, left, left + words) if left >= 0 and left + words <= width else None
                if row is not None:
                    rows[row].append((left, left + words))
                    placed = Placed(mark, text, 1 - (row + 0.5) * row_height / height, left, left + words)
                    break
            found.append(placed)
        return found

    @staticmethod
    def _free(rows: Sequence[Sequence[tuple[float, float]]], left: float, right: float) -> int | None:
        return next(
            (row for row, taken in enumerate(rows) if all(right <= begin or end <= left for begin, end in taken)), None
        )
