"""What came of a sweep, as a plot and a table: for the runs that were started together with the selected one."""

from collections.abc import Sequence

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import run_title, so_many
from rlhf_lab.core.recipe import value_in_words
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.form import title_of
from rlhf_lab.gui.models.overlay import common_metrics, first_metric
from rlhf_lab.gui.models.plot_spec import label, value_text
from rlhf_lab.gui.models.spread import SPREAD_WORDS
from rlhf_lab.gui.models.sweep_results import (
    Series,
    Which,
    group_of,
    is_seed,
    less_is_better,
    results,
    swept_fields,
    values_of,
)
from rlhf_lab.gui.plots.card import Card, Legend
from rlhf_lab.gui.plots.sweep_plot import SweepPlot
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip
from rlhf_lab.gui.widgets.row_table import row_table
from rlhf_lab.store import RunRow

NONE = (
    "The selected run was started alone. “Sweep…” below Start runs a stage for several values of a setting, or with "
    "several seeds; what came of them is drawn here."
)
HELP = (
    "A point is a run. Where runs differ in their seed alone, the filled mark is their mean and the bar their spread. "
    "Settings between which the spreads overlap cannot be told apart by these runs."
)
WHICH: dict[str, Which] = {"Last value": "last", "Best value": "best"}


class SweepView(QWidget):
    """Says `chosen` with a run when a line of the table is opened."""

    failed = Signal(str)
    chosen = Signal(str)

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self.setProperty("help", "help:control.sweep")
        self._rows: list[RunRow] = []
        self._metric = ""
        self._built = False
        self.empty = PlainLabel(NONE, role="muted", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self._stack)

    def show_runs(self, runs: Sequence[str]) -> None:
        """Those that were started together with the first of these that was not started alone."""
        store = self._lab.project.store
        rows = store.runs()
        found = (group_of(rows, run) for run in runs)
        self._rows = next((group for group in found if group), [])
        if self._rows and not self._built:
            self._build()
        self._stack.setCurrentIndex(1 if self._rows else 0)
        if not self._rows:
            return
        names = common_metrics(store, [row.run for row in self._rows])
        names = [n for n in names if n.startswith("eval/")] + [n for n in names if not n.startswith("eval/")]
        self._fill(self.metric_box, [(f"{label(name)} ({name})", name) for name in names])
        self.metric_box.setCurrentIndex(self.metric_box.findData(first_metric(names, self._metric)))
        before = self.over.currentData()
        fields = swept_fields(self._rows)
        self._fill(self.over, [(title_of(field, self._stages()), field) for field in fields])
        self.over.setCurrentIndex(max(0, self.over.findData(before)))
        self.spread.setVisible(any(is_seed(field) for field in fields))
        self._show()

    @Slot()
    def _show(self) -> None:
        metric, over = self.metric_box.currentData() or "", self.over.currentData()
        if not self._rows:
            return
        self._metric = metric or self._metric
        runs = [row.run for row in self._rows]
        which = WHICH[self.which.currentText()]
        try:
            values = values_of(self._lab.project.store, runs, metric, which) if metric else {}
        except LabError as error:
            self.failed.emit(str(error))
            return
        series = results(self._rows, values, over, self.spread.currentData()) if over else []
        name = self._rows[0].place.recipe if self._rows[0].place is not None else ""
        best = ("lowest" if less_is_better(metric) else "highest") if which == "best" else "last"
        self.card.set_title(f"{label(metric)}, {best} value of each run" if metric else "Sweep")
        called = title_of(over, self._stages()) if over else ""
        self.card.set_aside(f"over {called}" if over else "")
        missing = len(runs) - len(values)
        without = f", {missing} of them without this metric yet" if missing else ""
        self.note.setText(f"{name}: {so_many(len(runs), 'run')}{without}")
        self.plot.show_series(series, "Nothing was measured in these runs yet" if over else "All runs have one value")
        self.model.show_series(called, metric, series)
        self.table.resizeColumnsToContents()

    def _stages(self) -> list[str]:
        return [row.stage for row in self._rows]

    @Slot(QModelIndex)
    def _open(self, index: QModelIndex) -> None:
        self.chosen.emit(self.model.run_at(index.row()))

    def _build(self) -> None:
        """Plot and table, once there is a sweep to show: the pane opens without them."""
        self._built = True
        self.metric_box, self.which, self.over, self.spread = (QComboBox() for _ in range(4))
        self.metric_box.setMinimumContentsLength(22)
        self.note = PlainLabel(role="caption")
        self.plot = SweepPlot("Sweep")
        self.card = Card("Sweep", HELP, self.plot, Legend([], None))
        self.model = SweepTable()
        self.table = row_table(self.model, "Values of the sweep")
        head = QHBoxLayout()
        head.setSpacing(8)
        for words, box in (("Metric", self.metric_box), ("", self.which), ("over", self.over), ("Bars", self.spread)):
            box.setAccessibleName(words or "Which value of a run")
            if words:
                head.addWidget(PlainLabel(words, role="muted"))
            head.addWidget(box)
            box.activated.connect(self._show)
        head.addWidget(self.note, 1)
        self.which.addItems(list(WHICH))
        for kind, words in SPREAD_WORDS.items():
            self.spread.addItem(words, kind)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(self.card)
        split.addWidget(self.table)
        split.setStretchFactor(0, 1)
        split.setSizes([590, 450])
        shown = QWidget()
        column = QVBoxLayout(shown)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(6)
        column.addLayout(head)
        column.addWidget(split, 1)
        self._stack.addWidget(shown)
        self.table.activated.connect(self._open)

    def _fill(self, box: QComboBox, items: Sequence[tuple[str, str]]) -> None:
        box.clear()
        for words, data in items:
            box.addItem(words, data)


class SweepTable(QAbstractTableModel):
    """A row for each value of the swept setting, and of the others that were swept with it."""

    def __init__(self) -> None:
        super().__init__()
        self._heads: list[str] = []
        self._rows: list[tuple[str, ...]] = []
        self._runs: list[tuple[str, ...]] = []

    def show_series(self, over: str, metric: str, series: Sequence[Series]) -> None:
        """Show others."""
        self.beginResetModel()
        several = any(one.title for one in series)
        self._heads = [over, *(["with"] if several else []), "Mean", "Spread", "Runs"]
        self._rows, self._runs = [], []
        for one in series:
            for cell in one.cells:
                mean, low, high = (value_text(metric, v) for v in (cell.spread.mean, cell.spread.low, cell.spread.high))
                apart = f"{low} to {high}" if cell.spread.count > 1 else ""
                titles = ", ".join(map(run_title, cell.runs))
                self._rows.append((value_in_words(cell.x), *([one.title] if several else []), mean, apart, titles))
                self._runs.append(cell.runs)
        self.endResetModel()

    def run_at(self, row: int) -> str:
        """The first run of a line."""
        return self._runs[row][0]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """See `QAbstractItemModel`."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """See `QAbstractItemModel`."""
        return 0 if parent.isValid() else len(self._heads)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """See `QAbstractItemModel`."""
        wanted = orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole
        return self._heads[section] if wanted else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """See `QAbstractItemModel`."""
        if not index.isValid():
            return None
        text = self._rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(text, 80)
        return plain_tip(text) if role == Qt.ItemDataRole.ToolTipRole else None
