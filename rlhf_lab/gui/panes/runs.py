"""The Runs pane: every run of the project, what came of it, and the way back into it."""

from PySide6.QtCore import QModelIndex, Qt, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.runs_table import COLUMNS, RunsTable
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.go_on import GoOnButton
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.run_export import RunExportButton

WIDTHS = {"Run": 96, "Status": 120, "Steps": 112, "Duration": 96, "Key figures": 296, "Started": 136}


class RunsPane(QWidget):
    """Enter or a double click opens a run in the pane of its stage."""

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._chosen: str | None = None
        self.setAccessibleName("Runs")
        self.model = RunsTable(lab)
        self.table = QTableView()
        self.table.setAccessibleName("All runs")
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setTabKeyNavigation(False)
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(True)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.verticalHeader().setDefaultSectionSize(self.table.fontMetrics().lineSpacing() + 16)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, name in enumerate(COLUMNS):
            if name in WIDTHS:
                self.table.setColumnWidth(column, WIDTHS[name])
        self.open, self.resume, self.stop = QPushButton("Open"), GoOnButton(lab), QPushButton("Stop and save")
        self.export = RunExportButton(lab)
        self.open.setToolTip("Show its curves and samples in the pane of its stage (Enter)")
        self.stop.setToolTip("Save the last whole step and end the run; it can be resumed")
        theme().keep_icon(self.stop, "stop")
        self.empty = PlainLabel(
            "No runs yet. Begin on the SFT pane, or run the guided experiment from the Data pane: each run appears "
            "here with its figures.",
            role="muted",
            wrap=True,
        )
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedWidget()
        self._lay_out()
        self.table.activated.connect(self._open)
        self.table.selectionModel().currentRowChanged.connect(self._choose)
        self.model.modelReset.connect(self._keep_choice)
        self.open.clicked.connect(self._open)
        self.stop.clicked.connect(self._stop)
        lab.run_changed.connect(self._show_actions)
        self._keep_choice()

    def run(self) -> str | None:
        """The run in the selected row."""
        return self.model.run_at(self.table.currentIndex().row())

    @Slot(QModelIndex)
    def _choose(self, index: QModelIndex) -> None:
        self._chosen = self.model.run_at(index.row()) or self._chosen
        self._show_actions()

    @Slot()
    def _keep_choice(self) -> None:
        self._stack.setCurrentIndex(1 if self.model.rowCount() else 0)
        row = self.model.row_of(self._chosen) if self._chosen is not None else 0
        if self.model.rowCount():
            self.table.selectRow(max(row, 0))
        self._show_actions()

    @Slot()
    def _show_actions(self) -> None:
        run = self.run()
        waits, follows = run in self._lab.queued(), run in self._lab.live()
        self.open.setEnabled(run is not None)
        self.resume.show_run(run)
        self.export.show_run(run)
        self.resume.setEnabled(self.resume.possible)
        self.stop.setEnabled(waits or (follows and run is not None and not self._lab.state(run).stopping))
        self.stop.setText("Cancel" if waits else "Stop and save")

    @Slot()
    def _open(self) -> None:
        run = self.run()
        if run is not None:
            self._lab.run_asked.emit(run)

    @Slot()
    def _stop(self) -> None:
        run = self.run()
        if run is not None:
            self._lab.stop(run)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(PlainLabel("Runs", role="title"), 1)
        for button in (self.open, self.resume, self.export, self.stop):
            head.addWidget(button)
        shown = QWidget()
        column = QVBoxLayout(shown)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addLayout(head)
        column.addWidget(self.table, 1)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(shown)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(16, 12, 16, 12)
        whole.addWidget(self._stack)
