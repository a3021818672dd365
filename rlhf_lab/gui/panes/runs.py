"""The Runs pane: every run of the project, what came of it, several held against each other, and the way back into one."""

from PySide6.QtCore import QItemSelection, QItemSelectionModel, Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableView,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.actions import bind
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.places import STAGE_PLACES
from rlhf_lab.gui.models.runs_table import COLUMNS, RunFilter, RunsTable
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.go_on import GoOnButton
from rlhf_lab.gui.widgets.lineage_view import LineageView
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.queue_buttons import QueueButtons
from rlhf_lab.gui.widgets.recipe_button import RecipeButton
from rlhf_lab.gui.widgets.report_button import ReportButton
from rlhf_lab.gui.widgets.row_table import row_table
from rlhf_lab.gui.widgets.run_differences import RunDifferences
from rlhf_lab.gui.widgets.run_export import RunExportButton
from rlhf_lab.gui.widgets.run_notes import RunNotes
from rlhf_lab.gui.widgets.run_overlay import RunOverlay
from rlhf_lab.gui.widgets.runs_filter import RunsFilter
from rlhf_lab.gui.widgets.sweep_view import SweepView
from rlhf_lab.gui.widgets.trash_buttons import TrashButtons
from rlhf_lab.runs.disk import disk_use
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.store import RunRow, Store

WIDTHS = {
    "Run": 88,
    "Status": 110,
    "Steps": 96,
    "Duration": 80,
    "Key figures": 258,
    "Started": 130,
    "Size": 76,
    "Tags": 110,
    "Note": 132,
    "Data": 144,
}
MOST_LINES = 20
"""Selected runs whose lineage is drawn."""


