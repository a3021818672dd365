"""The mean of repeats and how far they lie apart. No Qt."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SpreadKind = Literal["range", "interval"]
SPREAD_WORDS: dict[SpreadKind, str] = {"range": "Lowest to highest", "interval": "95% interval of the mean"}
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""Student's t at 97.5%, for 1 to 30 degrees of freedom."""


@dataclass(frozen=True)
class Spread:
    """Of so many repeats; of one alone both ends are its value."""

    mean: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float], kind: SpreadKind) -> Spread:
    """Mean with the lowest and highest value, or with the 95% t interval of the mean."""
    mean = statistics.fmean(values)
    if kind == "range" or len(values) < 2:
        return Spread(mean, min(values), max(values), len(values))
    half = t_97_5(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Spread(mean, mean - half, mean + half, len(values))


def t_97_5(freedom: int) -> float:
    """Student's t at 97.5%; beyond 30 degrees of freedom that of 30, which errs by at most 4% to the safe side."""
    return _T[min(freedom, len(_T)) - 1]
