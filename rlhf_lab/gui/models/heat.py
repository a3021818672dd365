"""A distribution over the steps of a run, on one grid: what share of the values lay where, and how the middle moved. No Qt."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlhf_lab.core.events import Histogram
from rlhf_lab.gui.models.curves import Floats

ROWS = 48
COLUMNS = 240
"""More steps than that are thinned: a column is at least some pixels wide."""
TAIL = 0.005
"""Share of a step's values that may lie beyond the grid; they count into its outermost rows."""
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Heat:
    """``shares[c, r]`` of the values of column c lie in row r; columns are steps, rows go from ``low`` to ``high``."""

    steps: Floats
    low: float
    high: float
    shares: Floats
    quantiles: Floats
    """[columns, 3]: the 10th percentile, the median and the 90th."""

    @property
    def width(self) -> float:
        """Steps that a column covers."""
        return float(self.steps[1] - self.steps[0]) if len(self.steps) > 1 else 1.0


def heat_of(by_step: Mapping[int, Histogram]) -> Heat | None:
    """None where there is nothing but empty histograms."""
    known = sorted(step for step, found in by_step.items() if sum(found.counts))
    if not known:
        return None
    columns = min(known[-1] - known[0] + 1, COLUMNS)
    steps = np.linspace(known[0], known[-1], columns)
    chosen = [known[at] for at in np.searchsorted(known, np.floor(steps), side="right") - 1]
    curves = {step: _cumulative(by_step[step]) for step in dict.fromkeys(chosen)}
    ends = [np.interp((TAIL, 1 - TAIL), share, edges) for edges, share in curves.values()]
    low, high = float(min(e[0] for e in ends)), float(max(e[1] for e in ends))
    if high <= low:
        room = max(abs(low) * 0.1, 0.5)
        low, high = low - room, high + room
    grid = np.linspace(low, high, ROWS + 1)
    rows, quantiles = {}, {}
    for step, (edges, share) in curves.items():
        below = np.interp(grid, edges, share)
        below[0], below[-1] = 0.0, 1.0
        rows[step] = np.diff(below)
        quantiles[step] = np.interp(QUANTILES, share, edges)
    return Heat(
        steps, low, high, np.array([rows[step] for step in chosen]), np.array([quantiles[step] for step in chosen])
    )


def _cumulative(found: Histogram) -> tuple[Floats, Floats]:
    """Edges without empty bins at the ends, and the share of the values below each."""
    counts = np.asarray(found.counts, dtype=np.float64)
    filled = np.flatnonzero(counts)
    first, last = int(filled[0]), int(filled[-1]) + 1
    edges = np.asarray(found.edges, dtype=np.float64)[first : last + 1]
    return edges, np.concatenate(([0.0], np.cumsum(counts[first:last]))) / counts.sum()
