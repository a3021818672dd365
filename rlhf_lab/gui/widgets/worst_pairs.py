"""The held-out pairs that a reward model gets most wrong: to read, and to be judged again by a person."""

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, Qt, Signal, Slot
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHBoxLayout, QHeaderView, QPushButton, QTableView, QVBoxLayout

from rlhf_lab.core.diagnosis import WorstPair
from rlhf_lab.gui.models.diagnosis import as_pair
from rlhf_lab.gui.models.diagnosis_tables import WorstTable
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import HelpMark
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.reading_view import ReadingView

_ROWS = 6
_READING_HEIGHT = 220


class WorstPairs(QFrame):
    """Says what a person wants to do with the pairs."""

    rank_asked = Signal(list)
    """Judge these `WorstPair`s again."""
    try_asked = Signal(object)
    """Change the words of this `WorstPair` and see what its scores do."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "card")
        self.model = WorstTable(self)
        self.table = QTableView()
        self.table.setAccessibleName("Worst pairs")
        self.table.setModel(self.model)
        self.table.setProperty("look", "bare")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setTabKeyNavigation(False)
        self.table.setCornerButtonEnabled(False)
        self.table.verticalHeader().hide()
        self._row = self.table.fontMetrics().height() + 12
        self.table.verticalHeader().setDefaultSectionSize(self._row)
        self.table.horizontalHeader().setHighlightSections(False)
        self.reading = ReadingView()
        self.reading.setFixedHeight(_READING_HEIGHT)
        self.all = QPushButton("Judge all on the Rank pane")
        theme().keep_icon(self.all, "rank")
        self.some = QPushButton("Judge the selected")
        self.some.setToolTip("Only the pairs that are selected in the table, on the Rank pane")
        self.attempt = QPushButton("Change its words…")
        self.attempt.setToolTip("Take this pair to “Score a text”: what in it does the reward model look at?")
        self.attempt.clicked.connect(self._ask_attempt)
        for button in (self.all, self.some, self.attempt):
            button.setEnabled(False)
        self.all.clicked.connect(self._ask_all)
        self.some.clicked.connect(self._ask_some)
        self.table.selectionModel().currentRowChanged.connect(self._read)
        self.table.selectionModel().selectionChanged.connect(self._count)
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(PlainLabel("Worst pairs", role="strong"))
        head.addWidget(HelpMark.about("control.worst_pairs"))
        head.addStretch(1)
        head.addWidget(self.attempt)
        head.addWidget(self.some)
        head.addWidget(self.all)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 8, 10, 10)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self.table)
        column.addWidget(self.reading)

    def show_pairs(self, pairs: Sequence[WorstPair]) -> None:
        """Show other ones, the first of them to read."""
        if self.model.pairs == tuple(pairs):
            return
        self.model.show_pairs(pairs)
        header = self.table.horizontalHeader()
        self.table.setFixedHeight(header.sizeHint().height() + min(max(1, len(pairs)), _ROWS) * self._row + 4)
        for column in range(self.model.columnCount()):
            title = self.model.headerData(column, Qt.Orientation.Horizontal)
            short = title in ("Margin", "Label")
            header.setSectionResizeMode(
                column, QHeaderView.ResizeMode.Interactive if short else QHeaderView.ResizeMode.Stretch
            )
            if short:
                header.resizeSection(column, self.table.fontMetrics().horizontalAdvance("Margin") + 30)
        for button in (self.all, self.attempt):
            button.setEnabled(bool(pairs))
        if pairs:
            mode = QItemSelectionModel.SelectionFlag
            self.table.selectionModel().setCurrentIndex(self.model.index(0, 0), mode.ClearAndSelect | mode.Rows)
        self._count()

    @Slot()
    def _read(self) -> None:
        at = self.table.currentIndex().row()
        self.reading.show_record(as_pair(self.model.pairs[at]) if 0 <= at < len(self.model.pairs) else None)

    @Slot()
    def _count(self) -> None:
        chosen = len(self.table.selectionModel().selectedRows())
        self.some.setEnabled(bool(chosen))
        self.some.setText("Judge this one" if chosen == 1 else f"Judge the {chosen:,} selected")

    @Slot()
    def _ask_all(self) -> None:
        self.rank_asked.emit(list(self.model.pairs))

    @Slot()
    def _ask_attempt(self) -> None:
        self.try_asked.emit(self.model.pairs[self.table.currentIndex().row()])

    @Slot()
    def _ask_some(self) -> None:
        rows = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        self.rank_asked.emit([self.model.pairs[row] for row in rows])
