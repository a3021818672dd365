"""Runs of the project as a virtual table, the newest first: all of them, some, or those in the trash."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt, Slot

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import STAGE_NAMES, run_title
from rlhf_lab.gui.lab import Lab
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

SHORT = {
    "eval/accuracy": "accuracy",
    "eval/accuracy_clean": "clean",
    "eval/token_accuracy": "token accuracy",
    "eval/loss": "loss",
    "eval/score": "score",
    "eval/gold": "gold",
    "eval/kl": "KL",
}
FIGURES_TIP = "Held-out, where nothing else is said: the newest value of each."
MARKS = {"running": "▶", "paused": "Ⅱ", "done": "✓", "failed": "✕", "stopped": "■", "interrupted": "!", "queued": "…"}
COLUMNS = ("Run", "Status", "Steps", "Duration", "Key figures", "Started", "Size", "Tags", "Note", "Data", "Message")


@dataclass(frozen=True)
class RunFilter:
    """``text`` is looked for, word by word, in all that a row says but its figures; "" lets everything through."""

    text: str = ""
    stage: str = ""
    outcome: str = ""
    trashed: bool = False


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
        self._all: list[RunRow] = []
        self._rows: list[RunRow] = []
        self._filter = RunFilter()
        self._known: dict[str, _Known] = {}
        self._sizes: dict[str, int] = {}
        lab.runs_changed.connect(self.refresh)
        lab.run_changed.connect(self._run_changed)
        self.refresh()

    @property
    def total(self) -> int:
        """How many runs there are without the filter, in the trash or outside as it says."""
        return len(self._all)

    @Slot()
    def refresh(self) -> None:
        """Read the index anew."""
        self.beginResetModel()
        try:
            self._all = list(reversed(self._lab.project.store.runs(trashed=self._filter.trashed)))
        except LabError as error:  # the database is busy; what was read before still says most
            self._lab.message.emit(str(error))
        self._rows = [row for row in self._all if self._passes(row)]
        self._known.clear()
        self.endResetModel()

    def set_filter(self, wanted: RunFilter) -> None:
        """Show only these."""
        if wanted == self._filter:
            return
        again = wanted.trashed != self._filter.trashed
        self._filter = wanted
        if again:
            self.refresh()
            return
        self.beginResetModel()
        self._rows = [row for row in self._all if self._passes(row)]
        self.endResetModel()

    def show_sizes(self, sizes: Mapping[str, int]) -> None:
        """Bytes on disk, by run."""
        self._sizes.update(sizes)
        if self._rows:
            column = COLUMNS.index("Size")
            self.dataChanged.emit(self.index(0, column), self.index(len(self._rows) - 1, column))

    @property
    def room(self) -> str:
        """What the listed runs take on the disk, in words; "" while that is not known."""
        sizes = [self._sizes.get(row.run, 0) for row in self._rows]
        return size_in_words(sum(sizes)) if any(sizes) else ""

    def row(self, place: int) -> RunRow | None:
        """The run in a row."""
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def run_at(self, row: int) -> str | None:
        """The id of the run in a row."""
        found = self.row(row)
        return found.run if found is not None else None

    def row_of(self, run: str) -> int:
        """The row of a run, −1 without one."""
        return next((place for place, row in enumerate(self._rows) if row.run == run), -1)

    def runs(self) -> Iterable[str]:
        """Those that are listed, from the top."""
        return (row.run for row in self._rows)

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
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(FIGURES_TIP) if COLUMNS[section] == "Key figures" else None
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
        match column:
            case "Run":
                return run_title(row.run)
            case "Status":
                return f"{MARKS.get(self._outcome(row), '·')} {self._outcome(row)}{self._place(row)}"
            case "Steps":
                step, total = self._steps(row)
                return f"{step:,} of {total:,}" if total else ""
            case "Duration":
                seconds = self._look_up(row).seconds
                return in_words(seconds) if seconds is not None else ""
            case "Key figures":
                return self._look_up(row).figures
            case "Data":
                return row.dataset
            case "Tags":
                return ", ".join(row.tags)
            case "Note":
                return row.note
            case "Started":
                return datetime.fromtimestamp(row.created).strftime("%Y-%m-%d %H:%M")
            case "Size":
                return size_in_words(self._sizes[row.run]) if row.run in self._sizes else ""
            case _:
                return "  ".join(part for part in self._said(row) if part)

    def _outcome(self, row: RunRow) -> str:
        return row.outcome if row.trashed is not None else self._lab.state(row.run).outcome

    def _place(self, row: RunRow) -> str:
        """Where it stands in the queue, where several wait."""
        waiting = self._lab.queued()
        return f" ({waiting.index(row.run) + 1})" if len(waiting) > 1 and row.run in waiting else ""

    def _steps(self, row: RunRow) -> tuple[int, int]:
        state = None if row.trashed is not None else self._lab.state(row.run)
        return (row.step, row.total) if state is None else (state.step, state.total)

    def _said(self, row: RunRow) -> tuple[str, str]:
        if row.trashed is not None:
            return self._look_up(row).health, row.message
        state = self._lab.state(row.run)
        return in_short(list(state.health.values())) if state.live else self._look_up(row).health, state.message

    def _passes(self, row: RunRow) -> bool:
        wanted = self._filter
        if (wanted.stage and row.stage != wanted.stage) or (wanted.outcome and self._outcome(row) != wanted.outcome):
            return False
        said = (
            run_title(row.run),
            row.run,
            STAGE_NAMES.get(row.stage, ""),
            row.dataset,
            *row.tags,
            row.note,
            row.message,
        )
        whole = "\n".join(said).casefold()
        return all(word in whole for word in wanted.text.casefold().split())

    def _look_up(self, row: RunRow) -> _Known:
        if row.run not in self._known:
            store = self._lab.project.store
            names = FIGURES.get(row.stage, ())
            newest = store.newest_values(row.run, names)
            figures = [f"{_short(name)} {value_text(name, newest[name])}" for name in names if name in newest]
            health = in_short(store.events(row.run, ("health",)))
            self._known[row.run] = _Known(" · ".join(figures), store.run_seconds(row.run), health)
        return self._known[row.run]

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        place = self.row_of(run)
        if place >= 0:
            self._known.pop(run, None)
            self.dataChanged.emit(self.index(place, 0), self.index(place, len(COLUMNS) - 1))


def size_in_words(size: int) -> str:
    """ "512 kB", "1.4 GB"."""
    amount, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if amount >= 10 or units[0] == "B" else f"{amount:.1f} {units[0]}"


def _short(name: str) -> str:
    return SHORT.get(name, label(name).lower())