class RunsPane(QWidget):
    """Enter or a double click opens a run in the pane of its stage; Delete moves the selected ones to the trash."""

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._chosen: list[str] = []
        self._measuring: Background | None = None
        self._outdated = False
        self.setAccessibleName("Runs")
        self.model = RunsTable(lab)
        self.filter = RunsFilter()
        self.table = _table(self.model)
        self.table.setProperty("help", "help:control.runs_table")
        self.open, self.resume, self.stop = QPushButton("Open"), GoOnButton(lab), QPushButton("Stop and save")
        self.duplicate, self.recipe, self.queue = QPushButton("Duplicate"), RecipeButton(lab), QueueButtons(lab)
        self.report, self.export, self.trash = ReportButton(lab), RunExportButton(lab), TrashButtons(lab)
        self.open.setToolTip("Show its curves and samples in the pane of its stage (Enter)")
        self.stop.setToolTip("Save the last whole step and end the run; it can be resumed")
        self.duplicate.setToolTip("Fill the form of its stage with its settings; change what you like, and start")
        theme().keep_icon(self.stop, "stop")
        self.empty = PlainLabel(
            "No runs yet. Begin on the SFT pane, or run the guided experiment from the Data pane: each run appears "
            "here with its figures.",
            role="muted",
            wrap=True,
        )
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.overlay, self.differences = RunOverlay(lab), RunDifferences(lab)
        self.lineage, self.notes, self.sweep = LineageView(lab), RunNotes(lab), SweepView(lab)
        self.tabs = QTabWidget()
        self.tabs.tabBar().setDrawBase(False)
        for title, view in (
            ("Curves", self.overlay),
            ("Sweep", self.sweep),
            ("Settings", self.differences),
            ("Lineage", self.lineage),
            ("Tags and note", self.notes),
        ):
            self.tabs.addTab(view, title)
        self._stack = QStackedWidget()
        self._lay_out()
        self.table.activated.connect(self._open)
        self.table.selectionModel().selectionChanged.connect(self._choose)
        self.model.modelReset.connect(self._keep_choice)
        self.filter.changed.connect(self._show_filtered)
        self.tabs.currentChanged.connect(self._show_views)
        self.open.clicked.connect(self._open)
        self.stop.clicked.connect(self._stop)
        self.duplicate.clicked.connect(self._duplicate)
        self.lineage.run_chosen.connect(self.select)
        # Queued: what is kept on leaving a field may be kept in the middle of a new choice.
        self.notes.saved.connect(self.model.refresh, Qt.ConnectionType.QueuedConnection)
        self.trash.moved.connect(self._runs_moved)
        self.sweep.chosen.connect(self.select)
        for part in (self.notes, self.overlay, self.sweep):
            part.failed.connect(lab.message)
        lab.run_changed.connect(self._run_changed)
        lab.runs_changed.connect(self._measure)
        bind("runs.trash", self.table, self.trash.press, Qt.ShortcutContext.WidgetShortcut)
        self._keep_choice()

    def run(self) -> str | None:
        """The run in the current row, where it is selected."""
        index = self.table.currentIndex()
        return self.model.run_at(index.row()) if self.table.selectionModel().isSelected(index) else None

    def selected(self) -> list[RunRow]:
        """The selected runs, from the top."""
        places = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return [row for row in map(self.model.row, places) if row is not None]

    @Slot(str)
    def select(self, run: str) -> None:
        """Select this run alone; a filter that hides it gives way."""
        if self.model.row_of(run) < 0:
            self.filter.clear()
        if self.model.row_of(run) >= 0:
            self.table.selectRow(self.model.row_of(run))

    def showEvent(self, event: QShowEvent) -> None:
        """How much room the runs take may have changed since the last look."""
        super().showEvent(event)
        self._measure()

    @Slot()
    def _choose(self) -> None:
        self._chosen = [row.run for row in self.selected()] or self._chosen
        self._show_actions()
        self._show_views()

    @Slot()
    def _keep_choice(self) -> None:
        trashed = self.filter.wanted().trashed
        self._stack.setCurrentIndex(1 if self.model.total or trashed or self.filter.wanted() != RunFilter() else 0)
        self._show_found()
        chosen = set(self._chosen)
        places = [place for place, run in enumerate(self.model.runs()) if run in chosen]
        selection = self.table.selectionModel()
        if not places and self.model.rowCount():
            self.table.selectRow(0)
        elif places:
            selection.setCurrentIndex(self.model.index(places[0], 0), QItemSelectionModel.SelectionFlag.NoUpdate)
            flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
            rows = QItemSelection()  # told of at once: each telling shows all that is selected
            for place in places:
                rows.select(self.model.index(place, 0), self.model.index(place, 0))
            selection.select(rows, flags)
        self._show_actions()
        self._show_views()

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        if run in self._chosen or run in self._lab.queued():
            self._show_actions()

    def _show_actions(self) -> None:
        rows = self.selected()
        run = rows[0].run if len(rows) == 1 and rows[0].trashed is None else None
        waits, follows = run in self._lab.queued(), run in self._lab.live()
        self.open.setEnabled(run is not None)
        self.duplicate.setEnabled(run is not None)
        self.queue.show_run(run)
        self.export.show_run(run)
        self.report.show_rows(rows)
        self.resume.show_run(run)
        self.resume.setEnabled(self.resume.possible)
        self.stop.setEnabled(waits or (follows and run is not None and not self._lab.state(run).stopping))
        self.stop.setText("Cancel" if waits else "Stop and save")
        self.recipe.show_rows(rows)
        self.trash.show_rows(rows)

    @Slot()
    def _show_views(self) -> None:
        """The one that is seen; the others when they are."""
        rows = self.selected()
        runs = [row.run for row in rows]
        try:
            match self.tabs.currentWidget():
                case self.overlay:
                    self.overlay.show_runs(runs)
                case self.sweep:
                    self.sweep.show_runs(runs)
                case self.differences:
                    self.differences.show_runs(runs)
                case self.lineage:
                    self.lineage.show_runs(runs[:MOST_LINES])
        except LabError as error:
            self._lab.message.emit(str(error))
        self.notes.show_rows(rows)

    @Slot(object)
    def _show_filtered(self, wanted: RunFilter) -> None:
        self.model.set_filter(wanted)
        self._measure()

    @Slot()
    def _runs_moved(self) -> None:
        self._lab.runs_changed.emit()

    @Slot()
    def _open(self) -> None:
        run = self.run()
        if run is not None and self.open.isEnabled():
            self._lab.run_asked.emit(run)

    @Slot()
    def _stop(self) -> None:
        run = self.run()
        if run is not None:
            self._lab.stop(run)

    @Slot()
    def _duplicate(self) -> None:
        run = self.run()
        if run is None:
            return
        try:
            config = RunFolder(self._lab.project.runs_folder / run).config
        except LabError as error:
            self._lab.message.emit(str(error))
            return
        self._lab.pane_asked.emit(STAGE_PLACES[config.stage], config.model_dump())

    @Slot()
    def _measure(self) -> None:
        self._outdated = self._measuring is not None
        if self._outdated or not self.isVisible():
            return
        folder, runs = self._lab.project.runs_folder, list(self.model.runs())

        def work(_: Store, task: Background) -> dict[str, int]:
            return {run: disk_use(folder / run) for run in runs if not task.cancelled()}

        self._measuring = self._lab.in_background(work)
        self._measuring.done.connect(self.model.show_sizes)
        self._measuring.finished.connect(self._measured)

    @Slot()
    def _measured(self) -> None:
        self._measuring = None
        self._show_found()
        if self._outdated:  # a run began or ended meanwhile
            self._measure()

    def _show_found(self) -> None:
        self.filter.show_found(self.model.rowCount(), self.model.total, self.model.room)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(PlainLabel("Runs", role="title"), 1)
        for button in (self.open, self.resume, self.stop, self.duplicate, self.recipe):
            head.addWidget(button)
        for button in (self.report, self.export, self.trash):
            head.addWidget(button)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self.table)
        split.addWidget(self.tabs)
        split.setSizes([300, 340])
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 1)
        shown = QWidget()
        column = QVBoxLayout(shown)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(head)
        found = QHBoxLayout()
        found.setSpacing(8)
        found.addWidget(self.filter, 1)
        found.addWidget(self.queue)
        column.addLayout(found)
        column.addWidget(split, 1)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(shown)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(16, 12, 16, 12)
        whole.addWidget(self._stack)


def _table(model: RunsTable) -> QTableView:
    table = row_table(model, "All runs", several=True)
    for column, name in enumerate(COLUMNS):
        if name in WIDTHS:
            table.setColumnWidth(column, WIDTHS[name])
    return table
