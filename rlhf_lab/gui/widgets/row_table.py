"""Tables of rows: no grid, no row numbers, whole rows chosen, Tab leaves them."""

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QAbstractTableModel, Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QTableWidget

_CELL_MARGINS = 28


def row_table(model: QAbstractTableModel, name: str, *, several: bool = False) -> QTableView:
    """``name`` for who cannot see it; ``several`` rows may be chosen at a time."""
    table = QTableView()
    table.setModel(model)
    _make_rows(table, name, several=several)
    table.setAlternatingRowColors(True)
    table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    table.verticalHeader().setDefaultSectionSize(table.fontMetrics().lineSpacing() + 12)
    table.horizontalHeader().setStretchLastSection(True)
    return table


def word_table(columns: Sequence[str], widest: Mapping[str, str], name: str) -> QTableWidget:
    """A short table whose cells are put in one by one; ``widest``: words that a column has room for, the others share the rest."""
    table = QTableWidget(0, len(columns))
    table.setHorizontalHeaderLabels(columns)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    _make_rows(table, name)
    for place, column in enumerate(columns):
        if column in widest:
            table.setColumnWidth(place, table.fontMetrics().horizontalAdvance(widest[column]) + _CELL_MARGINS)
        else:
            table.horizontalHeader().setSectionResizeMode(place, QHeaderView.ResizeMode.Stretch)
    return table


def _make_rows(table: QTableView, name: str, *, several: bool = False) -> None:
    modes = QAbstractItemView.SelectionMode
    table.setAccessibleName(name)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(modes.ExtendedSelection if several else modes.SingleSelection)
    table.setTabKeyNavigation(False)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.verticalHeader().hide()
    table.horizontalHeader().setHighlightSections(False)
    table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
