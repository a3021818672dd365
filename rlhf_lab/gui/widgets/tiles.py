"""Headline numbers of a run: the newest value, what it was at the start, and a word when it leaves its healthy range."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from rlhf_lab.core.metrics import METRICS, describe
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.plot_spec import label, value_text
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip

JUDGED_FROM = 10
"""The step before which no tile speaks of health: the first ones of a run say little."""


@dataclass(frozen=True)
class TileSpec:
    """The first of ``metrics`` that the run has is shown; ``detail`` says more in a few words."""

    metrics: tuple[str, ...]
    title: str = ""
    detail: Callable[[RunHistory, str], str] | None = None

    def metric(self, history: RunHistory | None) -> str:
        """The metric that stands here for this run."""
        curves = history.curves if history is not None else {}
        return next((name for name in self.metrics if name in curves), self.metrics[0])


def since_start(history: RunHistory, name: str) -> str:
    """Where it came from: "from 0.45"."""
    first = history.first(name)
    return f"from {value_text(name, first)}" if first is not None and len(history.curves[name]) > 1 else ""


class Tile(QFrame):
    """One number."""

    def __init__(self, spec: TileSpec):
        super().__init__()
        self._spec = spec
        self.setProperty("surface", "card")
        self._title = PlainLabel(role="caption")
        self._value = PlainLabel("–", role="number")
        self._detail = PlainLabel(role="caption")
        for part in (self._title, self._detail):
            part.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(self._value)
        line.addWidget(self._detail, 1, Qt.AlignmentFlag.AlignBottom)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 5, 8, 5)
        column.setSpacing(0)
        column.addWidget(self._title)
        column.addLayout(line)
        self.show_history(None)

    @property
    def text(self) -> str:
        """All that it says."""
        return " ".join(part.text() for part in (self._title, self._value, self._detail) if part.text())

    def show_history(self, history: RunHistory | None) -> None:
        """Show the newest value."""
        name = self._spec.metric(history)
        value = history.newest(name) if history is not None else None
        self._title.setText(self._spec.title or label(name))
        self._value.setText(value_text(name, value))
        concern = _concern(history, name, value) if history is not None else ""
        detail = self._spec.detail(history, name) if history is not None and self._spec.detail and not concern else ""
        unit = METRICS[name].unit if name in METRICS and value is not None else ""
        self._detail.setText(concern or detail or ("" if unit == "share" else unit))
        self._detail.set_role("warn" if concern else "caption")
        more = f"\n{self._detail.text()}" if self._detail.text() else ""
        self.setToolTip(plain_tip(describe(name) + more))
        self.setAccessibleName(self.text)


class Tiles(QWidget):
    """A row of them."""

    def __init__(self, specs: Sequence[TileSpec]):
        super().__init__()
        self.tiles = [Tile(spec) for spec in specs]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for tile in self.tiles:
            row.addWidget(tile, 1)

    def show_history(self, history: RunHistory | None) -> None:
        """Show the newest values of a run."""
        for tile in self.tiles:
            tile.show_history(history)


def _concern(history: RunHistory, name: str, value: float | None) -> str:
    metric = METRICS.get(name)
    if metric is None or value is None:
        return ""
    if value != value:
        return "no number"
    if history.curves[name].steps[-1] < JUDGED_FROM:
        return ""
    if metric.low is not None and value < metric.low:
        return "low"
    return "high" if metric.high is not None and value > metric.high else ""
