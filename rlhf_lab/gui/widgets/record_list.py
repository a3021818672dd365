"""How a table of records looks and behaves, wherever there is one."""

from PySide6.QtCore import QItemSelectionModel
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from rlhf_lab.gui.models.records_table import RecordsTable

_FIXED = {"#": 72, "Kind": 104, "Split": 80, "Liked": 64, "Answers": 72}


class RecordView(QTableView):
    """Text columns share the width; nothing is measured cell by cell."""

    def __init__(self, model: RecordsTable, title: str):
        super().__init__()
        self.setAccessibleName(title)
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 12)
        self.horizontalHeader().setHighlightSections(False)
        # Of its own and empty: to paint a title, the header would ask every row of a selected million.
        self.horizontalHeader().setSelectionModel(QItemSelectionModel(model, self))
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        model.modelReset.connect(self._share_width)

    def choose(self, row: int) -> None:
        """Select one row. `selectRow` would toggle it for somebody who still holds Ctrl, as after Ctrl+Z."""
        mode = QItemSelectionModel.SelectionFlag
        self.selectionModel().setCurrentIndex(self.model().index(row, 0), mode.ClearAndSelect | mode.Rows)

    def _share_width(self) -> None:
        header, model = self.horizontalHeader(), self.model()
        for section in range(model.columnCount()):
            title = model.headerData(section, header.orientation())
            if title in _FIXED:
                header.setSectionResizeMode(section, QHeaderView.ResizeMode.Interactive)
                header.resizeSection(section, _FIXED[title])
            else:
                header.setSectionResizeMode(section, QHeaderView.ResizeMode.Stretch)
