"""What a plot shows, said once: its metrics, its words, its scale. No Qt."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rlhf_lab.core.metrics import METRICS, describe


@dataclass(frozen=True)
class PlotSpec:
    """Curves that share an axis: metric names, each with its words in the legend.

    ``note`` is a sentence for the tooltip that no single metric can say.
    """

    title: str
    lines: Mapping[str, str]
    note: str = ""
    log: bool = False
    dashed: frozenset[str] = field(default_factory=frozenset)
    """Held-out curves and such: told apart by more than their colour."""
    optional: frozenset[str] = field(default_factory=frozenset)
    """Curves that only some runs have: without values the legend does not name them."""
    over: str = "step"
    """What the x axis counts."""
    exact: bool = False
    """Never smoothed: its points are settings, or no steps of one run, and carry no noise."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, in order."""
        return tuple(self.lines)

    @property
    def unit(self) -> str:
        """The metrics' unit, where they have one in common."""
        units = {METRICS[name].unit for name in self.metrics if name in METRICS}
        return units.pop() if len(units) == 1 else ""

    @property
    def healthy(self) -> tuple[float | None, float | None] | None:
        """The healthy range of the first metric that has one."""
        for name in self.metrics:
            metric = METRICS.get(name)
            if metric is not None and (metric.low is not None or metric.high is not None):
                return metric.low, metric.high
        return None

    @property
    def help(self) -> str:
        """All that there is to say, for a tooltip."""
        return "\n\n".join([*([self.note] if self.note else []), *(describe(name) for name in self.metrics)])


def label(name: str) -> str:
    """What people call the metric."""
    metric = METRICS.get(name)
    return metric.label if metric is not None else name


NEAR_ZERO = 0.005
"""What a headline shows as 0.00."""


def value_text(name: str, value: float | None) -> str:
    """A metric's value for a headline: shares as percent, and no digits that nobody needs."""
    if value is not None and value == value and name in METRICS and METRICS[name].unit == "share":
        return "100%" if value == 1 else f"{100 * value:.1f}%"
    return "0.00" if value is not None and 0 < abs(value) < NEAR_ZERO else number(value)


def number(value: float | None) -> str:
    """A metric's value for people: three to four digits, a real minus sign, "–" where there is none."""
    if value is None:
        return "–"
    if value != value:
        return "NaN"
    size = abs(value)
    if size == float("inf"):
        text = "∞"
    elif size == 0:
        text = "0"
    elif size >= 1e5 or size < 1e-3:
        mantissa, exponent = f"{size:.1e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    elif size >= 100:
        text = f"{size:,.0f}"
    elif size >= 10:
        text = f"{size:.1f}"
    elif size >= 0.1:
        text = f"{size:.2f}"
    else:
        text = f"{size:.2g}"
    return f"−{text}" if value < 0 else text
