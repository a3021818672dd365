"""What was set differently in the selected runs."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QVBoxLayout, QWidget

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.config_differences import MOST, DifferencesTable, differences
from rlhf_lab.gui.widgets.plain_text import PlainLabel


class RunDifferences(QWidget):
    """One run is held against the defaults, several against each other."""

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self.note = PlainLabel(role="caption", wrap=True)
        self.model = DifferencesTable()
        self.table = QTableView()
        self.table.setAccessibleName("Settings that differ")
        self.table.setModel(self.model)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setTabKeyNavigation(False)
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(True)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.verticalHeader().setDefaultSectionSize(self.table.fontMetrics().lineSpacing() + 10)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.table.horizontalHeader().setDefaultSectionSize(180)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.note)
        column.addWidget(self.table, 1)

    def show_runs(self, runs: Sequence[str]) -> None:
        """Compare these."""
        heads, rows = differences(self._lab.project.store, runs) if runs else ([], [])
        self.model.show_differences(heads, rows)
        self.table.setVisible(bool(rows))
        self.note.setText(_note(len(runs), len(rows)))


def _note(runs: int, rows: int) -> str:
    if not runs:
        return "Select runs in the table."
    if runs == 1:
        return "Settings of this run that are not the default. Select several runs to compare them."
    if not rows:
        return "The selected runs have the same settings."
    more = f" The first {MOST} of {runs:,} runs are compared." if runs > MOST else ""
    return f"Settings in which the selected runs differ; the others are the same in all of them.{more}"
