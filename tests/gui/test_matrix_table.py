"""A table to read: all rows in view, or so many of them, and no trap for the keyboard."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.widgets.matrix_table import MatrixTable

NAMES = [f"SFT {n}" for n in range(5)]
CELLS = [[(f"{row} of {column}", "<b>as it is</b>") for column in range(5)] for row in range(5)]


def test_all_rows_are_in_view_unless_there_are_many(qtbot: QtBot, shown) -> None:
    table = MatrixTable("Who beat whom")
    table.show_cells(NAMES, NAMES, CELLS)
    shown(table, 600, table.height())
    assert table.visualItemRect(table.item(4, 0)).bottom() <= table.viewport().height()
    assert not table.verticalScrollBar().isVisible()
    high = table.height()
    table.show_cells(NAMES, NAMES, CELLS, 3)
    assert table.height() == high - 2 * table.rowHeight(0)
    qtbot.waitUntil(table.verticalScrollBar().isVisible)
    assert table.item(0, 0).toolTip() == "<qt>&lt;b&gt;as it is&lt;/b&gt;</qt>"


def test_tab_goes_on_to_what_is_behind_it(qtbot: QtBot, shown) -> None:
    whole, table, after = QWidget(), MatrixTable("Who beat whom"), QPushButton("After it")
    table.show_cells(NAMES, NAMES, CELLS)
    column = QVBoxLayout(whole)
    column.addWidget(table)
    column.addWidget(after)
    shown(whole, 600, 400)
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is after
