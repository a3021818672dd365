"""Every run of the project as a virtual table, the newest first."""

from dataclasses import dataclass
from datetime import datetime

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt, Slot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.offers import run_title
from rlhf_lab.gui.models.plot_spec import label, value_text
from rlhf_lab.gui.models.verdicts import in_short
from rlhf_lab.gui.run_state import in_words
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip
from rlhf_lab.store import RunRow

FIGURES: dict[str, tuple[str, ...]] = {
    "sft": ("eval/loss", "eval/token_accuracy"),
    "reward": ("eval/accuracy", "eval/accuracy_clean"),
    "ppo": ("eval/score", "eval/kl", "eval/gold"),
    "rloo": ("eval/score", "eval/kl", "eval/gold"),
    "dpo": ("eval/accuracy", "eval/kl", "eval/gold"),
    "best_of_n": ("eval/score", "bon/win_rate", "eval/gold"),
}
"""The metrics that sum up a run of each stage."""

SHORT = {"eval/accuracy_clean": "clean", "eval/token_accuracy": "token accuracy", "eval/gold": "gold", "eval/kl": "KL"}
MARKS = {"running": "▶", "paused": "Ⅱ", "done": "✓", "failed": "✕", "stopped": "■", "interrupted": "!", "queued": "…"}
COLUMNS = ("Run", "Status", "Steps", "Duration", "Key figures", "Started", "Message")


@dataclass
class _Known:
    """What had to be looked up beside the row; kept until the run says something new."""

    figures: str
    seconds: float | None
    health: str


class RunsTable(QAbstractTableModel):
    """Rows are read from the index; figures only for the rows that are looked at."""

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._rows: list[RunRow] = []
        self._known: dict[str, _Known] = {}
        lab.runs_changed.connect(self.refresh)
        lab.run_changed.connect(self._run_changed)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Read the index anew."""
        self.beginResetModel()
        self._rows = list(reversed(self._lab.project.store.runs()))
        self._known.clear()
        self.endResetModel()

    def run_at(self, row: int) -> str | None:
        """The id of the run in a row."""
        return self._rows[row].run if 0 <= row < len(self._rows) else None

    def row_of(self, run: str) -> int:
        """The row of a run, −1 without one."""
        return next((place for place, row in enumerate(self._rows) if row.run == run), -1)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """See `QAbstractItemModel`."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """See `QAbstractItemModel`."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """See `QAbstractItemModel`."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """See `QAbstractItemModel`."""
        if not index.isValid():
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(self._text(self._rows[index.row()], COLUMNS[index.column()]))
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self._text(self._rows[index.row()], COLUMNS[index.column()]))
        return None

    def _text(self, row: RunRow, column: str) -> str:
        state = self._lab.state(row.run)
        match column:
            case "Run":
                return run_title(row.run)
            case "Status":
                return f"{MARKS.get(state.outcome, '·')} {state.outcome}"
            case "Steps":
                return f"{state.step:,} of {state.total:,}" if state.total else ""
            case "Duration":
                seconds = self._look_up(row).seconds
                return in_words(seconds) if seconds is not None else ""
            case "Key figures":
                return self._look_up(row).figures
            case "Started":
                return datetime.fromtimestamp(row.created).strftime("%Y-%m-%d %H:%M")
            case _:
                health = in_short(list(state.health.values())) if state.live else self._look_up(row).health
                return "  ".join(part for part in (health, state.message) if part)

    def _look_up(self, row: RunRow) -> _Known:
        if row.run not in self._known:
            names = FIGURES.get(row.stage, ())
            curves = self._lab.project.store.curves(row.run, names)
            figures = [f"{_short(name)} {value_text(name, curves[name][1][-1])}" for name in names if name in curves]
            edges = self._lab.project.store.events(row.run, ("started", "progress", "finished"))
            times = [event.time for event in edges if event.time]
            seconds = max(times) - min(times) if len(times) > 1 else None
            health = in_short(self._lab.project.store.events(row.run, ("health",)))
            self._known[row.run] = _Known(" · ".join(figures), seconds, health)
        return self._known[row.run]

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        place = self.row_of(run)
        if place >= 0:
            self.dataChanged.emit(self.index(place, 0), self.index(place, len(COLUMNS) - 1))


def _short(name: str) -> str:
    return SHORT.get(name, label(name).lower())
